"""`python -m iad generate`: a video portrait of the person in a photo."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from iad.checks import (
    check_apart,
    check_detail,
    check_driver,
    check_form,
    check_model,
    check_name,
    check_number,
    check_paste_back,
    check_photo,
    check_small,
)
from iad.commands.loading import Progress, get_duration, load_pipeline


def generate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a video portrait."""
    output = _check(arguments)
    start = time.perf_counter()
    sources = {"adapter": arguments.adapter, "device": arguments.device} | _list_sources(arguments)
    pipeline = load_pipeline(arguments.model, **sources)
    loaded = time.perf_counter()
    references = arguments.reference
    with Progress("generate") as progress:
        result = pipeline(
            reference=references[0] if len(references) == 1 else references,
            prompt=arguments.prompt,
            action_reference=arguments.action_reference,
            arm=arguments.arm,
            identity_scale=arguments.identity_scale,
            action_scale=arguments.action_scale,
            num_inference_steps=arguments.steps,
            num_frames=arguments.frames,
            seed=arguments.seed,
            callback=progress,
            face=arguments.face,
            **_list_dials(arguments),
        )
    result.save(output, label=arguments.label)
    for note in result.notes:
        print(note, file=sys.stderr)
    report = _describe(result, output, arguments.arm, loaded - start)
    if not arguments.json:
        print(f"{output}: {report['frames']} frames at {report['fps']} fps, seed {report['seed']}")
    return report


def _check(arguments: argparse.Namespace) -> Path:
    """Find whatever is wrong with the words, and return the file to be written."""
    from iad.config import ARMS, CONTROLS, is_full_size
    from iad.photos import load_image
    from iad.provenance import check_signing
    from iad.text import parse_prompt
    from iad.video import check_output

    check_model(arguments.model)
    small = not is_full_size(arguments.model)
    check_name(arguments.arm, (*ARMS, *CONTROLS) if small else ARMS, what="arm")
    check_number(arguments.seed, "--seed", low=0, high=2**63 - 1)
    check_number(arguments.steps, "--steps", low=1, high=1000)
    check_number(arguments.identity_scale, "--identity-scale", low=0, high=10)
    check_number(arguments.action_scale, "--action-scale", low=0, high=10)
    check_number(arguments.detail_scale, "--detail-scale", low=0, high=1)
    check_detail(arguments.detail_scale, "--detail-scale", small=small)
    _check_form(arguments, small=small)
    if small:
        _refuse_full_size_options(arguments)
    parse_prompt(arguments.prompt, duration=arguments.duration or get_duration(arguments.model))
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
    return output


def _check_form(arguments: argparse.Namespace, *, small: bool) -> None:
    if arguments.size and not small:
        raise ValueError("--size is of small models; give a large one --height and --width.")
    only_small = ("duration", "fps", "paste_back")
    check_small(
        (f"--{name.replace('_', '-')}" for name in only_small if getattr(arguments, name)), small=small
    )
    if not small:
        check_number(arguments.frames, "--frames", low=1, high=1000)
        return
    form = {name: getattr(arguments, name) for name in ("duration", "frames", "fps", "size")}
    check_form(**form, prefix="--")
    arm, detail = arguments.arm, arguments.detail_scale
    check_paste_back(arguments.paste_back, "--paste-back", arm=arm, detail_scale=detail)


def _refuse_full_size_options(arguments: argparse.Namespace) -> None:
    options = ("cache", "compile", "baseline", "height", "width", "accept_licence")
    given = [f"--{name.replace('_', '-')}" for name in options if getattr(arguments, name)]
    given += ["--memory"] if arguments.memory != "auto" else []
    if given:
        raise ValueError(
            f"{', '.join(given)}: only large models take these; leave them out with a small one."
        )


def _list_sources(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what only a full-size model is told."""
    from iad.config import is_full_size

    if not is_full_size(arguments.model):
        return {}
    return {
        "arms": (arguments.arm,),
        "baselines": {arguments.arm: arguments.baseline} if arguments.baseline else {},
        "memory": arguments.memory,
        "cache": arguments.cache,
        "compile": arguments.compile,
        "accept_licence": arguments.accept_licence,
    }


def _list_dials(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what models of one size are asked and those of the other are not."""
    from iad.config import is_full_size

    if not is_full_size(arguments.model):
        names = ("detail_scale", "duration", "fps", "size", "paste_back")
        return {name: getattr(arguments, name) for name in names}
    return {side: getattr(arguments, side) for side in ("height", "width") if getattr(arguments, side)}


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
