"""Frames <-> latents: principal components of 16x16 patches, and a convolutional decoder that makes pictures.

In: frames in [0, 1], `b f 3 h w`. Out: latents `b t c y x` of unit variance, 16 times smaller; one latent
frame is `frames_per_latent` video frames stacked in the channels. The code is linear and never trained, so it
is known before any training, and the decoder can be improved at any time without touching what was trained on
latents. The face encoder's tokens hold such a code, too.
"""

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_unshuffle, silu

from iad.config import AutoencoderConfig, Preset

PATCH = 16  # pixels that a code stands for, both ways


def principal_components(
    patches: Float[Tensor, "n 3 p p"], count: int
) -> tuple[Float[Tensor, "c 3 p p"], Float[Tensor, "c 1 1 1"], Float[Tensor, "3 p p"]]:
    """Return the `count` strongest axes of patches, the spread along each, and the mean patch."""
    flat = patches.flatten(1)
    mean = flat.mean(0)
    _, spread, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    scale = spread[:count] / len(flat) ** 0.5
    shape = patches.shape[1:]
    return axes[:count].unflatten(1, shape), scale[:, None, None, None], mean.unflatten(0, shape)


class ResidualBlock(nn.Module):
    """Two normalised 3x3 convolutions around a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add what the convolutions find; the shape stays."""
        return x + self.conv2(silu(self.norm2(self.conv1(silu(self.norm1(x))))))


class Upsample(nn.Module):
    """Doubles both sides, smoothly."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Return features of twice the height and width."""
        return interpolate(self.conv(x), scale_factor=2, mode="bilinear")


class FrameAutoencoder(nn.Module):
    """A fixed linear patch code and a decoder that smooths and sharpens what it gives back."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        fine, middle, coarse = config.channels
        blocks = config.decoder_blocks
        self.project = nn.Conv2d(3, config.latent_channels, PATCH, stride=PATCH).requires_grad_(False)
        self.expand = nn.ConvTranspose2d(config.latent_channels, 3, PATCH, stride=PATCH).requires_grad_(False)
        self.lift = nn.Sequential(
            nn.Conv2d(config.latent_channels, coarse, 3, padding=1),
            *(ResidualBlock(coarse) for _ in range(blocks[0])),
            Upsample(coarse, middle),
            *(ResidualBlock(middle) for _ in range(blocks[1])),
            Upsample(middle, fine),
        )
        self.join = nn.Conv2d(fine + 48, fine, 3, padding=1)
        self.refine = nn.Sequential(
            *(ResidualBlock(fine) for _ in range(blocks[2])),
            nn.GroupNorm(8, fine),
            nn.SiLU(),
            nn.Conv2d(fine, 2 * fine, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(fine // 2, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, frames: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Encode frames in [0, 1]."""
        return self.project(frames * 2 - 1)

    def decode(self, latents: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 3 h w"]:
        """Decode to frames, about in [0, 1]; not clamped, so that training sees what is beyond."""
        coarse = self.expand(latents)
        features = self.join(torch.cat([self.lift(latents), pixel_unshuffle(coarse, 4)], dim=1))
        return (coarse + 0.1 * self.refine(features) + 1) / 2

    def weights(self) -> Float[Tensor, " c"]:
        """Return how much each latent channel counts in the picture, 1 on average; used to weigh losses."""
        energy = self.expand.weight.flatten(1).norm(dim=1)
        return energy / energy.mean()

    @torch.no_grad()
    def set_components(self, patches: Float[Tensor, "n 3 16 16"]) -> None:
        """Set the code to the principal components of `patches` in [0, 1], of unit variance each."""
        axes, scale, mean = principal_components(patches * 2 - 1, self.project.out_channels)
        self.project.weight.copy_(axes / scale)
        self.project.bias.copy_(-(axes / scale * mean).sum((1, 2, 3)))
        self.expand.weight.copy_(axes * scale)
        self.expand.bias.copy_(mean.mean((1, 2)))


def create_autoencoder(preset: Preset) -> FrameAutoencoder:
    """Build the frame autoencoder with random weights."""
    return FrameAutoencoder(preset.autoencoder)


def encode_frames(
    autoencoder: FrameAutoencoder, frames: Float[Tensor, "b f 3 h w"], stack: int
) -> Float[Tensor, "b t c y x"]:
    """Encode frames in [0, 1] and stack each `stack` neighbours into one latent frame."""
    flat = rearrange(frames, "b f c h w -> (b f) c h w")
    latents = autoencoder.encode(flat)
    return rearrange(latents, "(b t s) c y x -> b t (s c) y x", b=frames.shape[0], s=stack)


def decode_latents(
    autoencoder: FrameAutoencoder, latents: Float[Tensor, "b t c y x"], stack: int
) -> Float[Tensor, "b f 3 h w"]:
    """Decode stacked latents to frames in [0, 1]; the inverse of `encode_frames`."""
    flat = rearrange(latents, "b t (s c) y x -> (b t s) c y x", s=stack)
    frames = autoencoder.decode(flat).clamp(0, 1)
    return rearrange(frames, "(b f) c h w -> b f c h w", b=latents.shape[0])


def to_tensor(frames: np.ndarray | Tensor) -> Float[Tensor, "*b 3 h w"]:
    """Turn uint8 frames (..., h, w, 3) into float channels-first ones in [0, 1]."""
    return torch.as_tensor(frames).movedim(-1, -3).float() / 255


def to_uint8(frames: Float[Tensor, "*b 3 h w"]) -> UInt8[np.ndarray, "*b h w 3"]:
    """Turn float channels-first frames in [0, 1] into uint8 ones."""
    return (frames.clamp(0, 1) * 255).round().byte().movedim(-3, -1).cpu().numpy()
