"""A face that moves: fit, photo and pose in, one drawn frame out; what all animated photos share.

The fitted mesh says where in the photo each spot of the face is; the mesh is posed anew, drawn, and looks its
colours up there. Hair, clothes and backdrop follow by a coarse grid (`surroundings`), irises move within the
eyes (`eyes`), and the inside of the mouth is the photo's own where it shows one, else painted (`mouth`).
"""

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from iad.geometry.coefficients import COLUMN, EXPRESSIONS
from iad.geometry.curves import ease
from iad.geometry.fit import Fit
from iad.geometry.head import Head, rotation_matrices
from iad.geometry.mouth import part_lips, soften_rim
from iad.geometry.renderer import SKIPPED, average_blocks, find_triangles, paint_window, rasterize
from iad.geometry.rig import EYE_L, MOUTH, Rig, create_rig
from iad.geometry.stage import create_stage
from iad.geometry.surroundings import complete_head, create_grid, cut_out, outline, part_backdrop
from iad.geometry.teeth import draw_teeth
from iad.geometry.textures import correct_pixels, create_textures

_FINE = (slice(36, 42), slice(42, 48), slice(48, 60))  # landmarks of what is drawn finer: eyes and mouth


class MovingFace:
    """One photo, ready to be drawn under any expression and pose.

    Args:
        fit: Of the photo, with its first pixel reaching from 0 to 1.
        photo: Colours 0 to 255, continued beyond its edges.
        landmarks: In the photo.
        bounds: Left, top, right and bottom of what is really the photo.
        affine: Photo pixels to the unit square of the frame; by default FFHQ's framing of the frontal face.
        jitter: Offsets of the identity weights.
        covered: Of `textures.COVERABLE`, what keeps the photo's pixels.
        cut: Find the person in the photo, so that the backdrop stands still behind the hair.

    Attributes:
        backdrop: The photo without the person, and how far that is made up, where it was cut.
    """

    def __init__(
        self,
        head: Head,
        fit: Fit,
        photo: Float[np.ndarray, "h w 3"],
        landmarks: Float[np.ndarray, "68 2"],
        *,
        bounds: tuple[float, float, float, float],
        affine: Float[np.ndarray, "2 3"] | None = None,
        jitter: Float[np.ndarray, " m"] | float = 0.0,
        covered: frozenset[str] = frozenset(),
        cut: bool = False,
    ):
        self.rig = rig = create_rig(head)
        self._shape = rig.shape(fit.identity + jitter)
        stage = create_stage(fit, self._shape[rig.landmarks])
        self.stage = stage = stage if affine is None else replace(stage, affine=affine)
        self._own = rig.offsets(fit.expression[None])[0]
        fitted = rig.shape(fit.identity) + self._own
        whole = head.shape(fit.identity) + np.tensordot(fit.expression, head.expression, axes=1)
        drawn = stage.fitted(fitted)
        self.pixels = correct_pixels(drawn[:, :2] * np.float32([1, -1]), rig, landmarks)
        self._unit = min(5.0 / stage.fit.scale, 1.0)
        photo, person = self._find_person(photo, bounds[1], bounds[3]) if cut else (photo, None)
        self._grid = create_grid(
            stage,
            stage.fitted(whole),
            rig.surface,
            size=photo.shape[:2],
            sample=self.pixels[rig.sample],
            person=person,
        )
        self._held = hold_still(rig, covered)[:, None]
        self._lips = fitted[rig.landmarks[48:68]]
        self._change = self._shape[rig.sample] - fitted[rig.sample]
        self._share = stage.follow_share(self._shape[:, 1])[:, None]
        self._still = stage.fitted(self._shape)
        self.textures = create_textures(
            photo,
            rig,
            stage,
            self.pixels,
            camera=drawn,
            shape=self._shape,
            landmarks=landmarks,
            bounds=bounds,
            covered=covered,
        )
        self.backdrop = None
        if person is not None:
            share, self.backdrop = part_backdrop(photo, person, self._unit * stage.fit.scale)
            self.textures.photo[..., 3] = share

    def landmarks(self, track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 68 2"]:
        """Project the 68 landmarks to the unit square."""
        offsets = self._offsets(track[:, :EXPRESSIONS])
        turns = rotation_matrices(track[:, EXPRESSIONS:])
        chosen = self.rig.landmarks
        return np.stack([
            self.stage.to_unit(self._pose(self._shape + moved, turn)[chosen])
            for moved, turn in zip(offsets, turns, strict=True)
        ]).astype(np.float32)  # fmt: skip

    def draw(
        self, weights: Float[np.ndarray, " 60"], plate: Float[np.ndarray, "s s k"], *, finer: int = 1
    ) -> tuple[Float[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s"]]:
        """Draw one frame over a backdrop; returns colours, and where each comes from (see `renderer`).

        Args:
            weights: One row of a track.
            finer: How many times finer than the rest eyes and mouth are drawn, against jagged edges.
        """
        rig, size = self.rig, len(plate)
        moved = self._offsets(weights[None, :EXPRESSIONS])[0]
        turn = rotation_matrices(weights[None, EXPRESSIONS:])[0]
        positions = self._shape + moved
        camera = self._pose(positions, turn)
        depth = camera[:, 2].copy()
        depth[rig.spans[EYE_L].start :] -= 0.5 * self.stage.fit.scale  # closing lids must win over the balls
        xy = (self.stage.to_unit(camera) * size).astype(np.float32)
        moved_lips = positions[rig.landmarks[48:68]] - self._lips
        alike = float(
            np.exp(-((np.linalg.norm(moved_lips - moved_lips.mean(axis=0), axis=1).mean() / 0.35) ** 2))
        )
        alike = 1.0 if "mouth" in self.textures.covered else alike
        attributes = self.textures.attributes(rig, positions, turn, weights)
        under = self._draw_surroundings(moved[rig.sample] + self._change, turn, size)
        looks = self.textures.looks(weights)
        frame, source = np.empty((size, size, 3), np.float32), np.empty((size, size), np.uint8)
        windows = [(0, 0, size, size, 1)]
        if finer > 1:
            windows += [(*_box(xy[rig.landmarks[part]], size), finer) for part in _FINE]
        for left, top, right, bottom, factor in windows:
            index = self._paint(
                alike, (xy - np.float32([left, top])) * factor, depth, attributes, looks, plate, under,
                np.array([left, top]), factor, frame[top:bottom, left:right], source[top:bottom, left:right],
                windows[1:] if factor == 1 else [],
            )  # fmt: skip
        strength = (1 - alike) * part_lips(rig, positions)
        if strength > 0.01 and index.size:  # the mouth's window came last
            opening = rig.material[index[::factor, ::factor]] == MOUTH
            soften_rim(frame[top:bottom, left:right], opening, strength)
        return frame, source

    def draw_backdrop(self, size: int) -> Float[np.ndarray, "s s k"]:
        """Draw what stands behind the person in every frame; black where the photo was not cut."""
        if self.backdrop is None:
            return np.zeros((size, size, 3), np.float32)
        # the frame's first pixel, too, reaches from 0 to 1
        affine = size * self.stage.affine
        affine[:, 2] += 0.5 * affine[:, :2].sum(axis=1) - 0.5
        return cv2.warpAffine(self.backdrop, affine, (size, size), borderMode=cv2.BORDER_REPLICATE)

    def _offsets(self, weights: Float[np.ndarray, "f e"]) -> Float[np.ndarray, "f r 3"]:
        moved = self.rig.offsets(weights)
        for lids, side in zip(self.rig.lids, "LR", strict=True):
            # Lids that are shut stay together, whatever else the face does.
            blink, squint = COLUMN[f"eyeBlink_{side}"], COLUMN[f"eyeSquint_{side}"]
            shut = weights[:, blink, None, None]
            if not shut.any():
                continue
            down = np.minimum(shut * (1 + 0.3 * weights[:, squint, None, None]), 1)
            moved += shut * lids[:, None] ** 2 * (down * self.rig.expression[blink].reshape(-1, 3) - moved)
        return moved + self._held * (self._own - moved) if self._held.any() else moved

    def _find_person(
        self, photo: Float[np.ndarray, "h w 3"], top: float, bottom: float
    ) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h2 w2"]]:
        """Cut the person out on a small copy, a head unit some five pixels, and complete the head."""
        factor = self._unit
        small = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        face, skull = (part * factor for part in outline(self.stage, self.rig, self.pixels))
        edge, end = int(round(top * factor)), int(round(bottom * factor))
        face, skull = face - np.float32([0, edge]), skull - np.float32([0, edge, 0, 0])
        person = cut_out(small[edge:end].clip(0, 255).astype(np.uint8), face, skull)
        person = np.pad(person, ((0, max(len(small) - end, 0)), (0, 0)), "edge")
        return complete_head(photo, person, edge=edge, radius=float(skull[2])) if edge else (photo, person)

    def _paint(
        self, alike: float, xy: np.ndarray, depth: np.ndarray, attributes: np.ndarray, looks: np.ndarray,
        plate: np.ndarray, under: np.ndarray, origin: np.ndarray, factor: int, frame: np.ndarray,
        source: np.ndarray, finer: list,
    ) -> Int[np.ndarray, "h w"]:
        """Paint one window, but not those that are painted finer; returns the triangle seen at each pixel."""
        textures, height, width = self.textures, factor * frame.shape[0], factor * frame.shape[1]
        index, weights = find_triangles(xy, depth, self.rig.triangles, (height, width))
        if not index.size:
            return index
        for left, top, right, bottom, _ in finer:
            index[top:bottom, left:right] = SKIPPED
        fine = frame if factor == 1 else np.empty((height, width, 3), np.float32)
        origins = source if factor == 1 else np.empty((height, width), np.uint8)
        paint_window(
            textures.photo, textures.inside, plate, under, index, weights, self.rig.triangles, attributes,
            self.rig.material, textures.whites, textures.lids, textures.irises, looks, textures.twin_light,
            draw_teeth(), textures.tooth_colour, alike, origin, factor, fine, origins,
        )  # fmt: skip
        if factor > 1:
            average_blocks(fine, factor, frame)
            source[:] = origins[factor // 2 :: factor, factor // 2 :: factor]
        return index

    def _pose(
        self, positions: Float[np.ndarray, "r 3"], turn: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "r 3"]:
        still = self._still + self.stage.fit.scale * (positions - self._shape)
        return still + self._share * (self.stage.posed(positions, turn) - still)

    def _draw_surroundings(
        self, change: Float[np.ndarray, "c 3"], turn: Float[np.ndarray, "3 3"], size: int
    ) -> Float[np.ndarray, "s s 2"]:
        """Return where in the photo the surroundings of each pixel of the frame are."""
        grid, half = self._grid, (size + 1) // 2
        moved = self.stage.posed(grid.place + grid.weights @ change, turn)
        camera = grid.camera + grid.follow * (moved - grid.camera)
        xy = self.stage.to_unit(camera) * half
        under, _ = rasterize(xy, camera[:, 2], grid.triangles, grid.pixels, half)
        return cv2.resize(under, (size, size), interpolation=cv2.INTER_LINEAR)


def hold_still(rig: Rig, covered: frozenset[str]) -> Float[np.ndarray, " r"]:
    """Return how far each vertex keeps the photo's expression because of what covers it, 0 to 1."""
    held = np.zeros(len(rig.neutral), np.float32)
    for side, (name, first) in enumerate((("left eye", 42), ("right eye", 36))):
        away = rig.neutral - rig.neutral[rig.landmarks[first : first + 6]].mean(axis=0)
        # Frames reach down to the cheeks, and up to the brows.
        away = away / np.where(away > 0, np.float32([3.0, 2.3, 9]), np.float32([3.0, 2.7, 9]))
        near = ease((1.4 - np.linalg.norm(away, axis=1)) / 0.5)
        if name in covered:
            held = np.maximum(held, near)
        elif "glasses" in covered:
            held = np.maximum(held, 0.85 * near * (1 - rig.lids[side] ** 16))
    held[rig.spans[EYE_L].start :] = 0
    return held


def _box(points: Float[np.ndarray, "n 2"], size: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom around points, with room for lids and lips."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.35 * (high[0] - low[0])
    low, high = np.floor(low - room).clip(0, size), np.ceil(high + room).clip(0, size)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
