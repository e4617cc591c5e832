"""Backgrounds by name: out-of-focus places, painted from a seed.

`SCENES` names what captions may say, and lists the layers of each (`scenes.toml`); `paint` gives the picture
that belongs to the name. Every scene is drawn with simple shapes and then thrown out of focus as by a lens:
bright spots grow into discs, structures melt. A brush takes a canvas, (SIDE, SIDE, 3) display values (sRGB)
from 0 to 1, and returns what it made of it; places and sizes are shares of the side.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator

from iad.portraits import read_table

Canvas = Float[np.ndarray, "side side 3"]
Colour = Sequence[float]
Span = Sequence[float]  # from and to
SIDE = 192
_LEAVES = [(58, 92, 38), (86, 122, 48), (110, 146, 62), (40, 70, 34), (134, 160, 82)]

SCENES: dict[str, list[dict[str, Any]]] = {
    name: scene["layers"] for name, scene in read_table("scenes.toml").items()
}


def paint(name: str, seed: int, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Paint the named scene; name, seed and size decide every pixel.

    Raises:
        ValueError: There is no scene of that name.
    """
    if name not in SCENES:
        raise ValueError(f"There is no scene named {name!r}; choose one of: {', '.join(SCENES)}.")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    canvas = np.zeros((SIDE, SIDE, 3), np.float32)
    for layer in SCENES[name]:
        canvas = _apply(canvas, rng, **layer)
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
    canvas = canvas * rng.normal(1.0, 0.06) * rng.normal(1.0, 0.015, 3)
    canvas = cv2.resize(np.ascontiguousarray(canvas), (size, size), interpolation=cv2.INTER_AREA)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


def _apply(
    canvas: Canvas, rng: Generator, *, palettes: Sequence[Sequence[Colour]] | None = None, **layer: Any
) -> Canvas:
    brush, amount = next(iter(layer.items()))
    given = {key: value for key, value in layer.items() if key != brush}
    if palettes:
        given["colours"] = palettes[rng.integers(len(palettes))]
    elif given.get("colours") == "leaves":
        given["colours"] = _LEAVES
    return _BRUSHES[brush](canvas, rng, amount, **given)


def _rgb(colour: Colour) -> Float[np.ndarray, "3"]:
    return np.array(colour, np.float32) / 255


def _draw(rng: Generator, colours: Sequence[Colour]) -> Float[np.ndarray, "3"]:
    return _rgb(colours[rng.integers(len(colours))])


def _scalar(colour: Colour | Float[np.ndarray, "3"]) -> list[float]:
    return [float(c) for c in colour]


def _clouds(rng: Generator, coarse: int = 4, octaves: int = 4) -> Float[np.ndarray, "side side"]:
    """Fractal noise of mean 0 and about unit deviation."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for k in range(octaves):
        grid = rng.normal(0, 1, (coarse * 2**k + 1,) * 2).astype(np.float32)
        total += cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * 0.55**k
    return total / total.std()


def _fade(canvas: Canvas, rng: Generator, stops: Sequence[Sequence[float]]) -> Canvas:
    """Vertical gradient through the stops, 0 at the top."""
    stops = np.array(stops)
    y = np.linspace(0, 1, SIDE)
    column = np.stack([np.interp(y, stops[:, 0], stops[:, k] / 255) for k in (1, 2, 3)], axis=1)
    return np.repeat(column[:, None], SIDE, axis=1).astype(np.float32)


def _wall(
    canvas: Canvas,
    rng: Generator,
    edge: Sequence[float],
    *,
    floor: Sequence[float],
    colours: Sequence[Colour],
) -> Canvas:
    """A wall in one of the colours, down to the edge of the floor."""
    colour = colours[rng.integers(len(colours))]
    return _fade(canvas, rng, [[0, *colour], [0.68, *colour], edge, floor])


def _defocus(canvas: Canvas, rng: Generator, radius: float) -> Canvas:
    """Blur as a lens does: by a disc, in linear light."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    linear = np.clip(canvas, 0, None) ** 2.2
    blurred = cv2.filter2D(linear, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return np.clip(cv2.GaussianBlur(blurred, (0, 0), radius * 0.25 + 0.3), 0, None) ** (1 / 2.2)


def _boxes(
    canvas: Canvas,
    rng: Generator,
    count: int,
    *,
    x: Span,
    y: Span,
    width: Span,
    height: Span,
    colours: Sequence[Colour],
    spread: float = 0.06,
) -> Canvas:
    """Scatter upright rectangles; y is that of their bottom."""
    for _ in range(count):
        w, h = rng.uniform(*width) * SIDE, rng.uniform(*height) * SIDE
        left, bottom = rng.uniform(*x) * SIDE, rng.uniform(*y) * SIDE
        colour = _draw(rng, colours) * (1 + rng.normal(0, spread / 3, 3)) * rng.normal(1, spread)
        corner = (int(left), int(bottom - h)), (int(left + w), int(bottom))
        cv2.rectangle(canvas, *corner, _scalar(np.clip(colour, 0, 1)), -1)
    return canvas


def _blobs(
    canvas: Canvas,
    rng: Generator,
    count: int,
    *,
    x: Span = (0, 1),
    y: Span,
    radius: Span,
    colours: Sequence[Colour],
    spread: float = 0.1,
    flat: float = 1.0,
) -> Canvas:
    """Scatter ellipses, larger ones first, as foliage and crowds look from afar."""
    for r in sorted(rng.uniform(*radius, count), reverse=True):
        centre = int(rng.uniform(*x) * SIDE), int(rng.uniform(*y) * SIDE)
        colour = _draw(rng, colours) * rng.normal(1, spread) * (1 + rng.normal(0, spread / 3, 3))
        axes = max(int(r * SIDE), 1), max(int(r * SIDE * flat), 1)
        angle = rng.uniform(0, 180) if flat != 1 else 0
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, _scalar(np.clip(colour, 0, 1.2)), -1)
    return canvas


