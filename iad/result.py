"""What the pipeline gives back: a clip with its scores, or one face in two parts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.smoothing import interpolate
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
    # Cosines of the model's own embeddings: identity (f,) of each frame and the photo, action of frames and
    # prompt, copied of the frames' action and the photo's own. detected: share of frames with a face.
    # identity_share, action_share: of the photo's embedding.
    scores: dict[str, Any]
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)

    def save(self, path: str | Path, *, scale: int = 1, smooth: int = 1, label: bool = False) -> Path:
        """Write .mp4, .gif, or a contact sheet .png; the file says that it is AI-generated.

        Args:
            path: the suffix decides the format.
            scale: enlarge by this factor for viewing.
            smooth: show so many times the frames a second, those between guessed from how the pixels moved; a
                contact sheet shows the model's own frames.
            label: draw a small "AI-generated" into a corner of every frame.
        """
        smooth = 1 if Path(path).suffix.lower() == ".png" else smooth
        frames, settings = interpolate(self.frames, smooth), self.settings | {"smooth": smooth}
        return save(path, frames, self.fps * smooth, metadata=settings, scale=scale, label=label)
