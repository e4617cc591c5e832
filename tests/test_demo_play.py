"""The Play tab without a browser: whose photo answers, to whom, and that sliders and drivers move it."""

import base64
import io
import math
import threading
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from made_up import ASTRONAUT
from PIL import Image

from iad.config import PRESETS
from iad.demo import playroom as room_of
from iad.demo.drivers import NAMES, Drivers
from iad.demo.expressions import BOTH_WAYS, EXPRESSIONS, SLIDERS, read_sliders
from iad.demo.play import build_play
from iad.demo.play_words import PROBLEM
from iad.demo.playroom import AT_ONCE, MOST_VISITORS, PlayRoom, Visit, even_out, read_frame, write_frame
from iad.demo.studio import Studio
from iad.geometry.coefficients import COLUMN, COLUMNS
from iad.installation import EXAMPLES
from iad.media.provenance import verify
from iad.media.video import read_video


class Answering:
    """Stands for a fitted photo: its grey is the smile, plus the mean of the driver."""

    def __init__(self):
        self.inside, self.most = 0, 0

    def perform(self, *, driver=None, under=None, **sliders):
        row = np.zeros(60, np.float32) if under is None else under.copy()
        row[0] = 100 * sliders.get("smile", 0) + (0 if driver is None else driver.mean() / 4)
        if sliders.get("mouth") == 1:
            raise RuntimeError("/srv/secret")
        return row

    def draw(self, track, *, size):
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(0.01)
        self.inside -= 1
        return np.stack([np.full((size, size, 3), row[0], np.uint8) for row in track])

    def show_photo(self, size):
        return np.full((size, size, 3), 7, np.uint8)


@pytest.fixture
def room():
    return PlayRoom(Studio(SimpleNamespace(preset=PRESETS["tiny"], live=lambda photo, face: Answering())))


def claim_four_gigapixels(uri):
    head, _, data = uri.partition(",")
    before, after = base64.b64decode(data).split(b"\xff\xc0")
    data = b"".join([before, b"\xff\xc0", after[:3], b"\xff" * 4, after[7:]])
    return f"{head},{base64.b64encode(data).decode()}"


