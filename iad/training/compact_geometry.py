"""Morphable head -> the compact geometry that ships: fewer vertices and directions, the same faces.

Vertices are chosen, never moved, so every expression and landmark stays exact where it is kept: edges
collapse one after the other, the one whose loss bends the surface least first, while lips, lids, brows and
nostrils weigh more and the openings of mouth and eyes stay whole. Identity directions are the principal
components of the head's random faces at these vertices.
"""

import heapq
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from iad.geometry.head import DRAWN_PARTS, Head, save_geometry

VERTICES = 3900
DIRECTIONS = 56
SCORE = 0.5  # standard deviation of identity weights in people whom the fit was tried on, generously
_IMPORTANCE = {"head": 0.03, "mouth_socket": 0.1, "eye_sockets": 0.3, "teeth": 0.03}


def make_geometry(output: Path) -> Path:
    """Make the compact geometry, print what it loses, and write it to `output/weights`."""
    from iad.portraits.morphable import load_head

    head = load_head()
    kept = choose_vertices(head)
    compact = compact_head(head, *kept)
    print(f"{len(compact.neutral)} vertices, {len(compact.triangles)} triangles", flush=True)
    for name, value in measure_loss(head, compact, kept[0]).items():
        print(f"{name}: {value:.4f}", flush=True)
    save_geometry(output / "weights", compact)
    return output / "weights"


def choose_vertices(
    head: Head, *, vertices: int = VERTICES
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, "t 3"]]:
    """Choose about so many vertices of the drawn parts; returns them, and triangles between them.

    Raises:
        ValueError: The head has fewer.
    """
    drawn = np.zeros(len(head.neutral), bool)
    importance = np.ones(len(head.neutral), np.float32)
    for name in DRAWN_PARTS:
        drawn[head.parts[name]] = True
        importance[head.parts[name]] = _IMPORTANCE.get(name, 1.0)
    if drawn.sum() <= vertices:
        raise ValueError(
            f"The head has {drawn.sum()} drawn vertices; ask for fewer than that, not {vertices}."
        )
    fixed = np.zeros(len(head.neutral), bool)
    fixed[head.landmarks] = True
    marks = head.neutral[head.landmarks]
    face = head.parts["face"]
    for first, last, reach, more in (
        (17, 27, 1.0, 4.0),
        (31, 36, 0.9, 4.0),
        (36, 48, 1.0, 8.0),
        (48, 68, 1.0, 8.0),
    ):
        away = np.linalg.norm(head.neutral[face, None] - marks[None, first:last], axis=-1).min(axis=1)
        importance[face] *= 1 + more * np.exp(-((away / reach) ** 2))
    fixed |= _openings(head)
    triangles = head.triangles[drawn[head.triangles].all(axis=1)]
    triangles = collapse_edges(head.neutral, triangles, importance=importance, fixed=fixed, target=vertices)
    return np.unique(triangles), triangles


def _openings(head: Head) -> Bool[np.ndarray, " v"]:
    """Find what stays whole: lids as far as a blink stretches them, the lips' inner sides, and all rims."""
    face = np.zeros(len(head.neutral), bool)
    face[head.parts["face"]] = True
    chosen = np.zeros(len(head.neutral), bool)
    for side in "LR":
        travel = np.linalg.norm(head.expression[head.expression_names.index(f"eyeBlink_{side}")], axis=1)
        chosen |= face & (travel > 0.08 * travel.max())
    lips = head.neutral[head.landmarks[60:68]]
    away = np.linalg.norm(head.neutral[face, None] - lips[None], axis=-1).min(axis=1)
    chosen[np.flatnonzero(face)[away < 0.45]] = True
    inner = np.zeros(len(head.neutral), bool)
    for name in ("mouth_socket", "eye_sockets"):
        inner[head.parts[name]] = True
    corners = head.triangles
    mixed = corners[face[corners].any(axis=1) & inner[corners].any(axis=1)]
    chosen[mixed[face[mixed]]] = True
    return chosen


