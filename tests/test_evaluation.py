"""Evaluation: every number has a known answer somewhere, and an interrupted run ends as a whole one does."""

import json
import os
import re
import shutil

import cv2
import numpy as np
import pytest
from made_up import cut_portrait
from PIL import Image
from skimage import data

from iad import IaDPipeline, checkpoint
from iad.evaluation import action, action_clips, action_page, metrics, outside, run
from iad.evaluation.action_page import _say_added, to_markdown
from iad.evaluation.cached_pipeline import DRAWN_SIZE, CachedPipeline, cut_framed, read_segments
from iad.evaluation.intervals import by_person, interval
from iad.evaluation.metrics import pack, teach_classifier, unpack
from iad.evaluation.outside import READINGS, read_landmarks
from iad.evaluation.people import (
    TUNERS,
    Plan,
    choose_people,
    choose_reference,
    held_out_people,
    list_wanted,
    prompt_for,
    reference_of,
    timeline,
    truth_of,
)
from iad.evaluation.report import Journal, start_folder
from iad.evaluation.summary import compare_rows, summarise
from iad.geometry.coefficients import COEFFICIENTS
from iad.geometry.head import load_geometry
from iad.models.reading import load_mini_reader
from iad.performing.actions import EIGHT_BASIC, NORMAL, SLIGHT, STRONG, Performed, perform
from iad.portraits.clips import is_held_out
from iad.portraits.phrasings import known_actions

RNG = np.random.default_rng(0)


# --- intervals


