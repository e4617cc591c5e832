"""What the pipeline gives back: a clip with its scores, or one face in two parts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.video import save


@dataclass(frozen=True)
class DecoupledFace:
    """A face split into identity and action, relative to the average face; `facial == identity + action`."""

    facial: Float[np.ndarray, " d"]
    identity: Float[np.ndarray, " d"]
    action: Float[np.ndarray, " d"]
    identity_share: float
    action_share: float
    box: tuple[int, int, int, int]  # left, top, right, bottom in the photo
    crop: UInt8[np.ndarray, "h w 3"]
    count: int  # faces in the photo


@dataclass(frozen=True)
class Result:
    """A clip and what is known of it."""

    frames: UInt8[np.ndarray, "f h w 3"]
    fps: int
    seed: int
    seconds: float
    scores: dict[str, Any]  # identity (f,), action, detected
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def save(self, path: str | Path, *, scale: int = 1) -> Path:
        """Write .mp4, .gif, or a contact sheet .png; the file says that it is AI-generated."""
        return save(path, self.frames, self.fps, metadata=self.settings, scale=scale)
