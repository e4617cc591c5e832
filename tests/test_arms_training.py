"""Several arms learn on one base: in turns, on the same targets, by their own recipes."""

import json

import numpy as np
import pytest
import torch
from made_up import make_pool
from made_up_weights import add_reader_and_performer, load_average

from iad import IaDPipeline
from iad.cli import main
from iad.config import ARMS, CONTROLS, PRESETS
from iad.models.baselines import RECIPES
from iad.models.parts import create_parts
from iad.training.decoupler_stage import DecouplerStage
from iad.training.denoiser_stage import DenoiserStage
from iad.training.pool import load_pool, open_prepared
from iad.training.stages import Options, prepare, train

TINY, ALL = PRESETS["tiny"], ARMS + CONTROLS


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    data = make_pool(tmp_path_factory.mktemp("arms") / "clips")
    parts, pool = create_parts(TINY), load_pool(data)
    prepare(data, TINY, parts)
    split = DecouplerStage(TINY, pool, open_prepared(data, pool), parts["autoencoder"], groups=2)
    return DenoiserStage(TINY, split, part="joint", autoencoder=parts["autoencoder"], arms=ALL)


def test_arms_take_turns_on_the_same_targets(stage):
    turn = [stage.batch(step) for step in range(len(ALL), 2 * len(ALL))]
    assert [batch["arm"] for batch in turn] == list(ALL)
    for batch in turn[1:]:
        assert torch.equal(batch["latents"], turn[0]["latents"])
        assert torch.equal(batch["states"], turn[0]["states"])


def test_only_iads_turns_teach_the_split(stage):
    due = [stage.batch(step)["split"] is not None for step in range(4 * len(ALL))]
    assert any(due) and not any(d for step, d in enumerate(due) if step % len(ALL))
    stage.model.zero_grad()
    step = next(s for s in range(30) if stage.batch(s)["arm"] == "entangled")
    stage.losses(stage.batch(step), step)["total"].backward()
    learning = {name.split(".")[0] for name, p in stage.model.named_parameters() if p.grad is not None}
    assert learning == {"transformer", "entangled"}


def test_half_precision_changes_losses_little(stage):
    for step in range(2 * len(ALL)):
        batch = stage.batch(step)
        whole = stage.losses(batch, step)["total"]
        with torch.autocast("cpu", torch.bfloat16):  # as on a GPU
            half = stage.losses(batch, step)["total"]
        half.backward()
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, whole, rtol=0.02, atol=0.005)
    stage.model.zero_grad()


@pytest.mark.parametrize("arm", [a for a in ALL if a != "iad"])
def test_references_come_from_where_the_recipe_says(stage, arm):
    rows = stage.rows[:6]
    found = stage.draw(rows, 2, np.random.default_rng(0), arm=arm)
    shown = rows if RECIPES[arm].same_clip else np.array([stage.partner[i][0] for i in rows])
    if RECIPES[arm].crop:
        possible = [stage.split.read("latents", [i])[0] for i in shown]
        for crop, frames in zip(found["crop"], possible, strict=True):
            assert any(torch.equal(crop, frame) for frame in frames)
    possible = [stage.split.read("tokens", [i])[0] for i in shown]
    for tokens, frames in zip(found["reference"][1], possible, strict=True):
        assert any(torch.equal(tokens, frame) for frame in frames)


def test_arms_are_trained_together_saved_apart_and_generate(tmp_path):
    data = make_pool(tmp_path / "clips")
    for name in ("autoencoder", "encoder", "decoupler"):
        train(name, preset="tiny", options=Options(data=data, output=tmp_path, minutes=1, max_steps=1))
    options = Options(data=data, output=tmp_path, minutes=1, max_steps=11, arms=ALL)
    weights = train("joint", preset="tiny", options=options)
    assert set(IaDPipeline.from_pretrained(add_reader_and_performer(weights)).arms) == set(ALL)
    logged = [json.loads(line) for line in (tmp_path / "joint" / "log.jsonl").open()]
    assert logged and "gradient" in logged[0]
    kept = load_average(tmp_path / "joint")
    assert "transformer.proj_out.weight" in kept
    assert not any(k.endswith("proj_out.weight") and k != "transformer.proj_out.weight" for k in kept)


@pytest.mark.parametrize("words", [["joint", "--arm", "consisid"], ["decoupler", "--arm", "iad", "consisid"]])
def test_other_arms_learn_beside_iad_only(tmp_path, capsys, words):
    assert main(["train", *words, "--preset", "tiny", "--output", str(tmp_path)]) == 2
    assert "beside 'iad'" in capsys.readouterr().err
