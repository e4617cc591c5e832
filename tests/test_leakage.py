"""The leakage suite on planted embeddings, whose leaks are known, and both suites on the tiny model."""

import json
import math
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch

from iad import IaDPipeline, sampling
from iad.evaluation import crossing, leakage, leakage_page, measures, probes, speed
from iad.evaluation import samples as faces
from iad.evaluation.samples import SHOWN, TURNED, Samples
from iad.evaluation.scorers import Scorers
from iad.portraits.actions import COEFFICIENTS, POSE_LIMITS

PEOPLE, ROWS, WIDTH = 16, 24, 100


@pytest.fixture(scope="module")
def samples():
    """Faces whose coefficients follow their action, some of them turned; no pictures."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(len(SHOWN)), 2), np.full(6, TURNED)])
    action = np.tile(labels, PEOPLE)
    held = rng.random((len(SHOWN) + 1, 57)) > 0.8
    tracks = np.concatenate([held[action], rng.normal(0, 8, (len(action), 3))], axis=1).astype(np.float32)
    return Samples(
        crops=np.zeros((len(action), 8, 8, 3), np.uint8),
        tracks=tracks,
        person=np.repeat(np.arange(PEOPLE), ROWS),
        action=action,
        clips=np.zeros((PEOPLE, 8, 2, 8, 8, 3), np.uint8),
        clip_tracks=np.zeros((PEOPLE, 8, 2, 60), np.float32),
    )


def plant(samples, *, person=0.0, action=0.0, pose=0.0):
    """Hide what is asked for in noise, each in its own chance directions."""
    rng = np.random.default_rng(1)
    who, what = rng.normal(size=(PEOPLE, WIDTH)), rng.normal(size=(len(SHOWN) + 1, WIDTH))
    turn = samples.tracks[:, 57:] @ rng.normal(size=(3, WIDTH)) / 8
    noise = rng.normal(size=(len(samples.person), WIDTH))
    rows = person * who[samples.person] + action * what[samples.action] + pose * turn + 0.5 * noise
    return torch.from_numpy(rows).float()


@contextmanager
def quickly(*, steps, permutations):
    """Let networks learn shortly, and draw few people for intervals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probes, "STEPS", steps)
        patch.setattr(measures, "RESAMPLES", 10)
        patch.setattr(measures, "PERMUTATIONS", permutations)
        yield


@pytest.fixture(scope="module")
def measured(samples):
    """All measures of an embedding of everything, of the person alone, and of the action alone."""
    folds = measures.create_folds(samples.person, (0,))
    planted = {
        "all": plant(samples, person=1, action=1, pose=1),
        "identity": plant(samples, person=1),
        "action": plant(samples, action=1, pose=1),
    }
    kinds = {"all": probes.KINDS}
    with quickly(steps=60, permutations=200):
        return {
            name: measures.measure(lambda _, r=rows: r, samples, folds, kinds=kinds.get(name, ("linear",)))
            for name, rows in planted.items()
        }


def test_folds_share_no_person_and_ask_everybody_once_a_seed(samples):
    folds = measures.create_folds(samples.person, (0, 1))
    for fold in folds:
        assert not set(samples.person[fold.taught]) & set(samples.person[fold.asked])
    asked = sum(fold.asked.astype(int) for fold in folds)
    assert (asked == 2).all()
    assert [fold.control for fold in folds] == [True, True, False, False]


def test_probes_find_what_was_planted_and_only_that(measured):
    value = {n: {q: m[q]["linear"]["value"] for q in measures.QUESTIONS} for n, m in measured.items()}
    assert min(value["all"].values()) > 0.6
    assert value["identity"]["person"] > 0.9
    assert value["identity"]["expression"] < 0.25
    assert max(value["identity"]["coefficients"], value["identity"]["pose"]) < 0.1
    assert value["action"]["expression"] > 0.9
    assert value["action"]["pose"] > 0.6
    assert value["action"]["person"] < 0.3


