"""Photo people: portraits of people who do not exist, fitted with the morphable head and brought to life.

In come a `PhotoRecord` (portrait and fit) and action tracks, out come frames. The fitted mesh says where in
the portrait each spot of the face is; the mesh is posed anew, drawn, and looks its colours up there. Hair,
clothes and backdrop follow by a coarse grid (`surroundings`), irises move within the eyes (`eyes`), and the
inside of the mouth, which a portrait rarely shows, is painted (`mouth`).
"""

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.portraits.actions import EXPRESSIONS, mirror_track
from iad.portraits.composite import average_blocks, paint_frame
from iad.portraits.fit import Fit
from iad.portraits.head import MIRRORED_LANDMARKS, Head, cache_folder, rotation_matrices
from iad.portraits.renderer import rasterize
from iad.portraits.rig import EYE_L, create_rig
from iad.portraits.stage import create_stage
from iad.portraits.surroundings import create_grid, cut_out, judge_cutout, outline
from iad.portraits.textures import PADDING, correct_pixels, create_textures, pad


@dataclass(frozen=True)
class PhotoRecord:
    """A portrait and the head fitted to it.

    Attributes:
        number: Names the file, photos/NNNN.jpg.
        landmarks: Multi-PIE landmarks, pixels, y down.
    """

    number: int
    path: Path
    landmarks: Float[np.ndarray, "68 2"]
    fit: Fit

    def load_photo(self) -> UInt8[np.ndarray, "h w 3"]:
        """Read the portrait as RGB."""
        picture = cv2.imread(str(self.path))
        if picture is None:
            raise FileNotFoundError(
                f"No picture at {self.path}; fetch the photo people with `python -m iad data download`."
            )
        return np.ascontiguousarray(picture[..., ::-1])


