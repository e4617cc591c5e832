"""What rendered people wear: clothes, as rings from the neckline down out of the picture, and glasses."""

import numpy as np
from jaxtyping import Float, Int

from iad.portraits.appearance import Appearance
from iad.portraits.strands import Strands

_AROUND = 72
_AXIS = -1.0  # depth of the neck's axis

# Where each ring lies, in head units: half width, y at the side, front z, front y, back z, back y.
_SHOULDERS = np.array([
    [6.6, -8.3, 5.5, -10.2, -6.9, -6.8],
    [7.6, -8.7, 6.1, -10.7, -7.5, -7.4],
    [9.6, -9.2, 6.7, -11.6, -8.2, -8.4],
    [12.4, -9.9, 7.4, -13.0, -8.9, -9.8],
    [15.6, -11.0, 8.1, -15.0, -9.3, -12.0],
    [18.2, -13.5, 8.7, -18.0, -9.5, -15.0],
    [19.4, -19.0, 8.9, -22.0, -9.5, -20.0],
    [19.8, -25.0, 9.1, -26.0, -9.5, -25.0],
])  # fmt: skip
# Rings above the first one that make a collar, the same columns.
_COLLARS = {
    "t-shirt": [[6.35, -8.1, 5.4, -10.05, -6.6, -6.6]],
    "sweater": [[6.25, -7.6, 5.3, -9.5, -6.4, -6.1], [6.8, -7.7, 5.8, -9.7, -6.9, -6.2]],
    "turtleneck": [[5.9, -5.6, 4.5, -7.9, -6.3, -4.3], [6.5, -5.5, 5.1, -7.8, -6.8, -4.2],
                   [6.6, -7.6, 5.5, -9.6, -6.9, -6.2]],
    "shirt": [[6.15, -6.6, 4.8, -10.6, -6.4, -5.2], [6.9, -6.6, 5.6, -10.0, -6.9, -5.2],
              [7.8, -8.4, 7.2, -11.6, -7.4, -7.0]],
    "jacket": [[6.35, -8.1, 5.4, -10.05, -6.6, -6.6]],
}  # fmt: skip
_LAPELS = np.array([[6.8, -6.8, 4.4, -11.5, -6.9, -5.4], [7.7, -7.2, 6.4, -11.3, -7.5, -5.8]])


def create_clothes(
    kind: str, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "t 3"], dict]:
    """Build the surface of a garment.

    Returns:
        Vertices in head units, triangles, and the surface's own coordinates by name: `around` (v,) in radians
        from the front, `along` (v,) rings from the neckline outwards, `collar` (v,) 1 on the collar.
    """
    collar = np.array(_COLLARS[kind], float)
    if kind == "jacket":
        return _layer(collar, kind, rng)
    rings = _subdivide(np.concatenate([collar, _SHOULDERS]), len(collar))
    return _surface(rings, len(collar) * 2, rng)


def _layer(collar, kind, rng):
    """A t-shirt and, a little outside it, a jacket that is open in front."""
    under = _surface(_subdivide(np.concatenate([collar, _SHOULDERS]), len(collar)), 2, rng)
    shell = _SHOULDERS + np.array([0.5, 0.35, 0.5, 0.3, -0.5, 0.35])
    over = _surface(_subdivide(np.concatenate([_LAPELS, shell]), len(_LAPELS)), len(_LAPELS) * 2, rng)
    opening = np.abs(over[2]["around"]) < 0.22 + 0.02 * np.maximum(over[2]["along"], 0)
    keep = ~opening[over[1]].any(axis=1)
    maps = {name: np.concatenate([under[2][name], over[2][name]]) for name in under[2]}
    maps["layer"] = np.concatenate([np.zeros(len(under[0])), np.ones(len(over[0]))])
    return (
        np.concatenate([under[0], over[0]]),
        np.concatenate([under[1], over[1][keep] + len(under[0])]),
        maps,
    )


def _subdivide(rings, collars):
    """Double the rings, so that folds and patterns have vertices to live on."""
    fine = np.empty((2 * len(rings) - 1, 6))
    fine[::2], fine[1::2] = rings, (rings[1:] + rings[:-1]) / 2
    return fine


