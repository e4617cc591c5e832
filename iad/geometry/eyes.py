"""The eyes of a photo person: irises lifted out of the photo so that gaze can move them, whites, and lids.

Closed lids are skin in the colours and grain of its surroundings, and lashes. Their places are in widths
of the eye: x along it, from -0.5 at the inner corner to 0.5 at the outer one, y up.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from iad.geometry.curves import ease, round_off


@dataclass(frozen=True)
class _View:
    """A window around an eye: each pixel's place, and how high both lids and the brow are there."""

    x: Float[np.ndarray, "h w"]
    y: Float[np.ndarray, "h w"]
    upper: Float[np.ndarray, "h w"]
    lower: Float[np.ndarray, "h w"]
    brow: Float[np.ndarray, "h w"]
    beyond: Float[np.ndarray, "h w"]  # how far outside of the open eye, about
    width: float  # pixels


def close_eye(
    photo: Float[np.ndarray, "h w 3"],
    opening: Float[np.ndarray, "6 2"],
    brow: Float[np.ndarray, "5 2"],
    *,
    outer: int,
    reach: float,
) -> None:
    """Paint the closed eye into a photo, in place.

    Args:
        photo: Colours 0 to 255.
        opening: Landmarks of the eye, pixels.
        brow: Landmarks of the brow above it.
        outer: 1 if the outer corner is to the picture's right, else -1.
        reach: How far from the eye lashes and paint are taken away.
    """
    width = float(np.linalg.norm(opening[3] - opening[0]))
    low = np.maximum(np.floor(opening.min(axis=0) - 1.1 * width).astype(int), 0)
    high = np.minimum(np.ceil(opening.max(axis=0) + 1.1 * width).astype(int), photo.shape[1::-1])
    if (high - low < 8).any() or width < 4:
        return
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    view, eye = _look(opening - low, brow - low, high - low, outer), photo[window].copy()
    skin, darker = _guess_skin(eye, view)
    down = 0.95 * np.float32([opening[0, 1] - opening[3, 1], opening[3, 0] - opening[0, 0]])  # to the cheek
    cheek = cv2.getRectSubPix(photo, tuple(high - low), tuple(np.round((low + high - 1) / 2 + down)))
    closed = _lay_skin(eye, skin * _grain(cheek, width), darker, view, reach)
    photo[window] = _draw_lashes(closed, eye, darker, view)


def _look(opening: np.ndarray, brow: np.ndarray, size: np.ndarray, outer: int) -> _View:
    width = float(np.linalg.norm(opening[3] - opening[0]))
    along, middle = (opening[3] - opening[0]) / width, 0.5 * (opening[0] + opening[3])
    frame = np.array([[outer * along[0], along[1]], [outer * along[1], -along[0]]]) / width
    columns, rows = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    x, y = np.moveaxis((np.stack([columns, rows], axis=-1) - middle) @ frame, -1, 0)
    around = (round_off(opening) - middle) @ frame
    lines = (around[:19], np.roll(around, -18, axis=0)[:19], (brow - middle) @ frame)
    upper, lower, brow = (np.interp(x, *line[np.argsort(line[:, 0])].T) for line in lines)
    across = np.maximum(y - upper, lower - y)
    beyond = np.where(np.abs(x) < 0.5, across, np.hypot(np.abs(x) - 0.5, across.clip(0)))
    return _View(x, y, upper, np.minimum(lower, upper), brow, beyond, width)


