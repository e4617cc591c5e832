"""Plots show what they are given: the right colours at the right places."""

import numpy as np
import pytest

from iad.plots import Trace, dot_map, draw_curves, face_map, face_sheet, similarity_table
from iad.plots.style import ACTION, IDENTITY, SERIES, to_rgb


def make_crops(count):
    """Make faces of one colour each."""
    colours = np.random.default_rng(0).integers(60, 200, (count, 3), dtype=np.uint8)
    return [np.broadcast_to(colour, (128, 128, 3)).copy() for colour in colours]


def near(picture, colour, tolerance=12):
    """Find the pixels of about a colour."""
    return (np.abs(np.asarray(picture).astype(int) - np.array(colour)) <= tolerance).all(-1)


def test_a_table_is_dark_where_faces_are_alike_and_grey_where_they_are_opposed():
    values = np.array([[1.0, 0.95, -0.9], [0.95, 1.0, 0.0], [-0.9, 0.0, 1.0]])
    picture = similarity_table(values, make_crops(3), ["A", "B", "C"])
    side = picture.width // 4
    assert picture.size == (4 * side, 4 * side)

    def cell(row, column):
        return np.asarray(picture)[(row + 1) * side + 12, (column + 1) * side + side // 2].astype(int)

    alike, strange, opposed = cell(0, 1), cell(1, 2), cell(0, 2)
    assert np.abs(alike - IDENTITY).max() < 20
    assert strange.min() > 245
    assert np.ptp(opposed) < 25 and opposed.max() < 160
    assert (cell(0, 0) > alike).all()  # everyone is like themselves: nothing to look at
    assert np.array_equal(cell(0, 1), cell(1, 0))


def test_a_table_takes_its_colour_and_refuses_what_does_not_fit():
    values = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert near(similarity_table(values, make_crops(2), ["A", "B"], hue=ACTION), ACTION).sum() > 3000
    with pytest.raises(ValueError, match="2 faces got 3 crops and 2 labels"):
        similarity_table(values, make_crops(3), ["A", "B"])


@pytest.mark.parametrize("points", [np.zeros((8, 2)), np.random.default_rng(1).normal(size=(8, 2))])
def test_no_face_of_a_map_hides_another(points):
    crops = make_crops(8)
    picture = face_map(points, crops, list("ABCDEFGH"))
    for crop in crops:
        assert near(picture, crop[0, 0], 2).sum() > 5000  # of 10,568 pixels of a whole face


def test_a_map_has_right_at_the_right_and_up_at_the_top():
    crops = make_crops(3)
    picture = face_map(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), crops, list("ABC"))
    right, left, top = (np.argwhere(near(picture, crop[0, 0], 2)).mean(0) for crop in crops)
    middle = picture.width / 2
    assert right[1] > middle + 200 and left[1] < middle - 200 and top[0] < middle - 200
    assert abs(right[0] - middle) < 20 and abs(top[1] - middle) < 20


def test_dots_lie_where_they_are_and_wear_their_group():
    points, groups = np.array([[0.5, 0.5], [-0.5, -0.5], [9.0, 0.0]]), np.array([0, 1, 2])
    picture = dot_map(points, groups, reach=1.0)
    side = picture.width
    for (x, y), group in zip([(0.5, 0.5), (-0.5, -0.5), (0.98, 0.0)], groups, strict=True):
        found = np.argwhere(near(picture, to_rgb(SERIES[group]))).mean(0)
        assert np.abs(found - [side * (1 - y) / 2, side * (1 + x) / 2]).max() < 6


def test_groups_beyond_the_colours_get_another_shape_and_a_legend_has_all():
    count = len(SERIES) + 1
    names = [f"group {k}" for k in range(count)]
    plain = dot_map(np.zeros((1, 2)), np.array([count - 1]), reach=1.0)
    first = dot_map(np.zeros((1, 2)), np.array([0]), reach=1.0)
    assert not np.array_equal(np.asarray(plain), np.asarray(first))  # one colour, two shapes
    named = dot_map(np.zeros((1, 2)), np.array([0]), reach=1.0, names=names)
    assert named.height > first.height
    below = named.crop((0, first.height, named.width, named.height))
    assert all(near(below, to_rgb(colour)).sum() > 50 for colour in SERIES)


