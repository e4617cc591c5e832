"""The Portrait tab without a browser: its timeline, its link, its outlined faces, its use of photos."""

import re
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from pillow_heif import from_pillow
from zero_gpu import draw_mini, open_app, rehearse

from iad.config import PRESETS
from iad.demo.examples import digest, load_examples
from iad.demo.faceview import OTHER_PHOTO, outline_faces
from iad.demo.link import Setting, read_link
from iad.demo.loading import count_seconds
from iad.demo.portrait import build_portrait
from iad.demo.studio import Studio
from iad.demo.timeline import draw_timeline, write_rows
from iad.demo.uploads import Click
from iad.demo.wording import draw_line
from iad.faces import Box
from iad.installation import EXAMPLES
from iad.media.photos import load_image
from iad.media.video import save
from iad.request import Request
from iad.text import parse_prompt


@pytest.mark.parametrize(
    "prompt",
    ["nods", "a woman [0.5-1.5s] laughs", "[0-0.5s] winks [0.5-1s] smiles [1-2s] nods"],
)
def test_the_timeline_mirrors_the_prompt(prompt):
    rows = read_cells(draw_timeline(prompt, 2.0))
    assert rows[-1] == ("", "", "")  # room for another action
    assert parse_prompt(write_rows(prompt, rows, 2.0)) == parse_prompt(prompt)


def read_cells(drawn):
    cells = re.findall('<input value="(.*?)"', drawn)
    return list(zip(cells[::3], cells[1::3], cells[2::3], strict=True))


def test_rows_of_the_timeline_write_the_prompt():
    assert write_rows("", [("0", "1", "smiles")], 2.0) == "[0-1s] smiles"
    # A row without times goes on where the one before ends; what holds for all stays.
    written = write_rows("a man [0-2s] nods", [("0", "0.5", "smiles"), ("", "", "winks")], 2.0)
    assert written == "a man [0-0.5s] smiles [0.5-1.5s] winks"
    assert write_rows("nods", [("0", "2", "nods"), ("", "", "")], 2.0) == "nods"
    assert write_rows("nods", [("0", "1.5", "nods")], 2.0) == "[0-1.5s] nods"
    assert write_rows("a man [0-1s] nods", [("0", "1", "")], 2.0) == "a man"
    with pytest.raises(ValueError, match="the end must follow the start"):
        write_rows("", [("1", "0.5", "smiles")], 2.0)
    with pytest.raises(ValueError, match="'soon' is no time"):
        write_rows("", [("soon", "2", "smiles")], 2.0)


def test_every_action_has_its_bar_on_the_axis_and_its_cells():
    drawn = draw_timeline("[0-0.5s] <b> [1-2s] nods", 2.0)
    assert re.findall(r"left:([\d.]+)%;width:([\d.]+)%", drawn) == [("0.0", "25.0"), ("50.0", "50.0")]
    assert "&lt;b&gt;" in drawn and "<b>" not in drawn
    assert "width:100.0%" in draw_timeline("nods", 2.0)
    longer = draw_timeline("[0-2s] nods [2-4s] smiles", 2.0)  # the clip gets as long
    assert "left:50.0%;width:50.0%" in longer and "4 s</i>" in longer
    six = " ".join(f"[{k}-{k + 1}s] nods" for k in range(6))
    assert len(read_cells(draw_timeline(six, 6.0))) == 7


@pytest.mark.parametrize(
    ("prompt", "why"),
    [("[0-1s smiles", "be read"), ("[0-2s] nods [1-2s] smiles", "overlap"), ("[0-11s] nods", "lasts 10 s")],
)
def test_bad_times_say_why(prompt, why):
    assert why in draw_timeline(prompt, 2.0)
    assert '<p class="note" role="status"></p>' in draw_timeline("[0-1s] nods", 2.0)


SETTINGS = (
    Setting("prompt", ""),
    Setting("seed", 0, low=0, high=100),
    Setting("identity", 1.0, low=0, high=2),
    Setting("arm", "iad", choices=("iad", "consisid")),
)


def test_a_link_is_read_and_nonsense_in_it_is_not():
    good = {"prompt": "nods", "seed": "7", "identity": "0.5", "arm": "consisid"}
    assert read_link(good, SETTINGS) == ["nods", 7, 0.5, "consisid"]
    bad = {"seed": "-1", "identity": "nan", "arm": "pixie"}
    assert read_link(bad, SETTINGS) == [gr.skip(), 0, 1.0, "iad"]
    assert read_link({"seed": "7"}, SETTINGS) == [gr.skip(), 7, gr.skip(), gr.skip()]
    assert len(read_link({"prompt": "x" * 9999}, SETTINGS)[0]) == 1000


