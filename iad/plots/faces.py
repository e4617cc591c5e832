"""Faces in rows, each with a line of text below it."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from iad.plots.style import INK, PAPER, SOFT, to_rgb

_GAP, _LINE, _TEXT = 6, 22, 14  # pixels between pictures, of a line of text, of its letters


def face_sheet(
    crops: UInt8[np.ndarray, "n h w 3"],
    labels: Sequence[str] = (),
    *,
    columns: int = 9,
    size: int = 96,
    frames: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Image.Image:
    """Show faces in rows.

    Args:
        crops: the faces, row by row.
        labels: a few words below each face, or none.
        columns: how many faces a row has.
        size: side of each face in pixels.
        frames: a colour such as "#009e73" around each face, "" for no frame.
        titles: a few words before each row, or none.
    """
    rows = -(-len(crops) // columns)
    left = 0 if not titles else 12 + round(max(_font().getlength(title) for title in titles))
    below = _LINE if labels else 0
    width, height = left + columns * (size + _GAP) - _GAP, rows * (size + below + _GAP) - _GAP
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for k, crop in enumerate(crops):
        x, y = left + k % columns * (size + _GAP), k // columns * (size + below + _GAP)
        canvas.paste(Image.fromarray(crop).resize((size, size), Image.LANCZOS), (x, y))
        if k < len(frames) and frames[k]:
            draw.rectangle((x, y, x + size - 1, y + size - 1), outline=to_rgb(frames[k]), width=4)
        if k < len(labels):
            place = (x + size / 2, y + size + below / 2)
            draw.text(place, labels[k], fill=SOFT, font=_font(size, labels[k]), anchor="mm")
    for row, title in enumerate(titles):
        y = row * (size + below + _GAP) + size / 2
        draw.text((left - 12, y), title, fill=INK, font=_font(), anchor="rm")
    return canvas


def _font(width: float | None = None, text: str = "") -> ImageFont.FreeTypeFont:
    """Return the font, smaller where a text would otherwise be wider than `width`."""
    size = _TEXT
    while width and size > 9 and ImageFont.load_default(size).getlength(text) > width:
        size -= 1
    return ImageFont.load_default(size)
