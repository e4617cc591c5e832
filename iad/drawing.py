"""Fitted photo + track -> frames: geometry draws with the photo's pixels, the denoiser's frames lie under it.

What the photo does not show, beyond its edge say, is the denoiser's; the share of pixels that come from the
photo, the denoiser and paint is told with the frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.config import EXPRESSIONS
from iad.faces import Face
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.composite import PAINTED
from iad.geometry.fit import WORST_FIT
from iad.geometry.head import Head
from iad.photos import brighten

TURN = np.float32([20.0, 24.0, 20.0])  # degrees that a head is turned from where the photo has it, at most
PART = 12  # frames between two calls of a callback, which may cancel
NOT_FITTED = (
    "The face could not be fitted (its landmarks lie {error:.0%} of the eye distance off), so the clip is "
    "what the embeddings alone carry; a frontal, sharp photo gives more."
)
HIDDEN = "Something covers the {what} in the photo; it stays covered and moves with the head only."


@dataclass(frozen=True)
class Picture:
    """Frames, and shares of their pixels from "photo", "denoiser" and "paint", which add up to one."""

    frames: UInt8[np.ndarray, "f s s 3"]
    made_of: dict[str, float]


def fit_photo(
    geometry: Head, photo: UInt8[np.ndarray, "_ _ 3"], face: Face
) -> tuple[AnimatedPhoto | None, list[str]]:
    """Fit the head to a face of a photo; None where it does not fit, with a note."""
    covered = face.covered - {"nose"}
    fitted = AnimatedPhoto(geometry, brighten(photo, face.gain), face.landmarks, covered=covered)
    if fitted.error > WORST_FIT:
        return None, [NOT_FITTED.format(error=fitted.error)]
    return fitted, [HIDDEN.format(what=name) for name in sorted(covered)]


def draw(
    photo: AnimatedPhoto,
    track: Float[np.ndarray, "f 60"],
    *,
    size: int,
    under: UInt8[np.ndarray, "f h w 3"] | None = None,
    share: float = 1.0,
    callback: Callable[[int, int], None] | None = None,
) -> Picture:
    """Draw a track.

    Args:
        photo: fitted.
        track: absolute weights and degrees, one row a frame.
        size: pixels a side.
        under: the denoiser's frames, as many as the track's; needed where `share` is below 1.
        share: how much of the photo's picture counts, 0 to 1.
        callback: called with (part, parts) after each part of the clip.
    """
    own = photo.own_track[EXPRESSIONS:]
    track = track.copy()
    track[:, EXPRESSIONS:] = own + np.clip(track[:, EXPRESSIONS:] - own, -TURN, TURN)
    parts, frames, painted = range(0, len(track), PART), [], 0
    for number, start in enumerate(parts):
        drawn = photo.render(track[start : start + PART], size=size)
        frames.append(drawn.frames)
        painted += int((drawn.source == PAINTED).sum())
        if callback:
            callback(number + 1, len(parts))
    top = np.concatenate(frames)
    painted = painted / (len(track) * size**2)
    made_of = {"photo": share * (1 - painted), "denoiser": 1 - share, "paint": share * painted}
    if share == 1 or under is None:
        return Picture(top, made_of)
    low = enlarge(under, size)
    mixed = [cv2.addWeighted(a, share, b, 1 - share, 0) for a, b in zip(top, low, strict=True)]
    return Picture(np.stack(mixed), made_of)


def enlarge(frames: UInt8[np.ndarray, "f h w 3"], size: int) -> UInt8[np.ndarray, "f s s 3"]:
    """Enlarge or shrink frames, smoothly."""
    if frames.shape[1] == size:
        return frames
    way = cv2.INTER_CUBIC if size > frames.shape[1] else cv2.INTER_AREA
    return np.stack([cv2.resize(frame, (size, size), interpolation=way) for frame in frames])


def retime(
    frames: UInt8[np.ndarray, "n h w 3"], *, fps: float, count: int, at: float
) -> UInt8[np.ndarray, "f h w 3"]:
    """Show frames of rate `fps` as `count` frames of rate `at`, blending neighbours."""
    place = np.clip(np.arange(count) / at * fps, 0, len(frames) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(frames) - 1)
    return np.stack([
        cv2.addWeighted(frames[a], 1 - part, frames[b], part, 0)
        for a, b, part in zip(low, high, place - low, strict=True)
    ])  # fmt: skip
