"""Open mouths have depth, a tongue and teeth in their own shadow; closed ones and the photo's own stay."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from test_geometry import ASTRONAUT, polygon, track_of

from iad.geometry.animation import AnimatedPhoto
from iad.geometry.head import load_geometry
from iad.geometry.mouth import colour_mouth, measure_light, part_lips, soften_rim
from iad.geometry.rig import create_rig
from iad.geometry.teeth import draw_teeth

WIDE = {"jawOpen": 0.7, "mouthLowerDown": 0.2}
GRIN = {"mouthSmile": 1.0, "mouthUpperUp": 0.45, "mouthLowerDown": 0.45}


@pytest.fixture(scope="module")
def animated():
    return AnimatedPhoto(load_geometry(), astronaut(), ASTRONAUT)


def draw(animated, *rows, size=384):
    track = track_of(*rows)
    return animated.render(track, size=size).frames.astype(float), animated.landmarks(track) * size


def middle_column(frame, marks):
    """Mean colours down the middle of the inner lips, from the upper to the lower."""
    x, top, bottom = (int(round(v)) for v in (marks[62, 0], marks[62, 1], marks[66, 1]))
    return frame[top : bottom + 1, x - 5 : x + 6].mean(axis=1)


def test_a_wide_mouth_shows_teeth_above_a_tongue_before_a_dark_throat(animated):
    frames, marks = draw(animated, WIDE)
    column = middle_column(frames[0], marks[0])
    brightness, third = column.mean(axis=1), len(column) // 3
    teeth, throat = brightness[:third].max(), brightness[third // 2 : 2 * third].min()
    tongue = third + brightness[third : len(column) * 3 // 4].argmax()
    assert (brightness[:third] > 0.6 * teeth).sum() >= 5, "more than a sliver of the upper teeth"
    assert teeth > 2.5 * throat
    assert brightness[tongue] > max(1.3 * throat, 0.6 * teeth), "no flat hollow"
    assert column[tongue, 0] > 1.3 * column[tongue, 2], "and a tongue is red"


def test_the_teeth_of_a_grin_fall_into_shadow_towards_its_corners(animated):
    frames, marks = draw(animated, GRIN)
    teeth = polygon(marks[0, 60:68] / 384, 384)
    left, right = marks[0, 60, 0], marks[0, 64, 0]
    away = np.abs(np.arange(384) - (left + right) / 2) / (right - left) * 2
    bright = [
        np.quantile(frames[0].mean(axis=-1)[teeth & (away >= low) & (away < low + 0.15)], 0.8)
        for low in (0.0, 0.3, 0.6, 0.75)
    ]
    assert bright[0] > 0.98 * bright[1] and bright[1] > 1.1 * bright[2] and bright[2] > 1.2 * bright[3]


def test_no_two_teeth_are_alike_and_no_seam_is_a_line():
    upper = draw_teeth()[0]
    row = upper[40, :, :3].mean(axis=-1)
    assert not np.allclose(row, row[::-1], atol=0.01)
    assert np.abs(np.diff(row)).max() < 0.12, "a seam is some pixels wide"
    assert np.ptp(row[100:-100]) < 0.5
    assert (upper[..., 2] <= upper[..., 0]).all(), "none is bluish"


def test_lips_that_do_not_part_stay_as_they_are(animated):
    rig = create_rig(load_geometry())
    assert part_lips(rig, rig.neutral) == 0
    wide = rig.neutral + rig.offsets(track_of(WIDE)[:, :57])[0]
    assert part_lips(rig, wide) == 1


def test_the_rim_of_an_open_mouth_is_soft_and_dark():
    opening = np.zeros((120, 160), bool)
    opening[40:80, 40:120] = True
    frame = np.where(opening[..., None], 60.0, 180.0).astype(np.float32) * np.ones(3, np.float32)
    before = frame.copy()
    soften_rim(frame, opening, 1.0)
    assert frame[80, 80, 0] < 0.8 * before[80, 80, 0], "the lower lip turns inwards"
    assert np.abs(np.diff(frame[70:90, 80, 0])).max() < 0.6 * 120
    assert frame[42, 80, 0] < 0.85 * frame[77, 80, 0], "the upper lip's shadow is the deeper one"
    np.testing.assert_array_equal(frame[:20], before[:20])
    np.testing.assert_array_equal(frame[-20:], before[-20:])


def test_teeth_do_not_outshine_the_whites_of_the_eyes():
    photo = astronaut().astype(np.float32)
    _, light = measure_light(photo, ASTRONAUT)
    for eye in (ASTRONAUT[36:42], ASTRONAUT[42:48]):
        cv2.fillPoly(photo, [np.round(eye).astype(np.int32)], (60, 60, 60))
    _, dimmed = measure_light(photo, ASTRONAUT)
    assert (0.85 * light < dimmed).all() and (dimmed < 0.95 * light).all()


def test_flesh_is_as_colourful_as_the_photo():
    light = np.float32([220, 220, 220])
    grey = colour_mouth(np.float32([100, 100, 100]), light)
    faded = colour_mouth(np.float32([105, 98, 97]), light)
    red = colour_mouth(np.float32([150, 90, 85]), light)
    assert np.ptp(grey) < 1 < np.ptp(faded) < 0.5 * np.ptp(red)


def test_the_photo_s_own_teeth_are_kept(animated):
    own = animated.own_track[None]
    frame = animated.render(own, size=384).frames[0].astype(float)
    square, scale = animated.square, 384 / animated.square.side
    matrix = np.array(
        [[scale, 0, (0.5 - square.left) * scale - 0.5], [0, scale, (0.5 - square.top) * scale - 0.5]]
    )
    shown = cv2.warpAffine(astronaut(), matrix, (384, 384)).astype(float)
    teeth = polygon(animated.landmarks(own)[0, 60:68], 384)
    assert np.abs(frame - shown)[teeth].mean() < 16