def test_intervals_cover_the_truth():
    """95 % intervals over people hold the true mean about 95 times in 100, where people differ."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        people = np.repeat(np.arange(30), 8)
        values = rng.normal(0, 1, 30)[people] + rng.normal(0, 0.5, 240)
        _, low, high = interval(values, groups=people, resamples=400)
        covered += low <= 0 <= high
    assert 178 <= covered <= 198


def test_people_are_drawn_not_clips():
    values = np.repeat(RNG.normal(0, 1, 20), 50)
    by_clip, by_people = interval(values), interval(values, groups=np.repeat(np.arange(20), 50))
    assert by_people[2] - by_people[1] > 4 * (by_clip[2] - by_clip[1])
    assert by_people[0] == pytest.approx(values.mean())
    assert by_people == interval(values, groups=np.repeat(np.arange(20), 50))
    assert interval([1.0, np.nan, 3.0])[0] == 2
    with pytest.raises(ValueError, match="one group for each value"):
        interval([1.0, 2.0], groups=[0])


def test_any_statistic_gets_an_interval():
    values = RNG.normal(3, 1, 100)
    value, low, high = by_person(lambda drawn: values[drawn].mean(), 100)
    assert low < 3.1 and high > 2.9 and low < value < high
    assert high - low == pytest.approx(2 * 1.96 / 10, rel=0.25)


# --- metrics


def test_similarity_is_consisids():
    cosines = np.array([0.8, -0.4, 0.6, 0.2])
    assert metrics.similarity(cosines) == pytest.approx(0.4)  # negative ones count as 0
    assert metrics.similarity(cosines, np.array([True, False, True, False])) == pytest.approx(0.7)
    assert metrics.similarity(cosines, np.zeros(4, bool)) == 0


def test_even_change_has_no_jitter():
    ramp = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.full((1, 8, 8, 3), 5, np.uint8)
    assert metrics.jitter(ramp) == 0
    flicker = ramp.copy()
    flicker[::2] += 3
    assert metrics.jitter(flicker) == pytest.approx(36)


def test_motion_is_in_pixels():
    """A texture that moves by two pixels a frame has a flow of two."""
    texture = cv2.GaussianBlur(RNG.integers(0, 255, (160, 200), dtype=np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    frames = np.stack([np.repeat(texture[:128, 2 * k : 2 * k + 128, None], 3, axis=2) for k in range(8)])
    assert metrics.motion(frames) == pytest.approx(2, rel=0.15)
    assert metrics.motion(frames[[0] * 8]) < 0.05


def test_frechet_of_known_gaussians():
    zero, far = np.zeros(3), np.array([3.0, 4.0, 0.0])
    a, b = np.diag([1.0, 4.0, 9.0]), np.diag([4.0, 4.0, 1.0])
    assert metrics.frechet(zero, a, zero, a) == pytest.approx(0, abs=1e-9)
    assert metrics.frechet(zero, a, far, b) == pytest.approx(25 + 1 + 0 + 4)  # the roots differ by 1, 0, 2
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    assert metrics.frechet(zero, turn @ a @ turn.T, far, turn @ b @ turn.T) == pytest.approx(30)
    draws = RNG.normal(size=(20_000, 3))
    assert metrics.frechet_of(draws, RNG.normal(size=(20_000, 3)) * 2) == pytest.approx(3, rel=0.05)


def test_jackknife_holds_the_distance_of_equals():
    rows = [RNG.normal(size=(32, 6)) for _ in range(24)]
    truth = [RNG.normal(size=(32, 6)) + [1, 0, 0, 0, 0, 0] for _ in range(24)]
    value, low, high = metrics.frechet_interval(rows, truth)
    assert low < 1 < high and high - low < 0.5 and low < value < high


def _made_up_people(share: float, *, people: int = 400):
    """References whose regressor misreads every person in a way of their own; clips copy a share of them."""
    rng = np.random.default_rng(1)
    true = rng.uniform(0, 1, (8, people, 6))
    misread = rng.normal(0, 0.5, (1, people, 6))
    prompt = rng.normal(0, 1, (8, 1, 6))
    references = 0.7 * true + misread
    clips = prompt + 0.7 * share * true + misread + rng.normal(0, 0.1, true.shape)
    return clips, references, true


def test_copying_is_one_for_still_and_zero_for_independent():
    clips, references, true = _made_up_people(0)
    assert metrics.copied(references, references, true) == pytest.approx(1, abs=1e-12)
    assert metrics.copied(clips, references, true) == pytest.approx(0, abs=0.06)
    half, *_ = _made_up_people(0.5)
    assert metrics.copied(half, references, true) == pytest.approx(0.5, abs=0.06)
    half[2, 5] = np.nan  # a clip that could not be made
    assert metrics.copied(half, references, true) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("name", EIGHT_BASIC)
def test_strength_grows_with_the_degree(name):
    rest = metrics.posture(metrics.scaled(perform([], rng=np.random.default_rng(0), idle=False)))
    takes = [
        metrics.scaled(perform([Performed((name,), 0, 2, degree)], rng=np.random.default_rng(0)))
        for degree in (SLIGHT, NORMAL, STRONG)
    ]
    found = [metrics.strength(take, metrics.posture(takes[1]), rest) for take in takes]
    assert found[0] < found[1] <= found[2] + 0.02 and found[1] == pytest.approx(1)


def test_classifier_names_actions():
    tracks = [
        metrics.scaled(perform([Performed((name,), 0, 2)], rng=np.random.default_rng(seed)))
        for seed in range(12)
        for name in EIGHT_BASIC
    ]
    names, features = list(EIGHT_BASIC) * 12, np.stack([metrics.summarise_track(t) for t in tracks])
    taught = teach_classifier(features[:64], names[:64])
    assert taught.predict(features[64:]).tolist() == names[64:]
    assert taught.predict(-features[64:]).tolist() != names[64:]


def test_seconds_are_apart():
    track = np.arange(16)[:, None] * np.ones((1, len(COEFFICIENTS)))
    assert metrics.seconds_of(track)[:, :, 0].tolist() == [list(range(8)), list(range(8, 16))]


def test_what_consisid_calls_fid_is_a_distance():
    """With every row there twice, both covariances are zero, and its formula leaves |m - n|^2."""
    frames, reference = RNG.normal(size=(5, 7)), RNG.normal(size=7)
    zero = np.zeros((7, 7))
    theirs = [metrics.frechet(frame, zero, reference, zero) for frame in frames]
    assert outside.feature_distance(frames, reference) == pytest.approx(np.mean(theirs))
    assert outside.feature_distance(reference[None], reference) == 0
    assert all(isinstance(sentence, str) for sentence in outside.available().values())


def test_numbers_survive_a_line_of_text():
    values = RNG.normal(size=(16, 60))
    np.testing.assert_allclose(unpack(json.loads(json.dumps(pack(values))), 60), values, atol=2e-3)


# --- people and plan


def test_references_never_show_what_is_asked():
    for person in range(20):
        for name in EIGHT_BASIC:
            assert choose_reference(person, [name]) != name
        both = [s.actions[0] for s in timeline(EIGHT_BASIC, person)]
        assert len(set(both)) == 2 and choose_reference(person, both) not in both


def test_clips_have_names_of_their_own():
    plan = Plan("tiny", ("iad", "still", "warp"), count=3)
    wanted = [w for row in ("truth", *plan.rows) for k in range(3) for w in list_wanted(plan, row, k)]
    assert len({w.key for w in wanted}) == len(wanted)
    assert sum(w.row == "iad" and w.part == "basic" for w in wanted) == 3 * 8 * 3
    assert len({tuple(s.actions[0] for s in timeline(EIGHT_BASIC, k)) for k in range(56)}) == 56
    with pytest.raises(ValueError, match="name two or more"):
        Plan("tiny", ("iad",), actions=("smile", "dance"))


def test_people_are_held_out_and_apart():
    chosen, training = (choose_people(5, head="tiny", held_out=kept) for kept in (True, False))
    assert all(map(is_held_out, chosen)) and not any(map(is_held_out, training))
    assert choose_people(3, head="tiny") == chosen[:3]
    cast, other = held_out_people(2, head="tiny")
    assert np.abs(reference_of(cast, "smile").astype(int) - reference_of(other, "smile")).mean() > 5
    assert reference_of(cast, "smile").shape == (128, 128, 3)
    assert not np.array_equal(reference_of(cast, "smile"), reference_of(cast, "mouth open"))
    assert truth_of(cast, "nod", 0).shape == (16, 128, 128, 3)


def test_prompts_name_their_action():
    for name in EIGHT_BASIC:
        for turn in range(8):
            segments = [Performed((name,), 0.0, 2.0)]
            assert name in known_actions(prompt_for("woman", segments, turn=turn))
            assert prompt_for("man", segments, turn=turn) != prompt_for("man", segments, held_out=True)
    both = prompt_for("woman", timeline(EIGHT_BASIC, 7))
    assert both.startswith("a woman [0-1s] ") and " [1-2s] " in both
    slight, strong = (
        prompt_for("person", [Performed(("smile",), 0.0, 2.0, degree)], turn=3) for degree in (SLIGHT, STRONG)
    )
    assert slight != strong


def test_the_outsider_reads_prompts():
    (said,) = read_segments("a woman smiles a little")
    assert said.actions == ("smile",) and said.intensity == SLIGHT
    assert read_segments("a man nods vigorously")[0].intensity == STRONG
    first, second = read_segments("a woman [0-1s] closes her eyes [1-2s] turns her head to the left")
    assert (first.actions, second.actions) == (("eyes closed",), ("turn left",)) and second.start == 1
    assert read_segments("a chair")[0].actions == ("neutral",)


# --- journals and runs


def test_a_torn_line_is_made_again(tmp_path):
    journal = Journal(tmp_path / "clips.jsonl")
    journal.add([{"key": "a", "value": 1}, {"key": "b", "value": 2}])
    with journal.path.open("a") as file:
        file.write('{"key": "c", "va')
    again = Journal(journal.path)
    assert list(again.records) == ["a", "b"]
    again.add([{"key": "c", "value": 3}])
    assert [r["value"] for r in Journal(journal.path).records.values()] == [1, 2, 3]


def test_other_settings_start_anew(tmp_path, capsys):
    assert start_folder(tmp_path, {"seeds": 3, "rows": ("iad",)}) == []
    (tmp_path / "clips.jsonl").write_text("old")
    assert start_folder(tmp_path, {"seeds": 3, "rows": ("iad",)}) == []
    assert (tmp_path / "clips.jsonl").exists() and not capsys.readouterr().err
    assert start_folder(tmp_path, {"seeds": 2, "rows": ("iad",)}) == ["seeds"]
    assert not (tmp_path / "clips.jsonl").exists() and "starting anew" in capsys.readouterr().err
    assert (tmp_path / "earlier" / "clips.jsonl").read_text() == "old"


TINY = {"rows": ("iad", "entangled", "still"), "actions": ("smile", "mouth open", "nod"), "teachers": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of the tiny model on two made-up people."""
    output = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(outside.ACCEPT, "1")
        return output, run("action", model="tiny", people=2, seeds=2, output=output, **TINY)


