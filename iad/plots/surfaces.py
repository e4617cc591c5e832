"""A loss as a surface, and points that move under it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from iad.plots.style import ACTION, IDENTITY, INK, LINE, SERIES, SOFT, create_figure, to_hex, to_picture

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
        filled = panel.contourf(x, y, values, levels=levels, cmap=_ramp())
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


def _ramp() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    deep = tuple(x / 255 for x in IDENTITY)
    return LinearSegmentedColormap.from_list("loss", [deep, (0.66, 0.77, 0.9), (0.97, 0.97, 0.98)])
