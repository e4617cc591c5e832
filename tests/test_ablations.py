"""Ablations leave out what they name and nothing else, learn side by side, and leave little behind."""

import json

import pytest
import torch
from made_up import make_pool
from safetensors.torch import load_file

from iad import checkpoint
from iad.config import PRESETS
from iad.decoupling import IdentityWeights, TextWeights
from iad.models.parts import create_parts, split_parts
from iad.training import ablations
from iad.training.ablations import ABLATIONS, thin, weights_without
from iad.training.stages import Options, train

TERMS = [*vars(IdentityWeights()), *vars(TextWeights())]


def changed(names):
    """Name the weights that differ from the full ones."""
    now = {**vars(weights_without(names)[0]), **vars(weights_without(names)[1])}
    full = {**vars(IdentityWeights()), **vars(TextWeights())}
    assert all(now[key] == 0 for key in now if now[key] != full[key])
    return {key for key in now if now[key] != full[key]}


@pytest.mark.parametrize("term", TERMS)
def test_leaving_out_a_term_changes_that_term_alone(term):
    assert changed([term]) == {term}


def test_whole_losses_can_be_left_out():
    identity, text = set(vars(IdentityWeights())), set(vars(TextWeights()))
    assert changed([]) == set()
    assert changed(["L_TA"]) == text
    assert changed(["L_ID"]) == identity - {"picture"}
    assert changed(["orthogonality-only"]) == identity - {"picture", "orthogonality"}
    assert changed(["swap", "L_TA"]) == text | {"swap"}


def test_unknown_terms_are_refused_with_the_names_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"no loss term 'ortho'.*orthogonality.*contrast"):
        weights_without(["swap", "ortho"])
    for stage, term, words in (
        ("decoupler", "ortho", "no loss term 'ortho'"),
        ("encoder", "swap", "'encoder' has no loss terms"),
    ):
        with pytest.raises(ValueError, match=words):
            train(stage, preset="tiny", options=Options(output=tmp_path, without=(term,)))


