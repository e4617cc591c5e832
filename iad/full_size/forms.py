"""What a clip of a full-size model can be: frames and sides, checked before any work begins."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import UInt8

from iad.faces import Face
from iad.request import Request

FRAME_GROUP = 8  # CogVideoX makes 8k + 1 frames; of another number it silently makes fewer or more
SIDE_STEP = 16  # pixels of a patch: 8 a latent, 2 latents a patch
GROUP_MARGIN = 0.5  # of a face's box, around it


@dataclass(frozen=True)
class RequestDefaults:
    """What a system makes when the caller does not say, by the names of `Request`."""

    num_frames: int
    height: int
    width: int
    fps: int
    num_inference_steps: int
    guidance_scale: float

    def complete(self, request: Request) -> Request:
        """Fill in what a request leaves to the system."""
        return replace(request, **{k: v for k, v in asdict(self).items() if getattr(request, k) is None})


def to_diffusers(
    request: Request, callback: Callable[[int, int], None] | None, *, prompt: str | None = None
) -> dict[str, Any]:
    """Return what every video pipeline of diffusers takes; the CPU draws the noise, the same everywhere.

    Args:
        prompt: how this model wants it to be said; None as it was asked.
    """
    import torch

    names = ("num_frames", "height", "width", "num_inference_steps", "guidance_scale")

    def tell(_pipeline: Any, step: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        callback(step + 1, request.num_inference_steps)
        return tensors

    return {name: getattr(request, name) for name in names} | {
        "prompt": prompt or request.prompt,
        "generator": torch.Generator().manual_seed(request.seed),
        "callback_on_step_end": tell if callback else None,
    }


def check_frames(frames: int, *, most: int) -> None:
    """Refuse a number of frames that CogVideoX cannot make.

    Raises:
        ValueError: not 8k + 1, or more than `most`; the message names the nearest number that it can make.
    """
    if frames > most or frames < 1 or (frames - 1) % FRAME_GROUP:
        near = min(max(round((frames - 1) / FRAME_GROUP) * FRAME_GROUP + 1, 1), most)
        raise ValueError(f"num_frames is {frames}; this model makes 8k + 1 frames up to {most}, try {near}.")


def check_sides(height: int, width: int, *, step: int = SIDE_STEP) -> None:
    """Refuse sides that a model cannot make.

    Raises:
        ValueError: not positive multiples of `step` pixels; the message names the nearest.
    """
    for name, side in (("height", height), ("width", width)):
        if side < step or side % step:
            near = max(step, round(side / step) * step)
            raise ValueError(f"The {name} is {side} pixels; give a multiple of {step}, try {near}.")


def single_out(photo: UInt8[np.ndarray, "h w 3"], face: Face) -> UInt8[np.ndarray, "h2 w2 3"]:
    """Cut the chosen face out of a group, for the published systems take the largest they find."""
    if face.count == 1:
        return photo
    left, top, right, bottom = face.box
    margin = round(GROUP_MARGIN * max(right - left, bottom - top))
    rows = slice(max(0, top - margin), bottom + margin)
    return photo[rows, max(0, left - margin) : right + margin]
