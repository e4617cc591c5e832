"""Rendered people: morphable heads with sampled looks, drawn from an action track.

`RenderedPerson.sample` draws shape, looks, hair, clothes and scene and bakes the light; `render` then turns a
track of expression weights and head poses into frames, framed as the person's own neutral frontal face is.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, UInt8

from iad.faces import alignment
from iad.geometry.coefficients import COEFFICIENTS, EXPRESSIONS
from iad.geometry.head import NECK_PIVOT, Head, rotation_matrices
from iad.geometry.renderer import downsample, fill_triangles
from iad.portraits import shading
from iad.portraits.appearance import Appearance, Traits, sample_appearance, sample_shape
from iad.portraits.body import (
    SKIN_WRAP,
    Body,
    LitStrands,
    bake_light,
    build_body,
    grow_strands,
    lift_neck,
    radiance,
    unit,
)
from iad.portraits.scenes import paint
from iad.portraits.strands import CRANIUM

CAMERA_DISTANCE = 110.0  # from the face, in head units: a little more than a metre
GAZE_DEGREES = 25.0
_FINENESS = 2  # supersampling
_STRAND_SIZE = 256  # side of the supersampled picture for which strand widths are given


@dataclass(frozen=True)
class RenderedPerson:
    """A person who does not exist, ready to perform."""

    traits: Traits
    appearance: Appearance
    seed: int
    body: Body = field(repr=False)
    strands: tuple[LitStrands, ...] = field(repr=False)
    camera: Float[np.ndarray, "2 3"] = field(repr=False)

    @classmethod
    def sample(cls, head: Head, seed: int) -> "RenderedPerson":
        """Draw a person; the same seed gives the same person."""
        rng = np.random.default_rng(seed)
        looks = sample_appearance(rng)
        shape = sample_shape(rng, len(head.identity), looks.traits)
        points = lift_neck(head.shape(shape), head.neutral, slim=looks.slim)
        body = build_body(head, points, looks, rng)
        body, strands = bake_light(body, grow_strands(head, points, looks, rng), looks)
        camera = alignment(_project(points[head.landmarks])).astype(np.float32)
        return cls(
            traits=looks.traits, appearance=looks, seed=seed, body=body, strands=strands, camera=camera
        )

    def render(
        self, track: Float[np.ndarray, "f c"], *, size: int = 128
    ) -> UInt8[np.ndarray, "f size size 3"]:
        """Draw one frame for every row of an action track of 60 columns."""
        track = _checked(track)
        scene = paint(self.traits.background, self.seed, size).astype(np.float32) / 255
        return np.stack([self._frame(row, rotation, scene) for row, rotation in _poses(track)])

    def landmarks(self, track: Float[np.ndarray, "f c"]) -> Float[np.ndarray, "f 68 2"]:
        """Return the 68 landmarks of every frame in the unit square of the picture."""
        body, places = self.body, []
        for row, rotation in _poses(_checked(track)):
            points = self._deformed(row)[body.landmarks]
            turned = _turn(points, body.stiff[body.landmarks], rotation)
            places.append(_project(turned) @ self.camera[:, :2].T + self.camera[:, 2])
        return np.stack(places).astype(np.float32)

    def _deformed(self, row):
        moving = self.body.expression.shape[1]
        points = self.body.rest.copy()
        for k in np.flatnonzero(np.abs(row[:EXPRESSIONS]) > 1e-4):
            points[:moving] += row[k] * self.body.expression[k]
        return points

    def _frame(self, row, rotation, scene):
        body = self.body
        fine = _FINENESS * len(scene)
        camera = self.camera * fine
        points = self._deformed(row)
        normals = np.empty_like(points)
        shading.vertex_normals(points, body.triangles, normals)
        eyes = body.local[:, 3] != 0
        normals[eyes] = body.local[eyes, :3]
        normals[body.inside] = normals[body.inside] * 0.3 + np.array([0, 0.1, 0.7])
        turned = _turn(points, body.stiff, rotation)
        place = (_project(turned) @ camera[:, :2].T + camera[:, 2]).astype(np.float32)
        gaze, pupils, shut = _gaze(row)
        depth = turned[:, 2].copy()
        for sign, closed in ((1, shut[0]), (-1, shut[1])):
            # The ball lies a little deeper than it was scanned, so that no lid lets it through.
            depth[body.local[:, 3] == sign] -= 0.12 + 0.5 * closed
        nearest = np.full((fine, fine), -np.inf, np.float32)
        index, weights = np.full((fine, fine), -1, np.int32), np.empty((fine, fine, 2), np.float32)
        fill_triangles(place, depth, body.triangles, nearest, index, weights)
        image = np.zeros((fine, fine, 3), np.float32)
        self._shade(normals, rotation, index, weights, gaze, pupils, image)
        cover = (index >= 0).astype(np.float32)
        veiled, veil_weights = np.full((fine, fine), -1, np.int32), np.empty((fine, fine, 2), np.float32)
        fill_triangles(place, depth + 0.05, body.lashes, nearest.copy(), veiled, veil_weights)
        shading.blend_veil(body.lashes, veiled, veil_weights, body.veil, image)
        self._draw_strands(points, rotation, camera, nearest, image, cover)
        alpha = downsample(cover[..., None], _FINENESS)
        drawn = downsample(image * cover[..., None], _FINENESS) / np.maximum(alpha, 1e-3)
        picture = shading.photograph(drawn) * alpha + scene * (1 - alpha)
        return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _shade(self, normals, rotation, index, weights, gaze, pupils, image):
        body, light = self.body, self.appearance.lighting
        diffuse = body.albedo * self._light(normals, rotation)
        facing = normals + body.stiff[:, None] * (normals @ rotation.T - normals)
        shading.shade_pixels(
            body.triangles, body.material, index, weights, diffuse, facing.astype(np.float32), body.gloss,
            body.local, gaze, self.appearance.iris.astype(np.float32), pupils, unit(light.key),
            np.array(light.key_colour, np.float32), np.array(light.sky, np.float32), image,
        )  # fmt: skip

    def _light(self, normals, rotation):
        """Light (v, 3) at every vertex: the head's own, blended along the neck into what stays still."""
        body = self.body
        moving = body.expression.shape[1]
        directions = shading.sphere_directions()
        bright = radiance(directions @ rotation.T, self.appearance.lighting)
        light, fresh = body.still_light.copy(), np.empty((moving, 3), np.float32)
        shading.gather_light(normals[:moving], body.visible, directions, bright, SKIN_WRAP, fresh)
        stiff = body.stiff[:moving, None]
        light[:moving] = fresh * stiff + light[:moving] * (1 - stiff)
        return light

    def _draw_strands(self, points, rotation, camera, nearest, image, cover):
        light = self.appearance.lighting
        moved = points - self.body.rest
        for group in self.strands:
            strands = group.strands
            offsets = np.where(strands.bind[:, None] >= 0, moved[strands.bind], 0).astype(np.float32)
            shading.draw_strands(
                strands.points, group.stiff, offsets, group.ambient, group.direct, strands.colours,
                strands.width * (len(image) / _STRAND_SIZE), group.shine, CRANIUM.astype(np.float32),
                rotation, np.array(NECK_PIVOT, np.float32), camera.astype(np.float32), CAMERA_DISTANCE,
                unit(light.key), np.array(light.key_colour, np.float32), nearest, image, cover,
            )  # fmt: skip


