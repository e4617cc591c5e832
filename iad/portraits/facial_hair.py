"""Brows and beards: short strands that are bound to the skin and move with it."""

import numpy as np
from jaxtyping import Float

from iad.portraits.strands import Strands, smoothstep


def grow_brows(
    points: Float[np.ndarray, "v 3"], marks: Float[np.ndarray, "68 3"], *, colour: Float[np.ndarray, " 3"],
    thickness: float, rng: np.random.Generator,
) -> Strands:  # fmt: skip
    """Grow both brows along the brow landmarks, bound to the face's vertices; `thickness` 1 is middling."""
    from scipy.spatial import cKDTree

    ahead = np.flatnonzero(points[:, 2] > 2)
    tree = cKDTree(points[ahead, :2])
    strokes, bind = [], []
    for numbers, side in ((range(21, 16, -1), -1.0), (range(22, 27), 1.0)):
        curve = marks[list(numbers)]
        count = 170
        along = rng.beta(1.1, 1.3, count) * 0.96
        knots = np.linspace(0, 1, 5)
        middle = np.stack([np.interp(along, knots, curve[:, k]) for k in range(3)], axis=1)
        height = 0.34 * thickness * np.interp(along, [0, 0.15, 0.6, 1], [0.75, 1.0, 0.75, 0.15])
        middle[:, 1] += rng.uniform(-1, 1, count) * height - 0.1
        middle[:, 0] -= side * 0.2 * (1 - along)
        _, near = tree.query(middle[:, :2])
        middle[:, 2] = points[ahead[near], 2] + 0.05
        rise = np.interp(along, [0, 0.3, 1], [0.75, 0.25, -0.35]) + rng.normal(0, 0.12, count)
        way = np.stack([side * np.ones(count), rise, -0.25 - 0.5 * along], axis=1)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        reach = rng.uniform(0.4, 0.75, count)[:, None, None] * np.linspace(0, 1, 4)[None, :, None]
        strokes.append(middle[:, None] + way[:, None] * reach + np.array([0, 0, 0.06]))
        bind.append(ahead[near])
    strokes = np.concatenate(strokes)
    tone = rng.lognormal(0, 0.2, (len(strokes), 1))
    return Strands(
        points=strokes.astype(np.float32), bind=np.concatenate(bind),
        colours=(colour * tone).astype(np.float32), width=np.ones(len(strokes), np.float32),
    )  # fmt: skip


def beard_mask(
    points: Float[np.ndarray, "n 3"], lips: Float[np.ndarray, " n"], kind: str
) -> Float[np.ndarray, " n"]:
    """Say how much beard grows at points of the generic head."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    upper = np.interp(x, [0, 2.6, 3.4, 5.5, 7.0, 7.6], [-1.6, -1.7, -2.6, -2.6, -0.5, 2.5])
    cheeks = smoothstep(0.35, -0.35, y - upper) * (z > 0.5) * smoothstep(-10.5, -8.5, y + 0.1 * z)
    moustache = (
        smoothstep(0.3, -0.1, y + 1.45 + 0.12 * x) * smoothstep(-3.4, -2.9, y) * smoothstep(3.1, 2.5, x)
    )
    # Bare corners between lower lip and chin.
    chin = smoothstep(3.0, 2.2, x) * (y < -2.8)
    whole = np.clip(cheeks, 0, 1)
    mask = {"moustache": moustache, "goatee": np.maximum(moustache, chin * whole)}.get(kind, whole)
    if kind == "clean-shaven":
        mask = whole
    return mask * (1 - lips) ** 2 * (z > -1)


def grow_beard(
    roots: Float[np.ndarray, "s 3"], normals: Float[np.ndarray, "s 3"], bind: np.ndarray, *, length: float,
    colour: Float[np.ndarray, " 3"], rng: np.random.Generator,
) -> Strands:  # fmt: skip
    """Grow a beard of this length (head units) from points on the skin."""
    count = len(roots)
    down = np.stack([roots[:, 0] * 0.03, -np.ones(count), 0.1 * np.ones(count)], axis=1)
    way = normals * 0.75 + down + rng.normal(0, 0.35, roots.shape)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    short = np.where(roots[:, 1] > -3.2, 0.6, 1.0)
    reach = (rng.uniform(0.5, 1.1, count) * length * short)[:, None, None] * np.linspace(0, 1, 4)[
        None, :, None
    ]
    path = roots[:, None] + way[:, None] * reach
    path[..., 1] -= (np.linspace(0, 1, 4) ** 2 * 0.35 * length)[None]
    tone = rng.lognormal(0, 0.3, (count, 1))
    return Strands(
        points=path.astype(np.float32), bind=bind, colours=(colour * tone).astype(np.float32),
        width=np.ones(count, np.float32),
    )  # fmt: skip
