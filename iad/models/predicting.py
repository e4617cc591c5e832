"""Conditions -> latents in one step, and frames of clips of any length.

The conditions almost determine a clip. So mini's denoiser is no sampler: at the last timestep of the
schedule, where the published model begins from pure noise, it predicts the clip itself. It begins from zeros,
the mean of that noise, and has no seeds; takes come from T.

Three rows are predicted side by side: *told* hears everything, *free* is the same person left to themselves,
*nobody* has no identity. v = nobody + s_i (free - nobody) + s (told - free), with s the guidance scale and
s_i the identity guidance scale (classifier-free guidance for two conditions, arXiv 2211.09800, equation 3);
a row whose weight is zero is left out.

The transformer knows clips of one length: a longer one is drawn in windows that share some latent frames, and
where two overlap, one fades into the other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from iad.config import Preset
from iad.models.adapters import AdapterStates
from iad.models.autoencoder import decode_latents, to_uint8
from iad.models.baselines import crop_condition
from iad.models.transformer import IaDTransformer3DModel


@dataclass(frozen=True)
class Conditions:
    """What one clip is made from."""

    identity: Float[Tensor, "1 q d"]
    action: Float[Tensor, "1 f a d"] | None  # None in an arm without action channel
    crop: Float[Tensor, "1 c y x"] | None  # latents of the face crop; only ConsisID's recipe has them
    states: Float[Tensor, "1 n e"]
    no_states: Float[Tensor, "1 n e"]  # of the empty prompt


@dataclass(frozen=True)
class Guidance:
    """How strongly a clip follows its conditions."""

    guidance_scale: float
    identity_guidance_scale: float
    identity_scale: float
    action_scale: float

    @property
    def rows(self) -> int:
        """Return how many rows are predicted side by side."""
        return 3 if self.identity_guidance_scale != 1 else 2 if self.guidance_scale != 1 else 1

    def combine(self, velocity: Float[Tensor, "r f c y x"]) -> Float[Tensor, "1 f c y x"]:
        """Weigh the rows' velocities."""
        told, free, nobody = velocity[:1], velocity[:2][-1:], velocity[-1:]
        words, person = self.guidance_scale - 1, self.identity_guidance_scale - 1
        return told + words * (told - free) + person * (free - nobody)


def predict(
    transformer: IaDTransformer3DModel,
    conditions: Conditions,
    guidance: Guidance,
    *,
    preset: Preset,
    frames: int,
) -> Float[Tensor, "1 f c y x"]:
    """Say in one step which clip the conditions mean.

    Args:
        transformer: the base with an arm's adapters.
        conditions: what the clip is made from.
        guidance: how strongly.
        preset: the model size.
        frames: latent ones, at most those of the preset.
    """
    shape = (guidance.rows, frames, preset.latent_channels, preset.latent_size, preset.latent_size)
    rows = torch.zeros(shape, device=conditions.states.device)
    states = torch.cat((conditions.states, conditions.no_states, conditions.no_states)[: guidance.rows])
    if conditions.crop is not None:
        one = crop_condition(conditions.crop, frames=frames, stack=preset.frames_per_latent)
        crop = torch.cat([one, one, torch.zeros_like(one)][: guidance.rows])
        rows = torch.cat([rows, crop], dim=2)
    last = torch.full((guidance.rows,), preset.sampler.timesteps - 1, device=rows.device)
    adapter = _adapt(transformer, conditions, guidance, frames)
    velocity = transformer(rows, states, last, attention_kwargs={"adapter": adapter}).sample
    return -guidance.combine(velocity)  # at the last timestep nothing of the clip is left: v = -x


def _adapt(
    transformer: IaDTransformer3DModel, conditions: Conditions, guidance: Guidance, frames: int
) -> AdapterStates:
    """Compute keys and values of all rows."""
    rows, action = guidance.rows, conditions.action
    return transformer.adapt(
        conditions.identity.expand(rows, -1, -1),
        None if action is None else action.expand(rows, -1, -1, -1),
        frames=frames,
        identity_scale=guidance.identity_scale * torch.tensor([1.0, 1.0, 0.0])[:rows],
        action_scale=guidance.action_scale * torch.tensor([1.0, 0.0, 0.0])[:rows],
    )


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
