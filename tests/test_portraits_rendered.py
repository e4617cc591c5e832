"""Rendered people: a seed makes a person, coefficients move what they name, words match pictures."""

import os

import numpy as np
import pytest

from iad.geometry.coefficients import COEFFICIENTS
from iad.portraits.appearance import CLOTHES, HAIRS, SKINS, STYLES, sample_appearance
from iad.portraits.head import create_tiny_head, load_head
from iad.portraits.rendered import RenderedPerson
from iad.portraits.scenes import SCENES, paint


def track(**weights):
    """One frame; a name without its side means both sides."""
    row = np.zeros((1, 60), np.float32)
    for name, weight in weights.items():
        for full in (name, f"{name}_L", f"{name}_R"):
            if full in COEFFICIENTS:
                row[0, COEFFICIENTS.index(full)] = weight
    return row


@pytest.fixture(scope="module")
def head():
    try:
        return load_head()
    except FileNotFoundError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def person(head):
    return RenderedPerson.sample(head, 25)


@pytest.fixture(scope="module")
def tiny():
    return RenderedPerson.sample(create_tiny_head(0), 3)


def test_same_seed_same_person(tiny):
    again = RenderedPerson.sample(create_tiny_head(0), 3)
    other = RenderedPerson.sample(create_tiny_head(0), 4)
    frames = tiny.render(track(jawOpen=0.5), size=64)
    assert again.traits == tiny.traits
    np.testing.assert_array_equal(again.render(track(jawOpen=0.5), size=64), frames)
    assert (other.render(track(jawOpen=0.5), size=64) != frames).mean() > 0.3


def test_frames_depend_on_their_own_row_only(tiny):
    both = np.concatenate([track(), track(yaw=10.0)])
    np.testing.assert_array_equal(tiny.render(both, size=64)[1], tiny.render(both[1:], size=64)[0])


def test_wrong_track_is_explained(tiny):
    with pytest.raises(ValueError, match="shape"):
        tiny.render(np.zeros((4, 57), np.float32))


def test_framing_is_ffhq(person):
    marks = person.landmarks(track())[0]
    eyes, mouth = marks[36:48].mean(axis=0), marks[[48, 54]].mean(axis=0)
    np.testing.assert_allclose((eyes + 0.1 * (mouth - eyes)), [0.5, 0.5], atol=0.01)
    across = np.linalg.norm(marks[42:48].mean(axis=0) - marks[36:42].mean(axis=0))
    assert max(4 * across, 3.6 * np.linalg.norm(mouth - eyes)) == pytest.approx(1, abs=0.02)


def test_pose_and_expressions_move_landmarks_their_way(person):
    rest = person.landmarks(track())[0]
    moved = lambda **weights: person.landmarks(track(**weights))[0] - rest  # noqa: E731
    assert moved(yaw=15)[30, 0] > 0.03  # own left is picture right
    assert moved(pitch=10)[30, 1] < -0.03
    roll = moved(roll=10)
    assert roll[45, 1] - roll[36, 1] > 0.03
    assert moved(jawOpen=0.8)[8, 1] > 0.04
    assert moved(mouthSmile=1)[48, 0] < -0.005 and moved(mouthSmile=1)[54, 0] > 0.005
    assert np.abs(moved(eyeLookOut=1)[:17]).max() < 0.002


def eye_patch(person, **weights):
    """Picture of the left eye, which is at picture right, at 256 pixels."""
    marks = person.landmarks(track())[0, 42:48] * 256
    (left, top), (right, bottom) = marks.min(axis=0).astype(int), marks.max(axis=0).astype(int) + 1
    return person.render(track(**weights), size=256)[0, top:bottom, left:right].astype(float)


def test_closed_lids_cover_the_eye(person):
    def darkest(**weights):
        pixels = eye_patch(person, **weights)[:, 4:-4].reshape(-1, 3)
        return np.quantile(pixels.sum(axis=1), 0.05)

    # Half-shut lids still show the iris; shut ones show skin and the thin line of the lashes.
    assert darkest() < 120 and darkest(eyeBlink=0.6) < 120
    assert darkest(eyeBlink=1) > 150


def test_gaze_moves_the_iris(person):
    def darkest(**weights):
        patch = 255 * 3 - eye_patch(person, **weights).sum(axis=2)
        weight = np.maximum(patch - np.quantile(patch, 0.6), 0) ** 2
        return (weight.sum(axis=0) * np.arange(patch.shape[1])).sum() / weight.sum()

    ahead = darkest()
    assert darkest(eyeLookOut=1) > ahead + 2 > ahead > darkest(eyeLookIn=1) + 1


def test_every_looks_can_be_drawn_and_said():
    for seed in range(300):
        looks = sample_appearance(np.random.default_rng(seed))
        traits = looks.traits
        assert traits.background in SCENES and traits.skin in SKINS and traits.clothes_colour in CLOTHES
        assert traits.hair_colour in HAIRS and any(traits.hair in styles for styles in STYLES.values())
        assert traits.presentation == "man" or traits.beard == "clean-shaven"
        for colour in (looks.skin, looks.lips, looks.hair, looks.iris, looks.cloth):
            assert np.all((colour >= 0) & (colour <= 1))


def test_clothes_and_skin_have_the_colours_of_their_words(head):
    for seed in range(6):
        person = RenderedPerson.sample(head, seed)
        frame = person.render(track())[0].astype(float)
        cheek = (person.landmarks(track())[0, [31, 2]].mean(axis=0) * 128).astype(int)
        seen, said = frame[cheek[1], cheek[0]], np.array(SKINS[person.traits.skin], float)
        assert seen @ said / np.linalg.norm(seen) / np.linalg.norm(said) > 0.97, person.traits


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_pictures_of_their_own(name):
    picture = paint(name, 5, 64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, paint(name, 5, 64))
    assert (picture != paint(name, 6, 64)).any()
    assert picture.std() > 1


def test_unknown_scene_is_explained():
    with pytest.raises(ValueError, match="a beach"):
        paint("the moon", 0, 64)


def test_speed(person):
    """A pool of clips is rendered on few cores: 40 frames a second on one, with room for a busy machine."""
    import time

    person.render(track())
    start = time.process_time()
    person.render(np.repeat(track(jawOpen=0.3), 20, axis=0))
    assert (time.process_time() - start) / 20 < float(os.environ.get("IAD_FRAME_SECONDS", 0.05))
