"""results.jsonl: what became of every request, kept so that an interrupted batch can go on.

While a batch runs, a line is added for every finished request, after its clip is whole; at the end the file
is written anew, in the order of the requests.
"""

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from iad.batch.lines import Line
from iad.media.video import write_whole

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Record:
    """One line of results.jsonl."""

    name: str | None  # None where the line of the request file is no request
    line: int
    status: str  # "ok" or "failed"
    output: str | None = None  # the clip, a file beside results.jsonl
    seed: int | None = None
    arm: str | None = None
    scores: dict[str, float | None] | None = None
    seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    digest: str | None = None  # of the request, its photos and the model

    def to_line(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"


class Results:
    """The records of one batch and their file."""

    def __init__(self, folder: Path):
        self.file = folder / RESULTS
        self.records: dict[int, Record] = {}  # by line
        self._before = _read(self.file)

    def recall(self, line: Line, digest: str) -> Record | None:
        """Return what an earlier run says of the same request, if its clip is there."""
        record = self._before.get(line.name)
        if record is None or (record.digest, record.output) != (digest, line.output):
            return None
        clip = self.file.parent / line.output
        return replace(record, line=line.number) if clip.is_file() and clip.stat().st_size else None

    def add(self, record: Record) -> None:
        """Enter a record and, on disk, add a line at the end."""
        self.records[record.line] = record
        with self.file.open("a", encoding="utf-8") as file:
            file.write(record.to_line())
            file.flush()
            os.fsync(file.fileno())

    def write(self) -> None:
        """Write the file anew, in the order of the requests."""
        lines = [self.records[line].to_line() for line in sorted(self.records)]
        write_whole(self.file, "".join(lines).encode())


def _read(file: Path) -> dict[str, Record]:
    """Read the records by name; a line that was cut short says nothing."""
    found = {}
    known = {key.name for key in fields(Record)}
    for line in file.read_bytes().splitlines() if file.is_file() else ():
        try:
            values = json.loads(line)
            record = Record(**values) if isinstance(values, dict) and set(values) <= known else None
        except (ValueError, TypeError, RecursionError):
            continue
        if record and isinstance(record.name, str):
            found[record.name] = record
    return found