def _bokeh(
    canvas: Canvas,
    rng: Generator,
    count: int,
    *,
    x: Span = (0, 1),
    y: Span = (0, 1),
    radius: Span = (0.015, 0.05),
    colours: Sequence[Colour],
    strength: Span = (0.25, 0.8),
) -> Canvas:
    """Add points of light as the lens shows them: flat discs with a slightly brighter rim."""
    for _ in range(count):
        light = np.zeros((SIDE, SIDE), np.float32)
        r = rng.uniform(*radius) * SIDE
        centre = int(rng.uniform(*x) * SIDE * 16), int(rng.uniform(*y) * SIDE * 16)
        cv2.circle(light, centre, int(r * 16), 0.85, -1, cv2.LINE_AA, 4)
        cv2.circle(light, centre, int(r * 16), 1.0, 1, cv2.LINE_AA, 4)
        light = cv2.GaussianBlur(light, (0, 0), 0.8) * rng.uniform(*strength)
        colour = _draw(rng, colours)
        canvas = 1 - (1 - np.clip(canvas, 0, 1)) * (1 - light[..., None] * colour)
    return canvas


def _uneven(canvas: Canvas, rng: Generator, amount: float, *, coarse: int = 2) -> Canvas:
    """Brighten and darken large patches."""
    return canvas * (1 + amount * _clouds(rng, coarse, 3)[..., None])


def _ridge(canvas: Canvas, rng: Generator, base: float, *, rough: float, colour: Colour) -> Canvas:
    """Fill everything below a jagged line around the height `base`."""
    line = np.cumsum(rng.normal(0, rough, 12))
    x = np.linspace(0, SIDE, 12)
    y = (base + line - np.linspace(line[0], line[-1], 12)) * SIDE
    shape = np.concatenate([np.stack([x, y], 1), [[SIDE, SIDE], [0, SIDE]]]).astype(np.int32)
    return cv2.fillPoly(canvas, [shape], _scalar(_rgb(colour)))


