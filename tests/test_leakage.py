"""The leakage suite on planted embeddings, whose leaks are known, and both suites on the tiny model."""

import json
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from iad import IaDPipeline, checkpoint
from iad.decoupling import create_decoupling
from iad.evaluation import crossing, leakage, probes, speed
from iad.evaluation import samples as faces
from iad.evaluation.own_judges import Scorers
from iad.evaluation.people import held_out_people
from iad.evaluation.samples import SHOWN, TURNED, Samples, verify_rows
from iad.faces import crop
from iad.faces.recogniser import DIM
from iad.geometry.coefficients import COEFFICIENTS, POSE_LIMITS
from iad.geometry.head import load_geometry
from iad.models.closed_form import fit_closed_form
from iad.models.reading import load_mini_reader

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
        patch.setattr(probes, "EPOCHS", steps)
        patch.setattr(probes, "RESAMPLES", 10)
        patch.setattr(probes, "PERMUTATIONS", permutations)
        yield


@pytest.fixture(scope="module")
def measured(samples):
    """All measures of an embedding of everything, of the person alone, and of the action alone."""
    folds = probes.create_folds(samples.person, (0,))
    planted = {
        "all": plant(samples, person=1, action=1, pose=1),
        "identity": plant(samples, person=1),
        "action": plant(samples, action=1, pose=1),
    }
    kinds = {"all": probes.KINDS}
    with quickly(steps=20, permutations=200):
        return {
            name: probes.measure(lambda _, r=rows: r, samples, folds, kinds=kinds.get(name, ("linear",)))
            for name, rows in planted.items()
        }


def test_folds_share_no_person_and_ask_everybody_once_a_seed(samples):
    folds = probes.create_folds(samples.person, (0, 1))
    for fold in folds:
        assert not set(samples.person[fold.taught]) & set(samples.person[fold.asked])
    asked = sum(fold.asked.astype(int) for fold in folds)
    assert (asked == 2).all()
    assert [fold.control for fold in folds] == [True, True, False, False]


def test_probes_find_what_was_planted_and_only_that(measured):
    value = {n: {q: m[q]["linear"]["value"] for q in probes.QUESTIONS} for n, m in measured.items()}
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
    for question in probes.QUESTIONS:
        for entry in measured["all"][question].values():
            assert entry["shuffled"] < 0.35
            assert entry["selectivity"] == pytest.approx(entry["value"] - entry["shuffled"])
            assert entry["low"] <= entry["value"] <= entry["high"]


def test_actions_that_ask_who_it_is_never_taught_it(samples, monkeypatch):
    seen, answer = [], probes._answer
    monkeypatch.setattr(probes, "_answer", lambda *given: seen.append(given) or answer(*given))
    fold = probes.create_folds(samples.person, (0,))[0]
    list(probes._ask(plant(samples, person=1), samples, fold, ("linear",)))
    question, _, (taught, asked), labels, *_ = seen[-1]
    assert question == "person"
    assert set(labels[taught]) == set(labels[asked])
    assert not set(samples.action[taught]) & set(samples.action[asked])
    assert not (fold.taught & (taught | asked)).any()


