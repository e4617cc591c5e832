"""The finisher's stage: it learns on what the denoiser makes, and landmarks teach it the motion."""

import pytest
import torch
from made_up import make_pool

from iad import IaDPipeline, checkpoint
from iad.config import PRESETS
from iad.parts import create_parts, split_parts
from iad.training.decoupler import DecouplerStage
from iad.training.denoiser import DenoiserStage
from iad.training.finisher import CLIPS, LENGTH, FinisherStage, _motion_error
from iad.training.pool import load_pool
from iad.training.prepare import open_prepared
from iad.training.stages import Options, prepare, train

TINY = PRESETS["tiny"]
FRAMES = CLIPS * LENGTH * TINY.frames_per_latent


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_pool(tmp_path_factory.mktemp("finisher") / "clips")


@pytest.fixture(scope="module")
def stage(data):
    torch.manual_seed(0)
    parts, pool = create_parts(TINY), load_pool(data)
    prepare(data, TINY, parts)
    split = DecouplerStage(TINY, pool, open_prepared(data, pool), parts["autoencoder"], groups=2)
    denoiser = DenoiserStage(TINY, split, part="adapters", autoencoder=parts["autoencoder"])
    return FinisherStage(TINY, denoiser, encoder=parts["encoder"])


def test_a_batch_shows_the_same_person_in_another_take(stage):
    batch, again = stage.batch(3), stage.batch(3)
    assert torch.equal(batch["target"], again["target"]) and torch.equal(batch["photo"], again["photo"])
    assert not torch.equal(batch["target"], stage.batch(4)["target"])
    shown, k = batch["drawn"]["shown"]
    for clip, (index, at) in enumerate(zip(shown, k, strict=True)):
        frame = stage.pool.clip(index)[at * TINY.frames_per_latent]
        assert torch.equal((batch["photo"][clip] * 255).round().byte(), torch.tensor(frame).movedim(-1, 0))
        people = [stage.pool.records[i]["identity"] for i in (index, stage.denoiser.partner[index][0])]
        assert people[0] == people[1]


def test_the_denoisers_clips_are_those_of_the_pipelines_single_step(stage):
    batch = stage.batch(0)
    batch["truth"][:] = 0
    frames, code, photo_code = stage.generate(batch)
    assert frames.shape == (FRAMES, 3, 128, 128) and len(code) == len(photo_code) == FRAMES
    drawn, denoiser = batch["drawn"], stage.denoiser
    denoiser.scheduler.set_timesteps(1)
    (t,) = denoiser.scheduler.timesteps
    velocity = denoiser._denoise(drawn, drawn["noise"], t.expand(CLIPS), denoiser.conditions(drawn))
    latents = denoiser.scheduler.step(velocity, t, drawn["noise"]).prev_sample
    batch["drawn"]["latents"], batch["truth"][:] = latents, 1  # as if these were the true ones
    assert torch.allclose(stage.generate(batch)[0], frames, atol=1e-4)
    batch["hear"][:] = 0
    assert not stage.generate(batch)[1].any() and not stage.generate(batch)[2].any()


def test_the_motion_at_landmarks_is_the_way_to_the_photos():
    torch.manual_seed(1)
    here = torch.rand(2, 68, 2) - 0.5
    motion = torch.zeros(2, 2, 128, 128)
    motion[:, 0], motion[:, 1] = 0.1, -0.2
    there = here + torch.tensor([0.1, -0.2])
    assert _motion_error(motion, here, there) < 1e-6
    assert _motion_error(-motion, here, there) > 0.2
    there[:, :34] = 3.0  # outside the photo, where nothing is to be seen
    assert _motion_error(motion, here, there) < 1e-6


def test_only_the_finisher_learns_and_it_comes_nearer(stage):
    optimizer = torch.optim.Adam(stage.model.parameters(), lr=5e-3)
    batch, seen = stage.batch(0), []
    for step in range(30):
        terms = stage.losses(batch, step)
        optimizer.zero_grad()
        terms["total"].backward()
        optimizer.step()
        seen.append({name: float(value.detach()) for name, value in terms.items()})
    assert seen[-1]["total"] < 0.8 * seen[0]["total"] and seen[-1]["pixels"] < 0.95 * seen[0]["pixels"]
    assert seen[-1]["motion"] < seen[0]["motion"] and seen[0]["pixels"] == pytest.approx(seen[0]["untouched"])
    assert all(p.grad is None for p in (*stage.denoiser.model.parameters(), *stage.encoder.parameters()))


def test_the_face_itself_is_compared_not_only_its_pixels(stage):
    target = stage.batch(0)["target"].flatten(0, 1)
    same = stage._compare_faces(target, target)
    assert same["features"] == 0 and same["action"] == pytest.approx(0, abs=1e-5)
    blurred = torch.nn.functional.avg_pool2d(target, 5, stride=1, padding=2).requires_grad_()
    worse = stage._compare_faces(blurred, target)
    assert worse["features"] > 0.05 and worse["action"] > 1e-4
    (worse["features"] + worse["action"]).backward()
    assert blurred.grad.abs().sum() > 0


def test_the_stage_adds_its_weights_to_a_trained_model(data, tmp_path):
    IaDPipeline.create("tiny").save_pretrained(tmp_path / "weights")
    before = {
        name: checkpoint.load_part(tmp_path / "weights", name) for name in split_parts(create_parts(TINY))
    }
    folder = train(
        "finisher", preset="tiny", options=Options(data=data, output=tmp_path, minutes=1, max_steps=3)
    )
    after = {name: checkpoint.load_part(folder, name) for name in before}
    for name in before:
        same = all(torch.equal(before[name][k], after[name][k]) for k in before[name])
        assert same == (name != "finisher"), name
    assert list((tmp_path / "finisher" / "pictures").glob("*.png"))
    with pytest.raises(ValueError, match="needs weights of autoencoder, encoder, decoupling, base"):
        train("finisher", preset="tiny", options=Options(data=data, output=tmp_path / "empty"))