def _guess_skin(
    eye: np.ndarray, view: _View
) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Continue the skin around an eye over it; also return how much darker than that each pixel is (log).

    Light varies across a face, so a smooth surface is fitted. Brows, lashes, creases and frames of glasses
    are darker than skin, or brighter: such pixels count little.
    """
    around = (view.beyond > 0.1) & (view.y < view.brow - 0.14) & (view.y > -0.6) & (np.abs(view.x) < 0.72)
    terms = np.stack([np.ones_like(view.x), view.x, view.y, view.x**2, view.y**2], axis=-1)
    logs = np.log(eye + 4.0)
    few = slice(None, None, 1 + around.sum() // 4000)
    basis, values = terms[around][few], logs[around][few]
    trust = np.where(view.y < view.lower, 0.5, 1.0)[around][few]  # below the eye lie rings and bags
    weight, damp = trust, np.diag([1e-6, 0.01, 0.01, 0.03, 0.03]) * (len(basis) + 1)
    for _ in range(8):
        weighted = (basis * weight[:, None]).T
        surface = np.linalg.solve(weighted @ basis + damp * weight.mean(), weighted @ values)
        miss = (values - basis @ surface).mean(axis=-1)
        weight = trust * np.where(miss > 0, 1 / (1 + (miss / 0.25) ** 2), 0.35 / (1 + (miss / 0.15) ** 2))
    smooth = terms @ surface
    alike = around * np.exp(-(((logs - smooth).mean(axis=-1) / 0.2) ** 2))
    near = np.dstack([(logs - smooth) * alike[..., None], alike])
    near = cv2.GaussianBlur(near, (0, 0), 0.13 * view.width)
    smooth += near[..., :3] / (near[..., 3:] + 0.1)
    return np.exp(smooth) - 4, (smooth - logs).mean(axis=-1)


def _grain(cheek: np.ndarray, width: float) -> Float[np.ndarray, "h w 1"]:
    smooth = cv2.GaussianBlur(cheek, (0, 0), max(0.022 * width, 0.8))
    grain = (cheek - smooth).mean(axis=-1, keepdims=True) / (smooth.mean(axis=-1, keepdims=True) + 8)
    limit = 2.5 * np.median(np.abs(grain))
    return 1 + grain.clip(-limit, limit)


def _lay_skin(
    eye: np.ndarray, skin: np.ndarray, darker: np.ndarray, view: _View, reach: float
) -> Float[np.ndarray, "h w 3"]:
    """Cover the open eye and its lashes, and draw the dome of the lid and its fold."""
    lashes = ease(cv2.dilate(darker, np.ones((3, 3))), 0.05, 0.18)
    lashes *= 1 - ease(view.beyond, 0.5 * reach, reach)
    lashes *= ease(view.y - view.lower, -0.14, 0.02) * ease(view.brow - view.y, 0.1, 0.22)
    cover = np.maximum(lashes, 1 - ease(view.beyond, 0.05, 0.15))
    cover = cv2.GaussianBlur(cover, (0, 0), max(0.025 * view.width, 0.5))
    height = ((view.y - view.lower) / np.maximum(view.upper + 0.08 - view.lower, 0.1)).clip(0, 1)
    dome = 0.92 + 0.12 * np.sin(np.pi * height**0.8) - 0.06 * (2 * np.abs(view.x)).clip(0, 1) ** 2
    fold = np.exp(-(((view.y - view.upper - 0.11) / 0.04) ** 2)) * (1 - ease(np.abs(view.x), 0.3, 0.55))
    closed = eye + (skin * dome[..., None] - eye) * cover[..., None]
    return closed * (1 - 0.10 * fold * cover)[..., None]


def _draw_lashes(
    closed: np.ndarray, eye: np.ndarray, darker: np.ndarray, view: _View
) -> Float[np.ndarray, "h w 3"]:
    """Draw the line where the lids meet, and lashes hanging from it, as dark as those of the open eye."""
    inside, over, luma = np.abs(view.x) < 0.5, view.y - view.upper, eye.mean(axis=-1)
    margin, above = inside & (np.abs(over - 0.02) < 0.05), inside & (over > 0.06) & (over < 0.2)
    ink = eye[margin & (luma <= np.quantile(luma[margin], 0.25))].mean(axis=0)
    above &= view.y < view.brow - 0.14
    made_up = 0.45 * darker[margin].clip(0, 1).mean() + 0.6 * (darker.clip(0, 1) * above).sum() / (
        above.sum() + 1
    )
    made_up, out, height = min(made_up, 1.0), (view.x + 0.5).clip(0, 1), view.y - view.lower + 0.03
    rng = np.random.default_rng(5)
    uneven = np.interp(view.x, np.linspace(-0.6, 0.6, 40), rng.uniform(0.88, 1.12, 40))
    thick = np.maximum((0.018 + 0.022 * made_up) * (0.5 + 0.8 * out) * uneven, 0.45 / view.width)
    line = np.exp(-((height / thick) ** 2)) * (0.7 + 0.25 * made_up)
    fan = view.x - (0.9 * view.x + 0.25) * (-height).clip(0)
    strands = np.interp(fan, np.linspace(-0.6, 0.6, 64), rng.uniform(0, 1, 64) ** 1.5)
    length = (0.04 + 0.14 * made_up) * (0.5 + 0.6 * out) * (0.6 + 0.6 * strands)
    hanging = (1 + height / length).clip(0, 1) * (height < 0) * strands * (0.25 + 0.6 * made_up)
    shadow = 0.16 * np.exp(-(((height - 0.03) / 0.05) ** 2))
    ends = ease(out, -0.02, 0.08) * (1 - ease(view.x, 0.42, 0.53))
    cover = 1 - (1 - line * ends) * (1 - hanging * ends) * (1 - shadow * ends)
    return closed + (np.minimum(ink, 0.45 * closed) - closed) * cover[..., None]


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
        mask = _fill(round_off(inside), near.shape[:2])
        centre = _find_iris(near.mean(axis=-1), mask, inside, ball - low, radius)
        centres.append(centre + low.astype(np.float32))
        rows, columns = np.mgrid[: near.shape[0], : near.shape[1]] + 0.5
        distance = np.hypot(columns - centre[0], rows - centre[1])
        irises.append(_lift_iris(near, mask * (distance < radius), distance, centre, radius, side))
        _paint_white(whites[window], mask, distance, inside, radius)
        close_eye(lids, opening, brow, outer=outer, reach=0.2 if glasses else 0.42)
    return EyeTextures(whites, lids, np.stack(irises), np.stack(centres))


def _fill(polygon: Float[np.ndarray, "n 2"], shape: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Draw a polygon, soft at its border."""
    mask = np.zeros(shape, np.uint8)
    points = np.round((polygon - 0.5) * 16).astype(np.int32)
    cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA, shift=4)
    return mask.astype(np.float32) / 255


def _find_iris(
    luma: np.ndarray, mask: np.ndarray, opening: np.ndarray, ball: np.ndarray, radius: float
) -> Float[np.ndarray, " 2"]:
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


def _lift_iris(
    photo: np.ndarray, mask: np.ndarray, distance: np.ndarray, centre: np.ndarray, radius: float, side: int
) -> Float[np.ndarray, "k k 4"]:
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


def _paint_white(
    whites: np.ndarray, mask: np.ndarray, distance: np.ndarray, opening: np.ndarray, radius: float
) -> None:
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