def test_lines_that_tie_points_are_drawn():
    points = np.array([[-0.8, 0.3], [0.8, 0.3]])
    without, tied = (
        dot_map(points, np.array([0, 0]), reach=1.0, paths=paths) for paths in (None, np.array([4, 4]))
    )
    row = round(without.width * 0.35)
    assert (
        np.asarray(tied)[row, without.width // 3].max() < np.asarray(without)[row, without.width // 3].min()
    )


def trace(y, **changes):
    x = np.arange(len(y), dtype=float)
    return Trace(**{"name": "run", "x": x, "y": np.array(y, float), "colour": SERIES[2]} | changes)


def test_a_falling_curve_falls():
    picture = draw_curves([trace(np.linspace(5, 1, 60))], title="swap", across="steps")
    rows, columns = np.nonzero(near(picture, to_rgb(SERIES[2])))
    left, right = columns < np.quantile(columns, 0.2), columns > np.quantile(columns, 0.8)
    assert rows[left].mean() < rows[right].mean() - 50


def test_a_logarithmic_axis_straightens_decay_and_bears_values_below_zero():
    decay = trace(np.exp(-np.linspace(0, 6, 80)))
    picture = draw_curves([decay], title="swap", across="steps", log=True)
    rows, columns = np.nonzero(near(picture, to_rgb(SERIES[2])))
    assert np.corrcoef(rows, columns)[0, 1] > 0.999
    crossing = [trace(np.linspace(1, -0.2, 60))]
    flat, bent = (draw_curves(crossing, title="x", across="steps", log=log) for log in (False, True))
    assert near(bent, to_rgb(SERIES[2])).sum() > 200
    assert not np.array_equal(np.asarray(flat), np.asarray(bent))


def test_what_is_smoothed_shows_what_it_was_and_marks_show():
    noise = np.random.default_rng(0).random(60)
    plain = draw_curves([trace(np.full(60, 0.5))], title="x", across="steps", bounds=(0.0, 1.0))
    raw = draw_curves([trace(np.full(60, 0.5), raw=noise)], title="x", across="steps", bounds=(0.0, 1.0))
    assert (np.asarray(raw) != np.asarray(plain)).any(-1).sum() > 500
    marks = {"levels": [(0.2, "chance")], "now": 10.0}
    for key, value in marks.items():
        marked = draw_curves(
            [trace(np.full(60, 0.5))], title="x", across="steps", bounds=(0.0, 1.0), **{key: value}
        )
        assert not np.array_equal(np.asarray(marked), np.asarray(plain)), key


def test_several_runs_are_named_and_the_picture_grows_for_their_names():
    one = draw_curves([trace([1, 2, 3])], title="x", across="steps")
    four = draw_curves([trace([1, 2, 3], name=f"run {k}") for k in range(4)], title="x", across="steps")
    assert four.width == one.width and four.height > one.height


def test_faces_stand_in_rows_with_frames_and_words():
    crops = np.zeros((3, 32, 32, 3), np.uint8)
    crops[1], crops[2] = (200, 30, 30), (30, 30, 200)
    bare = face_sheet(crops, columns=2, size=40)
    assert bare.size == (86, 86) and near(bare, (200, 30, 30), 6).sum() == 1600
    assert bare.getpixel((46 + 5, 5)) == (200, 30, 30) and bare.getpixel((5, 46 + 5)) == (30, 30, 200)
    framed = face_sheet(crops, ["a", "b", "c"], columns=2, size=40, frames=["", "#009e73"], titles=["x", "y"])
    assert near(framed, (0, 158, 115), 6).sum() == 40**2 - 32**2 and framed.width > bare.width < framed.height
