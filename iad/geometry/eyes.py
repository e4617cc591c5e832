"""The eyes of a photo person: irises lifted out of the photo so that gaze can move them, whites, and lids."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from iad.geometry.curves import round_off
from iad.geometry.lids import close_eye

IRIS_RADIUS = 0.70  # head units: 5.9 mm on the head's 12.5 mm eyeball
GAZE_DEGREES = 25.0  # what a look of weight 1 turns the eye by


@dataclass(frozen=True)
class EyeTextures:
    """The parts of both eyes, the person's left first.

    Attributes:
        whites: The photo with both irises painted over.
        lids: The photo with both eyes closed.
        irises: Square pictures with alpha.
        centres: Of the irises in the photo, pixels.
    """

    whites: Float[np.ndarray, "h w 3"]
    lids: Float[np.ndarray, "h w 3"]
    irises: Float[np.ndarray, "2 k k 4"]
    centres: Float[np.ndarray, "2 2"]


def create_eye_textures(
    photo: Float[np.ndarray, "h w 3"],
    openings: Float[np.ndarray, "2 6 2"],
    brows: Float[np.ndarray, "2 5 2"],
    balls: Float[np.ndarray, "2 2"],
    radius: float,
    *,
    glasses: bool = False,
) -> EyeTextures:
    """Separate irises from whites.

    Args:
        photo: Colours 0 to 255.
        openings: The eyes' landmarks in the photo, pixels.
        brows: Those above them.
        balls: Where each eyeball's front is in the photo, pixels: the first guess.
        radius: Of the iris, pixels.
        glasses: Their frames stay.
    """
    side, margin = 2 * int(np.ceil(1.5 * radius)) + 1, int(np.ceil(4 * radius))
    whites, lids, irises, centres = photo.copy(), photo.copy(), [], []
    for opening, brow, ball, outer in zip(openings, brows, balls, (1, -1), strict=True):
        low = (np.floor(opening.min(axis=0)).astype(int) - margin).clip(0, np.array(photo.shape[1::-1]) - 1)
        high = np.maximum(np.ceil(opening.max(axis=0)).astype(int) + margin, low + 1)
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        near, inside = photo[window], opening - low
        mask = _fill(round_off(inside), near.shape[:2], 0.0)
        centre = _find_iris(near.mean(axis=-1), mask, inside, ball - low, radius)
        centres.append(centre + low.astype(np.float32))
        rows, columns = np.mgrid[: near.shape[0], : near.shape[1]] + 0.5
        distance = np.hypot(columns - centre[0], rows - centre[1])
        irises.append(_lift_iris(near, mask * (distance < radius), distance, centre, radius, side))
        _paint_white(whites[window], mask, distance, inside, radius)
        close_eye(lids, opening, brow, outer=outer, reach=0.2 if glasses else 0.42)
    return EyeTextures(whites, lids, np.stack(irises), np.stack(centres))


def _fill(polygon: Float[np.ndarray, "n 2"], shape: tuple[int, int], grow: float) -> Float[np.ndarray, "h w"]:
    """Draw a polygon, soft at its border; `grow` pixels larger all round."""
    mask = np.zeros(shape, np.uint8)
    points = np.round((polygon - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=4)
    if grow > 0:
        cv2.polylines(mask, [points], True, 255, int(round(2 * grow)), lineType=cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def _find_iris(luma, mask, opening, ball, radius) -> Float[np.ndarray, " 2"]:
    """Find the disc that is darkest against the rest of the opening, not far from the eyeball's front."""
    low, high = np.floor(opening.min(axis=0)).astype(int) - 3, np.ceil(opening.max(axis=0)).astype(int) + 3
    low = np.maximum(low, 0)
    luma, mask = luma[low[1] : high[1], low[0] : high[0]], mask[low[1] : high[1], low[0] : high[0]]
    if mask.sum() < 4:
        return ball.astype(np.float32)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]] + 0.5
    middle = opening.mean(axis=0)
    start = np.array([0.5 * ball[0] + 0.5 * middle[0], 0.3 * ball[1] + 0.7 * middle[1]])
    reach_x, reach_y = np.ptp(opening[:, 0]) * 0.3, radius * 0.5
    spread = max(float(luma[mask > 0.5].std()), 4.0) if (mask > 0.5).any() else 4.0
    best, found = np.inf, start
    for dy in np.linspace(-reach_y, reach_y, 7):
        for dx in np.linspace(-reach_x, reach_x, 13):
            away = np.hypot(columns + low[0] - start[0] - dx, rows + low[1] - start[1] - dy)
            disc, ring = mask * (away < radius), mask * (away >= radius)
            if disc.sum() < 3 or ring.sum() < 1:
                continue
            contrast = (luma * disc).sum() / disc.sum() - (luma * ring).sum() / ring.sum()
            cost = contrast / spread + 0.5 * ((dx / reach_x) ** 2 + (dy / reach_y) ** 2)
            if cost < best:
                best, found = cost, start + (dx, dy)
    return found.astype(np.float32)


