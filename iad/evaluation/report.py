"""What runs leave on disk: journals of measurements, and one report of all suites that ran.

A journal has a line of JSON for each measurement, so that an interrupted run goes on where it stopped; of
reports `report.json` is for programs and `report.md`, with its tables, for readers.
"""

import json
import math
import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

SETTINGS = "settings.json"


def describe_hardware() -> str:
    """Say on what a report was made, in one line."""
    told = Path("/proc/cpuinfo")
    named = re.search(r"^model name\s*: *(.+?) *$", told.read_text() if told.exists() else "", re.MULTILINE)
    processor = named[1] if named else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


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


def write_suite(output: Path, name: str, report: Mapping[str, Any], page: str) -> None:
    """Write a suite's own report, for programs and for readers."""
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.json").write_text(json.dumps(as_json(report), indent=1))
    (output / f"{name}.md").write_text(page)


def load_words(suite: str) -> dict[str, Any]:
    """Read what a suite's page says around its numbers."""
    return tomllib.loads(Path(__file__).with_name("pages.toml").read_text("utf-8"))[suite]


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
    known = [x is not None and math.isfinite(x) for x in estimate or ()]
    if not known or not known[0]:
        return "–"
    shown = zip(estimate, known, strict=True)
    value, *ends = (f"{scale * x:{sign}.{digits}f}" if told else "–" for x, told in shown)
    return f"{value}{unit} [{', '.join(ends)}]" if any(known[1:]) else value + unit


class Journal:
    """A file of records, each with a `key`; what is written is on disk before `add` returns.

    Args:
        path: made when the first record comes.
    """

    def __init__(self, path: Path):
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        if path.exists():
            self._read()

    def _read(self) -> None:
        whole = 0
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the last run stopped while it wrote this line
                record = json.loads(line)
                self.records[record["key"]] = record
                whole += len(line)
        if whole < self.path.stat().st_size:
            with self.path.open("rb+") as file:
                file.truncate(whole)

    def sorted(self) -> list[dict[str, Any]]:
        """List the records by key: in an order that does not tell which worker was faster."""
        return [self.records[key] for key in sorted(self.records)]

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Write records, after all others."""
        records = list(records)
        with self.path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
            file.flush()
        self.records |= {record["key"]: record for record in records}


def start_folder(folder: Path, settings: Mapping[str, Any]) -> list[str]:
    """Make a folder ready for a run with these settings; return which settings an older run had otherwise.

    An older run's measurements are moved to `folder/earlier`, and it is said so.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = json.loads(json.dumps(settings))
    path = folder / SETTINGS
    changed = []
    if path.exists():
        older = json.loads(path.read_text())
        changed = [key for key in sorted({*older, *settings}) if older.get(key) != settings.get(key)]
    if changed:
        shutil.rmtree(folder / "earlier", ignore_errors=True)
        (folder / "earlier").mkdir()
        for old in [item for item in folder.iterdir() if item.name != "earlier"]:
            old.rename(folder / "earlier" / old.name)
        names = ", ".join(changed)
        print(
            f"Another run left measurements in {folder} with another setting of {names}; starting anew "
            f"(the old ones are in {folder / 'earlier'}).",
            file=sys.stderr,
        )
    path.write_text(json.dumps(settings, indent=1))
    return changed
