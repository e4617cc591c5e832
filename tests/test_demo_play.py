"""The Live tab without a browser: whose photo answers, to whom, and that sliders and a camera move it."""

import base64
import io
import threading
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from made_up import ASTRONAUT
from PIL import Image

from iad.config import PRESETS
from iad.demo import live as room_of
from iad.demo.live import (
    AT_ONCE,
    MOST_VISITORS,
    SLIDERS,
    LiveRoom,
    build_live,
    read_frame,
    read_sliders,
    write_frame,
)
from iad.demo.studio import Studio


class Answering:
    """Stands for a fitted photo: its grey is the smile, plus the mean of the driver."""

    def __init__(self):
        self.inside, self.most = 0, 0

    def frame(self, *, driver=None, **sliders):
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.01)
        grey = 100 * sliders.get("smile", 0) + (0 if driver is None else driver.mean() / 4)
        if sliders.get("mouth") == 1:
            raise RuntimeError("/srv/secret")
        self.inside -= 1
        return np.full((8, 8, 3), grey, np.uint8)


@pytest.fixture
def room():
    return LiveRoom(Studio(SimpleNamespace(preset=PRESETS["tiny"], live=lambda photo: Answering())))


def to_uri(picture, kind="JPEG"):
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def visitor(name):
    return gr.Request(session_hash=name)


def open_picture(answer):
    data = base64.b64decode(answer["picture"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_slider_moves_the_picture_and_so_does_a_camera(room, photo):
    (key,) = room.begin(photo, True, visitor("a"))
    rest, smiling = (open_picture(room.draw({"key": key, "sliders": {"smile": x}})) for x in (0, 1))
    assert abs(int(rest.mean()) - 0) < 3 and abs(int(smiling.mean()) - 100) < 3
    white = to_uri(Image.new("RGB", (320, 240), "white"))
    filmed = open_picture(room.draw({"key": key, "sliders": {"smile": 1}, "driver": white}))
    assert filmed.mean() > smiling.mean() + 40


def test_a_photo_needs_consent_and_the_camera_too(room, photo):
    with pytest.raises(gr.Error, match="Tick the box"):
        list(room.begin(photo, False, visitor("a")))
    assert room.visits == {}
    key = room.admit(Answering(), False, "a")  # an example needs none, whoever sits at the camera does
    camera = to_uri(Image.new("RGB", (320, 240)))
    assert "Tick the box" in room.draw({"key": key, "driver": camera})["problem"]
    assert "picture" in room.draw({"key": key})


def test_only_who_has_the_key_gets_a_picture_and_a_closed_page_is_forgotten(room, photo):
    (first,), (second,) = (room.begin(photo, True, visitor(name)) for name in "ab")
    assert first != second and len(first) == 32
    assert room.draw({"key": "0" * 32})["gone"] and room.draw({})["gone"]
    room.forget("a")
    assert room.draw({"key": first})["gone"] and "picture" in room.draw({"key": second})
    (third,) = room.begin(photo, True, visitor("b"))  # another photo takes the place of the first
    assert set(room.visits) == {third}


def test_who_was_away_longest_makes_room(room, monkeypatch):
    keys = [room.admit(Answering(), True, str(k)) for k in range(MOST_VISITORS)]
    room.draw({"key": keys[0]})
    room.admit(Answering(), True, "late")
    assert len(room.visits) == MOST_VISITORS and keys[0] in room.visits and keys[1] not in room.visits
    monkeypatch.setattr(room_of, "KEPT", -1)
    assert set(room.visits) != {room.admit(Answering(), True, "last")} and len(room.visits) == 1


def test_two_pictures_are_drawn_at_a_time(room):
    live = Answering()
    key = room.admit(live, True, "a")
    threads = [threading.Thread(target=room.draw, args=({"key": key},)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live.most == AT_ONCE


def test_faults_are_sentences_and_say_nothing_of_the_server(room):
    key = room.admit(Answering(), True, "a")
    answer = room.draw({"key": key, "sliders": {"mouth": 1}})
    assert "secret" not in str(answer) and answer["problem"].endswith(".")
    assert "no slider" in room.draw({"key": key, "sliders": {"<b>": 1}})["problem"]
    assert "no slider" in room.draw({"key": key, "sliders": {"smile": "1"}})["problem"]


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/jpeg;base64,AAAA",
        "data:image/jpeg;base64,*",
        "/etc/passwd",
        to_uri(Image.new("RGB", (64, 64)), "PNG"),
        "data:image/jpeg;base64," + "A" * 500_000,
    ],
)
def test_what_is_no_picture_of_a_camera_is_refused(uri):
    with pytest.raises(ValueError, match="camera"):
        read_frame(uri)


def test_sliders_say_what_the_drawing_takes():
    everything = read_sliders({name: high for name, (_, _, high) in SLIDERS.items()})
    assert everything == {
        "smile": 1, "mouth": 1, "eyes": 1, "brows": 1, "gaze_left": 1, "yaw": 25, "pitch": 18, "roll": 20,
    }  # fmt: skip
    assert read_sliders({"gaze": -0.5, "smile": 9}) == {"gaze_right": 0.5, "smile": 1}


def test_the_stage_has_every_slider_and_names_it():
    with gr.Blocks() as page:
        build_live(Studio(SimpleNamespace(preset=PRESETS["tiny"])), gr.Checkbox())
    (stage,) = (block for block in page.blocks.values() if block.elem_id == "live-stage")
    assert all(f'name="{name}"' in stage.html_template for name in SLIDERS)
    assert stage.html_template.count("<label>") == len(SLIDERS)
    assert [fn.__name__ for fn in stage.server_fns] == ["draw"]


@pytest.mark.slow
def test_a_real_photo_answers():
    from iad import IaDPipeline

    pipe = IaDPipeline.from_pretrained("mini")
    room = LiveRoom(Studio(pipe))
    (key,) = room.begin(str(ASTRONAUT), True, visitor("a"))
    rest, smile, turn = (
        open_picture(room.draw({"key": key, "sliders": moved})).astype(int)
        for moved in ({}, {"smile": 1.0}, {"turn": 20.0})
    )
    assert rest.shape == (256, 256, 3)
    assert np.abs(smile - rest).mean() > 0.5 and np.abs(turn - rest).mean() > 3
    camera = Image.open(ASTRONAUT).convert("RGB").resize((320, 320))
    assert open_picture(room.draw({"key": key, "driver": to_uri(camera)})).shape == rest.shape
    wall = room.draw({"key": key, "driver": to_uri(Image.new("RGB", (320, 240), "gray"))})
    assert "face" in wall["problem"]


def test_a_picture_survives_being_written():
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    assert np.abs(open_picture({"picture": write_frame(picture)}).astype(int) - picture).max() < 8
