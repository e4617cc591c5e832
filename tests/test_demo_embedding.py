"""The tab "Inside the embedding" without a browser: what it finds, its mistakes, its files, its swaps."""

import csv
import io
import json
import tempfile
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from app_server import start_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from made_up import ASTRONAUT, draw_wall
from PIL import Image, ImageDraw

from iad import IaDPipeline
from iad.demo.clip_files import ENLARGED
from iad.demo.embedding import KEPT, MOST_FACES, EmbeddingActions, build_embedding
from iad.demo.embedding_words import MATRICES, describe_people, describe_swap
from iad.demo.examples import load_examples, vary
from iad.demo.figures import cut_paper, show_figure
from iad.installation import EXAMPLES
from iad.media.photos import load_image
from iad.media.video import read_metadata, read_video
from iad.pipeline import SAME
from iad.plots.comparison import NUMBERS, cosines, write_csv

PAIRS = sorted(str(file) for file in (EXAMPLES / "pairs").glob("*.png"))
PERSON = EXAMPLES / "person-019.png"  # no example of the page
VISITOR = gr.Request(session_hash="visitor")


class Watched:
    """The tiny pipeline, and what it was asked to draw."""

    def __init__(self):
        self.pipeline = IaDPipeline.from_pretrained("tiny")
        self.preset, self.decouple = self.pipeline.preset, self.pipeline.decouple
        self.match_actions, self.drawn = self.pipeline.match_actions, []

    def generate(self, request, callback):
        self.drawn.append((request.reference, request.action_reference))
        return self.pipeline.generate(request, callback)


@pytest.fixture(scope="module")
def actions():
    return EmbeddingActions(Watched(), load_examples())


def no_progress(*_, **__):
    """Show nothing."""


def look(actions, files, prompts="smiling\neyes closed", consent=True):
    return next(actions.decouple(files, prompts, consent, VISITOR, no_progress))


@pytest.fixture(scope="module")
def found(actions):
    return look(actions, PAIRS[:3], consent=False)


def test_a_look_gives_what_the_command_prints(actions, found):
    report, looked = found
    json.dumps(report)
    assert {"faces", "identity_cosine", "action_cosine"} <= set(report)
    face = report["faces"][0]
    assert set(face) == {"file", "box", *NUMBERS, "actions"}
    assert face["file"] == Path(PAIRS[0]).name
    assert sum(face[share] for share in NUMBERS[:3]) == pytest.approx(1, abs=1e-5)
    assert {match["prompt"] for match in face["actions"]} == {"smiling", "eyes closed"}
    for kind in ("identity_cosine", "action_cosine"):
        values = np.array(report[kind])
        assert values.shape == (3, 3) and np.allclose(values, values.T) and np.allclose(np.diag(values), 1)
    parts = np.stack([looked.faces[0].identity, looked.faces[1].identity])
    assert report["identity_cosine"][0][1] == pytest.approx(cosines(parts, parts)[0, 1], abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"files": []}, "no photo yet"),
        ({"files": PAIRS[:1] * (MOST_FACES + 1)}, "There are 9 photos; compare at most 8"),
        ({"prompts": " \n"}, "list of actions is empty"),
        ({"prompts": "\n".join(f"smile {k}" for k in range(31))}, "has 31 actions"),
        ({"prompts": "x" * 201}, "has 201 characters"),
        ({"files": [str(PERSON)], "consent": False}, "Tick the box"),
        ({"files": ["/nowhere/photo.png"]}, "no longer here"),
    ],
)
def test_mistakes_are_told_in_a_sentence(actions, changes, sentence):
    with pytest.raises(gr.Error, match=sentence):
        look(actions, **{"files": PAIRS[:1], **changes})


def test_the_photo_that_is_wrong_is_named(actions, tmp_path):
    wall, text = tmp_path / "wall.png", tmp_path / "text.png"
    draw_wall(wall)
    text.write_bytes(b"no picture")
    with pytest.raises(gr.Error, match=r"^.?wall\.png: No face found"):
        look(actions, [str(wall)])
    with pytest.raises(gr.Error, match=r"text\.png.* not a JPEG"):
        look(actions, [str(text)])


