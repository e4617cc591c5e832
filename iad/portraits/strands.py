"""Hair, brows and beards as strands: polylines that grow from the skin of one person's head.

A few hundred guides grow step by step along a flow that each style names, are kept out of the skull, and are
multiplied into thousands of strands that follow the nearest guide: so hair falls in locks and has volume. All
coordinates are the ICT head's; `Strands` of brows and beards are bound to vertices and move with the skin.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from iad.portraits import read_table

CRANIUM = np.array([0.0, 4.8, -0.6])


@dataclass(frozen=True)
class Strands:
    """Polylines with a colour each; `bind` is the vertex whose movement a strand follows, or -1."""

    points: Float[np.ndarray, "s k 3"]
    bind: Int[np.ndarray, " s"]
    colours: Float[np.ndarray, "s 3"]
    width: Float[np.ndarray, " s"]
    shine: float = 0.9


@dataclass(frozen=True)
class Style:
    """How a head of hair grows; lengths in head units (about centimetres)."""

    flow: str
    top: float
    sides: float
    lift: float = 0.4
    gravity: float = 0.1
    volume: float = 0.5
    wave: float = 0.0
    curl: float = 0.0
    frizz: float = 0.06
    ends: float = -99.0
    fringe: bool = False
    strands: int = 7000
    steps: int = 10


STYLES = {name: Style(**style) for name, style in read_table("looks.toml")["styles"].items()}


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Rise from 0 at `low` to 1 at `high`, level at both ends."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def scalp_mask(
    points: Float[np.ndarray, "n 3"],
    *,
    style: str,
    recede: float = 0.0,
    rng: np.random.Generator | None = None,
) -> Float[np.ndarray, " n"]:
    """Say how much hair grows at points of the generic head: 1 on the scalp, 0 on face, ears and neck.

    `recede` puts the hairline so many head units further back; `rng` makes it uneven.
    """
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    depths = [-8, -5, -3.5, -1.5, 0.5, 2.0, 3.2, 4.0, 6.0, 8.0]
    line = np.interp(z, depths, [-5.0, -4.0, -1.5, 0.5, 2.5, 2.0, 4.0, 7.2, 9.0, 10.3])
    line = line + recede * smoothstep(3, 7, z) * (0.4 + 0.6 * smoothstep(1, 4, x))
    if rng is not None:
        line = line + rng.normal(0, 0.3, len(points))
    mask = smoothstep(-0.4, 1.0, y - line)
    mask *= 1 - ((x > 8.0) & (y < 6.2) & (z > -3) & (z < 3.5))
    if style == "receding":
        bald = smoothstep(7.6, 6.4, np.hypot(x, (z - 3.0) * 0.75)) * smoothstep(8.4, 9.6, y)
        mask = mask * (1 - bald)
    return np.zeros(len(points)) if style == "bald" else mask


class Skull:
    """The head's surface as a radius over directions from the middle of the skull, to keep hair outside."""

    rows, columns = 40, 80

    def __init__(self, points: Float[np.ndarray, "v 3"]):
        ears = (np.abs(points[:, 0]) > 8.0) & (points[:, 1] < 6.2) & (points[:, 2] > -3)
        used = points[(points[:, 1] > -6.5) & ~ears]
        row, column, radius = self._polar(used)
        table = np.zeros((self.rows, self.columns))
        np.maximum.at(table, (row, column), radius)
        filled = (table > 0).astype(float)
        sums, weight = (gaussian_filter(t, 1.2, mode=("nearest", "wrap")) for t in (table, filled))
        table = np.where(weight > 0.02, sums / np.maximum(weight, 1e-6), 6.5)
        # Towards the poles the cells narrow to slivers that hold a vertex or none.
        for rows in (slice(-3, None), slice(None, 3)):
            table[rows] = np.median(table[rows], axis=1, keepdims=True)
        self.table = table

    def _polar(self, points):
        d = points - CRANIUM
        radius = np.linalg.norm(d, axis=-1) + 1e-9
        row = np.clip(((d[..., 1] / radius + 1) / 2 * self.rows).astype(int), 0, self.rows - 1)
        turn = np.arctan2(d[..., 0], d[..., 2]) / (2 * np.pi) + 0.5
        column = (turn * self.columns).astype(int) % self.columns
        return row, column, radius

    def push_out(self, points: Float[np.ndarray, "*n 3"], offset: np.ndarray) -> Float[np.ndarray, "*n 3"]:
        """Move points that are less than `offset` above the skin up to it, and out of the neck."""
        row, column, radius = self._polar(points)
        least = self.table[row, column] + offset
        upper = smoothstep(-7, -3, points[..., 1])
        scale = np.where(radius < least, 1 + (least / radius - 1) * upper, 1.0)
        out = CRANIUM + (points - CRANIUM) * scale[..., None]
        across = np.hypot(out[..., 0], out[..., 2] + 1.0)
        grow = np.where((out[..., 1] < -1) & (across < 6.4 + offset), (6.4 + offset) / (across + 1e-6), 1.0)
        out[..., 0] *= grow
        out[..., 2] = (out[..., 2] + 1.0) * grow - 1.0
        return out

    def pull_in(self, points: Float[np.ndarray, "*n 3"], height: np.ndarray | float) -> np.ndarray:
        """Bring points that stand off further than `height` back towards the skin."""
        row, column, radius = self._polar(points)
        most = self.table[row, column] + height
        scale = np.where(radius > most, 1 + (most / radius - 1) * 0.7, 1.0)
        return CRANIUM + (points - CRANIUM) * scale[..., None]


