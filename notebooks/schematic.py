"""The whole method in one picture, drawn anew by each tutorial with the parts lit that it is about.

Needs matplotlib alone, so that the tutorial that builds everything from nothing can show it, too.
"""

import io
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

INK, SOFT, PALE = "#1f2328", "#8b929c", "#f3f4f6"
BLUE, ORANGE, GREY = "#2e5eaa", "#e27d38", "#6b7280"  # identity, action, neither: as in every plot of iad
PARTS = {  # name: (x, y, words, colour)
    "photo": (0.0, 3.0, "photo", GREY),
    "encoder": (1.7, 3.0, "face encoder,\nfrozen", GREY),
    "facial": (3.4, 3.0, "$f$  facial\nembedding", INK),
    "residual": (5.4, 4.0, "$r$  residual:\nlight, framing", GREY),
    "identity": (5.4, 3.0, "$i$  identity", BLUE),
    "action": (5.4, 1.8, "$a$  action", ORANGE),
    "words": (0.0, 0.6, "“she nods”", GREY),
    "text": (1.7, 0.6, "$T$  words to\naction", ORANGE),
    "text_action": (5.4, 0.6, "$t$  action,\nsaid in words", ORANGE),
    "denoiser": (7.7, 2.4, "denoiser:\nvideo from noise", BLUE),
    "geometry": (7.7, 0.6, "geometry moves\nthe photo's pixels", GREY),
    "clip": (9.6, 1.5, "clip", INK),
    "judges": (11.4, 1.5, "outside\njudges", GREY),
}
ARROWS = (
    "photo encoder", "encoder facial", "facial residual", "facial identity", "facial action", "words text",
    "text text_action", "identity denoiser", "text_action denoiser", "text_action geometry", "denoiser clip",
    "geometry clip", "clip judges",
)  # fmt: skip
LOSSES = {
    "L_ID": ("identity", "action", r"$L_{ID}$: apart"),
    "L_TA": ("action", "text_action", r"$L_{TA}$: alike"),
}
HALF = 0.72, 0.33  # of a box: half its width and its height


def draw_schematic(*lit: str) -> Image.Image:
    """Draw the method; parts and losses that are not `lit` are pale. Without any name all are lit.

    Raises:
        ValueError: a name that is no part.
    """
    known = (*PARTS, *LOSSES)
    unknown = [name for name in lit if name not in known]
    if unknown:
        raise ValueError(f"The schematic has no part {', '.join(unknown)}; choose from {', '.join(known)}.")
    lit = lit or known
    figure = Figure((11.2, 3.9), dpi=110)
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set(xlim=(-0.85, 12.25), ylim=(0.05, 4.5))
    panel.axis("off")
    for arrow in ARROWS:
        _join(panel, *arrow.split(), lit=lit)
    for name, ends in LOSSES.items():
        _draw_loss(panel, ends, lit=name in lit)
    for name, part in PARTS.items():
        _draw_part(panel, part, lit=name in lit)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _draw_part(panel: Any, part: tuple[float, float, str, str], *, lit: bool) -> None:
    x, y, words, colour = part
    corner, size = (x - HALF[0], y - HALF[1]), (2 * HALF[0], 2 * HALF[1])
    face, edge, ink = (colour, colour, "white") if lit else (PALE, "#d5d9de", SOFT)
    style = {"boxstyle": "round,pad=0,rounding_size=0.1", "facecolor": face, "edgecolor": edge}
    panel.add_patch(FancyBboxPatch(corner, *size, **style))
    panel.text(x, y, words, ha="center", va="center", color=ink, fontsize=9.5, linespacing=1.25)


def _join(panel: Any, start: str, end: str, *, lit: tuple[str, ...]) -> None:
    (x, y, *_), (u, v, *_) = PARTS[start], PARTS[end]
    both = start in lit and end in lit
    style = {"arrowstyle": "-|>", "mutation_scale": 12, "color": INK if both else "#c3c8cf"}
    ends = (x + HALF[0], y), (u - HALF[0], v)
    panel.add_patch(FancyArrowPatch(*ends, linewidth=1.8 if both else 1.1, shrinkA=1, shrinkB=1, **style))


def _draw_loss(panel: Any, ends: tuple[str, str, str], *, lit: bool) -> None:
    (x, top, *_), (_, low, *_) = (PARTS[name] for name in ends[:2])
    style = {"arrowstyle": "<|-|>", "mutation_scale": 10, "color": INK if lit else "#c3c8cf"}
    panel.add_patch(FancyArrowPatch((x, top - HALF[1]), (x, low + HALF[1]), **style))
    weight = "bold" if lit else "normal"
    panel.text(x + 0.1, (top + low) / 2, ends[2], va="center", color=INK if lit else SOFT, weight=weight)
