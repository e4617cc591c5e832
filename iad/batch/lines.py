"""Lines of a request file -> requests, each checked, or a sentence on what is wrong with a line.

A request is a JSON object whose keys are named like the options of `python -m iad generate`. Paths are
relative to the request file; `name` is the clip's file name without its suffix.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iad.checks import check_name
from iad.request import OPTIONS, Request, as_key, check_kind, check_settings

MOST_LINES = 100_000
MOST_LINE_BYTES = 100_000
MOST_PHOTOS = 16
MOST_VIDEO_BYTES = 200_000_000
FORMATS = ("mp4", "gif", "png")
KEYS = ("reference", "references", "prompt", "name", "format", *OPTIONS)
_TEXTS = {"reference", "prompt", "name", "format", "action_reference"}
_NAME = re.compile(r"\w[\w .+-]{0,79}")
NAME_BYTES = 200


@dataclass(frozen=True)
class Line:
    """One clip to be made, and what to call it."""

    number: int
    name: str
    format: str
    request: Request

    @property
    def output(self) -> str:
        """Name of the clip's file."""
        return f"{self.name}.{self.format}"


@dataclass(frozen=True)
class BadLine:
    """A line that is no request, and why."""

    number: int
    error: str
    name: str | None = None


def read_requests(file: str | Path, *, duration: float) -> list[Line | BadLine]:
    """Read a request file; blank lines are left out.

    Args:
        file: JSONL, UTF-8.
        duration: seconds of the longest clip, which the times in prompts must not leave.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file, holds no line, or too many.
    """
    file = Path(file)
    if not file.exists():
        raise FileNotFoundError(f"There is no file '{file}'; check the path of the requests.")
    if not file.is_file():
        raise ValueError(f"'{file}' is not a file; give a JSONL file with one request a line.")
    found: list[Line | BadLine] = []
    lines: dict[str, int] = {}
    for number, line in _read_lines(file):
        try:
            asked = _read_line(line, number, file.parent, duration)
            key = unicodedata.normalize("NFC", asked.name).casefold()  # as careless file systems compare
            if key in lines:
                raise ValueError(f"The name '{asked.name}' is taken by line {lines[key]}; give another one.")
            lines[key] = number
            found.append(asked)
        except (ValueError, OSError) as error:
            found.append(BadLine(number, " ".join(str(error).split())))
    if not found:
        raise ValueError(f"'{file}' holds no request; write one JSON object a line.")
    return found


def read_file(path: Path, most: int) -> bytes:
    """Read a photo or a video that a request names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no file, or has more than `most` bytes.
    """
    if not path.exists():
        raise FileNotFoundError(f"There is no file '{path}'; check the path.")
    if not path.is_file():
        raise ValueError(f"'{path}' is not a file; give the path of a photo or a video.")
    if path.stat().st_size > most:
        raise ValueError(f"'{path}' has more than {most // 10**6} MB; save it smaller.")
    return path.read_bytes()


def _read_lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines that are not blank; of one that is too long only the beginning."""
    with file.open("rb") as stream:
        for number in range(1, MOST_LINES + 2):
            line = rest = stream.readline(MOST_LINE_BYTES + 1)
            while len(rest) > MOST_LINE_BYTES and not rest.endswith(b"\n"):
                rest = stream.readline(MOST_LINE_BYTES + 1)
            if not line:
                return
            if number > MOST_LINES:
                raise ValueError(f"'{file}' has more than {MOST_LINES:,} lines; split it.")
            if line.strip():
                yield number, line


def _read_line(line: bytes, number: int, folder: Path, duration: float) -> Line:
    from iad.text import check_words

    values = _read_values(line)
    for key, value in values.items():
        check_name(key, KEYS, what="key")
        if key in _TEXTS:
            check_kind(value, str, key)
    photos = _find_photos(values, folder)
    if "prompt" not in values:
        raise ValueError("A request needs a 'prompt'; say what happens, for example \"a woman laughs\".")
    settings = {OPTIONS[key]: value for key, value in values.items() if key in OPTIONS}
    check_settings(settings, name=as_key)
    check_name(values.get("format", "mp4"), FORMATS, what="format")
    name = _check_file_name(values.get("name", f"{number:05d}"))
    if "action_reference" in settings:
        settings["action_reference"] = folder / settings["action_reference"]
    request = Request(photos, values["prompt"], **settings)
    check_words(request, longest=duration)
    return Line(number, name, values.get("format", "mp4"), request)


def _read_values(line: bytes) -> dict[str, Any]:
    if len(line) > MOST_LINE_BYTES:
        raise ValueError(f"The line has more than {MOST_LINE_BYTES:,} bytes; a request is one short object.")
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError("The line is not UTF-8 text; save the file as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError('The line is not JSON; write one object, {"key": value, ...}.') from error
    if not isinstance(values, dict):
        raise ValueError('The line is not a JSON object; write {"reference": ..., "prompt": ...}.')
    return {key: value for key, value in values.items() if value is not None}


def _find_photos(values: dict[str, Any], folder: Path) -> tuple[Path, ...]:
    if ("reference" in values) == ("references" in values):
        raise ValueError(
            "A request needs 'reference', a photo, or 'references', several; give one of the two."
        )
    photos = values.get("references", [values.get("reference")])
    if not (isinstance(photos, list) and photos and all(isinstance(photo, str) for photo in photos)):
        raise ValueError(f"'references' must be a list of texts, it is {json.dumps(photos)[:40]}.")
    if len(photos) > MOST_PHOTOS:
        raise ValueError(f"'references' names {len(photos)} photos; give at most {MOST_PHOTOS}.")
    return tuple(folder / photo for photo in photos)


def _check_file_name(name: str) -> str:
    """Make sure that `name` names a file in the output folder and nothing else."""
    if not _NAME.fullmatch(name) or name[-1] in " ." or len(name.encode()) > NAME_BYTES:
        raise ValueError(
            f"The name {json.dumps(name)[:60]} cannot be a file's; use up to 80 letters, digits, '-', '_' "
            "or '.', and no folder."
        )
    return name
