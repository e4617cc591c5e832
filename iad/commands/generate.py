"""`python -m iad generate`, `batch` and `demo`: video portraits of the people in photos."""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from iad.checks import check_apart, check_device, check_model, check_number, list_given
from iad.config import is_full_size
from iad.request import OPTIONS, Request, as_option, check_settings, find_longest, refuse

LARGE = ("memory", "cache", "compile", "accept_licence")  # what only large models are told as they load


def generate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a video portrait."""
    small = not is_full_size(arguments.model)
    request, output = _check(arguments, small=small)
    start = time.perf_counter()
    sources = {"adapter": arguments.adapter, "device": arguments.device}
    if not small:
        baselines = {arguments.arm: arguments.baseline} if arguments.baseline else {}
        sources |= {"arms": (arguments.arm,), "baselines": baselines}
        sources |= {name: getattr(arguments, name) for name in LARGE}

    from iad import IaDPipeline

    pipeline = IaDPipeline.from_pretrained(arguments.model, **sources)
    loaded = time.perf_counter()
    with Progress("generate") as progress:
        result = pipeline.generate(request, progress)
    result.save(output, label=arguments.label)
    for note in result.notes:
        print(note, file=sys.stderr)
    report = _describe(result, output, arguments.arm, loaded - start)
    if not arguments.json:
        print(f"{output}: {report['frames']} frames at {report['fps']} fps, seed {report['seed']}")
    return report


def _check(arguments: argparse.Namespace, *, small: bool) -> tuple[Request, Path]:
    """Find whatever is wrong with the words; return the request, and the file to be written."""
    from iad.media.photos import load_image
    from iad.media.provenance import check_signing
    from iad.media.video import check_output
    from iad.text import check_words

    check_model(arguments.model)
    check_device(arguments.device)
    settings = {name: getattr(arguments, option) for option, name in OPTIONS.items()}
    check_settings(settings, name=as_option)
    request = Request(arguments.reference, arguments.prompt, **settings)
    request.check_for(small=small, name=as_option)
    if small:
        refuse(list_given(arguments, "a large model only"), small=True)
        if arguments.adapter and not Path(arguments.adapter).is_dir():
            raise ValueError(f"There is no folder '{arguments.adapter}'; name one of trained adapters.")
    check_words(request, longest=find_longest(arguments.model))
    output = check_output(arguments.output)
    check_apart(output, [*arguments.reference, arguments.action_reference])
    check_signing()
    for reference in arguments.reference:
        if small:
            check_photo(reference, arguments.face)
        else:  # its model is the slower thing to find missing
            load_image(reference)
    if arguments.action_reference:
        check_driver(arguments.action_reference, small=small)
    return request, output


def _describe(result: Any, output: Path, arm: str, load_seconds: float) -> dict[str, Any]:
    from iad.batch.making import mean_scores

    frames, height, width = result.frames.shape[:3]
    return {
        "output": str(output),
        "frames": frames,
        "fps": result.fps,
        "width": width,
        "height": height,
        "seed": result.seed,
        "arm": arm,
        "seconds": {"load": round(load_seconds, 3), "generate": round(result.seconds, 3)},
        "scores": mean_scores(result.scores),
        "notes": list(result.notes),
        "made_of": dict(result.made_of),
    }


def batch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make every clip of a request file that is not there yet."""
    from iad.batch import run
    from iad.media.provenance import check_signing

    check_signing()
    check_model(arguments.model)
    check_device(arguments.device)
    with Progress("batch") as progress:
        summary = run(
            arguments.requests,
            output=arguments.output,
            model=arguments.model,
            workers=arguments.workers,
            device=arguments.device,
            ray=arguments.ray,
            tell=progress.tell,
            callback=progress,
        )
    if summary.failed:
        raise ValueError(
            f"{summary.failed} of {summary.requests} requests failed; the reasons are in '{summary.results}'."
        )
    if not arguments.json:
        print(f"{summary.results.parent}: {summary.made} clips made, {summary.skipped} already there")
    return asdict(summary) | {"results": str(summary.results), "seconds": round(summary.seconds, 3)}


def demo(arguments: argparse.Namespace) -> NoReturn:
    """Open the app, until the process is told to end."""
    if arguments.device != "auto":
        from iad.full_size.memory import find_device

        os.environ["IAD_DEVICE"] = str(find_device(arguments.device))

    from iad.demo import launch

    def tell(address: str) -> None:
        print(json.dumps({"address": address}), flush=True)

    launch(port=arguments.port, tell=tell if arguments.json else None)


def check_photo(file: str, face: int | None = None) -> None:
    """Make sure that a photo can be read and shows face number `face`."""
    from iad.faces import detect_faces, load_image

    photo = load_image(file)
    try:
        faces = detect_faces(photo)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    check_number(face, f"--face of '{file}'", low=0, high=len(faces) - 1)


def check_driver(file: str, *, small: bool = True) -> None:
    """Make sure that an action reference is a video or a photo; for a small model one that shows a face."""
    from iad.media.photos import load_image
    from iad.media.video import VIDEO_SUFFIXES, read_video

    if Path(file).suffix.lower() in VIDEO_SUFFIXES:
        read_video(file, 1)
    elif small:
        check_photo(file)
    else:
        load_image(file)


class Progress:
    """A progress bar on stderr, moved by `progress(step, total)`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar = None

    def __enter__(self) -> "Progress":
        from tqdm import tqdm

        self.bar = tqdm(desc=self.title, file=sys.stderr, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, step: int, total: int) -> None:
        """Show `step` of `total`."""
        self.bar.total = total
        self.bar.update(step - self.bar.n)

    def tell(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self.bar.write(sentence, file=sys.stderr)
