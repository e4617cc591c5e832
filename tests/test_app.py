"""The app without a browser: its endpoint, its mistakes, its cancelling, what it promises about photos."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from app_server import ROOT, list_cache, start_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from made_up import draw_wall
from PIL import Image

from iad.config import ARMS, PRESETS
from iad.demo.clip_files import thin_out
from iad.demo.clip_form import MOST_SECONDS, choose_length, choose_size, shrink
from iad.demo.compare import load_finished, show_table
from iad.demo.examples import list_photo_people, load_examples
from iad.demo.loading import BackgroundPipeline
from iad.demo.runs import Cancelled, Runs
from iad.demo.studio import Studio, make_report
from iad.demo.visitors import open_house
from iad.demo.wording import ACTION, DETECTED, LIKENESS, describe_examples, describe_scores, pick_words
from iad.faces import mesh
from iad.installation import EXAMPLES
from iad.media.provenance import verify
from iad.media.video import read_metadata, read_video, save
from iad.result import Result


@pytest.fixture(scope="module")
def client():
    return Client(start_app(), verbose=False)


def ask(client, photo, prompt="laughs", consent=True, **settings):
    photo = handle_file(str(photo)) if photo else None
    files = {k: handle_file(v) for k, v in settings.items() if k.startswith("driving") and v}
    settings["more_photos"] = [handle_file(file) for file in settings.get("more_photos", [])]
    given = {"photo": photo, "prompt": prompt, "consent": consent} | settings | files
    return client.predict(**given, api_name="/generate")


def path_of(clip):
    return clip["video"] if isinstance(clip, dict) else clip


class Asked:
    """Stands for a pipeline: remembers what it was asked, and makes nothing."""

    preset = PRESETS["tiny"]

    def generate(self, request, callback):
        self.asked = request
        raise ValueError("Nothing is made here.")

    def hear(self, photo, **more):
        given = (photo, "nods", True, 0, 1, 1, 1.5, 0, "iad")
        visit = {"request": gr.Request(session_hash="a"), "progress": lambda *_, **__: None}
        with pytest.raises(gr.Error, match="Nothing is made"):
            next(Studio(self).generate(*given, **more, **visit))


def test_four_public_endpoints_with_typed_signatures(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/generate", "/compare", "/decouple", "/verify"}
    types = {p["parameter_name"]: p["python_type"]["type"] for p in endpoints["/generate"]["parameters"]}
    assert types["prompt"] == "str" and types["consent"] == "bool"
    assert "Literal['words', 'picture', 'video']" in types["action_from"]
    assert set(types) == {
        "photo", "prompt", "consent", "seed", "identity_scale", "action_scale", "guidance_scale",
        "face", "arm", "more_photos", "action_from", "driving_picture", "driving_video", "label",
        "model", "detail_scale", "duration", "paste_back", "loop", "size",
    }  # fmt: skip
    # the newest last, so that callers who count their arguments need not count anew
    last = [p["parameter_name"] for p in endpoints["/generate"]["parameters"][-5:]]
    assert last == ["detail_scale", "duration", "paste_back", "loop", "size"]
    for endpoint in endpoints.values():
        assert endpoint["parameters"] and all(p["label"] for p in endpoint["parameters"])


def test_the_method_is_the_callers_choice(client, photo):
    clip, _ = ask(client, photo, arm="consisid")
    assert read_metadata(path_of(clip))["arm"] == "consisid"
    with pytest.raises(AppError, match="one of its choices is expected"):
        ask(client, photo, arm="pixie")


def test_the_photos_detail_is_the_callers_choice_and_all_of_it_without_one(client, photo):
    clips = [ask(client, photo, **more)[0] for more in ({}, {"detail_scale": 0.25})]
    assert [read_metadata(path_of(clip))["detail_scale"] for clip in clips] == [1.0, 0.25]
    with pytest.raises(AppError, match="at most"):
        ask(client, photo, detail_scale=1.5)


def test_more_photos_of_one_person_count(client, photo):
    other = str(ROOT / "examples" / "person-099.png")
    pipeline = Asked()
    pipeline.hear(photo, more_photos=[other])
    assert [picture.shape for picture in pipeline.asked.references] == [(512, 512, 3), (256, 256, 3)]
    with pytest.raises(AppError, match="6 photos are too many"):
        ask(client, photo, more_photos=[other] * 5)


def test_a_picture_or_a_video_can_say_the_action(client, photo):
    picture = str(ROOT / "examples" / "person-131.png")
    pipeline, moving = Asked(), str(ROOT / "examples" / "gallery" / "person-131.mp4")
    for source, driver, seconds in (("words", None, 3), ("picture", picture, 3), ("video", moving, None)):
        pipeline.hear(photo, action_from=source, driving_picture=picture, driving_video=moving, duration=3)
        assert pipeline.asked.action_reference == driver and pipeline.asked.duration == seconds
    with pytest.raises(AppError, match="driving video is missing"):
        ask(client, photo, "", action_from="video")


def test_the_label_is_there_unless_it_is_switched_off(client, photo):
    labelled, _ = ask(client, photo)
    plain, _ = ask(client, photo, label=False)
    a, b = (read_video(path_of(clip), 99)[0].astype(int) for clip in (labelled, plain))
    changed = np.abs(a - b).max(axis=(0, 3)) > 60
    rows, columns = np.nonzero(changed)
    assert len(rows) > 100  # in one corner, and nowhere else
    assert np.ptp(rows) < 0.2 * a.shape[1] and np.ptp(columns) < 0.5 * a.shape[2]


def test_a_clip_is_recognised_and_an_altered_one_too(client, photo, tmp_path):
    clip, _ = ask(client, photo, seed=5)
    found = client.predict(file=handle_file(path_of(clip)), api_name="/verify")
    assert found["made_here"] and found["content"] == "unchanged" and found["settings"]["seed"] == 5
    data = Path(path_of(clip)).read_bytes()
    (tmp_path / "forged.mp4").write_bytes(data.replace(b'"seed": 5', b'"seed": 6'))
    found = client.predict(file=handle_file(str(tmp_path / "forged.mp4")), api_name="/verify")
    assert found["made_here"] and found["content"] == "altered"


def test_three_methods_answer_one_request(client, photo):
    *clips, report = client.predict(
        photo=handle_file(photo), prompt="laughs", consent=True, seed=3, api_name="/compare"
    )
    arms = [read_metadata(path_of(clip))["arm"] for clip in clips]
    assert arms == ["iad", "consisid", "id-animator"] == list(report)
    assert all(read_metadata(path_of(clip))["seed"] == 3 for clip in clips)
    assert {len(read_video(path_of(clip), 99)[0]) for clip in clips} == {16}
    # what is compared is the method: nothing is drawn with the photo's pixels
    assert all(entry["made_of"] == {"photo": 0, "denoiser": 1, "paint": 0} for entry in report.values())
    with pytest.raises(AppError, match="Tick the box"):
        client.predict(photo=handle_file(photo), prompt="x", consent=False, seed=0, api_name="/compare")


def test_a_photo_and_a_prompt_make_an_enlarged_clip_that_says_what_it_is(client, photo):
    clip, report = ask(client, photo, seed=7)
    frames, fps = read_video(path_of(clip), 100)
    tiny = PRESETS["tiny"]
    assert frames.shape == (tiny.frames, 3 * tiny.size, 3 * tiny.size, 3) and fps == tiny.fps
    assert any("no geometry to draw with" in note for note in report["notes"])
    assert read_metadata(path_of(clip))["seed"] == 7 == report["seed"]
    assert len(report["identity"]) == tiny.frames and 0 <= report["detected"] <= 1 and report["steps"] is None
    shares = [report[f"{part}_share"] for part in ("identity", "action", "residual")]
    assert sum(shares) == pytest.approx(1)


def test_the_length_is_the_callers_choice_and_a_timeline_may_ask_for_more(client, photo):
    for prompt, duration, seconds in (("laughs", 3, 3), ("[0-1s] nods [2-4s] smiles", 1, 4)):
        _, report = ask(client, photo, prompt, duration=duration)
        assert report["frames"] == seconds * PRESETS["tiny"].fps == len(report["identity"])
    with pytest.raises(AppError, match="at most"):
        ask(client, photo, duration=11)
    with pytest.raises(AppError, match="paste_back needs a face that is drawn"):
        ask(client, photo, paste_back=True)
    assert choose_length("nods", 2.5) == 2.5 and choose_length("[0-9s] nods", 2) == 9


def test_a_driving_video_lasts_as_long_as_it_is(client, photo, tmp_path):
    path = save(tmp_path / "drive.mp4", np.repeat(np.asarray(Image.open(photo))[None], 24, axis=0), 8)
    asked = {"action_from": "video", "driving_video": str(path)}
    _, report = ask(client, photo, "", duration=1, **asked)
    assert report["frames"] == 3 * PRESETS["tiny"].fps


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"photo": None}, "no photo yet"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"consent": False}, "Tick the box"),
        ({"prompt": "[0-11s] nods"}, "clip lasts"),
        ({"face": 5}, "Face 5 was asked for"),
    ],
)
def test_mistakes_are_told_in_a_sentence(client, photo, changes, sentence):
    with pytest.raises(AppError, match=sentence):
        ask(client, **{"photo": photo, **changes})


def test_files_that_are_no_photo_are_told_in_a_sentence(client, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"not a picture")
    draw_wall(tmp_path / "wall.png")
    with pytest.raises(AppError, match="not a JPEG"):
        ask(client, tmp_path / "photo.jpg")
    with pytest.raises(AppError, match="No face found"):
        ask(client, tmp_path / "wall.png")


def test_examples_are_read_from_a_folder_from_packages_and_from_the_photo_people(tmp_path, monkeypatch):
    assert load_examples(tmp_path) == []
    Image.new("RGB", (1500, 1000), "teal").save(tmp_path / "one.png")
    people = tmp_path / "people" / "photos"
    people.mkdir(parents=True)
    Image.new("RGB", (256, 256), "red").save(people / "0107.jpg")
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "astronaut.mp4").write_bytes(b"clip")
    entries = [
        {"package": "skimage", "image": "data/astronaut.png", "prompt": "smiles", "name": "E", "credit": "N"},
        {"package": "no_such_package", "image": "a.png", "prompt": "nods"},
        {"person": 107, "prompt": "laughs"},
        {"person": 115, "prompt": "nods"},
        {"image": "one.png", "prompt": "nods"},
    ]
    (tmp_path / "prompts.json").write_text(json.dumps(entries))
    monkeypatch.setenv("IAD_PHOTO_PEOPLE", str(tmp_path / "people"))
    astronaut, person, teal = load_examples(tmp_path)
    assert (astronaut.name, astronaut.credit, astronaut.clip.name) == ("E", "N", "astronaut.mp4")
    assert person.picture.shape == (256, 256, 3) and person.clip is None and person.name == ""
    assert teal.prompt == "nods" and max(teal.picture.shape) == 768
    assert list_photo_people(tmp_path) == [107, 115]


def test_the_first_examples_are_real_people_with_their_names():
    first = [(example.name, "public domain" in example.credit) for example in load_examples()[:2]]
    assert first == [("Eileen Collins", True), ("Grace Hopper", True)]
    assert "Eileen Collins" in describe_examples(load_examples()[:1])


@pytest.mark.parametrize("path", ["", "config"])
def test_what_a_browser_loads_first_is_small(path):
    with urllib.request.urlopen(f"{start_app().rstrip('/')}/{path}") as answer:
        assert len(gzip.compress(answer.read())) <= 300_000


def test_a_card_carries_a_small_copy_of_its_clip():
    moving = [example for example in load_examples() if example.clip]
    for example in moving:
        frames, _ = read_video(example.card, 240)
        assert example.card.stat().st_size <= 16_000 and frames.shape[1:] == (160, 160, 3)
        assert read_metadata(example.card)["prompt"] == example.prompt
        assert verify(example.card).content == "unchanged"
    assert describe_examples(moving).count("<video") == len(moving) > 0


def test_a_finished_comparison_is_shown_with_its_own_numbers(tmp_path):
    studio = Studio(Asked())
    finished = load_finished(studio)
    reports = json.loads((EXAMPLES / "compare" / "reports.json").read_text())["reports"]
    assert sum(clip.stat().st_size for clip in finished.clips) <= 250_000
    for arm, clip in zip(ARMS, finished.clips, strict=True):
        said = read_metadata(clip)
        assert (said["arm"], said["prompt"], said["detail_scale"]) == (arm, finished.prompt, 0)
        assert f"<td>{reports[arm]['action']:.2f}</td>" in finished.table
    assert finished.table == show_table(reports) and "Eileen Collins" in finished.note
    assert load_finished(studio, tmp_path).clips == (None,) * 3


def test_a_run_leaves_no_file_however_it_ends():
    runs, visitor, ended = Runs(), gr.Request(session_hash="visitor"), []

    others = set(open_house().runs.iterdir())

    def files():
        return [file for file in open_house().runs.iterdir() if file not in others]

    for cancelled in (False, True):
        with runs.follow(visitor, lambda *_, **__: None, doing="") as follow:
            follow(1, 2)
            with runs.follow(visitor, lambda *_, **__: None, doing="") as other:  # of the same caller
                assert len(files()) == 2
            with pytest.raises(Cancelled):
                other(1, 2)
            if cancelled:
                runs.forget("somebody else")
                follow(1, 2)
                runs.forget(visitor.session_hash)
            follow(2, 2)
            ended.append(cancelled)
    assert ended == [False] and files() == [] and runs.going == {}


class Steps:
    """Stands for a pipeline: tells of steps, as clips of several parts do."""

    preset = PRESETS["tiny"]

    def generate(self, request, callback):
        for step in range(1, 4):
            callback(step, 3)
        return make_result(8, 8)


def test_the_bar_never_goes_back_and_is_full_when_the_clip_is_there(photo):
    seen = []
    visit = {"request": gr.Request(session_hash="a"), "progress": lambda at, **_: seen.append(at)}
    for _ in Studio(Steps()).generate(photo, "nods", True, 0, 1, 1, 1.5, 0, "iad", **visit):
        assert seen == sorted(seen) and seen[0] == 0 and seen[-1] == 1 and len(set(seen)) >= 5
        seen.append("the clip")
    assert seen[-1] == "the clip"


def make_result(count, fps, **scores):
    frames = np.zeros((count, 8, 8, 3), np.uint8)
    frames[:, 0, 0, 0] = np.arange(count)
    scores = {"identity": np.full(count, 0.5), "action": float("nan"), "detected": 1.0} | scores
    settings = {"model": "mini", "arm": "iad"}
    made_of = {"photo": 0.99, "denoiser": 0.0, "paint": 0.01}
    return Result(frames, fps, 0, 2.0, scores, settings, ["It knows <no> such action."], made_of)


def test_what_was_not_understood_has_no_score_and_notes_are_sentences():
    report = make_report(make_result(48, 24, residual_share=0.2, identity_share=0.7, action_share=0.1))
    assert report["action"] is None and json.dumps(report, allow_nan=False)
    words = describe_scores(report)
    assert "Action asked for" not in words and '<p class="note">It knows &lt;no&gt; such action.</p>' in words
    assert report["judge"] is None and "Scores are the model's own opinion" in words
    outside = describe_scores(report | {"action": 0.8, "judge": mesh.NAME})
    assert "scored by MediaPipe's face mesh, an outside judge, in 16 frames" in outside
    assert "99.0% of its pixels are the photo's own" in words and "1.0% are painted" in words
    assert "70% identity" in words and "10% action, 20% residual" in words
    assert "step" not in words and "20 steps" in describe_scores(report | {"steps": 20})
    whole = report | {"made_of": {"photo": 0.9999, "denoiser": 0.0, "paint": 0.0001}}
    assert "Nearly all of its pixels are the photo's own, moved. " in describe_scores(whole)
    alone = report | {"made_of": {"photo": 0.0, "denoiser": 1.0, "paint": 0.0}}
    assert "the two embeddings alone" in describe_scores(alone)


def test_a_gif_gets_every_other_frame_and_a_whole_photo_is_shrunk():
    thin = thin_out(make_result(48, 24))
    assert thin.fps == 12 and thin.frames[:3, 0, 0, 0].tolist() == [0, 2, 4] and len(thin.frames) == 24
    assert thin_out(make_result(16, 8)).fps == 8
    assert choose_size("384", None, 384) == {} and choose_size("512", 10.0, 384) == {"size": 512}
    assert choose_size("768", None, 384) == {"size": 768, "duration": MOST_SECONDS}
    with pytest.raises(ValueError, match="4 s at most"):
        choose_size("768", 10.0, 384)
    with pytest.raises(ValueError, match="no size"):
        choose_size("9", 1.0, 384)
    assert shrink(np.zeros((1001, 2001, 3), np.uint8), 960).shape == (480, 960, 3)
    assert shrink(np.zeros((255, 300, 3), np.uint8), 960).shape == (256, 300, 3)


class SlowPipeline:
    """Takes steps until it is stopped."""

    preset = PRESETS["tiny"]

    def __init__(self):
        self.steps, self.left = 0, threading.Event()

    def generate(self, request, callback):
        try:
            for self.steps in range(1, 400):
                time.sleep(0.05)
                callback(self.steps, 400)
        finally:
            self.left.set()


def test_cancel_leaves_the_pipeline_at_the_next_step(photo):
    pipeline = SlowPipeline()
    studio = Studio(pipeline)
    request = gr.Request(session_hash="visitor")
    given = (photo, "nods", True, 0, 1, 1, 1.5, 0, "iad", None, "words", None, None, True)
    outcome = []
    more = {"request": request, "progress": lambda *_, **__: None}
    thread = threading.Thread(target=lambda: outcome.extend(studio.generate(*given, **more)))
    thread.start()
    while not pipeline.steps:
        time.sleep(0.02)
    studio.runs.forget("somebody else")
    before = pipeline.steps
    while pipeline.steps < before + 3:
        time.sleep(0.02)
    studio.runs.forget(request.session_hash)
    assert pipeline.left.wait(5) and pipeline.steps < 100
    thread.join(5)
    assert outcome == [] and studio.runs.going == {}


def test_what_visitors_leave_behind_is_deleted_on_schedule(photo):
    settings = {"IAD_KEPT_SECONDS": "40"}  # longer than one clip takes on a busy machine
    visitor = Client(start_app(**settings), verbose=False)
    ask(visitor, photo)
    left = {path.name for path in list_cache(**settings)}
    assert "photo.jpg" in left and any(name.endswith(".mp4") for name in left)
    deadline = time.monotonic() + 120
    while left and time.monotonic() < deadline:
        time.sleep(1)
        left = {path.name for path in list_cache(**settings)} & {"photo.jpg", "portrait-laughs-seed0.mp4"}
    assert not left


def test_a_pipeline_that_loads_in_the_background_is_waited_for(photo):
    pipeline = BackgroundPipeline("tiny")
    assert not pipeline.ready and pipeline.preset is PRESETS["tiny"]
    assert pipeline.find_face(photo).count == 1
    assert pipeline.ready


def test_what_is_done_in_passing_waits_while_a_run_goes_on_but_not_for_ever():
    runs, passed = Runs(), threading.Event()
    with runs.follow(gr.Request(session_hash="visitor"), gr.Progress(), doing="Drawing"):
        threading.Thread(target=lambda: passed.set() if runs.step_aside(most=60) is None else None).start()
        assert not passed.wait(0.3)
        runs.step_aside(most=0.1)
    assert passed.wait(30)


def test_unknown_models_are_told_before_the_page_is_up():
    with pytest.raises(ValueError, match="no-such-model"):
        BackgroundPipeline("no-such-model")


@pytest.mark.slow
def test_the_command_tells_the_address_last_and_ends_when_told(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    surroundings = os.environ | {"IAD_MODEL": "tiny", "GRADIO_TEMP_DIR": str(tmp_path)}
    words = [sys.executable, "-m", "iad", "demo", "--port", str(port), "--json"]
    with subprocess.Popen(words, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, text=True) as app:
        told = next(line for line in app.stdout if line.startswith("{"))
        with urllib.request.urlopen(json.loads(told)["address"] + "health") as answer:
            assert answer.status == 200
        app.send_signal(signal.SIGTERM)
        assert app.wait(60) == 0 and not app.stdout.read()


def test_words_follow_the_scores():
    assert pick_words(0.99, LIKENESS) == "very close" and pick_words(-1.0, LIKENESS) == "little likeness"
    assert pick_words(0.0, DETECTED) == "in no frame" and pick_words(1.0, DETECTED).startswith("in every")
    for scale in (LIKENESS, ACTION, DETECTED):
        assert [t for t, _ in scale] == sorted((t for t, _ in scale), reverse=True)
    report = {"identity": [0.5], "action": 0.5, "detected": 1.0, "notes": ["<b>"], "seed": 1, "steps": 2}
    report |= {"seconds": 1.0, "identity_share": 0.9, "action_share": 0.1, "residual_share": None}
    report |= {"made_of": {}, "judge": None}
    assert "&lt;b&gt;" in describe_scores(report)


def test_only_this_machine_is_served(client):
    port = int(client.src.rstrip("/").rsplit(":", 1)[1])
    assert client.src.startswith("http://127.0.0.1:")
    others = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=1).close()
