"""The recogniser knows real people again, and its token comes apart as it says."""

import json
import threading

import cv2
import numpy as np
import pytest
import torch
from made_up import ASTRONAUT

from iad import checkpoint
from iad.config import TRACK
from iad.faces import find_face, recogniser
from iad.faces.recogniser import DIM, cut_chip, load_recogniser
from iad.media.photos import load_image
from iad.models.closed_form import Recognised, join
from iad.models.reading import as_landmarker, load_mini_reader
from iad.models.scoring import find_height, match
from iad.plots.comparison import cosines
from iad.portraits.photo import PhotoPerson
from iad.portraits.tiny import create_tiny_head, draw_person
from iad.training import recogniser_stage as stage

JAW = 30  # jawOpen's place in a track


@pytest.fixture(scope="module")
def landmarker():
    return as_landmarker(load_mini_reader())


@pytest.fixture(scope="module")
def people(landmarker):
    """Give two real people, each with the landmarks of their largest face."""
    from matplotlib.cbook import get_sample_data

    with get_sample_data("grace_hopper.jpg") as file:
        photos = [load_image(ASTRONAUT), cv2.imdecode(np.frombuffer(file.read(), np.uint8), 1)[..., ::-1]]
    return [(photo, find_face(photo, landmarker).landmarks) for photo in map(np.ascontiguousarray, photos)]


def distance(a, b) -> float:
    return float(np.linalg.norm(a - b))


