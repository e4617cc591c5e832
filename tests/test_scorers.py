"""The judges: margins follow the papers, views are honest, the stage runs, resumes and saves."""

import re
import types

import numpy as np
import pytest
import torch
from made_up import ASTRONAUT, make_pool
from made_up_weights import load_average
from PIL import Image

from iad import checkpoint
from iad.config import PRESETS
from iad.evaluation import outside
from iad.evaluation.own_judges import Scorers, create_scorers, load_scorers
from iad.training.augment import reframe
from iad.training.judges import (
    FACE,
    HEAD,
    MOMENTUM,
    SCALE,
    ActionStage,
    AngularMargin,
    RecogniserStage,
    View,
    cut,
)
from iad.training.pool import Pool, load_pool
from iad.training.stages import Options, train

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The stage after three steps of each judge."""
    folder = tmp_path_factory.mktemp("scorers")
    options = Options(data=make_pool(folder / "clips"), output=folder, minutes=1, max_steps=3)
    return folder, train("scorers", preset="tiny", options=options)


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (5, 128, 128, 3), dtype=np.uint8)


def make_margin(*, curricular=False):
    torch.manual_seed(0)
    margin = AngularMargin(16, 7, curricular=curricular)
    return margin, torch.randn(5, 16), torch.tensor([0, 3, 3, 6, 1])


def list_cosines(margin, embedding):
    embedding, directions = embedding.numpy(), margin.directions.detach().numpy()
    lengths = np.linalg.norm(embedding, axis=1)[:, None] * np.linalg.norm(directions, axis=1)
    return embedding @ directions.T / lengths


def test_the_arc_margin_is_added_to_the_own_angle_only():
    margin, embedding, person = make_margin()
    cosine = list_cosines(margin, embedding)
    expected = cosine.copy()
    own = np.arange(5), person.numpy()
    expected[own] = np.cos(np.arccos(cosine[own]) + 0.3)
    logits = margin(embedding, person, margin=0.3).detach().numpy()
    np.testing.assert_allclose(logits, SCALE * expected, atol=1e-3)


def test_a_worse_angle_never_scores_better_even_beyond_pi():
    margin, _, _ = make_margin()
    angles = torch.linspace(0.01, np.pi - 0.01, 60)
    axis, other = margin.directions.detach()[:2]
    axis = axis / axis.norm()
    other = other - axis * (axis @ other)
    embedding = angles.cos()[:, None] * axis + angles.sin()[:, None] * other / other.norm()
    logits = margin(embedding, torch.zeros(60, dtype=torch.long), margin=0.5)[:, 0]
    assert (logits.diff() < 0).all()


def test_curricular_weighs_hard_negatives_by_its_running_mean():
    margin, embedding, person = make_margin(curricular=True)
    cosine, own = list_cosines(margin, embedding), (np.arange(5), person.numpy())
    pushed = np.cos(np.arccos(cosine[own]) + 0.3)
    t = (1 - MOMENTUM) * cosine[own].mean()
    hard = cosine > pushed[:, None]
    expected = np.where(hard, cosine * (t + cosine), cosine)
    expected[own] = pushed
    logits = margin(embedding, person, margin=0.3).detach().numpy()
    assert hard.sum() > 5
    np.testing.assert_allclose(logits, SCALE * expected, atol=1e-3)
    assert float(margin.t) == pytest.approx(t, rel=1e-4)
    margin.eval()(embedding, person)
    assert float(margin.t) == pytest.approx(t, rel=1e-4)  # judging teaches nothing


def test_embeddings_have_length_one_and_lists_of_any_length_pass(frames):
    scorers = Scorers(create_scorers(TINY))
    for which in ("arc", "cur"):
        assert np.linalg.norm(scorers.embed(frames, which), axis=1) == pytest.approx(1, abs=1e-5)
    many = np.concatenate([frames] * 14)  # more than one batch
    np.testing.assert_allclose(scorers.track(many)[65:], scorers.track(frames), atol=1e-4)
    assert scorers.track(frames).shape == (5, 60)
    assert len(scorers.features(frames)) == 5


def test_recognisers_see_neither_hair_nor_background(frames):
    scorers = Scorers(create_scorers(TINY))
    y, x = (np.indices((128, 128)) + 0.5) / 128
    outer = np.hypot((x - 0.5) / 0.30, (y - 0.58) / 0.33) > 1
    other = np.where(outer[..., None], 255 - frames, frames)
    np.testing.assert_allclose(scorers.embed(other, "arc"), scorers.embed(frames, "arc"), atol=1e-5)
    assert np.abs(scorers.embed(255 - frames, "arc") - scorers.embed(frames, "arc")).max() > 1e-3


def test_cutting_nothing_off_changes_nothing(frames):
    np.testing.assert_array_equal(cut(frames[0], View(0, 0, 1, 128)), frames[0])


@pytest.mark.parametrize("view", [FACE, HEAD])
def test_a_cut_moves_points_as_its_affine_says(view):
    affine = reframe(np.random.default_rng(3))
    frame = np.zeros((128, 128, 3), np.uint8)
    frame[60:64, 70:74] = 255  # about (0.5625, 0.484) of the unit square
    y, x = np.nonzero(cut(frame, view, affine)[..., 0] > 100)
    seen = np.array([x.mean() + 0.5, y.mean() + 0.5]) / view.pixels * view.side + (view.left, view.top)
    expected = affine[:, :2] @ (72 / 128, 62 / 128) + affine[:, 2]
    np.testing.assert_allclose(seen, expected, atol=0.006)


def test_the_regressor_learns_an_easy_mapping():
    rng = np.random.default_rng(0)
    frames = np.full((24, 4, 128, 128, 3), 40, np.uint8)
    tracks = np.zeros((24, 4, 60), np.float32)
    for clip in np.ndindex(24, 4):
        x, y = rng.random(2)
        tracks[clip][[30, 58]] = y, 20 * x - 10  # the jaw opens downwards, the head turns sideways
        top, left = int(45 + 50 * y), int(35 + 50 * x)
        frames[clip][top : top + 16, left : left + 16] = 220
    pool = Pool([frames], tracks, np.zeros((24, 4, 68, 2), np.float32), [{}] * 24, np.array([0, 24]))
    torch.manual_seed(0)
    model = fit_steps(ActionStage(TINY, pool, batch_size=24), 50)
    seen = Scorers(model).track(frames[:, 0])
    for index in (30, 58):
        assert np.corrcoef(seen[:, index], tracks[:, 0, index])[0, 1] > 0.9


def fit_steps(stage, steps):
    optimizer = torch.optim.AdamW(stage.model.parameters(), 3e-3)
    for step in range(steps):
        optimizer.zero_grad()
        stage.losses(stage.batch(step), step)["total"].backward()
        optimizer.step()
    return stage.model


def test_the_stage_writes_what_load_scorers_reads(trained, frames):
    folder, weights = trained
    names = {path.name for path in weights.glob("scorers*.safetensors")}
    assert names == {f"scorers-{judge}.safetensors" for judge in ("arc", "cur", "action")}
    scorers = load_scorers(weights)
    whole = create_scorers(TINY)
    for name, judge in whole.items():
        state = load_average(folder / "scorers" / name)
        judge.load_state_dict({k.removeprefix(f"{name}."): v for k, v in state.items() if name in k})
    np.testing.assert_allclose(scorers.track(frames), Scorers(whole).track(frames), atol=0.02)
    np.testing.assert_allclose(scorers.embed(frames, "cur"), Scorers(whole).embed(frames, "cur"), atol=0.02)


def test_the_two_recognisers_begin_and_end_apart(trained, frames):
    scorers = load_scorers(trained[1])
    assert np.abs(scorers.embed(frames, "arc") - scorers.embed(frames, "cur")).max() > 0.1


def test_judges_of_mini_are_small():
    state = create_scorers(PRESETS["mini"]).state_dict()
    assert sum(tensor.numel() for tensor in state.values()) * 2 < 6e6


def test_people_without_a_name_teach_no_recogniser(tmp_path):
    pool = load_pool(make_pool(tmp_path))
    for record in pool.records[2:]:
        record["identity"] = None
    stage = RecogniserStage(TINY, pool, judge="arc")
    assert set(stage.clips) == {0, 1}
    for record in pool.records:
        record["identity"] = None
    with pytest.raises(ValueError, match="No clip of the pool names its person"):
        RecogniserStage(TINY, pool, judge="arc")


def test_faults_are_said_in_a_sentence(tmp_path, frames):
    checkpoint.save_preset(tmp_path, TINY)
    with pytest.raises(ValueError, match=r"holds no judges \(arc, cur, action\); train them"):
        load_scorers(tmp_path)
    with pytest.raises(ValueError, match="no folder of IaD weights"):
        load_scorers(tmp_path / "nowhere")
    scorers = Scorers(create_scorers(TINY))
    with pytest.raises(ValueError, match="square uint8 frames"):
        scorers.track(frames[:, :, :64])
    with pytest.raises(ValueError, match="no frame to judge"):
        scorers.embed(frames[:0], "arc")


def test_every_absent_outside_judge_is_explained(monkeypatch):
    monkeypatch.setattr(outside.importlib.util, "find_spec", lambda name: None)
    reasons = outside.available()
    assert {"dlib", "insightface", "curricularface-ir101"} < set(reasons)
    assert all(reason.count(" ") > 5 for reason in reasons.values())
    with pytest.raises(ValueError, match="not installed"):
        outside.DlibJudge()


@pytest.mark.skipif(bool(outside.lacks_dlib()), reason=outside.lacks_dlib())
@pytest.mark.parametrize("value", [None, "", "0"])
def test_landmarks_taught_on_unfree_photos_are_asked_by_consent_alone(monkeypatch, value):
    monkeypatch.delenv(outside.ACCEPT, raising=False)
    if value is not None:
        monkeypatch.setenv(outside.ACCEPT, value)
    assert re.search("iBUG 300-W.* commercial .*IAD_ACCEPT_DLIB_LANDMARKS=1", outside.available()["dlib"])
    with pytest.raises(ValueError, match="IAD_ACCEPT_DLIB_LANDMARKS=1"):
        outside.DlibJudge()
    assert outside.lacks_dlib() == ""  # who it is, is free


def test_nothing_published_is_fetched(monkeypatch, tmp_path):
    spec = types.SimpleNamespace(origin="/somewhere/insightface/__init__.py")
    monkeypatch.setattr(outside.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(outside, "PACKS", tmp_path)
    assert re.search("lacks det_10g.onnx, w600k_r50.onnx in .*buffalo_l", outside.available()["insightface"])
    folder = tmp_path / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    for name in outside.BUFFALO:
        (folder / name).touch()
    reasons = outside.available()
    assert reasons["insightface"] == "" and "in the hub's cache" in reasons["CLIPScore"]


def test_dlib_knows_a_real_face(monkeypatch):
    monkeypatch.setenv(outside.ACCEPT, "1")
    lack = outside.available()["dlib"]
    if lack:
        pytest.skip(lack)
    photo = np.array(Image.open(ASTRONAUT).convert("RGB").crop((140, 10, 300, 170)).resize((128, 128)))
    other = np.ascontiguousarray(photo[:, ::-1])
    frames = np.stack([photo, other])
    judge = outside.DlibJudge()
    marks, found = judge.landmarks(frames), judge.embed(frames)
    assert marks.shape == (2, 68, 2)
    assert (marks[0, 45, 0] > marks[0, 36, 0]) and (marks[0, 8, 1] > marks[0, 30, 1])
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert found[0] @ found[1] > 0.9
