"""The denoiser's own sampling beside a plain loop over the same weights.

The plain loop is what diffusers' own pipelines do: 50 steps of `CogVideoXDDIMScheduler`, guidance with a
doubled batch, keys and values of all conditions computed anew in every step.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from iad.performing import track_to_code
from iad.sampling import Conditions, sample
from iad.transformer import create_scheduler

PLAIN_STEPS, PLAIN_GUIDANCE = 50, 6.0  # as ConsisID's

Denoise = Callable[[Any, Conditions, int], Float[Tensor, "1 f c y x"]]


@torch.inference_mode()
def compare_sampling(
    pipe: Any, photo: UInt8[np.ndarray, "h w 3"], *, prompt: str, clips: int
) -> dict[str, float]:
    """Time both in turns; medians of seconds a clip."""
    conditions = get_conditions(pipe, photo, prompt)
    ways: dict[str, Denoise] = {"own": denoise, "plain": denoise_plainly}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(clips):
        for name, way in ways.items():
            begun = time.perf_counter()
            way(pipe, conditions, seed)
            seconds[name].append(time.perf_counter() - begun)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    return medians | {"steps": pipe.preset.sampler.steps, "plain_steps": PLAIN_STEPS}


@torch.inference_mode()
def get_conditions(pipe: Any, photo: UInt8[np.ndarray, "h w 3"], prompt: str) -> Conditions:
    """Return what the denoiser is given for one clip of its own length."""
    preset = pipe.preset
    fps = preset.fps / preset.frames_per_latent
    moved = pipe._perform(prompt, None, None, seconds=preset.latent_frames / fps, fps=fps, seed=0)
    code = torch.from_numpy(track_to_code(moved.track))[None]
    return pipe._conditions("iad", [pipe.find_face(photo)], code, [s.prompt for s in moved.segments])


def denoise(pipe: Any, conditions: Conditions, seed: int) -> Float[Tensor, "1 f c y x"]:
    """Sample as the pipeline does by default."""
    return sample(
        pipe.parts["transformer"],
        pipe.scheduler,
        conditions,
        pipe._guidance(None, None, 1.0, 1.0),
        latents=draw_noise(pipe, seed),
        steps=pipe.preset.sampler.steps,
        stack=pipe.preset.frames_per_latent,
    )


def denoise_plainly(
    pipe: Any, conditions: Conditions, seed: int, *, steps: int = PLAIN_STEPS
) -> Float[Tensor, "1 f c y x"]:
    """Sample as diffusers' pipelines do: many steps, a doubled batch, everything anew in each."""
    transformer, scheduler = pipe.parts["transformer"], create_scheduler(pipe.preset)
    latents = draw_noise(pipe, seed)
    states = torch.cat([conditions.states, conditions.no_states])
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        adapter = transformer.adapt(
            conditions.identity.expand(2, -1, -1),
            conditions.action.expand(2, -1, -1, -1),
            frames=latents.shape[1],
            action_scale=torch.tensor([1.0, 0.0]),
        )
        rows = torch.cat([latents, latents])
        velocity = transformer(rows, states, t.expand(2), attention_kwargs={"adapter": adapter}).sample
        told, free = velocity.chunk(2)
        latents = scheduler.step(free + PLAIN_GUIDANCE * (told - free), t, latents).prev_sample
    return latents


def draw_noise(pipe: Any, seed: int) -> Float[Tensor, "1 f c y x"]:
    """Draw the noise that a clip begins from."""
    preset = pipe.preset
    shape = (1, preset.latent_frames, preset.latent_channels, preset.latent_size, preset.latent_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
