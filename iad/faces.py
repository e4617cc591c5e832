"""Photo -> Face: detected, landmarks found, aligned.

In comes an upright photo; out comes an aligned 128 x 128 crop and the affine map that made it. Photo
coordinates are pixels with the centre of the first pixel at (0, 0), y down. The framing is FFHQ's (Karras et
al. 2019): eyes and mouth decide the square, so the roll of the head is removed.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from iad.photos import load_image

__all__ = ["Box", "Face", "alignment", "crop", "detect_faces", "find_face", "load_image"]

CROP_SIZE = 128

# The FFHQ square seen from dlib's box, both in box widths: medians over 247 portraits with known landmarks
# (10th to 90th percentile: centre 0.21 to 0.10 above, side 1.52 to 1.90).
BOX_TO_CENTRE = (0.0, -0.17)
BOX_TO_SIDE = 1.73
SMALL = 0.2  # of the photo's longer side: faces of a group
CLOSER = 1.6  # how much nearer a second look at a group is

Landmarker = Callable[[UInt8[np.ndarray, "128 128 3"]], Float32[np.ndarray, "68 2"]]


@dataclass(frozen=True)
class Box:
    """A detected face, in the photo's pixels; `angle` is its roll in degrees, clockwise as seen."""

    left: float
    top: float
    right: float
    bottom: float
    angle: float = 0.0
    score: float = 0.0

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True)
class Face:
    """One aligned face and where in its photo it was.

    `affine` maps photo pixels to the unit square of the crop; `count` is how many faces the photo shows and
    `index` which of them this is, largest first.
    """

    image: UInt8[np.ndarray, "s s 3"]
    box: tuple[int, int, int, int]
    landmarks: Float32[np.ndarray, "68 2"]
    affine: Float[np.ndarray, "2 3"]
    count: int
    index: int