def to_uri(picture, kind="JPEG"):
    buffer = io.BytesIO()
    picture.save(buffer, format=kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def visitor(name):
    return gr.Request(session_hash=name)


def begin(room, photo, *, consent=True, who="a", face=0):
    ((key, _),) = room.begin(photo, consent, face, visitor(who))
    return key


def open_picture(answer):
    data = base64.b64decode(answer["picture"].partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_slider_moves_the_picture_and_so_does_a_camera(room, photo):
    key = begin(room, photo)
    rest, smiling = (open_picture(room.draw({"key": key, "sliders": {"smile": x}})) for x in (0, 1))
    assert abs(int(rest.mean()) - 0) < 3 and abs(int(smiling.mean()) - 100) < 3
    white = to_uri(Image.new("RGB", (320, 240), "white"))
    filmed = open_picture(room.draw({"key": key, "sliders": {"smile": 1}, "driver": white}))
    assert filmed.mean() > smiling.mean() + 40


def test_a_photo_needs_consent_and_the_camera_too(room, photo):
    ((key, told),) = room.begin(photo, False, 0, visitor("a"))
    assert "Tick the box" in told and key == gr.skip() and room.visits == {}
    key = room.admit(Visit(Answering(), False, "a"))  # an example needs none, whoever sits at the camera does
    camera = to_uri(Image.new("RGB", (320, 240)))
    assert "Tick the box" in room.draw({"key": key, "driver": camera})["problem"]
    assert "picture" in room.draw({"key": key})


def test_the_same_photo_is_read_once_and_consent_comes_later(room, tmp_path):
    Image.fromarray(room.studio.faces[0].picture).save(tmp_path / "example.png")
    example, camera = str(tmp_path / "example.png"), to_uri(Image.new("RGB", (320, 240)))
    key = begin(room, example, consent=False)
    assert "Tick the box" in room.draw({"key": key, "driver": camera})["problem"]
    assert begin(room, example) == gr.skip() and "picture" in room.draw({"key": key, "driver": camera})
    assert begin(room, example, face=1) != gr.skip()  # another face of it is another portrait


def test_a_photo_that_cannot_be_drawn_says_why_and_leaves_the_one_before(room, photo, tmp_path):
    key = begin(room, photo)
    (tmp_path / "broken.jpg").write_text("no picture")
    ((after, told),) = room.begin(str(tmp_path / "broken.jpg"), True, 0, visitor("a"))
    assert after == gr.skip() and "broken.jpg" in told and "picture" in room.draw({"key": key})


def test_only_who_has_the_key_gets_a_picture_and_a_closed_page_is_forgotten(room, photo):
    first, second = (begin(room, photo, who=name) for name in "ab")
    assert first != second and len(first) == 32
    assert room.draw({"key": "0" * 32})["gone"] and room.draw({})["gone"]
    room.forget("a")
    assert room.draw({"key": first})["gone"] and "picture" in room.draw({"key": second})
    third = begin(room, photo, who="b", face=1)  # another photo takes the place of the first
    assert set(room.visits) == {third}
    ((nothing, _),) = room.begin(None, True, 0, visitor("b"))
    assert nothing == "" and room.visits == {}


def test_a_clip_leads_in_its_own_time_and_sliders_come_on_top(room):
    if not room.drivers.tracks:
        pytest.skip("No driving clips are installed; they come with the folder examples.")
    key, seen = room.admit(Visit(Answering(), False, "a")), []  # nobody has to agree: nobody is shown
    for seconds in (0.0, 2.0):
        assert "picture" in room.draw({"key": key, "clip": {"name": "laughs", "seconds": seconds}})
        seen.append(room.visits[key].now)
    assert np.abs(seen[1] - seen[0])[1:].max() > 0.3
    length = len(room.drivers.tracks["laughs"]) / 24
    assert np.array_equal(room.drivers.find_row("laughs", length + 2.0), room.drivers.find_row("laughs", 2.0))
    smiling = room.draw({"key": key, "clip": {"name": "laughs", "seconds": 0}, "sliders": {"smile": 1}})
    assert open_picture(smiling).mean() > 90
    assert "no clip" in room.draw({"key": key, "clip": {"name": "<b>", "seconds": 0}})["problem"]
    assert "seconds" in room.draw({"key": key, "clip": {"name": "laughs", "seconds": "x"}})["problem"]


def test_the_driving_clips_do_what_they_are_called():
    tracks = Drivers().tracks
    if not tracks:
        pytest.skip("No driving clips are installed; they come with the folder examples.")
    assert set(tracks) == set(NAMES)
    assert "public domain: Eileen Collins (NASA) and Grace Hopper" in Drivers().describe()
    most = {name: np.abs(track).max(axis=0) for name, track in tracks.items()}
    smile, yaw, pitch = COLUMNS["mouthSmile"], COLUMN["yaw"], COLUMN["pitch"]
    assert most["laughs"][smile].min() > 0.5 > most["talks"][smile].max()
    assert min(most["looks-around"][yaw], most["nods"][pitch]) > 8 > most["talks"][yaw]
    assert most["talks"][COLUMN["jawOpen"]] > 0.15 and most["grimaces"][COLUMN["jawOpen"]] > 0.3
    for name, track in tracks.items():
        file = EXAMPLES / "drivers" / f"{name}.mp4"
        frames, fps = read_video(file, 300)
        assert len(frames) == len(track) and fps == 24 and file.stat().st_size < 300_000
        assert verify(file).declared_generated


def test_a_take_becomes_a_clip_that_says_what_it_is(room, monkeypatch):
    monkeypatch.setattr(room_of, "PART", 5)
    key = room.admit(Visit(Answering(), True, "a"))
    times = np.linspace(0, 1, 16)
    for number, faster in ((1, 1), (2, 2)):  # the second take counts
        for k in (*range(1, 16, 2), *range(0, 16, 2)):  # two are on their way, and one overtakes the other
            take = {"number": number, "seconds": faster * times[k]}
            room.draw({"key": key, "sliders": {"smile": times[k]}, "take": take})
    room.draw({"key": key, "take": {"number": 1, "seconds": 0.5}})  # late
    clip, file = next(making := room.record(visitor("a"), lambda *_, **__: None))
    frames, fps = read_video(clip, 300)
    grey = frames[:, 100:200, 100:200].mean(axis=(1, 2, 3))
    assert clip == file and (len(frames), fps) == (48, 24) and np.diff(grey).min() > -1 and grey[-1] > 80
    assert verify(clip).settings["played"] is True
    making.close()


def test_a_take_is_evened_out_and_too_short_a_one_told():
    rows = [(k / 10, np.full(60, k, np.float32)) for k in range(20, -1, -1)]
    track = even_out(rows)
    assert len(track) == 48 and np.allclose(np.diff(track[:, 0]), 10 / 24, atol=1e-3)
    with pytest.raises(ValueError, match="press Record"):
        even_out(rows[:3])


def test_a_kept_picture_is_larger_and_says_what_it_is(room, tmp_path):
    key = room.admit(Visit(Answering(), True, "a"))
    assert "choose a face" in room.keep({"key": key})["problem"]
    assert "photo" in room.draw({"key": key, "sliders": {"smile": 1}, "photo": True})
    kept = room.keep({"key": key})
    (tmp_path / kept["name"]).write_bytes(base64.b64decode(kept["file"].partition(",")[2]))
    with Image.open(tmp_path / kept["name"]) as picture:
        assert picture.size == (768, 768)
        assert np.asarray(picture.convert("RGB"))[700:, :300].std() > 5  # the label; all else is grey
    told = verify(tmp_path / kept["name"])
    assert told.made_here and told.content == "unchanged" and told.settings["played"] is True


def test_who_was_away_longest_makes_room(room, monkeypatch):
    keys = [room.admit(Visit(Answering(), True, str(k))) for k in range(MOST_VISITORS)]
    room.draw({"key": keys[0]})
    room.admit(Visit(Answering(), True, "late"))
    assert len(room.visits) == MOST_VISITORS and keys[0] in room.visits and keys[1] not in room.visits
    monkeypatch.setattr(room_of, "KEPT", -1)
    assert set(room.visits) != {room.admit(Visit(Answering(), True, "last"))} and len(room.visits) == 1


def test_two_pictures_are_drawn_at_a_time(room):
    live = Answering()
    key = room.admit(Visit(live, True, "a"))
    threads = [threading.Thread(target=room.draw, args=({"key": key},)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert live.most == AT_ONCE


def test_faults_are_sentences_and_say_nothing_of_the_server(room):
    key = room.admit(Visit(Answering(), True, "a"))
    answer = room.draw({"key": key, "sliders": {"mouth": 1}})
    assert "secret" not in str(answer) and answer["problem"].endswith(".")
    assert "no slider" in room.draw({"key": key, "sliders": {"<b>": 1}})["problem"]
    assert "no slider" in room.draw({"key": key, "sliders": {"smile": "1"}})["problem"]


@pytest.mark.parametrize(
    "asked",
    [
        *({name: value} for name in ("sliders", "clip", "take") for value in ("x", 5, [1])),
        {"sliders": {"smile": 10**400}}, {"clip": {"name": "talks"}}, {"clip": {"seconds": 0}},
        *({"take": {"number": value, "seconds": 0}} for value in ("x", [1], math.nan, math.inf, 10**400)),
    ],
)  # fmt: skip
def test_what_no_page_asks_for_is_told_in_a_sentence_of_its_own(room, asked):
    key = room.admit(Visit(Answering(), False, "a"))
    told = room.draw({"key": key} | asked)["problem"]
    assert told != PROBLEM and told.endswith(".") and "invalid literal" not in told


@pytest.mark.parametrize(
    "uri",
    [
        claim_four_gigapixels(to_uri(Image.new("RGB", (64, 64)))),
        "data:image/jpeg;base64,AAAA",
        "data:image/jpeg;base64,*",
        "/etc/passwd",
        to_uri(Image.new("RGB", (64, 64)), "PNG"),
        "data:image/jpeg;base64," + "A" * 500_000,
        to_uri(Image.new("RGB", (2000, 2000))),  # of few bytes
    ],
)
def test_what_is_no_picture_of_a_camera_is_refused(uri):
    with pytest.raises(ValueError, match="camera"):
        read_frame(uri)


def test_sliders_say_what_the_drawing_takes():
    everything = read_sliders({name: high for name, (_, _, high) in SLIDERS.items()})
    assert everything == {
        "smile": 1, "mouth": 1, "pucker": 1, "wide": 1, "eyeBlink_L": 1, "brows": 1, "gaze_left": 1,
        "yaw": 25, "pitch": 18, "roll": 20,
    }  # fmt: skip
    lowest = read_sliders({name: low for name, (_, low, _) in SLIDERS.items() if name in BOTH_WAYS})
    assert lowest == {"frown": 1, "eyes": 1, "furrow": 1, "gaze_right": 1}
    assert read_sliders({"gaze": -0.5, "smile": 9}) == {"gaze_right": 0.5, "smile": 1}
    for moved in EXPRESSIONS.values():
        assert all(SLIDERS[name][1] <= value <= SLIDERS[name][2] for name, value in moved.items())


def test_the_stage_has_every_slider_and_names_it():
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    with gr.Blocks() as page, gr.Tab("Play") as tab:
        studio.photo, studio.face = gr.Image(), gr.Number()
        build_play(studio, gr.Checkbox(), tab)
    (stage,) = (block for block in page.blocks.values() if block.elem_id == "play-stage")
    assert all(f'name="{name}"' in stage.html_template for name in SLIDERS)
    assert all(f">{name}</button>" in stage.html_template for name in EXPRESSIONS)
    assert [fn.__name__ for fn in stage.server_fns] == ["draw", "keep"]


@pytest.mark.slow
def test_a_real_photo_answers():
    from iad import IaDPipeline

    pipe = IaDPipeline.from_pretrained("mini")
    room = PlayRoom(Studio(pipe))
    key = begin(room, str(ASTRONAUT))
    rest, smile, turn = (
        open_picture(room.draw({"key": key, "sliders": moved})).astype(int)
        for moved in ({}, {"smile": 1.0}, {"turn": 20.0})
    )
    assert rest.shape == (384, 384, 3)
    assert np.abs(smile - rest).mean() > 0.5 and np.abs(turn - rest).mean() > 3
    camera = Image.open(ASTRONAUT).convert("RGB").resize((320, 320))
    assert open_picture(room.draw({"key": key, "driver": to_uri(camera)})).shape == (256, 256, 3)
    photo = open_picture({"picture": room.draw({"key": key, "photo": True})["photo"]}).astype(int)
    # in the same place as the portrait: beyond the face nothing moves
    assert np.abs(photo[:, :40] - rest[:, :40]).mean() < 3
    wall = room.draw({"key": key, "driver": to_uri(Image.new("RGB", (320, 240), "gray"))})
    assert "face" in wall["problem"]


def test_a_picture_survives_being_written():
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    assert np.abs(open_picture({"picture": write_frame(picture)}).astype(int) - picture).max() < 8
