"""`python -m iad demo`: the app."""

import argparse
from typing import Any

from iad.checks import check_number


def demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the app; returns when it is closed."""
    check_number(arguments.port, "--port", low=1, high=65_535)

    from iad.demo import launch

    launch(port=arguments.port)
    return {"port": arguments.port}
