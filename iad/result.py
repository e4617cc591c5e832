"""What the pipeline gives back: a clip with its scores, or one face in three parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.media.video import save

SHEET = 16  # frames of a contact sheet


@dataclass(frozen=True)
class DecoupledFace:
    """A face in three parts, relative to the average face; `facial == identity + action + residual`.

    Shares are of |identity|^2 + |action|^2 + |residual|^2. The code says what the face does: a track's 60
    numbers in units, or the decoupler's own code where a model reads no track.
    """

    facial: Float[np.ndarray, " d"]
    identity: Float[np.ndarray, " d"]
    action: Float[np.ndarray, " d"]
    residual: Float[np.ndarray, " d"]
    code: Float[np.ndarray, " c"]
    identity_share: float
    action_share: float
    residual_share: float
    box: tuple[int, int, int, int]  # left, top, right, bottom in the photo
    crop: UInt8[np.ndarray, "h w 3"]
    count: int  # faces in the photo
    recognised: Float[np.ndarray, " r"] | None = None  # the part of identity that the recogniser alone gives


@dataclass(frozen=True)
class Result:
    """A clip and what is known of it."""

    frames: UInt8[np.ndarray, "f h w 3"]
    fps: float
    seed: int
    seconds: float
    # Of `iad.models.scoring`, measured when they are first looked at: identity (f,), likeness of each frame
    # by the recogniser; action, how well the frames do what was asked (NaN where nothing was understood);
    # judge, whose word that is (None likewise);
    # copied, how well they do what the photo does; detected, share of the judged frames with a face.
    # identity_share, action_share, residual_share: of the photo's embedding.
    scores: Mapping  # by name; a check of its values would measure them
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    made_of: dict[str, float] = field(default_factory=dict)  # shares of pixels: photo, denoiser, paint

    def save(self, path: str | Path, *, scale: int = 1, label: bool = False) -> Path:
        """Write .mp4, .gif, or a contact sheet .png; the file says that it is AI-generated.

        Args:
            path: the suffix decides the format.
            scale: enlarge by this factor for viewing.
            label: draw a small "AI-generated" into a corner of every frame.
        """
        frames, fps = self.frames, self.fps
        if Path(path).suffix.lower() == ".png" and len(frames) > SHEET:
            frames = frames[np.linspace(0, len(frames) - 1, SHEET).round().astype(int)]
        return save(path, frames, fps, metadata=self.settings, scale=scale, label=label)