def _surface(rings, collars, rng):
    angle = np.linspace(-np.pi, np.pi, _AROUND, endpoint=False)
    sine, cosine = np.sin(angle), np.cos(angle)
    width, side, front, front_y, back, back_y = (column[:, None] for column in rings.T)
    # Squarer than an ellipse, as shoulders are.
    x = width * np.sign(sine) * np.abs(sine) ** 0.85
    z = _AXIS + np.where(cosine > 0, front - _AXIS, _AXIS - back) * np.sign(cosine) * np.abs(cosine) ** 0.8
    share = cosine**2
    y = side * (1 - share) + np.where(cosine > 0, front_y, back_y) * share
    along = np.arange(len(rings))[:, None] - collars + 0 * angle
    folds = np.zeros_like(along)
    for k in range(3, 12):
        folds += rng.normal(0, 0.1) * np.sin(angle * k + along * rng.uniform(-0.5, 0.5) + rng.uniform(0, 6))
    folds *= np.clip(along / 5, 0, 1)
    points = np.stack([x, y + folds, z + folds], axis=-1)
    row, column = np.meshgrid(np.arange(len(rings) - 1), np.arange(_AROUND), indexing="ij")
    a, b = row * _AROUND + column, row * _AROUND + (column + 1) % _AROUND
    triangles = np.concatenate([np.stack([a, b, a + _AROUND], -1).reshape(-1, 3),
                                np.stack([b, b + _AROUND, a + _AROUND], -1).reshape(-1, 3)])  # fmt: skip
    maps = {"around": np.broadcast_to(angle, along.shape).ravel(), "along": along.ravel(),
            "collar": (along < 0).ravel().astype(float), "layer": np.zeros(along.size)}  # fmt: skip
    return points.reshape(-1, 3), triangles, maps


def paint_clothes(
    maps: dict[str, Float[np.ndarray, " v"]], looks: Appearance, rng: np.random.Generator
) -> Float[np.ndarray, "v 3"]:
    """Colour a garment over its surface coordinates."""
    around, along = maps["around"], maps["along"]
    colour = np.tile(looks.cloth, (len(around), 1))
    if looks.pattern == "stripes":
        colour = np.where((np.floor(along) % 2 == 0)[:, None], colour, looks.accent)
    elif looks.pattern == "checks":
        for stripes in (np.floor(along), np.floor(around * 9)):
            colour = colour * np.where(stripes % 2 == 0, 0.65, 1.0)[:, None]
    elif looks.pattern == "knit":
        colour = colour * (1 + 0.1 * np.sign(np.sin(around * 36)))[:, None]
    if looks.traits.clothes == "jacket":
        colour = np.where(maps["layer"][:, None] == 0, looks.accent, colour)
    shade = np.where(maps["collar"] > 0, 0.9, 1.0)
    return colour * shade[:, None] * rng.normal(1, 0.03, (len(around), 1))


def create_glasses(marks: Float[np.ndarray, "68 3"], rng: np.random.Generator) -> Strands:
    """Bend frames of wire around the eyes, over the nose and back to the ears."""
    angle = np.linspace(0, 2 * np.pi, 32)
    square = rng.uniform(0.6, 1.0)
    wide, high = rng.uniform(2.1, 2.45), rng.uniform(1.5, 1.95)
    front = marks[27, 2] + 0.35
    bow = lambda x: front - 0.045 * x**2  # noqa: E731  (the frame follows the face)
    wires = []
    for side, eye in ((-1, marks[36:42].mean(axis=0)), (1, marks[42:48].mean(axis=0))):
        x = eye[0] + side * 0.1 + wide * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** square
        y = eye[1] - 0.35 + high * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** square
        wires.append(np.stack([x, y, bow(x)], axis=1))
        out, t = eye[0] + side * (0.1 + wide), np.linspace(0, 1, 32)
        ear = np.array([marks[16 if side > 0 else 0, 0] + side * 0.9, eye[1] + 0.6, 1.5])
        hinge = np.array([out, eye[1] + 0.3, bow(out)])
        wires.append(
            hinge + t[:, None] * (ear - hinge) + np.array([side * 0.5, 0, 0]) * np.sin(t * np.pi)[:, None]
        )
    inner = marks[36:42, 0].mean() - 0.1 + wide
    t = np.linspace(-1, 1, 32)
    wires.append(
        np.stack(
            [inner * t, marks[27, 1] - 0.3 + 0.3 * (1 - t**2), bow(inner * t) + 0.3 * (1 - t**2)], axis=1
        )
    )
    colour = np.array(
        [(0.006, 0.006, 0.007), (0.06, 0.025, 0.012), (0.20, 0.17, 0.12), (0.16, 0.16, 0.17)][rng.integers(4)]
    )
    count = len(wires)
    return Strands(
        points=np.stack(wires).astype(np.float32), bind=np.full(count, -1),
        colours=np.tile(colour, (count, 1)).astype(np.float32),
        width=np.full(count, rng.choice([2.0, 3.0]), np.float32), shine=0.5,
    )  # fmt: skip