def test_a_run_writes_everything(whole):
    output, report = whole
    rows = json.loads((output / "action.json").read_text())["rows"]
    summary = report["suites"]["action"]["summary"]["all"]
    assert list(summary) == ["truth", "iad", "entangled", "still"]
    assert summary["still"]["FaceSim-Arc"][0] < 0.999  # what is pasted is not what is looked for
    for judged in ("expression copied", "pose copied", "expression copied, dlib", "pose copied, dlib"):
        assert summary["still"][judged][0] == pytest.approx(1)
    assert summary["truth"]["jitter"][0] == pytest.approx(1) and summary["still"]["jitter"][0] == 0
    assert {"action right", "second right", "broad > slight", "Frechet", "motion"} <= set(summary["iad"])
    assert {"action right, dlib", "second right, dlib", "right person, dlib"} <= set(summary["iad"])
    takes = [row["dlib"] for row in rows if row["key"].startswith("iad/basic/0/smile/")]
    assert len(takes) == 2 and all(isinstance(likeness, float) for likeness in takes)  # not of one alone
    assert sum(row["row"] == "iad" for row in rows) == 2 * (6 + 4 + 1)
    added, both = report["suites"]["action"]["split_adds"], [summary[row] for row in ("iad", "entangled")]
    for column in ("action right", "expression copied, dlib"):
        assert added[column][0] == pytest.approx(both[0][column][0] - both[1][column][0])
    page = (output / "report.md").read_text()
    named = ("cores", "FaceSim-Arc", "ceiling", "What the split itself adds")
    named += ("`IAD_ACCEPT_DLIB_LANDMARKS=1 python -m iad evaluate",)
    assert all(text in page for text in named) and page.count(action_page.WORDS["copied"]) == 2
    assert (output / "figure.png").exists() and len(list((output / "sheets").iterdir())) == 2
    assert json.loads((output / "report.json").read_text()) == report


