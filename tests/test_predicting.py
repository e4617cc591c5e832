"""mini's denoiser predicts what the published schedule makes of its answer, without noise or seeds."""

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim_cogvideox import CogVideoXDDIMScheduler

from iad import IaDPipeline
from iad.evaluation.speed import get_photo
from iad.models.autoencoder import decode_latents, to_uint8
from iad.models.predicting import Guidance, predict
from iad.performing import track_to_code

PROMPT = "a person smiles"


@pytest.fixture(scope="module")
def pipe():
    return IaDPipeline.create("tiny")


@pytest.fixture(scope="module")
def conditions(pipe):
    fps = pipe.preset.fps / pipe.preset.frames_per_latent
    moved = pipe._perform(PROMPT, None, None, seconds=pipe.preset.latent_frames / fps, fps=fps, seed=0)
    code = torch.from_numpy(track_to_code(moved.track))[None]
    return pipe._conditions("iad", [pipe.find_face(get_photo())], code, [PROMPT])


def _predict(pipe, conditions, words, person):
    guidance = Guidance(words, person, identity_scale=1.0, action_scale=1.0)
    frames = pipe.preset.latent_frames
    return predict(pipe.parts["transformer"], conditions, guidance, preset=pipe.preset, frames=frames)


@torch.no_grad()
def test_it_is_the_published_schedules_last_timestep_taken_at_once(pipe, conditions):
    """`CogVideoXDDIMScheduler`, one step, from the mean of its noise, guided by hand."""
    scheduler = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
        clip_sample=False, snr_shift_scale=1.0,
    )  # fmt: skip
    scheduler.set_timesteps(1)
    transformer, preset = pipe.parts["transformer"], pipe.preset
    side = preset.latent_size
    noise = torch.zeros(1, preset.latent_frames, preset.latent_channels, side, side)
    told, free = (
        transformer(
            noise, states, scheduler.timesteps,
            attention_kwargs={"adapter": transformer.adapt(
                conditions.identity, conditions.action, frames=preset.latent_frames,
                action_scale=torch.tensor([scale]),
            )},
        ).sample
        for states, scale in ((conditions.states, 1.0), (conditions.no_states, 0.0))
    )  # fmt: skip
    guided = free + 3.0 * (told - free)
    clean = scheduler.step(guided, scheduler.timesteps[0], noise).prev_sample
    torch.testing.assert_close(_predict(pipe, conditions, 3.0, 1.0), clean, atol=1e-4, rtol=1e-4)


def test_a_clip_of_the_embeddings_is_what_is_predicted_whatever_the_seed(pipe, conditions):
    seconds = pipe.preset.frames / pipe.preset.fps
    driven = {"action_reference": get_photo(), "duration": seconds, "detail_scale": 0}
    one, other = (pipe(get_photo(), seed=seed, **driven).frames for seed in (0, 7))
    assert np.array_equal(one, other)
    guidance = pipe.preset.sampler.guidance_scale, pipe.preset.sampler.identity_guidance_scale
    with torch.no_grad():
        latents = _predict(pipe, conditions, *guidance)
        frames = decode_latents(pipe.parts["autoencoder"], latents, pipe.preset.frames_per_latent)[0]
    clip = pipe(get_photo(), PROMPT, seed=0, duration=seconds, detail_scale=0)
    assert np.abs(to_uint8(frames).astype(int) - clip.frames).mean() < 2


def test_asked_for_steps_it_says_that_it_has_none(pipe):
    result = pipe(get_photo(), PROMPT, num_inference_steps=8, duration=0.5, detail_scale=0)
    assert any("one step" in note and "8 steps" in note for note in result.notes)
    assert np.array_equal(result.frames, pipe(get_photo(), PROMPT, duration=0.5, detail_scale=0).frames)
