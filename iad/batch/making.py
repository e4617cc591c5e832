"""What a worker does: a request with the bytes of its photos -> the bytes of a clip.

Nothing is read from or written to a shared folder, so that a worker may stand on another machine.
"""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from iad.batch.lines import Line

SCORES = ("identity", "action", "detected")


@dataclass(frozen=True)
class Task:
    """A request with everything that another machine needs."""

    line: Line
    model: str
    photos: tuple[bytes, ...]
    driver: bytes | None
    device: str


@dataclass(frozen=True)
class Made:
    """What became of a task: what `Record` says of it, and a clip where there is one."""

    line: Line
    outcome: dict[str, Any]  # seconds, scores, notes; or error
    clip: bytes | None = None


@lru_cache(maxsize=1)
def load(model: str, device: str) -> Any:
    """Load the pipeline, once a process."""
    from iad import IaDPipeline

    return IaDPipeline.from_pretrained(model, device=device)


def make(task: Task) -> Made:
    """Make one clip; an error becomes a sentence."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _make(task, Path(folder))
    except (ValueError, OSError) as error:
        sentence = str(error)
    except Exception as error:  # a fault of ours must not stop the other requests
        sentence = f"{type(error).__name__}: {error}"
    return Made(task.line, {"error": " ".join(sentence.split())})


def _make(task: Task, folder: Path) -> Made:
    request = task.line.request
    photos = [
        _put(folder / f"{k}" / path.name, data)
        for k, (path, data) in enumerate(zip(request.references, task.photos, strict=True))
    ]
    driver = None
    if task.driver is not None:
        driver = _put(folder / "driver" / request.action_reference.name, task.driver)
    pipe = load(task.model, task.device)
    result = pipe.generate(replace(request, reference=photos, action_reference=driver))
    clip = result.save(folder / task.line.output).read_bytes()
    outcome = {"scores": mean_scores(result.scores), "notes": list(result.notes)}
    return Made(task.line, outcome | {"seconds": round(result.seconds, 3)}, clip)


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir()
    path.write_bytes(data)
    return path


def mean_scores(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Average what was scored; JSON has no NaN, so a score without a value is None."""
    means = {}
    for name in SCORES:
        values = scores.get(name)
        mean = math.nan if values is None else float(np.mean(values))
        means[name] = mean if math.isfinite(mean) else None
    return means
