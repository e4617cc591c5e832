"""A found face -> what a visitor should know about it, each doubt a sentence."""

import numpy as np
from jaxtyping import Float, Float32

from iad.faces.framing import Box, from_unit

SOFT = 64  # pixels of a face's width below which a clip is soft
DOUBTFUL = 0.8  # of the detector's score
FOREHEAD, CHIN = (
    0.2,
    0.93,
)  # heights of hairline and chin in the unit square, 5 % of the square beyond it is told
PROFILE = 0.2  # where the nose lies between the outer corners of the eyes: 0.5 is straight ahead


def list_doubts(
    box: Box,
    landmarks: Float32[np.ndarray, "68 2"],
    affine: Float[np.ndarray, "2 3"],
    *,
    size: tuple[int, int],
    gain: float,
) -> tuple[str, ...]:
    """Write the notes.

    Args:
        box: what the detector found.
        landmarks: of this face, in the photo's pixels.
        affine: its framing.
        size: width and height of the photo.
        gain: how much it was brightened.
    """
    notes = [_tell_turn(box.angle), _tell_cut(affine, size)]
    if box.score < DOUBTFUL:
        notes.append("This may not be a face: the detector is not sure. A sharper, more frontal photo helps.")
    if box.width < SOFT:
        notes.append(f"The face is only {box.width:.0f} pixels wide: the clip will be soft.")
    if gain > 1:
        notes.append("The photo is very dark; it was brightened.")
    if _reads_profile(landmarks):
        notes.append("The face is turned far to the side: the hidden half is made up.")
    return tuple(note for note in notes if note)


def _tell_turn(angle: float) -> str:
    quarters = round(angle / 90) % 4
    if quarters:
        degrees = {1: 90, 2: 180, 3: 270}[quarters]
        return f"The face was found only after turning the photo: it lies {degrees} degrees clockwise."
    if abs(angle) > 35:
        return f"The head is tilted by {abs(angle):.0f} degrees, and keeps that pose."
    return ""


def _tell_cut(affine: Float[np.ndarray, "2 3"], size: tuple[int, int]) -> str:
    """Name the parts of the face that the photo's edge cuts off."""
    places = {
        "forehead": (0.5, FOREHEAD),
        "chin": (0.5, CHIN),
        "left side": (0.2, 0.55),
        "right side": (0.8, 0.55),
    }
    points = from_unit(np.array(list(places.values())), affine)
    outside = np.any((points < -0.5) | (points > np.array(size) - 0.5), axis=1)
    cut = [name for name, lost in zip(places, outside, strict=True) if lost]
    return (
        f"The photo's edge cuts off the {' and the '.join(cut)}: what is missing is made up." if cut else ""
    )


def _reads_profile(landmarks: Float32[np.ndarray, "68 2"]) -> bool:
    across = landmarks[45] - landmarks[36]
    place = (landmarks[30] - landmarks[36]) @ across / max(float(across @ across), 1e-6)
    return not PROFILE < place < 1 - PROFILE
