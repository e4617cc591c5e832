"""Photo people: portraits of people who do not exist, fitted with the morphable head and brought to life.

In come a `PhotoRecord` (portrait and fit) and action tracks, out come frames, drawn by
`iad.geometry.moving.MovingFace`.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from iad.geometry.coefficients import EXPRESSIONS, mirror_track
from iad.geometry.fit import Fit
from iad.geometry.head import MIRRORED_LANDMARKS, Head
from iad.geometry.moving import MovingFace
from iad.geometry.renderer import downsample, round_colours
from iad.geometry.stage import continue_photo
from iad.geometry.surroundings import cut_out, outline
from iad.portraits import read_arrays
from iad.portraits.morphable import cache_folder

_PADDING = 64  # pixels that the photo is continued by on every side
_MIRRORED = 14  # of them, these show the photo mirrored


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


def find_people(folder: str | Path | None = None) -> Path:
    """Return the folder of the photo people: `folder`, $IAD_PHOTO_PEOPLE or the download cache's.

    Raises:
        FileNotFoundError: There are none.
    """
    found = Path(folder or os.environ.get("IAD_PHOTO_PEOPLE") or cache_folder() / "people")
    if not (found / "fits.npz").is_file():
        raise FileNotFoundError(
            f"No photo people in {found}; fetch them with `python -m iad data download`, or point "
            "$IAD_PHOTO_PEOPLE at a folder with fits.npz and photos/."
        )
    return found


def load_photo_people(folder: str | Path | None = None) -> list[PhotoRecord]:
    """Read the fits in `folder`, $IAD_PHOTO_PEOPLE or the download cache, the first that is given.

    Raises:
        FileNotFoundError: There are none.
        ValueError: Their fits are damaged.
    """
    found = find_people(folder)
    arrays = read_arrays(found / "fits.npz")
    names = ("identity", "expression", "rotation", "translation")
    return [
        PhotoRecord(
            number=int(number),
            path=_find_photo(found / "photos" / f"{int(number):04d}.jpg"),
            landmarks=arrays["landmarks"][i].astype(np.float32),
            fit=Fit(
                **{name: arrays[name][i].astype(np.float32) for name in names},
                scale=float(arrays["scale"][i]),
                error=float(arrays["error"][i]),
            ),
        )
        for i, number in enumerate(arrays["id"])
    ]


def _find_photo(path: Path) -> Path:
    """Return where a portrait is: a JPEG, or a WebP where photos were packed to be carried."""
    packed = path.with_suffix(".webp")
    return packed if packed.is_file() and not path.is_file() else path


def leave_out_broken(records: Sequence[PhotoRecord]) -> list[PhotoRecord]:
    """Return the records whose photo can be read; the others are counted and named on stderr."""
    broken = [r for r in records if not is_whole(r.path)]
    if broken:
        names = ", ".join(r.path.name for r in broken[:5]) + (", ..." if len(broken) > 5 else "")
        print(f"{len(broken)} of {len(records)} photos are broken and left out: {names}", file=sys.stderr)
    left_out = {r.number for r in broken}
    return [r for r in records if r.number not in left_out]


def is_whole(path: Path) -> bool:
    """Tell whether a picture is there and can be read to its end."""
    try:
        with Image.open(path) as picture:  # OpenCV fills a photo that was cut off with grey
            picture.load()
    except OSError:
        return False
    return True


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
        photo = record.load_photo()
        landmarks = record.landmarks + np.float32(_PADDING)
        self._face = face = MovingFace(
            head,
            record.fit.enlarged(1.0, np.float32([_PADDING, _PADDING])),
            _pad((look or Look()).apply(photo)),
            landmarks,
            bounds=(_PADDING, _PADDING, photo.shape[1] + _PADDING, photo.shape[0] + _PADDING),
            jitter=0.0 if shape_jitter is None else shape_jitter,
        )
        self._backdrop = background
        if background is not None:
            face_outline, skull = outline(face.stage, face.rig, face.pixels)
            skull[:2] -= _PADDING
            face.textures.photo[..., 3] = _pad(cut_out(photo, face_outline - _PADDING, skull))

    def landmarks(self, track: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f 68 2"]:
        """Project the 68 landmarks; (0, 0) is the upper left corner of the frame, (1, 1) its lower right."""
        marks = self._face.landmarks(self._own_side(track))
        if self.mirror:
            marks = marks[:, list(MIRRORED_LANDMARKS)] * np.float32([-1, 1]) + np.float32([1, 0])
        return marks

    def render(
        self, track: Float[np.ndarray, "f k"], *, size: int = 128
    ) -> UInt8[np.ndarray, "f size size 3"]:
        """Render absolute expression weights and head poses, in the framing of the neutral frontal face."""
        track = self._own_side(track)
        frames = np.empty((len(track), size, size, 3), np.uint8)
        plate = self._plate(2 * size)
        for weights, frame in zip(track, frames, strict=True):
            colours, _ = self._face.draw(weights, plate)
            round_colours(downsample(colours), False, frame)
        return frames[:, :, ::-1].copy() if self.mirror else frames

    def _own_side(self, track: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f 60"]:
        """Check a track; give a mirrored person the other side's."""
        if track.shape[1] != EXPRESSIONS + 3:
            raise ValueError(
                f"Got a track of shape {track.shape}; expected (frames, {EXPRESSIONS + 3}): "
                "expression weights, then pitch, yaw and roll."
            )
        return mirror_track(track) if self.mirror else track

    def _plate(self, size: int) -> Float[np.ndarray, "h h 3"]:
        if self._backdrop is None:
            return np.zeros((size, size, 3), np.float32)
        return cv2.resize(self._backdrop, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)


def _pad(photo: Float[np.ndarray, "h w *c"]) -> Float[np.ndarray, "h2 w2 *c"]:
    """Continue a photo beyond its edges: mirrored for a little, then its border; blurred the further out.

    Hair that the photo cuts off then reaches the frame's edge, as it would in a closer crop.
    """
    padded = cv2.copyMakeBorder(photo, *(_MIRRORED,) * 4, cv2.BORDER_REFLECT_101)
    padded = cv2.copyMakeBorder(padded, *(_PADDING - _MIRRORED,) * 4, cv2.BORDER_REPLICATE)
    height, width = padded.shape[:2]
    return continue_photo(padded, (_PADDING, _PADDING, width - _PADDING, height - _PADDING))
