"""Face -> facial embedding: the frozen encoder whose output is split.

In: aligned crops in [0, 1], `b 3 h w` (FFHQ framing, see `iad.faces`). Out: a global vector, a grid of
spatial tokens, and what the training heads read from them: landmarks, and action coefficients with head pose.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pixel_shuffle

from iad.config import LANDMARKS, TRACK, EncoderConfig, Preset
from iad.models.autoencoder import PATCH, principal_components

POSE_SCALE = 15.0  # degrees; head pose is divided by it, so that it is of the order of the coefficients
THUMBNAIL_CELL = 8  # pixels of the thumbnail a token tells of, both ways


@dataclass(frozen=True)
class FacialFeatures:
    """What the encoder says of a batch of crops."""

    embedding: Float[Tensor, "b g"]
    tokens: Float[Tensor, "b n e"]
    landmarks: Float[Tensor, "b 68 2"]  # unit square of the crop
    coefficients: Float[Tensor, "b 60"]  # 57 expression weights, then pitch, yaw, roll over `POSE_SCALE`

    @property
    def vector(self) -> Float[Tensor, "b v"]:
        """The global vector that is split: who it is, and what the face seems to do."""
        return torch.cat([self.embedding, self.coefficients], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add what the convolutions find; the shape stays."""
        return x + self.body(x)


def create_trunk(channels: tuple[int, ...], blocks: tuple[int, ...]) -> nn.Sequential:
    """Build a residual network at 1/4, 1/8 and 1/16 of a crop."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(4), nn.Conv2d(48, channels[0], 3, padding=1)]
    for level, (width, depth) in enumerate(zip(channels, blocks, strict=True)):
        if level:
            layers.append(nn.Conv2d(channels[level - 1], width, 3, stride=2, padding=1))
        layers += [ResidualBlock(width) for _ in range(depth)]
    return nn.Sequential(*layers)


class FaceEncoder(nn.Module):
    """A small residual network at 1/4, 1/8 and 1/16 of the crop, with four heads, and a fixed patch code.

    A token is what the network has learned of its place ++ principal components of its own patch: a
    recogniser's features alone lose what a portrait needs.

    The thumbnail head keeps hair, clothes and background in the tokens, which a recogniser alone would drop.

    Args:
        config: channels and depths.
        size: side of the crop in pixels.
    """

    def __init__(self, config: EncoderConfig, *, size: int):
        super().__init__()
        self.trunk, grid = create_trunk(config.channels, config.blocks), size // 16
        self.width = width = config.channels[-1]
        self.patches = nn.Conv2d(3, config.components, PATCH, stride=PATCH).requires_grad_(False)
        self.squeeze = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 32, 1), nn.Flatten())
        flat = 32 * grid * grid
        self.to_embedding = nn.Sequential(nn.Linear(flat, config.global_dim), nn.LayerNorm(config.global_dim))
        self.to_landmarks = nn.Linear(flat, LANDMARKS * 2)
        self.to_coefficients = nn.Sequential(nn.Linear(flat, 128), nn.SiLU(), nn.Linear(128, TRACK))
        self.to_thumbnail = nn.Conv2d(width, 3 * THUMBNAIL_CELL**2, 1)
        nn.init.constant_(self.to_landmarks.bias, 0.5)

    def forward(self, crops: Float[Tensor, "b 3 h w"]) -> FacialFeatures:
        """Describe aligned crops in [0, 1]."""
        return self.describe(crops, self.look(crops)[-1])

    def look(self, crops: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c y x"]]:
        """Return what the trunk finds at 1/4, 1/8 and 1/16 of the crop."""
        levels, x = [], crops * 2 - 1
        for layer in self.trunk:
            if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
                levels.append(x)
            x = layer(x)
        return [*levels, x]

    def describe(self, crops: Float[Tensor, "b 3 h w"], features: Float[Tensor, "b c y x"]) -> FacialFeatures:
        """Let the heads read the last of what `look` found."""
        flat = self.squeeze(features)
        learned, patches = (rearrange(x, "b c y x -> b (y x) c") for x in (features, self.patches(crops)))
        return FacialFeatures(
            embedding=self.to_embedding(flat),
            tokens=torch.cat([layer_norm(learned, learned.shape[-1:]), patches], dim=-1),
            landmarks=rearrange(self.to_landmarks(flat), "b (k two) -> b k two", two=2),
            coefficients=self.to_coefficients(flat),
        )

    def thumbnail(self, tokens: Float[Tensor, "b n e"]) -> Float[Tensor, "b 3 y x"]:
        """Predict the crop at half its size from its spatial tokens (a training head)."""
        side = round(tokens.shape[1] ** 0.5)
        cells = self.to_thumbnail(rearrange(tokens[..., : self.width], "b (y x) c -> b c y x", y=side))
        return pixel_shuffle(cells, THUMBNAIL_CELL)

    @torch.no_grad()
    def set_components(self, patches: Float[Tensor, "n 3 16 16"]) -> None:
        """Set what a token holds of its own patch: principal components of `patches`, of unit variance."""
        axes, scale, mean = principal_components(patches, self.patches.out_channels)
        self.patches.weight.copy_(axes / scale)
        self.patches.bias.copy_(-(axes / scale * mean).sum((1, 2, 3)))


def create_face_encoder(preset: Preset) -> FaceEncoder:
    """Build the encoder of a preset with random weights."""
    return FaceEncoder(preset.encoder, size=preset.size)
