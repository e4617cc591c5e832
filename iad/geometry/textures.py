"""What of an animated photo is looked up rather than moved: the photo itself, eyes, lids and mouth."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator

from iad.geometry.coefficients import COLUMN, COLUMNS, EXPRESSIONS
from iad.geometry.curves import ease
from iad.geometry.eyes import GAZE_DEGREES, IRIS_RADIUS, create_eye_textures
from iad.geometry.mouth import clear_lips, colour_mouth, colour_teeth, measure_light, open_mouth, shade_mouth
from iad.geometry.renderer import rasterize
from iad.geometry.rig import EYE_L, EYE_R, MOUTH, SKIN, Rig
from iad.geometry.stage import Stage

_SIDES = ("L", "R")
COVERABLE = ("mouth", "left eye", "right eye", "glasses")  # left and right are the person's own


@dataclass(frozen=True)
class Textures:
    """Pictures, and the attributes with which vertices look them up.

    Attributes:
        photo: Without what lies between its lips; the fourth channel is its matte.
        inside: What lies between its lips; the fourth channel says how surely it does.
        still: Attributes that no action changes; see `renderer.paint_window`.
        normals: Of the neutral face.
        mouth: Colour of the mouth's flesh in full light.
        tooth_colour: Of a white tooth in full light.
        irises_at: Where each iris rests on its ball, head units.
        ball_to_iris: Takes places on the balls, head units, to pixels of the iris pictures.
        ball_radius: Head units.
        twin_light: What takes the colours of one side of the face to those of the other.
        gaze: Degrees to the person's left and up that the photo's eyes look, beside the head's direction.
        covered: Of `COVERABLE`, what keeps the photo's pixels.
        grey: The photo has no colour.
    """

    photo: Float[np.ndarray, "h w 4"]
    inside: Float[np.ndarray, "h w 4"]
    whites: Float[np.ndarray, "h w 3"]
    lids: Float[np.ndarray, "h w 3"]
    irises: Float[np.ndarray, "2 k k 4"]
    still: Float[np.ndarray, "r 10"]
    normals: Float[np.ndarray, "r 3"]
    mouth: Float[np.ndarray, " 3"]
    tooth_colour: Float[np.ndarray, " 3"]
    irises_at: Float[np.ndarray, "2 2"]
    ball_to_iris: Float[np.ndarray, "2 2"]
    ball_radius: float
    twin_light: Float[np.ndarray, " 3"]
    gaze: Float[np.ndarray, " 2"]
    covered: frozenset[str]
    grey: bool

    def attributes(
        self, rig: Rig, positions: Float[np.ndarray, "r 3"], turn: np.ndarray, weights: np.ndarray
    ) -> Float[np.ndarray, "r 10"]:
        """Return every vertex's attributes in a frame; see `renderer.paint_window`."""
        attributes = self.still.copy()
        skin = rig.spans[SKIN]
        for side, name in enumerate(_SIDES):
            down = weights[COLUMN[f"eyeBlink_{name}"]] + 0.7 * weights[COLUMN[f"eyeLookDown_{name}"]]
            if down > 0.05 and COVERABLE[1 + side] not in self.covered:
                # Lashes hang over the lower lid only when the upper one has come down.
                early, late = ease(down, 0.05, 0.5), ease(down, 0.65, 0.95)
                shut = late + (early - late) * rig.upper_lid[skin]
                attributes[skin, 3] += shut * rig.lids[side, skin]
        facing = self.normals @ turn[2]
        attributes[skin, 2] *= np.maximum(ease(facing[skin], 0.1, 0.4), rig.inner[skin])
        mouth = rig.spans[MOUTH]
        attributes[mouth, 3:6], attributes[mouth, 8] = shade_mouth(rig, self.mouth, positions)
        return attributes

    def looks(self, weights: Float[np.ndarray, " 60"]) -> Float[np.ndarray, "2 9"]:
        """Return how each eye looks in a frame; see `renderer.paint_window`."""
        rows = []
        for side, name in enumerate(_SIDES):
            at = {way: float(weights[COLUMN[f"eyeLook{way}_{name}"]]) for way in ("In", "Out", "Up", "Down")}
            outwards = 1 if name == "L" else -1
            angles = np.radians(GAZE_DEGREES) * np.array(
                [(at["Out"] - at["In"]) * outwards, at["Up"] - at["Down"]]
            )
            place = self.irises_at[side] + self.ball_radius * np.sin(angles)
            shut = weights[COLUMN[f"eyeBlink_{name}"]]
            rows.append([
                *place, *self.ball_to_iris.ravel(), 1 - 0.35 * ease(shut, 0.3, 1.0),
                ease(shut, 0.8, 0.95), float(COVERABLE[1 + side] in self.covered),
            ])  # fmt: skip
        return np.array(rows, np.float32)


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
    bounds: tuple[float, float, float, float],
    covered: frozenset[str] = frozenset(),
) -> Textures:
    """Prepare a photo for being looked up.

    Args:
        photo: Colours 0 to 255, continued beyond its edges.
        pixels: Where each drawn vertex is in the photo.
        camera: The same in camera space.
        shape: Of the neutral face to render, head space.
        landmarks: In the photo.
        bounds: Left, top, right and bottom of what is really the photo.
        covered: Of `COVERABLE`, what keeps the photo's pixels.
    """
    normals = _vertex_normals(shape, rig)
    scale, rotation = stage.fit.scale, stage.fit.rotation
    ball_points = [shape[rig.spans[eye]] for eye in (EYE_L, EYE_R)]
    balls = np.stack([0.5 * (points.min(axis=0) + points.max(axis=0)) for points in ball_points])
    fronts = balls + np.float32([0, 0, 1.5])
    openings = np.stack([landmarks[42:48], landmarks[36:42]])
    eyes = create_eye_textures(
        photo,
        openings,
        np.stack([landmarks[22:27], landmarks[17:22]]),
        stage.fitted(fronts)[:, :2] * np.float32([1, -1]),
        IRIS_RADIUS * scale,
        glasses="glasses" in covered,
    )
    width = float(np.ptp(landmarks[:, 0]))
    without, inside = open_mouth(photo, landmarks, hidden="mouth" in covered)
    still = np.zeros((len(shape), 10), np.float32)
    lips = pixels
    if "mouth" not in covered:
        lips = clear_lips(pixels, rig, landmarks[60:68], margin=0.012 * width)
    skin = rig.spans[SKIN]
    seen = _visibility(rig, stage, normals, camera, pixels, bounds)
    twin = ease(seen[rig.twin] - seen, 0.1, 0.5) * ease(np.abs(rig.neutral[:, 0]), 1.6, 2.6)
    still[:, :2] = pixels
    still[skin, :2] = lips[skin]
    still[skin, 2] = (np.maximum(np.maximum(seen, twin), rig.inner) * _region(rig, stage, shape))[skin]
    still[skin, 4] = twin[skin]
    still[skin, 5:7] = lips[rig.twin[skin]]
    still[skin, 7:9] = _close_lids(rig, shape, pixels)[skin]
    still[rig.spans[MOUTH], 2] = 1
    still[rig.teeth, 6:8], still[rig.teeth, 9] = rig.tooth_looks[:, :2], rig.tooth_looks[:, 2]
    for eye, ball in zip((EYE_L, EYE_R), balls, strict=True):
        still[rig.spans[eye], 2:4] = shape[rig.spans[eye], :2] - ball[:2]
    ball_radius = 0.5 * float(np.ptp(shape[rig.spans[EYE_L], 1]))
    irises_at, gaze = _place_irises(rig, shape, balls, still, eyes.centres, ball_radius)
    layer = np.dstack([without, np.ones(photo.shape[:2], np.float32)]).astype(np.float32)
    lips_colour, light = measure_light(photo, landmarks)
    return Textures(
        photo=layer,
        inside=inside,
        whites=eyes.whites,
        lids=eyes.lids,
        irises=eyes.irises,
        still=still,
        normals=normals,
        mouth=colour_mouth(lips_colour, light),
        tooth_colour=colour_teeth(light, inside),
        irises_at=irises_at,
        ball_to_iris=(scale * rotation[:2, :2] * np.array([[1], [-1]])).astype(np.float32),
        ball_radius=ball_radius,
        twin_light=_compare_sides(layer, still, seen * seen[rig.twin] * (1 - seen) * (still[:, 2] > 0.5)),
        gaze=gaze,
        covered=covered,
        grey=bool(np.quantile(np.ptp(photo[::3, ::3], axis=-1), 0.999) <= 3),
    )


