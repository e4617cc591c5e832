"""One report of all suites that ran: `report.json` for programs, `report.md` for readers."""

import json
import math
import os
import platform
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any


def describe_hardware() -> str:
    """Say on what a report was made, in one line."""
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def write_report(
    output: Path, suites: Mapping[str, dict[str, Any]], *, command: str, pages: Mapping[str, str]
) -> dict[str, Any]:
    """Write `report.json` and `report.md`, and return what the former holds.

    Args:
        output: the folder.
        suites: each suite's own report.
        command: the command that makes this report again.
        pages: each suite's tables in Markdown.
    """
    facts = {"command": command, "date": date.today().isoformat(), "hardware": describe_hardware()}
    report = as_json(facts | {"suites": dict(suites)})
    (output / "report.json").write_text(json.dumps(report, indent=1))
    head = ["# Evaluation", "", f"`{command}`", "", f"{facts['date']}; {facts['hardware']}.", ""]
    (output / "report.md").write_text("\n".join([*head, *pages.values()]))
    return report


def as_json(value: Any) -> Any:
    """Turn tuples to lists and numbers that JSON lacks to null."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
