"""Teeth and tongue: smooth sheets where a head has its rows of teeth, and a picture of teeth to show on them.

Teeth of a mesh have jagged edges at the size of a frame; on a sheet they are as smooth as a picture.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from iad.geometry.curves import ease
from iad.geometry.head import Head

UPPER, LOWER, TONGUE = range(3)
_COLUMNS, _ROWS = 21, 5
_LONGER = (0.4, 0.25)  # head units that teeth reach further than the head's, which its lips hide
# Head units that the upper teeth come down, lest their lip hides them, or go up with it, lest they look long.
_LIFTS = {"jawOpen": -0.5, "mouthSmile": 0.1, "mouthUpperUp": 0.15}
_RISE = (0.045, 0.02)  # how the biting edges of both rows curve up along the arch, as smiles do
_HEIGHT = 2.0  # head units from the biting edge to beyond the gums
_HALF = 4.2  # head units along the arch from its middle to its end
# Of the upper and the lower teeth, from the middle.
_WIDTHS = (0.86, 0.68, 0.78, 0.70, 0.68, 0.9), (0.55, 0.60, 0.68, 0.70, 0.70, 0.9)


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
    share, look_of = np.concatenate(shares).astype(np.float32), np.concatenate(looks).astype(np.float32)
    count = len(head.neutral)
    without = ((head.triangles < teeth.start) | (head.triangles >= teeth.stop)).all(axis=1)
    expression = _append(head.expression, share, teeth)
    for number, name in enumerate(head.expression_names):
        lift = _LIFTS.get(name.removesuffix("_L").removesuffix("_R"), 0.0)
        expression[number, count:, 1] += lift * (look_of[:, 2] == UPPER)
    sheeted = replace(
        head,
        neutral=np.concatenate([head.neutral, *places]).astype(np.float32),
        identity=_append(head.identity, share, teeth),
        expression=expression,
        triangles=np.concatenate([head.triangles[without], *triangles]).astype(np.int32),
        parts={**head.parts, "teeth": slice(count, count + len(share))},
    )
    return sheeted, look_of


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
    column_y = edge + _RISE[row] * along**2 + up * _HEIGHT * height[:, None]
    grid = np.stack([np.tile(column_x, _ROWS), column_y.ravel(), np.tile(column_z, _ROWS)], axis=1)
    look = np.stack([
        np.tile(0.5 + 0.5 * along / _HALF, _ROWS), np.repeat(height, _COLUMNS), np.full(len(grid), row)
    ], axis=1)  # fmt: skip
    return grid, look, _join(_COLUMNS, _ROWS)


def _lay_tongue(points: Float[np.ndarray, "n 3"]) -> tuple:
    """Lay a tongue behind the lower teeth: a rounded tip, and a dome that rises and falls again."""
    columns, rows = 17, 12
    across, back = (
        grid.ravel() for grid in np.meshgrid(np.linspace(-1, 1, columns), np.linspace(0, 1, rows))
    )
    tip = np.sqrt(np.sin(np.pi * (0.12 + 0.5 * back)))
    x = 2.2 * across * tip
    dome = np.sin(np.pi * (0.08 + 0.62 * back)) - 0.06 * np.exp(-((across / 0.2) ** 2))
    y = points[:, 1].max() - 0.75 + dome * (1 - across**2) - 0.35 * across**4
    z = points[:, 2].max() - 0.7 - 4.8 * back - 0.8 * across**2
    look = np.stack([0.5 + 0.5 * across, back, np.full(len(back), TONGUE)], axis=1)
    return np.stack([x, y, z], axis=1), look, _join(columns, rows)


def _join(columns: int, rows: int) -> Int[np.ndarray, "t 3"]:
    """Return the triangles of a grid."""
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    above = corner + columns
    quads = [(corner, corner + 1, above), (corner + 1, above + 1, above)]
    return np.concatenate([np.stack(quad, axis=1) for quad in quads])


@lru_cache(maxsize=1)
def draw_teeth(height: int = 96, width: int = 480) -> Float[np.ndarray, "2 h w 4"]:
    """Draw both rows: colour against a white tooth's, and how surely a tooth; the edge is the first line."""
    place = ((np.arange(width) + 0.5) / width * 2 - 1) * _HALF
    along, up = np.abs(place), (np.arange(height) + 0.5)[:, None] / height * _HEIGHT
    rows = []
    for row, widths in enumerate(_WIDTHS):
        ends = np.cumsum(widths)
        tooth = np.minimum(np.searchsorted(ends, along), len(widths) - 1)
        half = np.array(widths)[tooth] / 2
        across = np.clip((along - ends[tooth] + half) / half, -1, 1)[None]
        # No two teeth are alike: in length and in tone; eye teeth are pointed and yellower.
        chance = np.sin(12.9 * (tooth + 1) * np.sign(place) + 5.0 * row)[None]
        eye_tooth, round_edge = (tooth == 2)[None], 0.10 + 0.08 * (across > 0)
        shorter = np.array([0.0, 0.09, 0.0, 0.10, 0.14, 0.18])[tooth][None] + 0.02 * chance
        edge = 0.05 + shorter + round_edge * np.abs(across) ** np.where(eye_tooth, 2, 4)
        gum = 1.5 - 0.5 * shorter - 0.25 * across**2
        cover = ease((up - edge + 0.04) / 0.1) * ease((gum - up) / 0.16)
        # Teeth are round: they shade off to both sides, deepest where two part at edge and gum.
        gap = 0.18 + 0.1 * ease((edge + 0.25 - up) / 0.3) + 0.1 * ease((up - 0.8) / 0.4)
        white = 1 - 0.06 * across**4 - 0.11 * ease((np.abs(across) - 1 + gap) / gap) + 0.03 * chance
        white = white * (1 - 0.14 * ease((up - 0.55) / 0.7)) * (1 - 0.1 * ease((edge + 0.22 - up) / 0.22))
        yellow = 0.04 + 0.09 * ease((up - 0.4) / 0.8) + 0.05 * eye_tooth + 0.25 * (1 - white)
        tint = np.stack([white, white * (1 - 0.45 * yellow), white * (1 - yellow)], axis=-1)
        rows.append(np.concatenate([tint * np.ones((*cover.shape, 1)), cover[..., None]], axis=-1))
    return np.stack(rows).astype(np.float32)
