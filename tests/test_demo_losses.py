"""The tab "Losses" without a browser: what it draws of the recordings, and what it says of every term."""

import html
import shutil
import time

import gradio as gr
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from iad.decoupling import IdentityWeights, TextWeights
from iad.demo.losses import PROBES, SMOOTHING, Recordings, build_losses
from iad.demo.losses_words import (
    TERMS,
    caption_term,
    describe_run,
    name_run,
    order_runs,
)
from iad.plots.history import SHIPPED, load_curves, smooth
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
        assert {name for name in logged if not name.startswith("diffusion")} <= learned
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


def test_the_terms_that_differ_most_are_drawn_beside_the_full_run(recordings):
    sentence, shown = recordings.show_curves("without-swap")
    assert "Without swap of L_ID (our reading)" in sentence
    differing = recordings.list_differing("without-swap")
    assert shown.count("<img") == len(differing) == 3 and "swap" in differing
    text = shown.replace("&#x27;", "'")
    for name in ("full", "without-swap"):
        curve = smooth(recordings.load(name).curves["swap"].values, SMOOTHING)
        assert f"{name_run(name)} from {curve[0]:.3g} to {curve[-1]:.3g}" in text
    assert text.count("Not learned in the run 'without swap'") == 1
    assert recordings.list_differing("without-L_ID")[0] == "orthogonality"


def test_the_slider_says_the_probes_of_its_snapshot(recordings):
    snapshots = recordings.load("full").snapshots
    steps = [recordings.show_probes("without-L_ID", k + 1) for k in range(len(snapshots))]
    assert len(set(steps)) == len(snapshots)
    for shown, snapshot in zip(steps, snapshots, strict=True):
        assert shown.count("<img") == len(PROBES) == shown.count(f"After {snapshot.step:,} steps")
    ends = [recordings.probe("full", part)[-1].person for part in ("identity", "action")]
    assert f"identity {ends[0]:.2f}; action {ends[1]:.2f}" in steps[-1]


def test_other_recordings_are_read_as_they_are(other):
    assert other.names == ["full", "without-swap"]
    assert "After 99,999 steps" in other.show_probes("without-swap", 5)
    with gr.Blocks() as demo, gr.Tab("Losses"):
        build_losses(None, None, folder=other.folder)
    sliders = [block for block in demo.blocks.values() if getattr(block, "elem_id", "") == "losses-step"]
    assert (sliders[0].maximum, sliders[0].value) == (5, 5)
    assert "0, 11, 500, 1,000, 99,999" in sliders[0].info


def test_a_run_that_is_not_there_is_told(recordings):
    with pytest.raises(gr.Error, match="no ablation 'without-sense'"):
        recordings.show_probes("without-sense", 1)


def test_what_was_drawn_once_comes_at_once(recordings):
    first = recordings.show_probes("without-L_TA", 1)
    begun = time.thread_time()
    assert recordings.show_probes("without-L_TA", 1) == first
    assert time.thread_time() - begun < 0.2


def test_nothing_is_public():
    with gr.Blocks() as demo, gr.Tab("Losses"):
        build_losses(None, None)
    assert demo.get_api_info()["named_endpoints"] == {}
