"""What of a photo person is looked up rather than moved: the photo itself, eyes, lids and mouth."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt

from iad.portraits.actions import COEFFICIENTS
from iad.portraits.eyes import GAZE_DEGREES, IRIS_RADIUS, create_eye_textures
from iad.portraits.mouth import clear_lips, colour_mouth, measure_light, shade_mouth
from iad.portraits.renderer import rasterize
from iad.portraits.rig import EYE_L, EYE_R, MOUTH, SKIN, Rig
from iad.portraits.stage import Stage

PADDING = 64  # pixels that the photo is continued by on every side
_MIRRORED = 14  # of them, these show the photo mirrored

_COLUMN = {name: i for i, name in enumerate(COEFFICIENTS)}
_SIDES = ("L", "R")


@dataclass(frozen=True)
class Textures:
    """Pictures, and the attributes with which vertices look them up.

    Attributes:
        photo: Continued beyond its edges, with a fourth channel of ones.
        still: Attributes that no action changes; see `composite.paint_frame`.
        normals: Of the neutral face.
        mouth: Colours of the mouth's vertices in full light.
        irises_at: Where each iris rests on its ball, head units.
        ball_to_iris: Takes places on the balls, head units, to pixels of the iris pictures.
        ball_radius: Head units.
        twin_light: What takes the colours of one side of the face to those of the other.
    """

    photo: Float[np.ndarray, "h w 4"]
    whites: Float[np.ndarray, "h w 3"]
    lids: Float[np.ndarray, "h w 3"]
    irises: Float[np.ndarray, "2 k k 4"]
    still: Float[np.ndarray, "r 8"]
    normals: Float[np.ndarray, "r 3"]
    mouth: Float[np.ndarray, "r 3"]
    irises_at: Float[np.ndarray, "2 2"]
    ball_to_iris: Float[np.ndarray, "2 2"]
    ball_radius: float
    twin_light: Float[np.ndarray, " 3"]

    def attributes(
        self, rig: Rig, positions: Float[np.ndarray, "r 3"], turn, weights
    ) -> Float[np.ndarray, "r 8"]:
        """Return every vertex's attributes in a frame; see `composite.paint_frame`."""
        attributes = self.still.copy()
        for side, name in enumerate(_SIDES):
            down = weights[_COLUMN[f"eyeBlink_{name}"]] + 0.7 * weights[_COLUMN[f"eyeLookDown_{name}"]]
            shut = _smooth(down, 0.05, 0.5)
            if shut > 0:
                attributes[rig.spans[SKIN], 4] += shut * rig.lids[side, rig.spans[SKIN]]
                attributes[rig.spans[SKIN], 3] += shut * rig.lashes[side, rig.spans[SKIN]]
        facing = self.normals @ turn[2]
        skin = rig.spans[SKIN]
        attributes[skin, 2] *= np.maximum(_smooth(facing[skin], 0.1, 0.4), rig.inner[skin])
        attributes[rig.spans[MOUTH], :4] = shade_mouth(rig, self.mouth, positions, facing)
        return attributes

    def looks(self, weights: Float[np.ndarray, " 60"]) -> Float[np.ndarray, "2 7"]:
        """Return where each iris is: x, y on the ball, the 2x2 to its picture, and the light on the eye."""
        rows = []
        for side, name in enumerate(_SIDES):
            at = {way: float(weights[_COLUMN[f"eyeLook{way}_{name}"]]) for way in ("In", "Out", "Up", "Down")}
            outwards = 1 if name == "L" else -1
            angles = np.radians(GAZE_DEGREES) * np.array(
                [(at["Out"] - at["In"]) * outwards, at["Up"] - at["Down"]]
            )
            place = self.irises_at[side] + self.ball_radius * np.sin(angles)
            shut = weights[_COLUMN[f"eyeBlink_{name}"]]
            rows.append([*place, *self.ball_to_iris.ravel(), 1 - 0.5 * _smooth(shut, 0.3, 1.0)])
        return np.array(rows, np.float32)


