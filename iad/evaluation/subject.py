"""The model as the suite `real` sees it: the one place that knows how to ask it.

In come pictures and words; out come tracks that it reads, embeddings, and clips with the times of their
frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.performing.actions import COEFFICIENTS

PARTS = ("identity", "recognised", "action", "residual", "facial")  # those that a model has
SIZE = 256  # pixels of the clips: what the page makes
# What the model reads, under the judge's names; lids are read as how far they are shut.
_READ = {
    "mouth": ("jawOpen",),
    "lids": ("eyeBlink_L", "eyeBlink_R"),
    "smile": ("mouthSmile_L", "mouthSmile_R"),
    "brows": ("browInnerUp_L", "browInnerUp_R", "browOuterUp_L", "browOuterUp_R"),
    "yaw": ("yaw",),
    "pitch": ("pitch",),
}


@dataclass(frozen=True)
class Clip:
    """A clip, when its frames are shown (seconds), and what the model said of it."""

    frames: UInt8[np.ndarray, "f h w 3"]
    times: Float[np.ndarray, " f"]
    notes: list[str] = field(default_factory=list)

    def sample(self, count: int) -> "Clip":
        """Pick frames at even distances, at most `count`."""
        picks = np.unique(np.linspace(0, len(self.frames) - 1, count).round().astype(int))
        return Clip(self.frames[picks], self.times[picks], self.notes)


def attempt(work: Callable[..., Any], *given: Any, **options: Any) -> Any:
    """Ask the model; None where it refuses."""
    try:
        return work(*given, **options)
    except ValueError:
        return None


def name_columns(tracks: Float[np.ndarray, "f 60"]) -> dict[str, Float[np.ndarray, " f"]]:
    """Sum tracks up under the judge's names, with the judge's signs."""
    columns = {n: [COEFFICIENTS.index(c) for c in coefficients] for n, coefficients in _READ.items()}
    values = {name: tracks[:, picks].mean(1) for name, picks in columns.items()}
    return values | {"lids": -values["lids"]}


def measure_landmarks(landmarks: Float[np.ndarray, "f 68 2"]) -> dict[str, Float[np.ndarray, " f"]]:
    """Measure what the model's own landmarks show, as the judge measures its mesh."""
    eyes = landmarks[:, 36:48].reshape(-1, 2, 6, 2)
    unit = np.linalg.norm(eyes[:, 1].mean(1) - eyes[:, 0].mean(1), axis=-1)
    gap = np.linalg.norm(landmarks[:, 61:64] - landmarks[:, [67, 66, 65]], axis=-1).mean(1)
    lids = np.linalg.norm(eyes[:, :, 1:3] - eyes[:, :, [5, 4]], axis=-1).mean(-1)
    lids = (lids / np.linalg.norm(eyes[:, :, 0] - eyes[:, :, 3], axis=-1)).mean(1)
    width = np.linalg.norm(landmarks[:, 54] - landmarks[:, 48], axis=-1)
    lift = landmarks[:, 33, 1] - landmarks[:, [48, 54], 1].mean(1)
    return {"mouth": gap / unit, "lids": lids, "smile": (width + lift) / unit}


def animate(pipe: Any, reference: Any, prompt: str = "", **options: Any) -> Clip:
    """Make a clip.

    Raises:
        ValueError: the model refuses, in a sentence.
    """
    made = pipe(reference, prompt, **{"size": SIZE, "seed": 0} | options)
    return Clip(made.frames, np.arange(len(made.frames)) / made.fps, list(made.notes))


def embed(pipe: Any, photo: UInt8[np.ndarray, "h w 3"]) -> dict[str, Float[np.ndarray, " d"]]:
    """Split a face; parts by name.

    Raises:
        ValueError: the model finds no face.
    """
    face = pipe.decouple(photo)
    parts = {name: getattr(face, name, None) for name in PARTS}
    return {name: part for name, part in parts.items() if part is not None and np.any(part)}


def match(pipe: Any, photo: UInt8[np.ndarray, "h w 3"], prompts: Sequence[str]) -> list[float]:
    """Say how well each prompt says what a face does, in the prompts' order."""
    found = dict(pipe.match_actions(pipe.decouple(photo), list(prompts)))
    return [found[prompt] for prompt in prompts]
