"""Aligned face -> what it does: 68 landmarks, 57 expression coefficients, head pose, and what is covered.

In: crops in [0, 1], `b 3 256 256`, in the FFHQ framing of `iad.faces`, which may be off by some degrees and
a tenth of the side. The reader looks at the whole face at half that size, and then, where it found them, at
mouth and eyes more closely: a lip or a lid is a few pixels high.
"""

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from iad import checkpoint
from iad.config import EXPRESSIONS, LANDMARKS, TRACK, Preset, ReaderConfig
from iad.faces import CROP_SIZE, Face, Landmarker, alignment, crop
from iad.geometry.coefficients import COLUMN
from iad.media.photos import brighten
from iad.models.encoders import POSE_SCALE, ResidualBlock, create_trunk

READ_SIZE = 256  # pixels of a crop, both sides
CLOSE_SIZE = 64  # pixels of a close look, both sides
COVERABLE = ("right eye", "left eye", "nose", "mouth")  # regions that a hand, a cup or hair may hide
_EYE_R, _EYE_L, _MOUTH = tuple(range(36, 42)), tuple(range(42, 48)), tuple(range(48, 68))
_EYE_L_MIRRORED = (45, 44, 43, 42, 47, 46)  # the left eye's landmarks in the right eye's order
_REACH = {"eye": 0.55, "mouth": 0.8}  # half a close look's side, in eye distances


@dataclass(frozen=True)
class ReadOut:
    """What the reader says of a batch of crops."""

    landmarks: Float[Tensor, "b 68 2"]  # unit square of the crop
    rough: Float[Tensor, "b 68 2"]  # the same by the look at the whole face alone
    coefficients: Float[Tensor, "b 60"]  # 57 weights, then pitch, yaw, roll over `POSE_SCALE`
    covered: Float[Tensor, "b 4"]  # logits, in the order of `COVERABLE`


@dataclass(frozen=True)
class Reading:
    """What one face does, in its photo: landmarks in pixels, weights and degrees, and what is covered."""

    landmarks: Float32[np.ndarray, "68 2"]
    track: Float32[np.ndarray, " 60"]
    covered: frozenset[str]


