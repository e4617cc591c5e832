"""Scores as horizontal bars with their intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int
from PIL import Image

from iad.plots.style import INK, create_figure, to_hex, to_picture


def stack_bars(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    colours: Mapping[str, str],
    *,
    across: str,
) -> Image.Image:
    """Draw shares with their intervals, panels below each other: title, then (value, low, high) by name."""
    counts = [len(spans) for spans in panels.values()]
    figure, axes = create_figure(
        8.0, 0.55 * len(panels) + 0.24 * sum(counts), rows=len(panels), height_ratios=counts
    )
    for panel, (title, spans) in zip(axes[:, 0], panels.items(), strict=True):
        draw_bars(panel, spans, colours)
        panel.set(title=title, xlim=(-0.05, 1.25), ylim=(-0.6, len(spans) - 0.4), xticks=[0, 0.5, 1])
    figure.supxlabel(across, fontsize=10)
    return to_picture(figure)


def draw_bars(
    panel: Any, spans: Mapping[str, tuple[float, float, float]], colours: Mapping[str, str]
) -> Int[np.ndarray, " n"]:
    """Draw a bar with whiskers and number for each name, the first at the top; returns their places."""
    places = np.arange(len(spans))[::-1]
    values, low, high = np.array(list(spans.values()), np.float64).T
    panel.barh(places, values, height=0.62, color=[colours[name] for name in spans])
    reach = np.abs([values - low, high - values])
    panel.errorbar(values, places, xerr=reach, fmt="none", ecolor=to_hex(INK), elinewidth=1.2, capsize=2)
    for place, *ends in zip(places, values, high, strict=True):
        text = f"  {ends[0]:.2f}" if np.isfinite(ends[0]) else "  –"
        panel.text(np.nanmax([0, *ends]), place, text, va="center", fontsize=9, clip_on=True)
    panel.set_yticks(places, list(spans))
    panel.grid(axis="y", visible=False)
    return places