def test_closed_form_within_the_span_is_the_closed_form(samples):
    rows = plant(samples, person=1, action=1)
    fold = probes.create_folds(samples.person, (0,))[0]
    fit = leakage.create_closed_form(rows, samples, 8)
    quick = [leakage.make_part(fit, rows, part)(fold) for part in (0, 1)]
    taught = torch.from_numpy(fold.taught)
    person = torch.from_numpy(samples.person[fold.taught])
    slow = fit_closed_form(rows[taught], person, rank=8)
    for one, other in zip(quick, slow.split(rows), strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_makers_of_the_closed_form_split_by_the_people_who_teach(samples):
    rows = plant(samples, person=1, action=1)
    one, other = probes.create_folds(samples.person, (0,))
    fit = leakage.create_closed_form(rows, samples, 3)
    makers = [leakage.make_part(fit, rows, part) for part in (0, 1)]
    for fold in (one, other):
        identity, action = (make(fold) for make in makers)
        mean = rows[torch.from_numpy(fold.taught)].mean(0)
        assert torch.allclose(identity + action, rows - mean, atol=1e-4)
        assert torch.linalg.matrix_rank(action, atol=1e-3) == 3
    assert not torch.allclose(makers[0](one), makers[0](other), atol=1e-3)


def test_leace_takes_the_expression_and_leaves_the_person(samples):
    pytest.importorskip("concept_erasure")
    rows = plant(samples, person=1, action=1)
    folds = probes.create_folds(samples.person, (0,))
    fit = leakage.create_leace(rows, samples)
    makers = [leakage.make_part(fit, rows, part) for part in (0, 1)]
    found = probes.probe(makers[0], samples, folds, kinds=("linear",))
    assert found["expression"]["linear"]["value"] < 0.3 and found["person"]["linear"]["value"] > 0.9
    identity, action = (make(folds[0]) for make in makers)
    mean = rows[torch.from_numpy(folds[0].taught)].mean(0)
    assert torch.allclose(identity + action, rows - mean, atol=1e-4)


def test_photos_as_they_are_are_verified_by_what_knows_the_person(samples):
    known, action = plant(samples, person=1), plant(samples, action=1)
    assert verify_rows(known - known.mean(0), samples.person)["value"] > 0.95
    found = verify_rows(action - action.mean(0), samples.person)
    assert found["low"] < 0.6 and found["low"] <= found["value"] <= found["high"]


def test_the_best_rank_leaks_least_among_those_that_still_verify():
    leaks, errors = {1: 0.5, 8: 0.2, 64: 0.1}, {1: 0.01, 8: 0.02, 64: 0.2}
    assert leakage.choose_rank(leaks, errors, 0.02) == 8
    assert leakage.choose_rank(leaks, errors, 0.001) == 64  # none does: then the one that leaks least


def test_rows_and_what_makes_them_are_measured_alike(samples):
    rows = plant(samples, person=1, action=1)
    folds = probes.create_folds(samples.person, (0,))[:1]
    given, made = (probes.measure(x, samples, folds, kinds=("linear",)) for x in (rows, lambda fold: rows))
    assert given == made and given["expression"]["linear"]["value"] > 0.5


def test_normalising_uses_the_raw_row_of_the_same_source():
    def row(source, part, value):
        return {"source": source, "part": part} | {
            q: {"linear": {"value": value}} for q in probes.QUESTIONS
        }

    rows = [row("", "raw", 0.9), row("", "identity", 0.5), row("b", "raw", 0.5), row("b", "identity", 0.5)]
    chance = dict.fromkeys(probes.QUESTIONS, 0.1)
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
        crops, np.eye(60, dtype=np.float32)[samples.action], samples.person, samples.action, samples.clips
    )
    stub = Stub(keeps, follows)
    found = crossing.swap(stub, told, stub)
    assert found["identity"]["value"] == found["rank_one"]["value"] == keeps
    assert found["action"]["value"] == found["nearest"]["value"] == follows
    assert found["judged"]["value"] == 1


@pytest.mark.parametrize(("keeps", "follows"), [(True, True), (False, True), (True, False)])
def test_pictures_of_a_split_tell_who_gave_what(samples, keeps, follows):
    """Tokens whose first two numbers are person and action, shown as they are, by splits that mix them up."""
    crops = samples.crops.copy()
    crops[..., 0], crops[..., 1] = samples.person[:, None, None], samples.action[:, None, None] % 60
    told = replace(samples, crops=crops)
    who, what = (torch.from_numpy(x)[:, None].float() for x in (samples.person, samples.action))
    nobody = torch.zeros_like(who)
    parts = {
        "facial": torch.cat([who, what], dim=1),
        "identity": torch.cat([who if keeps else nobody, nobody if follows else what], dim=1),
        "action": torch.cat([nobody if keeps else who, what if follows else nobody], dim=1),
    }

    def paint(tokens):
        pictures = torch.zeros(len(tokens), 8, 8, 3, dtype=torch.uint8)
        pictures[..., :2] = tokens[:, None, None].byte()
        return pictures.numpy()

    found = crossing.swap_pictures(paint, parts, told, Stub(keeps, follows), draws=60)
    assert found["identity"]["value"] == found["rank_one"]["value"] == keeps
    assert found["action"]["value"] == found["nearest"]["value"] == follows
    assert found["judged"]["value"] == 1


