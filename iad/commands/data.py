"""`python -m iad data`: fetch, render and look at training data."""

import argparse
from typing import Any

from iad.checks import check_number


def download(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fetch the head and the photo people."""
    from iad.video import check_folder

    folder = check_folder(arguments.folder) if arguments.folder else None

    from iad.portraits.download import download as fetch

    return {"folder": str(fetch(folder, landmarker=_load_landmarker()))}


def _load_landmarker() -> Any:
    """Load what fits the photo people: the face encoder of mini; None before it has weights."""
    from iad import IaDPipeline
    from iad.encoders import as_landmarker

    try:
        return as_landmarker(IaDPipeline.from_pretrained("mini").parts["encoder"])
    except ValueError:
        return None


def render(arguments: argparse.Namespace) -> dict[str, Any]:
    """Render a pool of clips."""
    from iad.video import check_folder

    check_number(arguments.clips, "--clips", low=1, high=10**8)
    check_number(arguments.workers, "--workers", low=1, high=1024)
    check_number(arguments.seed, "--seed", low=0, high=2**63 - 1)
    output = check_folder(arguments.output)

    from iad.portraits.clips import render_pool

    held_out = arguments.held_out
    render_pool(
        output, clips=arguments.clips, seed=arguments.seed, workers=arguments.workers, held_out=held_out
    )
    report = {"output": str(output), "clips": arguments.clips, "seed": arguments.seed}
    return report | ({"held_out": True} if held_out else {})


def preview(arguments: argparse.Namespace) -> dict[str, Any]:
    """Render a few clips into one picture."""
    from iad.video import check_output

    check_number(arguments.count, "--count", low=1, high=256)
    check_number(arguments.seed, "--seed", low=0, high=2**63 - 1)
    output = check_output(arguments.output, (".png",))

    from iad.portraits.clips import preview as show

    show(output, count=arguments.count, seed=arguments.seed)
    return {"output": str(output), "count": arguments.count, "seed": arguments.seed}
