"""What animating a photo needs of a head, worked out once a head: the drawn surfaces and how they move.

Only skin, mouth and eyeballs are drawn; each vertex of `Rig` belongs to one of them, so that one set of
attributes serves it. Shapes are flattened, for one matrix product a clip.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.spatial import cKDTree

from iad.geometry.curves import ease, round_off
from iad.geometry.head import Head
from iad.geometry.teeth import lay_teeth

SKIN, MOUTH, EYE_L, EYE_R = range(4)
_OVERLAP = 0.09  # head units by which closed lids overlap: eyes of other shapes shall close, too


@dataclass(frozen=True, eq=False)
class Rig:
    """Drawn vertices by material, and what is special about some of them.

    Attributes:
        vertex: The head's vertex that each drawn vertex copies.
        material: Of each triangle: SKIN, MOUTH, EYE_L or EYE_R.
        landmarks: The 68 landmarks among the drawn vertices.
        lids: 1 where a blink of the left or right eye stretches the skin, falling to 0 around.
        upper_lid: 1 where a blink lowers skin, 0 below the eyes and wherever it moves nothing.
        twin: The skin vertex on the other side of the face; other materials are their own.
        inner: 1 in the middle of the face, falling to 0 towards its outline.
        neighbours: Averages a value over each vertex's neighbours.
        upper_lip: Skin by the mouth that belongs to the upper lip (else the lower).
        teeth: The drawn vertices of teeth and tongue.
        tooth_looks: Of each of them: see `teeth.lay_teeth`.
        sample: Face vertices about a centimetre apart, as a sample of the surface.
        surface: Triangles of the head's outer surface, by the head's own numbers.
    """

    vertex: Int[np.ndarray, " r"]
    neutral: Float[np.ndarray, "r 3"]
    identity: Float[np.ndarray, "m r3"]
    expression: Float[np.ndarray, "e r3"]
    triangles: Int[np.ndarray, "t 3"]
    material: UInt8[np.ndarray, " t"]
    spans: dict[int, slice]
    landmarks: Int[np.ndarray, " 68"]
    lids: Float[np.ndarray, "2 r"]
    upper_lid: Float[np.ndarray, " r"]
    twin: Int[np.ndarray, " r"]
    inner: Float[np.ndarray, " r"]
    neighbours: csr_array
    upper_lip: Bool[np.ndarray, " r"]
    teeth: Bool[np.ndarray, " r"]
    tooth_looks: Float[np.ndarray, "k 3"]
    sample: Int[np.ndarray, "c"]
    surface: Int[np.ndarray, "s 3"]

    def shape(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "r 3"]:
        """Return the neutral face with these identity weights."""
        return self.neutral + (np.asarray(weights, np.float32) @ self.identity).reshape(-1, 3)

    def offsets(self, weights: Float[np.ndarray, "f e"]) -> Float[np.ndarray, "f r 3"]:
        """Return how these expression weights move each drawn vertex."""
        weights = np.asarray(weights, np.float32)
        moving = np.flatnonzero(np.abs(weights).max(axis=0) > 1e-4)
        return (weights[:, moving] @ self.expression[moving]).reshape(len(weights), -1, 3)


@lru_cache(maxsize=2)
def create_rig(head: Head) -> Rig:
    """Sort a head's triangles by material and find lids, lips and teeth."""
    head, tooth_looks = lay_teeth(head)
    number = np.full(len(head.neutral), -1)
    for material, names in enumerate(_MATERIALS):
        for name in names:
            number[head.parts[name]] = material
    corners = number[head.triangles]
    # Lips run over into the mouth and lids into the eye sockets: such triangles go with the inner side.
    drawn = (corners >= 0).all(axis=1)
    triangles, corners = head.triangles[drawn], corners[drawn].max(axis=1)
    vertices, spans, local, start = [], {}, [], 0
    for material in range(len(_MATERIALS)):
        chosen, inverse = np.unique(triangles[corners == material], return_inverse=True)
        vertices.append(chosen)
        local.append(inverse.reshape(-1, 3) + start)
        spans[material] = slice(start, start + len(chosen))
        start += len(chosen)
    vertex = np.concatenate(vertices)
    neutral = head.neutral[vertex]
    place = np.full(len(head.neutral), -1)
    place[vertices[SKIN]] = np.arange(len(vertices[SKIN]))
    landmarks = place[head.landmarks]
    expression = _flatten(head.expression, vertex)
    lids, upper_lid = _find_lids(head, vertex, spans[SKIN], landmarks, expression)
    return Rig(
        vertex=vertex,
        neutral=neutral,
        identity=_flatten(head.identity, vertex),
        expression=expression,
        triangles=np.concatenate(local).astype(np.int32),
        material=np.sort(corners).astype(np.uint8),
        spans=spans,
        landmarks=landmarks,
        lids=lids,
        upper_lid=upper_lid,
        twin=_find_twins(neutral, spans[SKIN]),
        inner=_inner_face(neutral, spans[SKIN]),
        neighbours=_average_neighbours(np.concatenate(local), len(vertex)),
        upper_lip=neutral[:, 1] > neutral[landmarks[[62, 66]], 1].mean(),
        teeth=_within(vertex, head.parts["teeth"]),
        tooth_looks=tooth_looks,
        sample=_surface_sample(head, vertex, spans[SKIN]),
        surface=head.triangles_of("face", "head"),
    )


_MATERIALS = (("face", "eye_sockets"), ("mouth_socket", "teeth"), ("sclera_L",), ("sclera_R",))


