"""Frames <-> latents: a small deep-compression autoencoder, one frame at a time.

In: frames in [0, 1], `b f 3 h w`. Out: latents `b f c h w`, about unit variance, where one latent frame is
`frames_per_latent` video frames stacked in the channels.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from iad.config import Preset


def create_autoencoder(preset: Preset):
    """Build the frame autoencoder (`diffusers.AutoencoderDC`) with random weights."""
    from diffusers.models.autoencoders.autoencoder_dc import AutoencoderDC

    config = preset.autoencoder
    levels = len(config.block_out_channels)
    return AutoencoderDC(
        latent_channels=config.latent_channels,
        encoder_block_out_channels=config.block_out_channels,
        decoder_block_out_channels=config.block_out_channels,
        encoder_layers_per_block=config.encoder_layers,
        decoder_layers_per_block=config.decoder_layers,
        encoder_qkv_multiscales=((),) * levels,
        decoder_qkv_multiscales=((),) * levels,
        scaling_factor=1.0,
    )


def encode_frames(autoencoder, frames: Float[Tensor, "b f 3 h w"], stack: int) -> Float[Tensor, "b t c y x"]:
    """Encode frames in [0, 1] and stack each `stack` neighbours into one latent frame."""
    flat = rearrange(frames, "b f c h w -> (b f) c h w")
    latents = autoencoder.encode(flat * 2 - 1).latent * autoencoder.config.scaling_factor
    return rearrange(latents, "(b t s) c y x -> b t (s c) y x", b=frames.shape[0], s=stack)


def decode_latents(autoencoder, latents: Float[Tensor, "b t c y x"], stack: int) -> Float[Tensor, "b f 3 h w"]:
    """Decode stacked latents to frames in [0, 1]; the inverse of `encode_frames`."""
    flat = rearrange(latents, "b t (s c) y x -> (b t s) c y x", s=stack)
    frames = autoencoder.decode(flat / autoencoder.config.scaling_factor).sample
    frames = rearrange(frames, "(b f) c h w -> b f c h w", b=latents.shape[0])
    return ((frames + 1) / 2).clamp(0, 1)


def to_tensor(frames) -> Float[Tensor, "*b 3 h w"]:
    """Turn uint8 frames (..., h, w, 3) into float channels-first ones in [0, 1]."""
    return torch.as_tensor(frames).movedim(-1, -3).float() / 255


def to_uint8(frames: Float[Tensor, "*b 3 h w"]):
    """Turn float channels-first frames in [0, 1] into a uint8 array (..., h, w, 3)."""
    return (frames.clamp(0, 1) * 255).round().byte().movedim(-3, -1).cpu().numpy()
