"""Shoulders under clothes: a surface of rings from the neckline over the shoulders down out of the picture."""

import numpy as np
from jaxtyping import Float, Int

from iad.portraits.appearance import Appearance

_AROUND = 72
_AXIS = -1.0  # depth of the neck's axis

# Where each ring lies, in head units: half width, y at the side, front z, front y, back z, back y.
_SHOULDERS = np.array([
    [6.6, -8.3, 4.9, -10.2, -6.9, -6.8],
    [7.6, -8.7, 5.5, -10.7, -7.5, -7.4],
    [9.6, -9.2, 6.1, -11.6, -8.2, -8.4],
    [12.4, -9.9, 6.8, -13.0, -8.9, -9.8],
    [15.6, -11.0, 7.5, -15.0, -9.3, -12.0],
    [18.2, -13.5, 8.1, -18.0, -9.5, -15.0],
    [19.4, -19.0, 8.3, -22.0, -9.5, -20.0],
    [19.8, -25.0, 8.5, -26.0, -9.5, -25.0],
])  # fmt: skip
# Rings above the first one that make a collar, the same columns.
_COLLARS = {
    "t-shirt": [[6.35, -8.1, 4.8, -10.05, -6.6, -6.6]],
    "sweater": [[6.25, -7.6, 4.7, -9.5, -6.4, -6.1], [6.8, -7.7, 5.2, -9.7, -6.9, -6.2]],
    "turtleneck": [[5.9, -5.6, 3.9, -7.9, -6.3, -4.3], [6.5, -5.5, 4.5, -7.8, -6.8, -4.2],
                   [6.6, -7.6, 4.9, -9.6, -6.9, -6.2]],
    "shirt": [[6.15, -6.6, 4.2, -10.6, -6.4, -5.2], [6.9, -6.6, 5.0, -10.0, -6.9, -5.2],
              [7.8, -8.4, 6.6, -11.6, -7.4, -7.0]],
    "jacket": [[6.35, -8.1, 4.8, -10.05, -6.6, -6.6]],
}  # fmt: skip
_LAPELS = np.array([[6.8, -6.8, 4.4, -11.5, -6.9, -5.4], [7.7, -7.2, 6.4, -11.3, -7.5, -5.8]])


def create_clothes(kind: str, rng: np.random.Generator) -> tuple[Float[np.ndarray, "v 3"], Int[np.ndarray, "t 3"], dict]:
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
    return np.concatenate([under[0], over[0]]), np.concatenate([under[1], over[1][keep] + len(under[0])]), maps


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
    folds = sum(rng.normal(0, 0.1) * np.sin(angle * k + along * rng.uniform(-0.5, 0.5) + rng.uniform(0, 6)) for k in range(3, 12))
    points = np.stack([x, y + folds * np.clip(along / 5, 0, 1), z + folds * np.clip(along / 5, 0, 1)], axis=-1)
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
