"""Full-size training on a tiny base: the loss falls, the base stays, and a killed run goes on exactly."""

import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from made_up_footage import SMALL, keep_model, make_footage, read_lines, run_training, smaller
from safetensors.torch import load_file
from twins import write_cogvideox

from iad import IaDPipeline
from iad.models.adapters import is_adapter_key
from iad.training import full_size_loss, full_size_run
from iad.training.footage import prepare_footage
from iad.training.footage_clips import Clips
from iad.training.full_size_run import FullSizeOptions

ROOT = Path(__file__).parents[1]
RUNNER = ROOT / "tests" / "made_up_footage.py"
STEPS = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_cogvideox(folder / "base")
    prepare_footage(make_footage(folder / "videos"), preset=SMALL, base=folder / "base")
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    """Give a run that nobody disturbed, with the model that it trained."""
    create, made = full_size_run.create_loss, keep_model()
    run_training(folder, folder / "whole", steps=STEPS)
    full_size_run.create_loss = create
    return folder / "whole", made[0]


def options(folder, **changes):
    given = {"base": folder / "base"} | changes
    return FullSizeOptions(given.pop("preset", SMALL), folder / "videos", folder / "out", **given)


def create_loss(folder, **changes):
    """Build what is trained, untrained yet."""
    return full_size_loss.create_loss(options(folder, **changes), folder / "base", device=torch.device("cpu"))


def losses(output):
    return [{k: v for k, v in line.items() if k != "minutes"} for line in read_lines(output, "log.jsonl")]


def mean(lines, key):
    return sum(line[key] for line in lines) / len(lines)


def test_the_loss_falls(whole, folder):
    """Against the untrained model on the same batches, for the noise levels of a few steps differ widely."""
    lines = losses(whole[0])
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    facts = full_size_run.read_facts(whole[0])
    given = options(folder, batch=facts["batch"], seed=facts["seed"])
    untrained = full_size_loss.create_loss(given, folder / "base", device=torch.device("cpu"))
    clips, before = Clips(folder / "videos", SMALL), []
    for step in range(STEPS - 3, STEPS):
        draw = {"batch": given.batch, "split": given.split_batch, "seed": given.seed}
        with torch.no_grad():
            before.append(untrained(clips.batch(clips.draw(step, rank=0, world=1, **draw))))
    for key in ("total", "L_ID", "L_TA"):
        assert mean(lines[-3:], key) < 0.9 * mean(before, key), key