def test_an_interrupted_run_goes_on(whole, tmp_path, monkeypatch):
    """Stopped after a few clips and started again, a run makes only the rest, and the same table."""
    output, report = whole
    monkeypatch.setenv(outside.ACCEPT, "1")
    shutil.copytree(output / "action", tmp_path / "action")
    clips = tmp_path / "action" / "clips.jsonl"
    lines = clips.read_text().splitlines(keepends=True)
    clips.write_text("".join(lines[:-4]) + lines[-4][:20])
    made = []
    measure = action.measure_clips
    monkeypatch.setattr(
        action, "measure_clips", lambda *task: made.extend(w.key for w in task[2]) or measure(*task)
    )
    again = run("action", model="tiny", people=2, seeds=2, output=tmp_path, **TINY)
    assert sorted(made) == sorted(json.loads(line)["key"] for line in lines[-4:])
    assert again["suites"]["action"]["summary"] == report["suites"]["action"]["summary"]


def test_settings_are_chosen_on_other_people(tmp_path, monkeypatch):
    """Guidances are compared on people of whom nothing is reported, whatever is asked for."""
    for head in ("tiny", "ict") if "IAD_PHOTO_PEOPLE" in os.environ else ("tiny",):
        with pytest.raises(ValueError, match="ask for fewer") as refused:
            choose_people(10**6, head=head)
        most = int(re.search(r"there are (\d+)", str(refused.value))[1])
        chosen = set(choose_people(TUNERS, head=head, tuning=True))
        reported = set(choose_people(most, head=head))
        assert len(chosen) == TUNERS and len(reported) == most > 50
        assert not chosen & reported and all(map(is_held_out, chosen | reported))
    options = {"actions": ("smile", "nod"), "teachers": 2}
    monkeypatch.delenv(outside.ACCEPT, raising=False)
    report = run(
        "action", model="tiny", arms=("entangled",), tune=True, people=2, seeds=1, output=tmp_path, **options
    )
    summary = report["suites"]["action"]["summary"]["all"]
    assert list(summary) == ["truth", *(f"entangled@{g:g}" for g in action.GUIDANCES), "still"]
    assert summary["entangled@1"]["jitter"] != summary["entangled@3.5"]["jitter"]
    page = (tmp_path / "action.md").read_text()
    assert "on whom settings are chosen" in page and "accept that with IAD_ACCEPT_DLIB_LANDMARKS=1" in page
    assert not any("dlib" in column for row in summary.values() for column in row)


