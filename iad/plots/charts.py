"""Numbers by matplotlib: losses and probes over a training, and scores as bars with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from iad.plots.style import INK, LINE, SOFT, create_figure, to_hex, to_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 3.7, 2.5  # inches: letters stay readable where a panel is as wide as a phone
_LEGEND = 0.16  # inches a line of the legend
_RIM = (0.52, 0.1, 0.3, 0.48)  # inches left, right, above and below the axes, without the legend
_FLOOR = 0.1  # of the largest value: below it a logarithmic axis of values that cross zero is linear


@dataclass(frozen=True)
class Trace:
    """One line of a panel; `raw` is drawn faintly behind it, as the values before smoothing."""

    name: str
    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    colour: str
    dashed: bool = False
    raw: Float[np.ndarray, " n"] | None = None


def draw_curves(
    traces: Sequence[Trace],
    *,
    title: str,
    across: str,
    log: bool = False,
    bounds: tuple[float, float] | None = None,
    levels: Sequence[tuple[float, str]] = (),
    now: float | None = None,
) -> Image.Image:
    """Draw one panel.

    Args:
        traces: the lines; few points are marked by dots.
        title: what is drawn.
        across: what the horizontal axis counts.
        log: a logarithmic vertical axis; linear near zero where values go below it.
        bounds: of the vertical axis.
        levels: heights to name, such as chance.
        now: a place on the horizontal axis to point out.
    """
    figure, panel = _create_panel(len(traces))
    for height, name in levels:
        panel.axhline(height, color=to_hex(SOFT), linewidth=1, linestyle=(0, (2, 2)))
        panel.annotate(
            name, (0, height), (4, 3), xycoords=("axes fraction", "data"), textcoords="offset points",
            fontsize=8, color=to_hex(SOFT),
        )  # fmt: skip
    if now is not None:
        panel.axvline(now, color=to_hex(LINE), linewidth=7, zorder=0)
    for trace in traces:
        _draw_trace(panel, trace)
    if log:
        _scale(panel, traces)
    panel.set_title(title, loc="left", fontsize=11)
    panel.set(xlabel=across, **({"ylim": bounds} if bounds else {}))
    panel.margins(x=0.02)
    if len(traces) > 1:
        place = {"loc": "lower center", "ncols": 2, "borderaxespad": 0.2}
        figure.legend(
            frameon=False, fontsize=8, handlelength=1.8, columnspacing=1.2, labelspacing=0.3, **place
        )
    return to_picture(figure)


def _create_panel(count: int) -> "tuple[Figure, Axes]":
    """Create axes at a fixed place: finding one would take twice as long as drawing."""
    legend = _LEGEND * -(-count // 2) if count > 1 else 0.0
    height = _HEIGHT + legend
    figure, ((panel,),) = create_figure(_WIDTH, height)
    figure.set_layout_engine(None)
    left, right, top, bottom = _RIM
    figure.subplots_adjust(
        left=left / _WIDTH, right=1 - right / _WIDTH, top=1 - top / height, bottom=(bottom + legend) / height
    )
    return figure, panel


def _draw_trace(panel: "Axes", trace: Trace) -> None:
    if trace.raw is not None:
        panel.plot(trace.x, trace.raw, color=trace.colour, alpha=0.22, linewidth=0.9)
    style = {"linestyle": (0, (4, 1.5)) if trace.dashed else "solid"}
    if len(trace.x) <= 16:
        style |= {
            "marker": "o",
            "markersize": 4,
            "markerfacecolor": "white" if trace.dashed else trace.colour,
        }
    panel.plot(trace.x, trace.y, color=trace.colour, label=trace.name, **style)


def _scale(panel: "Axes", traces: Sequence[Trace]) -> None:
    from matplotlib.ticker import LogLocator

    values = np.concatenate([trace.y for trace in traces if len(trace.y)] or [np.ones(1)])
    if values.min() > 0:
        panel.set_yscale("log")
        named = (1, 2, 5) if values.max() < 100 * values.min() else (1,)
        panel.yaxis.set_major_locator(LogLocator(subs=named))
        panel.yaxis.set_minor_formatter("")
    else:
        panel.set_yscale("symlog", linthresh=max(_FLOOR * float(np.abs(values).max()), 1e-6))
        panel.axhline(0, color=to_hex(INK), linewidth=0.6)
    panel.yaxis.set_major_formatter(_write_short)


def _write_short(value: float, _place: int | None = None) -> str:
    """Write a number in so few letters that it has room beside the axis."""
    text = f"{value:g}"
    return text if len(text) <= 5 else f"{value:.0e}".replace("e-0", "e-")


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
    panel: "Axes", spans: Mapping[str, tuple[float, float, float]], colours: Mapping[str, str]
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
