"""A made-up head of a few hundred vertices, and people of it: what needs no data, and means nothing.

The preset `tiny` is judged on them, and tests stand on them. A person's number decides shape and colours.
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from iad.geometry.coefficients import COEFFICIENTS, EXPRESSIONS
from iad.geometry.fit import Fit, project
from iad.geometry.head import MIRRORED_LANDMARKS, Head, rotation_matrices
from iad.portraits.morphable import PART_STARTS
from iad.portraits.photo import PhotoRecord

SIDE = 256  # pixels of a drawn photo

# Where the 68 landmarks of the made-up head are, seen from the front: brows, nose, eyes and lips by hand.
_RIGHT = {
    17: (-6.0, 6.2), 18: (-5.0, 6.9), 19: (-4.0, 7.0), 20: (-2.8, 6.8), 21: (-1.6, 6.3), 31: (-1.6, -0.2),
    32: (-0.8, -0.4), 36: (-4.6, 3.6), 37: (-3.7, 4.3), 38: (-2.6, 4.3), 39: (-1.7, 3.5), 40: (-2.6, 3.0),
    41: (-3.7, 3.0), 48: (-2.6, -3.2), 49: (-1.6, -2.7), 50: (-0.6, -2.4), 59: (-1.5, -4.0),
    58: (-0.7, -4.4), 60: (-2.3, -3.2), 61: (-1.0, -3.1), 67: (-1.0, -3.3),
}  # fmt: skip
_MIDDLE = {27: 4.0, 28: 2.8, 29: 1.6, 30: 0.6, 33: -0.6, 51: -2.5, 62: -3.1, 66: -3.3, 57: -4.5}


def create_tiny_head(seed: int = 0) -> Head:
    """Make up a head of a few hundred vertices, whose expressions move the parts that they name."""
    rng = np.random.default_rng(seed)
    marks = _landmarks()
    grid = np.stack(np.meshgrid(np.linspace(-8, 8, 13), np.linspace(-10, 11, 15)), axis=-1).reshape(-1, 2)
    grid = grid + rng.uniform(-0.1, 0.1, grid.shape)
    inside = (grid[:, 0] / 8.2) ** 2 + (grid[:, 1] / 11.2) ** 2 < 1
    apart = np.linalg.norm(grid[:, None] - marks[None], axis=-1).min(axis=1) > 0.9
    face = np.concatenate([marks, grid[inside & apart]])
    pieces = [(_lift(face), _cut_openings(face))]
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = np.stack([9 * np.cos(angles), 12 * np.sin(angles), -3 + 0 * angles], axis=1)
    pieces.append(_fan(ring, (0.0, 0.0, -9.0)))
    pieces.append(_patch((0, -3.3, 5.5), (3.2, 2.0)))  # mouth socket
    pieces.append(_patch((0, 3.6, 4.0), (4.0, 0.5)))  # eye sockets, behind the balls
    pieces.append(_patch((0, -3.9, 6.5), (2.0, 0.6)))  # gums and tongue
    pieces.append(_patch((0, -2.6, 7.0), (2.2, 0.45)))  # teeth
    for side, depth in ((1, 7.2), (1, 7.1), (-1, 7.2), (-1, 7.1)):
        pieces.append(_patch((3.15 * side, 3.6, depth), (1.6, 1.2)))
    pieces += [_patch((0, 3.6, 3.0), (0.1, 0.1))] * 4
    starts = np.cumsum([0] + [len(points) for points, _ in pieces])
    neutral = np.concatenate([points for points, _ in pieces]).astype(np.float32)
    triangles = np.concatenate([t + start for (_, t), start in zip(pieces, starts, strict=False)])
    names = COEFFICIENTS[:57]
    waves = rng.normal(0, 0.15, (6, 2, 3))
    identity = np.stack([np.sin(neutral[:, :2] * 0.2 + i) @ wave for i, wave in enumerate(waves)])
    return Head(
        neutral=neutral,
        identity=identity.astype(np.float32),
        expression=np.stack([_move(name, neutral) for name in names]).astype(np.float32),
        expression_names=names,
        triangles=triangles.astype(np.int32),
        landmarks=np.arange(68, dtype=np.int32),
        parts={
            name: slice(int(a), int(b))
            for name, a, b in zip(PART_STARTS, starts[:-1], starts[1:], strict=True)
        },
    )


@dataclass(frozen=True)
class DrawnRecord(PhotoRecord):
    """A person of the made-up head, with a drawing in place of a portrait."""

    drawing: UInt8[np.ndarray, "h w 3"] = field(repr=False, kw_only=True)

    def load_photo(self) -> UInt8[np.ndarray, "h w 3"]:
        """Return the drawing."""
        return self.drawing


def draw_person(
    number: int,
    *,
    head: Head | None = None,
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
    expression: Float[np.ndarray, " e"] | None = None,
) -> DrawnRecord:
    """Draw a person who shows a pose (degrees) and an expression; person 0 has the head's own shape."""
    head, rng = head or create_tiny_head(), np.random.default_rng(number)
    fit = Fit(
        identity=(rng.normal(0, 1, len(head.identity)) * (number > 0)).astype(np.float32),
        expression=np.zeros(EXPRESSIONS, np.float32) if expression is None else expression,
        scale=8.0,
        rotation=rotation_matrices(np.float32([pose]))[0],
        translation=np.float32([SIDE / 2, -120]),
        error=0.0,
    )
    moved = head.shape(fit.identity) + np.tensordot(fit.expression, head.expression, axes=1)
    marks = project(moved, fit)[head.landmarks, :2].astype(np.float32)
    drawing = _draw(marks, rng.normal(0, 15, (3, 3)) * (number > 0))
    return DrawnRecord(number, Path(f"{number:04d}.png"), marks, fit, drawing=drawing)


