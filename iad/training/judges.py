"""The networks that judge frames: a recogniser and an action regressor, small, and nobody's encoder."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from iad.config import LANDMARKS, TRACK, Preset


@dataclass(frozen=True)
class View:
    """The square of a frame that a judge looks at: upper left corner and side in the unit square; pixels."""

    left: float
    top: float
    side: float
    pixels: int


@dataclass(frozen=True)
class ScorerConfig:
    """Channels at 1/4, 1/8 and 1/16 of what a judge sees, and lengths of what it says."""

    recogniser: tuple[int, ...] = (32, 72, 144)
    regressor: tuple[int, ...] = (32, 64, 112)
    dim: int = 128  # of an embedding, and of the regressor's features


FACE = View(0.22, 0.30, 0.56, 64)  # the inner face, without hair and background
HEAD = View(0.14, 0.20, 0.72, 96)  # the face wherever it turns, about pixel for pixel
SIZES = {"tiny": ScorerConfig((8, 8, 16), (8, 8, 16), 16)}  # any other preset takes the default


def cut(
    frame: UInt8[np.ndarray, "h w 3"], view: View, affine: Float[np.ndarray, "2 3"] | None = None
) -> UInt8[np.ndarray, "y x 3"]:
    """Cut a view out of a square frame, moved before by `affine` (unit-square coordinates)."""
    if affine is None:
        affine = np.eye(2, 3)
    matrix = np.array(affine, np.float64)
    scale = view.pixels / view.side
    # from pixel centres of the frame to those of the view
    linear = matrix[:, :2] * scale / frame.shape[0]
    shift = (matrix[:, 2] - (view.left, view.top)) * scale - 0.5 + linear @ (0.5, 0.5)
    moved = np.column_stack([linear, shift])
    size = (view.pixels, view.pixels)
    return cv2.warpAffine(frame, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


class Block(nn.Module):
    """Two 3x3 convolutions, normalised over the batch, around a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add what the convolutions find; the shape stays."""
        return x + self.body(x)


def _create_trunk(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.PixelUnshuffle(4), nn.Conv2d(48, channels[0], 3, padding=1, bias=False)]
    for level, width in enumerate(channels):
        if level:
            layers += [nn.BatchNorm2d(channels[level - 1]), nn.ReLU()]
            layers += [nn.Conv2d(channels[level - 1], width, 3, stride=2, padding=1, bias=False)]
        layers.append(Block(width))
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]), nn.ReLU())


class Recogniser(nn.Module):
    """The inner face, in a soft oval, to a unit embedding of the person."""

    def __init__(self, config: ScorerConfig):
        super().__init__()
        self.dim = config.dim
        self.trunk = _create_trunk(config.recogniser)
        grid = FACE.pixels // 16
        flat = config.recogniser[-1] * grid * grid
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(flat, config.dim), nn.BatchNorm1d(config.dim))
        self.register_buffer("oval", _create_oval(FACE.pixels), persistent=False)

    def forward(self, faces: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b e"]:
        """Embed inner faces in [0, 1]; rows have length one."""
        return normalize(self.head(self.trunk((faces * 2 - 1) * self.oval)))


class ActionRegressor(nn.Module):
    """The face with its surroundings to its action: 57 coefficients, then pitch, yaw and roll in degrees.

    Landmarks are learned beside it: they say far more of where lids and lips are than the coefficients do.
    The coefficients' mean and spread over the training clips are kept beside the weights.
    """

    def __init__(self, config: ScorerConfig):
        super().__init__()
        self.trunk = _create_trunk(config.regressor)
        flat = 32 * (HEAD.pixels // 16) ** 2
        self.squeeze = nn.Sequential(nn.Conv2d(config.regressor[-1], 32, 1), nn.Flatten())
        self.to_landmarks = nn.Linear(flat, LANDMARKS * 2)
        self.to_features = nn.Linear(flat, config.dim)
        self.to_track = nn.Linear(config.dim, TRACK)
        self.register_buffer("mean", torch.zeros(TRACK))
        self.register_buffer("spread", torch.ones(TRACK))

    def forward(
        self, faces: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b 60"], Float[Tensor, "b 68 2"]]:
        """Read action and landmarks (unit square of the frame) off views in [0, 1]."""
        flat = self.squeeze(self.trunk(faces * 2 - 1))
        track = self.mean + self.spread * self.to_track(relu(self.to_features(flat)))
        return track, rearrange(self.to_landmarks(flat), "b (k two) -> b k two", two=2)

    def track(self, faces: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 60"]:
        """Read the action alone."""
        return self(faces)[0]

    def features(self, faces: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Describe views in [0, 1] by what the last layer reads."""
        return relu(self.to_features(self.squeeze(self.trunk(faces * 2 - 1))))


def _create_oval(size: int) -> Float[Tensor, "h w"]:
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    radius = torch.hypot(line[None] / 0.95, (line[:, None] + 0.02) / 1.05)
    return ((1 - radius) * 8 + 0.5).clamp(0, 1)


def create_scorers(preset: Preset) -> nn.ModuleDict:
    """Build the judges of a preset with random weights: "arc", "cur" and "action"."""
    config = SIZES.get(preset.name, ScorerConfig())
    judges = {"arc": Recogniser(config), "cur": Recogniser(config), "action": ActionRegressor(config)}
    return nn.ModuleDict(judges)
