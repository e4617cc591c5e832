"""The whole training path on the tiny preset: every stage runs, resumes, and touches only what it should."""

import json
import resource
import shutil

import numpy as np
import pytest
import torch
from made_up import make_pool
from made_up_weights import add_reader_and_performer, load_average
from safetensors.torch import load, load_file
from test_refining import made_up_pairs

from iad import IaDPipeline
from iad.checkpoint import load_part
from iad.config import PRESETS
from iad.models.parts import create_parts, split_parts
from iad.models.reading import create_reader
from iad.portraits.stills import Stills
from iad.text import create_text_encoder
from iad.training import performer_stage, refiner_stage, stages
from iad.training.decoupler_stage import DecouplerStage
from iad.training.denoiser_stage import DenoiserStage
from iad.training.encoder_stages import AutoencoderStage, EncoderStage, ReaderStage
from iad.training.judges import ActionStage, RecogniserStage
from iad.training.loop import Paused, fit, read_progress
from iad.training.packs import MOST_SHARDS, SHARD_BYTES
from iad.training.performer_stage import PerformingStage
from iad.training.pool import PARTS, load_pool, open_prepared
from iad.training.refiner_stage import RefinerStage
from iad.training.stages import Options, train
from iad.training.timetable import PLAN, LoopConfig, choose_stages, share_minutes

