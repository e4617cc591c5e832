"""One report of all suites that ran: `report.json` for programs, `report.md` for readers; their tables."""

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
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


def write_table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "", missing: str = "–"
) -> str:
    """Write a table in Markdown.

    Args:
        header: names of the columns.
        rows: cells: words, counts, other numbers, estimates (value, low, high) as a list or by name, None.
        title: stands above the table.
        missing: stands for None.
    """
    lines = [header, ["---"] * len(header), *([_write_cell(cell, missing) for cell in row] for row in rows)]
    heading = f"### {title}\n\n" if title else ""
    return heading + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _write_cell(cell: Any, missing: str) -> str:
    if cell is None or isinstance(cell, (str, int)):
        return missing if cell is None else str(cell)
    if isinstance(cell, Mapping):
        cell = [cell[end] for end in ("value", "low", "high")]
    return write_estimate(cell if isinstance(cell, Sequence) else [cell])


def write_estimate(
    estimate: Sequence[float | None] | None, *, percent: bool = False, digits: int = 2, sign: str = ""
) -> str:
    """Write a value and the ends of its interval, those that are known; a dash where there is no value.

    Args:
        estimate: value, low, high; or a value alone.
        percent: a share, written in percent.
        digits: behind the point, where it is no share.
        sign: "+" writes it before what is above zero.
    """
    scale, digits, unit = (100, 0, " %") if percent else (1, digits, "")
    known = [
        None if x is None or not math.isfinite(x) else f"{scale * x:{sign}.{digits}f}" for x in estimate or ()
    ]
    value, *ends = known or [None]
    if value is None or not any(ends):
        return "–" if value is None else value + unit
    return f"{value}{unit} [{', '.join(end or '–' for end in ends)}]"
