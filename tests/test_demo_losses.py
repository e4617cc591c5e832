"""The tab "Losses" without a browser: what it draws of the recordings, and what it says of every term."""

import html
import shutil
import time
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from iad.decoupling import IdentityWeights, TextWeights
from iad.demo.losses import PROBES, Recordings, build_losses
from iad.demo.losses_words import (
    ARMS,
    TERMS,
    caption_term,
    describe_limits,
    describe_run,
    name_run,
    order_runs,
)
from iad.plots.history import SHIPPED, load_curves
from iad.training.ablations import ABLATIONS


@pytest.fixture(scope="module")
def recordings():
    return Recordings()


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Copy two ablations with other steps and fewer faces: nothing may count on those that ship today."""
    folder = tmp_path_factory.mktemp("weights")
    shutil.copytree(SHIPPED / "logs", folder / "logs")
    for name in ("full", "without-swap"):
        made = folder / "ablations" / name
        (made / "snapshots").mkdir(parents=True)
        for file in ("ablation.json", "log.jsonl"):
            shutil.copy(SHIPPED / "ablations" / name / file, made / file)
        sources = sorted((SHIPPED / "ablations" / name / "snapshots").glob("*.safetensors"))
        for step, source in zip((0, 11, 500, 1000, 99999), [*sources, *sources], strict=False):
            rows = {key: value[:40] * (1 if key in ("person", "clip") else 1 + step / 1e5)
                    for key, value in load_file(source).items()}  # fmt: skip
            save_file(
                {key: np.ascontiguousarray(value.astype(load_file(source)[key].dtype))
                 for key, value in rows.items()},
                made / "snapshots" / f"{step:07d}.safetensors",
            )  # fmt: skip
    return Recordings(folder)


def test_every_term_that_is_learned_or_logged_has_its_sentence():
    learned = {*vars(IdentityWeights()), *vars(TextWeights())}
    assert set(TERMS) == learned | {"diffusion"}
    for name in ("decoupler", "joint"):
        logged = set(load_curves(SHIPPED / "logs" / f"{name}.jsonl")) - {"total", "L_ID", "L_TA", "gradient"}
        assert logged <= learned | set(ARMS)
    for name in TERMS:
        assert caption_term(name).endswith((", the paper's.", ", our reading."))
    assert {name for name, term in TERMS.items() if term.owner == "the paper's"} == {
        "orthogonality", "contrast", "diffusion",
    }  # fmt: skip


def test_terms_belong_to_the_loss_that_learns_them():
    for loss, weights in (("L_ID", IdentityWeights()), ("L_TA", TextWeights())):
        assert {name for name, term in TERMS.items() if term.loss == loss} == set(vars(weights))


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_says_in_a_sentence_what_is_missing_and_whose_it_is(name):
    sentence = html.unescape(describe_run(ABLATIONS[name]))
    assert sentence.count(".</p>") == 1
    assert name == "full" or "our" in sentence or "the paper's" in sentence
    assert name_run(name) and "-" not in name_run(name)


def test_runs_without_a_whole_loss_come_first():
    ordered = order_runs(list(reversed(list(ABLATIONS))))
    assert ordered[:3] == ["full", "without-L_ID", "without-L_TA"] and set(ordered) == set(ABLATIONS)


def test_the_shipped_training_is_drawn_in_both_stages(recordings):
    shown = recordings.show_shipped(["swap", "diffusion"], "linear", 0.1)
    assert shown.count("<img") == 2
    assert "the split alone from" in shown and "with the video model from" in shown
    assert all(f"{arm} from" in shown.replace("&#x27;", "'") for arm in ARMS.values())
    last = load_curves(SHIPPED / "logs" / "decoupler.jsonl")["swap"].values[-1]
    assert f"to {last:.3g}" in recordings.show_shipped(["swap"], "linear", 0.0)


def test_the_controls_change_what_is_drawn(recordings):
    looks = [("linear", 0.0), ("log", 0.0), ("linear", 0.3)]
    assert len({recordings.show_shipped(["swap"], *look) for look in looks}) == 3
    assert "Choose at least one term" in recordings.show_shipped([], "linear", 0.0)


def test_an_ablation_is_drawn_beside_the_full_run(recordings):
    sentence, shown = recordings.show_ablated("without-swap", ["swap", "match", "diffusion"], "linear", 0.0)
    assert "Without swap of L_ID (our reading)" in sentence
    assert shown.count("<img") == 2  # ablations draw no clips
    text = shown.replace("&#x27;", "'")
    for name in ("full", "without-swap"):
        curve = recordings.load(name).curves["swap"].values
        assert f"{name_run(name)} from {curve[0]:.3g} to {curve[-1]:.3g}" in text
    assert text.count("Not learned in the run 'without swap'") == 1


def test_the_slider_moves_maps_and_probes(recordings):
    count = len(recordings.load("full").snapshots)
    steps = [recordings.show_step("without-L_ID", k + 1, "facial action") for k in range(count)]
    assert len({maps for maps, _ in steps}) == count == len({probes for _, probes in steps})
    for (maps, probes), snapshot in zip(steps, recordings.load("full").snapshots, strict=True):
        assert maps.count("<img") == 4 and probes.count("<img") == len(PROBES)
        assert maps.count(f"Step {snapshot.step:,}.") == 4
    assert recordings.show_step("full", count, "person")[0].count("<img") == 2
    maps = {recordings.show_step("full", count, colours)[0] for colours in ("facial action", "person")}
    assert len(maps) == 2


def test_points_move_no_further_than_the_embedding_does(recordings):
    """The maps of two snapshots that are the same but for a turn of all axes are the same."""
    snapshot = recordings.load("full").snapshots[-1]
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(snapshot.identity.shape[1],) * 2))[0]
    turned = replace(snapshot, identity=snapshot.identity @ axes)
    assert np.allclose(
        recordings._place(turned, "identity"), recordings._place(snapshot, "identity"), atol=1e-6
    )


def test_all_points_fit_on_the_maps(recordings):
    for part in ("identity", "action"):
        for name in recordings.names:
            for snapshot in recordings.load(name).snapshots:
                assert np.abs(recordings._place(snapshot, part)).max() < recordings.reach(part)


def test_other_recordings_are_read_as_they_are(other):
    assert other.names == ["full", "without-swap"]
    maps, probes = other.show_step("without-swap", 5, "facial action")
    assert "Step 99,999." in maps and probes.count("<img") == len(PROBES)
    with gr.Blocks() as demo, gr.Tab("Losses"):
        build_losses(None, None, folder=other.folder)
    sliders = [block for block in demo.blocks.values() if getattr(block, "elem_id", "") == "losses-step"]
    assert (sliders[0].maximum, sliders[0].value) == (5, 5)
    assert "0, 11, 500, 1,000, 99,999" in sliders[0].info


def test_a_run_that_is_not_there_is_told(recordings):
    with pytest.raises(gr.Error, match="no ablation 'without-sense'"):
        recordings.show_step("without-sense", 1, "person")


def test_what_was_drawn_once_comes_at_once(recordings):
    arguments = ("without-L_TA", 1, "facial action")
    first = recordings.show_step(*arguments)
    begun = time.thread_time()
    assert recordings.show_step(*arguments) == first
    assert time.thread_time() - begun < 0.2


def test_playing_walks_through_all_snapshots(recordings, monkeypatch):
    monkeypatch.setattr("iad.demo.losses.PAUSE", 0.0)
    played = list(recordings.play("without-L_ID", "person"))
    count = len(recordings.load("full").snapshots)
    assert played == [(k, *recordings.show_step("without-L_ID", k, "person")) for k in range(1, count + 1)]


def test_what_the_curves_do_not_show_is_said_with_the_numbers_at_hand():
    limits = describe_limits(steps=1234, shipped=5678, faces=40, people=5)
    assert all(
        words in limits for words in ("1,234 steps", "5,678", "40 faces of 5 people", "docs/results.md")
    )


def test_nothing_is_public():
    with gr.Blocks() as demo, gr.Tab("Losses"):
        build_losses(None, None)
    assert demo.get_api_info()["named_endpoints"] == {}