def grow_hair(
    name: str, roots: Float[np.ndarray, "s 3"], normals: Float[np.ndarray, "s 3"], *,
    thick: Float[np.ndarray, " s"], skull: Skull, colour: Float[np.ndarray, " 3"], grey: float,
    rng: np.random.Generator,
) -> Strands:  # fmt: skip
    """Grow a style from scalp points: guides first, then every strand after its guide.

    `thick` is how dense hair is at each root: where it thins out, short hair is shorter still.
    """
    style = STYLES[name]
    side = rng.choice([-1.0, 1.0])
    part = side * rng.uniform(0.0, 2.6)
    guides = rng.choice(len(roots), min(len(roots), 420), replace=False)
    paths = _grow_guides(style, roots[guides], normals[guides], skull=skull, part=part, side=side, rng=rng)
    _, nearest = cKDTree(roots[guides]).query(roots + rng.normal(0, 0.12, roots.shape))
    scale = 1.0
    if style.ends < -50:
        scale = (rng.uniform(0.8, 1.05, len(roots)) * (0.25 + 0.75 * thick))[:, None, None]
    path = roots[:, None] + (paths[nearest] - roots[guides][nearest][:, None]) * scale
    along = np.linspace(0, 1, style.steps)[None, :, None]
    # Strands of a lock draw together towards its tip.
    pull = (roots[guides][nearest] - roots)[:, None] * along**0.8 * 0.55
    frizz = rng.normal(0, style.frizz, path.shape).cumsum(axis=1) * np.sqrt(along) * 0.6
    path = path + pull + frizz + rng.normal(0, 0.25, (len(roots), 1, 3)) * along
    if style.curl:
        path = path + _helix(path, style.curl, nearest, rng)
    if style.flow not in ("radial", "messy"):
        path = np.where(path[..., 1:2] > 6, skull.pull_in(path, style.volume + 0.3), path)
    path = skull.push_out(path, rng.uniform(0.02, 0.3, (len(roots), 1)))
    path[:, 0] = roots
    # Light hair looks coarse when its strands differ as much as dark ones do.
    spread = 0.24 - 0.14 * min(colour.max() / 0.4, 1)
    tone = rng.lognormal(0, spread * 0.7, len(guides))[nearest] * rng.lognormal(0, spread, len(roots))
    colours = colour * tone[:, None]
    white = rng.random(len(roots)) < grey
    colours[white] = colours[white] * 0.6 + 0.12
    return Strands(
        points=path.astype(np.float32), bind=np.full(len(roots), -1), colours=colours.astype(np.float32),
        width=rng.choice([1.0, 2.0], len(roots)).astype(np.float32),
    )  # fmt: skip


def _grow_guides(style, roots, normals, *, skull, part, side, rng):
    x, y, z = roots.T
    top = smoothstep(6.0, 10.0, y)
    length = (style.sides + (style.top - style.sides) * top) * rng.uniform(0.85, 1.1, len(roots))
    fringe = style.fringe & (z > 4.5) & (y > 8.0)
    length = np.where(fringe, rng.uniform(4.6, 5.4, len(roots)), length)
    layer = rng.uniform(0.1, 1.0, len(roots)) * style.volume + 0.1
    half = np.where(np.abs(x - part) < 0.4, rng.choice([-1.0, 1.0], len(roots)), np.sign(x - part))
    front = (z > 1.5) & (rng.random() < 0.6)
    step = length / (style.steps - 1)
    position = roots + normals * 0.02
    flow = _flow(style.flow, position, half=half, side=side, top=top, fringe=fringe, rng=rng)
    heading = _unit(normals * style.lift + flow)
    path = [position]
    for k in range(1, style.steps):
        flow = _flow(style.flow, position, half=half, side=side, top=top, fringe=fringe, rng=rng)
        heading = _unit(heading * 0.55 + flow * 0.45 + np.array([0, -style.gravity, 0]))
        alive = position[:, 1] > style.ends + rng.normal(0, 0.35, len(roots))
        moved = position + heading * (step * alive)[:, None]
        cleared = skull.push_out(moved, layer * smoothstep(0, 4, k * step))
        if style.ends < -50 and style.flow != "radial":
            cleared = skull.pull_in(cleared, layer + 0.35)
        if style.flow == "parted":
            cleared = _clear_face(cleared, half, fringe, front)
        position = np.where(alive[:, None], cleared, position)
        path.append(position)
    path = np.stack(path, axis=1)
    if style.wave:
        reach = np.linspace(0, 1, style.steps) * length[:, None]
        phase = rng.uniform(0, 2 * np.pi, (len(roots), 1))
        pace = rng.uniform(0.45, 0.75, (len(roots), 1)) * np.where(length[:, None] < 8, 2.0, 1.0)
        grown = smoothstep(1, 12, reach + 6 * (length[:, None] < 8)) * style.wave
        path[..., 0] += np.sin(reach * pace + phase) * grown
        path[..., 2] += np.cos(reach * pace * 0.9 + phase) * grown * 0.7
    return path