def _close_lids(rig: Rig, shape: np.ndarray, pixels: np.ndarray) -> Float[np.ndarray, "r 2"]:
    """Return where in the photo with closed eyes each vertex is: lids that are down among what stays."""
    shut = np.zeros(EXPRESSIONS, np.float32)
    shut[COLUMNS["eyeBlink"]] = 1
    down, closed = (shape + rig.offsets(shut[None])[0])[:, :2], pixels.copy()
    for lids in rig.lids:
        stays, moves = (lids > 0) & (rig.upper_lid < 0.3), (lids > 0) & (rig.upper_lid >= 0.3)
        places = RBFInterpolator(down[stays], pixels[stays], kernel="linear", smoothing=0.1)
        closed[moves] = places(down[moves])
    return closed


def _place_irises(
    rig: Rig, shape: np.ndarray, balls: np.ndarray, still: np.ndarray, centres: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where irises rest on their balls when the person looks straight ahead, and the photo's gaze.

    What both eyes share against a straight look is the gaze; what they do not, the eyes' own places.
    """
    middles = np.stack(
        [shape[rig.landmarks[42:48], :2].mean(axis=0), shape[rig.landmarks[36:42], :2].mean(axis=0)]
    )
    rest = (middles - balls[:, :2]) * np.float32([0.15, 0.6])
    found = []
    for eye, centre in zip((EYE_L, EYE_R), centres, strict=True):
        span = rig.spans[eye]
        front = shape[span, 2] >= np.median(shape[span, 2])
        square = ((still[span, :2] - centre) ** 2).sum(axis=1)
        near = front * np.exp(-(square - square[front].min()) / (2 * np.ptp(still[span, 0]) / 12) ** 2)
        found.append((near[:, None] * still[span, 2:4]).sum(axis=0) / near.sum())
    shift = (np.stack(found) - rest).clip(-0.6, 0.6)
    common = shift.mean(axis=0)
    gaze = np.degrees(np.arcsin(np.clip(common / radius, -0.6, 0.6)))
    return (rest + shift - common).astype(np.float32), gaze.astype(np.float32)


def _visibility(
    rig: Rig, stage: Stage, normals: np.ndarray, camera: np.ndarray, pixels: np.ndarray, bounds: tuple
) -> Float[np.ndarray, " r"]:
    """Return how well the photo shows each vertex: it may turn away, be hidden, or lie beyond the edge."""
    skin = rig.material == SKIN
    # Drawn small: only which surface is in front matters.
    unit = 5 / stage.fit.scale
    size = (int(bounds[3] * unit) + 1, int(bounds[2] * unit) + 1)
    places = camera[:, :2] * (unit, -unit)
    depths, _ = rasterize(places, camera[:, 2], rig.triangles[skin], camera[:, 2:], size)
    column, row = np.clip(places, 0, np.array(size[::-1]) - 1).astype(int).T
    behind = (depths[row, column, 0] - camera[:, 2]) / stage.fit.scale
    edge = np.minimum(pixels - bounds[:2], np.array(bounds[2:]) - pixels).min(axis=1) / stage.fit.scale
    seen = ease(normals @ stage.fit.rotation[2], 0.2, 0.65) * (1 - ease(behind, 0.3, 0.8))
    for _ in range(3):
        seen = rig.neighbours @ seen
    return (seen * ease(edge, 0.1, 0.6)).astype(np.float32)


def _region(rig: Rig, stage: Stage, shape: np.ndarray) -> Float[np.ndarray, " r"]:
    """Fade the face out under the chin, at the hairline and at the ears, where the photo does better."""
    below = ease(shape[:, 1], stage.chin - 2.0, stage.chin - 0.2)
    brow = float(shape[rig.landmarks[[19, 24]], 1].mean())
    front = ease(rig.neutral[:, 2], 2.0, 4.5)
    return below * front * (1 - ease(shape[:, 1], brow + 3.5, brow + 5.5))


def _compare_sides(layer: np.ndarray, still: np.ndarray, weight: np.ndarray) -> Float[np.ndarray, " 3"]:
    """Return the ratio of colours between vertices seen askance and their twins."""
    chosen = np.flatnonzero(weight > 0.05)
    if len(chosen) < 20:
        return np.ones(3, np.float32)
    here, there = (
        cv2.remap(layer, still[chosen, first : first + 2] - 0.5, None, cv2.INTER_LINEAR)[:, 0, :3].mean(
            axis=0
        )
        for first in (0, 5)
    )
    return np.clip((here + 5) / (there + 5), 0.4, 1.6).astype(np.float32)


def _vertex_normals(shape: Float[np.ndarray, "r 3"], rig: Rig) -> Float[np.ndarray, "r 3"]:
    corners = shape[rig.triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(shape)
    for corner in range(3):
        np.add.at(normals, rig.triangles[:, corner], faces)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)
