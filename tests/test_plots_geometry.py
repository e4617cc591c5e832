"""Pictures of the tutorials: bars beside chance, confusions, faces in rows, the triangle of f, i and a."""

import sys
from pathlib import Path

import numpy as np
import pytest

from iad.plots import face_sheet, score_bars
from iad.plots.style import ACTION, IDENTITY, PAPER, SERIES, to_rgb

sys.path.insert(0, str(Path(__file__).parents[1] / "notebooks"))
from tutorial_figures import (  # noqa: E402
    confusion_table,
    count_confusions,
    probe_bars,
    pythagoras,
    scatter_faces,
    strength_of_directions,
    triangle,
)


def count(picture, colour, *, tolerance=6):
    """How many pixels have a colour."""
    return int((np.abs(np.asarray(picture).astype(int) - np.array(colour)).max(-1) <= tolerance).sum())


def entry(value, shuffled=0.1):
    return {"linear": {"value": value, "low": value - 0.05, "high": value + 0.05, "shuffled": shuffled}}


def test_the_triangle_is_true_to_lengths_and_angle():
    rng = np.random.default_rng(0)
    identity, action = rng.normal(size=40), rng.normal(size=40)
    corners, angle = triangle(identity, action)
    f, i, a = (np.linalg.norm(x) for x in (identity + action, identity, action))
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    assert sides == pytest.approx([1.0, i / f, a / f])
    assert np.cos(np.radians(angle)) == pytest.approx(identity @ action / (i * a))
    action -= identity * (identity @ action) / i**2
    (_, corner, end), angle = triangle(identity, action)
    assert angle == pytest.approx(90) and corner @ corner + (end - corner) @ (end - corner) == pytest.approx(
        1
    )


def test_areas_follow_the_shares():
    identity, action = np.eye(8)[0] * 3, np.eye(8)[1]
    blue, orange = ([0.16 * c + 0.84 * p for c, p in zip(x, PAPER, strict=True)] for x in (IDENTITY, ACTION))
    ratio = [count(pythagoras({"": parts}), blue) / count(pythagoras({"": parts}), orange)
             for parts in ((identity, action), (identity, 2 * action))]  # fmt: skip
    assert ratio == pytest.approx([9, 9 / 4], rel=0.25)


def test_confusions_are_shares_of_each_true_class():
    truth, told = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    assert count_confusions(truth, told, 3).tolist() == [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]
    right, wrong = (confusion_table(truth, x, ["a", "b", "c"]) for x in (truth, (truth + 1) % 3))
    assert right.size == wrong.size and count(right, IDENTITY) > 1000
    assert np.abs(np.asarray(right).astype(int) - np.asarray(wrong)).mean() > 1


def test_bars_grow_with_what_is_read_and_keep_their_colours():
    low, high = (probe_bars({"f": {"expression": entry(0.8)}, "i": {"expression": entry(v)},
                             "a": {"expression": entry(0.7)}}, chance={"expression": 1 / 9})
                 for v in (0.2, 0.8))  # fmt: skip
    assert count(high, IDENTITY) > 2.5 * count(low, IDENTITY)
    assert count(high, ACTION) == pytest.approx(count(low, ACTION), rel=0.05)


def test_scores_below_zero_and_unknown_ends_are_drawn():
    spans = {"iad": (-0.02, -0.05, 0.01), "still": (1.0, np.nan, np.nan)}
    picture = score_bars({"copied": spans, "also": spans})
    assert count(picture, to_rgb(SERIES[1])) > 20 * count(picture, to_rgb(SERIES[0])) > 0


def test_faces_stand_in_rows_with_frames_and_words():
    crops = np.zeros((3, 32, 32, 3), np.uint8)
    crops[1], crops[2] = (200, 30, 30), (30, 30, 200)
    bare = face_sheet(crops, columns=2, size=40)
    assert bare.size == (86, 86) and count(bare, (200, 30, 30)) == 1600
    assert bare.getpixel((46 + 5, 5)) == (200, 30, 30) and bare.getpixel((5, 46 + 5)) == (30, 30, 200)
    framed = face_sheet(crops, ["a", "b", "c"], columns=2, size=40, frames=["", "#009e73"], titles=["x", "y"])
    assert count(framed, (0, 158, 115)) == 40**2 - 32**2 and framed.width > bare.width < framed.height


def test_directions_and_points_are_drawn():
    curves = {"within": np.array([4.0, 2, 1]), "between": np.array([1.0, 1, 1])}
    assert count(strength_of_directions(curves, taken=2, most=3), ACTION) > 100
    points = np.random.default_rng(0).normal(size=(20, 2))
    label = np.repeat([0, 1], 10)
    picture = scatter_faces({"f": points, "i": points * [0, 1]}, label, ["smile", "nod"], axes=("x", "y"))
    assert count(picture, to_rgb(SERIES[0]), tolerance=40) > 200