def _backdrop(canvas: Canvas, rng: Generator, colour: Colour) -> Canvas:
    """A plain backdrop of this colour, lit from somewhere behind the sitter."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    left, top = rng.uniform(0.25, 0.75), rng.uniform(0.3, 0.6)
    glow = np.exp(-((x - left) ** 2 + (y - top) ** 2) / 0.5)
    shade = rng.uniform(0.62, 0.85) + glow * rng.uniform(0.2, 0.45)
    return _uneven(_rgb(colour) * shade[..., None].astype(np.float32), rng, 0.015)


def _shelves(canvas: Canvas, rng: Generator, apart: float, *, colours: Sequence[Colour]) -> Canvas:
    """Stand books in a row on shelves that are so far apart."""
    for shelf in np.arange(rng.uniform(0.08, 0.2), 1.2, apart):
        x = 0.0
        while x < 1:
            width = rng.uniform(0.012, 0.035)
            place = {"x": (x, x), "y": (shelf, shelf), "width": (width, width), "height": (0.12, 0.17)}
            _boxes(canvas, rng, 1, **place, colours=colours)
            x += width + 0.002
    return canvas


def _haze(canvas: Canvas, rng: Generator, amount: float) -> Canvas:
    """Draw white clouds into the upper half."""
    height = np.linspace(1, -1.4, SIDE).clip(0, 1)[:, None, None]
    soft = np.clip(_clouds(rng, 3)[..., None] - 0.4, 0, 1) * height
    return canvas * (1 - amount * soft) + amount * soft


def _bands(canvas: Canvas, rng: Generator, amount: float) -> Canvas:
    """Draw bands of cloud across the upper part."""
    bands = cv2.GaussianBlur(cv2.resize(_clouds(rng, 6)[:, :24], (SIDE, SIDE)), (0, 0), 3)[..., None]
    return canvas * (1 + amount * bands * np.linspace(1, -0.3, SIDE).clip(0, 1)[:, None, None])


def _bricks(canvas: Canvas, rng: Generator, mortar: Colour, *, colours: Sequence[Colour]) -> Canvas:
    canvas = np.tile(_rgb(mortar), (SIDE, SIDE, 1)).astype(np.float32)
    high, wide = int(rng.integers(12, 18)), int(rng.integers(30, 42))
    for row, y in enumerate(range(0, SIDE, high)):
        for x in range(-(row % 2) * wide // 2, SIDE, wide):
            colour = _scalar(np.clip(_draw(rng, colours) * rng.normal(1, 0.08), 0, 1))
            cv2.rectangle(canvas, (x + 1, y + 1), (x + wide - 2, y + high - 2), colour, -1)
    slope = np.linspace(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.1), SIDE)[None, :, None]
    return _uneven(_uneven(canvas, rng, 0.06, coarse=24), rng, 0.08) * slope


def _planks(canvas: Canvas, rng: Generator, width: Sequence[int], *, colours: Sequence[Colour]) -> Canvas:
    base, wide = _draw(rng, colours), int(rng.integers(*width))
    for x in range(0, SIDE, wide):
        grain = rng.normal(0, 1, (3, 9)).astype(np.float32)
        grain = cv2.resize(grain, (wide, SIDE), interpolation=cv2.INTER_CUBIC)
        part = canvas[:, x : x + wide]
        part[:] = base * rng.normal(1, 0.07) * (1 + 0.06 * grain[:, : part.shape[1], None])
        part[:, :2] *= 0.55
    return canvas


def _tubes(canvas: Canvas, rng: Generator, count: int, *, colours: Sequence[Colour]) -> Canvas:
    """Hang straight tubes of light, most of them level or upright, that glow."""
    for _ in range(count):
        ends = [(int(v[0]), int(v[1])) for v in rng.uniform(0, SIDE, (2, 2))]
        if rng.random() < 0.7:
            ends[1] = (ends[0][0], ends[1][1]) if rng.random() < 0.5 else (ends[1][0], ends[0][1])
        cv2.line(canvas, *ends, _scalar(_draw(rng, colours) * 1.3), int(rng.integers(3, 8)))
    return np.maximum(_defocus(canvas, rng, 5), _defocus(canvas, rng, 16) * 1.25)


def _mirror(canvas: Canvas, rng: Generator, amount: float) -> Canvas:
    """Mirror what is above the middle in the water below."""
    middle, deep = SIDE // 2, 60
    mirrored = canvas[middle - deep : middle][::-1]
    canvas[middle : middle + deep] = canvas[middle : middle + deep] * 0.55 + mirrored * amount
    return canvas


def _beams(canvas: Canvas, rng: Generator, count: int, *, colours: Sequence[Colour]) -> Canvas:
    """Let spotlights shine down."""
    for _ in range(count):
        x, tip = rng.uniform(-0.2, 1.2) * SIDE, rng.uniform(0, 1) * SIDE
        beam, colour = np.zeros_like(canvas), _draw(rng, colours) * 0.5
        cv2.fillPoly(beam, [np.array([[tip, 0], [x - 30, SIDE], [x + 30, SIDE]], np.int32)], _scalar(colour))
        canvas = canvas + beam * np.linspace(1, 0.1, SIDE)[:, None, None]
    return np.clip(canvas, 0, 1)


_BRUSHES: dict[str, Callable[..., Canvas]] = {
    "fade": _fade, "wall": _wall, "defocus": _defocus, "boxes": _boxes, "blobs": _blobs, "bokeh": _bokeh,
    "uneven": _uneven, "ridge": _ridge, "backdrop": _backdrop, "shelves": _shelves, "haze": _haze,
    "bands": _bands, "bricks": _bricks, "planks": _planks, "tubes": _tubes, "mirror": _mirror,
    "beams": _beams,
}  # fmt: skip
