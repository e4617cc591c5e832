"""A small canvas for out-of-focus pictures: gradients, scattered shapes, and a lens to blur them.

Pictures are (SIDE, SIDE, 3) display values (sRGB), 0 to 1; places and sizes are shares of the side.
"""

import cv2
import numpy as np
from jaxtyping import Float

Canvas = np.ndarray
SIDE = 192


def rgb(*colour: int) -> Float[np.ndarray, "3"]:
    """Turn 0 to 255 into 0 to 1."""
    return np.array(colour, np.float32) / 255


def fade(*stops: tuple[float, tuple[int, int, int]]) -> Canvas:
    """Vertical gradient through (height, colour) stops, 0 at the top."""
    heights, colours = [s[0] for s in stops], np.array([s[1] for s in stops]) / 255
    y = np.linspace(0, 1, SIDE)
    column = np.stack([np.interp(y, heights, colours[:, k]) for k in range(3)], axis=1)
    return np.repeat(column[:, None], SIDE, axis=1).astype(np.float32)


def clouds(rng: np.random.Generator, coarse: int = 4, octaves: int = 4) -> Float[np.ndarray, "h w"]:
    """Fractal noise of mean 0 and about unit deviation."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for k in range(octaves):
        grid = rng.normal(0, 1, (coarse * 2**k + 1,) * 2).astype(np.float32)
        total += cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * 0.55**k
    return total / total.std()


def defocus(canvas: Canvas, radius: float) -> Canvas:
    """Blur as a lens does: by a disc, in linear light."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    linear = np.clip(canvas, 0, None) ** 2.2
    blurred = cv2.filter2D(linear, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return np.clip(cv2.GaussianBlur(blurred, (0, 0), radius * 0.25 + 0.3), 0, None) ** (1 / 2.2)


def boxes(canvas, rng, *, count, x, y, width, height, colours, spread=0.06):
    """Scatter upright rectangles; ranges are shares of the side, y that of their bottom."""
    for _ in range(count):
        w, h = rng.uniform(*width) * SIDE, rng.uniform(*height) * SIDE
        left, bottom = rng.uniform(*x) * SIDE, rng.uniform(*y) * SIDE
        colour = (
            rgb(*colours[rng.integers(len(colours))])
            * (1 + rng.normal(0, spread / 3, 3))
            * rng.normal(1, spread)
        )
        corner = (int(left), int(bottom - h)), (int(left + w), int(bottom))
        cv2.rectangle(canvas, *corner, [float(c) for c in np.clip(colour, 0, 1)], -1)
    return canvas


def blobs(canvas, rng, *, count, x=(0, 1), y, radius, colours, spread=0.1, flat=1.0):
    """Scatter ellipses, larger ones first, as foliage and crowds look from afar."""
    for r in sorted(rng.uniform(*radius, count), reverse=True):
        centre = int(rng.uniform(*x) * SIDE), int(rng.uniform(*y) * SIDE)
        colour = (
            rgb(*colours[rng.integers(len(colours))])
            * rng.normal(1, spread)
            * (1 + rng.normal(0, spread / 3, 3))
        )
        axes = max(int(r * SIDE), 1), max(int(r * SIDE * flat), 1)
        cv2.ellipse(canvas, centre, axes, rng.uniform(0, 180) if flat != 1 else 0, 0, 360,
                    [float(c) for c in np.clip(colour, 0, 1.2)], -1)  # fmt: skip
    return canvas


def bokeh(canvas, rng, *, count, x=(0, 1), y=(0, 1), radius=(0.015, 0.05), colours, strength=(0.25, 0.8)):
    """Add points of light as the lens shows them: flat discs with a slightly brighter rim."""
    for _ in range(count):
        light = np.zeros((SIDE, SIDE), np.float32)
        r = rng.uniform(*radius) * SIDE
        centre = int(rng.uniform(*x) * SIDE * 16), int(rng.uniform(*y) * SIDE * 16)
        cv2.circle(light, centre, int(r * 16), 0.85, -1, cv2.LINE_AA, 4)
        cv2.circle(light, centre, int(r * 16), 1.0, 1, cv2.LINE_AA, 4)
        light = cv2.GaussianBlur(light, (0, 0), 0.8) * rng.uniform(*strength)
        colour = rgb(*colours[rng.integers(len(colours))])
        canvas = 1 - (1 - np.clip(canvas, 0, 1)) * (1 - light[..., None] * colour)
    return canvas


def uneven(canvas, rng, amount=0.05, coarse=2):
    """Brighten and darken large patches."""
    return canvas * (1 + amount * clouds(rng, coarse, 3)[..., None])


def ridge(canvas, rng, *, base, rough, colour):
    """Fill everything below a jagged line around the height `base`."""
    line = np.cumsum(rng.normal(0, rough, 12))
    x = np.linspace(0, SIDE, 12)
    y = (base + line - np.linspace(line[0], line[-1], 12)) * SIDE
    shape = np.concatenate([np.stack([x, y], 1), [[SIDE, SIDE], [0, SIDE]]]).astype(np.int32)
    cv2.fillPoly(canvas, [shape], [float(c) for c in rgb(*colour)])