def test_a_link_fills_every_dial_with_its_own_value():
    with gr.Blocks() as page:
        build_portrait(SimpleNamespace(preset=PRESETS["tiny"]), gr.Checkbox())
    (fill,) = (event for event in page.fns.values() if event.name == "fill")
    names = ["prompt", "seed", "seconds", "whole", "loop", "size", "identity", "action", "detail", "guidance"]
    names += ["arm"]
    values = ("nods", 7, 4.5, True, False, "768", 0.5, 1.5, 0.25, 2.5, "consisid")
    query = {name: str(value).lower() for name, value in zip(names, values, strict=True)}
    (filled,) = fill.fn(gr.Request(query_params=query))
    labels = ["What happens", "Seed", "Length (seconds)", "In its whole photo", "Loop without a jump"]
    labels += ["Pixels"]
    labels += ["Identity strength", "Action strength", "Photo detail", "Guidance", "Method"]
    assert [part.label for part in fill.outputs[3:]] == labels and filled[3:] == list(values)


def test_a_link_shows_its_own_clip_or_none():
    examples = load_examples()
    number = next((k for k, example in enumerate(examples) if example.clip), None)
    if number is None:
        pytest.skip("No prepared clips are installed; they come with the folder examples.")
    with gr.Blocks() as page:
        build_portrait(SimpleNamespace(preset=PRESETS["tiny"]), gr.Checkbox())
    (fill,) = (event for event in page.fns.values() if event.name == "fill")

    def open_link(**query):
        photo, clip, words, *_ = next(filling := fill.fn(gr.Request(query_params=query)))
        photo = load_image(photo) if isinstance(photo, str) else photo  # whose file goes with the generator
        filling.close()
        return photo, clip, words

    _, clip, words = open_link(example=str(number), prompt=examples[number].prompt)
    assert Path(clip).name == examples[number].clip.name and examples[number].prompt in words
    assert open_link(example=str(number), prompt=examples[number].prompt, seed="5")[1:] == (None, "")
    photo, clip, words = open_link(example=str(number), prompt="a man nods at nobody")
    assert np.array_equal(photo, examples[number].picture) and clip is None and words == ""
    assert open_link(prompt="laughs")[1:] == (None, "")
    assert open_link() == (gr.skip(),) * 3


def test_the_page_opens_with_the_request_of_the_clip_that_it_shows():
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    first = studio.first_prepared()
    if first is None:
        pytest.skip("No prepared clips are installed; they come with the folder examples.")
    with gr.Blocks() as page:
        build_portrait(SimpleNamespace(preset=PRESETS["tiny"]), gr.Checkbox())
    shown = {block.elem_id: block for block in page.blocks.values()}
    assert shown["prompt"].value == first.prompt and first.prompt in shown["scores"].value
    picture = np.asarray(Image.open(shown["photo"].value["path"]).convert("RGB"))
    assert digest(picture) == first.digest  # an example needs no consent


def test_every_face_is_outlined_where_it_is_and_can_be_chosen():
    picture = np.zeros((100, 200, 3), np.uint8)
    view = outline_faces(picture, [Box(20, 10, 60, 50), Box(150, -5, 210, 40)], chosen=1)
    assert "left:10.00%;top:10.00%;width:20.00%;height:40.00%" in view
    assert "left:75.00%;top:0.00%" in view  # cut at the photo's edge
    pressed = re.findall(r'data-index="(\d)" aria-pressed="(\w+)"', view)
    assert pressed == [("0", "false"), ("1", "true")] and "2 faces found" in view
    assert f'data-index="{OTHER_PHOTO}"' in view and "url(" not in view and "http" not in view


def test_a_driver_that_will_not_do_says_why(tmp_path):
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    wall = str(save(tmp_path / "wall.mp4", np.full((12, 96, 96, 3), 90, np.uint8), 24))
    assert "Tick the box" in studio.look_at_driver(None, wall, "video", False)
    assert "No face was found" in studio.look_at_driver(None, wall, "video", True)
    (tmp_path / "broken.jpg").write_text("no picture")
    assert "broken.jpg" in studio.look_at_driver(str(tmp_path / "broken.jpg"), wall, "picture", True)
    assert studio.look_at_driver(None, wall, "words", True) == ""
    face = EXAMPLES / "gallery" / "person-019.mp4"
    if face.is_file():
        assert studio.look_at_driver(None, str(face), "video", True) == ""