@pytest.mark.parametrize(("count", "most"), [(3, 8), (8, 8), (9, 8), (1000, 200), (201, 200), (5, 2)])
def test_thinning_keeps_the_first_and_the_last(count, most):
    kept = thin(range(count), most)
    assert len(kept) == min(count, most)
    assert (kept[0], kept[-1]) == (0, count - 1)
    assert kept == sorted(set(kept))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two steps of all ablations on made-up clips."""
    folder = tmp_path_factory.mktemp("ablations")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = split_parts(create_parts(PRESETS["tiny"]))
    for name in ("autoencoder", "encoder"):
        checkpoint.save_part(folder / "weights", name, parts[name])
    checkpoint.save_preset(folder / "weights", PRESETS["tiny"])
    data = make_pool(folder / "clips")
    made = []

    def remember(make, **given):
        made.append(make)
        return ablations.train_ablations(make, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablations, "LOG_EVERY", 1)
        patch.setattr("iad.training.stages.train_ablations", remember)
        options = Options(data=data, output=folder, minutes=600, max_steps=2)
        return train("ablations", preset="tiny", options=options), made[0]


def test_the_weights_reach_the_stage(trained, monkeypatch):
    seen = []

    def watch(stage, config):
        seen.append(stage)
        raise InterruptedError

    monkeypatch.setattr("iad.training.stages.fit", watch)
    with pytest.raises(InterruptedError):
        options = Options(output=trained[0].parent, without=("swap", "match"))
        train("decoupler", preset="tiny", options=options)
    assert (seen[0].identity_weights, seen[0].text_weights) == weights_without(["swap", "match"])


def test_every_ablation_leaves_a_log_snapshots_and_weights(trained):
    folder, _ = trained
    assert {path.name for path in folder.iterdir()} == set(ABLATIONS)
    for name, without in ABLATIONS.items():
        facts = json.loads((folder / name / "ablation.json").read_text())
        assert (facts["steps"], facts["without"]) == (2, list(without))
        log = [json.loads(line) for line in (folder / name / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log] == [0, 1]
        snapshots = sorted((folder / name / "snapshots").glob("*.safetensors"))
        assert snapshots[0].stem == "0000000"
        assert snapshots[-1].stem == "0000002"
        assert checkpoint.has_part(folder / name, "decoupling")
    rows = load_file(snapshots[-1])
    assert len({len(value) for value in rows.values()}) == 1
    assert {"identity", "action", "code", "coefficients", "person", "clip"} == set(rows)
    assert not (folder.parent / "weights" / "decoupling.safetensors").exists()


def test_all_start_alike_and_see_the_same_but_learn_differently(trained):
    folder, _ = trained
    logs = {name: (folder / name / "log.jsonl").read_text().splitlines() for name in ABLATIONS}
    first = {name: json.loads(lines[0]) for name, lines in logs.items()}
    sums = {"total", "L_ID", "L_TA"}
    terms = {name: {k: v for k, v in line.items() if k not in sums} for name, line in first.items()}
    assert all(values == terms["full"] for values in terms.values())
    assert len({line["total"] for line in first.values()}) == len(ABLATIONS)
    learned = [checkpoint.load_part(folder / name, "decoupling")["decoupler.queries"] for name in ABLATIONS]
    assert len({tuple(weights.flatten().tolist()) for weights in learned}) == len(ABLATIONS)


def test_a_total_lacks_just_the_weighted_term(trained):
    folder, _ = trained
    read = {n: json.loads((folder / n / "log.jsonl").read_text().splitlines()[0]) for n in ABLATIONS}
    for name, (term,) in ((n, t) for n, t in ABLATIONS.items() if n.startswith("without-") and "L_" not in n):
        weight = vars(IdentityWeights())[term]
        gap = read["full"]["total"] - read[name]["total"]
        assert gap == pytest.approx(weight * read["full"][term], abs=1e-4)


def test_they_learn_where_everything_is_trained(trained, monkeypatch):
    folder, make = trained
    monkeypatch.setattr("iad.training.loop.get_device", lambda: torch.device("meta"))  # a GPU that needs none
    options = Options(data=folder, output=folder)
    (variant,) = ablations.create_variants(make, options, names=["full"])
    held = [p for group in variant.optimizer.param_groups for p in group["params"]]
    assert {p.device.type for p in held} == {variant.stage.device.type} == {"meta"}


def test_one_ablation_alone_learns_what_it_learns_beside_the_others(trained, tmp_path):
    folder, make = trained
    options = Options(data=tmp_path, output=tmp_path, minutes=600, max_steps=2)
    ablations.train_ablations(make, preset=PRESETS["tiny"], options=options, names=["without-swap"])
    alone, beside = (
        checkpoint.load_part(f / "without-swap", "decoupling") for f in (tmp_path / "ablations", folder)
    )
    full = checkpoint.load_part(folder / "full", "decoupling")
    assert [key for key in alone if not torch.equal(alone[key], beside[key])] == []
    assert any(not torch.equal(alone[key], full[key]) for key in alone)


def test_snapshots_of_the_mini_model_stay_small():
    preset = PRESETS["mini"]
    clips = 2 * 8  # as many as a batch has
    rows = ablations.SNAPSHOT_BATCHES * clips * 4
    numbers = 2 * ablations.SNAPSHOT_DIM + preset.decoupler.code_dim + 60
    assert rows * (2 * numbers + 2 * 4) < 150_000


def test_projection_keeps_distances_and_never_changes():
    rows = torch.randn(20, 3000, generator=torch.Generator().manual_seed(1))
    small = ablations.project(rows)
    assert small.shape == (20, ablations.SNAPSHOT_DIM)
    assert torch.equal(small, ablations.project(rows))
    ratio = torch.pdist(small) / torch.pdist(rows)
    assert float(ratio.min()) > 0.6
    assert float(ratio.max()) < 1.4
