"""Pictures that only the tutorials draw, and a look into attention while a model works.

In come arrays, probes' reports and modules; out come PIL pictures, or attention weights. The colours are those of
`iad.plots`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from iad.decoupling import Attention, Reader
from iad.models.transformer import IaDBlock, IaDTransformer3DModel
from iad.plots import draw_bars
from iad.plots.style import (
    ACTION,
    IDENTITY,
    INK,
    LINE,
    PAPER,
    SERIES,
    SOFT,
    create_figure,
    to_hex,
    to_picture,
)

_ROOMY = 0.3  # side of a square, in lengths of f, in which its area can be written


def pythagoras(
    splits: Mapping[str, tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]],
) -> Image.Image:
    """Draw the triangle of i, a and f = i + a with the squares on its sides, lengths and angle true to scale.

    Args:
        splits: title, then (identity, action) of one face, a panel each.
    """
    figure, axes = create_figure(3.3 * len(splits), 3.5, columns=len(splits))
    for panel, (title, (identity, action)) in zip(axes[0], splits.items(), strict=True):
        _draw_triangle(panel, identity.astype(np.float64), action.astype(np.float64))
        panel.set(title=title, aspect="equal")
        panel.axis("off")
    return to_picture(figure)


def triangle(
    identity: Float[np.ndarray, " d"], action: Float[np.ndarray, " d"]
) -> tuple[Float[np.ndarray, "3 2"], float]:
    """Lay i + a = f into the plane with |f| = 1; returns the corners, and the angle of i and a in degrees."""
    facial = identity + action
    size = np.linalg.norm(facial)
    cosine = identity @ action / (np.linalg.norm(identity) * np.linalg.norm(action))
    i, a = np.linalg.norm(identity) / size, np.linalg.norm(action) / size
    corner = np.array([i, 0.0])
    end = corner + a * np.array([cosine, np.sqrt(1 - cosine**2)])
    return np.stack([np.zeros(2), corner, end]), float(np.degrees(np.arccos(cosine)))


def _draw_triangle(panel: Any, identity: np.ndarray, action: np.ndarray) -> None:
    from matplotlib.patches import Polygon

    corners, angle = triangle(identity, action)
    sides = [(1, 0, "i", IDENTITY), (2, 1, "a", ACTION), (0, 2, "f", INK)]
    for start, end, name, colour in sides:  # in this order every square lies outside
        along = corners[end] - corners[start]
        outwards = np.array([-along[1], along[0]])
        square = [corners[start], corners[end], corners[end] + outwards, corners[start] + outwards]
        panel.add_patch(Polygon(square, facecolor=to_hex(colour), alpha=0.16, linewidth=0))
        panel.plot(*np.stack([corners[start], corners[end]]).T, color=to_hex(colour), linewidth=2.6)
        inside = np.linalg.norm(along) > _ROOMY
        place = np.mean(square, axis=0) if inside else (corners[start] + corners[end]) / 2 + 1.15 * outwards
        area = f"$|{name}|^2$\n{along @ along:.2f}" if inside else f" $|{name}|^2$ {along @ along:.2f}"
        anchor = {"ha": "center", "va": "center"} if inside else {"ha": "left", "va": "center"}
        panel.text(*place, area, color=to_hex(colour), **anchor)
    i, a = (float(np.sum((corners[k] - corners[k - 1]) ** 2)) for k in (1, 2))
    panel.text(0.5, -0.02, f"angle {angle:.1f}°,  {i:.2f} + {a:.2f} = {i + a:.2f}", ha="center", va="top",
               transform=panel.transAxes, color=to_hex(SOFT))  # fmt: skip
    panel.autoscale_view()


def strength_of_directions(
    curves: Mapping[str, Float[np.ndarray, " k"]], *, taken: int = 0, most: int = 40
) -> Image.Image:
    """Draw how much there is in every direction, strongest first, as shares of the whole.

    Args:
        curves: eigenvalues of a scatter matrix, largest first.
        taken: how many directions are taken for action; they are shaded.
        most: how many directions to draw.
    """
    figure, axes = create_figure(6.4, 3.0)
    panel = axes[0, 0]
    for (name, values), colour in zip(curves.items(), (ACTION, IDENTITY), strict=False):
        shares = values[:most] / values.sum()
        panel.plot(
            np.arange(1, len(shares) + 1), shares, "o-", markersize=3.5, label=name, color=to_hex(colour)
        )
    if taken:
        panel.axvspan(0.5, taken + 0.5, color=to_hex(LINE), zorder=0)
        panel.text(
            taken + 0.8, panel.get_ylim()[1] * 0.93, f"the first {taken}", va="top", color=to_hex(SOFT)
        )
    panel.set(xlabel="direction", ylabel="share of all variation", xlim=(0.5, most + 0.5), ylim=(0, None))
    panel.legend(loc="upper right", frameon=False)
    return to_picture(figure)


def scatter_faces(
    panels: Mapping[str, Float[np.ndarray, "n 2"]],
    label: Int[np.ndarray, " n"],
    names: Sequence[str],
    *,
    axes: tuple[str, str],
) -> Image.Image:
    """Draw faces as points in two directions, coloured by label, the same scale in every panel.

    Args:
        panels: title and coordinates.
        label: index into `names` of every face.
        names: what the colours mean.
        axes: what the two directions are.
    """
    figure, frames = create_figure(
        4.1 * len(panels) + 1.2, 3.7, columns=len(panels), sharex=True, sharey=True
    )
    for panel, (title, points) in zip(frames[0], panels.items(), strict=True):
        for k, name in enumerate(names):
            shown = points[label == k]
            panel.plot(*shown.T, "o", color=SERIES[k % len(SERIES)], markersize=4, alpha=0.85, label=name,
                       markeredgewidth=0)  # fmt: skip
        panel.set(title=title, xlabel=axes[0])
    frames[0, 0].set_ylabel(axes[1])
    frames[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return to_picture(figure)


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
        found: what `iad.evaluation.probes.measure` returned, for each embedding.
        chance: the questions to show, and what somebody who guesses reaches.
        kind: of reader, "linear" or "mlp".
    """
    names = list(found)
    figure, axes = create_figure(3.4 * len(chance), 0.8 + 0.42 * len(names), columns=len(chance), sharey=True)
    for panel, (question, guess) in zip(axes[0], chance.items(), strict=True):
        entries = {name: found[name][question][kind] for name in names}
        spans = {name: (entry["value"], entry["low"], entry["high"]) for name, entry in entries.items()}
        places = draw_bars(panel, spans, {name: _colour(name) for name in names})
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
        draw_bars(panel, spans, colours)
        ends = [end for span in spans.values() for end in span if np.isfinite(end)]
        room = 0.28 * (max(ends) - min(0.0, *ends))
        panel.set(title=title, xlim=(min(0.0, *ends) - 0.1 * room, max(ends) + room))
    return to_picture(figure)


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


