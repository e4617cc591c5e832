"""What can be read from embeddings: bars beside chance and shuffled labels, and what is taken for what."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from iad.plots.style import ACTION, IDENTITY, INK, PAPER, SERIES, SOFT, create_figure, to_hex, to_picture

_TITLES = {
    "expression": "Which facial action?",
    "coefficients": "How strongly? (R²)",
    "pose": "Where does the head point? (R²)",
    "person": "Who is it?",
}


def probe_bars(
    found: Mapping[str, Mapping[str, Any]],
    *,
    chance: Mapping[str, float],
    kind: str = "linear",
) -> Image.Image:
    """Draw what probes read from embeddings: a panel a question, a bar an embedding.

    Args:
        found: what `iad.evaluation.measures.measure` returned, for each embedding.
        chance: the questions to show, and what somebody who guesses reaches.
        kind: of reader, "linear" or "mlp".
    """
    names = list(found)
    figure, axes = create_figure(3.4 * len(chance), 0.8 + 0.42 * len(names), columns=len(chance), sharey=True)
    for panel, (question, guess) in zip(axes[0], chance.items(), strict=True):
        entries = {name: found[name][question][kind] for name in names}
        spans = {name: (entry["value"], entry["low"], entry["high"]) for name, entry in entries.items()}
        places = _draw_bars(panel, spans, {name: _colour(name) for name in names})
        shuffled = [entry["shuffled"] for entry in entries.values()]
        panel.plot(shuffled, places, "d", color=to_hex(PAPER), markeredgecolor=to_hex(INK), markersize=5)
        panel.axvline(guess, color=to_hex(SOFT), linestyle=(0, (4, 3)), linewidth=1.2)
        panel.set(title=_TITLES[question], xlim=(min(0.0, *shuffled) - 0.03, 1.18), xticks=[0, 0.5, 1])
    legend = "dashed: chance    ◇: taught on shuffled labels    whiskers: 95 % intervals over people"
    figure.supxlabel(legend, fontsize=9)
    return to_picture(figure)


def score_bars(panels: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> Image.Image:
    """Draw scores with their intervals: a panel a metric, a bar a model.

    Args:
        panels: title, then (value, low, high) of each model; the same models in every panel.
    """
    names = list(next(iter(panels.values())))
    colours = {name: SERIES[k % len(SERIES)] for k, name in enumerate(names)}
    height = 0.8 + 0.36 * len(names)
    figure, axes = create_figure(3.0 * len(panels) + 0.6, height, columns=len(panels), sharey=True)
    for panel, (title, spans) in zip(axes[0], panels.items(), strict=True):
        _draw_bars(panel, spans, colours)
        ends = [end for span in spans.values() for end in span if np.isfinite(end)]
        room = 0.28 * (max(ends) - min(0.0, *ends))
        panel.set(title=title, xlim=(min(0.0, *ends) - 0.1 * room, max(ends) + room))
    return to_picture(figure)


def _draw_bars(
    panel: Any, spans: Mapping[str, tuple[float, float, float]], colours: Mapping[str, str]
) -> Int[np.ndarray, " n"]:
    """Draw a bar with whiskers and number for each name, the first at the top; returns their places."""
    places = np.arange(len(spans))[::-1]
    values, low, high = np.array(list(spans.values()), np.float64).T
    panel.barh(places, values, height=0.62, color=[colours[name] for name in spans])
    reach = np.abs([values - low, high - values])
    panel.errorbar(values, places, xerr=reach, fmt="none", ecolor=to_hex(INK), elinewidth=1.2, capsize=2)
    for place, *ends in zip(places, values, high, strict=True):
        panel.text(np.nanmax([0, *ends]), place, f"  {ends[0]:.2f}", va="center", fontsize=9)
    panel.set_yticks(places, list(spans))
    panel.grid(axis="y", visible=False)
    return places


def confusion_table(
    truth: Int[np.ndarray, " n"], told: Int[np.ndarray, " n"], names: Sequence[str], *, title: str = ""
) -> Image.Image:
    """Draw what is taken for what: a row for each true class, shares of it in percent."""
    table = count_confusions(truth, told, len(names))
    side = 1.4 + 0.36 * len(names)
    figure, axes = create_figure(side, side - 0.6)
    panel = axes[0, 0]
    panel.imshow(table, cmap=_ramp(), vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(table.shape):
        value = table[row, column]
        if value >= 0.005:
            tone = PAPER if value > 0.55 else INK
            panel.text(
                column, row, f"{value:.0%}", ha="center", va="center", fontsize=7.5, color=to_hex(tone)
            )
    panel.set_xticks(range(len(names)), names, rotation=40, ha="right")
    panel.set_yticks(range(len(names)), names)
    panel.set(title=title, xlabel="what the reader says", ylabel="what the face does")
    panel.grid(False)
    panel.spines[:].set_visible(False)
    return to_picture(figure)


def count_confusions(
    truth: Int[np.ndarray, " n"], told: Int[np.ndarray, " n"], classes: int
) -> Float[np.ndarray, "k k"]:
    """Return the share of each true class (row) that is told to be each class (column)."""
    table = np.zeros((classes, classes))
    np.add.at(table, (truth, told), 1)
    return table / np.maximum(table.sum(1, keepdims=True), 1)


def _ramp() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("paper to identity", [to_hex(PAPER), to_hex(IDENTITY)])


def _colour(name: str) -> str:
    """Identity is blue and action orange wherever they are shown; all else is grey."""
    return {"i": SERIES[0], "a": to_hex(ACTION)}.get(name[:1], SERIES[7])