def _draw(marks: Float[np.ndarray, "68 2"], change: Float[np.ndarray, "3 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Draw red lips, blue eyes, dark hair, a green wall; `change` is that of shirt, skin and wall."""
    shirt, skin, wall = (np.float32([(70, 60, 60), (200, 160, 130), (60, 140, 60)]) + change).tolist()
    photo = np.full((SIDE, SIDE, 3), wall, np.float32)
    photo[..., 2] += np.arange(SIDE) // 2 - 40  # tells how far the wall is dragged along
    cv2.ellipse(photo, (128, 290), (150, 90), 0, 0, 360, shirt, -1)
    cv2.ellipse(photo, (128, 95), (88, 100), 0, 0, 360, (40, 30, 25), -1)
    cv2.ellipse(photo, (128, 110), (75, 100), 0, 0, 360, skin, -1)
    for line in (marks[17:22], marks[22:27], marks[27:31]):  # brows, nose
        cv2.polylines(photo, [np.round(line).astype(np.int32)], False, (70, 45, 30), 4)
    for eye in (marks[36:42], marks[42:48]):
        cv2.fillPoly(photo, [np.round(eye).astype(np.int32)], (240, 240, 240))
        cv2.circle(photo, tuple(int(v) for v in eye.mean(axis=0)), 4, (30, 60, 160), -1)
    cv2.fillPoly(photo, [np.round(marks[48:60]).astype(np.int32)], (190, 60, 70))
    return photo.clip(0, 255).astype(np.uint8)


def _landmarks() -> Float[np.ndarray, "68 2"]:
    marks = np.zeros((68, 2))
    for number, (x, y) in _RIGHT.items():
        marks[number], marks[MIRRORED_LANDMARKS[number]] = (x, y), (-x, y)
    for number, y in _MIDDLE.items():
        marks[number] = (0.0, y)
    jaw = np.linspace(-np.pi * 0.02, -np.pi * 0.98, 17)[::-1]
    marks[:17] = np.stack([7.6 * np.cos(jaw), 9.5 * np.sin(jaw) + 1.0], axis=1)
    return marks


def _lift(points: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Raise flat points onto an ellipsoid with a nose on it."""
    x, y = points.T
    dome = 10 * np.sqrt(np.clip(1 - (x / 9) ** 2 - (y / 13) ** 2, 0, 1))
    nose = 2.5 * np.exp(-(x**2) - ((y - 0.6) / 1.8) ** 2)
    return np.stack([x, y, dome + nose], axis=1)


def _cut_openings(points: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "t 3"]:
    """Triangulate flat points whose first 68 are the landmarks, leaving mouth and eyes open."""
    from scipy.spatial import Delaunay

    triangles = Delaunay(points).simplices
    openings = [set(range(60, 68)), set(range(36, 42)), set(range(42, 48))]
    return np.array([t for t in triangles if not any(set(t.tolist()) <= opening for opening in openings)])


def _fan(ring: Float[np.ndarray, "n 3"], centre: tuple) -> tuple[np.ndarray, np.ndarray]:
    number = np.arange(len(ring))
    triangles = np.stack([number, np.roll(number, -1), np.full_like(number, len(ring))], axis=1)
    return np.concatenate([ring, [centre]]), triangles


def _patch(centre: tuple, half: tuple) -> tuple[np.ndarray, np.ndarray]:
    """A flat 4x4 grid that faces the viewer."""
    u, v = np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-1, 1, 4))
    points = np.stack([u * half[0], v * half[1], 0 * u], axis=-1).reshape(-1, 3) + np.array(centre)
    corner = (np.arange(3)[:, None] * 4 + np.arange(3)).ravel()
    halves = [(corner, corner + 1, corner + 4), (corner + 1, corner + 5, corner + 4)]
    return points, np.concatenate([np.stack(half, axis=1) for half in halves])


def _move(name: str, neutral: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
    """Move the region that an expression's name speaks of, in the direction that it speaks of."""
    centre, reach, move = (0.0, -3.3), 2.0, (0.0, 0.0)
    side = {"L": 1.0, "R": -1.0}.get(name[-1], 0.0) if "_" in name else 0.0
    if name.startswith("brow"):
        centre, move = (3.4 * side, 6.6), (0.0, -0.8 if "Down" in name else 0.8)
    elif name.startswith("mouth"):
        centre = (2.4 * side, -3.2)
        move = (0.9 * side, 0.9) if "Smile" in name else (0.5 * side, -0.7) if "Frown" in name else (0.0, 0.2)
    near = np.exp(-((neutral[:, 0] - centre[0]) ** 2 + (neutral[:, 1] - centre[1]) ** 2) / reach**2)
    offsets = near[:, None] * np.array([*move, 0.0])
    if name.startswith("jaw"):
        move = {"jawOpen": (0, -3.0), "jawLeft": (1.0, 0), "jawRight": (-1.0, 0)}.get(name, (0, 0))
        below = np.clip(-3.2 - neutral[:, 1], 0, 0.1) * 10 * np.exp(-((neutral[:, 0] / 5) ** 2))
        offsets = (below * (neutral[:, 2] > 2))[:, None] * np.array([*move, 0.0])
    elif name.startswith("eyeBlink"):
        over = (np.abs(neutral[:, 0] - 3.15 * side) < 1.3) & (np.abs(neutral[:, 1] - 4.3) < 0.35)
        offsets = np.where((over & (neutral[:, 2] > 7.5))[:, None], (0.0, -1.35, 0.2), 0.0)
    return offsets
