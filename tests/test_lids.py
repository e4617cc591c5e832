"""Eyes close all the way, skin-coloured in any light, with lashes where lids meet; glasses stay glasses."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut
from test_geometry import ASTRONAUT, polygon, track_of

from iad.faces import Face, wears_glasses
from iad.geometry.animation import AnimatedPhoto
from iad.geometry.drawing import GLASSES, fit_photo
from iad.geometry.head import load_geometry
from iad.geometry.renderer import find_triangles
from iad.geometry.rig import EYE_L, create_rig

SIZE = 384
BLINKS = track_of({}, {"eyeBlink": 1.0})


@pytest.fixture(scope="module")
def geometry():
    return load_geometry()


def draw_glasses(photo):
    """Put dark frames on the astronaut, and say where."""
    frames = np.zeros(photo.shape[:2], np.uint8)
    for eye, outer, side in ((ASTRONAUT[36:42], ASTRONAUT[0], -1), (ASTRONAUT[42:48], ASTRONAUT[16], 1)):
        x, y = eye.mean(axis=0).astype(int)
        cv2.ellipse(frames, (x, y + 2), (18, 12), 0, 0, 360, 255, 2, cv2.LINE_AA)
        cv2.line(frames, (x + 18 * side, y), (int(outer[0]), y - 2), 255, 2, cv2.LINE_AA)
        cv2.line(frames, (x - 18 * side, y), (225, y), 255, 2, cv2.LINE_AA)
    share = frames[..., None] / 255
    return np.round(photo * (1 - share) + 25 * share).astype(np.uint8), frames > 127


def profiles(frame, marks):
    """Return brightness down across each eye, from the lid to the cheek: (both eyes, 21 columns, rows)."""
    luma, both = cv2.GaussianBlur(frame, (0, 0), 0.7).mean(axis=-1), []
    width = np.ptp(marks[36:42, 0]) * SIZE
    for eye in (marks[36:42] * SIZE, marks[42:48] * SIZE):
        columns = np.linspace(eye[0, 0] + 0.25 * width, eye[3, 0] - 0.25 * width, 21).round().astype(int)
        middle = int(eye[:, 1].mean())
        rows = slice(middle - int(0.15 * width), middle + int(0.4 * width))
        both.append(luma[rows, columns].T)
    return np.stack(both)


@pytest.mark.parametrize("seed", range(4))
def test_lids_meet_in_eyes_of_any_shape(geometry, seed):
    rig = create_rig(geometry)
    weights = np.random.default_rng(seed).normal(0, 0.2, len(geometry.identity))
    shape = rig.shape(weights)
    eyeball = []
    for offset in rig.offsets(BLINKS[:, :57]):
        points = shape + offset
        depth = points[:, 2].copy()
        depth[rig.spans[EYE_L].start :] -= 0.5  # as faces are drawn
        index, _ = find_triangles(
            np.float32([256, 256]) + 25 * points[:, :2] * np.float32([1, -1]),
            depth,
            rig.triangles,
            (512, 512),
        )
        eyeball.append(int((rig.material[index[index >= 0]] >= EYE_L).sum()))
    assert eyeball[0] > 500
    assert eyeball[1] < 0.02 * eyeball[0]


def test_lashes_lie_where_lids_meet(geometry):
    animated = AnimatedPhoto(geometry, astronaut(), ASTRONAUT)
    shut = animated.render(BLINKS, size=SIZE).frames[1]
    for eye in profiles(shut, animated.landmarks(BLINKS)[1]):
        line = eye.min(axis=1)
        assert (line < 0.72 * np.median(eye, axis=1)).mean() > 0.9, "a line all along the eye"
        assert np.ptp(eye.argmin(axis=1)) <= 6, "one line, not pieces"
        assert eye[:, :3].mean() > 0.85 * eye[:, -3:].mean(), "no iris, shadow or lashes left above it"


def test_lids_take_the_light_of_their_own_side(geometry):
    light = np.interp(np.arange(512), [190, 260], [1.15, 0.4])[None, :, None]
    photo = (astronaut() * light).clip(0, 255).astype(np.uint8)
    animated = AnimatedPhoto(geometry, photo, ASTRONAUT)
    shut = animated.render(BLINKS, size=SIZE).frames[1]
    eyes = profiles(shut, animated.landmarks(BLINKS)[1])
    lids, cheeks = eyes[..., :4].mean(axis=(1, 2)), eyes[..., -3:].mean(axis=(1, 2))
    assert lids[0] > 1.4 * lids[1], "the light comes from the picture's left"
    np.testing.assert_allclose(lids / cheeks, 1, atol=0.25)


def test_glasses_are_seen_and_kept(geometry):
    photo, where = draw_glasses(astronaut())
    assert wears_glasses(photo, ASTRONAUT)
    assert not wears_glasses(astronaut(), ASTRONAUT)
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert wears_glasses(small, (ASTRONAUT + 0.5) * 0.5 - 0.5)

    animated = AnimatedPhoto(geometry, photo, ASTRONAUT, covered={"glasses"})
    track = np.repeat(animated.own_track[None], 2, axis=0)
    track[1, track_of({"eyeBlink": 1.0, "browInnerUp": 1.0, "browOuterUp": 1.0})[0] > 0] = 1
    still, shut = animated.render(track, size=SIZE).frames.astype(float).mean(axis=-1)
    matrix = np.float32([[1, 0, -animated.square.left], [0, 1, -animated.square.top]])
    matrix *= SIZE / animated.square.side
    frames = cv2.warpAffine(np.uint8(where) * 255, matrix, (SIZE, SIZE)) > 200
    assert frames.sum() > 300
    assert np.abs(shut - still)[frames].mean() < 12, "dragged or painted over"
    lid = polygon(animated.landmarks(track)[0, 36:42], SIZE)
    assert np.abs(shut - still)[lid].mean() > 25, "and the eyes close"


def test_glasses_are_said(geometry):
    for picture, notes in ((draw_glasses(astronaut())[0], [GLASSES]), (astronaut(), [])):
        affine = np.eye(2, 3, dtype=np.float32)
        face = Face(picture[:128, :128], (178, 84, 94, 94), ASTRONAUT, affine, count=1, index=0)
        assert fit_photo(geometry, picture, face)[1] == notes
