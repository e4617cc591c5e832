"""Hair, brows and beards as strands: polylines that grow from the skin of one person's head.

A few hundred guides grow step by step along a flow that each style names, are kept out of the skull, and are
multiplied into thousands of strands that follow the nearest guide: so hair falls in locks and has volume. All
coordinates are the ICT head's; `Strands` of brows and beards are bound to vertices and move with the skin.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

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


STYLES = {
    "short": Style("forward", 2.6, 1.0, lift=0.55, volume=0.5),
    "side-swept short": Style("sideways", 4.0, 1.2, lift=0.55, volume=0.9, gravity=0.15),
    "side-parted": Style("parted short", 4.4, 1.3, lift=0.45, volume=0.6, gravity=0.12),
    "slicked-back": Style("back", 5.5, 2.6, lift=0.25, volume=0.4, frizz=0.03),
    "messy": Style("messy", 3.4, 1.5, lift=0.8, volume=0.9, frizz=0.2, wave=0.25),
    "cropped": Style("forward", 1.3, 0.7, lift=0.7, volume=0.3, steps=6),
    "buzz-cut": Style("forward", 0.5, 0.35, lift=1.2, volume=0.15, steps=4, strands=7000),
    "receding": Style("back", 2.4, 1.2, lift=0.4, volume=0.35),
    "curly": Style("radial", 3.8, 2.6, lift=1.4, gravity=0.12, volume=0.9, curl=0.42, strands=5500, steps=16),
    "afro": Style("radial", 4.4, 3.8, lift=2.0, gravity=0.0, volume=1.0, curl=0.22, frizz=0.22, strands=8000,
                  steps=12),
    "bun": Style("bun", 12.0, 12.0, lift=0.25, gravity=0.0, volume=0.4, steps=16),
    "bob": Style("parted", 20.0, 16.0, lift=0.35, gravity=0.5, volume=1.3, ends=-6.2, strands=5500, steps=20),
    "bob with a fringe": Style("parted", 20.0, 16.0, lift=0.35, gravity=0.5, volume=1.3, ends=-6.0,
        fringe=True,
                               strands=5500, steps=20),
    "long straight": Style("parted", 31.0, 26.0, lift=0.3, gravity=0.5, volume=1.1, ends=-13.0, strands=6000,
        steps=23),
    "long with a fringe": Style("parted", 31.0, 26.0, lift=0.3, gravity=0.5, volume=1.1, ends=-13.0,
        fringe=True,
                                strands=6000, steps=23),
    "long wavy": Style("parted", 31.0, 26.0, lift=0.35, gravity=0.5, volume=1.6, ends=-12.5, wave=0.7,
        strands=6000,
                       steps=25),
    "long curly": Style("parted", 32.0, 26.0, lift=0.5, gravity=0.45, volume=2.2, ends=-12.5, curl=0.55,
        frizz=0.15,
                        strands=5500, steps=30),
}  # fmt: skip


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
        from scipy.ndimage import gaussian_filter

        ears = (np.abs(points[:, 0]) > 8.0) & (points[:, 1] < 6.2) & (points[:, 2] > -3)
        used = points[(points[:, 1] > -6.5) & ~ears]
        row, column, radius = self._polar(used)
        table = np.zeros((self.rows, self.columns))
        np.maximum.at(table, (row, column), radius)
        filled = (table > 0).astype(float)
        sums, weight = (
            gaussian_filter(table, 1.2, mode=("nearest", "wrap")),
            gaussian_filter(filled, 1.2, mode=("nearest", "wrap")),
        )
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

    def pull_in(
        self, points: Float[np.ndarray, "*n 3"], height: np.ndarray | float
    ) -> Float[np.ndarray, "*n 3"]:
        """Bring points that stand off further than `height` back towards the skin."""
        row, column, radius = self._polar(points)
        most = self.table[row, column] + height
        scale = np.where(radius > most, 1 + (most / radius - 1) * 0.7, 1.0)
        return CRANIUM + (points - CRANIUM) * scale[..., None]


def grow_hair(
    name: str, roots: Float[np.ndarray, "s 3"], normals: Float[np.ndarray, "s 3"], *,
    thick: Float[np.ndarray, " s"], skull: Skull, colour: Float[np.ndarray,
        " 3"], grey: float, rng: np.random.Generator,
) -> Strands:  # fmt: skip
    """Grow a style from scalp points: guides first, then every strand after its guide.

    `thick` is how dense hair is at each root: where it thins out, short hair is shorter still.
    """
    from scipy.spatial import cKDTree

    style = STYLES[name]
    side = rng.choice([-1.0, 1.0])
    part = side * rng.uniform(0.0, 2.6)
    guides = rng.choice(len(roots), min(len(roots), 420), replace=False)
    paths = _grow_guides(style, roots[guides], normals[guides], skull=skull, part=part, side=side, rng=rng)
    _, nearest = cKDTree(roots[guides]).query(roots + rng.normal(0, 0.12, roots.shape))
    scale = (
        (rng.uniform(0.8, 1.05, len(roots)) * (0.25 + 0.75 * thick))[:, None, None]
        if style.ends < -50
        else 1.0
    )
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
        "forward": [0.35 * side, -0.1, 0.9], "sideways": [0.95 * side, 0.15, 0.25], "back": [0.1 * side,
            0.15, -1.0],
        "messy": [0.3 * side, 0.3, 0.3], "parted short": [0.0, 0.1, -0.35],
    }[name]  # fmt: skip
    combed = np.tile(np.array(combed), (n, 1))
    if name == "parted short":
        combed[:, 0] = half
    if name == "messy":
        combed = combed + rng.normal(0, 0.9, combed.shape)
    lower = down * (0.45 if name == "back" else 1.0) + np.array([0, 0, -0.9]) * (
        name in ("back", "parted short")
    )
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
    return np.stack(
        [np.cos(turns) * grow, np.sin(turns * 0.7 + phase) * grow * 0.5, np.sin(turns) * grow], axis=-1
    )
