"""The strip of what a face could do: what is drawn, of whom, and what a click asks for."""

import re

import pytest
from PIL import Image

from iad import IaDPipeline
from iad.demo.repertoire import SHOWN, Repertoire
from iad.demo.studio import Studio
from iad.demo.uploads import Click
from iad.performing.actions import ACTIONS


@pytest.fixture(scope="module")
def repertoire():
    return Repertoire(Studio(IaDPipeline.from_pretrained("mini")))


def list_pictures(strip):
    return re.findall(r'src="(data:image/webp;base64,[^"]+)"', strip)


def save(picture, file):
    Image.fromarray(picture).save(file)
    return str(file)


def test_every_picture_shows_another_action_of_the_same_face(repertoire, tmp_path):
    first, second = (
        repertoire.show(save(face.picture, tmp_path / f"{k}.png"), False, None)
        for k, face in enumerate(repertoire.studio.faces[:2])
    )
    assert len(set(list_pictures(first))) == len(SHOWN) == len(set(list_pictures(second)))
    assert not set(list_pictures(first)) & set(list_pictures(second))
    assert set(SHOWN.values()) <= set(ACTIONS)
    asked = [repertoire.choose(Click(None, {"index": k})) for k in range(len(SHOWN))]
    assert asked == re.findall(r"<span>([^<]+)</span>", first)


def test_a_visitors_photo_is_drawn_once_agreed_after_clips_and_not_kept(repertoire, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(repertoire.studio.runs, "step_aside", lambda: waited.append(1))
    picture = repertoire.studio.faces[0].picture.copy()
    picture[0, 0] ^= 1  # no example any more
    photo, kept = save(picture, tmp_path / "own.png"), dict(repertoire._examples)
    assert repertoire.show(photo, False, None) == ""
    assert len(list_pictures(repertoire.show(photo, True, 0))) == len(SHOWN) < len(waited)
    assert repertoire._examples == kept


def test_what_cannot_be_drawn_shows_nothing(repertoire, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    assert repertoire.show(str(tmp_path / "black.png"), True, None) == ""
    assert repertoire.show(None, True, None) == ""
