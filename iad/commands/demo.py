"""`python -m iad demo`: the app."""

import argparse
import os
from typing import Any

from iad.checks import check_number


def demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the app; returns when it is closed."""
    check_number(arguments.port, "--port", low=1, high=65_535)

    if arguments.device != "auto":
        from iad.full_size.memory import find_device

        os.environ["IAD_DEVICE"] = str(find_device(arguments.device))

    from iad.demo import launch

    launch(port=arguments.port)
    return {"port": arguments.port}
