"""The app without a browser: its endpoint, its mistakes, its cancelling, what it promises about photos."""

import json
import socket
import threading
import time
from types import SimpleNamespace

import gradio as gr
import pytest
from app_server import start_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from made_up import ASTRONAUT
from PIL import Image

from iad.config import PRESETS
from iad.demo.examples import digest, load_examples
from iad.demo.loading import BackgroundPipeline
from iad.demo.wording import ACTION, DETECTED, LIKENESS, describe_scores, pick_words
from iad.video import read_metadata, read_video


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    """Give a visitor's own photo: saved as JPEG, its pixels are no longer the example's."""
    file = tmp_path_factory.mktemp("visitor") / "photo.jpg"
    Image.open(ASTRONAUT).save(file, quality=90)
    return str(file)


@pytest.fixture(scope="module")
def client():
    return Client(start_app(), verbose=False)


def ask(client, photo, prompt="laughs", consent=True, **settings):
    photo = handle_file(str(photo)) if photo else None
    return client.predict(photo=photo, prompt=prompt, consent=consent, api_name="/generate", **settings)


def test_one_public_endpoint_with_a_typed_signature(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/generate"]
    types = {p["parameter_name"]: p["python_type"]["type"] for p in endpoints["/generate"]["parameters"]}
    assert types["prompt"] == "str" and types["consent"] == "bool" and types["steps"] == "float"
    assert set(types) == {
        "photo", "prompt", "consent", "seed", "identity_scale", "action_scale", "steps",
        "guidance_scale", "face", "arm",
    }  # fmt: skip


def test_the_method_is_the_callers_choice(client, photo):
    clip, _ = ask(client, photo, arm="consisid", steps=1)
    path = clip["video"] if isinstance(clip, dict) else clip
    assert read_metadata(path)["arm"] == "consisid"
    with pytest.raises(AppError, match="not in the list of choices"):
        ask(client, photo, arm="pixie", steps=1)


def test_a_photo_and_a_prompt_make_an_enlarged_clip_that_says_what_it_is(client, photo):
    clip, report = ask(client, photo, seed=7, steps=1)
    path = clip["video"] if isinstance(clip, dict) else clip
    frames, fps = read_video(path, 100)
    tiny = PRESETS["tiny"]
    assert frames.shape == (tiny.frames, 3 * tiny.size, 3 * tiny.size, 3) and fps == tiny.fps
    assert read_metadata(path)["seed"] == 7 == report["seed"]
    assert -1 <= report["likeness"] <= 1 and 0 <= report["detected"] <= 1 and report["steps"] == 1


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


def test_an_example_needs_no_consent(tmp_path):
    from iad.demo.events import PortraitActions

    examples = load_examples()
    if not examples:
        pytest.skip("No examples are installed; they come with the folder examples or with scikit-image.")
    actions = PortraitActions(None)
    picture, prompt = actions.choose_example(gr.EventData(None, {"index": 0}))
    Image.fromarray(picture).save(tmp_path / "copy.png")
    assert digest(actions._check_inputs(str(tmp_path / "copy.png"), prompt, False, 0)) == examples[0].digest
    changed = picture.copy()
    changed[0, 0] ^= 1
    Image.fromarray(changed).save(tmp_path / "other.png")
    with pytest.raises(ValueError, match="Tick the box"):
        actions._check_inputs(str(tmp_path / "other.png"), prompt, False, 0)


def test_a_photo_without_consent_is_not_looked_at(photo):
    from iad.demo.events import PortraitActions

    seen = []
    actions = PortraitActions(SimpleNamespace(find_face=lambda *given: seen.append(given)))
    assert "Tick the box" in list(actions.look_for_face(photo, False, 0))[-1]
    assert not seen


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
    from iad.demo.events import PortraitActions

    pipeline = SlowPipeline()
    actions = PortraitActions(pipeline)
    request = gr.Request(session_hash="visitor")
    actions.start(request)
    given = (photo, "nods", True, 0, 1, 1, 2, 1.5, 0, "iad", request, lambda *_, **__: None)
    outcome = []
    thread = threading.Thread(target=lambda: outcome.extend(actions.generate(*given)))
    thread.start()
    while not pipeline.steps:
        time.sleep(0.02)
    actions.forget(request)
    assert pipeline.left.wait(5) and pipeline.steps < 100
    thread.join(5)
    assert outcome == [] and actions.stops == {}


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
    report = {"likeness": 0.5, "action": 0.5, "detected": 1.0, "notes": ["<b>"], "seed": 1, "steps": 2}
    assert "&lt;b&gt;" in describe_scores(report | {"seconds": 1.0})


def test_only_this_machine_is_served(client):
    port = int(client.src.rstrip("/").rsplit(":", 1)[1])
    assert client.src.startswith("http://127.0.0.1:")
    others = {a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with pytest.raises(OSError):
            socket.create_connection((address, port), timeout=1).close()