_SHAPES = ("o", "s", "^", "D", "v", "P")
_SIDE = 3.1  # inches a panel


def draw_surfaces(
    surfaces: Mapping[str, Float[np.ndarray, "y x"]],
    *,
    span: tuple[float, float, float, float],
    marks: Mapping[str, Sequence[float]] | None = None,
    circle: tuple[float, float, float] | None = None,
    paths: Float[np.ndarray, "t n 2"] | None = None,
    shared: bool = True,
) -> Image.Image:
    """Draw losses over the plane, dark where low, side by side.

    Args:
        surfaces: title and values of each panel; row 0 is the lowest y.
        span: left, right, bottom and top of the plane.
        marks: points to name, (x, y) each.
        circle: x, y and radius of a circle to draw.
        paths: where points were, step by step.
        shared: all panels have one colour scale.
    """
    figure, axes = create_figure((_SIDE + 0.5) * len(surfaces), _SIDE + 0.2, columns=len(surfaces))
    low, high = min(v.min() for v in surfaces.values()), max(v.max() for v in surfaces.values())
    for panel, (title, values) in zip(axes[0], surfaces.items(), strict=True):
        bottom, top = (low, high) if shared else (values.min(), values.max())
        levels = np.linspace(bottom, top if top > bottom else bottom + 1, 15)
        x, y = np.linspace(*span[:2], values.shape[1]), np.linspace(*span[2:], values.shape[0])
        filled = panel.contourf(x, y, values, levels=levels, cmap=_deep_ramp())
        figure.colorbar(filled, ax=panel, shrink=0.85, ticks=np.linspace(levels[0], levels[-1], 4)).ax.set(
            yticklabels=[f"{round(v, 2) + 0.0:g}" for v in np.linspace(levels[0], levels[-1], 4)]
        )
        panel.set(title=title, aspect="equal", xlim=span[:2], ylim=span[2:])
        panel.grid(False)
        if circle is not None:
            turn = np.linspace(0, 2 * np.pi, 200)
            ring = circle[0] + circle[2] * np.cos(turn), circle[1] + circle[2] * np.sin(turn)
            panel.plot(*ring, color=to_hex(INK), linewidth=1.4, linestyle=(0, (4, 3)))
        if paths is not None:
            _draw_paths(panel, paths, np.zeros(paths.shape[1], int), np.zeros(paths.shape[1], int), ACTION)
        for name, place in (marks or {}).items():
            _name(panel, name, place)
    return to_picture(figure)