def test_heads_show_what_they_learned_to_read():
    """The picture of f is the face that it was read from, rather than other people's."""
    casts = held_out_people(4, head="tiny")
    crops = np.stack([cast.person.render(np.zeros((1, 60), np.float32))[0] for cast in casts])
    mini = IaDPipeline.from_pretrained("mini")
    split = faces.split(mini.parts["decoupler"], faces.encode(mini.parts["encoder"], crops))
    shown = faces.paint(mini.parts, mini.parts["autoencoder"], mini.preset, split["facial"])
    assert shown.shape == crops.shape
    far = np.abs(shown[:, None].astype(float) - crops[None]).mean((2, 3, 4))
    assert far.argmin(1).tolist() == [0, 1, 2, 3]
    mirrored = np.abs(shown.transpose(0, 2, 1, 3).astype(float) - crops).mean((1, 2, 3))
    assert (far.diagonal() < mirrored).all()


def test_sums_of_embeddings_are_nearest_to_the_face_that_they_should_be(samples):
    rng = np.random.default_rng(0)
    who, what = rng.normal(size=(PEOPLE, 40)), rng.normal(size=(len(SHOWN) + 1, 40))
    identity, action = (torch.from_numpy(x).float() for x in (who[samples.person], what[samples.action]))
    parts = {"facial": identity + action, "identity": identity, "action": action}
    assert set(crossing.swap_embedded(parts, samples).values()) == {1}
    parts["action"] = torch.zeros_like(action)  # says nothing: the person is found, the action is not
    found = crossing.swap_embedded(parts, samples)
    assert found["all"] < 0.5 and found["own"] < 0.5 and found["ceiling"] == 1


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
    with quickly(steps=3, permutations=10), pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces, "PERFORMANCES", 1)
        patch.setattr(faces, "TURNS", 2)
        patch.setattr(faces, "CROP", 128)
        patch.setattr(leakage, "RANKS", (1, 4))
        patch.setattr(probes, "PENALTIES", (0.1,))
        patch.setattr(leakage, "load_scorers", nobody_judges)
        ablated = folder / "ablations"
        checkpoint.save_preset(ablated / "without-swap", pipe.preset)
        checkpoint.save_part(
            ablated / "without-swap", "decoupling", create_decoupling(pipe.preset).state_dict()
        )
        options = {"people": 8, "seeds": (0,), "head": "tiny", "ablations": ablated}
        return leakage.run_leakage(pipe, output=folder, **options), folder


def test_the_suite_tells_of_every_embedding(report):
    told, folder = report
    assert {row["part"] for row in told["embeddings"]} == {"raw", "identity", "action", "residual"}
    named = {(row["source"], row["name"]): row["width"] for row in told["embeddings"]}
    assert {source for source, _ in named} == {"recogniser", "local", "without-swap"}
    assert {"recogniser", "local"} == set(told["swap_embedded"])
    assert {name for source, name in named if source == "without-swap"} == {n for *_, n in leakage.PARTS}
    for source in ("recogniser", "local"):
        assert named[source, "f"] == named[source, "i, shipped"] == named[source, "i, closed form, rank 1"]
        assert sum("best rank" in name for owner, name in named if owner == source) == 2
    assert named["recogniser", "f"] == DIM and named["recogniser", "a's code"] == 60
    assert told["chance"]["person"] == 1 / 4
    page = (folder / "leakage.md").read_text()
    assert all(f"| {row['name']} |" in page for row in told["embeddings"])
    assert json.loads((folder / "leakage.json").read_text())["words"]["chance"] == 1 / 8
    assert "needs judges. Nobody is there" in page and told["swap_pictures"] == {}
    assert (folder / "leakage.png").exists()
    with pytest.raises(ValueError, match="at least 8 people"):
        leakage.run_leakage(IaDPipeline.create("tiny"), output=folder, people=4, head="tiny")


def test_ablations_are_found(tmp_path):
    pipe = IaDPipeline.create("tiny")
    made = create_decoupling(pipe.preset)
    checkpoint.save_preset(tmp_path / "without-swap", pipe.preset)
    checkpoint.save_part(tmp_path / "without-swap", "decoupling", made.state_dict())
    (tmp_path / "notes").mkdir()
    ((name, heads),) = leakage.load_ablations(tmp_path)
    assert name == "without-swap" and torch.equal(heads["decoupler"].queries, made["decoupler"].queries)
    assert torch.equal(heads["picture"][0].weight, made["picture"][0].weight)
    assert not list(leakage.load_ablations(None))


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