@dataclass(frozen=True)
class Look:
    """A change of colour and light: gain a channel, contrast (gamma), saturation, and light from one side.

    Attributes:
        side_light: -1 to 1: how much brighter the right of the picture is than the left.
    """

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    saturation: float = 1.0
    side_light: float = 0.0

    def apply(self, photo: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
        """Return the photo in this light, 0 to 255."""
        colour = (photo.astype(np.float32) / 255) ** self.gamma * np.array(self.gain, np.float32)
        grey = colour @ np.array([0.299, 0.587, 0.114], np.float32)
        colour = grey[..., None] + (colour - grey[..., None]) * self.saturation
        slope = 1 + 0.5 * self.side_light * np.linspace(-1, 1, photo.shape[1], dtype=np.float32)
        return np.clip(colour * slope[None, :, None], 0, 1).astype(np.float32) * 255


def load_photo_people(folder: str | Path | None = None) -> list[PhotoRecord]:
    """Read the fits in `folder`, $IAD_PHOTO_PEOPLE or the download cache, the first that is given.

    Raises:
        FileNotFoundError: There are none.
    """
    found = Path(folder or os.environ.get("IAD_PHOTO_PEOPLE") or cache_folder() / "people")
    if not (found / "fits.npz").is_file():
        raise FileNotFoundError(
            f"No photo people in {found}; fetch them with `python -m iad data download`, or point "
            "$IAD_PHOTO_PEOPLE at a folder with fits.npz and photos/."
        )
    with np.load(found / "fits.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "source"}
    names = ("identity", "expression", "rotation", "translation")
    return [
        PhotoRecord(
            number=int(number),
            path=found / "photos" / f"{int(number):04d}.jpg",
            landmarks=arrays["landmarks"][i].astype(np.float32),
            fit=Fit(
                **{name: arrays[name][i].astype(np.float32) for name in names},
                scale=float(arrays["scale"][i]),
                error=float(arrays["error"][i]),
            ),
        )
        for i, number in enumerate(arrays["id"])
    ]


class PhotoPerson:
    """One portrait, ready to be rendered with any action track.

    Args:
        mirror: Render the mirrored person; the track's left and right stay what they say.
        shape_jitter: Offsets of the identity weights, for a face that is nearly this one.
        look: Colour and light.
        background: Put the person, as GrabCut cuts them out, before this picture.
    """

    def __init__(
        self,
        head: Head,
        record: PhotoRecord,
        *,
        mirror: bool = False,
        shape_jitter: Float[np.ndarray, " m"] | None = None,
        look: Look | None = None,
        background: UInt8[np.ndarray, "h w 3"] | None = None,
    ):
        self.mirror = mirror
        self.cutout_quality: float | None = None  # 0 to 1, where there is a new background; 0.85 is clean
        self._rig = rig = create_rig(head)
        fit = record.fit
        jitter = 0.0 if shape_jitter is None else shape_jitter
        self._shape = rig.shape(fit.identity + jitter)
        self._stage = stage = create_stage(fit, self._shape[rig.landmarks])
        fitted = rig.shape(fit.identity) + rig.offsets(fit.expression[None])[0]
        photo = record.load_photo()
        whole = head.shape(fit.identity) + np.tensordot(fit.expression, head.expression, axes=1)
        camera = stage.fitted(whole)
        drawn = stage.fitted(fitted)
        pixels = correct_pixels(drawn[:, :2] * np.float32([1, -1]), rig, record.landmarks)
        self._grid = create_grid(
            stage, camera, head.triangles_of("face", "head"), size=len(photo), sample=pixels[rig.sample]
        )
        self._change = self._shape[rig.sample] - fitted[rig.sample]
        self._share = stage.follow_share(self._shape[:, 1])[:, None]
        self._still = stage.fitted(self._shape)
        self._textures = create_textures(
            (look or Look()).apply(photo),
            rig,
            stage,
            pixels,
            camera=drawn,
            shape=self._shape,
            landmarks=record.landmarks,
        )
        self._backdrop = background
        self._layer = self._textures.photo
        if background is not None:
            self._layer = self._textures.photo.copy()
            matte = cut_out(photo, *outline(stage, rig, pixels))
            self._layer[..., 3] = pad(matte)
            self.cutout_quality = judge_cutout(photo, matte)

    @property
    def cut_off(self) -> float:
        """Share of the frame's height that lies above the photo, where hair has to be made up."""
        return max(float(self._stage.affine[1, 2]), 0.0)

    def landmarks(self, track: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f 68 2"]:
        """Project the 68 landmarks; (0, 0) is the upper left corner of the frame, (1, 1) its lower right."""
        track = self._own_side(track)
        offsets = self._rig.offsets(track[:, :EXPRESSIONS])
        turns = rotation_matrices(track[:, EXPRESSIONS:])
        chosen = self._rig.landmarks
        marks = np.stack([
            self._stage.to_unit(self._pose(self._shape + moved, turn)[chosen])
            for moved, turn in zip(offsets, turns, strict=True)
        ]).astype(np.float32)  # fmt: skip
        if self.mirror:
            marks = marks[:, list(MIRRORED_LANDMARKS)] * np.float32([-1, 1]) + np.float32([1, 0])
        return marks

    def render(
        self, track: Float[np.ndarray, "f k"], *, size: int = 128
    ) -> UInt8[np.ndarray, "f size size 3"]:
        """Render absolute expression weights and head poses, in the framing of the neutral frontal face."""
        track = self._own_side(track)
        offsets = self._rig.offsets(track[:, :EXPRESSIONS])
        turns = rotation_matrices(track[:, EXPRESSIONS:])
        frames = np.empty((len(track), size, size, 3), np.uint8)
        plate = self._plate(2 * size)
        for weights, moved, turn, frame in zip(track, offsets, turns, frames, strict=True):
            average_blocks(self._draw(weights, moved, turn, plate), frame)
        return frames[:, :, ::-1].copy() if self.mirror else frames

    def _own_side(self, track: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f 60"]:
        """Check a track; give a mirrored person the other side's."""
        if track.shape[1] != EXPRESSIONS + 3:
            raise ValueError(
                f"Got a track of shape {track.shape}; expected (frames, {EXPRESSIONS + 3}): "
                "expression weights, then pitch, yaw and roll."
            )
        return mirror_track(track) if self.mirror else track

    def _draw(self, weights, moved, turn, plate) -> Float[np.ndarray, "h h 3"]:
        rig, size = self._rig, len(plate)
        positions = self._shape + moved
        camera = self._pose(positions, turn)
        depth = camera[:, 2].copy()
        depth[rig.spans[EYE_L].start :] -= 0.5 * self._stage.fit.scale  # closing lids must win over the balls
        attributes = self._textures.attributes(rig, positions, turn, weights)
        image, index = rasterize(self._stage.to_unit(camera) * size, depth, rig.triangles, attributes, size)
        under = self._draw_surroundings(moved[rig.sample] + self._change, turn, size)
        frame = np.empty((size, size, 3), np.float32)
        textures = self._textures
        paint_frame(
            self._layer, plate, under, index, image, rig.material, textures.whites, textures.lids,
            textures.irises, textures.looks(weights), textures.twin_light, frame,
        )  # fmt: skip
        return frame

    def _pose(
        self, positions: Float[np.ndarray, "r 3"], turn: Float[np.ndarray, "3 3"]
    ) -> Float[np.ndarray, "r 3"]:
        still = self._still + self._stage.fit.scale * (positions - self._shape)
        return still + self._share * (self._stage.posed(positions, turn) - still)

    def _draw_surroundings(
        self, change: Float[np.ndarray, "c 3"], turn, size: int
    ) -> Float[np.ndarray, "h h 2"]:
        """Return where in the photo the surroundings of each pixel of the frame are."""
        grid = self._grid
        moved = self._stage.posed(grid.place + grid.weights @ change, turn)
        camera = grid.camera + grid.follow * (moved - grid.camera)
        xy = self._stage.to_unit(camera) * size
        under, _ = rasterize(xy, camera[:, 2], grid.triangles, grid.pixels + PADDING, size)
        return under

    def _plate(self, size: int) -> Float[np.ndarray, "h h 3"]:
        if self._backdrop is None:
            return np.zeros((size, size, 3), np.float32)
        return cv2.resize(self._backdrop, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
