"""`python -m iad generate`: a video portrait of the person in a photo."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from iad.checks import check_apart, check_model
from iad.commands.loading import Progress, check_driver, check_photo
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
    from iad.text import parse_prompt

    check_model(arguments.model)
    settings = {name: getattr(arguments, option) for option, name in OPTIONS.items()}
    check_settings(settings, name=as_option)
    request = Request(arguments.reference, arguments.prompt, **settings)
    request.check_for(small=small, name=as_option)
    if small:
        names, unsaid = (*LARGE, "baseline"), (None, False, "auto")
        refuse([as_option(n) for n in names if getattr(arguments, n) not in unsaid], small=True)
    parse_prompt(request.prompt, duration=request.duration or find_longest(arguments.model))
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
