"""A photo's eyes as they look when closed: skin in the colours and grain of its surroundings, and lashes.

In come the photo and an eye's landmarks, out comes the photo with that eye closed. Places are in widths of
the eye: x along it, from -0.5 at the inner corner to 0.5 at the outer one, y up.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from iad.geometry.curves import round_off


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


def _look(opening, brow, size, outer) -> _View:
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


def _guess_skin(eye, view) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
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


def _grain(cheek, width) -> Float[np.ndarray, "h w 1"]:
    smooth = cv2.GaussianBlur(cheek, (0, 0), max(0.022 * width, 0.8))
    grain = (cheek - smooth).mean(axis=-1, keepdims=True) / (smooth.mean(axis=-1, keepdims=True) + 8)
    limit = 2.5 * np.median(np.abs(grain))
    return 1 + grain.clip(-limit, limit)


def _lay_skin(eye, skin, darker, view, reach) -> Float[np.ndarray, "h w 3"]:
    """Cover the open eye and its lashes, and draw the dome of the lid and its fold."""
    lashes = _smooth(cv2.dilate(darker, np.ones((3, 3))), 0.05, 0.18)
    lashes *= 1 - _smooth(view.beyond, 0.5 * reach, reach)
    lashes *= _smooth(view.y - view.lower, -0.14, 0.02) * _smooth(view.brow - view.y, 0.1, 0.22)
    cover = np.maximum(lashes, 1 - _smooth(view.beyond, 0.05, 0.15))
    cover = cv2.GaussianBlur(cover, (0, 0), max(0.025 * view.width, 0.5))
    height = ((view.y - view.lower) / np.maximum(view.upper + 0.08 - view.lower, 0.1)).clip(0, 1)
    dome = 0.92 + 0.12 * np.sin(np.pi * height**0.8) - 0.06 * (2 * np.abs(view.x)).clip(0, 1) ** 2
    fold = np.exp(-(((view.y - view.upper - 0.11) / 0.04) ** 2)) * (1 - _smooth(np.abs(view.x), 0.3, 0.55))
    closed = eye + (skin * dome[..., None] - eye) * cover[..., None]
    return closed * (1 - 0.10 * fold * cover)[..., None]


def _draw_lashes(closed, eye, darker, view) -> Float[np.ndarray, "h w 3"]:
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
    ends = _smooth(out, -0.02, 0.08) * (1 - _smooth(view.x, 0.42, 0.53))
    cover = 1 - (1 - line * ends) * (1 - hanging * ends) * (1 - shadow * ends)
    return closed + (np.minimum(ink, 0.45 * closed) - closed) * cover[..., None]


def _smooth(value, low: float, high: float):
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