def _smooth(value, low: float, high: float):
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def correct_pixels(
    pixels: Float[np.ndarray, "r 2"], rig: Rig, landmarks: Float[np.ndarray, "68 2"]
) -> Float[np.ndarray, "r 2"]:
    """Shift vertices' places in the photo so that landmarks fall where they were seen, not where the fit is.

    The outline of the jaw is seen where the face turns away, at no fixed vertex; it counts little.
    """
    found = pixels[rig.landmarks]
    miss = landmarks - found
    trust = np.where(np.arange(68) < 17, 0.15, 1.0)
    reach = 0.16 * np.linalg.norm(landmarks[36:42].mean(axis=0) - landmarks[42:48].mean(axis=0))
    square = ((pixels[:, None] - found[None]) ** 2).sum(axis=-1) / reach**2
    near = np.exp(-square) * trust
    fine = np.exp(-square * 9) * 6 * trust  # next to a landmark, that one alone
    weight = near + fine
    shift = weight @ miss / (weight.sum(axis=1, keepdims=True) + 0.15)
    return (pixels + shift).astype(np.float32)


def create_textures(
    photo: Float[np.ndarray, "h w 3"],
    rig: Rig,
    stage: Stage,
    pixels: Float[np.ndarray, "r 2"],
    *,
    camera: Float[np.ndarray, "r 3"],
    shape: Float[np.ndarray, "r 3"],
    landmarks: Float[np.ndarray, "68 2"],
) -> Textures:
    """Prepare a photo for being looked up.

    Args:
        photo: Colours 0 to 255.
        pixels: Where each drawn vertex is in the photo.
        camera: The same in camera space.
        shape: Of the neutral face to render, head space.
        landmarks: In the photo.
    """
    normals = _vertex_normals(shape, rig)
    scale, rotation = stage.fit.scale, stage.fit.rotation
    balls = [
        0.5 * (shape[rig.spans[eye]].min(axis=0) + shape[rig.spans[eye]].max(axis=0))
        for eye in (EYE_L, EYE_R)
    ]
    balls = np.stack(balls)
    fronts = balls + np.float32([0, 0, 1.5])
    openings = np.stack([landmarks[42:48], landmarks[36:42]])
    eyes = create_eye_textures(
        photo, openings, stage.fitted(fronts)[:, :2] * np.float32([1, -1]), IRIS_RADIUS * scale
    )
    still = np.zeros((len(shape), 8), np.float32)
    still[:, :2] = pixels + PADDING
    lips = clear_lips(pixels, rig, landmarks[60:68], margin=0.012 * float(np.ptp(landmarks[:, 0])))
    skin = rig.spans[SKIN]
    seen = _visibility(rig, stage, normals, camera, pixels, len(photo))
    twin = _smooth(seen[rig.twin] - seen, 0.1, 0.5) * _smooth(np.abs(rig.neutral[:, 0]), 1.6, 2.6)
    still[skin, :2] = lips[skin] + PADDING
    still[skin, 2] = (np.maximum(np.maximum(seen, twin), rig.inner) * _region(rig, stage, shape))[skin]
    still[skin, 5] = twin[skin]
    still[skin, 6:8] = lips[rig.twin[skin]] + PADDING
    for eye, ball in zip((EYE_L, EYE_R), balls, strict=True):
        still[rig.spans[eye], 2:4] = shape[rig.spans[eye], :2] - ball[:2]
    middles = np.stack(
        [shape[rig.landmarks[42:48], :2].mean(axis=0), shape[rig.landmarks[36:42], :2].mean(axis=0)]
    )
    rest = (middles - balls[:, :2]) * np.float32([0.15, 0.6])
    layer = np.dstack([pad(photo), np.ones((len(photo) + 2 * PADDING,) * 2)]).astype(np.float32)
    ball_radius = 0.5 * float(np.ptp(shape[rig.spans[EYE_L], 1]))
    return Textures(
        photo=layer,
        whites=pad(eyes.whites),
        lids=pad(eyes.lids),
        irises=eyes.irises,
        still=still,
        normals=normals,
        mouth=colour_mouth(rig, *measure_light(photo, landmarks)),
        irises_at=rest.astype(np.float32),
        ball_to_iris=(scale * rotation[:2, :2] * np.array([[1], [-1]])).astype(np.float32),
        ball_radius=ball_radius,
        twin_light=_compare_sides(layer, still, seen * seen[rig.twin] * (1 - seen) * (still[:, 2] > 0.5)),
    )


