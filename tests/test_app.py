"""The app without a browser: its endpoint, its mistakes, its cancelling, what it promises about photos."""

import json
import socket
import threading
import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from app_server import ROOT, list_cache, start_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from iad.config import PRESETS
from iad.demo.examples import load_examples
from iad.demo.loading import BackgroundPipeline
from iad.demo.studio import SMOOTH, Studio
from iad.demo.wording import ACTION, DETECTED, LIKENESS, describe_scores, pick_words
from iad.video import read_metadata, read_video


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


def test_four_public_endpoints_with_typed_signatures(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/generate", "/compare", "/decouple", "/verify"}
    types = {p["parameter_name"]: p["python_type"]["type"] for p in endpoints["/generate"]["parameters"]}
    assert types["prompt"] == "str" and types["consent"] == "bool" and types["steps"] == "float"
    assert "Literal['words', 'picture', 'video']" in types["action_from"]
    assert set(types) == {
        "photo", "prompt", "consent", "seed", "identity_scale", "action_scale", "steps", "guidance_scale",
        "face", "arm", "more_photos", "action_from", "driving_picture", "driving_video", "label",
        "model", "detail_scale",
    }  # fmt: skip
    # the last one, so that callers who count their arguments need not count anew
    assert endpoints["/generate"]["parameters"][-1]["parameter_name"] == "detail_scale"
    for endpoint in endpoints.values():
        assert endpoint["parameters"] and all(p["label"] for p in endpoint["parameters"])


def test_the_method_is_the_callers_choice(client, photo):
    clip, _ = ask(client, photo, arm="consisid", steps=1)
    assert read_metadata(path_of(clip))["arm"] == "consisid"
    with pytest.raises(AppError, match="not in the list of choices"):
        ask(client, photo, arm="pixie", steps=1)


def test_the_photos_detail_is_the_callers_choice_and_all_of_it_without_one(client, photo):
    clips = [ask(client, photo, steps=1, **more)[0] for more in ({}, {"detail_scale": 0.25})]
    assert [read_metadata(path_of(clip))["detail_scale"] for clip in clips] == [1.0, 0.25]
    with pytest.raises(AppError, match="maximum"):
        ask(client, photo, steps=1, detail_scale=1.5)


def test_more_photos_of_one_person_count(client, photo):
    other = str(ROOT / "examples" / "person-099.png")
    _, one = ask(client, photo, steps=1)
    _, two = ask(client, photo, steps=1, more_photos=[other])
    assert one["identity"] != two["identity"] and one["identity_share"] != two["identity_share"]
    with pytest.raises(AppError, match="6 photos are too many"):
        ask(client, photo, more_photos=[other] * 5)


def test_a_picture_or_a_video_can_say_the_action(client, photo):
    picture = str(ROOT / "examples" / "person-131.png")
    _, words = ask(client, photo, "nods", steps=1)
    _, shown = ask(client, photo, "", steps=1, action_from="picture", driving_picture=picture)
    moving = str(ROOT / "examples" / "gallery" / "person-131.mp4")
    _, played = ask(client, photo, "", steps=1, action_from="video", driving_video=moving)
    assert len({words["action"], shown["action"], played["action"]}) == 3
    with pytest.raises(AppError, match="driving video is missing"):
        ask(client, photo, "", action_from="video")


def test_the_label_is_there_unless_it_is_switched_off(client, photo):
    labelled, _ = ask(client, photo, steps=1)
    plain, _ = ask(client, photo, steps=1, label=False)
    a, b = (read_video(path_of(clip), 99)[0].astype(int) for clip in (labelled, plain))
    changed = np.abs(a - b).max(axis=(0, 3)) > 60
    rows, columns = np.nonzero(changed)
    assert len(rows) > 100  # in one corner, and nowhere else
    assert np.ptp(rows) < 0.2 * a.shape[1] and np.ptp(columns) < 0.5 * a.shape[2]


def test_a_clip_is_recognised_and_an_altered_one_too(client, photo, tmp_path):
    clip, _ = ask(client, photo, seed=5, steps=1)
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
    assert {len(read_video(path_of(clip), 99)[0]) for clip in clips} == {46}
    assert all(-1 <= entry["copied"] <= 1 for entry in report.values())
    with pytest.raises(AppError, match="Tick the box"):
        client.predict(photo=handle_file(photo), prompt="x", consent=False, seed=0, api_name="/compare")


def test_a_photo_and_a_prompt_make_an_enlarged_clip_that_says_what_it_is(client, photo):
    clip, report = ask(client, photo, seed=7, steps=1)
    frames, fps = read_video(path_of(clip), 100)
    tiny = PRESETS["tiny"]
    smooth = (tiny.frames - 1) * SMOOTH + 1
    assert frames.shape == (smooth, 3 * tiny.size, 3 * tiny.size, 3) and fps == SMOOTH * tiny.fps
    assert read_metadata(path_of(clip))["seed"] == 7 == report["seed"]
    assert len(report["identity"]) == tiny.frames and 0 <= report["detected"] <= 1 and report["steps"] == 1
    assert report["identity_share"] + report["action_share"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"photo": None}, "no photo yet"),
        ({"prompt": "  "}, "prompt is empty"),
        ({"consent": False}, "Tick the box"),
        ({"prompt": "[0-9s] nods"}, "clip lasts"),
        ({"face": 5}, "Face 5 was asked for"),
    ],
)
def test_mistakes_are_told_in_a_sentence(client, photo, changes, sentence):
    with pytest.raises(AppError, match=sentence):
        ask(client, **{"photo": photo, **changes})