# --- what is compared, and for whom


def _answers(seed: int = 0):
    """Records of 40 people who differ in how often clips of them are right; iad is better by 0.3 of each."""
    rng = np.random.default_rng(seed)
    person = rng.normal(0.4, 0.2, 40)
    return [
        {"row": row, "part": "basic", "person": p, "actions": ["smile"], "found": value}
        | {"action_right": person[p] + 0.3 * (row == "iad") + rng.normal(0, 0.01)}
        for p in range(40)
        for row, value in (("iad", 0.5), ("entangled", 0.5), ("truth", 1.0))
    ]


def test_differences_are_paired_by_person():
    """A difference is told far below what people differ among each other; equals are not told apart."""
    plan = Plan("tiny", ("iad", "entangled"), count=40, head="tiny")
    records = _answers()
    added = compare_rows(records, [], plan, "iad", "entangled")
    value, low, high = added["action right"]
    assert value == pytest.approx(0.3, abs=0.02) and high - low < 0.02 and low < value < high
    single = summarise(records, [], plan)["all"]["iad"]["action right"]
    assert single[2] - single[1] > 5 * (high - low)
    assert added["face found"] == (0, 0, 0)
    assert compare_rows(records, [], plan, "iad", "consisid") == {}


def test_the_page_says_what_the_split_adds():
    report = {"split_adds": {"action right": (0.01, -0.02, 0.04), "expression copied": (-0.08, -0.1, -0.05)}}
    (line, _) = _say_added(report)
    assert "+1 points [-2, +4], nothing that can be told" in line and "-0.08 [-0.10, -0.05], better" in line
    report["split_adds"].pop("expression copied")
    assert "nothing that can be told. clips" in _say_added(report)[0]


def test_small_groups_are_joined_with_neighbours():
    groups = [("a", range(9)), ("b", range(2)), ("c", range(8)), ("d", ()), ("e", range(30))]
    joined = action.join_small(groups, 8)
    assert [(name, len(people)) for name, people in joined] == [("a", 9), ("b to c", 10), ("e", 30)]
    assert action.join_small([("a", range(2)), ("b", range(3))], 8) == [("a to b", [0, 1, 0, 1, 2])]


def test_skin_is_measured_on_the_cheeks():
    landmarks = np.random.default_rng(0).uniform(0, 20, (68, 2))
    landmarks[36:42], landmarks[42:48] = (60, 80), (120, 80)
    for lid, mouth, jaw in action.CHEEKS:
        landmarks[[mouth, jaw]] = landmarks[lid] + (0, 60)
    tones = {}
    for name, colour in (("light", (235, 205, 185)), ("dark", (80, 55, 40))):
        photo = np.full((200, 200, 3), (0, 0, 255), np.uint8)
        cv2.circle(photo, (60, 120), 12, colour, -1)
        cv2.circle(photo, (120, 120), 12, colour, -1)
        tones[name] = action.measure_skin(photo, landmarks)
    assert tones["light"] > 41 > -30 > tones["dark"]
    assert [action.name_tone(angle) for angle in (60, 55, 20, -40)] == ["very light", "light", "tan", "dark"]