def test_verification_and_dependence_agree_with_what_was_planted(measured):
    assert measured["identity"]["equal_error_rate"]["value"] < 0.05
    assert measured["identity"]["rank_one"]["value"] > 0.95
    assert measured["action"]["equal_error_rate"]["value"] > 0.4
    assert measured["action"]["rank_one"]["value"] < 0.35
    assert measured["identity"]["hsic_person"]["p"] < 0.01 < measured["identity"]["hsic_expression"]["p"]
    assert measured["action"]["hsic_expression"]["p"] < 0.01 < measured["action"]["hsic_person"]["p"]


def test_shuffled_labels_teach_nothing_and_intervals_hold_the_value(measured):
    for question in measures.QUESTIONS:
        for entry in measured["all"][question].values():
            assert entry["shuffled"] < 0.35
            assert entry["selectivity"] == pytest.approx(entry["value"] - entry["shuffled"])
            assert entry["low"] <= entry["value"] <= entry["high"]


def test_actions_that_ask_who_it_is_never_taught_it(samples, monkeypatch):
    seen = []
    ask = measures._ask_classes
    monkeypatch.setattr(measures, "_ask_classes", lambda *given: seen.append(given) or ask(*given))
    fold = measures.create_folds(samples.person, (0,))[0]
    acted = samples.action != TURNED
    list(measures._ask(plant(samples, person=1), samples, fold, acted, ("linear",)))
    question, _, labels, _, (taught, asked), *_ = seen[1]
    assert question == "person"
    assert set(labels[taught]) == set(labels[asked])
    assert not set(samples.action[taught]) & set(samples.action[asked])
    assert not (fold.taught & (taught | asked)).any()


