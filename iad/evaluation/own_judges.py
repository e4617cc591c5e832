"""Our own judges of generated frames: who it is, by two recognisers, and what the face does, by a regressor.

They never take part in conditioning: other networks, trained apart from the face encoder with other losses
(see `iad.training.judges`). Frames are in the framing of `iad.faces`, 128 pixels.
"""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn

from iad import checkpoint
from iad.models.autoencoder import to_tensor
from iad.training.judges import FACE, HEAD, View, create_scorers, cut

BATCH = 64  # frames at once
SHIPPED = checkpoint.WEIGHTS / "mini"


class Scorers:
    """Two recognisers and an action regressor that read square uint8 frames; others raise a ValueError.

    Args:
        judges: the networks of `create_scorers`.
    """

    def __init__(self, judges: nn.ModuleDict):
        self.judges = judges.eval().requires_grad_(False)

    def embed(
        self, frames: UInt8[np.ndarray, "f h w 3"], which: Literal["arc", "cur"]
    ) -> Float32[np.ndarray, "f e"]:
        """Embed who each frame shows; rows have length one, so a dot product is a cosine."""
        return self._run(self.judges[which], frames, FACE)

    def track(self, frames: UInt8[np.ndarray, "f h w 3"]) -> Float32[np.ndarray, "f 60"]:
        """Read the action off each frame: 57 coefficients, then pitch, yaw and roll in degrees."""
        return self._run(self.judges["action"].track, frames, HEAD)

    def features(self, frames: UInt8[np.ndarray, "f h w 3"]) -> Float32[np.ndarray, "f d"]:
        """Return what the regressor's last layer reads, for a Frechet distance."""
        return self._run(self.judges["action"].features, frames, HEAD)

    @torch.inference_mode()
    def _run(self, network, frames: np.ndarray, view: View) -> np.ndarray:
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.dtype != np.uint8 or frames.shape[1:] != (frames.shape[1],) * 2 + (3,):
            raise ValueError(
                f"Judges look at square uint8 frames (f, h, h, 3), not {frames.dtype} {frames.shape}; "
                "cut the frames with iad.faces.crop first."
            )
        device = next(self.judges.parameters()).device
        seen: list[Tensor] = []
        for start in range(0, len(frames), BATCH):
            views = np.stack([cut(frame, view) for frame in frames[start : start + BATCH]])
            seen.append(network(to_tensor(views).to(device)).float().cpu())
        if not seen:
            raise ValueError("There is no frame to judge; hand over at least one.")
        return torch.cat(seen).numpy()


def load_scorers(folder: Path | None = None) -> Scorers:
    """Read the judges from a weights folder, by default the shipped one.

    Raises:
        ValueError: the folder holds no judges, or a weights file is missing or altered.
    """
    folder = SHIPPED if folder is None else Path(folder)
    judges = create_scorers(checkpoint.load_preset(folder))
    lacking = [name for name in judges if not checkpoint.has_part(folder, f"scorers-{name}")]
    if lacking:
        raise ValueError(
            f"{folder} holds no judges ({', '.join(lacking)}); train them with: python -m iad train scorers"
        )
    for name, judge in judges.items():
        judge.load_state_dict(checkpoint.load_part(folder, f"scorers-{name}"))
    return Scorers(judges)
