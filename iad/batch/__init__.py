"""A file of requests -> a folder of clips, over processes or a Ray cluster; an interrupted batch goes on.

In comes a JSONL file, one request a line; out come clips and, beside them, results.jsonl, one line a request.
A bad line or a request that fails is reported while the rest goes on.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iad.batch.lines import MOST_VIDEO_BYTES, BadLine, Line, read_file, read_requests
from iad.batch.making import Made, Task, load, make
from iad.batch.results import RESULTS, Record, Results
from iad.checks import check_apart
from iad.config import is_full_size
from iad.media.photos import MOST_BYTES
from iad.media.video import check_folder, write_whole
from iad.request import SETTINGS, as_key, find_longest
from iad.spread import spread


@dataclass(frozen=True)
class Summary:
    """How a batch ended."""

    results: Path
    requests: int
    made: int
    skipped: int  # made by an earlier run
    failed: int
    seconds: float


def run(
    requests: str | Path,
    *,
    output: str | Path,
    model: str = "mini",
    workers: int = 1,
    device: str = "auto",
    ray: str | None = None,
    tell: Callable[[str], None] = lambda sentence: None,
    callback: Callable[[int, int], None] = lambda done, total: None,
) -> Summary:
    """Make every clip that a request file asks for and that an earlier run has not made.

    Args:
        requests: a JSONL file.
        output: the folder for clips and results.jsonl.
        model: a preset or a folder of weights, the same for all requests.
        workers: how many processes.
        device: where they compute: "cpu", "cuda" or "mps"; "auto" is CUDA where a process finds one.
        ray: "local", "auto" or the address of a Ray cluster; its machines need this project and the weights,
            but neither the photos nor the output folder.
        tell: called with a sentence for every line that fails.
        callback: called with (requests done, requests).

    Raises:
        FileNotFoundError: there is no request file.
        ValueError: the file holds no request, the output folder takes no files, or the model does not load.
        OSError: every worker died.
    """
    begun = time.perf_counter()
    lines = read_requests(requests, duration=find_longest(model))
    check_apart(Path(output) / RESULTS, [requests])
    results = Results(check_folder(output))
    todo = _sort_out(_refuse_inputs(lines, Path(output), requests), results, model)
    skipped = sum(record.status == "ok" for record in results.records.values())
    results.write()
    callback(len(results.records), len(lines))
    for record in results.records.values():
        _report(record, tell)
    try:
        tasks, start = _Tasks(todo, model, device), partial(load, model, device)
        with closing(spread(tasks, make, workers=workers, start=start, ray=ray)) as all_made:
            for made in all_made:
                record = _keep(made, results.file.parent, todo[made.line])
                results.add(record)
                _report(record, tell)
                callback(len(results.records), len(lines))
    finally:
        results.write()
    failed = sum(record.status != "ok" for record in results.records.values())
    made = len(lines) - skipped - failed
    return Summary(results.file, len(lines), made, skipped, failed, time.perf_counter() - begun)


def _refuse_inputs(lines: list[Line | BadLine], folder: Path, requests: str | Path) -> list[Line | BadLine]:
    """Refuse the requests whose clip would lie where a photo or a driver of any request lies."""
    good = [line.request for line in lines if isinstance(line, Line)]
    inputs = {photo for request in good for photo in request.references} | {Path(requests)}
    inputs |= {request.action_reference for request in good if request.action_reference}
    present = {file for file in inputs if file.is_file()}
    kept: list[Line | BadLine] = []
    for line in lines:
        if isinstance(line, Line) and (folder / line.output).exists():
            try:
                check_apart(folder / line.output, present)
            except ValueError as error:
                line = BadLine(line.number, str(error), line.name)
        kept.append(line)
    return kept


def _sort_out(lines: list[Line | BadLine], results: Results, model: str) -> dict[Line, str]:
    """Enter what needs no work, and return the requests that do, with their digests."""
    todo, digests, small = {}, _Digests(model), not is_full_size(model)
    for line in lines:
        if isinstance(line, Line):
            try:
                line.request.check_for(small=small, name=as_key)
                digest = digests.of(line)
            except (ValueError, OSError) as error:
                line = BadLine(line.number, str(error), line.name)
        if isinstance(line, BadLine):
            results.records[line.number] = Record(line.name, line.number, "failed", error=line.error)
        elif record := results.recall(line, digest):
            results.records[line.number] = record
        else:
            todo[line] = digest
    return todo


def _keep(made: Made, folder: Path, digest: str) -> Record:
    line, request = made.line, made.line.request
    known = {"seed": request.seed, "arm": request.arm, "digest": digest} | made.outcome
    if made.clip is None:
        return Record(line.name, line.number, "failed", **known)
    write_whole(folder / line.output, made.clip)
    return Record(line.name, line.number, "ok", line.output, **known)


def _report(record: Record, tell: Callable[[str], None]) -> None:
    if record.status != "ok":
        tell(f"Line {record.line}: {record.error}")


class _Tasks(Sequence):
    """Tasks that read their photos when they are asked for, so that not all lie in memory."""

    def __init__(self, lines: dict[Line, str], model: str, device: str):
        self.lines, self.model, self.device = list(lines), model, device

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, number: int) -> Task:
        line = self.lines[number]
        driver = line.request.action_reference
        return Task(
            line,
            self.model,
            tuple(read_file(photo, MOST_BYTES) for photo in line.request.references),
            None if driver is None else read_file(driver, MOST_VIDEO_BYTES),
            self.device,
        )


class _Digests:
    """Tells whether a request is the same as before: its words, the content of its photos, the model."""

    def __init__(self, model: str):
        shipped = Path(__file__).parents[1] / "weights" / model / "manifest.json"
        manifest = shipped if shipped.is_file() else Path(model) / "manifest.json"
        self.weights = _digest(manifest.read_bytes()) if manifest.is_file() else None
        self.model = model
        self.files: dict[Path, str] = {}

    def of(self, line: Line) -> str:
        """Digest one request, by what it does not leave to the model."""
        request, words = line.request, {"name": line.name, "format": line.format, "model": self.model}
        asked = {key: getattr(request, key) for key in SETTINGS}
        words |= {key: value for key, value in asked.items() if value != SETTINGS[key].default}
        words |= {"weights": self.weights, "photos": [self._file(p, MOST_BYTES) for p in request.references]}
        if request.action_reference:
            words["action_reference"] = self._file(request.action_reference, MOST_VIDEO_BYTES)
        return _digest(json.dumps(words, sort_keys=True).encode())

    def _file(self, path: Path, most: int) -> str:
        if path not in self.files:
            self.files[path] = _digest(read_file(path, most))
        return self.files[path]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
