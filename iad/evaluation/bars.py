"""Shares as horizontal bars with their intervals, drawn with PIL alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

INK, SOFT, LINE, PAPER = (31, 35, 40), (110, 118, 129), (229, 231, 235), (255, 255, 255)
HUES = ((46, 94, 170), (226, 125, 56))
LEFT, RIGHT, WIDTH, ROW, HEAD = 380, 110, 1120, 30, 96  # pixels


@dataclass(frozen=True)
class Bar:
    """A share and its interval; drawn from 0 to 1, the number beside it is not clipped."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    hue: int = 0


def draw_bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]]) -> Image.Image:
    """Draw groups of bars below their headings; 0 and 1 are marked."""
    rows = sum(len(bars) + 2 for _, bars in groups)
    canvas = Image.new("RGB", (WIDTH, HEAD + rows * ROW + 16), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (48, 30), title, size=26)
    y = HEAD
    for heading, bars in groups:
        _write(draw, (48, y + 4), heading, size=20)
        y += ROW + 8
        for share in (0, 0.5, 1):
            draw.line((_x(share), y - 2, _x(share), y + len(bars) * ROW), fill=LINE, width=2)
        for bar in bars:
            _draw_bar(draw, y, bar)
            y += ROW
        y += ROW - 8
    return canvas


def _draw_bar(draw: ImageDraw.ImageDraw, y: float, bar: Bar) -> None:
    middle = y + ROW / 2
    _write(draw, (LEFT - 16, middle), bar.name, size=17, anchor="rm")
    if bar.value is None:
        _write(draw, (LEFT + 8, middle), "nothing to leak", size=15, tone=SOFT, anchor="lm")
        return
    draw.rectangle((_x(0), middle - 8, max(_x(0) + 1, _x(bar.value)), middle + 8), fill=HUES[bar.hue])
    if bar.low is not None and bar.high is not None:
        draw.line((_x(bar.low), middle, _x(bar.high), middle), fill=INK, width=2)
    _write(draw, (WIDTH - 40, middle), f"{bar.value:.2f}", size=17, anchor="rm")


def _x(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))


def _write(draw: ImageDraw.ImageDraw, place, text: str, *, size: int, tone=INK, anchor: str = "la") -> None:
    draw.text(place, text, fill=tone, font=ImageFont.load_default(size), anchor=anchor)
