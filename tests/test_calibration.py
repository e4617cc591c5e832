"""Drivers are taken about their own rest: narrow eyes are open eyes, blinks close, nothing trembles."""

import cv2
import numpy as np
import pytest

from iad.faces.gaze import measure_gaze
from iad.geometry.coefficients import COLUMN
from iad.geometry.driving import (
    LIDS,
    WEIGHT_GAIN,
    close_in_blinks,
    find_rest,
    move_about,
    observe,
    steady,
)

RNG = np.random.default_rng(0)


def lids_of(eyes):
    """Return what eyes that open so far, the same on both sides, make of the lids."""
    seen = np.zeros((len(eyes), 64))
    seen[:, 60:62] = np.asarray(eyes)[:, None]
    return move_about(find_rest(seen), seen)


@pytest.mark.parametrize("turn", [np.eye(2), 7 * np.array([[0.8, -0.6], [0.6, 0.8]])])
def test_an_eye_is_measured_at_any_turn_and_size(turn):
    landmarks = np.zeros((68, 2))
    landmarks[36:48] = np.tile([[0, 0], [3, -1.5], [6, -1.5], [9, 0], [6, 1.5], [3, 1.5]], (2, 1))
    row = observe(np.zeros((9, 9, 3), np.uint8), np.arange(60.0), landmarks @ turn)
    assert row[:62] == pytest.approx([*range(60), 1 / 3, 1 / 3])


@pytest.mark.parametrize("own", [0.24, 0.38])
def test_eyes_are_open_that_open_as_far_as_they_do(own):
    lids = lids_of([own] * 20 + [0.06] * 5)[:, LIDS]
    assert lids[:20].max() < 0.01 and lids[20:].min() > 0.99


def test_eyes_that_are_shut_throughout_are_shut():
    assert lids_of([0.07] * 20)[:, LIDS].min() > 0.9


def test_what_a_face_at_rest_is_read_as_is_taken_off_and_what_it_holds_is_not():
    seen = np.full((20, 64), 0.0)
    seen[:, COLUMN["cheekPuff_L"]], seen[:, COLUMN["mouthSmile_L"]] = 0.12, 0.6
    seen[:, COLUMN["jawOpen"]], seen[:, 60:62] = 0.1, 0.3
    moved = move_about(find_rest(seen), seen)[0]
    assert moved[COLUMN["cheekPuff_L"]] == 0, "a shape, not an action"
    for name, read in (("mouthSmile_L", 0.6), ("jawOpen", 0.1)):
        column = COLUMN[name]
        assert WEIGHT_GAIN[column] > 1 and moved[column] == pytest.approx(read * WEIGHT_GAIN[column])


def test_a_wink_is_one_eye_and_a_far_eye_that_is_badly_seen_is_none():
    seen = np.zeros((20, 64))
    seen[:, 60:62] = 0.34
    seen[12:14, 60:62], seen[16:18, 60:62] = (0.10, 0.30), (0.10, 0.20)
    lids = move_about(find_rest(seen), seen)[:, LIDS]
    assert lids[12, 0] > 0.75 and lids[12, 1] < 0.25
    assert lids[16, 0] == lids[16, 1] == pytest.approx(0.68, abs=0.02)


def draw_eyes(look):
    """Draw two eyes whose irises lie `look` (right, down) eye widths from the middle."""
    picture, landmarks = np.full((60, 160, 3), 230, np.uint8), np.zeros((68, 2))
    eye = np.array([[0, 0], [13, -9], [27, -9], [40, 0], [27, 9], [13, 9]], float)
    for first, at in ((36, (20, 30)), (42, (100, 30))):
        landmarks[first : first + 6] = eye + at
        centre = np.add(at, (20, 0)) + np.multiply(look, 40)
        cv2.circle(picture, tuple(int(v) for v in centre), 8, (60, 40, 30), -1)
    return picture, landmarks


@pytest.mark.parametrize("turned", [0, 1])
def test_gaze_is_where_the_irises_are(turned):
    def look(*at):
        picture, landmarks = draw_eyes(at)
        if turned:  # the picture lies on its side
            picture, landmarks = np.rot90(picture, -1).copy(), landmarks[:, ::-1] * [-1, 1] + [59, 0]
        return measure_gaze(picture, landmarks)

    ahead = look(0, 0)
    assert look(0.2, 0) - ahead == pytest.approx([0.2, 0], abs=0.03)
    assert look(-0.1, 0) - ahead == pytest.approx([-0.1, 0], abs=0.03)
    assert (look(0, 0.08) - ahead)[1] > 0.03


def test_of_shut_eyes_no_look_is_told_and_a_driver_looks_about_the_usual_look():
    picture, landmarks = draw_eyes((0, 0))
    landmarks[[37, 38, 43, 44]] += [0, 9]
    landmarks[[40, 41, 46, 47]] -= [0, 9]
    assert np.isnan(measure_gaze(picture, landmarks)).all()
    seen = np.zeros((20, 64))
    seen[:, 60:62], seen[:, 62:], seen[5, 62], seen[9, 62:] = 0.3, (0.05, 0.1), 0.05 + 0.16, np.nan
    track = move_about(find_rest(seen), seen)
    left = [COLUMN["eyeLookOut_L"], COLUMN["eyeLookIn_R"]]
    assert track[5, left] == pytest.approx([1, 1]) and np.delete(track[:, left], 5, axis=0).max() < 1e-6
    assert np.isfinite(track).all()


def test_a_blink_of_one_frame_that_is_half_seen_closes_the_eyes():
    eyes = np.full(48, 0.34)
    eyes[20] = 0.20
    track = steady(close_in_blinks(lids_of(eyes), 24))
    assert track[20, LIDS].min() > 0.9 and track[[18, 22]][:, LIDS].max() < 0.1


def test_neither_trembling_nor_half_closed_eyes_become_blinks():
    trembling = 0.34 + RNG.normal(0, 0.012, 200)
    drowsy = np.where(np.arange(200) > 60, 0.20, 0.34)
    for eyes, most in ((trembling, 0.25), (drowsy, 0.6)):
        assert close_in_blinks(lids_of(eyes), 24)[:, LIDS].max() < most


def test_what_trembles_is_held_and_what_moves_is_not_late():
    still = RNG.normal(0, 1, (100, 60)) * np.r_[np.full(57, 0.01), np.full(3, 0.4)]
    step = still + np.r_[np.full(57, 0.5), np.full(3, 10.0)] * (np.arange(100) >= 50)[:, None]
    held, moved = steady(still), steady(step)
    trembles = [np.diff(track, axis=0).std(axis=0) for track in (held, still)]
    assert (trembles[0] < 0.5 * trembles[1]).all()
    assert np.abs(moved - step)[[49, 50]].max(axis=0)[:57].max() < 0.06