def compact_head(
    head: Head,
    kept: Int[np.ndarray, " k"],
    triangles: Int[np.ndarray, "t 3"],
    *,
    directions: int = DIRECTIONS,
) -> Head:
    """Restrict a head to chosen vertices, and its identity to the strongest directions there."""
    number = np.full(len(head.neutral), -1)
    number[kept] = np.arange(len(kept))
    front = np.clip(head.neutral[kept, 2] / 5, 0.1, 1).astype(
        np.float32
    )  # the back of the head counts little
    modes = (head.identity[:, kept].astype(np.float32) * front[:, None]).reshape(len(head.identity), -1)
    _, strengths, shapes = np.linalg.svd(modes, full_matrices=False)
    strongest = (strengths[:directions, None] * shapes[:directions]).reshape(directions, -1, 3)
    parts, start = {}, 0
    for name in DRAWN_PARTS:
        span = head.parts[name]
        count = int(((kept >= span.start) & (kept < span.stop)).sum())
        parts[name], start = slice(start, start + count), start + count
    return replace(
        head,
        neutral=head.neutral[kept],
        identity=strongest / front[:, None],
        expression=head.expression[:, kept],
        triangles=number[triangles].astype(np.int32),
        landmarks=number[head.landmarks].astype(np.int32),
        parts=parts,
    )


def measure_loss(
    head: Head, compact: Head, kept: Int[np.ndarray, " k"], *, faces: int = 50
) -> dict[str, float]:
    """Compare random faces: what fewer directions lose at the vertices, what fewer vertices lose elsewhere.

    Returns:
        In head units (about a centimetre), and in percent of the distance between the eyes.
    """
    weights = np.random.default_rng(0).normal(0, SCORE, (faces, len(head.identity))).astype(np.float32)
    whole = np.tensordot(weights, head.identity.astype(np.float32), axes=1)[:, kept]
    modes = compact.identity.reshape(len(compact.identity), -1)
    found = np.linalg.lstsq(modes.T, whole.reshape(faces, -1).T, rcond=None)[0].T
    directions = np.linalg.norm(np.tensordot(found, compact.identity, axes=1) - whole, axis=-1)
    skin = compact.triangles_of("face")
    corners = compact.neutral[skin]
    steps = [(a, b, 1 - a - b) for a in np.linspace(0, 1, 7) for b in np.linspace(0, 1 - a, 7)]
    surface = np.concatenate([np.einsum("k,tkd->td", step, corners) for step in steps])
    from scipy.spatial import cKDTree

    surfaces = cKDTree(surface).query(head.neutral[head.parts["face"]])[0]
    marks = head.neutral[head.landmarks]
    eyes = float(np.linalg.norm(marks[36:42].mean(axis=0) - marks[42:48].mean(axis=0)))
    return {
        "lost by fewer directions, mean": float(directions.mean()),
        "lost by fewer directions, % of the eye distance": 100 * float(directions.mean()) / eyes,
        "lost by fewer vertices, mean": float(surfaces.mean()),
        "lost by fewer vertices, % of the eye distance": 100 * float(surfaces.mean()) / eyes,
    }