def _unit(vectors):
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def _flow(name, position, *, half, side, top, fringe, rng):
    """Direction (n, 3) in which hair at these positions is combed."""
    n = len(position)
    y = position[:, 1]
    down = np.stack([0.15 * np.sign(position[:, 0]), -np.ones(n), -0.15 * np.ones(n)], axis=1)
    if name == "radial":
        return _unit(position - CRANIUM)
    if name == "bun":
        return _unit(np.array([0, 14.2, -5.0]) - position)
    if name == "parted":
        high = smoothstep(5.0, 10.5, y)[:, None]
        out = np.stack([half, -0.25 * np.ones(n), -0.45 * np.ones(n)], axis=1)
        falling = np.stack([0.05 * half, -np.ones(n), 0 * half], axis=1)
        flow = out * high + falling * (1 - high)
        ahead = np.stack([0.10 * position[:, 0], -0.8 * np.ones(n), 0.6 * np.ones(n)], axis=1)
        return _unit(np.where(fringe[:, None], ahead, flow))
    combed = {
        "forward": [0.35 * side, -0.1, 0.9], "sideways": [0.95 * side, 0.15, 0.25],
        "back": [0.1 * side, 0.15, -1.0], "messy": [0.3 * side, 0.3, 0.3], "parted short": [0.0, 0.1, -0.35],
    }[name]  # fmt: skip
    combed = np.tile(np.array(combed), (n, 1))
    if name == "parted short":
        combed[:, 0] = half
    if name == "messy":
        combed = combed + rng.normal(0, 0.9, combed.shape)
    lower = down * (0.45 if name == "back" else 1.0)
    lower = lower + np.array([0, 0, -0.9]) * (name in ("back", "parted short"))
    return _unit(combed * top[:, None] + lower * (1 - top[:, None]))


def _clear_face(points, half, fringe, front):
    """Hold falling hair beside the face, and either before or behind the shoulders."""
    x, y, z = points.T.copy()
    oval = np.interp(y, [-8, 2, 5, 7.5, 9.0, 10.3], [6.7, 7.0, 6.6, 5.4, 3.4, 0.0])
    beside = np.where((z > 2.0) & ~fringe, oval, 0.0)
    x = np.where(np.abs(x) < beside, half * beside, x)
    low = smoothstep(-6, -11, y)
    z = np.where(front, np.maximum(z, 2.0 * low + (5.2 + 0.3 * (-10 - y)) * low * (y < -6)), z)
    z = np.where(~front & (y < -5), np.minimum(z, -1.5 - 5.5 * low), z)
    return np.stack([x, y, z], axis=1)


def _helix(path, radius, lock, rng):
    """Wind strands around their own way; those of one lock wind together."""
    steps = path.shape[1]
    phase = rng.uniform(0, 2 * np.pi, lock.max() + 1)[lock][:, None] + rng.normal(0, 0.35, (len(path), 1))
    turns = np.linalg.norm(np.diff(path, axis=1, prepend=path[:, :1]), axis=-1).cumsum(axis=1) * 2.6 + phase
    grow = np.minimum(np.linspace(0, 3, steps), 1.0)[None] * radius
    across = np.sin(turns * 0.7 + phase) * grow * 0.5
    return np.stack([np.cos(turns) * grow, across, np.sin(turns) * grow], axis=-1)


def grow_brows(
    points: Float[np.ndarray, "v 3"], marks: Float[np.ndarray, "68 3"], *, colour: Float[np.ndarray, " 3"],
    thickness: float, rng: np.random.Generator,
) -> Strands:  # fmt: skip
    """Grow both brows along the brow landmarks, bound to the face's vertices; `thickness` 1 is middling."""
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
    moustache = smoothstep(0.3, -0.1, y + 1.45 + 0.12 * x) * smoothstep(-3.4, -2.9, y)
    moustache = moustache * smoothstep(3.1, 2.5, x)
    # Bare corners between lower lip and chin.
    chin = smoothstep(3.0, 2.2, x) * (y < -2.8)
    whole = np.clip(cheeks, 0, 1)
    mask = {"moustache": moustache, "goatee": np.maximum(moustache, chin * whole)}.get(kind, whole)
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
    reach = (rng.uniform(0.5, 1.1, count) * length * short)[:, None, None]
    path = roots[:, None] + way[:, None] * (reach * np.linspace(0, 1, 4)[None, :, None])
    path[..., 1] -= (np.linspace(0, 1, 4) ** 2 * 0.35 * length)[None]
    tone = rng.lognormal(0, 0.3, (count, 1))
    return Strands(
        points=path.astype(np.float32), bind=bind, colours=(colour * tone).astype(np.float32),
        width=np.ones(count, np.float32),
    )  # fmt: skip