def _lift_iris(photo, mask, distance, centre, radius, side) -> Float[np.ndarray, "k k 4"]:
    """Cut the iris out; what lids hide of it takes the iris's colour at that distance from its centre."""
    ring = np.clip((distance / radius * 5).astype(int), 0, 5)
    weight = mask * (distance < radius + 1)
    total = np.bincount(ring.ravel(), weight.ravel(), 6)
    sums = np.stack(
        [np.bincount(ring.ravel(), (weight * photo[..., c]).ravel(), 6) for c in range(3)], axis=1
    )
    overall = sums.sum(axis=0) / max(total.sum(), 1e-6)
    colours = (sums + overall) / (total[:, None] + 1)
    filled = photo * mask[..., None] + colours[ring] * (1 - mask[..., None])
    patch = cv2.getRectSubPix(filled.astype(np.float32), (side, side), tuple(float(v) for v in centre - 0.5))
    rows, columns = np.mgrid[:side, :side] - side // 2
    alpha = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return np.dstack([patch, alpha]).astype(np.float32)


def _paint_white(whites, mask, distance, opening, radius) -> None:
    """Spread the white of the eye over the iris and beyond the lids, in place and only around the opening."""
    margin, width = int(np.ceil(radius * 2)), float(np.ptp(opening[:, 0]))
    low = np.maximum(np.floor(opening.min(axis=0)).astype(int) - margin, 0)
    high = np.ceil(opening.max(axis=0)).astype(int) + margin
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    photo, mask, distance = whites[window], mask[window], distance[window]
    disc = np.clip((1.25 * radius - distance) / (0.2 * radius), 0, 1)
    weight = (mask * (1 - disc)) ** 2
    if weight.sum() < 1:
        weight = mask + 1e-3
    luma = photo.mean(axis=-1)
    bright = np.quantile(luma[weight > 0.2], 0.6) if (weight > 0.2).sum() > 3 else luma.mean()
    weight = weight * np.exp(-np.clip(bright - luma, 0, None) / 25.0)  # lashes and shadows are no white
    spread = cv2.GaussianBlur(np.dstack([photo * weight[..., None], weight]), (0, 0), max(radius * 0.5, 1.0))
    general = (photo * weight[..., None]).sum(axis=(0, 1)) / max(weight.sum(), 1e-6)
    smooth = (spread[..., :3] + 0.01 * general) / (spread[..., 3:] + 0.01)
    # Towards the lids, and most below the upper one, the white lies in their shadow.
    near = cv2.GaussianBlur(mask, (0, 0), 0.05 * width)
    below = cv2.warpAffine(near, np.float32([[1, 0, 0], [0, 1, 0.05 * width]]), near.shape[::-1])
    smooth *= (0.55 + 0.45 * np.clip(np.minimum(near, below) / 0.65, 0, 1))[..., None]
    keep = (cv2.GaussianBlur(mask, (0, 0), 0.015 * width) * (1 - disc))[..., None]
    whites[window] = photo * keep + smooth * (1 - keep)