def detect_faces(image: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
    """Find every face, largest first.

    dlib's HOG detector, on a copy whose longer side is about 640 pixels. Where it sees nothing, harder looks
    follow: other scales, stronger contrast with a wider margin, the head tilted by 25 degrees to either side.

    Raises:
        ValueError: no look finds a face.
    """
    for boxes in _looks(image):
        if boxes:
            largest = max(box.right - box.left for box in boxes)
            if largest < SMALL * max(image.shape[:2]):  # a group: others may be too small for this look
                scale = CLOSER * min(640 / max(image.shape[:2]), 4.0)
                boxes = max(boxes, _run_detector(_resize(image, scale), scale), key=lambda b: len(_strong(b)))
            return sorted(_strong(boxes), key=lambda box: -box.area)
    raise ValueError(
        "No face found in the photo; use a sharp, well-lit, frontal photo that shows the whole face."
    )


def _strong(boxes: list[Box]) -> list[Box]:
    """Leave out weak boxes beside a strong one: a pattern in a shirt more often than a face."""
    strongest = max((box.score for box in boxes), default=0.0)
    return [box for box in boxes if box.score > min(0.3, 0.5 * strongest)]


def _looks(image: UInt8[np.ndarray, "h w 3"]) -> Iterator[list[Box]]:
    base = min(640 / max(image.shape[:2]), 4.0)
    # The detector's pyramid has steps of 1.2: another scale can catch what falls between two of them.
    for scale in (base, 0.5 * base, 1.4 * base, 2.5 * base):
        yield _run_detector(_resize(image, scale), scale)
    contrast = _equalise(_resize(image, base))
    margin = max(contrast.shape[:2]) // 3
    padded = cv2.copyMakeBorder(contrast, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    yield _run_detector(padded, base, margin=margin)
    for angle in (-25.0, 25.0):
        yield _run_detector(contrast, base, angle=angle)


def _resize(image: UInt8[np.ndarray, "h w 3"], scale: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _equalise(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    lightness, a, b = cv2.split(cv2.cvtColor(image, cv2.COLOR_RGB2LAB))
    lightness = cv2.createCLAHE(clipLimit=3.0, tileGridSize=(8, 8)).apply(lightness)
    return cv2.cvtColor(cv2.merge((lightness, a, b)), cv2.COLOR_LAB2RGB)


@functools.cache
def _load_detector() -> object:
    try:
        import dlib
    except ImportError as error:
        raise ValueError("Finding faces needs dlib; install it with: pip install dlib-bin") from error
    return dlib.get_frontal_face_detector()


def _run_detector(
    image: UInt8[np.ndarray, "h w 3"], scale: float, *, margin: int = 0, angle: float = 0.0
) -> list[Box]:
    """Detect on a scaled, padded copy whose faces are tilted by `angle`, and map the boxes back."""
    centre = (image.shape[1] / 2, image.shape[0] / 2)
    if angle:
        upright = cv2.getRotationMatrix2D(centre, angle, 1.0)
        image = cv2.warpAffine(image, upright, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    rectangles, scores, _ = _load_detector().run(np.ascontiguousarray(image), 0, 0.0)
    boxes = []
    for rectangle, score in zip(rectangles, scores, strict=True):
        middle = np.array([rectangle.left() + rectangle.right(), rectangle.top() + rectangle.bottom()]) / 2
        if angle:
            middle = cv2.invertAffineTransform(upright) @ np.array([*middle, 1.0])
        x, y = ((middle - margin + 0.5) / scale - 0.5).tolist()
        half = (rectangle.width() / 2) / scale
        boxes.append(Box(x - half, y - half, x + half, y + half, angle, float(score)))
    return boxes


def alignment(landmarks: Float[np.ndarray, "68 2"]) -> Float[np.ndarray, "2 3"]:
    """Map photo pixels to the unit square of the FFHQ crop of these landmarks."""
    eyes = np.stack([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)]).astype(np.float64)
    eye_middle, eye_to_eye = eyes.mean(axis=0), eyes[1] - eyes[0]
    eye_to_mouth = (landmarks[48] + landmarks[54]) / 2 - eye_middle
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
    corners = (np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    if np.all(corners >= 0) and np.all(corners <= np.array(image.shape[1::-1]) - 1):
        return picture
    outside = 255 - cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), affine * size, (size, size))
    weight = cv2.GaussianBlur(outside.astype(np.float32) / 255, (0, 0), size * 0.03)[..., None]
    weight = np.clip(weight * 2 - 1, 0, 1)  # the photo's own pixels stay as they are
    blurred = cv2.GaussianBlur(picture, (0, 0), size * 0.04, borderType=cv2.BORDER_REPLICATE)
    return np.rint(picture * (1 - weight) + blurred * weight).astype(np.uint8)


def find_face(image: UInt8[np.ndarray, "h w 3"], landmarker: Landmarker, *, index: int | None = None) -> Face:
    """Detect, find landmarks, align.

    Args:
        image: an upright photo, from `load_image`.
        landmarker: 68 Multi-PIE landmarks, in the unit square, of a roughly framed crop.
        index: which face, 0 the largest; None is the largest too.

    Raises:
        ValueError: no face, or fewer than `index` asks for.
    """
    boxes = detect_faces(image)
    chosen = 0 if index is None else index
    if not 0 <= chosen < len(boxes):
        raise ValueError(
            f"Face {chosen} was asked for, but the photo shows {len(boxes)}; count from 0, the largest first."
        )
    rough = _frame_box(boxes[chosen])
    affine = rough
    for _ in range(2):
        landmarks = _from_unit(landmarker(crop(image, affine, CROP_SIZE)), affine)
        aligned = alignment(landmarks)
        # Landmarks that leave the box are mistaken; its own framing is the better one then.
        ratio = np.hypot(*aligned[0, :2]) / np.hypot(*rough[0, :2])
        drift = np.abs(rough @ np.append(_from_unit(np.full((1, 2), 0.5), aligned)[0], 1.0) - 0.5).max()
        if not (0.5 < ratio < 2.0 and drift < 0.35):
            break
        affine = aligned
    box = boxes[chosen]
    return Face(
        image=crop(image, affine, CROP_SIZE),
        box=(round(box.left), round(box.top), round(box.right), round(box.bottom)),
        landmarks=landmarks.astype(np.float32),
        affine=affine,
        count=len(boxes),
        index=chosen,
    )


def _frame_box(box: Box) -> Float[np.ndarray, "2 3"]:
    width = box.right - box.left
    radians = np.radians(box.angle)
    across = np.array([np.cos(radians), np.sin(radians)])
    offset = BOX_TO_CENTRE[0] * across + BOX_TO_CENTRE[1] * _turn(across)
    centre = np.array([box.left + box.right, box.top + box.bottom]) / 2 + width * offset
    return _square(centre, across, width * BOX_TO_SIDE / 2)


def _from_unit(
    points: Float[np.ndarray, "n 2"], affine: Float[np.ndarray, "2 3"]
) -> Float[np.ndarray, "n 2"]:
    return (points - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