def test_a_photo_without_consent_is_not_looked_at(photo, monkeypatch, tmp_path):
    import iad.demo.studio as room

    seen = []
    monkeypatch.setattr(room, "detect_faces", lambda picture: seen.append(picture) or [Box(0, 0, 9, 9)])
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    view, shown, _ = studio.look_for_faces(photo, False)
    assert "Tick the box" in view and shown["visible"] is True and not seen
    view, shown, _ = studio.look_once_agreed(photo, True)
    assert "outlined" in view and shown["visible"] == "hidden" and len(seen) == 1
    example = studio.examples[0].picture
    Image.fromarray(example).save(tmp_path / "example.png")  # the page opens with one, and room for another
    assert studio.look_once_agreed(str(tmp_path / "example.png"), True) == (gr.skip(),) * 3


def test_a_photo_that_browsers_do_not_show_is_shown_by_the_page(photo, monkeypatch, tmp_path):
    import iad.demo.studio as room

    monkeypatch.setattr(room, "detect_faces", lambda picture: [Box(0, 0, 9, 9)])
    studio, path = Studio(SimpleNamespace(preset=PRESETS["tiny"])), tmp_path / "photo.heic"
    from_pillow(Image.open(photo).convert("RGB")).save(path)
    view, shown, _ = studio.look_for_faces(str(path), False)
    assert "Tick the box" in view and "data:image/webp" in view and shown["visible"] == "hidden"
    assert 'class="box"' not in view  # nobody looked for faces
    view, shown, _ = studio.look_once_agreed(str(path), True)
    assert 'class="box"' in view and "data:image/webp" in view and shown["visible"] == "hidden"


def test_consent_to_a_photo_that_cannot_be_opened_says_what_is_wrong_with_it(tmp_path):
    (tmp_path / "broken.jpg").write_text("no picture")
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    view, shown, _ = studio.look_once_agreed(str(tmp_path / "broken.jpg"), True)
    assert "broken.jpg" in view and shown["visible"] is True


def test_another_photo_makes_room(photo):
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    view, shown, face = studio.choose_face(photo, True, Click(None, {"index": OTHER_PHOTO}))
    assert view == "" and shown["value"] is None and shown["visible"] is True and face == 0


def test_an_example_needs_no_consent_and_shows_its_clip(tmp_path):
    examples = load_examples()
    if not examples:
        pytest.skip("No examples are installed; they come with the folder examples or with scikit-image.")
    studio = Studio(SimpleNamespace(preset=PRESETS["tiny"]))
    chosen = studio.choose_example(Click(None, {"index": 0}))
    photo, prompt, clip, words = next(chosen)
    picture = load_image(photo)
    assert prompt == examples[0].prompt and (clip is None) == (examples[0].clip is None)
    assert not clip or prompt in words
    Image.fromarray(picture).save(tmp_path / "copy.png")
    opened = studio._open_photos(str(tmp_path / "copy.png"), None, None, "words", False)
    assert digest(opened[0]) == examples[0].digest
    changed = picture.copy()
    changed[0, 0] ^= 1
    Image.fromarray(changed).save(tmp_path / "other.png")
    with pytest.raises(ValueError, match="Tick the box"):
        studio._open_photos(str(tmp_path / "other.png"), None, None, "words", False)


@pytest.mark.slow
def test_zero_gpu_draws_mini_in_a_process_of_its_own(photo):
    said = rehearse(draw_mini, photo, OMP_NUM_THREADS="2")  # of which none come along
    drawn, faceless, cancelled = said["results"]
    assert drawn == said["here"] and said["stays"] == "cpu"  # the page's own stays off the GPU
    assert "No face found" in faceless and cancelled == "cancelled"
    assert said["asked"] == [said["expected"]] * 3 and said["expected"] < 10


@pytest.mark.slow
def test_a_space_on_zero_gpu_opens_with_mini_alone(photo):
    said = rehearse(open_app, photo)
    assert "Runs on: a GPU shared with other visitors, mini. " in said["page"]
    assert said["report"]["model"] == "mini" and said["report"]["frames"] == 24
    assert len(said["asked"]) == 1


def test_a_gpu_is_asked_for_no_longer_than_a_clip_needs():
    def ask(prompt="", **settings):
        return count_seconds(Request((), prompt, **settings))

    assert ask("nods", duration=2.0) == ask("nods") < ask("[0-9s] nods") <= 20
    assert ask(action_reference="a.mp4") == ask(duration=10.0, action_reference="a.mp4") <= 40
    assert ask(action_reference=np.zeros((8, 8, 3), np.uint8)) == ask()


def test_the_line_follows_the_values():
    heights = [
        float(y)
        for y in re.findall(r",([\d.]+)", re.search(r'points="([^"]+)', draw_line(np.array([0, 0.5, 1])))[1])
    ]
    assert heights == [30, 16, 2]