def draw_motion(
    panels: Mapping[str, Float[np.ndarray, "t n d"]],
    *,
    colours: Int[np.ndarray, " n"],
    shapes: Int[np.ndarray, " n"],
    columns: int = 2,
    limits: Sequence[tuple[float, float]] | None = None,
    marks: Mapping[str, Sequence[float]] | None = None,
) -> Image.Image:
    """Draw where points in the plane or in space went: a thin trail from a pale start to a full end.

    Args:
        panels: title and places of each panel.
        colours: number of each point's colour (of its person, say).
        shapes: number of each point's shape (of its action, say).
        columns: panels in a row.
        limits: low and high of every axis, the same for all panels; fitted where None.
        marks: points to name in every panel.
    """
    spatial = next(iter(panels.values())).shape[2] == 3
    rows = -(-len(panels) // columns)
    options = {"subplot_kw": {"projection": "3d"}} if spatial else {}
    side = _SIDE if columns < 4 else 0.63 * _SIDE  # many panels, smaller ones
    figure, axes = create_figure(side * columns, side * rows, rows=rows, columns=columns, **options)
    for panel in axes.flat[len(panels) :]:
        panel.set_axis_off()
    for panel, (title, paths) in zip(axes.flat, panels.items(), strict=False):
        _draw_paths(panel, paths, colours, shapes, None)
        panel.set_title(title)
        for name, place in (marks or {}).items():
            _name(panel, name, place)
        for axis, limit in zip("xyz", limits or (), strict=False):
            panel.set(**{f"{axis}lim": limit})
        if spatial:
            _furnish(panel)
        else:
            panel.set_aspect("equal")
    return to_picture(figure)


def draw_sphere(
    points: Float[np.ndarray, "n 3"], *, tip: Float[np.ndarray, " 3"], title: str = ""
) -> Image.Image:
    """Draw points and the sphere that has the line from the origin to `tip` as its diameter."""
    figure, axes = create_figure(_SIDE + 0.4, _SIDE + 0.2, subplot_kw={"projection": "3d"})
    panel, centre, radius = axes[0, 0], tip / 2, np.linalg.norm(tip) / 2
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 13), np.linspace(0, np.pi, 9))
    ball = np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)])
    panel.plot_wireframe(*(centre[:, None, None] + radius * ball), color=to_hex(LINE), linewidth=0.8)
    panel.plot(*np.stack([0 * tip, tip]).T, color=to_hex(INK), linewidth=2)
    panel.scatter(*points.T, color=to_hex(ACTION), s=22, depthshade=True)
    panel.text(*(tip * 1.06), "f", weight="bold")
    panel.text(*(tip * -0.1), "0", weight="bold")
    panel.set_title(title)
    _furnish(panel)
    panel.set_aspect("equal")
    return to_picture(figure)


def _draw_paths(panel: Any, paths: np.ndarray, colours, shapes, single: tuple[int, int, int] | None) -> None:
    for point, (colour, shape) in enumerate(zip(colours, shapes, strict=True)):
        hue = to_hex(single) if single else SERIES[int(colour) % len(SERIES)]
        mark, path = _SHAPES[int(shape) % len(_SHAPES)], paths[:, point].T
        panel.plot(*path, color=hue, linewidth=1.0, alpha=0.55)
        panel.plot(*path[:, :1], mark, color="white", markeredgecolor=hue, markersize=4, alpha=0.8)
        panel.plot(*path[:, -1:], mark, color=hue, markersize=7, markeredgecolor="white")


def _name(panel: Any, name: str, place: Sequence[float]) -> None:
    panel.plot(*([x] for x in place), "o", color="white", markeredgecolor=to_hex(INK), markersize=7, zorder=5)
    panel.annotate(name, place[:2], (6, 6), textcoords="offset points", weight="bold", zorder=6)


