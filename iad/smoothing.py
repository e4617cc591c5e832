"""Frames between frames, by optical flow: 8 frames a second become 24 without another run of the model.

In come uint8 frames (f, h, w, 3), out come more of them; the given frames stay as they are. What happens
between two frames is guessed from how their pixels moved, so a blink shorter than a frame stays unseen.
"""

import cv2
import numpy as np
from einops import rearrange
from jaxtyping import Float32, UInt8


def interpolate(frames: UInt8[np.ndarray, "f h w 3"], factor: int) -> UInt8[np.ndarray, "n h w 3"]:
    """Put `factor` - 1 frames between every two; n = (f - 1) * factor + 1.

    Raises:
        ValueError: a factor below 1.
    """
    if factor < 1:
        raise ValueError(f"The factor is {factor}; give 1 for no frames between, or more.")
    smooth = [frames[:1]]
    for first, second in zip(frames[:-1], frames[1:], strict=True):
        smooth += [_between(first, second, factor), second[None]]
    return np.concatenate(smooth)


def _between(
    first: UInt8[np.ndarray, "h w 3"], second: UInt8[np.ndarray, "h w 3"], factor: int
) -> UInt8[np.ndarray, "k h w 3"]:
    forth, back = _flow(first, second), _flow(second, first)
    made = [np.empty((0, *first.shape), np.uint8)]
    for k in range(1, factor):
        t = k / factor
        # Seen from a moment in between, what comes was at t of its way, what goes has 1 - t before it.
        pulled = _pull(first, -t * forth) * (1 - t) + _pull(second, -(1 - t) * back) * t
        made.append(np.rint(pulled).clip(0, 255).astype(np.uint8)[None])
    return np.concatenate(made)


def _flow(
    first: UInt8[np.ndarray, "h w 3"], second: UInt8[np.ndarray, "h w 3"]
) -> Float32[np.ndarray, "h w 2"]:
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (first, second)]
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(*grey, None)


def _pull(
    picture: UInt8[np.ndarray, "h w 3"], flow: Float32[np.ndarray, "h w 2"]
) -> Float32[np.ndarray, "h w 3"]:
    height, width = picture.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    x, y = rearrange(grid + flow, "h w c -> c h w").astype(np.float32)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
