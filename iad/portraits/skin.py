"""Paint on a rendered face: complexion, lips, lids, shadows of hair, lines of age, one colour a vertex.

Where things lie is read off the generic head, whose vertices are the same on every person; `paint_skin` then
mixes a person's own colours there. Colours are linear.
"""

import numpy as np
from jaxtyping import Float
from skimage.measure import points_in_poly

from iad.portraits.appearance import Appearance
from iad.portraits.strands import beard_mask, scalp_mask, smoothstep


def lip_mask(points: Float[np.ndarray, "v 3"], marks: Float[np.ndarray, "68 3"]) -> Float[np.ndarray, " v"]:
    """Return 1 within the outer lips, falling softly to 0 across their edge."""
    polygon = marks[48:60, :2]
    return smoothstep(-0.18, 0.22, _inside(points[:, :2], polygon)) * (points[:, 2] > marks[48, 2] - 1.6)


def _inside(points, polygon):
    """Distance to a polygon's edge, positive inside."""
    distance = _to_line(points, np.concatenate([polygon, polygon[:1]]))
    return np.where(points_in_poly(points, polygon), distance, -distance)


def _to_line(points, line):
    """Distance of points to a polyline."""
    a, d = line[:-1], np.diff(line, axis=0)
    t = ((points[:, None] - a) * d).sum(-1) / np.maximum((d * d).sum(-1), 1e-9)
    foot = a + np.clip(t, 0, 1)[..., None] * d
    return np.linalg.norm(points[:, None] - foot, axis=-1).min(axis=1)


def _noise(points, *, scale, rng, waves=14):
    """Smooth noise of about unit size: a sum of plane waves with this wavelength."""
    way = rng.normal(0, 2 * np.pi / scale / 1.7, (waves, points.shape[1]))
    return np.sin(points @ way.T + rng.uniform(0, 2 * np.pi, waves)).sum(axis=1) / np.sqrt(waves / 2)


def _spot(points, centre, reach):
    """Gaussian around a point and its mirror image."""
    mirrored = np.abs(points[:, 0]) - centre[0]
    squared = mirrored**2 + (points[:, 1] - centre[1]) ** 2 + (points[:, 2] - centre[2]) ** 2 * 0.3
    return np.exp(-squared / reach**2)


def paint_skin(
    points: Float[np.ndarray, "v 3"],
    marks: Float[np.ndarray, "68 3"],
    looks: Appearance,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "v 3"], Float[np.ndarray, " v"]]:
    """Return each vertex's colour and gloss, from vertices and landmarks of the generic head."""
    colour = np.tile(looks.skin, (len(points), 1)) * _complexion(points, looks, rng)
    lips = lip_mask(points, marks)
    flat = points[:, :2]
    front = points[:, 2] > 4
    lids = [_to_line(flat, marks[a:b, :2]) for a, b in ((36, 40), (42, 46))]
    lash_line = np.exp(-((np.minimum(*lids) / 0.2) ** 2)) * front
    below = [_to_line(flat, np.concatenate([marks[a : a + 1], marks[c : c + 2], marks[b : b + 1]])[:, :2])
             for a, b, c in ((39, 36, 40), (45, 42, 46))]  # fmt: skip
    rim = np.exp(-((np.minimum(*below) / 0.16) ** 2)) * front
    colour *= 1 - lash_line[:, None] * looks.lashes * np.array([0.62, 0.66, 0.66])
    colour *= 1 - rim[:, None] * (0.12 + 0.2 * (looks.lashes > 0.6))
    brows = np.minimum(_to_line(flat, marks[17:22, :2]), _to_line(flat, marks[22:27, :2]))
    brow = np.exp(-((brows / 0.36) ** 2)) * front * 0.3
    colour = colour * (1 - brow[:, None]) + looks.brows * brow[:, None]
    mottled = np.clip(lips * (0.92 + 0.08 * _noise(points, scale=0.6, rng=rng)), 0, 1)[:, None]
    colour = colour * (1 - mottled) + looks.lips * mottled
    seam = np.exp(-((_to_line(flat, marks[[60, 61, 62, 63, 64], :2]) / 0.14) ** 2)) * lips
    colour *= 1 - 0.35 * seam[:, None]
    colour, hidden = _shade_hair(points, colour, lips, looks, rng)
    gloss = 0.75 + 0.5 * _spot(points, (0, 0.5, 12.5), 1.2) + 0.35 * _spot(points, (3.8, 1.2, 9), 1.6)
    gloss = gloss + 0.3 * _spot(points, (1.5, 8.3, 9.5), 2.2) + 1.0 * lips
    gloss = gloss * (1 + 0.25 * _noise(points, scale=1.1, rng=rng)) * (1 - 0.75 * hidden)
    return np.clip(colour, 0.002, 1).astype(np.float32), np.clip(gloss, 0, 3).astype(np.float32)


