"""Where attention goes, drawn over the picture that it looks at."""

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from iad.plots.style import ACTION, INK


def overlay_attention(
    picture: UInt8[np.ndarray, "h w 3"],
    weights: Float[np.ndarray, "y x"],
    *,
    size: int = 160,
    box: tuple[float, float, float, float] | None = None,
    hue: tuple[int, int, int] = ACTION,
) -> UInt8[np.ndarray, "size size 3"]:
    """Light up where attention goes: the rest of the picture becomes grey and pale.

    Args:
        picture: what is looked at.
        weights: attention on a grid over it; the largest becomes the full colour.
        size: side of the result in pixels.
        box: left, top, right, bottom of who looks, in [0, 1]; drawn as a frame. See `cell_box`.
        hue: the colour of attention.
    """
    face = Image.fromarray(picture).resize((size, size), Image.LANCZOS)
    pale = 0.4 * np.asarray(face.convert("L"), float)[..., None] + 0.6 * 255
    heat = Image.fromarray((weights / max(float(weights.max()), 1e-12)).astype(np.float32))
    heat = np.asarray(heat.resize((size, size), Image.BICUBIC)).clip(0, 1)[..., None]
    colour = 0.4 * np.asarray(face, float) + 0.6 * np.array(hue)
    shown = Image.fromarray((pale + heat * (colour - pale)).round().clip(0, 255).astype(np.uint8))
    if box is not None:
        edges = [round(edge * (size - 1)) for edge in box]
        ImageDraw.Draw(shown).rectangle(edges, outline=INK, width=3)
    return np.asarray(shown)


def cell_box(index: int, side: int) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of cell `index` of a picture, cut row by row into `side` x `side`."""
    y, x = divmod(index, side)
    return x / side, y / side, (x + 1) / side, (y + 1) / side
