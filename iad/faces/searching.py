"""Photo -> boxes of all its faces, from the cheapest look to the dearest.

A sure frontal face ends the search at once. A weak candidate, a pattern in a shirt as often as a face, counts
only if a second, stronger detector sees a face there too. Where nothing is found the whole photo is looked
through for covered and tilted faces, and turned by quarters.
"""

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.faces.detectors import detect_any, detect_by_scrfd, detect_frontal, find_points, has_scrfd
from iad.faces.framing import BOX_TO_SIDE, Box, along, box_in, cut_around, frame_box, from_unit, to_unit
from iad.media.photos import brighten, gain_for, luminance

LONGER_SIDE = 640  # pixels of the copy that is looked through first
LARGEST_SCALE = 4.0
LARGEST_SIDE = 1600  # pixels of the copy that all looks share
SURE = 0.5  # of the fast detector; none of 20 pictures without faces reached 0
WEAK = -0.3
CONFIRMED = 0.1  # of the network: faces score about 1, covered ones less, pictures without faces nothing
TRIED = 3  # weak candidates that the network is shown
SMALL = 0.15  # of the photo's longer side: faces of a group
CLOSER = 2.5  # how much nearer a second look at a group is
UPRIGHT_SIDE, TURNED_SIDE = 400, 240  # pixels of the copies that the network looks through
PATCH, PATCH_WIDTHS = 208, 2.4  # a candidate as the network sees it
NO_FACE = (
    "No face found in the photo, upright or turned; use a sharp, well-lit photo that shows the whole face."
)


def detect_faces(image: UInt8[np.ndarray, "h w 3"], *, thorough: bool = True) -> list[Box]:
    """Find every face at any roll, largest first.

    InsightFace's detector is used where it and its files are installed, else dlib's two.

    Args:
        image: a photo of any size and light.
        thorough: go on where the first look finds nothing; up to 3 s on one core.

    Raises:
        ValueError: no look finds a face.
    """
    # No look wants more pixels than this.
    copy, to_copy = _turn_upright(image, min(1.0, LARGEST_SIDE / max(image.shape[:2])), 0.0)
    copy = _lighten(copy)
    by_dlib = not has_scrfd()
    looks = (_looks(copy) if thorough else iter([_first_look(copy)])) if by_dlib else _look_by_scrfd(copy)
    boxes = next(filter(None, map(_keep_apart, looks)), [])
    if not boxes:
        raise ValueError(NO_FACE)
    if by_dlib:
        boxes = [_read_roll(copy, box) for box in boxes]
    return sorted((_move(box, to_copy) for box in boxes), key=lambda box: -box.area)


