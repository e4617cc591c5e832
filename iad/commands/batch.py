"""`python -m iad batch`: a file of requests, a folder of clips."""

import argparse
from typing import Any

from iad.checks import check_model, check_number
from iad.commands.loading import Progress


def batch(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make every clip of a request file that is not there yet."""
    from dataclasses import asdict

    from iad.batch import run
    from iad.media.provenance import check_signing

    check_signing()
    check_model(arguments.model)
    check_number(arguments.workers, "--workers", low=1, high=1024)
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
