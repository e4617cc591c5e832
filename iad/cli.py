"""The command line, `python -m iad generate | batch | decouple | verify | evaluate | accept | train ...`.

In come words, out come files, exit code 0 and, with --json, one JSON object as the last line of stdout; or
exit code 2 and one sentence on stderr. What there is to ask stands in `cli.toml`, what commands do in
`iad/commands/`, which --help does not load.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import textwrap
import tomllib
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, NoReturn

from iad import __version__
from iad import commands as run
from iad.checks import check_number, explain, read_option
from iad.commands.evaluate import SUITES
from iad.request import EVERY_ARM, OPTIONS, SETTINGS, as_option, find_kind
from iad.training.timetable import STAGES, WHOLE

_COMMANDS = tomllib.loads(Path(__file__).with_name("cli.toml").read_text(encoding="utf-8"))
_TYPES = {"int": int, "float": float}
_OWN_KEYS = ("reference or references", "prompt", "name", "format (mp4, gif, png)")  # of a batch's line
_WORDS = {  # what $names in cli.toml stand for
    "arms": ", ".join(EVERY_ARM),
    "caches": "first-block, mag, taylorseer, pab",
    "devices": "cpu, cuda or mps (default: auto, CUDA where there is one)",
    "keys": textwrap.fill(f"its keys: {', '.join((*_OWN_KEYS, *OPTIONS))}; paths start at the file", 100),
    "memory": "auto, full, offload, sequential, int8, fp8",
    "stages": ", ".join(STAGES),
    "suites": ", ".join(SUITES),
    "trained": "mini, mini-large, tiny, cogvideox-5b",
    "whole": WHOLE,
}


class _Parser(argparse.ArgumentParser):
    """An argument parser that complains in one sentence."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[0].upper()}{message[1:]}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = create_parser().parse_args(argv)
    # Threads that spin while they wait slow a busy machine down; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with contextlib.suppress(ValueError):  # in a thread nobody is told
        signal.signal(signal.SIGTERM, _leave)
    try:
        for name, row in arguments.rows.items():
            if "low" in row:
                check_number(read_option(arguments, name), name, low=row["low"], high=row["high"])
        report = arguments.command(arguments)
    except (ValueError, OSError, MemoryError) as error:
        print(explain(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    if arguments.json and os.environ.get("RANK", "0") == "0":  # of several processes, the first speaks
        print(json.dumps(report))
    return 0


def _leave(number: int, _: Any) -> NoReturn:
    """End at SIGTERM as at an error, so that no copy of a photo and no half file stays behind."""
    raise SystemExit(128 + number)


def create_parser() -> argparse.ArgumentParser:
    """Describe every command and option."""
    parser = _Parser(
        prog="python -m iad",
        description="Video portraits from one photo: identity and facial action, decoupled.",
        epilog='example:\n  python -m iad generate --reference a.jpg --prompt "a man laughs" --output a.mp4',
    )
    parser.add_argument("--version", action="version", version=f"iad {__version__}")
    _add_commands(parser, _COMMANDS)
    return parser


def _fill_in(text: str) -> str:
    return Template(text).substitute(_WORDS)


def _add_commands(parser: argparse.ArgumentParser, table: dict[str, Any]) -> None:
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, about in table.items():
        words, example = _fill_in(about["summary"]), _fill_in(about["example"])
        command = commands.add_parser(name, help=words, description=words, epilog=f"example:\n  {example}")
        if "commands" in about:
            _add_commands(command, about["commands"])
            continue
        json_words = "print one JSON object as the last line of stdout"
        command.add_argument("--json", action="store_true", help=json_words)
        rows = dict(sorted(about["options"].items(), key=lambda row: "group" in row[1]))
        if name == "generate":
            rows = _list_settings(rows)
        _add_options(command, rows)
        command.set_defaults(command=getattr(run, name), rows=rows)


def _add_options(parser: argparse.ArgumentParser, rows: dict[str, dict[str, Any]]) -> None:
    groups: dict[str, Any] = {}
    for name, row in rows.items():
        group = row.get("group")
        if group is not None and group not in groups:
            groups[group] = parser.add_argument_group(_fill_in(group))
        options = {key: value for key, value in row.items() if key not in ("group", "low", "high")}
        if "type" in row:
            options["type"] = _TYPES[row["type"]]
        groups.get(group, parser).add_argument(name, **options | {"help": _fill_in(row["help"])})


def _list_settings(own: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Put a request's settings between the options without a group and those with one."""
    settings = {}
    for name in OPTIONS.values():
        kind, setting = find_kind(name), SETTINGS[name]
        words, default, only = setting.metadata["words"], setting.default, setting.metadata.get("only")
        row = {"help": words, "action": "store_true"}
        if kind is not bool:
            known = "" if default is None else f" (default: {default if kind is str else f'{default:g}'})"
            metavar = setting.metadata.get("metavar") or {int: "N", float: "X"}.get(kind, "NAME")
            row = {"help": words + known, "default": default, "metavar": metavar}
            row |= {"type": kind.__name__} if kind in (int, float) else {}
        settings[as_option(name)] = row | ({"group": f"a {only} model only"} if only else {})
    plain = {name: row for name, row in own.items() if "group" not in row}
    return plain | dict(sorted(settings.items(), key=lambda row: "group" in row[1])) | own
