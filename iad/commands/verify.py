"""`python -m iad verify`: was a file made here, with which settings, and is it as it was saved."""

import argparse
from typing import Any


def verify(arguments: argparse.Namespace) -> dict[str, Any]:
    """Say what a file says of its making, and how far that can be believed."""
    from dataclasses import asdict

    from iad.media.provenance import verify as verify_file

    report = asdict(verify_file(arguments.file))
    if not arguments.json:
        print(f"{report['file']}: {report['summary']}")
        for name, value in report["settings"].items():
            print(f"  {name}: {value}")
    return report