def _visibility(rig, stage, normals, camera, pixels, size) -> Float[np.ndarray, " r"]:
    """Return how well the photo shows each vertex: it may turn away, be hidden, or lie beyond the edge."""
    skin = rig.material == SKIN
    depths, _ = rasterize(camera[:, :2] * (1, -1), camera[:, 2], rig.triangles[skin], camera[:, 2:], size)
    column, row = np.clip(camera[:, :2] * (1, -1), 0, size - 1).astype(int).T
    behind = (depths[row, column, 0] - camera[:, 2]) / stage.fit.scale
    edge = np.minimum(pixels, size - pixels).min(axis=1)
    seen = _smooth(normals @ stage.fit.rotation[2], 0.2, 0.65) * (1 - _smooth(behind, 0.3, 0.8))
    for _ in range(3):
        seen = rig.neighbours @ seen
    return (seen * _smooth(edge, 1.0, 6.0)).astype(np.float32)


def _region(rig, stage, shape) -> Float[np.ndarray, " r"]:
    """Fade the face out under the chin, at the hairline and at the ears, where the photo does better."""
    below = _smooth(shape[:, 1], stage.chin - 2.0, stage.chin - 0.2)
    brow = float(shape[rig.landmarks[[19, 24]], 1].mean())
    front = _smooth(rig.neutral[:, 2], 2.0, 4.5)
    return below * front * (1 - _smooth(shape[:, 1], brow + 3.5, brow + 5.5))


def _compare_sides(layer, still, weight) -> Float[np.ndarray, " 3"]:
    """Return the ratio of colours between vertices seen askance and their twins."""
    chosen = np.flatnonzero(weight > 0.05)
    if len(chosen) < 20:
        return np.ones(3, np.float32)
    here, there = (
        cv2.remap(layer, still[chosen, first : first + 2] - 0.5, None, cv2.INTER_LINEAR)[:, 0, :3].mean(
            axis=0
        )
        for first in (0, 6)
    )
    return np.clip((here + 5) / (there + 5), 0.4, 1.6).astype(np.float32)


def _vertex_normals(shape: Float[np.ndarray, "r 3"], rig: Rig) -> Float[np.ndarray, "r 3"]:
    corners = shape[rig.triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(shape)
    for corner in range(3):
        np.add.at(normals, rig.triangles[:, corner], faces)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def pad(photo: Float[np.ndarray, "h w *c"]) -> Float[np.ndarray, "h2 w2 *c"]:
    """Continue a photo beyond its edges: mirrored for a little, then its border; blurred the further out.

    Hair that the photo cuts off then reaches the frame's edge, as it would in a closer crop.
    """
    padded = cv2.copyMakeBorder(photo, *(_MIRRORED,) * 4, cv2.BORDER_REFLECT_101)
    padded = cv2.copyMakeBorder(padded, *(PADDING - _MIRRORED,) * 4, cv2.BORDER_REPLICATE)
    inside = np.zeros(padded.shape[:2], np.uint8)
    inside[PADDING:-PADDING, PADDING:-PADDING] = 1
    away = distance_transform_edt(inside == 0).reshape(padded.shape[:2] + (1,) * (padded.ndim - 2))
    for reach, sigma in ((12.0, 2.0), (24.0, 6.0), (40.0, 12.0)):
        blurred = cv2.GaussianBlur(padded, (0, 0), sigma)
        share = np.clip(away / reach, 0, 1)
        padded = padded * (1 - share) + blurred * share
    return padded.astype(np.float32)