def test_a_person_is_known_again_in_other_light_smaller_and_mirrored(people, landmarker):
    photo, marks = people[0]
    known = load_recogniser("dlib")
    one, other = known.embed(*zip(*people, strict=True))
    assert distance(one, other) > known.same_below
    dark = (photo * np.linspace(0.35, 0.8, photo.shape[1])[None, :, None]).astype(np.uint8)
    small = cv2.resize(photo, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    changed = [dark, small, np.ascontiguousarray(photo[:, ::-1]), cv2.GaussianBlur(photo, (0, 0), 1.5)]
    for picture in changed:
        found = find_face(picture, landmarker).landmarks
        assert distance(one, known.embed([picture], [found])[0]) < 0.45


def test_a_chip_moves_by_parts_of_pixels(people):
    photo, marks = people[0]
    here, there = (cut_chip(photo, marks + shift).astype(float) for shift in (0, 0.3))
    half = np.abs(here - there).mean()
    assert 0.1 < half < 0.7 * np.abs(here - cut_chip(photo, marks + 1)).mean()


def test_eight_threads_share_one_recogniser(people):
    photo, marks = people[0]
    alone = load_recogniser("dlib").embed([photo], [marks])[0]
    found = []

    def work() -> None:
        found.extend(load_recogniser("dlib").embed([photo, photo], [marks, marks]))

    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == 16 and all(np.array_equal(row, alone) for row in found)


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(ValueError, match="choose 'auto', 'dlib' or 'insightface'"):
        load_recogniser("face++")
    with pytest.raises(ValueError, match="The landmarks fall on one point"):
        cut_chip(np.zeros((9, 9, 3), np.uint8), np.ones((68, 2)))
    monkeypatch.setattr(recogniser.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps face_recognition_models"):
        recogniser.find_model("dlib_face_recognition_resnet_model_v1.dat")


def test_insightface_waits_for_weights_and_for_its_licence(monkeypatch, tmp_path):
    monkeypatch.setattr(recogniser, "PACK", tmp_path)
    monkeypatch.setattr(recogniser.importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv(recogniser.ACCEPT, raising=False)
    assert "unpack" in recogniser._lacks_insightface()
    (tmp_path / "glintr100.onnx").touch()
    assert "non-commercial" in recogniser._lacks_insightface()
    monkeypatch.setenv(recogniser.ACCEPT, "1")
    assert recogniser._lacks_insightface() == ""


@pytest.fixture(scope="module")
def mini():
    from iad import IaDPipeline

    return IaDPipeline.from_pretrained("mini")


def test_a_real_face_comes_apart_in_three(people, mini):
    face = mini.decouple(people[0][0])
    assert face.facial.shape == (64 * DIM + DIM,) and face.code.shape == (TRACK,)
    assert np.allclose(face.facial, face.identity + face.action + face.residual, atol=1e-3)
    assert face.identity_share + face.action_share + face.residual_share == pytest.approx(1)
    assert np.array_equal(face.recognised, face.identity[-DIM:])
    code = torch.from_numpy(face.code)[None]  # the action is what the code says, in every token
    action = mini.expand(code)[0] - mini.parts["decoupler"].mean_action
    assert np.allclose(face.action[:-DIM], action.flatten(), atol=1e-3)
    assert mini.match_actions(face, ["looks sad", "smiling", "eyes closed"])[0][0] == "smiling"


def test_the_identity_of_a_real_person_holds_and_tells_apart(people, mini):
    one, other = (mini.decouple(photo) for photo, _ in people)
    photo = people[0][0]
    side = np.linspace(0.5, 1, photo.shape[1])[None, :, None]
    changed = (photo * side).astype(np.uint8), np.ascontiguousarray(photo[:, ::-1])
    again = [mini.decouple(picture) for picture in changed]
    alike = cosines(one.identity[None], np.stack([face.identity for face in (*again, other)]))[0]
    assert alike[:2].min() > 0.8 > 0.6 > alike[2]


def test_a_model_without_the_recogniser_splits_local_tokens(mini, tmp_path, people):
    from iad import IaDPipeline

    mini.save_pretrained(tmp_path)
    kept = IaDPipeline.from_pretrained(tmp_path)
    assert torch.equal(kept.parts["recogniser"].reads, mini.parts["recogniser"].reads)
    (tmp_path / "recogniser.safetensors").unlink()
    manifest = checkpoint.read_manifest(tmp_path)
    del manifest["files"]["recogniser.safetensors"]
    (tmp_path / checkpoint.MANIFEST).write_text(json.dumps(manifest))
    face = IaDPipeline.from_pretrained(tmp_path).decouple(people[0][0])
    assert face.identity.shape == (64 * DIM,) and face.recognised is None and face.code.shape == (64,)


@pytest.fixture
def made_up():
    """Give views of 80 people who differ in all directions, two of which actions and light move as well.

    The reader sees something of who it is in the next coefficient after the jaw's.
    """
    rng = np.random.default_rng(0)
    person, track = np.repeat(np.arange(80), 6), rng.normal(size=(480, TRACK)).astype(np.float32)
    read = track + 0.1 * rng.normal(size=track.shape)
    read[:, JAW + 1] = 3 * rng.normal(size=80)[person]
    rows = rng.normal(size=(80, DIM))[person] + 0.02 * rng.normal(size=(480, DIM))
    rows[:, 0] += 3 * track[:, JAW] + 0.1 * rng.normal(size=480)
    rows[:, 1] += 4 * rng.normal(size=480)  # no action
    return stage.Views(*(x.astype(np.float32) for x in (rows, track, read)), person)


def test_the_token_comes_apart_in_person_action_and_light(made_up):
    recognised = Recognised(code_dim=8)
    stage.fit_split(recognised, made_up, rank=1, said=59)
    assert recognised.scale == stage.SCALE
    recognised.scale.fill_(3.0)
    rows, read = torch.from_numpy(made_up.embedding), torch.from_numpy(made_up.read)
    split = recognised.split(rows, read)
    assert torch.allclose(split.facial, split.identity + split.action + split.residual, atol=1e-4)
    assert torch.allclose(split.facial[:, 0], 3 * (rows - rows.mean(0)), atol=1e-4)
    jaw = torch.from_numpy(made_up.track[:, JAW])
    parts = ("identity", "action", "residual")
    follows = {part: _correlate(getattr(split, part)[:, 0, 0], jaw) for part in parts}
    assert follows["action"] > 0.95 and abs(follows["identity"]) < 0.1 and abs(follows["residual"]) < 0.15
    assert split.action[:, 0, 0].std() / 3 == pytest.approx(3, rel=0.1)
    assert split.action[:, 0, 1:].std(0).max() < 0.2 * split.action[:, 0, 0].std()
    who = torch.from_numpy(made_up.person)
    calm = torch.stack([split.identity[who == k, 0].mean(0) for k in range(80)])
    assert calm[:, 0].std() / 3 > 0.6  # the person's own share of the action's direction stays with i


def test_what_the_reader_sees_of_the_person_at_rest_is_no_action(made_up):
    heard = stage.find_said(made_up.track, made_up.read, made_up.person, 59)
    used = np.abs(heard).sum(1)
    assert used[JAW + 1] < 0.1 * np.median(used)


def _correlate(x, y) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def test_views_are_of_photos_as_they_are_of_takes_and_of_heights():
    rng = np.random.default_rng(0)
    person = PhotoPerson(create_tiny_head(), draw_person(4))
    frames, marks, tracks = stage.draw_views(person, rng)
    assert len(frames) == len(marks) == len(tracks) == stage.RANDOM + stage.HEIGHTS
    assert all(frame.shape == (stage.SIZE, stage.SIZE, 3) and frame.std() > 5 for frame in frames)
    strength = np.square(tracks).sum(1)
    assert strength[stage.RANDOM :].mean() > 0.3 and np.isfinite(tracks).all()
    face = stage.read_view(load_mini_reader(), frames[-1], marks[-1])
    assert face.track.shape == (TRACK,) and face.landmarks.shape == (68, 2)


def test_joined_tokens_keep_their_places(made_up):
    recognised = Recognised(code_dim=8)
    rows, track = torch.from_numpy(made_up.embedding[:3]), torch.from_numpy(made_up.track[:3])
    one, other = recognised.split(rows, track), recognised.split(2 * rows, track)
    both = join(one, other)
    assert torch.equal(both.facial, torch.cat([one.facial, other.facial], dim=1))
    assert sum(share.sum() for share in both.shares()) == pytest.approx(3, abs=1e-5)


def test_a_track_is_learned_as_a_code():
    torch.manual_seed(0)
    teacher, recognised = Recognised(8), Recognised(8)
    true = torch.rand(1500, TRACK)
    with torch.no_grad():
        code = teacher.to_code(true)
    before = (recognised.to_code(true) - code).pow(2).mean()
    assert stage.fit_code(recognised, true, code) > 0.8
    assert (recognised.to_code(true) - code).pow(2).mean() < 0.2 * before


def test_weights_leave_out_what_cannot_be_read():
    torch.manual_seed(0)
    true, noise = torch.rand(500, TRACK), torch.rand(500, TRACK)
    read = true.clone()
    read[:, 7] = noise[:, 7]
    weight = stage.weigh(true, read)
    assert weight[7] < 0.05 * weight[8]
    assert (true.pow(2) @ weight).mean() == pytest.approx(1, rel=1e-4)


def test_words_are_taken_at_their_height():
    told = torch.zeros(8, TRACK)
    told[:, JAW] = torch.tensor([0, 0.1, 0.4, 0.6, 0.62, 0.6, 0.3, 0.0])
    height = find_height(told, torch.ones(TRACK))
    assert height[:, JAW].tolist() == pytest.approx([0.6, 0.62, 0.6])


def test_the_likeness_to_an_open_mouth_rises_with_the_jaw():
    weight, told, smile = 4 * torch.ones(TRACK), torch.zeros(1, TRACK), torch.zeros(1, TRACK)
    told[0, JAW], smile[0, 42] = 0.6, 0.8
    faces = torch.zeros(12, TRACK)
    faces[:, 5], faces[:, JAW] = 0.1, torch.linspace(0, 1, 12)
    alike = [match(face, told, weight) for face in faces]
    assert np.all(np.diff(alike) > 0) and alike[0] < 0.05 and alike[-1] > 0.95
    assert max(match(face, smile, weight) for face in faces) < 0.05
    assert match(-told[0], told, weight) == pytest.approx(-1)
    assert match(0.1 * told[0], told, weight) < 0.25  # a hint is not the action
    calm = [match(face, torch.zeros(1, TRACK), weight) for face in faces]
    assert calm[0] > 0.5 > calm[-1]


def test_an_action_that_is_ill_read_is_no_calm():
    weight, told = torch.ones(TRACK), torch.zeros(1, TRACK)
    weight[20], told[0, 20] = 0.01, 0.9  # a gaze
    assert match(torch.zeros(TRACK), told, weight) == pytest.approx(0)
    assert match(told[0], told, weight) == pytest.approx(1)