def _lighten(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    small = _resize(image, min(1.0, 128 / max(image.shape[:2])))
    return brighten(image, gain_for(float(np.percentile(luminance(small), 90))))


def _first_look(image: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
    scale = min(LONGER_SIDE / max(image.shape[:2]), LARGEST_SCALE)
    found = _look_frontal(image, scale)
    widest = max((box.width for box in found if box.score >= SURE), default=np.inf)
    if widest < SMALL * max(image.shape[:2]):  # a group: others may be too small for this look
        found += _look_frontal(image, CLOSER * scale)
    sure = [replace(box, score=1.0) for box in found if box.score >= SURE]
    if widest < SMALL * max(image.shape[:2]):  # and a larger face too covered
        sure += _look_any(image, UPRIGHT_SIDE)
    return sure + _confirm_best(image, [box for box in found if 0 < box.score < SURE], sure)


def _looks(image: UInt8[np.ndarray, "h w 3"]) -> Iterator[list[Box]]:
    yield _first_look(image)
    scale = min(LONGER_SIDE / max(image.shape[:2]), LARGEST_SCALE)
    # The detector's pyramid has steps of 1.2: another scale can catch what falls between two of them.
    found = [box for closer in (0.5, 1.0, 1.4, 2.5) for box in _look_frontal(image, closer * scale)]
    for angle in range(-150, 181, 30):
        found += _look_frontal(image, scale, angle=angle) if angle else []
    yield _confirm_best(image, found, [])
    yield _look_any(image, UPRIGHT_SIDE)
    for angle in (90, -90, 180):
        yield _look_any(image, TURNED_SIDE, angle=angle)


def _look_frontal(image: UInt8[np.ndarray, "h w 3"], scale: float, *, angle: float = 0.0) -> list[Box]:
    """Look for frontal faces rolled by about `angle`, weak candidates too."""
    picture, to_picture = _turn_upright(image, scale, angle)
    return [_move(box, to_picture) for box in detect_frontal(picture, threshold=WEAK)]


def _look_any(image: UInt8[np.ndarray, "h w 3"], longer_side: int, *, angle: float = 0.0) -> list[Box]:
    """Look for faces with the network, and turn the photo about each to see it upright."""
    picture, to_picture = _turn_upright(image, longer_side / max(image.shape[:2]), angle)
    margin = longer_side // 16  # for faces at the photo's edge
    picture = cv2.copyMakeBorder(picture, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    to_picture[:, 2] += margin
    boxes = [_move(box, to_picture) for box in detect_any(picture) if box.score > CONFIRMED]
    return [_turn_to_best(image, box) for box in boxes]


def _turn_to_best(image: UInt8[np.ndarray, "h w 3"], box: Box) -> Box:
    """Give a box the roll at which the fast detector likes it most, up to 75 degrees from its own."""
    best, most = box, -1.0
    for turn in (0, -25, 25, -50, 50, -75, 75):
        turned = replace(box, angle=box.angle + turn)
        patch, _ = cut_around(image, turned, size=PATCH, widths=PATCH_WIDTHS * 0.8)
        near = [
            one.score
            for one in detect_frontal(patch, threshold=-1.0)
            if np.abs(one.centre - PATCH / 2).max() < PATCH / 5
        ]
        if max(near, default=-1.0) > most:
            best, most = turned, max(near)
    return best


def _look_by_scrfd(image: UInt8[np.ndarray, "h w 3"]) -> Iterator[list[Box]]:
    for angle in (0, 90, -90, 180):
        picture, to_picture = _turn_upright(image, 1.0, angle)
        yield [_move(box, to_picture) for box in detect_by_scrfd(picture)]


def _confirm_best(image: UInt8[np.ndarray, "h w 3"], doubted: list[Box], sure: list[Box]) -> list[Box]:
    """Return the best weak candidates, apart from the sure faces, in whose place the network sees a face."""
    apart = _keep_apart([*sure, *doubted])
    tried = [box for box in apart if not any(box is one for one in sure)][:TRIED]
    return [seen for box in tried if (seen := _confirm(image, box))]


def _confirm(image: UInt8[np.ndarray, "h w 3"], box: Box) -> Box | None:
    """Return the candidate with the network's score, or None where the network sees no face in its place."""
    patch, _ = cut_around(image, box, size=PATCH, widths=PATCH_WIDTHS)
    width = PATCH / PATCH_WIDTHS
    near = [
        seen.score
        for seen in detect_any(patch)
        if np.abs(seen.centre - PATCH / 2).max() < 0.5 * width and 0.5 < seen.width / width < 2
    ]
    return replace(box, score=min(max(near), 1.0)) if max(near, default=0.0) > CONFIRMED else None


def _read_roll(image: UInt8[np.ndarray, "h w 3"], box: Box) -> Box:
    """Turn and fit the box to the five points of its face, where they agree with it."""
    turned = box
    for _ in range(3):  # the points are sure of small rolls only
        patch, to_patch = cut_around(image, turned, size=192, widths=2.0)
        points = from_unit(find_points(patch, Box(48, 48, 144, 144)), to_patch)
        left, right = points[:2].mean(axis=0), points[2:4].mean(axis=0)
        across = right - left
        angle = float(np.degrees(np.arctan2(across[1], across[0])))
        turned = replace(box, angle=angle)
    distance = max(float(np.hypot(*across)), 1e-6)
    # FFHQ's square is 4 eye distances wide; its centre was 0.11 below the eyes in 20 portraits.
    downward = along(angle + 90)
    centre = (left + right) / 2 + 0.11 * distance * downward
    side = 4.1 * distance
    rough = frame_box(turned)
    drift = np.abs(to_unit(centre[None], rough) - 0.5).max()
    rolled = abs((angle - box.angle + 180) % 360 - 180)
    if drift > 0.25 or not 0.65 < side / (BOX_TO_SIDE * box.width) < 1.5 or rolled > 70:
        return box
    linear = np.stack([along(angle), downward]) / side
    return box_in(np.column_stack([linear, 0.5 - linear @ centre]), score=box.score)


def _keep_apart(boxes: list[Box]) -> list[Box]:
    """Leave out boxes whose face a better one shows already."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(np.hypot(*(box.centre - one.centre)) > 0.4 * max(box.width, one.width) for one in kept):
            kept.append(box)
    return kept


def _turn_upright(
    image: UInt8[np.ndarray, "h w 3"], scale: float, angle: float
) -> tuple[UInt8[np.ndarray, "h2 w2 3"], Float[np.ndarray, "2 3"]]:
    """Scale the photo and turn faces rolled by `angle` upright; return it whole, with the map to it."""
    picture = _resize(image, scale)
    sides = np.array(picture.shape[1::-1])
    matrix = cv2.getRotationMatrix2D((0.0, 0.0), angle, 1.0)
    wide = np.ceil(np.abs(matrix[:, :2]) @ sides - 1e-6).astype(int)
    matrix[:, 2] = (wide - 1) / 2 - matrix[:, :2] @ ((sides - 1) / 2)
    if angle:
        picture = cv2.warpAffine(picture, matrix, tuple(wide.tolist()), borderMode=cv2.BORDER_REPLICATE)
    # A pixel's centre is half a pixel from the edge at either scale.
    shift = matrix[:, :2] @ np.full(2, (scale - 1) / 2) + matrix[:, 2]
    return picture, np.column_stack([matrix[:, :2] * scale, shift])


def _move(box: Box, to_picture: Float[np.ndarray, "2 3"]) -> Box:
    """Map an upright box in a scaled and turned picture back to the photo."""
    scale = float(np.hypot(*to_picture[0, :2]))
    x, y = from_unit(box.centre[None], to_picture)[0].tolist()
    half = box.width / scale / 2
    turn = float(np.degrees(np.arctan2(to_picture[0, 1], to_picture[0, 0])))
    angle = (box.angle + turn + 180) % 360 - 180
    return Box(x - half, y - half, x + half, y + half, angle, box.score)


def _resize(image: UInt8[np.ndarray, "h w 3"], scale: float) -> UInt8[np.ndarray, "h2 w2 3"]:
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
