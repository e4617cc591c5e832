"""What a full-size model is asked for: frames, sides and steps, checked before any work begins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from iad.faces import Face

FRAME_GROUP = 8  # CogVideoX makes 8k + 1 frames; of another number it silently makes fewer or more
SIDE_STEP = 16  # pixels of a patch: 8 a latent, 2 latents a patch
GROUP_MARGIN = 0.5  # of a face's box, around it


@dataclass(frozen=True)
class RequestDefaults:
    """What a system makes when the caller does not say."""

    frames: int
    height: int
    width: int
    fps: int
    steps: int
    guidance_scale: float


@runtime_checkable
class RealBaseline(Protocol):
    """A published system that takes the same request as IaD."""

    defaults: RequestDefaults

    def generate(
        self,
        photos: list[UInt8[np.ndarray, "_ _ 3"]],
        prompt: str,
        *,
        frames: int,
        height: int,
        width: int,
        steps: int,
        guidance_scale: float,
        seed: int,
        callback: Callable[[int, int], None] | None = None,
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """Make a clip of the person in the photos; same seed, same machine, same frames."""
        ...


def tell_steps(callback: Callable[[int, int], None] | None, steps: int) -> Callable | None:
    """Turn a callback that is told (step, total) into one as diffusers' pipelines want it."""

    def tell(_pipeline: Any, step: int, _timestep: Any, kept: dict[str, Any]) -> dict[str, Any]:
        callback(step + 1, steps)
        return kept

    return tell if callback else None


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