def test_landmarks_are_read_alike_at_any_size_and_roll():
    """What dlib's landmarks say changes with the mouth alone, not with where, how large and how tilted."""
    points = RNG.uniform(0, 1, (1, 68, 2))
    points[:, 36:42], points[:, 42:48] = points[:, 36:42] * 0.05 + 0.3, points[:, 42:48] * 0.05 + (0.7, 0.3)
    turn = np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    said = read_landmarks(points)[0]
    np.testing.assert_allclose(read_landmarks(1.7 * points @ turn.T + 3)[0], said, atol=1e-9)
    points[:, 65:68, 1] += 0.1
    changed = np.flatnonzero(~np.isclose(read_landmarks(points)[0], said))
    assert [READINGS[k] for k in changed] == ["mouth open"]
    assert said.shape == (len(READINGS),)


def test_what_is_remembered_changes_nothing():
    """Faces and words that are found once give the frames that they give when found anew."""
    photo = np.asarray(Image.open(cut_portrait()).convert("RGB"))
    cached, plain = CachedPipeline.create("tiny"), IaDPipeline.create("tiny")
    for prompt in ("a woman smiles", "a woman smiles", "a woman nods"):
        frames = cached(photo, prompt, seed=3).frames
        np.testing.assert_array_equal(frames, plain(photo, prompt, seed=3).frames)
    assert cached.find_face(photo) is cached.find_face(photo)
    for _ in range(2):
        with pytest.raises(ValueError, match="No face"):
            cached.find_face(np.zeros((48, 480, 3), np.uint8))


@pytest.fixture(scope="module")
def drawing():
    """The tiny model with mini's geometry and reader, which draws a photo as mini does."""
    tiny = CachedPipeline.create("tiny")
    tiny.geometry, tiny.parts["reader"] = load_geometry(checkpoint.WEIGHTS / "mini"), load_mini_reader()
    return tiny


def test_drawn_clips_are_framed_as_the_judges_expect(drawing):
    """Whatever square is drawn of a photo, judges see FFHQ's; a clip keeps one square, so that heads move."""
    photo = data.astronaut()[:430, 40:420]  # cut close: the drawing has to move its square
    fitted = drawing._fit(photo, drawing.find_face(photo))[0]
    still, turned = np.zeros((1, 60), np.float32), np.zeros((1, 60), np.float32)
    turned[0, COEFFICIENTS.index("yaw")] = 12
    frames = [cut_framed(fitted.render(t, size=256).frames, fitted) for t in (still, turned)]
    assert frames[0].shape == (1, 128, 128, 3)
    eyes = [_find_eyes(drawing, f[0]) for f in frames]
    np.testing.assert_allclose(eyes[0].mean(0), [0.5, 0.475], atol=0.035)  # FFHQ's, of the unit square
    assert np.hypot(*(eyes[0][1] - eyes[0][0])) == pytest.approx(0.25, abs=0.035)
    assert np.abs(eyes[1].mean(0) - eyes[0].mean(0)).max() > 0.01


def _find_eyes(pipe, frame):
    marks = pipe.landmarker(frame)
    return np.stack([marks[36:42].mean(0), marks[42:48].mean(0)])


def test_what_a_visitor_sees_is_sampled_at_the_judges_rate(drawing):
    """The 16 frames that judges see are every third of the 48 that a visitor sees."""
    photo, prompt = data.astronaut(), "a woman opens her mouth"
    options = {"size": DRAWN_SIZE, "seed": 3, "duration": 1.0}
    every = drawing(photo, prompt, **options).frames
    few = drawing.draw_framed(photo, prompt, seed=3, duration=1.0)
    assert len(every) == 3 * len(few) == 24
    fitted = drawing._fit(photo, drawing.find_face(photo))[0]
    assert np.abs(cut_framed(every[::3], fitted).astype(int) - few).mean() < 1.5
    assert drawing._fit(photo, drawing.find_face(photo))[0] is fitted
    alone = drawing.draw_framed(photo, prompt, seed=3, duration=1.0, detail_scale=0)
    plain = drawing(photo, prompt, seed=3, duration=1.0, detail_scale=0).frames
    assert alone.shape == (8, 128, 128, 3) and len(plain) == 8