def test_speed_measures_a_fresh_process_and_says_so(tmp_path):
    """A model without geometry has no drawing to time; its own clips, start and memory are there."""
    told = speed.run_speed("tiny", output=tmp_path, clips=1)
    assert told["drawn"] == {} and told["live"] == {} and told["weights_mb"] == 0
    assert 0.1 < told["ready"] < 300 and 0 < told["alone"]["fastest"] <= told["alone"]["total"]
    assert 0.1 < told["peak_memory_gib"] < 8
    page = (tmp_path / "speed.md").read_text()
    assert "the denoiser alone" in page and "live" not in page and "px, 24 fps" not in page


@pytest.fixture(scope="module")
def drawing():
    """The tiny model with mini's geometry and reader: a photo is found and drawn as by mini."""
    tiny = IaDPipeline.create("tiny")
    tiny.geometry = load_geometry(checkpoint.WEIGHTS / "mini")
    tiny.parts["reader"] = load_mini_reader()
    return tiny


def test_stages_of_a_drawn_clip_add_up_to_its_time(drawing):
    photo = speed.get_photo()
    speed.time_stages(drawing, photo, size=96, seed=0, seconds=1.0)  # compiles what draws
    begun = time.perf_counter()
    told = speed.time_stages(drawing, photo, size=96, seed=0, seconds=1.0)
    assert tuple(told) == speed.STAGES and min(told.values()) > 0
    assert sum(told.values()) == pytest.approx(time.perf_counter() - begun, rel=0.05)
    with pytest.raises(ValueError, match="no geometry"):
        speed.time_stages(IaDPipeline.create("tiny"), photo, size=96, seed=0)


def test_tables_of_speed_name_every_stage_and_aim():
    entry = {"total": 1.5, "fastest": 1.4, "slowest": 2.0, "stages": dict.fromkeys(speed.STAGES, 0.3)}
    report = {
        "clips": 5, "seconds": 2.0, "cores": 2, "fps": 24, "drawn": {"384": entry},
        "alone": entry | {"stages": {}},
        "size_alone": 128, "frames_alone": 16, "ready": 6.0, "first_clip": 4.0, "peak_memory_gib": 1.25,
        "live": {"ms": 38.4, "fps_driven": 11.0, "fit": 0.4}, "weights_mb": 38.0,
    }  # fmt: skip
    page = speed.to_markdown(report)
    assert all(f"| {stage} | 0.30 |" in page for stage in speed.STAGES)
    assert "**1.50**" in page and "| 38 | 40 |" in page and "| 1.25 | 2 |" in page
    widths = {line.count("|") for line in page.splitlines() if line.startswith("| ") and "drawn" in line}
    assert widths == {4}


def test_weights_are_those_that_generating_takes():
    alone = sum(f.stat().st_size for f in (checkpoint.WEIGHTS / "mini").glob("*.safetensors"))
    assert 20 < speed.weigh("mini") < alone / 1e6 - 10
    assert speed.weigh("tiny") == 0


def test_a_collection_is_split_as_a_visitors_photo_is(drawing):
    """Pictures that a face fills are split as the pipeline splits what it finds in a photo."""
    photo = speed.get_photo()
    found = drawing.find_face(photo)
    (read,) = faces.read_faces(drawing, found.image[None])
    both = [face.track[57:] for face in (found, read)]
    np.testing.assert_allclose(*both, atol=6)  # degrees; the crop is of a few pixels
    away = np.abs(crop(found.image, read.affine, 128).astype(int) - found.image).mean()
    assert away < 12  # grey levels: framed as it was
    parts = faces.split_faces(drawing, found.image[None])
    whole = parts["identity"] + parts["action"] + parts["residual"]
    torch.testing.assert_close(parts["facial"], whole, atol=1e-4, rtol=0)
    own = drawing.split_face(found.image, read)
    torch.testing.assert_close(parts["identity"], own.identity.flatten(1), atol=1e-5, rtol=0)
