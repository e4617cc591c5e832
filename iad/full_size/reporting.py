"""Reports of what a machine has done: rows of numbers -> `report.md`, to paste, and `report.json`."""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from iad import __version__
from iad.checkpoint import write_whole
from iad.full_size.memory import GB, find_device

PACKAGES = ("torch", "diffusers", "transformers", "accelerate")


def check_cuda(device: str | None, *, instead: str) -> None:
    """Refuse to go on without a CUDA device, unless another one is named.

    Raises:
        ValueError: there is none; the sentence ends with what can be done instead.
    """
    if device in (None, "auto") and not torch.cuda.is_available():
        raise ValueError(f"The acceptance measures a GPU and there is no CUDA device here; {instead}.")


def describe_machine(device: str | None = None) -> dict[str, str]:
    """Say what the numbers were measured on."""
    place = find_device(device)
    said = {"iad": __version__, "python": platform.python_version()}
    said |= {name: version(name) for name in PACKAGES}
    if place.type == "cuda":
        card = torch.cuda.get_device_properties(place)
        said |= {"device": f"{card.name}, {card.total_memory / GB:.0f} GB", "cuda": str(torch.version.cuda)}
    else:
        said["device"] = f"{place.type} ({platform.machine()})"
    return said | {"command": " ".join(["python -m iad", *sys.argv[1:]])}


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write a report as JSON and as Markdown."""
    write_whole(folder / "report.json", json.dumps(report, indent=1).encode())
    write_whole(folder / "report.md", write_markdown(report).encode())


def write_markdown(report: Mapping[str, Any]) -> str:
    """Write a report as a table to paste, with its machine above and its notes below."""
    machine = ", ".join(f"{name} {said}" for name, said in report["machine"].items() if name != "command")
    lines = [f"Full size, {report['kind']}: {machine}", "", *tabulate(report["rows"]), ""]
    lines += [f"- {note}" for note in report["notes"]]
    return "\n".join([*lines, f"- `{report['machine']['command']}`", ""])


def tabulate(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a Markdown table: a column for every key, notes last."""
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name != "note"] + ["note"]

    def cells(row: Mapping[str, Any]) -> str:
        shown = ("–" if row.get(name) is None else str(row[name]).replace("|", "/") for name in names)
        return f"| {' | '.join(shown)} |"

    head = cells({name: name.replace("_gb", ", GB").replace("_s", ", s").replace("_", " ") for name in names})
    return [head, "|" + "---|" * len(names), *map(cells, rows)]
