"""Photo -> one aligned face, with every doubt in a sentence; from there it is followed through a video."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, UInt8

from iad.faces.detectors import detect_frontal
from iad.faces.framing import (
    CROP_SIZE,
    Box,
    alignment,
    box_in,
    crop,
    frame_box,
    from_unit,
    to_unit,
)
from iad.faces.searching import detect_faces
from iad.media.photos import brighten, gain_for, luminance

# Mean of 1,088 portraits' landmarks in the unit square of their own framing, made symmetric; in thousandths.
MEAN_FACE = np.array((
    (235, 482), (238, 552), (248, 622), (262, 691), (286, 756), (325, 814), (375, 862), (433, 898),
    (500, 908), (567, 898), (625, 862), (675, 814), (714, 756), (738, 691), (752, 622), (762, 552),
    (765, 482), (281, 424), (315, 392), (363, 383), (413, 390), (461, 409), (539, 409), (587, 390),
    (637, 383), (685, 392), (719, 424), (500, 465), (500, 512), (500, 559), (500, 608), (445, 643),
    (471, 652), (500, 659), (529, 652), (555, 643), (332, 474), (361, 456), (397, 456), (428, 481),
    (394, 487), (359, 487), (572, 481), (603, 456), (639, 456), (668, 474), (641, 487), (606, 487),
    (397, 739), (435, 719), (472, 708), (500, 715), (528, 708), (565, 719), (603, 739), (566, 769),
    (530, 783), (500, 786), (470, 783), (434, 769), (414, 740), (472, 735), (500, 738), (528, 735),
    (586, 740), (528, 744), (500, 747), (472, 744),
)) / 1000  # fmt: skip
EYE_DISTANCE = 0.25  # in the framing


def distance_to_face(landmarks: Float[np.ndarray, "68 2"]) -> float:
    """Return how far landmarks are from the mean face that fits them best, r.m.s. in eye distances.

    Portraits are 0.08 away (99 of 100 less than 0.22), scattered points 2 and more. Place, size and roll do
    not count.
    """
    mean = _as_complex(MEAN_FACE)
    seen = _as_complex(landmarks)
    turn = np.vdot(mean, seen) / np.vdot(mean, mean)  # a similarity is a complex factor
    if abs(turn) < 1e-9:
        return float("inf")
    rest = np.sqrt(np.mean(np.abs(seen - turn * mean) ** 2))
    return float(rest / abs(turn) / EYE_DISTANCE)


def _as_complex(points: Float[np.ndarray, "68 2"]) -> np.ndarray:
    points = points - points.mean(axis=0)
    return points[:, 0] + 1j * points[:, 1]


SOFT = 64  # pixels of a face's width below which a clip is soft
DOUBTFUL = 0.8  # of the detector's score
# Heights of hairline and chin in the unit square; 5 % of the square beyond it is told.
FOREHEAD, CHIN = 0.2, 0.93
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


ROUNDS = 3  # of framing and reading
SETTLED = 0.01  # of the square's side: framings that differ less are the same
# Between two frames of a video.
MOST_CHANGE = 1.3  # of size
MOST_SHIFT = 0.25  # of the square's side
STILL_CHANGE, STILL_SHIFT = 1.05, 0.04  # up to which one look is enough
MOST_DISTANCE = 0.3  # of the landmarks to a face's shape, in eye distances
LEAST_SCORE = -0.9  # of the detector in the framing: half-covered faces reach it, what is no face does not
LOOK = 160  # pixels of the framing as the detector sees it

Landmarker = Callable[[UInt8[np.ndarray, "128 128 3"]], Float32[np.ndarray, "68 2"]]


@dataclass(frozen=True)
class Face:
    """One aligned face and where in its photo it was.

    `affine` maps photo pixels to the unit square of the crop; `count` is how many faces the photo shows and
    `index` which of them this is, largest first. `score` is how sure the detector is, from 0 to 1; `notes`
    holds every doubt in a sentence. `track` (57 weights, then degrees) and `covered` are there once
    `iad.models.reading.read_face` has read it. A face in the dark is brightened: `image` is, and
    `iad.media.photos.brighten(photo, gain)` does the same to the photo.
    """

    image: UInt8[np.ndarray, "s s 3"]
    box: tuple[int, int, int, int]
    landmarks: Float32[np.ndarray, "68 2"]
    affine: Float[np.ndarray, "2 3"]
    count: int
    index: int
    score: float = 1.0
    notes: tuple[str, ...] = ()
    gain: float = 1.0
    track: Float32[np.ndarray, " 60"] | None = None
    covered: frozenset[str] = frozenset()


def find_face(
    image: UInt8[np.ndarray, "h w 3"],
    landmarker: Landmarker,
    index: int | None = None,
    *,
    thorough: bool = True,
) -> Face:
    """Detect, find landmarks, align.

    Args:
        image: a photo, from `load_image`; its face may lie on its side or upside down.
        landmarker: 68 Multi-PIE landmarks, in the unit square, of a roughly framed crop.
        index: which face, 0 the largest; None is the largest too.
        thorough: see `detect_faces`.

    Raises:
        ValueError: no face, or fewer than `index` asks for.
    """
    boxes = detect_faces(image, thorough=thorough)
    chosen = 0 if index is None else index
    if not 0 <= chosen < len(boxes):
        raise ValueError(
            f"Face {chosen} was asked for, but the photo shows {len(boxes)}; count from 0, the largest first."
        )
    box = boxes[chosen]
    gain = _gain_in(image, frame_box(box))
    light = brighten(image, gain)
    landmarks, affine = _settle(light, landmarker, frame_box(box))
    return Face(
        image=crop(light, affine, CROP_SIZE),
        box=_round_sides(box),
        landmarks=landmarks,
        affine=affine,
        count=len(boxes),
        index=chosen,
        score=min(box.score, 1.0),
        notes=list_doubts(box, landmarks, affine, size=image.shape[1::-1], gain=gain),
        gain=gain,
    )


def track_face(
    image: UInt8[np.ndarray, "h w 3"], before: Float32[np.ndarray, "68 2"], landmarker: Landmarker
) -> Face | None:
    """Follow a face from the last frame's landmarks to this frame, without searching.

    Args:
        image: a frame of a video.
        before: landmarks of the frame before it, in pixels.
        landmarker: as for `find_face`; asked twice where the face moves fast.

    Returns:
        The face, or None where it is lost: search again.
    """
    last = alignment(before)
    gain = _gain_in(image, last)
    light = brighten(image, gain)
    first = _read(light, landmarker, last)
    affine = alignment(first)
    if not _is_near(affine, last, size=MOST_CHANGE, shift=MOST_SHIFT):
        return None
    still = _is_near(affine, last, size=STILL_CHANGE, shift=STILL_SHIFT)
    landmarks = first if still else _read(light, landmarker, affine)
    if distance_to_face(landmarks) > MOST_DISTANCE or not _shows_face(light, affine):
        return None
    affine = alignment(landmarks)
    picture, box = crop(light, affine, CROP_SIZE), box_in(affine, score=1.0)
    return Face(picture, _round_sides(box), landmarks, affine, 1, 0, gain=gain)


def _shows_face(image: UInt8[np.ndarray, "h w 3"], affine: Float[np.ndarray, "2 3"]) -> bool:
    """Tell whether the fast detector sees a face where this framing promises one."""
    promised = box_in(np.eye(2, 3) / LOOK, score=0.0)
    seen = detect_frontal(crop(image, affine, LOOK), threshold=LEAST_SCORE)
    return any(
        np.hypot(*(box.centre - promised.centre)) < 0.25 * promised.width
        and 0.6 < box.width / promised.width < 1.6
        for box in seen
    )


def _settle(
    image: UInt8[np.ndarray, "h w 3"], landmarker: Landmarker, rough: Float[np.ndarray, "2 3"]
) -> tuple[Float32[np.ndarray, "68 2"], Float[np.ndarray, "2 3"]]:
    """Read landmarks and frame by them, until the framing stays."""
    affine = rough
    for _ in range(ROUNDS):
        landmarks = _read(image, landmarker, affine)
        aligned = alignment(landmarks)
        # Landmarks that leave the box are mistaken; its own framing is the better one then.
        if not _is_near(aligned, rough, size=2.0, shift=0.35):
            break
        before, affine = affine, aligned
        if _is_near(affine, before, size=1 + SETTLED, shift=SETTLED):
            break
    return landmarks, affine


def _read(
    image: UInt8[np.ndarray, "h w 3"], landmarker: Landmarker, affine: Float[np.ndarray, "2 3"]
) -> Float32[np.ndarray, "68 2"]:
    return from_unit(landmarker(crop(image, affine, CROP_SIZE)), affine).astype(np.float32)


def _is_near(
    affine: Float[np.ndarray, "2 3"], other: Float[np.ndarray, "2 3"], *, size: float, shift: float
) -> bool:
    """Tell whether two framings differ by at most this factor, and this share of the square's side."""
    ratio = np.hypot(*affine[0, :2]) / np.hypot(*other[0, :2])
    drift = np.abs(to_unit(from_unit(np.full((1, 2), 0.5), affine), other) - 0.5).max()
    return bool(1 / size < ratio < size and drift < shift)


def _gain_in(image: UInt8[np.ndarray, "h w 3"], affine: Float[np.ndarray, "2 3"]) -> float:
    """Return the gain that lights the middle of this square, where the face is."""
    middle = crop(image, affine, CROP_SIZE)[32:108, 32:96]
    return gain_for(float(luminance(middle).mean()))


def _round_sides(box: Box) -> tuple[int, int, int, int]:
    return round(box.left), round(box.top), round(box.right), round(box.bottom)