def _furnish(panel: Any) -> None:
    """Leave a spatial panel its floor and one upright: what counts is where points lie to each other."""
    panel.view_init(elev=22, azim=-62)
    panel.set_box_aspect(None, zoom=1.15)
    (left, right), (front, back), (low, high) = panel.get_xlim(), panel.get_ylim(), panel.get_zlim()
    panel.set_axis_off()
    line = {"color": to_hex(SOFT), "linewidth": 0.7, "alpha": 0.6}
    panel.plot([left, right, right, left, left], [front, front, back, back, front], [low] * 5, **line)
    panel.plot([left] * 2, [back] * 2, [low, high], **line)
    panel.set(xlim=(left, right), ylim=(front, back), zlim=(low, high))


def _deep_ramp() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    deep = tuple(x / 255 for x in IDENTITY)
    return LinearSegmentedColormap.from_list("loss", [deep, (0.66, 0.77, 0.9), (0.97, 0.97, 0.98)])


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


@dataclass(frozen=True)
class Looks:
    """Attention of the adapters: an entry for every adapted block, in order, and again for every step.

    Axes: r guidance rows (with the words, without, without identity), h heads, f latent frames, s patches of a frame, q tokens.
    """

    identity: list[Float[Tensor, "r h f s q"]] = field(default_factory=list)
    action: list[Float[Tensor, "r h f s q"]] = field(default_factory=list)


def attention_weights(
    q: Float[Tensor, "b h m e"], k: Float[Tensor, "#b h n e"], bias: Float[Tensor, "#b h m n"] | None = None
) -> Float[Tensor, "b h m n"]:
    """Return softmax(q k / sqrt(e) + bias): how a query divides its look among the keys."""
    logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    return (logits if bias is None else logits + bias).softmax(-1)


@contextmanager
def watch_adapters(transformer: IaDTransformer3DModel) -> Iterator[Looks]:
    """Record where the latents look while the block of `with` runs.

    Example: `with watch_adapters(pipe.parts["transformer"]) as looks: pipe(photo, "smiles")`.
    """
    looks, handles = Looks(), []
    for block in transformer.transformer_blocks:
        if block.index is not None:
            handles += _watch_block(block, looks)
    try:
        yield looks
    finally:
        for handle in handles:
            handle.remove()


def read_where(
    reader: Reader, vector: Float[Tensor, "b v"], tokens: Float[Tensor, "b n e"]
) -> list[Float[Tensor, "b h q n"]]:
    """Return where each query of the reader looks among the encoder's tokens, layer by layer."""
    found: list[Tensor] = []
    handles = [handle for attention in reader.reads for handle in _watch_attention(attention, found)]
    try:
        reader.read(vector, tokens)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _watch_attention(attention: Attention, found: list[Tensor]) -> tuple[RemovableHandle, ...]:
    keys: list[Tensor] = []

    def keep(_module, _inputs, k: Tensor) -> None:
        keys.append(k)

    def weigh(_module, _inputs, q: Tensor) -> None:
        found.append(attention_weights(q, keys.pop()))

    return attention.k_norm.register_forward_hook(keep), attention.q_norm.register_forward_hook(weigh)


def _watch_block(block: IaDBlock, looks: Looks) -> list[RemovableHandle]:
    now = {}

    def keep(_block, _inputs, kwargs) -> None:
        now["states"] = (kwargs.get("attention_kwargs") or {}).get("adapter")

    def weigh_identity(_module, _inputs, q: Tensor) -> None:
        states = now["states"]
        weights = attention_weights(q, states.identity[block.index][0], block.focus_bias(states.frames))
        looks.identity.append(rearrange(weights, "b h (f s) q -> b h f s q", f=states.frames))

    def weigh_action(_module, _inputs, q: Tensor) -> None:
        states = now["states"]
        weights = attention_weights(q, states.action[block.index][0])
        looks.action.append(rearrange(weights, "(b f) h s q -> b h f s q", f=states.frames))

    handles = [
        block.register_forward_pre_hook(keep, with_kwargs=True),
        block.identity_attention.q_norm.register_forward_hook(weigh_identity),
    ]
    if hasattr(block, "action_attention"):
        handles.append(block.action_attention.q_norm.register_forward_hook(weigh_action))
    return handles