def _complexion(points, looks, rng):
    """Factors (v, 3): flush, rings under the eyes, blotches, pores, freckles, lines of age."""
    flush = looks.blush * (
        0.75 * _spot(points, (4.6, 0.2, 8), 2.0) + 0.8 * _spot(points, (0.5, 0.6, 12.5), 1.3)
        + 0.35 * _spot(points, (0, -6.4, 10), 1.4)
    ) + 0.5 * smoothstep(8.0, 9.0, np.abs(points[:, 0])) * (points[:, 1] > -2) * (points[:,
        1] < 6.5)  # fmt: skip
    rings = _spot(points, (2.9, 2.1, 9), 0.9) * (0.5 + 0.5 * min(looks.wrinkles, 1))
    factor = 1 - flush[:, None] * np.array([0.02, 0.20, 0.18])
    factor = factor * (1 - rings[:, None] * np.array([0.14, 0.17, 0.10]))
    blotches = _noise(points, scale=4.0, rng=rng)[:, None] * np.array([0.015, 0.035, 0.035])
    fine = _noise(points, scale=1.0, rng=rng)[:, None] * np.array([0.015, 0.025, 0.025]) * looks.grain
    pores = rng.normal(0, 0.03, (len(points), 1)) * looks.grain
    factor = factor * (1 + blotches + fine + pores)
    if looks.freckles:
        area = _spot(points, (2.5, 0.8, 10), 3.0) + _spot(points, (0, 1, 12), 1.5)
        spots = (rng.random(len(points)) < 0.10 * area * looks.freckles)[:, None]
        factor = np.where(spots, factor * np.array([0.84, 0.73, 0.64]), factor)
    moles = rng.choice(len(points), 1)
    factor[moles] *= 0.5
    return factor * (1 - looks.wrinkles * _age_lines(points, rng)[:, None] * np.array([0.26, 0.3, 0.3]))


def _age_lines(points, rng):
    mirrored = np.stack([np.abs(points[:, 0]), points[:, 1]], axis=1)

    def near(line, reach):
        return np.exp(-((_to_line(mirrored, np.array(line)) / reach) ** 2))

    fold = near([[1.7, 0.2], [2.5, -1.2], [3.0, -2.6], [3.1, -3.6]], 0.24)
    feet = sum(near([[4.9, 3.4], [6.0, 3.4 + rise]], 0.12) for rise in (0.7, 0.1, -0.5))
    bags = near([[1.7, 2.4], [2.6, 1.7], [3.8, 1.8], [4.5, 2.4]], 0.2)
    height = points[:, 1] + 0.25 * _noise(points[:, :1], scale=5.0, rng=rng)
    across = np.maximum(np.sin(height * 2 * np.pi / 1.05), 0) ** 4
    brow = (
        across
        * smoothstep(6.8, 7.6, points[:, 1])
        * smoothstep(10.4, 9.6, points[:, 1])
        * smoothstep(4.6, 3.0, mirrored[:, 0])
    )
    front = points[:, 2] > 4
    return (0.7 * fold + 0.5 * feet + 0.45 * bags + 0.55 * brow) * front


def _shade_hair(points, colour, lips, looks, rng):
    """Darken the skin under hair and beard; return the colour and how much of the skin is hidden."""
    scalp = scalp_mask(points, style=looks.traits.hair)
    share = 0.55 if looks.traits.hair in ("buzz-cut", "receding") else 0.93
    beard = 0 * lips
    if looks.traits.presentation == "man":
        strength = {"clean-shaven": 0.09, "stubble": 0.42, "short beard": 0.55, "full beard": 0.8}
        kind = looks.traits.beard
        beard = beard_mask(points, lips, kind) * strength.get(kind, 0.55)
        beard = beard * np.clip(1 + rng.normal(0, 0.14, len(beard)), 0.3, 1.5)
        if kind in ("moustache", "goatee"):
            beard = np.maximum(beard, 0.1 * beard_mask(points, lips, "full beard"))
    under = looks.hair * 0.45
    for mask, tint in ((scalp * share, under), (beard, looks.hair * 0.7 + 0.01)):
        colour = colour * (1 - mask[:, None]) + tint * mask[:, None]
    return colour, np.clip(scalp + beard, 0, 1)
