"""The morphable head: a neutral mesh, identity modes and named expression shapes.

Vertices are in centimetre-like units: x to the right of the picture, y up, z towards the viewer.
`load_geometry` reads the compact head that ships with the package.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from iad.geometry.coefficients import COEFFICIENTS, EXPRESSIONS

# What is drawn of a head, in the order of its vertices.
DRAWN_PARTS = ("face", "head", "mouth_socket", "eye_sockets", "teeth", "sclera_L", "sclera_R")

# A turn of the head leaves this point where it is: between the skull and the neck, in head units.
NECK_PIVOT = (0.0, -6.0, -1.0)

MIRRORED_LANDMARKS = (
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27,
    28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49,
    48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Head:
    """Mesh, shapes and names; a face is neutral + weights times identity + weights times expression."""

    neutral: Float[np.ndarray, "v 3"]
    identity: Float[np.ndarray, "m v 3"]
    expression: Float[np.ndarray, "e v 3"]
    expression_names: tuple[str, ...]
    triangles: Int[np.ndarray, "t 3"]
    landmarks: Int[np.ndarray, " 68"]
    parts: Mapping[str, slice]

    def shape(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "v 3"]:
        """Return the neutral face with these identity weights (one standard deviation each)."""
        weights = np.asarray(weights, np.float32)
        return self.neutral + np.tensordot(weights, self.identity.astype(np.float32), axes=1)

    def triangles_of(self, *names: str) -> Int[np.ndarray, "t 3"]:
        """Return the triangles whose three corners lie within the named parts."""
        inside = np.zeros(len(self.neutral), bool)
        for name in names:
            inside[self.parts[name]] = True
        return self.triangles[inside[self.triangles].all(axis=1)]


def rotation_matrices(pose: Float[np.ndarray, "f 3"]) -> Float[np.ndarray, "f 3 3"]:
    """Turn (pitch, yaw, roll) into matrices that act on column vectors.

    Args:
        pose: Degrees. Positive pitch looks up, positive yaw turns to the right of the picture (the person's
            own left), positive roll tilts clockwise as seen.
    """
    pitch, yaw, roll = np.radians(np.asarray(pose, np.float64)).T
    zero, one = np.zeros_like(pitch), np.ones_like(pitch)

    def matrix(*rows: tuple) -> np.ndarray:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    (cp, sp), (cy, sy), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (pitch, yaw, roll))
    up = matrix((one, zero, zero), (zero, cp, sp), (zero, -sp, cp))
    turn = matrix((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    tilt = matrix((cr, sr, zero), (-sr, cr, zero), (zero, zero, one))
    return (tilt @ turn @ up).astype(np.float32)


def save_geometry(folder: Path, head: Head) -> None:
    """Write a head of the drawn parts as the part `geometry` of a weights folder, in half precision."""
    import torch

    from iad.checkpoint import save_part

    ends = [head.parts[name].stop for name in DRAWN_PARTS]
    arrays = {
        "neutral": head.neutral,
        "identity": head.identity,
        "expression": head.expression,
        "triangles": head.triangles.astype(np.int32),
        "landmarks": head.landmarks.astype(np.int32),
        "part_ends": np.array(ends, np.int32),
    }
    state = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    save_part(folder, "geometry", state, half=True)


@lru_cache(maxsize=2)
def load_geometry(folder: Path | None = None) -> Head:
    """Read the compact head of a weights folder, or the one that ships.

    Raises:
        ValueError: The folder holds none, or it was altered.
    """
    from iad.checkpoint import WEIGHTS, load_part

    arrays = {
        name: tensor.numpy() for name, tensor in load_part(folder or WEIGHTS / "mini", "geometry").items()
    }
    ends = arrays["part_ends"].tolist()
    if len(arrays["expression"]) != EXPRESSIONS or len(ends) != len(DRAWN_PARTS):
        raise ValueError(
            f"The geometry in {folder} moves otherwise than this version expects; make it again with "
            "`python -m iad train geometry`."
        )
    return Head(
        neutral=arrays["neutral"],
        identity=arrays["identity"],
        expression=arrays["expression"],
        expression_names=COEFFICIENTS[:EXPRESSIONS],
        triangles=arrays["triangles"],
        landmarks=arrays["landmarks"],
        parts={
            name: slice(start, end) for name, start, end in zip(DRAWN_PARTS, [0, *ends], ends, strict=False)
        },
    )
