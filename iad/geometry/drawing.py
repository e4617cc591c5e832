"""Fitted photo + track -> frames: geometry draws with the photo's pixels, the denoiser's frames lie under it.

What the photo does not show, beyond its edge say, is the denoiser's; the share of pixels that come from the
photo, the denoiser and paint is told with the frames.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.config import EXPRESSIONS
from iad.faces import Face, wears_glasses
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.coefficients import COEFFICIENTS, COLUMN, COLUMNS, GAZE
from iad.geometry.fit import WORST_FIT
from iad.geometry.head import Head
from iad.geometry.refining import Refiner, Repair
from iad.geometry.renderer import PAINTED
from iad.media.photos import brighten

TURN = np.float32([20.0, 24.0, 20.0])  # degrees that a head is turned from where the photo has it, at most
FARTHEST = np.float32([26.0, 34.0, 45.0])  # degrees from frontal, unless the photo itself is beyond
SMILE = COLUMNS["mouthSmile"]
JAW = COLUMN["jawOpen"]
LOWER_FACE = [k for k, name in enumerate(COEFFICIENTS) if name.startswith(("jaw", "mouth", "cheekSquint"))]
BROWS = list(zip(COLUMNS["browInnerUp"], COLUMNS["browOuterUp"], strict=True))
BROWS_UP = 1.4  # both weights of a brow together; beyond, the shade of the sockets is drawn out into smears
# Seen from the front the head's own cheeks hardly swell, and its jaw hardly slides.
STRONGER = np.ones(60, np.float32)
STRONGER[COLUMNS["cheekPuff"]] = 2.0
STRONGER[[COLUMN["jawLeft"], COLUMN["jawRight"]]] = 1.6
SIDEWAYS = [COLUMN["mouthLeft"], COLUMN["mouthRight"]]
NARROWER = 0.4  # of both at once in a full pucker: the head narrows a mouth by a fifth, people by a third
OWN_SMILE = 0.3  # weight from which on a photo's smile is the person's own
PART = 12  # frames between two calls of a callback, which may cancel
NOT_FITTED = (
    "The face could not be fitted (its landmarks lie {error:.0%} of the eye distance off), so the clip is "
    "what the embeddings alone carry; a frontal, sharp photo gives more."
)
HIDDEN = "Something covers the {what} in the photo; it stays covered and moves with the head only."
GLASSES = "Glasses were seen in the photo: they keep their shape, so the skin behind them moves little."


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
    photo = brighten(photo, face.gain)
    glasses = ["glasses"] if wears_glasses(photo, face.landmarks) else []
    fitted = AnimatedPhoto(geometry, photo, face.landmarks, covered=covered.union(glasses))
    if fitted.error > WORST_FIT:
        return None, [NOT_FITTED.format(error=fitted.error)]
    return fitted, [HIDDEN.format(what=name) for name in sorted(covered)] + [GLASSES for _ in glasses]


def adapt(
    photo: AnimatedPhoto, track: Float[np.ndarray, "f 60"], *, relative: bool = True
) -> Float[np.ndarray, "f 60"]:
    """Let this person perform a track: from the head's own pose, and smiling as the photo shows.

    A photo shows one side of a head, and turning it straight uncovers the other; so what says nothing of the
    pose keeps it. And a smile on the photo, with its own teeth, is truer than any that is made of weights: it
    is taken as it is, after what the head's shapes do too much or too little of was put right.

    Args:
        photo: fitted.
        track: weights and degrees, one row a frame.
        relative: whether the track's pose is about the photo's own, else as it stands.
    """
    own, track = photo.own_track, track * STRONGER
    for inner, outer in BROWS:
        raised = track[:, [inner, outer]].sum(axis=1, keepdims=True)
        track[:, [inner, outer]] *= BROWS_UP / np.maximum(raised, BROWS_UP)
    track[:, SIDEWAYS] += NARROWER * track[:, [COLUMN["mouthPucker"]]]
    smile = own[SMILE].mean()
    if smile > OWN_SMILE:
        share = np.clip(track[:, SMILE].mean(axis=1) / smile, 0, 1)[:, None]
        opened = np.maximum(track[:, JAW], own[JAW])  # laughter opens it further
        track[:, LOWER_FACE] += share * (own[LOWER_FACE] - track[:, LOWER_FACE])
        track[:, JAW] += share[:, 0] * (opened - track[:, JAW])
    pose = track[:, EXPRESSIONS:]
    if relative:
        pose = pose + own[EXPRESSIONS:]
        for one, other in GAZE:
            gaze = track[:, one] - track[:, other] + own[one] - own[other]
            track[:, one], track[:, other] = gaze.clip(0, 1), (-gaze).clip(0, 1)
    reach = np.maximum(FARTHEST, np.abs(own[EXPRESSIONS:]))
    pose = own[EXPRESSIONS:] + np.clip(pose - own[EXPRESSIONS:], -TURN, TURN)
    track[:, EXPRESSIONS:] = np.clip(pose, -reach, reach)
    return track


def draw(
    photo: AnimatedPhoto,
    track: Float[np.ndarray, "f 60"],
    *,
    size: int,
    under: UInt8[np.ndarray, "f h w 3"] | None = None,
    share: float = 1.0,
    refiner: Refiner | None = None,
    callback: Callable[[int, int], None] | None = None,
) -> Picture:
    """Draw a track.

    Args:
        photo: fitted.
        track: absolute weights and degrees, one row a frame, from `adapt`.
        size: pixels a side.
        under: the denoiser's frames, as many as the track's; needed where `share` is below 1.
        share: how much of the photo's picture counts, 0 to 1.
        refiner: what repairs the mouth.
        callback: called with (part, parts) after each part of the clip.
    """
    parts, painted = range(0, len(track), PART), 0
    frames = np.empty((len(track), size, size, 3), np.uint8)
    repair = None if refiner is None else Repair(refiner, photo)
    with closing(photo.render_parts(track, part=PART, size=size)) as drawing:
        for number, (start, drawn) in enumerate(zip(parts, drawing, strict=True)):
            part = slice(start, start + PART)
            frames[part] = drawn.frames if repair is None else repair(drawn, track[part])
            painted += int((drawn.source == PAINTED).sum())
            if callback:
                callback(number + 1, len(parts))
    painted = painted / (len(track) * size**2)
    made_of = {"photo": share * (1 - painted), "denoiser": 1 - share, "paint": share * painted}
    if share == 1 or under is None:
        return Picture(frames, made_of)
    for top, low in zip(frames, enlarge(under, size), strict=True):
        cv2.addWeighted(top, share, low, 1 - share, 0, dst=top)
    return Picture(frames, made_of)


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