class CloseLook(nn.Module):
    """A small residual network at 1/2, 1/4 and 1/8 of a close look: a vector, and landmarks in its square."""

    def __init__(self, channels: tuple[int, ...], landmarks: int, hidden: int):
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in zip((3, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), ResidualBlock(width)]
        self.trunk = nn.Sequential(*layers, nn.GroupNorm(8, channels[-1]), nn.SiLU())
        self.squeeze = nn.Sequential(nn.Conv2d(channels[-1], 32, 1), nn.SiLU(), nn.Flatten())
        flat = 32 * (CLOSE_SIZE // 8) ** 2
        self.to_hidden = nn.Linear(flat, hidden)
        self.to_landmarks = nn.Linear(flat, landmarks * 2)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b n 2"]]:
        """Return the vector and the landmarks, -1 to 1 in the square."""
        flat = self.squeeze(self.trunk(x * 2 - 1))
        return self.to_hidden(flat), rearrange(self.to_landmarks(flat), "b (n two) -> b n two", two=2)


class FaceReader(nn.Module):
    """The look at the whole face and the close looks; one network serves both eyes, the left one mirrored."""

    def __init__(self, config: ReaderConfig):
        super().__init__()
        channels = config.channels
        self.trunk = create_trunk(channels, config.blocks)
        self.squeeze = nn.Sequential(
            nn.GroupNorm(8, channels[-1]), nn.SiLU(), nn.Conv2d(channels[-1], 32, 1), nn.Flatten()
        )
        flat, hidden = 32 * (READ_SIZE // 32) ** 2, config.hidden
        self.to_landmarks = nn.Linear(flat, LANDMARKS * 2)
        self.to_hidden = nn.Linear(flat, hidden)
        self.eye = CloseLook(config.close_channels, len(_EYE_R), hidden // 2)
        self.mouth = CloseLook(config.close_channels, len(_MOUTH), hidden // 2)
        together = hidden + 3 * (hidden // 2)
        self.to_coefficients = nn.Sequential(
            nn.SiLU(), nn.Linear(together, hidden), nn.SiLU(), nn.Linear(hidden, TRACK)
        )
        self.to_covered = nn.Sequential(nn.SiLU(), nn.Linear(together, len(COVERABLE)))
        nn.init.constant_(self.to_landmarks.bias, 0.5)

    def glance(self, crops: Float[Tensor, "b 3 128 128"]) -> Float[Tensor, "b 68 2"]:
        """Find landmarks by the look at the whole face alone, which takes half the time and half the size."""
        return self._look(crops)[1]

    def _look(
        self, crops: Float[Tensor, "b 3 128 128"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b 68 2"]]:
        flat = self.squeeze(self.trunk(crops * 2 - 1))
        return flat, rearrange(self.to_landmarks(flat), "b (k two) -> b k two", two=2)

    def forward(self, crops: Float[Tensor, "b 3 256 256"], shake: Tensor | None = None) -> ReadOut:
        """Read crops; `shake` (b, 3, 3), for training, moves the close looks: x, y (eye distances), scale."""
        flat, rough = self._look(avg_pool2d(crops, 2))
        landmarks, hidden = rough.clone(), [self.to_hidden(flat)]
        places = _close_looks(rough.detach().float(), shake)
        looks = (self.eye, _EYE_R), (self.eye, _EYE_L_MIRRORED), (self.mouth, _MOUTH)
        for look, (net, points) in enumerate(looks):
            place = places[:, look]
            if points is _EYE_L_MIRRORED:
                place = place * place.new_tensor([[-1, 1, 1], [-1, 1, 1]])
            grid = affine_grid(place, [len(crops), 3, CLOSE_SIZE, CLOSE_SIZE], align_corners=False)
            vector, found = net(grid_sample(crops, grid, padding_mode="border", align_corners=False))
            hidden.append(vector)
            moved = found.float() @ place[:, :, :2].mT + place[:, None, :, 2]
            landmarks[:, points] = (moved + 1).to(landmarks.dtype) / 2
        both = torch.cat(hidden, dim=1)
        return ReadOut(landmarks, rough, self.to_coefficients(both), self.to_covered(both))


def _close_looks(rough: Float[Tensor, "b 68 2"], shake: Tensor | None) -> Float[Tensor, "b 3 2 3"]:
    """Say where both eyes and the mouth are: maps of a close look's square to the crop's, each -1 to 1."""
    middles = [rough[:, points].mean(1) for points in (_EYE_R, _EYE_L, _MOUTH)]
    across = middles[1] - middles[0]
    length = across.norm(dim=1).clamp(min=0.02)
    x, y = (across / length[:, None]).unbind(1)
    turn = torch.stack([torch.stack([x, -y], -1), torch.stack([y, x], -1)], 1)
    shake = rough.new_zeros(len(rough), 3, 3) if shake is None else shake
    places = []
    for look, (middle, kind) in enumerate(zip(middles, ("eye", "eye", "mouth"), strict=True)):
        # a unit square's side is 2 in the square from -1 to 1, and so is its half's place
        half = 2 * _REACH[kind] * length * shake[:, look, 2].exp()
        centre = (middle + shake[:, look, :2] * length[:, None]) * 2 - 1
        places.append(torch.cat([turn * half[:, None, None], centre[:, :, None]], dim=2))
    return torch.stack(places, 1)


def create_reader(preset: Preset) -> FaceReader:
    """Build the reader of a preset with random weights."""
    return FaceReader(preset.reader)


def _measure_openings(track: Float[np.ndarray, " 60"], marks: Float[np.ndarray, "68 2"]) -> None:
    """Let jaw and lids be the mean of what the network says and what the landmarks measure, in place.

    The network learned coefficients from animated photos; landmarks, which it learned from photos as they
    are, carry over better to faces of any kind. The lines are those of 350 animated stills: an inner lip gap
    of 0.02 to 0.62 eye distances for a jaw of 0 to 1, eyes 0.27 to 0.06 as high as wide for lids of 0 to 1.
    """

    def apart(a: int, b: int) -> float:
        return float(np.linalg.norm(marks[a] - marks[b]))

    eyes = float(np.linalg.norm(marks[42:48].mean(0) - marks[36:42].mean(0)))
    right = (apart(37, 41) + apart(38, 40)) / 2 / max(apart(36, 39), 1e-3)
    left = (apart(43, 47) + apart(44, 46)) / 2 / max(apart(42, 45), 1e-3)
    measured = {
        "jawOpen": (apart(62, 66) / max(eyes, 1e-3) - 0.02) / 0.6,
        "eyeBlink_R": (0.27 - right) / 0.21,
        "eyeBlink_L": (0.27 - left) / 0.21,
    }
    for name, value in measured.items():
        track[COLUMN[name]] = (track[COLUMN[name]] + np.clip(value, 0, 1)) / 2


@functools.cache
def load_mini_reader() -> FaceReader:
    """Load mini's reader, which ships with the package; it reads faces for models of every size."""
    folder = checkpoint.WEIGHTS / "mini"
    reader = create_reader(checkpoint.load_preset(folder))
    reader.load_state_dict(checkpoint.load_part(folder, "reader"))
    return reader.eval().requires_grad_(False)


def as_landmarker(reader: FaceReader) -> Landmarker:
    """Return the callable that `iad.faces.find_face` wants: a glance at a crop, uint8 (128, 128, 3)."""

    @torch.inference_mode()
    def landmarker(crop: np.ndarray) -> np.ndarray:
        return reader.glance(_to_pixels(crop, reader))[0].float().cpu().numpy()

    return landmarker


def read_face(reader: FaceReader, photo: UInt8[np.ndarray, "_ _ 3"], face: Face) -> Face:
    """Read a face that was found: its landmarks closely, what it does, and what is covered.

    The crop is framed anew by the closer landmarks; a dark face is brightened as `face.gain` says.
    """
    light = brighten(photo, face.gain)
    reading = read_crop(reader, crop(light, face.affine, READ_SIZE), face.affine)
    affine = alignment(reading.landmarks)
    return replace(
        face,
        image=crop(light, affine, CROP_SIZE),
        affine=affine,
        landmarks=reading.landmarks,
        track=reading.track,
        covered=reading.covered,
    )


def _to_pixels(crop: UInt8[np.ndarray, "s s 3"], reader: FaceReader) -> Float[Tensor, "1 3 s s"]:
    pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None].float() / 255
    return pixels.to(next(reader.parameters()).device)


@torch.inference_mode()
def read_crop(
    reader: FaceReader, picture: UInt8[np.ndarray, "256 256 3"], affine: Float[np.ndarray, "2 3"]
) -> Reading:
    """Read one aligned crop and say it in the photo that `affine` maps to the crop's unit square."""
    seen = reader(_to_pixels(picture, reader))
    landmarks = (seen.landmarks[0].cpu().double().numpy() - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    track = seen.coefficients[0].float().cpu().numpy()
    track[:EXPRESSIONS] = track[:EXPRESSIONS].clip(0, 1)
    track[EXPRESSIONS:] *= POSE_SCALE
    track[-1] -= np.degrees(np.arctan2(affine[1, 0], affine[0, 0]))  # the roll that the framing took out
    covered = (seen.covered[0] > 0).tolist()
    _measure_openings(track, landmarks)
    hidden = frozenset(name for name, is_covered in zip(COVERABLE, covered, strict=True) if is_covered)
    return Reading(landmarks.astype(np.float32), track, hidden)