def _checked(track):
    track = np.asarray(track, np.float32)
    if track.ndim != 2 or track.shape[1] != len(COEFFICIENTS):
        raise ValueError(
            f"An action track has shape (frames, {len(COEFFICIENTS)}), this one {track.shape}; "
            "make one with iad.performing.actions."
        )
    return track


def _poses(track):
    return zip(track, rotation_matrices(track[:, EXPRESSIONS:]), strict=True)


def _project(points):
    """Photo coordinates (n, 2), y down, of points before a camera at a conversation's distance."""
    near = CAMERA_DISTANCE / (CAMERA_DISTANCE + 9.0 - points[:, 2:])
    return points[:, :2] * near * np.array([1, -1], np.float32)


def _turn(points, stiff, rotation):
    pivot = np.array(NECK_PIVOT, np.float32)
    centred = points - pivot
    return centred + stiff[:, None] * (centred @ rotation.T - centred) + pivot


def _gaze(row):
    """Gaze directions (2, 3), pupil radii (2,) in radians and closedness of the left and the right eye."""
    weight = dict(zip(COEFFICIENTS, row.tolist(), strict=True))
    gaze, pupils, shut = [], [], []
    reach = np.radians(GAZE_DEGREES)
    for side, outwards in (("L", 1), ("R", -1)):
        across = reach * outwards * (weight[f"eyeLookOut_{side}"] - weight[f"eyeLookIn_{side}"])
        up = reach * (weight[f"eyeLookUp_{side}"] - weight[f"eyeLookDown_{side}"])
        gaze.append([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)])
        pupils.append(0.2 * (1 + 0.6 * weight[f"PupilDilate_{side}"]))
        shut.append(float(np.clip(weight[f"eyeBlink_{side}"], 0, 1)))
    return np.array(gaze, np.float32), np.array(pupils, np.float32), shut