def test_files_that_are_no_photo_are_told_in_a_sentence(client, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"not a picture")
    Image.new("RGB", (200, 200), "gray").save(tmp_path / "wall.png")
    with pytest.raises(AppError, match="not a JPEG"):
        ask(client, tmp_path / "photo.jpg")
    with pytest.raises(AppError, match="No face found"):
        ask(client, tmp_path / "wall.png")


def test_examples_are_read_from_a_folder(tmp_path):
    assert all(example.prompt for example in load_examples(tmp_path))
    Image.new("RGB", (1500, 1000), "teal").save(tmp_path / "one.png")
    (tmp_path / "prompts.json").write_text(json.dumps([{"image": "one.png", "prompt": "nods"}]))
    first = load_examples(tmp_path)[0]
    assert first.prompt == "nods" and max(first.picture.shape) == 768


class SlowPipeline:
    """Takes steps until it is stopped."""

    preset = PRESETS["tiny"]

    def __init__(self):
        self.steps, self.left = 0, threading.Event()

    def __call__(self, *_, callback, **__):
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
    studio.runs.start(request)
    given = (photo, "nods", True, 0, 1, 1, 2, 1.5, 0, "iad", None, "words", None, None, True)
    outcome = []
    more = {"request": request, "progress": lambda *_, **__: None}
    thread = threading.Thread(target=lambda: outcome.extend(studio.generate(*given, **more)))
    thread.start()
    while not pipeline.steps:
        time.sleep(0.02)
    studio.runs.forget(gr.Request(session_hash="somebody else"))
    before = pipeline.steps
    while pipeline.steps < before + 3:
        time.sleep(0.02)
    studio.runs.forget(request)
    assert pipeline.left.wait(5) and pipeline.steps < 100
    thread.join(5)
    assert outcome == [] and studio.runs.stops == {}


def test_what_visitors_leave_behind_is_deleted_on_schedule(photo):
    settings = {"IAD_KEPT_SECONDS": "40"}  # longer than one clip takes on a busy machine
    visitor = Client(start_app(**settings), verbose=False)
    ask(visitor, photo, steps=1)
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


def test_unknown_models_are_told_before_the_page_is_up():
    with pytest.raises(ValueError, match="no-such-model"):
        BackgroundPipeline("no-such-model")


def test_words_follow_the_scores():
    assert pick_words(0.99, LIKENESS) == "very close" and pick_words(-1.0, LIKENESS) == "little likeness"
    assert pick_words(0.0, DETECTED) == "in no frame" and pick_words(1.0, DETECTED).startswith("in every")
    for scale in (LIKENESS, ACTION, DETECTED):
        assert [t for t, _ in scale] == sorted((t for t, _ in scale), reverse=True)
    report = {"identity": [0.5], "action": 0.5, "detected": 1.0, "notes": ["<b>"], "seed": 1, "steps": 2}
    report |= {"seconds": 1.0, "identity_share": 0.9, "action_share": 0.1}
    assert "&lt;b&gt;" in describe_scores(report)


def test_only_this_machine_is_served(client):
    port = int(client.src.rstrip("/").rsplit(":", 1)[1])
    assert client.src.startswith("http://127.0.0.1:")
    others = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=1).close()
