"""Where a photo person stands, and which square of the photo its frames show.

Head space -> the photo's camera space (pixels of the photo, x right, y up, z to the viewer) -> the unit
square of the frame. A turn pivots about the neck, which stays where the photo has it. Drawing works on a
window of pixels around the square.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.faces import alignment
from iad.geometry.curves import ease
from iad.geometry.fit import Fit
from iad.geometry.head import NECK_PIVOT

_DOWN = np.float32([1, -1])


@dataclass(frozen=True)
class Stage:
    """A fitted camera, and how the same head stands in it when it looks straight ahead.

    Attributes:
        anchor: What takes scaled head space to camera space when the head is frontal.
        chin: Height of the chin in head space; below it the neck follows less and less.
        affine: Photo pixels to the unit square.
    """

    fit: Fit
    anchor: Float[np.ndarray, " 3"]
    chin: float
    affine: Float[np.ndarray, "2 3"]

    def fitted(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Take head space to camera space as the photo has it."""
        camera = self.fit.scale * (points @ self.fit.rotation.T)
        camera[:, :2] += self.fit.translation
        return camera

    def unfitted(self, camera: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Take the photo's camera space back to head space."""
        shifted = camera - np.append(self.fit.translation, 0).astype(np.float32)
        return shifted @ self.fit.rotation / self.fit.scale

    def posed(
        self, points: Float[np.ndarray, "n 3"], turn: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "n 3"]:
        """Take head space to camera space under a head pose that has nothing to do with the photo's."""
        pivot = np.float32(NECK_PIVOT)
        return self.fit.scale * ((points - pivot) @ turn.T + pivot) + self.anchor

    def to_unit(self, camera: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Take camera space to the frame's unit square, y down."""
        return (camera[:, :2] * _DOWN) @ self.affine[:, :2].T + self.affine[:, 2]

    def follow_share(self, height: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Return how much points at this height follow the head: 1 above the chin, 0 at the shoulders."""
        return ease((height - (self.chin - 7.0)) / 6.5).astype(np.float32)


def create_stage(fit: Fit, landmarks: Float[np.ndarray, "68 3"]) -> Stage:
    """Stand a fitted head up; `landmarks` are those of its neutral shape, in head space."""
    pivot = np.float32(NECK_PIVOT)
    camera = fit.scale * (fit.rotation @ pivot)
    camera[:2] += fit.translation
    anchor = (camera - fit.scale * pivot).astype(np.float32)
    frontal = (fit.scale * landmarks + anchor)[:, :2] * _DOWN
    return Stage(fit, anchor, float(landmarks[8, 1]), alignment(frontal).astype(np.float32))


_WIDER = 1.12  # than FFHQ's square, which a nodding chin leaves
_ROOM = 0.12  # of the frame's side, around it: what a moving head brings into view
_SHARPER = 1.25  # pixels of the window to one of the frame: looked up between pixels, a photo gets softer


@dataclass(frozen=True)
class Square:
    """A square of a photo, pixels; the first pixel reaches from 0 to 1."""

    left: float
    top: float
    side: float


@dataclass(frozen=True)
class Window:
    """Part of a photo, resampled; place in the window = factor * place in the photo + shift.

    Attributes:
        photo: Colours 0 to 255, continued where the photo ends.
        bounds: Left, top, right and bottom of what is really the photo, pixels of the window.
        affine: Pixels of the window to the unit square of the frame.
    """

    photo: Float[np.ndarray, "h w 3"]
    factor: float
    shift: Float[np.ndarray, " 2"]
    bounds: tuple[float, float, float, float]
    affine: Float[np.ndarray, "2 3"]


def frame_photo(stage: Stage, landmarks: Float[np.ndarray, "68 2"], shape: tuple[int, int]) -> Square:
    """Choose FFHQ's square, a little wider: as large as for the frontal face, its middle the photo's own.

    It is moved and shrunk to lie in the photo while it holds the face.

    Nothing is made up that way above a head that the photo cuts off.
    """
    middle = cv2.invertAffineTransform(alignment(landmarks)) @ np.array([0.5, 0.5, 1])
    side = _WIDER * float(np.linalg.norm(cv2.invertAffineTransform(stage.affine)[:, 0]))
    height, width = shape
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    needed = 1.15 * float(max(high - low))
    side = max(min(side, height, width), needed)
    half = side / 2
    limits = np.array([width, height], np.float32)
    inside = np.clip(middle, half, np.maximum(limits - half, half))
    # The face stays whole, with a little room around it, even where the photo ends.
    room = 0.06 * side
    centre = np.clip(inside, np.minimum(high + room - half, middle), np.maximum(low - room + half, middle))
    return Square(float(centre[0] - half), float(centre[1] - half), float(side))


def cut_window(photo: UInt8[np.ndarray, "h w 3"], square: Square, size: int) -> Window:
    """Cut a square and some room around it out of a photo, at the resolution of frames of `size` pixels."""
    factor = _SHARPER * size / square.side
    low = np.array([square.left, square.top]) - _ROOM * square.side
    side = int(np.ceil((1 + 2 * _ROOM) * square.side * factor))
    shift = -low * factor
    height, width = photo.shape[:2]
    matrix = np.array(
        [[factor, 0, shift[0] + 0.5 * (factor - 1)], [0, factor, shift[1] + 0.5 * (factor - 1)]]
    )
    if factor < 0.75:  # averages as it shrinks
        photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        scale = np.array([width * factor / photo.shape[1], height * factor / photo.shape[0]])
        matrix = np.column_stack([np.diag(scale), shift + 0.5 * (scale - 1)])
    cut = cv2.warpAffine(
        photo, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    left, top = np.maximum(shift, 0)
    right, bottom = np.minimum(shift + factor * np.array([width, height]), side)
    bounds = (float(left), float(top), float(right), float(bottom))
    unit = 1 / (factor * square.side)
    affine = np.array([[unit, 0, -_ROOM], [0, unit, -_ROOM]], np.float32)
    return Window(
        continue_photo(cut.astype(np.float32), bounds), factor, shift.astype(np.float32), bounds, affine
    )


def continue_photo(
    photo: Float[np.ndarray, "h w *c"], bounds: tuple[float, float, float, float]
) -> Float[np.ndarray, "h w *c"]:
    """Blur what is beyond the photo's edges, the further out the more; a small copy does."""
    left, top, right, bottom = (int(round(edge)) for edge in bounds)
    inside = np.zeros(photo.shape[:2], np.uint8)
    inside[top:bottom, left:right] = 1
    if inside.all():
        return photo
    away = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3) / len(photo)
    away = away.reshape(photo.shape[:2] + (1,) * (photo.ndim - 2))
    for reach, sigma in ((0.03, 0.005), (0.06, 0.015), (0.10, 0.03)):
        share = np.clip(away / reach, 0, 1)
        photo = photo + (_blur(photo, sigma * len(photo)) - photo) * share
    return photo.astype(np.float32)


def _blur(photo: Float[np.ndarray, "h w *c"], sigma: float) -> Float[np.ndarray, "h w *c"]:
    """Blur by a Gaussian; a wide one on a small copy."""
    factor = min(1.0, 3 / sigma)
    if factor > 0.5:
        return cv2.GaussianBlur(photo, (0, 0), sigma)
    small = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma * factor)
    return cv2.resize(small, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