def _write_page(rows, **facts):
    settings = {"held_out_words": False, "count": 2, "actions": ["smile"], "seeds": 1}
    report = dict.fromkeys(("counts", "definitions", "split_adds"), {}) | {"strata": [], "missing": []}
    report |= {"settings": settings | {"tuning": False}, "summary": {"all": rows}, "strata_too_small": []}
    return to_markdown(report | facts)


def test_method_and_product_are_told_apart():
    row = {"action right": (0.5, 0.4, 0.6)}
    rows = dict.fromkeys(("truth", "iad", "consisid", "drawn", "still", "warp"), row)
    method, product = _write_page(rows).split("### The product")
    named = [[name for name in rows if f"| {name} |" in part] for part in (method, product)]
    assert named == [["truth", "iad", "consisid", "still"], ["truth", "drawn", "still", "warp"]]
    alone = {name: row for name, row in rows.items() if name not in ("drawn", "warp")}
    assert "### The product" not in _write_page(alone)


def test_the_page_names_failures():
    rows = {"iad": dict.fromkeys(("action right", "smile"), (0.5, 0.4, 0.6))}
    told = {"action right": "share", "jitter": "energy"}
    counts = {"iad": {"clips": 9, "failed": 2}}
    page = _write_page(rows, counts=counts, definitions=told, missing=["No CLIP."])
    assert "iad: 2 of 9" in page and "50 % [40, 60]" in page and "No CLIP." in page and "energy" not in page


def test_arms_are_measured_without_the_drawing(tmp_path):
    asked = []
    pipe = type("Pipe", (), {})()
    frames = np.zeros((16, 128, 128, 3), np.uint8)

    def call(_, reference, prompt, **options):
        asked.append(options)
        return type("Clip", (), {"frames": frames})

    type(pipe).__call__ = call
    type(pipe).draw_framed = lambda _, *given, **options: asked.append(options | {"arm": "drawn"}) or frames
    plan = Plan("mini", ("iad", "drawn"), count=1, head="tiny")
    stand_in = action_clips.Bench(plan, tmp_path)
    stand_in.__dict__ |= {"pipe": pipe, "references": lambda person: _Everything()}
    for row in ("iad", "consisid", "drawn"):
        action_clips._make(stand_in, next(list_wanted(plan, row, 0)), "smiles")
    assert [(a["arm"], a["detail_scale"]) for a in asked] == [("iad", 0), ("consisid", 0), ("drawn", 1)]


class _Everything(dict):
    def __missing__(self, key):
        return np.zeros((128, 128, 3), np.uint8)


def test_mistakes_are_explained(tmp_path):
    with pytest.raises(ValueError, match="Unknown suite 'beauty'"):
        run("beauty", output=tmp_path)
    with pytest.raises(ValueError, match="no weights of the arm 'nobody'"):
        run("action", model="tiny", arms=("nobody",), people=2, output=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(
    not {"IAD_ICT_FACEKIT", "IAD_PHOTO_PEOPLE"} <= os.environ.keys()
    or not checkpoint.has_part(checkpoint.WEIGHTS / "mini", "scorers-arc"),
    reason="no head or no photo people are named, or no judges are shipped",
)
def test_mini_beats_chance_on_people(tmp_path):
    options = {"actions": ("mouth open", "turn left"), "teachers": 6, "degrees": 0}
    report = run("action", arms=("iad",), people=2, seeds=1, output=tmp_path, **options)
    summary = report["suites"]["action"]["summary"]["all"]
    assert summary["truth"]["action right"][0] == 1 and summary["iad"]["action right"][0] >= 0.5
    assert summary["iad"]["FaceSim-Arc"][0] > 0.2