def _flatten(shapes: Float[np.ndarray, "n v 3"], vertex: Int[np.ndarray, " r"]) -> Float[np.ndarray, "n r3"]:
    return np.ascontiguousarray(shapes[:, vertex], np.float32).reshape(len(shapes), -1)


def _within(vertex: Int[np.ndarray, "*n"], span: slice) -> Bool[np.ndarray, "*n"]:
    return (vertex >= span.start) & (vertex < span.stop)


def _find_lids(
    head: Head, vertex: np.ndarray, skin: slice, landmarks: np.ndarray, expression: np.ndarray
) -> tuple:
    """Return `lids` and `upper_lid`, left (the person's own) first; blinks in `expression` are completed."""
    lids, upper_lid = np.zeros((2, len(vertex)), np.float32), np.zeros(len(vertex), np.float32)
    points = head.neutral[vertex[skin]]
    rims = points[_find_rim(head, vertex[skin])]
    sockets = _within(vertex[skin], head.parts["eye_sockets"])
    for side, (name, first) in enumerate((("L", 42), ("R", 36))):
        row = expression[head.expression_names.index(f"eyeBlink_{name}")].reshape(-1, 3)
        blink = row[skin]
        travel = np.linalg.norm(blink, axis=1)
        curve = round_off(points[landmarks[first : first + 6]])
        share = np.clip(travel / max(travel.max(), 1e-6) / 0.3 - 0.05, 0, 1)
        # The rims of the lids go with the skin, lest the white behind them shows through.
        rim = rims[np.sign(rims[:, 0]) == np.sign(curve[0, 0])]
        share = np.maximum(share, np.clip(1.8 - _distance(points, np.concatenate([rim, curve])) / 0.6, 0, 1))
        share[sockets] = 1
        lids[side, skin] = ease(share)
        above = blink[:, 1] < -0.05 * max(travel.max(), 1e-6)
        upper_lid[skin] += np.clip(-blink[:, 1] / max(0.15 * travel.max(), 1e-6), 0.3 * sockets, 1)
        _complete_blink(points, blink, above & ~sockets, ~above & ~sockets, curve)
    return lids, upper_lid


def _complete_blink(
    points: np.ndarray, blink: np.ndarray, above: np.ndarray, below: np.ndarray, curve: np.ndarray
) -> None:
    """Let the upper lid come down right to the lower one, all along the eye, in place."""
    shut = points + blink
    places = np.linspace(*np.quantile(curve[:, 0], [0.02, 0.98]), 15)
    near = np.abs(shut[:, 0] - places[:, None]) < 0.12
    below = below & (np.abs(points[:, 1] - curve[:, 1].mean()) < 1) & (points[:, 1] < curve[:, 1].mean())
    upper = np.where(near & above, shut[:, 1], np.inf).min(axis=1)
    lower = np.where(near & below, shut[:, 1], -np.inf).max(axis=1)
    margin = np.where(near & above, -blink[:, 1], 0).max(axis=1)
    known = np.isfinite(upper) & np.isfinite(lower)
    if known.any():
        lack = np.interp(shut[:, 0], places[known], (upper - lower)[known] + _OVERLAP)
        share = -blink[:, 1] / np.maximum(np.interp(shut[:, 0], places, margin), 1e-3)
        blink[:, 1] -= lack * np.clip(share, 0, 1)


def _find_rim(head: Head, vertex: Int[np.ndarray, " r"]) -> Bool[np.ndarray, " r"]:
    """Find the rims of the eyes among vertices: where the face's triangles meet the sockets'."""
    face, socket = (_within(head.triangles, head.parts[name]) for name in ("face", "eye_sockets"))
    mixed = face.any(axis=1) & socket.any(axis=1)
    return np.isin(vertex, head.triangles[mixed][face[mixed]])


def _distance(points: Float[np.ndarray, "n 3"], line: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, " n"]:
    """Return how far points are from the nearest of others."""
    return cKDTree(line).query(points)[0]


def _inner_face(neutral: Float[np.ndarray, "r 3"], skin: slice) -> Float[np.ndarray, " r"]:
    away = np.hypot(neutral[:, 0] / 6.4, (neutral[:, 1] - 1.2) / 8.6)
    inner = np.zeros(len(neutral), np.float32)
    inner[skin] = np.clip((1.0 - away[skin]) / 0.2, 0, 1) * (neutral[skin, 2] > 5)
    return inner


def _average_neighbours(triangles: Int[np.ndarray, "t 3"], count: int) -> csr_array:
    rows, columns = triangles.ravel(), np.roll(triangles, 1, axis=1).ravel()
    links = coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(count, count)).tocsr()
    links = links + links.T
    totals = np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1)
    return csr_array(diags_array(1 / totals) @ links, dtype=np.float32)


def _find_twins(neutral: Float[np.ndarray, "r 3"], skin: slice) -> Int[np.ndarray, " r"]:
    twin = np.arange(len(neutral))
    points = neutral[skin]
    twin[skin] = cKDTree(points).query(points * np.float32([-1, 1, 1]))[1] + skin.start
    return twin


def _surface_sample(
    head: Head, vertex: np.ndarray, skin: slice, spacing: float = 1.1
) -> Int[np.ndarray, "c"]:
    """Choose face vertices about `spacing` apart: what the surroundings take their movement from."""
    face = np.flatnonzero(_within(vertex[skin], head.parts["face"]))
    cells = np.round(head.neutral[vertex[face], :2] / spacing).astype(int)
    front = np.argsort(-head.neutral[vertex[face], 2], kind="stable")
    _, first = np.unique(cells[front], axis=0, return_index=True)
    return face[front[first]]
