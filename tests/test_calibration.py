"""Drivers are taken about their own rest: narrow eyes are open eyes, blinks close, nothing trembles."""

import numpy as np
import pytest

from iad.calibration import LIDS, WEIGHT_GAIN, close_in_blinks, find_rest, move_about, observe, steady
from iad.geometry.coefficients import COLUMN

RNG = np.random.default_rng(0)


def lids_of(eyes):
    """Return what eyes that open so far, the same on both sides, make of the lids."""
    seen = np.zeros((len(eyes), 62))
    seen[:, 60:] = np.asarray(eyes)[:, None]
    return move_about(find_rest(seen), seen)


@pytest.mark.parametrize("turn", [np.eye(2), 7 * np.array([[0.8, -0.6], [0.6, 0.8]])])
def test_an_eye_is_measured_at_any_turn_and_size(turn):
    landmarks = np.zeros((68, 2))
    landmarks[36:48] = np.tile([[0, 0], [3, -1.5], [6, -1.5], [9, 0], [6, 1.5], [3, 1.5]], (2, 1))
    row = observe(np.arange(60.0), landmarks @ turn)
    assert row == pytest.approx([*range(60), 1 / 3, 1 / 3])


@pytest.mark.parametrize("own", [0.24, 0.38])
def test_eyes_are_open_that_open_as_far_as_they_do(own):
    lids = lids_of([own] * 20 + [0.06] * 5)[:, LIDS]
    assert lids[:20].max() < 0.01 and lids[20:].min() > 0.99


def test_eyes_that_are_shut_throughout_are_shut():
    assert lids_of([0.07] * 20)[:, LIDS].min() > 0.9


def test_what_a_face_at_rest_is_read_as_is_taken_off_and_what_it_holds_is_not():
    seen = np.full((20, 62), 0.0)
    seen[:, COLUMN["cheekPuff_L"]], seen[:, COLUMN["mouthSmile_L"]] = 0.12, 0.6
    seen[:, COLUMN["jawOpen"]], seen[:, 60:] = 0.1, 0.3
    moved = move_about(find_rest(seen), seen)[0]
    assert moved[COLUMN["cheekPuff_L"]] == 0, "a shape, not an action"
    for name, read in (("mouthSmile_L", 0.6), ("jawOpen", 0.1)):
        column = COLUMN[name]
        assert WEIGHT_GAIN[column] > 1 and moved[column] == pytest.approx(read * WEIGHT_GAIN[column])


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
