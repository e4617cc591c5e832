"""Teeth and tongue: smooth sheets where a head has its rows of teeth, and a picture of teeth to show on them.

Teeth of a mesh have jagged edges at the size of a frame; on a sheet they are as smooth as a picture.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from iad.geometry.head import Head

UPPER, LOWER, TONGUE = range(3)
_COLUMNS, _ROWS = 17, 5
_LONGER = (0.4, 0.25)  # head units that teeth reach further than the head's, which its lips hide
_HEIGHT = 2.0  # head units from the biting edge to beyond the gums
_HALF = 3.4  # head units along the arch from its middle to its end
_WIDTHS = (
    (0.86, 0.68, 0.78, 0.70, 0.68, 0.9),
    (0.55, 0.60, 0.68, 0.70, 0.70, 0.9),
)  # upper, lower, from the middle


def lay_teeth(head: Head) -> tuple[Head, Float[np.ndarray, "s 3"]]:
    """Replace a head's teeth by two sheets, and a tongue between them, at the end of its vertices.

    Returns:
        The head, and of each new vertex: place along the arch and up from the biting edge, both 0 to 1 in the
        picture of the teeth (of the tongue: across and backwards), and UPPER, LOWER or TONGUE.
    """
    teeth = head.parts["teeth"]
    points = head.neutral[teeth]
    jaw = head.expression[head.expression_names.index("jawOpen"), teeth]
    travel = np.linalg.norm(jaw, axis=1)
    lower = travel > 0.5 * max(travel.max(), 0.6)
    places, looks, triangles, shares = [], [], [], []
    for row, chosen in enumerate((~lower, lower, lower)):
        if not chosen.any():
            continue
        grid, look, corners = (
            _lay_tongue(points[chosen]) if row == TONGUE else _lay_sheet(points[chosen], row)
        )
        square = ((grid[:, None] - points[None]) ** 2).sum(axis=-1)
        square = np.where(chosen, square, np.inf)
        share = np.exp(-0.5 * (square - square.min(axis=1, keepdims=True)) / 0.5**2)
        shares.append(share / share.sum(axis=1, keepdims=True))
        triangles.append(corners + len(head.neutral) + sum(map(len, places)))
        places.append(grid)
        looks.append(look)
    share = np.concatenate(shares).astype(np.float32)
    count = len(head.neutral)
    without = ((head.triangles < teeth.start) | (head.triangles >= teeth.stop)).all(axis=1)
    sheeted = replace(
        head,
        neutral=np.concatenate([head.neutral, *places]).astype(np.float32),
        identity=_append(head.identity, share, teeth),
        expression=_append(head.expression, share, teeth),
        triangles=np.concatenate([head.triangles[without], *triangles]).astype(np.int32),
        parts={**head.parts, "teeth": slice(count, count + len(share))},
    )
    return sheeted, np.concatenate(looks).astype(np.float32)


def _append(
    shapes: Float[np.ndarray, "n v 3"], share: np.ndarray, teeth: slice
) -> Float[np.ndarray, "n w 3"]:
    own = np.einsum("st,ntd->nsd", share, shapes[:, teeth].astype(np.float32))
    return np.concatenate([shapes, own.astype(shapes.dtype)], axis=1)


def _lay_sheet(points: Float[np.ndarray, "n 3"], row: int) -> tuple:
    """Lay a sheet in front of one row of teeth, following its arch."""
    up = 1 if row == 0 else -1  # from the biting edge to the gums
    away = np.abs(points[:, 0])
    steps = np.linspace(0, away.max(), 8)
    near = [np.abs(away - step) < 0.35 * max(steps[1], 0.5) + 0.1 for step in steps]
    front = np.maximum.accumulate([points[n, 2].max() if n.any() else -np.inf for n in near][::-1])[::-1]
    x = np.linspace(0, away.max(), 60)
    z = np.convolve(
        np.pad(np.interp(x, steps, front), 6, mode="reflect", reflect_type="odd"), np.ones(13) / 13, "valid"
    )
    arch = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(z)))])
    along = np.linspace(-1, 1, _COLUMNS) * min(_HALF, arch[-1])
    column_x = np.interp(np.abs(along), arch, x) * np.sign(along)
    column_z = np.interp(np.abs(along), arch, z)
    middle = points[away < 0.35 * max(away.max(), 1e-6)]
    edge = (middle if len(middle) else points)[:, 1]
    edge = edge.min() - _LONGER[0] if row == 0 else edge.max() + _LONGER[1]
    height = np.linspace(0, 1, _ROWS)
    grid = np.stack([
        np.tile(column_x, _ROWS), np.repeat(edge + up * _HEIGHT * height, _COLUMNS), np.tile(column_z, _ROWS),
    ], axis=1)  # fmt: skip
    look = np.stack([
        np.tile(0.5 + 0.5 * along / _HALF, _ROWS), np.repeat(height, _COLUMNS), np.full(len(grid), row)
    ], axis=1)  # fmt: skip
    return grid, look, _join(_COLUMNS, _ROWS)


def _lay_tongue(points: Float[np.ndarray, "n 3"]) -> tuple:
    """Lay a tongue behind the lower teeth: a dome that rises towards the back."""
    columns, rows = 11, 8
    across, back = (
        grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    )
    tip = np.sqrt(np.clip(np.sin(np.pi * (0.12 + 0.5 * back)), 0, 1))
    x = 1.9 * across * tip
    y = (
        points[:, 1].max()
        - 0.5
        + (0.3 + 0.4 * back) * (1 - 0.75 * across**2)
        - 0.12 * np.exp(-((across / 0.12) ** 2))
    )
    z = points[:, 2].max() - 1.0 - 4.5 * back - 0.8 * across**2
    look = np.stack([0.5 + 0.5 * across, back, np.full(len(back), TONGUE)], axis=1)
    return np.stack([x, y, z], axis=1), look, _join(columns, rows)


def _join(columns: int, rows: int) -> Int[np.ndarray, "t 3"]:
    """Return the triangles of a grid."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    above = corner + columns
    quads = [(corner, corner + 1, above), (corner + 1, above + 1, above)]
    return np.concatenate([np.stack(quad, axis=1) for quad in quads])


