"""The morphable head and the z-buffer: what every photo person stands on."""

import os

import numpy as np
import pytest

from iad.geometry.coefficients import COEFFICIENTS, EXPRESSIONS
from iad.geometry.head import MIRRORED_LANDMARKS, rotation_matrices
from iad.geometry.renderer import downsample, rasterize
from iad.portraits.morphable import load_head
from iad.portraits.tiny import create_tiny_head

needs_ict = pytest.mark.skipif("IAD_ICT_FACEKIT" not in os.environ, reason="IAD_ICT_FACEKIT names no head")

SQUARE = np.float32([[1, 1], [7, 1], [7, 7], [1, 7]])
HALVES = np.int32([[0, 1, 2], [0, 2, 3]])


@pytest.fixture(scope="module", params=["tiny", pytest.param("ict", marks=needs_ict)])
def head(request):
    return create_tiny_head() if request.param == "tiny" else load_head()


def test_a_square_covers_the_pixels_whose_centres_it_holds():
    image, index = rasterize(SQUARE, np.zeros(4, np.float32), HALVES, SQUARE, 8)
    inside = np.zeros((8, 8), bool)
    inside[1:7, 1:7] = True
    assert ((index >= 0) == inside).all()
    centres = np.stack(np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5), axis=-1)
    np.testing.assert_allclose(image[inside], centres[inside], atol=1e-4)
    assert not image[~inside].any()


@pytest.mark.parametrize("nearer", [0, 1])
def test_the_nearer_surface_hides_the_other(nearer):
    depth = np.repeat(np.float32([1 - nearer, nearer]), 4)
    colours = np.repeat(np.float32([[10.0], [20.0]]), 4, axis=0)
    triangles = np.concatenate([HALVES, HALVES + 4])
    image, index = rasterize(np.concatenate([SQUARE, SQUARE]), depth, triangles, colours, 8)
    assert set(np.unique(image[index >= 0])) == {[10.0, 20.0][nearer]}


def test_what_lies_outside_the_picture_is_left_out():
    _, index = rasterize(SQUARE + 20, np.zeros(4, np.float32), HALVES, SQUARE, 8)
    assert (index == -1).all()
    _, index = rasterize(SQUARE - 4, np.zeros(4, np.float32), HALVES, SQUARE, 8)
    assert (index >= 0).sum() == 9


def test_downsampling_averages_blocks():
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    np.testing.assert_allclose(downsample(image)[..., 0], [[2.5, 4.5], [10.5, 12.5]])
    with pytest.raises(ValueError, match="multiple of 3"):
        downsample(image, 3)


def test_turns_go_where_they_say():
    nose = np.float32([0, 0, 1])
    up, left, tilt = rotation_matrices(np.eye(3) * 20)
    assert (up @ nose)[1] > 0.3, "positive pitch looks up"
    assert (left @ nose)[0] > 0.3, "positive yaw turns to the right of the picture"
    assert (tilt @ np.float32([0, 1, 0]))[0] > 0.3, (
        "positive roll tilts the crown to the right of the picture"
    )
    every = rotation_matrices(np.random.default_rng(0).uniform(-40, 40, (5, 3)))
    np.testing.assert_allclose(every @ every.transpose(0, 2, 1), np.tile(np.eye(3), (5, 1, 1)), atol=1e-6)


def test_fields_fit_together(head):
    vertices = len(head.neutral)
    assert head.expression_names == COEFFICIENTS[:EXPRESSIONS]
    assert head.expression.shape == (EXPRESSIONS, vertices, 3)
    assert head.identity.shape[1:] == (vertices, 3)
    assert head.triangles.min() >= 0 and head.triangles.max() < vertices
    spans = list(head.parts.values())
    assert spans[0].start == 0 and spans[-1].stop == vertices
    assert all(a.stop == b.start for a, b in zip(spans, spans[1:], strict=False))


def test_landmarks_look_like_a_face(head):
    marks = head.neutral[head.landmarks]
    assert (
        marks[19, 1] > marks[37, 1] > marks[41, 1] > marks[33, 1] > marks[51, 1] > marks[57, 1] > marks[8, 1]
    )
    assert marks[36, 0] < marks[39, 0] < 0 < marks[42, 0] < marks[45, 0]
    np.testing.assert_allclose(marks[list(MIRRORED_LANDMARKS)] * [-1, 1, 1], marks, atol=0.35)


@pytest.mark.parametrize(
    "name, landmark, axis, sign",
    [("jawOpen", 8, 1, -1), ("eyeBlink_L", 44, 1, -1), ("eyeBlink_R", 37, 1, -1), ("browInnerUp_L", 22, 1, 1),
     ("mouthSmile_R", 48, 0, -1)],
)  # fmt: skip
def test_expressions_move_what_they_name(head, name, landmark, axis, sign):
    moved = head.expression[head.expression_names.index(name)][head.landmarks]
    assert moved[landmark, axis] * sign > 0.2
    opposite = moved[MIRRORED_LANDMARKS[landmark]]
    if name.endswith(("_L", "_R")):
        assert np.linalg.norm(opposite) < 0.5 * np.linalg.norm(moved[landmark])


def test_shape_adds_identity_modes(head):
    weights = np.zeros(len(head.identity), np.float32)
    np.testing.assert_array_equal(head.shape(weights), head.neutral)
    weights[1] = 2.0
    np.testing.assert_allclose(head.shape(weights), head.neutral + 2 * head.identity[1], atol=1e-4)


def test_triangles_of_a_part_stay_within_it(head):
    triangles = head.triangles_of("teeth")
    span = head.parts["teeth"]
    assert len(triangles) and triangles.min() >= span.start and triangles.max() < span.stop


def test_a_missing_head_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m iad data download"):
        load_head(tmp_path / "none.npz")
