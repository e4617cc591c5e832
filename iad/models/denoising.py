"""Conditions -> the denoiser's frames, for clips of any length: windows that overlap and are blended.

The transformer knows clips of one length. A longer one is drawn in windows that share some latent frames;
where two overlap, one fades into the other.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from torch import nn

from iad.config import Preset
from iad.models.autoencoder import decode_latents, to_uint8
from iad.models.predicting import Conditions, Guidance, predict

OVERLAP = 2  # latent frames that two windows share


def denoise(
    transformer: nn.Module,
    autoencoder: nn.Module,
    make_conditions: Callable[[slice], Conditions],
    *,
    preset: Preset,
    guidance: Guidance,
    latent_frames: int,
    callback: Callable[[int, int], None] | None = None,
) -> UInt8[np.ndarray, "f h w 3"]:
    """Draw `latent_frames` latent frames, in as many windows as they need.

    Args:
        transformer: the base with an arm's adapters.
        autoencoder: decodes latents.
        make_conditions: gives the conditions of a window, a slice of latent frames.
        preset: the model size.
        guidance: how strongly.
        latent_frames: of the whole clip.
        callback: called with (windows drawn, all windows) after each.
    """
    windows = list_windows(latent_frames, preset.latent_frames)
    stack = preset.frames_per_latent
    sums = np.zeros((latent_frames * stack, preset.size, preset.size, 3), np.float32)
    weights = np.zeros((latent_frames * stack, 1, 1, 1), np.float32)
    for number, window in enumerate(windows):
        conditions, count = make_conditions(window), window.stop - window.start
        latents = predict(transformer, conditions, guidance, preset=preset, frames=count)
        frames = to_uint8(decode_latents(autoencoder, latents, stack)[0])
        rows = slice(window.start * stack, window.stop * stack)
        fade = np.minimum(np.arange(len(frames)) + 1, np.arange(len(frames))[::-1] + 1)[:, None, None, None]
        sums[rows] += fade * frames
        weights[rows] += fade
        if callback:
            callback(number + 1, len(windows))
    return np.rint(sums / weights).astype(np.uint8)


def list_windows(latent_frames: int, longest: int) -> list[slice]:
    """Cover latent frames by windows of at most `longest` that share `OVERLAP` or more."""
    if latent_frames <= longest:
        return [slice(0, latent_frames)]
    hop = max(1, longest - OVERLAP)
    starts = [*range(0, latent_frames - longest, hop), latent_frames - longest]
    return [slice(start, start + longest) for start in starts]
