"""The colours and the paper that all plots share; figures by matplotlib, out come PIL pictures."""

import io
from typing import Any

from PIL import Image

INK, SOFT, LINE, PAPER = (31, 35, 40), (96, 103, 113), (229, 231, 235), (255, 255, 255)
IDENTITY, ACTION, RESIDUAL = (46, 94, 170), (226, 125, 56), (156, 163, 175)
# Told apart by people who see colours in other ways too (Okabe and Ito), identity and action first.
SERIES = ("#2e5eaa", "#e27d38", "#009e73", "#cc79a7", "#56b4e9", "#8a6d00", "#6b4fa0", "#7a7f87")
DOTS_PER_INCH = 144


def to_hex(colour: tuple[int, int, int]) -> str:
    """Write a colour as matplotlib reads it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def to_rgb(colour: str) -> tuple[int, int, int]:
    """Read a colour such as "#2e5eaa"."""
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def create_figure(width: float, height: float, *, rows: int = 1, columns: int = 1, **options: Any) -> Any:
    """Create a figure of so many inches with axes (rows, columns), without touching any global state."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure((width, height), layout="constrained", dpi=DOTS_PER_INCH)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes


def to_picture(figure: Any) -> Image.Image:
    """Draw a figure."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context(_STYLE):
        figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, the same on every machine
    "font.size": 10,
    "text.color": to_hex(INK),
    "axes.labelcolor": to_hex(INK),
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#c9cdd3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": f"cycler('color', {list(SERIES)})",
    "grid.color": to_hex(LINE),
    "grid.linewidth": 0.8,
    "xtick.color": to_hex(SOFT),
    "ytick.color": to_hex(SOFT),
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "figure.facecolor": to_hex(PAPER),
}