def test_adapters_learn_to_denoise_one_clip(folder):
    model = create_loss(folder)
    clips = Clips(folder / "videos", SMALL)
    batch = clips.batch(clips.draw(0, rank=0, world=1, batch=2, split=2, seed=0))
    batch["keep_identity"][:] = batch["keep_action"][:] = 1
    trained = [p for name, p in model.transformer.named_parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-2)
    found = []
    for _ in range(25):
        loss = model(batch)["diffusion"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    assert found[-1] < 0.9 * found[0]


def test_adapters_change_and_the_base_does_not(whole, folder):
    from diffusers import CogVideoXTransformer3DModel

    stock = CogVideoXTransformer3DModel.from_pretrained(folder / "base" / "transformer").state_dict()
    after = whole[1].transformer.state_dict()
    assert {key for key in after if not is_adapter_key(key)} == stock.keys()
    assert all(torch.equal(after[key], value) for key, value in stock.items())
    before = create_loss(folder)
    learned = dict(whole[1].named_parameters())
    trained = [name for name, p in before.named_parameters() if p.requires_grad]
    same = [name for name in trained if torch.equal(learned[name], before.get_parameter(name))]
    assert same == []
    assert {name.split(".")[0] for name in trained} == {"transformer", "split"}


def test_velocity_errors_are_the_clean_videos_errors_weighted_as_cogvideox_does(folder):
    model = create_loss(folder)
    clips = Clips(folder / "videos", SMALL)
    batch = clips.batch(clips.draw(1, rank=0, world=1, batch=2, split=2, seed=0))
    told = []
    model.transformer.register_forward_hook(
        lambda _, args, kwargs, out: told.append((args, out)), with_kwargs=True
    )
    loss = model(batch)["diffusion"]
    ((noisy, _, t), out) = told[0]
    scheduler = model.scheduler
    clean = scheduler.get_velocity(out.sample, noisy, t)
    weight = (1 / (1 - scheduler.alphas_cumprod[t])).float()
    expected = (weight[:, None, None, None, None] * (clean - batch["latents"]).pow(2)).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


def test_targets_never_see_their_own_action(folder):
    model = create_loss(folder)
    clips = Clips(folder / "videos", SMALL)
    draw = next(d for d in (clips.draw(k, rank=0, world=1, batch=2, split=2, seed=0) for k in range(40))
                if clips.batch(d)["driver"] is not None)  # fmt: skip
    batch = clips.batch(draw)
    row = draw.targets[batch["driven"].tolist().index(True)]
    shown = batch["driver"][0][0]
    assert not torch.equal(shown, clips.faces([row])[0][0])
    assert any(torch.equal(shown, clips.faces([other])[0][0]) for other in clips.drivers[row])
    assert model(batch)["total"].isfinite()


def test_training_leaves_out_what_guidance_compares_with(folder):
    """The row without the prompt: no words, their action neither, the person as ever."""
    pipeline, rows = IaDPipeline.from_pretrained(folder / "base"), []
    pipeline.base.transformer.register_forward_pre_hook(
        lambda _, args, given: rows.append(given), with_kwargs=True
    )
    request = {"num_frames": 9, "height": 32, "width": 48, "num_inference_steps": 1, "guidance_scale": 6.0}
    pipeline(str(ROOT / "examples" / "person-003.png"), "a man laughs", **request)
    states, told = rows[0]["encoder_hidden_states"], rows[0]["attention_kwargs"]["adapter"]
    clips = Clips(folder / "videos", SMALL)
    torch.testing.assert_close(states[0], clips.silence, rtol=0.01, atol=0.01)  # stored in bfloat16
    assert (states[1] - clips.silence).abs().max() > 0.2
    assert told.action_scale.flatten().tolist() == [0, 1] and told.identity_scale.flatten().tolist() == [1, 1]
    seen = set()
    for step in range(60):
        batch = clips.batch(clips.draw(step, rank=0, world=1, batch=4, split=2, seed=0))
        wordless = [torch.equal(words, clips.silence) for words in batch["states"]]
        assert wordless == [not keep for keep in batch["keep_action"]]
        seen |= set(zip(wordless, batch["keep_identity"].tolist(), strict=True))
    assert {(False, 0.0), (False, 1.0), (True, 1.0)} <= seen


def test_the_adapter_folder_drives_the_pipeline(whole, folder):
    request = {"num_frames": 9, "height": 32, "width": 48, "num_inference_steps": 1, "guidance_scale": 1.0}
    made = []
    for adapter in (whole[0] / "adapter", None):
        pipeline = IaDPipeline.from_pretrained(folder / "base", adapter=adapter)
        made.append(pipeline(str(ROOT / "examples" / "person-003.png"), "a man laughs", **request).frames)
    assert made[0].shape == (9, 32, 48, 3)
    assert (made[0] != made[1]).any()


def test_a_killed_run_goes_on_to_the_bit(whole, folder):
    output = folder / "killed"
    command = [sys.executable, str(RUNNER), str(folder), str(output), json.dumps({"steps": STEPS})]
    _kill_after(command, output, steps=5)
    assert len(losses(output)) < STEPS
    run_training(folder, output, steps=STEPS, resume=True)
    assert losses(output) == losses(whole[0])
    for name in ("checkpoint/state.safetensors", "adapter/adapters-iad.safetensors"):
        ours, theirs = load_file(output / name), load_file(whole[0] / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.slow
def test_two_processes_share_the_work_and_go_on_after_a_kill(folder):
    config = ROOT / "examples" / "accelerate" / "ddp.yaml"
    launch = [
        sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", str(config),
        "--num_processes", "2", "--main_process_port", str(_free_port()), str(RUNNER), str(folder),
    ]  # fmt: skip
    output = folder / "two"
    given = {"steps": 8, "checkpoint_every": 3}
    _kill_after([*launch, str(output), json.dumps(given)], output, steps=5)
    before = losses(output)
    _run([*launch, str(output), json.dumps(given | {"resume": True})])
    after = losses(output)
    assert [line["step"] for line in after] == list(range(1, 9))
    assert after[: len(before)] == before  # the steps after the checkpoint came out alike
    assert mean(after[-2:], "total") < mean(after[:2], "total")
    ranks = [load_file(output / f"rank-{rank}.safetensors") for rank in (0, 1)]
    assert all(torch.equal(ranks[0][key], ranks[1][key]) for key in ranks[0])
    alone = folder / "alone"
    run_training(folder, alone, steps=1)
    assert losses(alone)[0] != after[0]  # the second process brought clips of its own


def _environment():
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def _run(command):
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]


def _kill_after(command, output, *, steps):
    """Start a training and kill it, with all its processes, once so many steps are logged."""
    log = output / "log.jsonl"
    process = subprocess.Popen(
        command, env=_environment(), cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
        while not (log.exists() and len(log.read_text().splitlines()) >= steps):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_a_checkpoint_of_other_parts_is_refused(whole, folder):
    model = create_loss(folder, preset=smaller(decoupler=SMALL.decoupler.__class__(4, 16, 2, 2, 8, 4)))
    with pytest.raises(ValueError, match=r"do not fit this model: \d+ keys are missing"):
        full_size_run.load_trained(whole[0], model)


def test_clips_of_another_base_are_refused(folder, tmp_path):
    write_cogvideox(tmp_path / "base")
    config = tmp_path / "base" / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"text_embed_dim": 32', '"text_embed_dim": 48'))
    with pytest.raises(ValueError, match="text of width 32 and this base reads 48"):
        full_size_run.train_full_size(options(folder, base=tmp_path / "base"))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"lora_rank": 4}, "peft is not installed; install it"),
        ({"track": "wandb"}, "wandb is not installed; install it"),
        ({"track": "abacus"}, "wandb, tensorboard"),
    ],
)
def test_missing_packages_are_named(folder, monkeypatch, wanted, words):
    def find(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", find)
    with pytest.raises(ValueError, match=words):
        full_size_run.train_full_size(options(folder, **wanted))


def test_terms_can_be_left_out(folder):
    model = create_loss(folder, without=("L_TA", "retention"))
    clips = Clips(folder / "videos", SMALL)
    terms = model(clips.batch(clips.draw(0, rank=0, world=1, batch=1, split=4, seed=0)))
    assert terms["L_TA"].item() == 0
    kept = terms["orthogonality"] + terms["invariance"] + 0.3 * terms["independence"]
    torch.testing.assert_close(terms["L_ID"], kept)


def test_steps_joined_to_one_bring_clips_of_their_own(folder, monkeypatch):
    draws, draw = [], Clips.draw
    monkeypatch.setattr(
        Clips, "draw", lambda *args, **kwargs: draws.append(draw(*args, **kwargs)) or draws[-1]
    )
    run_training(folder, folder / "joined", steps=2, accumulate=2)
    assert [made.seed[1] for made in draws] == [0, 1, 2, 3]
    assert len({made.targets[0] for made in draws}) == 4
    assert [line["step"] for line in losses(folder / "joined")] == [1, 2]


def test_a_base_in_bfloat16_learns_too(whole, folder, monkeypatch):
    monkeypatch.setattr(full_size_loss, "choose_dtype", lambda device: torch.bfloat16)
    run_training(folder, folder / "half", steps=3)
    exact, half = losses(whole[0])[:3], losses(folder / "half")
    for one, other in zip(exact, half, strict=True):
        assert abs(one["total"] - other["total"]) < 0.05 * one["total"]