def collapse_edges(
    points: Float[np.ndarray, "v 3"],
    triangles: Int[np.ndarray, "t 3"],
    *,
    importance: Float[np.ndarray, " v"],
    fixed: Bool[np.ndarray, " v"],
    target: int,
) -> Int[np.ndarray, "t2 3"]:
    """Remove vertices, the one that bends the surface least first, until `target` are left.

    A vertex goes by sliding along an edge onto a neighbour (Garland & Heckbert 1997, with the neighbour's
    place as the only one allowed). `fixed` vertices and those of open borders stay.
    """
    mesh = _Mesh(points.astype(np.float64), triangles, importance, fixed)
    queue = [(*mesh.best(v), 0, v) for v in mesh.around if not mesh.fixed[v]]
    heapq.heapify(queue)
    stamp = dict.fromkeys(mesh.around, 0)
    while len(mesh.around) > target and queue:
        cost, onto, when, vertex = heapq.heappop(queue)
        if vertex not in mesh.around or when != stamp[vertex] or not np.isfinite(cost):
            continue
        for near in mesh.collapse(vertex, onto):
            if not mesh.fixed[near]:
                stamp[near] += 1
                heapq.heappush(queue, (*mesh.best(near), stamp[near], near))
    return np.array(sorted({corners for faces in mesh.around.values() for corners in faces}), np.int64)


class _Mesh:
    """Triangles around every vertex, and the sum of squared distances to the planes that met there."""

    def __init__(
        self,
        points: Float[np.ndarray, "v 3"],
        triangles: Int[np.ndarray, "t 3"],
        importance: Float[np.ndarray, " v"],
        fixed: Bool[np.ndarray, " v"],
    ):
        self.points, self.importance, self.fixed = points, importance, fixed.copy()
        self.around: dict[int, set[tuple[int, int, int]]] = {}
        self.planes = np.zeros((len(points), 4, 4))
        borders: dict[tuple[int, int], int] = {}
        for a, b, c in triangles.tolist():
            normal = np.cross(points[b] - points[a], points[c] - points[a])
            area = np.linalg.norm(normal)
            plane = np.append(normal, -normal @ points[a]) / max(area, 1e-12)
            for corner in (a, b, c):
                self.around.setdefault(corner, set()).add((a, b, c))
                self.planes[corner] += area * np.outer(plane, plane)
            for edge in ((a, b), (b, c), (c, a)):
                edge = (min(edge), max(edge))
                borders[edge] = borders.get(edge, 0) + 1
        for edge, count in borders.items():
            if count != 2:
                self.fixed[list(edge)] = True

    def neighbours(self, vertex: int) -> set[int]:
        return {corner for face in self.around[vertex] for corner in face} - {vertex}

    def best(self, vertex: int) -> tuple[float, int]:
        """Return the cheapest neighbour that the vertex may slide onto, and what that costs."""
        near = np.array(sorted(self.neighbours(vertex)))
        places = np.column_stack([self.points[near], np.ones(len(near))])
        bent = np.einsum("ni,nij,nj->n", places, self.planes[near] + self.planes[vertex], places)
        length = ((self.points[near] - self.points[vertex]) ** 2).sum(axis=1)
        # A small share of the length keeps triangles even where the surface is flat.
        costs = self.importance[vertex] * (bent + 0.02 * length**2)
        for number in np.argsort(costs):
            if self._allowed(vertex, int(near[number])):
                return float(costs[number]), int(near[number])
        return np.inf, vertex

    def _allowed(self, vertex: int, onto: int) -> bool:
        """Tell whether the surface stays one sheet, and no triangle turns over."""
        if len(self.neighbours(vertex) & self.neighbours(onto)) != 2:
            return False
        faces = np.array([face for face in self.around[vertex] if onto not in face])
        before = self.points[faces]
        after = np.where((faces == vertex)[..., None], self.points[onto], before)
        old, new = (np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]) for p in (before, after))
        lengths = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
        return bool(((old * new).sum(axis=1) >= 0.3 * lengths).all())

    def collapse(self, vertex: int, onto: int) -> set[int]:
        """Slide a vertex onto another; returns whose cheapest neighbour may have changed."""
        touched = self.neighbours(vertex)
        self.planes[onto] += self.planes[vertex]
        for face in self.around.pop(vertex):
            for corner in set(face) - {vertex}:
                self.around[corner].discard(face)
            if onto not in face:
                moved = tuple(onto if corner == vertex else corner for corner in face)
                for corner in moved:
                    self.around[corner].add(moved)
        return touched