def test_of_several_faces_the_largest_is_taken_and_the_card_says_so(actions, tmp_path):
    face = np.asarray(Image.open(ASTRONAUT).convert("RGB").crop((130, 0, 330, 260)))
    Image.fromarray(np.concatenate([face, face[:, ::-1]], axis=1)).save(tmp_path / "two.png")
    _, looked = look(actions, [str(tmp_path / "two.png")])
    cards = next(actions.draw(looked))[2]
    assert "2 faces found; this is the largest" in cards and "two.png" in cards


def test_examples_need_no_consent_but_any_other_picture_does(actions, tmp_path):
    assert len(PAIRS) == 6
    picture = load_image(PAIRS[0]).copy()
    Image.fromarray(picture).save(tmp_path / "copy.png")
    assert look(actions, [str(tmp_path / "copy.png")], consent=False)
    picture[0, 0] ^= 1
    Image.fromarray(picture).save(tmp_path / "other.png")
    with pytest.raises(gr.Error, match="Tick the box"):
        look(actions, [str(tmp_path / "other.png")], consent=False)


@pytest.mark.parametrize("number", [0, 1])
def test_pictures_of_the_portrait_tab_need_no_consent_here(actions, tmp_path, number):
    example = load_examples()[number]
    Image.fromarray(example.picture).save(tmp_path / "portrait.png")
    assert np.array_equal(actions._open(str(tmp_path / "portrait.png"), False), example.picture)


def test_another_look_is_closer_and_in_other_light():
    picture = np.full((100, 200, 3), 128, np.uint8)
    warm, cold = vary(picture, cold=False), vary(picture, cold=True)
    assert warm.shape == cold.shape == (70, 150, 3)
    assert warm[0, 0, 0] > warm[0, 0, 2] and cold[0, 0, 0] < cold[0, 0, 2]


@pytest.mark.slow
def test_two_looks_of_a_real_person_are_one_person_and_two_people_are_two():
    known = EmbeddingActions(IaDPipeline.from_pretrained("mini"), load_examples())
    lent = known.lend_examples(0)  # whose files go with it
    report, looked = look(known, next(lent)[0][:4], consent=False)
    likeness = np.array(report["recogniser_cosine"])
    assert likeness[0, 1] > 0.9 and likeness[2, 3] > 0.9 and likeness[:2, 2:].max() < SAME
    assert "<b>2 people</b>: A, B; C, D" in describe_people(looked.labels, report)


def test_people_are_counted_by_the_rule_that_the_page_states():
    likeness = [[1, SAME, 0.2], [SAME, 1, 0.2], [0.2, 0.2, 1]]
    said = describe_people(["A", "B", "C"], {"recogniser_cosine": likeness})
    assert "2 people" in said and "A, B; C" in said and f"From {SAME} " in MATRICES
    assert "1 person" in describe_people(["A", "B"], {"recogniser_cosine": [[1, 0.9], [0.9, 1]]})
    assert describe_people(["A", "B"], {}) == ""
    results = (EXAMPLES.parent / "docs" / "results.md").read_text()
    row = next(line for line in results.splitlines() if line.startswith("| real people | identity |"))
    assert "0.86 | 0.16 | 27 / 64" in row
    assert all(number in MATRICES for number in ("0.86", "0.16", "27 and 64"))


def test_paper_is_cut_away_but_white_within_a_face_stays():
    picture = Image.new("RGB", (60, 60), "white")
    ImageDraw.Draw(picture).rectangle((20, 20, 40, 40), fill="white", outline="navy", width=3)
    seen = np.asarray(cut_paper(picture))[..., 3]
    assert not seen[0].any() and not seen[10, 10] and seen[30, 30] == 255 == seen[21, 21]
    assert 'class="plot cut"' in show_figure(picture, alt="", faces=True)
    assert 'class="plot lines"' in show_figure(picture, alt="")


