"""What can be wrong with the words of a command line, found before anything heavy is loaded.

Every check raises a ValueError (a missing file: FileNotFoundError) with one sentence, or returns nothing.
"""

import argparse
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from iad.config import PRESETS

DEVICES = ("cpu", "cuda", "mps")


def check_name(name: str, names: tuple[str, ...], *, what: str) -> None:
    """Make sure that `name` is one of `names`; else suggest the nearest."""
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'? All of them: " if near else "choose one of "
        raise ValueError(f"Unknown {what} '{name:.80}'; {hint}{', '.join(names)}.")


def check_model(name: str) -> None:
    """Make sure that `name` is a preset, or may be a folder or a hub id (owner/name)."""
    if not Path(name).is_dir() and name.count("/") != 1:
        check_name(name, tuple(PRESETS), what="model")


def check_device(name: str) -> None:
    """Make sure that `name` may be a device; whether it is there only torch knows."""
    kind, _, number = name.partition(":")
    if name != "auto" and (kind not in DEVICES or not (number or "0").isdecimal()):
        raise ValueError(f"Unknown device {name!r}; choose auto, cpu, cuda or mps.")


def read_option(arguments: argparse.Namespace, option: str) -> Any:
    """Return the value of an option, such as --lora-rank."""
    return getattr(arguments, option.removeprefix("--").replace("-", "_"))


def list_given(arguments: argparse.Namespace, group: str) -> list[str]:
    """List the options of a group in `iad/cli.toml` that say something else than their default."""
    rows = {option: row for option, row in arguments.rows.items() if row.get("group") == group}
    return [o for o, row in rows.items() if (read_option(arguments, o) or None) != row.get("default")]


def check_number(value: float | None, option: str, *, low: float, high: float) -> None:
    """Make sure that a given number lies within its range."""
    if value is not None and not low <= value <= high:
        raise ValueError(f"{option} is {value}; give a number from {low} to {high}.")


def check_apart(output: str | Path, inputs: Iterable[str | Path | None]) -> None:
    """Make sure that what is to be written is nothing that is to be read, by whatever name or link."""
    for given in inputs:
        if given is not None and _is_same(Path(output), Path(given)):
            raise ValueError(
                f"The output '{output}' is the input '{given}', which would be lost; give another name."
            )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except (OSError, ValueError):  # one of them is not there
        return False


def explain(error: Exception) -> str:
    """Say in one line what went wrong; what libraries raise for a file or for memory becomes a sentence."""
    words = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        file = f"The file '{str(error.filename)[-200:]}'" if error.filename else "A file"
        words = f"{file} cannot be used ({error.strerror}); check its path, its rights and the disk's space."
    elif isinstance(error, MemoryError):
        words = "The memory does not suffice; end other programs, or ask for less at once."
    return make_printable(words)


def make_printable(text: str) -> str:
    """Replace what no screen shows as a letter, such as a terminal's commands, by a mark."""
    # The joiner holds the parts of an emoji together.
    return "".join(c if c.isprintable() or c == "\u200d" else "\N{REPLACEMENT CHARACTER}" for c in text)
