"""Conditions -> latents: what the denoiser is told, and how far guidance goes beyond it.

Three rows are denoised side by side: *told* hears everything, *free* is the same person left to themselves,
*nobody* has no identity. v = nobody + s_i (free - nobody) + s (told - free), with s the guidance scale and
s_i the identity guidance scale (classifier-free guidance for two conditions, arXiv 2211.09800, equation 3);
a row whose weight is zero is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from iad.adapters import AdapterStates
from iad.baselines import crop_condition
from iad.transformer import IaDTransformer3DModel


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
        """Return how many rows are denoised side by side."""
        return 3 if self.identity_guidance_scale != 1 else 2 if self.guidance_scale != 1 else 1

    def combine(self, velocity: Float[Tensor, "r f c y x"]) -> Float[Tensor, "1 f c y x"]:
        """Weigh the rows' velocities."""
        told, free, nobody = velocity[:1], velocity[:2][-1:], velocity[-1:]
        words, person = self.guidance_scale - 1, self.identity_guidance_scale - 1
        return told + words * (told - free) + person * (free - nobody)


def sample(
    transformer: IaDTransformer3DModel,
    scheduler,
    conditions: Conditions,
    guidance: Guidance,
    *,
    latents: Float[Tensor, "1 f c y x"],
    steps: int,
    stack: int,
    callback: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "1 f c y x"]:
    """Denoise `latents` in `steps` steps.

    Args:
        transformer: the base with an arm's adapters.
        scheduler: diffusers' DDIM.
        conditions: what the clip is made from.
        guidance: how strongly.
        latents: noise.
        steps: how many.
        stack: frames that share a latent frame.
        callback: called with (step, steps) after each step.
    """
    frames = latents.shape[1]
    adapter = _adapt(transformer, conditions, guidance, frames)
    words = (conditions.states, conditions.no_states, conditions.no_states)[: guidance.rows]
    states = torch.cat(words)
    crop = None
    if conditions.crop is not None:
        one = crop_condition(conditions.crop, frames=frames, stack=stack)
        crop = torch.cat([one, one, torch.zeros_like(one)][: guidance.rows])
    scheduler.set_timesteps(steps)
    for k, t in enumerate(scheduler.timesteps):
        rows = latents.expand(guidance.rows, -1, -1, -1, -1)
        rows = rows if crop is None else torch.cat([rows, crop], dim=2)
        kwargs = {"adapter": adapter}
        velocity = transformer(rows, states, t.expand(guidance.rows), attention_kwargs=kwargs).sample
        latents = scheduler.step(guidance.combine(velocity), t, latents).prev_sample
        if callback:
            callback(k + 1, steps)
    return latents


def _adapt(
    transformer: IaDTransformer3DModel, conditions: Conditions, guidance: Guidance, frames: int
) -> AdapterStates:
    """Compute keys and values of all rows, once for all steps."""
    rows, action = guidance.rows, conditions.action
    return transformer.adapt(
        conditions.identity.expand(rows, -1, -1),
        None if action is None else action.expand(rows, -1, -1, -1),
        frames=frames,
        identity_scale=guidance.identity_scale * torch.tensor([1.0, 1.0, 0.0])[:rows],
        action_scale=guidance.action_scale * torch.tensor([1.0, 0.0, 0.0])[:rows],
    )