def test_a_bad_photo_does_not_spoil_eight(actions, tmp_path):
    wall, broken = tmp_path / "wall.png", tmp_path / "broken.jpg"
    draw_wall(wall)
    broken.write_bytes(b"no picture")
    report, looked = look(actions, [*PAIRS, str(wall), str(broken)], consent=True)
    assert len(looked.faces) == 6 and len(report["notes"]) == 2
    assert any("broken.jpg" in note for note in report["notes"])


def test_examples_are_lent_as_copies_that_the_page_may_serve_wherever_the_package_lies(actions):
    lending = actions.lend_examples(2)
    lent, count = next(lending)
    names = [Path(file).stem for file in lent]
    assert count == 3 and names == list(actions.examples)
    assert names[0] == "Eileen Collins" and names[2] == "Grace Hopper"  # real people first
    assert names[4:] == [Path(file).stem for file in PAIRS[: MOST_FACES - 4]]
    assert all(Path(file).is_relative_to(tempfile.gettempdir()) for file in lent)
    for file in lent:  # lent as they are known
        assert actions._open(file, False) is not None
    lending.close()


def test_a_visitor_who_leaves_stops_the_look(actions):
    request = gr.Request(session_hash="leaving")
    run = actions.decouple(PAIRS, "smiling", True, request, lambda *_, **__: actions.looks.forget("leaving"))
    assert list(run) == []


def test_what_is_drawn_has_words_for_those_who_do_not_see_it(actions, found):
    _, looked = found
    shown = next(actions.draw(looked))
    results, several, cards, tables, maps, person, action, *_ = shown
    assert results["visible"] and several["visible"]
    assert cards.count("<article") == 3
    value = looked.report["identity_cosine"][0][1]
    assert f"A and B {value:.2f}" in tables and tables.count("<img") == 2 == maps.count("<img")
    assert person["choices"] == ["A", "B", "C"] and person["value"] == "A"
    alike = np.array(looked.report["identity_cosine"][0]) + np.array(looked.report["action_cosine"][0])
    assert action["value"] == "ABC"[int(alike.argmin())]


def test_one_face_alone_is_not_compared(actions):
    _, looked = look(actions, PAIRS[:1])
    shown = next(actions.draw(looked))
    assert shown[0]["visible"] and not shown[1]["visible"] and shown[3] == shown[4] == ""


def test_two_faces_have_matrices_but_no_map(actions):
    _, looked = look(actions, PAIRS[:2])
    shown = next(actions.draw(looked))
    assert shown[1]["visible"] and shown[3].count("<img") == 2 and shown[4] == ""


def test_a_photo_without_a_face_is_named_and_the_others_are_shown(actions, tmp_path):
    wall = tmp_path / "<b>wall.png"
    draw_wall(wall)
    report, looked = look(actions, [PAIRS[0], str(wall), PAIRS[2]], consent=True)
    assert [face["file"] for face in report["faces"]] == [Path(PAIRS[k]).name for k in (0, 2)]
    assert looked.paths == (PAIRS[0], PAIRS[2]) and len(report["notes"]) == 1
    cards = next(actions.draw(looked))[2]
    assert '<p class="note">&lt;b&gt;wall.png: No face found' in cards


def test_names_of_files_cannot_write_into_the_page(actions, tmp_path):
    bad = tmp_path / "<b>x.png"
    bad.write_bytes(Path(PAIRS[0]).read_bytes())
    _, looked = look(actions, [str(bad)], prompts="<i>smiling")
    cards = next(actions.draw(looked))[2]
    assert "<b>x" not in cards and "<i>smiling" not in cards and "&lt;b&gt;x.png" in cards