ORDER = ("autoencoder", "encoder", "decoupler", "base", "adapters")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Every stage for a few steps; after each, the weights there were."""
    folder = tmp_path_factory.mktemp("training")
    options = Options(data=make_pool(folder / "clips"), output=folder, minutes=1, max_steps=3)
    seen = {}
    for stage in ORDER:
        weights = train(stage, preset="tiny", options=options)
        seen[stage] = {p.name: p.read_bytes() for p in weights.glob("*.safetensors")}
    add_reader_and_performer(weights)
    return folder, seen


def test_every_stage_writes_its_own_weights_only(trained):
    _, seen = trained
    written = {
        "autoencoder": {"autoencoder"},
        "encoder": {"encoder"},
        "decoupler": {"decoupling", "decoupling-heads"},
        "base": {"base"},
    }
    written["adapters"] = {"adapters-iad", "decoupling", "decoupling-heads"}
    before = {}
    for stage in ORDER:
        changed = {
            name.removesuffix(".safetensors")
            for name, data in seen[stage].items()
            if before.get(name) != data
        }
        assert changed == written[stage]
        before = seen[stage]


def test_a_new_code_is_of_the_clips_and_an_old_one_stays(trained):
    """Principal components, whose decoder is their transpose; what is trained on latents needs the same."""
    folder, seen = trained
    state = load(seen["autoencoder"]["autoencoder.safetensors"])
    code, back = (state[f"{name}.weight"].flatten(1) for name in ("project", "expand"))
    assert torch.cosine_similarity(code, back).min() > 0.999
    again = folder / "again"
    shutil.copytree(folder / "weights", again / "weights")
    other = make_pool(again / "clips", groups=2)
    train("autoencoder", preset="tiny", options=Options(data=other, output=again, max_steps=1))
    assert torch.equal(load_part(again / "weights", "autoencoder")["project.weight"], state["project.weight"])


def test_the_trained_split_has_three_parts(trained):
    """Training ends by finding a residual; the three parts are f, and their shares are a whole."""
    folder, seen = trained
    pipeline = IaDPipeline.from_pretrained(folder / "weights")
    assert pipeline.preset.name == "tiny"
    for stage in ("decoupler", "adapters"):
        decoupler = pipeline.parts["decoupler"]
        state = load(seen[stage]["decoupling.safetensors"])
        decoupler.load_state_dict(state)
        features = pipeline.parts["encoder"](torch.rand(2, 3, pipeline.preset.size, pipeline.preset.size))
        split = decoupler.centre(decoupler(features.vector, features.tokens))
        whole = split.identity + split.action + split.residual
        torch.testing.assert_close(split.facial, whole, atol=1e-4, rtol=0)
        assert split.residual.abs().max() > 1e-4  # `centre` was called
        torch.testing.assert_close(sum(split.shares()), torch.ones(2))


def test_what_a_stage_needs_an_earlier_one_writes():
    for k, (stage, row) in enumerate(PLAN.items()):
        before = {part for other in list(PLAN.values())[:k] for part in other.writes}
        assert set(row.needs) <= before, stage


def test_all_stages_together_write_what_a_pipeline_needs():
    written = {part for stage in choose_stages() for part in PLAN[stage].writes}
    assert set(split_parts(create_parts(PRESETS["tiny"]))) <= written


def test_minutes_are_shared_out_and_optional_stages_get_none():
    shares = share_minutes(60, choose_stages())
    assert sum(shares.values()) == pytest.approx(60) and all(value > 0 for value in shares.values())
    assert "ablations" not in shares and "ablations" in choose_stages(ablations=True)


def test_log_names_every_term_and_snapshots_show_the_split(trained):
    folder, _ = trained
    # three steps are fewer than a log line takes, so train on
    options = Options(data=folder / "clips", output=folder, minutes=1, resume=True, max_steps=20)
    train("decoupler", preset="tiny", options=options)
    line = json.loads((folder / "decoupler" / "log.jsonl").read_text().splitlines()[-1])
    terms = "orthogonality invariance retention portrait agreement independence swap contrast match grounding"
    assert set(terms.split()) | {"step", "total", "L_ID", "L_TA"} <= set(line)
    assert all(torch.isfinite(torch.tensor(float(v))) for v in line.values())
    snapshot = load_file(sorted((folder / "decoupler" / "snapshots").glob("*.safetensors"))[-1])
    assert len(snapshot["identity"]) == len(snapshot["action"]) == 64


class Killed(BaseException):
    """What no code catches."""


def make_reader_stage(_, tiny):
    rng = np.random.default_rng(0)
    pictures, marks = rng.integers(0, 255, (4, 64, 64, 3), np.uint8), 64 * rng.random((4, 68, 2))
    stills = Stills(pictures, marks, rng.random((4, 60)), np.arange(4) < 2, np.arange(4))
    return ReaderStage(tiny, stills, batch_size=2)


def make_decoupler_stage(data, tiny):
    pool, parts = load_pool(data), create_parts(tiny)
    stages.prepare(data, tiny, parts)
    return DecouplerStage(tiny, pool, open_prepared(data, pool), parts["autoencoder"], groups=2)


def make_joint_stage(data, tiny):
    networks = {"part": "joint", "autoencoder": create_parts(tiny)["autoencoder"]}
    return DenoiserStage(tiny, make_decoupler_stage(data, tiny), **networks, arms=("iad", "consisid"))


MAKE = {
    "autoencoder": lambda data, tiny: AutoencoderStage(tiny, load_pool(data), batch_size=4),
    "encoder": lambda data, tiny: EncoderStage(tiny, load_pool(data), batch_size=4),
    "reader": make_reader_stage,
    "refiner": lambda _, tiny: RefinerStage(tiny, made_up_pairs(4), create_reader(tiny), batch_size=2),
    "performing": lambda _, tiny: PerformingStage(tiny, create_text_encoder(tiny.text), blocks=1),
    "decoupler": make_decoupler_stage,
    "joint": make_joint_stage,
    "scorers-cur": lambda data, tiny: RecogniserStage(tiny, load_pool(data), judge="cur", batch_size=4),
    "scorers-action": lambda data, tiny: ActionStage(tiny, load_pool(data), batch_size=4),
}


@pytest.mark.parametrize("stage", MAKE)
def test_a_run_killed_at_any_step_ends_in_the_same_bits(tmp_path, monkeypatch, stage):
    data = make_pool(tmp_path / "clips")
    monkeypatch.setattr(refiner_stage, "CRITIC_FROM", 1)
    monkeypatch.setattr(performer_stage, "BLOCK", 64)

    def train_until(kill: int | None, *, resume: bool) -> None:
        torch.manual_seed(0)
        learner = MAKE[stage](data, PRESETS["tiny"])
        learner.picture, learner.snapshot = lambda _: (), lambda _: {}
        make_batch = learner.batch

        def batch(step: int):
            if step == kill:
                raise Killed
            torch.rand(kill or 1)  # others may draw numbers, too
            return make_batch(step)

        learner.batch = batch
        fit(learner, LoopConfig(output=tmp_path / "run", resume=resume, warmup=3, max_steps=5, log_every=1))

    train_until(None, resume=False)
    whole, log = load_average(tmp_path / "run"), (tmp_path / "run" / "log.jsonl").read_text()
    for kill in (0, 3) if stage == "encoder" else (3,):
        with pytest.raises(Killed):
            train_until(kill, resume=False)
        train_until(None, resume=True)
        again = load_average(tmp_path / "run")
        assert all(torch.equal(whole[key], again[key]) for key in whole), kill
        steps = [json.loads(line)["step"] for line in log.splitlines()]
        lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == steps == list(range(1, 6))


def test_batches_made_by_other_processes_are_the_same(tmp_path):
    pool, found = load_pool(make_pool(tmp_path / "clips")), []
    for workers in (0, 2):
        torch.manual_seed(0)
        learner = EncoderStage(PRESETS["tiny"], pool, batch_size=4)
        fit(learner, LoopConfig(output=tmp_path / str(workers), max_steps=5, workers=workers))
        found.append(load_average(tmp_path / str(workers)))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0])


def test_minutes_count_over_all_runs_where_they_are_total(tmp_path):
    pool = load_pool(make_pool(tmp_path / "clips"))
    for total, goes_on in ((True, False), (False, True)):
        output = tmp_path / str(total)
        for resume in (False, True):
            learner = EncoderStage(PRESETS["tiny"], pool, batch_size=2)
            fit(learner, LoopConfig(output=output, minutes=0.01, total=total, resume=resume))
            steps = [read_progress(output)[0], *([] if not resume else [steps[0]])]
        assert (steps[0] > steps[1] + 1) == goes_on


def test_a_run_that_is_asked_to_stop_leaves_a_checkpoint(tmp_path):
    pool, asked = load_pool(make_pool(tmp_path / "clips")), []

    def stop() -> bool:
        asked.append(1)
        return len(asked) == 2

    with pytest.raises(Paused, match="encoder paused after step 2"):
        fit(
            EncoderStage(PRESETS["tiny"], pool, batch_size=2), LoopConfig(output=tmp_path, should_stop=stop)
        )
    assert read_progress(tmp_path)[0] == 2


def test_a_full_disk_ends_in_an_error_and_leaves_the_last_checkpoint(tmp_path):
    pool = load_pool(make_pool(tmp_path / "clips"))

    def train(steps: int, *, resume: bool) -> None:
        fit(
            EncoderStage(PRESETS["tiny"], pool, batch_size=2),
            LoopConfig(output=tmp_path / "run", max_steps=steps, resume=resume),
        )

    train(2, resume=False)
    state = tmp_path / "run" / "checkpoint" / "state.safetensors"
    kept = state.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            train(4, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert state.read_bytes() == kept and [p.name for p in state.parent.iterdir()] == [state.name]
    train(4, resume=True)
    assert read_progress(tmp_path / "run")[0] == 4


def test_broken_shards_and_clips_are_left_out_counted_and_named(tmp_path, capsys):
    folder = make_pool(tmp_path / "clips")
    records = (folder / "00000.jsonl").read_text().splitlines()
    for name in ("00001", "00002", "00003"):
        for kind in ("frames", "tracks", "landmarks", "portraits"):
            shutil.copyfile(folder / f"00000.{kind}.npy", folder / f"{name}.{kind}.npy")
        lines = [json.dumps(json.loads(line) | {"shard": name}) for line in records]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "00001.frames.npy").write_bytes((folder / "00001.frames.npy").read_bytes()[:5000])
    (folder / "00002.portraits.npy").unlink()
    tracks = np.load(folder / "00003.tracks.npy")
    tracks[4, 2, 7] = np.nan
    np.save(folder / "00003.tracks.npy", tracks)
    pool = load_pool(folder)
    assert len(pool) == 2 * len(records) - 1
    told = capsys.readouterr().err
    assert told.startswith("3 broken in") and "shard 00001" in told
    assert "00002.portraits.npy is missing" in told
    assert "clip 4 of shard 00003" in told and "not finite" in told
    parts = create_parts(PRESETS["tiny"])
    stages.prepare(folder, PRESETS["tiny"], parts)
    for path in folder.glob("00000.*"):  # a shard that came after that
        if path.name.split(".")[1] not in PARTS:
            shutil.copyfile(path, folder / path.name.replace("00000", "00000b"))
    prepared = open_prepared(folder, pool)
    for index in (0, len(records), len(pool) - 1):  # of the first shard, and of the last sound one
        there = (folder / f"{pool.records[index]['shard']}.latents.npy", pool.records[index]["row"])
        np.testing.assert_array_equal(prepared.get("latents", index), np.load(there[0])[there[1]])


@pytest.mark.slow
def test_a_large_mini_builds_and_steps(tmp_path):
    preset = PRESETS["mini-large"]
    parts = create_parts(preset)
    count = sum(p.numel() for p in parts.parameters())
    assert 30e6 < count < 60e6 and count * 2 < 0.9 * MOST_SHARDS * SHARD_BYTES
    data = make_pool(tmp_path / "clips", groups=1, size=preset.size)
    for stage in ("autoencoder", "encoder", "decoupler", "joint"):
        train(stage, preset=preset, options=Options(data=data, output=tmp_path, max_steps=1))


def test_stages_say_what_they_lack(tmp_path):
    options = Options(data=tmp_path / "clips", output=tmp_path, minutes=1)
    with pytest.raises(ValueError, match=r"needs weights of autoencoder, encoder"):
        train("decoupler", preset="tiny", options=options)
    with pytest.raises(FileNotFoundError, match="No clips"):
        train("autoencoder", preset="tiny", options=options)
    with pytest.raises(ValueError, match="Unknown stage"):
        train("everything", preset="tiny", options=options)


def test_halved_weights_lose_only_precision(trained, tmp_path):
    folder, _ = trained
    pipeline = IaDPipeline.from_pretrained(folder / "weights")
    pipeline.save_pretrained(tmp_path, half=True)
    for part in ("base", "encoder"):
        full, half = load_part(folder / "weights", part), load_part(tmp_path, part)
        assert all(torch.allclose(full[k], half[k], rtol=1e-3, atol=1e-4) for k in full)