def test_closed_form_within_the_span_is_the_closed_form(samples):
    rows = plant(samples, person=1, action=1)
    fold = measures.create_folds(samples.person, (0,))[0]
    quick = leakage._closed_form(rows, samples, fold)
    taught = torch.from_numpy(fold.taught)
    person = torch.from_numpy(samples.person[fold.taught])
    slow = leakage.fit_closed_form(rows[taught], person, rank=leakage.RANK)
    for one, other in zip(quick.split(rows), slow.split(rows), strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_makers_of_the_closed_form_split_by_the_people_who_teach(samples):
    rows = plant(samples, person=1, action=1)
    one, other = measures.create_folds(samples.person, (0,))
    makers = leakage.closed_form_makers(rows, samples, rank=3)
    for fold in (one, other):
        identity, action = (make(fold) for make in makers)
        mean = rows[torch.from_numpy(fold.taught)].mean(0)
        assert torch.allclose(identity + action, rows - mean, atol=1e-4)
        assert torch.linalg.matrix_rank(action, atol=1e-3) == 3
    assert not torch.allclose(makers[0](one), makers[0](other), atol=1e-3)


def test_rows_and_what_makes_them_are_measured_alike(samples):
    rows = plant(samples, person=1, action=1)
    folds = measures.create_folds(samples.person, (0,))[:1]
    given, made = (measures.measure(x, samples, folds, kinds=("linear",)) for x in (rows, lambda fold: rows))
    assert given == made and given["expression"]["linear"]["value"] > 0.5


def test_normalising_uses_the_raw_row_of_the_same_source():
    def row(source, part, value):
        return {"source": source, "part": part} | {
            q: {"linear": {"value": value}} for q in measures.QUESTIONS
        }

    rows = [row("", "raw", 0.9), row("", "identity", 0.5), row("b", "raw", 0.5), row("b", "identity", 0.5)]
    chance = dict.fromkeys(measures.QUESTIONS, 0.1)
    shares = [r["pose"]["linear"]["normalised"] for r in leakage.normalise(rows, chance)]
    assert shares == pytest.approx([1, 0.5, 1, 1])


class Stub(Scorers):
    """A pipeline that shows what it is told to, and judges who read that off one pixel."""

    def __init__(self, keeps, follows):
        self.keeps, self.follows = keeps, follows

    def __call__(self, reference, prompt, *, action_reference, detail_scale, seed):
        assert detail_scale == 0  # a photo's detail would tell who it is by itself
        shown = np.zeros((16, 8, 8, 3), np.uint8)
        shown[..., 0] = (reference if self.keeps else action_reference)[0, 0, 0]
        shown[..., 1] = (action_reference if self.follows else reference)[0, 0, 1]
        return type("Clip", (), {"frames": shown})

    def embed(self, frames, which):
        return np.eye(PEOPLE, dtype=np.float32)[frames[:, 0, 0, 0]]

    def track(self, frames):
        return np.eye(60, dtype=np.float32)[frames[:, 0, 0, 1]]


@pytest.mark.parametrize(("keeps", "follows"), [(True, True), (False, True), (True, False)])
def test_the_swap_test_tells_who_gave_what(samples, keeps, follows):
    crops = samples.crops.copy()
    crops[..., 0], crops[..., 1] = samples.person[:, None, None], samples.action[:, None, None] % 60
    told = Samples(
        crops, np.eye(60, dtype=np.float32)[samples.action], samples.person, samples.action,
        samples.clips, samples.clip_tracks,
    )  # fmt: skip
    stub = Stub(keeps, follows)
    found = crossing.swap(stub, told, stub)
    assert found["identity"]["value"] == found["rank_one"]["value"] == keeps
    assert found["action"]["value"] == follows


def test_words_are_compared_frame_by_frame():
    rng = np.random.default_rng(0)
    shown = torch.from_numpy(rng.normal(size=(8, 4, 6))).float()
    order = [3, 1, 0, 2, 7, 6, 5, 4]
    assert crossing.find_nearest(shown[order] * 2, shown).tolist() == order
    back = torch.stack([shown[0], shown[0].flip(0)])  # the same faces in the other order: another action
    assert crossing.find_nearest(back, back).tolist() == [0, 1]


def nobody_judges():
    raise ValueError("Nobody is there to judge.")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The suite on eight made-up people and random weights."""
    folder = tmp_path_factory.mktemp("leakage")
    pipe = IaDPipeline.create("tiny")
    with quickly(steps=10, permutations=10), pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces, "PERFORMANCES", 1)
        patch.setattr(faces, "TURNS", 2)
        patch.setattr(probes, "PENALTIES", (0.1,))
        patch.setattr(leakage, "load_scorers", nobody_judges)
        return leakage.run_leakage(pipe, output=folder, people=8, seeds=(0,), head="tiny"), folder


def test_the_suite_tells_of_every_embedding(report):
    told, folder = report
    assert {row["part"] for row in told["embeddings"]} == {"raw", "identity", "action", "encoder"}
    assert told["chance"]["person"] == 1 / 4
    page = (folder / "leakage.md").read_text()
    assert all(f"| {row['name']} |" in page for row in told["embeddings"])
    assert json.loads((folder / "leakage.json").read_text())["words"]["chance"] == 1 / 8
    assert "needs judges. Nobody is there" in page
    assert leakage_page.draw_leakage(told).size == leakage_page.draw_leakage(told, kind="mlp").size
    with pytest.raises(ValueError, match="at least 8 people"):
        leakage.run_leakage(IaDPipeline.create("tiny"), output=folder, people=4, head="tiny")


def test_ablations_add_their_rows(tmp_path):
    from iad import checkpoint
    from iad.decoupling import create_decoupling

    pipe = IaDPipeline.create("tiny")
    made = create_decoupling(pipe.preset)
    checkpoint.save_preset(tmp_path / "without-swap", pipe.preset)
    checkpoint.save_part(tmp_path / "without-swap", "decoupling", made.state_dict())
    (tmp_path / "notes").mkdir()
    sources = dict(leakage._sources(pipe, tmp_path))
    assert list(sources) == ["", "without-swap"]
    assert torch.equal(sources["without-swap"].queries, made["decoupler"].queries)


def test_drawn_faces_show_what_their_labels_say():
    tracks = np.concatenate([faces._draw_faces(np.random.default_rng(k)) for k in range(3)])
    labels = [*np.repeat(np.arange(len(SHOWN)), faces.PERFORMANCES), *[TURNED] * faces.TURNS] * 3
    named = {name: tracks[np.array(labels) == k] for k, name in enumerate(SHOWN)}
    column = COEFFICIENTS.index
    assert named["smile"][:, column("mouthSmile_L")].min() > 0.5
    assert named["eyes closed"][:, column("eyeBlink_L")].min() > 0.8
    assert named["turn left"][:, column("yaw")].min() > 8
    assert named["nod"][:, column("pitch")].max() < -3
    assert np.abs(named["neutral"][:, :57]).max() < 0.05
    turned = tracks[np.array(labels) == TURNED][:, 57:]
    assert (np.abs(turned) <= POSE_LIMITS).all()
    assert turned.std(0).min() > 4


def test_speed_times_every_stage_of_both_ways(tmp_path):
    pipe = IaDPipeline.create("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipe, "_score", lambda *_: {})  # it seeks faces in noise, at length
        told = speed.run_speed(pipe, output=tmp_path, clips=1, cold=False)
    for way in ("default", "plain"):
        assert set(told[way]["stages"]) == set(speed.STAGES)
        assert all(seconds > 0 for seconds in told[way]["stages"].values())
        assert told[way]["total"] == pytest.approx(sum(told[way]["stages"].values()))
    assert told["times_faster_denoising"] > 3
    assert "| denoise |" in (tmp_path / "speed.md").read_text()


def test_the_plain_loop_makes_what_the_pipeline_makes_at_the_same_settings(monkeypatch):
    monkeypatch.setattr(sampling, "REACH", math.inf)
    pipe, photo = IaDPipeline.create("tiny"), speed._photo()
    caught = {}

    def plainly(pipe, conditions, seed):
        caught["plain"] = speed.denoise_plainly(pipe, conditions, seed, steps=3)
        caught["own"] = speed.sample(
            pipe.parts["transformer"], pipe.scheduler, conditions,
            pipe._guidance(speed.PLAIN_GUIDANCE, 1.0, 1.0, 1.0),
            latents=pipe._noise(seed, pipe.preset.latent_frames), steps=3,
            stack=pipe.preset.frames_per_latent,
        )  # fmt: skip
        return caught["own"]

    pipe._score = lambda *_: {}
    speed.time_clip(pipe, photo, plainly, seed=3)
    assert torch.allclose(caught["plain"], caught["own"], atol=1e-4)


def test_guidance_exaggerates_only_what_it_may():
    pipe, seen = IaDPipeline.create("tiny"), []

    def compare(pipe, conditions, seed):
        made = {"latents": pipe._noise(seed, pipe.preset.latent_frames), "steps": 1}
        made["stack"] = pipe.preset.frames_per_latent
        ask = partial(speed.sample, pipe.parts["transformer"], pipe.scheduler, conditions, **made)
        strong = pipe._guidance(6.0, 1.0, 1.0, 1.0)
        plain = ask(pipe._guidance(1.0, 1.0, 1.0, 1.0))
        held = ask(strong, weigh=lambda told: seen.append(told) or torch.zeros_like(told))
        torch.testing.assert_close(held, plain, atol=1e-5, rtol=0)
        torch.testing.assert_close(seen[0], plain, atol=1e-5, rtol=0)
        assert (ask(strong) - plain).abs().max() > 1e-3
        return plain

    pipe._score = lambda *_: {}
    speed.time_clip(pipe, speed._photo(), compare, seed=3)
    assert len(seen) == 1