def test_the_files_hold_the_numbers_and_leave_nothing_behind(actions, found):
    report, looked = found
    drawing = actions.draw(looked)
    npz, table = (Path(path) for path in next(drawing)[-2:])
    with np.load(npz) as arrays:
        assert np.array_equal(arrays["identity"], np.stack([face.identity for face in looked.faces]))
        assert list(arrays["files"]) == [Path(path).name for path in PAIRS[:3]]
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["file"] for row in rows] == [face["file"] for face in report["faces"]]
    assert float(rows[1]["identity_share"]) == pytest.approx(report["faces"][1]["identity_share"], abs=1e-6)
    assert float(rows[0][f"action_cosine: {rows[2]['file']}"]) == pytest.approx(
        report["action_cosine"][0][2], abs=1e-6
    )
    drawing.close()  # as gradio does once it has its own copies
    assert not npz.exists() and not table.exists()


def test_a_name_is_no_formula():
    face = {"file": "=1+1", "actions": []} | dict.fromkeys(NUMBERS, 0.0)
    report = {"faces": [face], "identity_cosine": [[1.0]], "action_cosine": [[1.0]]}
    assert "\n'=1+1," in write_csv(report).decode()


def test_a_swap_takes_the_person_of_one_and_the_action_of_another(actions, found):
    _, looked = found
    run = actions.swap(looked, "C", "B", False, VISITOR, no_progress)
    clip, words = next(run)
    person, action = actions.pipeline.drawn[-1]
    assert np.array_equal(person, load_image(PAIRS[2])) and np.array_equal(action, load_image(PAIRS[1]))
    frames, _ = read_video(clip, 100)
    tiny = actions.pipeline.preset
    side = ENLARGED * tiny.size
    assert frames.shape == (tiny.frames, side, side, 3)
    assert read_metadata(clip)["arm"] == "iad"
    assert "AI-generated" in words
    run.close()
    assert not Path(clip).exists()


def test_a_swap_says_whom_the_clip_is_like():
    words = describe_swap(np.array([[0.9, 0.1], [0.2, 0.8]]), ["A", "D"], 1.0)
    assert "like A" in words and "like D" in words
    assert words.index("0.90") < words.index("0.10") < words.index("0.20") < words.index("0.80")
    assert "No face is found" in describe_swap(None, ["A", "D"], 1.0)


def test_a_swap_of_forgotten_faces_is_told(actions, found):
    with pytest.raises(gr.Error, match="look inside again"):
        next(actions.swap(None, "A", "B", True, VISITOR, no_progress))
    with pytest.raises(gr.Error, match="no face 'Z'; choose one of A, B, C"):
        next(actions.swap(found[1], "A", "Z", True, VISITOR, no_progress))
    assert actions.show_sources(None, "A", "B") == ""


def test_embeddings_are_forgotten_and_one_endpoint_is_public(actions):
    with gr.Blocks() as demo:
        consent = gr.Checkbox(False, label="Agreed")
        with gr.Tab("Inside"):
            build_embedding(actions.pipeline, consent)
    states = [block for block in demo.blocks.values() if isinstance(block, gr.State)]
    assert [state.time_to_live for state in states if state.value is None] == [KEPT]
    endpoints = demo.get_api_info()["named_endpoints"]
    assert list(endpoints) == ["/decouple"]
    names = [parameter["parameter_name"] for parameter in endpoints["/decouple"]["parameters"]]
    assert names == ["files", "prompts", "consent"]


def test_the_endpoint_answers_as_the_command_does():
    client = Client(start_app(), verbose=False)
    files = [handle_file(path) for path in PAIRS[:2]]
    report = client.predict(files=files, prompts="smiling", consent=False, api_name="/decouple")
    assert [face["file"] for face in report["faces"]] == [Path(path).name for path in PAIRS[:2]]
    assert len(report["identity_cosine"]) == len(report["action_cosine"]) == 2
    with pytest.raises(AppError, match="Tick the box"):
        client.predict(
            files=[handle_file(str(PERSON))], prompts="smiling", consent=False, api_name="/decouple"
        )