@lru_cache(maxsize=1)
def draw_teeth(height: int = 96, width: int = 384) -> Float[np.ndarray, "2 h w 2"]:
    """Draw both rows: how white, 0 to 1, and how surely a tooth; the biting edge is the first line."""
    along = np.abs((np.arange(width) + 0.5) / width * 2 - 1) * _HALF
    up = (np.arange(height) + 0.5)[:, None] / height * _HEIGHT
    rows = []
    for widths in _WIDTHS:
        ends = np.cumsum(widths)
        tooth = np.minimum(np.searchsorted(ends, along), len(widths) - 1)
        half = np.array(widths)[tooth] / 2
        across = np.clip((along - ends[tooth] + half) / half, -1, 1)[None]
        shorter = np.array([0.0, 0.10, 0.02, 0.10, 0.14, 0.18])[tooth][None]
        edge = 0.04 + shorter + 0.14 * np.abs(across) ** 4
        gum = 1.25 - 0.5 * shorter - 0.3 * across**2
        cover = _step((up - edge) / 0.06) * _step((gum - up) / 0.10)
        seam = 1 - 0.4 * _step((np.abs(across) - 0.82) / 0.18)
        round_off = 0.9 + 0.1 * np.sqrt(1 - 0.8 * across**2)
        towards_gum = 1 - 0.12 * _step((up - 0.7) / 0.5)
        rows.append(np.stack([seam * round_off * towards_gum * np.ones_like(cover), cover], axis=-1))
    return np.stack(rows).astype(np.float32)


def _step(value: np.ndarray) -> np.ndarray:
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)
