"""What a worker does: a request with the bytes of its photos -> the bytes of a clip.

Nothing is read from or written to a shared folder, so that a worker may stand on another machine.
"""

import math
import tempfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from iad.batch.requests import SMALL_KEYS, Request
from iad.config import is_full_size

SCORES = ("identity", "action", "detected")


@dataclass(frozen=True)
class Task:
    """A request with everything that another machine needs."""

    request: Request
    model: str
    photos: tuple[bytes, ...]
    driver: bytes | None
    device: str


@dataclass(frozen=True)
class Made:
    """What became of a task: a clip, or the sentence that says why there is none."""

    request: Request
    clip: bytes | None = None
    error: str | None = None
    seconds: float | None = None
    scores: dict[str, float | None] | None = None
    notes: list[str] = field(default_factory=list)


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
    return Made(task.request, error=" ".join(sentence.split()))


def _make(task: Task, folder: Path) -> Made:
    request = task.request
    photos = [
        _put(folder / f"{k}" / path.name, data)
        for k, (path, data) in enumerate(zip(request.references, task.photos, strict=True))
    ]
    driver = None
    if task.driver is not None:
        driver = _put(folder / "driver" / request.action_reference.name, task.driver)
    pipe = load(task.model, task.device)
    result = pipe(
        reference=photos[0] if len(photos) == 1 else photos,
        prompt=request.prompt,
        action_reference=driver,
        arm=request.arm,
        face=request.face,
        identity_scale=request.identity_scale,
        action_scale=request.action_scale,
        num_inference_steps=request.steps,
        seed=request.seed,
        **({} if is_full_size(task.model) else _list_dials(request)),
    )
    clip = result.save(folder / request.output).read_bytes()
    scores = mean_scores(result.scores)
    return Made(request, clip, seconds=round(result.seconds, 3), scores=scores, notes=list(result.notes))


def _list_dials(request: Request) -> dict[str, Any]:
    """Return what only small models are asked."""
    return {name: getattr(request, name) for name in ("detail_scale", *SMALL_KEYS)}


def _put(path: Path, data: bytes) -> Path:
    path.parent.mkdir()
    path.write_bytes(data)
    return path


def mean_scores(scores: dict[str, Any]) -> dict[str, float | None]:
    """Average what was scored; JSON has no NaN, so a score without a value is None."""
    means = {}
    for name in SCORES:
        values = scores.get(name)
        mean = math.nan if values is None else float(np.mean(values))
        means[name] = mean if math.isfinite(mean) else None
    return means
