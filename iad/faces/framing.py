"""Landmarks or a box -> the square that is cut out of the photo, and the cut itself.

In come photo pixels and where the face is; out come an affine map to the unit square and an upright crop. The
square is FFHQ's, at any roll.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

CROP_SIZE = 128

# The FFHQ square seen from dlib's box, both in box widths: medians over 247 portraits with known landmarks
# (10th to 90th percentile: centre 0.21 to 0.10 above, side 1.52 to 1.90).
BOX_TO_CENTRE = (0.0, -0.17)
BOX_TO_SIDE = 1.73


@dataclass(frozen=True)
class Box:
    """A detected face, in the photo's pixels.

    The four sides are those of the upright square before it is turned about its own middle by `angle`: the
    roll of the face in degrees, clockwise as seen, from -180 to 180, so that a photo lying on its side has
    faces at 90. `score` is how sure the detector is, from 0 to 1.
    """

    left: float
    top: float
    right: float
    bottom: float
    angle: float = 0.0
    score: float = 0.0

    @property
    def width(self) -> float:
        """Side of the square in pixels."""
        return self.right - self.left

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * (self.bottom - self.top)

    @property
    def centre(self) -> Float[np.ndarray, "2"]:
        """Middle of the square, (x, y) in pixels."""
        return np.array([self.left + self.right, self.top + self.bottom]) / 2


def alignment(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "2 3"]:
    """Map photo pixels to the unit square of the FFHQ crop of these landmarks."""
    left, right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    return _align(left, right, (landmarks[48] + landmarks[54]) / 2)


def alignment_of_points(points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Do the same from the middles of both eyes, the nose and the corners of the mouth."""
    return _align(points[0], points[1], (points[3] + points[4]) / 2)


def _align(
    left: Float[np.ndarray, "2"], right: Float[np.ndarray, "2"], mouth: Float[np.ndarray, "2"]
) -> Float[np.ndarray, "2 3"]:
    eye_middle, eye_to_eye = (left + right).astype(np.float64) / 2, (right - left).astype(np.float64)
    eye_to_mouth = mouth - eye_middle
    across = eye_to_eye - _turn(eye_to_mouth)
    length = np.hypot(*across)
    if length < 1e-6:
        raise ValueError(
            "The landmarks fall on one point; a face needs two eyes and a mouth apart from each other."
        )
    half = max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    return _square(eye_middle + 0.1 * eye_to_mouth, across / length, half)


def _turn(vector: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
    return np.array([-vector[1], vector[0]])


def _square(
    centre: Float[np.ndarray, "2"], across: Float[np.ndarray, "2"], half: float
) -> Float[np.ndarray, "2 3"]:
    """Map the square with this centre, unit vector along its upper edge and half side to the unit square."""
    linear = np.stack([across, _turn(across)]) / (2 * half)
    return np.column_stack([linear, 0.5 - linear @ centre])


def crop(
    image: UInt8[np.ndarray, "h w 3"], affine: Float[np.ndarray, "2 3"], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """Cut the square that `affine` maps to the unit square, without aliasing.

    Beyond the photo's edge its border goes on, softly blurred.
    """
    # Sample at about the photo's own resolution, then average down.
    fineness = int(np.clip(np.ceil(1 / (size * np.hypot(*affine[0, :2]))), 1, 16))
    grid = size * fineness
    matrix = affine * grid
    # A unit square's edge is the outer edge of its first pixel, half a pixel before that pixel's centre.
    matrix[:, 2] -= 0.5
    picture = cv2.warpAffine(
        image, matrix, (grid, grid), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    corners = from_unit(np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]), affine)
    if np.all(corners >= 0) and np.all(corners <= np.array(image.shape[1::-1]) - 1):
        return picture
    outside = 255 - cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), affine * size, (size, size))
    weight = cv2.GaussianBlur(outside.astype(np.float32) / 255, (0, 0), size * 0.03)[..., None]
    weight = np.clip(weight * 2 - 1, 0, 1)  # the photo's own pixels stay as they are
    blurred = cv2.GaussianBlur(picture, (0, 0), size * 0.04, borderType=cv2.BORDER_REPLICATE)
    return np.rint(picture * (1 - weight) + blurred * weight).astype(np.uint8)


def frame_box(box: Box) -> Float[np.ndarray, "2 3"]:
    """Map photo pixels to the unit square of the FFHQ crop that this box promises."""
    across = along(box.angle)
    offset = BOX_TO_CENTRE[0] * across + BOX_TO_CENTRE[1] * _turn(across)
    return _square(box.centre + box.width * offset, across, box.width * BOX_TO_SIDE / 2)


def box_in(affine: Float[np.ndarray, "2 3"], *, score: float) -> Box:
    """Return the box whose framing is `affine`: the inverse of `frame_box`."""
    across = affine[0, :2] / np.hypot(*affine[0, :2])
    width = 1 / np.hypot(*affine[0, :2]) / BOX_TO_SIDE
    offset = BOX_TO_CENTRE[0] * across + BOX_TO_CENTRE[1] * _turn(across)
    centre = from_unit(np.full((1, 2), 0.5), affine)[0] - width * offset
    sides = (*(centre - width / 2).tolist(), *(centre + width / 2).tolist())
    return Box(*sides, float(np.degrees(np.arctan2(across[1], across[0]))), score)


def cut_around(
    image: UInt8[np.ndarray, "h w 3"], box: Box, *, size: int, widths: float
) -> tuple[UInt8[np.ndarray, "size size 3"], Float[np.ndarray, "2 3"]]:
    """Cut an upright square `widths` box widths wide, and return it with the map from photo to its pixels."""
    affine = _square(box.centre, along(box.angle), box.width * widths / 2)
    to_pixels = affine * size
    to_pixels[:, 2] -= 0.5
    return crop(image, affine, size), to_pixels


def along(angle: float) -> Float[np.ndarray, "2"]:
    """Return the unit vector from left to right of what is rolled clockwise by `angle` degrees."""
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])


def from_unit(points: Float[np.ndarray, "n 2"], affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "n 2"]:
    """Map points back through an affine map, from the unit square to the photo."""
    return (points - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T


def to_unit(points: Float[np.ndarray, "n 2"], affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "n 2"]:
    """Map points through an affine map, from the photo to the unit square."""
    return points @ affine[:, :2].T + affine[:, 2]
