"""The whole training path on the tiny preset: every stage runs, resumes, and touches only what it should."""

import json

import pytest
import torch
from made_up import make_pool
from made_up_weights import add_reader_and_performer
from safetensors.torch import load, load_file

from iad import IaDPipeline
from iad.checkpoint import load_part
from iad.config import PRESETS
from iad.training import STAGES, stages
from iad.training.encoder import EncoderStage
from iad.training.loop import LoopConfig, fit, load_average
from iad.training.pool import load_pool
from iad.training.stages import Options, train

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


def test_the_trained_folder_is_a_pipeline(trained):
    folder, _ = trained
    pipeline = IaDPipeline.from_pretrained(folder / "weights")
    assert pipeline.preset.name == "tiny"


def test_the_trained_split_has_three_parts(trained):
    """Training ends by finding a residual; the three parts are f, and their shares are a whole."""
    folder, seen = trained
    pipeline = IaDPipeline.from_pretrained(folder / "weights")
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


def test_every_stage_is_named_where_stages_are_told_apart():
    named = {"geometry", "scorers", "performing"}  # need no weights of another stage
    assert set(stages.NEEDS) == set(STAGES) - named
    writes = {stage: set(parts) for stage, parts in stages.WRITES.items()} | {"recogniser": {"recogniser"}}
    for k, stage in enumerate(STAGES):  # what a stage needs, an earlier one writes
        before = set().union(*(writes.get(name, set()) for name in STAGES[:k]))
        assert set(stages.NEEDS.get(stage, ())) <= before


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


def test_a_killed_run_resumes_as_if_it_had_not_been(tmp_path):
    pool = load_pool(make_pool(tmp_path / "clips"))
    for name, stops in {"whole": [8], "killed": [4, 8]}.items():
        for k, stop in enumerate(stops):
            torch.manual_seed(k)
            stage = EncoderStage(PRESETS["tiny"], pool, batch_size=4)
            fit(stage, LoopConfig(output=tmp_path / name, resume=k > 0, warmup=1, max_steps=stop))
    whole, killed = (load_average(tmp_path / name) for name in ("whole", "killed"))
    assert all(torch.allclose(whole[k], killed[k], atol=1e-6) for k in whole)


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
