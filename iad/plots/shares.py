"""Faces with their shares, their actions and their likeness to each other, drawn with PIL."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from iad.plots.face_pictures import round_corners, similarity_table
from iad.plots.style import ACTION, IDENTITY, INK, LINE, PAPER, RESIDUAL, SOFT

_MARGIN, _WIDTH, _ROW, _CROP, _TITLE = 48, 1120, 232, 192, 52
_SHARES, _ACTIONS = _MARGIN + _CROP + 36, 640  # left edges of a row's two columns


def decoupling_report(crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], report: Mapping[str, Any]) -> Image.Image:
    """Draw faces with their shares of identity, action and residual, best actions, and how alike they are.

    Args:
        crops: the aligned crop of each face.
        report: `faces`, `identity_cosine` and `action_cosine`, as `iad decouple --json` prints them.
    """
    faces = report["faces"]
    if len(crops) != len(faces) or not faces:
        raise ValueError(
            f"A report needs a crop for each face, got {len(crops)} crops and {len(faces)} faces."
        )
    labels = list_labels(len(faces))
    likeness = {"Identity similarity": ("identity_cosine", IDENTITY)}
    likeness |= {"Action similarity": ("action_cosine", ACTION)}
    tables = {
        title: similarity_table(np.array(report[key]), crops, labels, hue=hue)
        for title, (key, hue) in (likeness.items() if len(faces) > 1 else ())
    }
    head = 128
    side_by_side = sum(table.width for table in tables.values()) + _MARGIN <= _WIDTH - 2 * _MARGIN
    below = sum(t.height + _TITLE for t in list(tables.values())[: 1 if side_by_side else None])
    width = max([_WIDTH] + [table.width + 2 * _MARGIN for table in tables.values()])
    canvas = Image.new("RGB", (width, head + _ROW * len(faces) + below + 24), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (_MARGIN, 34), "Identity, action, residual", size=32)
    below_title = "How much of each facial embedding is the person, what the face does, light and framing"
    _write(draw, (_MARGIN, 76), below_title, tone=SOFT)
    for row, (crop, face, label) in enumerate(zip(crops, faces, labels, strict=True)):
        _draw_face(canvas, head + row * _ROW, crop, face, label=label if len(faces) > 1 else "")
    x, y = _MARGIN, head + _ROW * len(faces)
    for title, table in tables.items():
        _write(draw, (x, y + 4), title, size=22)
        canvas.paste(table, (x, y + _TITLE - 12))
        x, y = (x + table.width + _MARGIN, y) if side_by_side else (x, y + table.height + _TITLE)
    return canvas


def list_labels(count: int) -> list[str]:
    """Name faces A, B, ... Z, then 27, 28, ..."""
    return [ascii_uppercase[i] if i < 26 else str(i + 1) for i in range(count)]


def _draw_face(
    canvas: Image.Image, top: int, crop: UInt8[np.ndarray, "_ _ 3"], face: Mapping[str, Any], *, label: str
) -> None:
    draw = ImageDraw.Draw(canvas)
    picture, mask = round_corners(crop, _CROP, corner=14)
    canvas.paste(picture, (_MARGIN, top), mask)
    width = _ACTIONS - _SHARES - 48
    name = "  ".join(filter(None, [label, str(face["file"]).replace("\\", "/").rsplit("/", 1)[-1]]))
    _write(draw, (_SHARES, top + 6), _shorten(name, 20, width), size=20)
    tones = {"identity": IDENTITY, "action": ACTION, "residual": RESIDUAL}
    shares = [(what, face[f"{what}_share"], tone) for what, tone in tones.items()]
    total, x = max(sum(share for _, share, _ in shares), 1e-9), float(_SHARES)
    for _, share, tone in shares:
        draw.rectangle((x, top + 44, x + width * share / total, top + 72), fill=tone)
        x += width * share / total
    for line, (what, share, tone) in enumerate(shares):
        y = top + 94 + 26 * line
        draw.rectangle((_SHARES, y - 7, _SHARES + 13, y + 6), fill=tone)
        _write(draw, (_SHARES + 24, y), what, anchor="lm")
        _write(draw, (_SHARES + 190, y), f"{share:.1%}", anchor="rm")
    _write(draw, (_SHARES, top + 174), f"cosine of the first two {face['cosine']:+.3f}", tone=SOFT, size=16)

    for line, match in enumerate(face["actions"][:6]):
        _draw_match(draw, top + 18 + 31 * line, match["prompt"], match["similarity"])


def _draw_match(draw: ImageDraw.ImageDraw, y: float, prompt: str, similarity: float) -> None:
    bar, right = _ACTIONS + 186, _WIDTH - _MARGIN - 56
    _write(draw, (bar - 16, y), _shorten(prompt, 18, 170), anchor="rm")
    draw.rectangle((bar, y - 8, right, y + 8), fill=LINE)
    length = (right - bar) * min(1.0, max(0.0, similarity))
    if length >= 1:
        draw.rectangle((bar, y - 8, bar + length, y + 8), fill=ACTION)
    _write(draw, (_WIDTH - _MARGIN, y), f"{similarity:.2f}", tone=SOFT, anchor="rm")


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    *,
    size: int = 18,
    tone: tuple[int, int, int] = INK,
    anchor: str = "la",
) -> None:
    draw.text(place, text, fill=tone, font=ImageFont.load_default(size), anchor=anchor)


def _shorten(text: str, size: int, width: float) -> str:
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
