"""The compact geometry is the head, nearly; fits find what was projected; frames show the photo, moved."""

import os

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from iad.geometry.animation import AnimatedPhoto
from iad.geometry.coefficients import COEFFICIENTS, COLUMN
from iad.geometry.fit import WORST_FIT, fit_head, project
from iad.geometry.head import load_geometry, rotation_matrices, save_geometry
from iad.geometry.renderer import PAINTED
from iad.geometry.surroundings import cut_out, part_backdrop
from iad.portraits.morphable import load_head
from iad.portraits.tiny import create_tiny_head
from iad.training.compact_geometry import choose_vertices, compact_head, measure_loss

# Of the astronaut, found by the face encoder that ships; a person whom no training saw.
ASTRONAUT = np.float32([
    (177.5, 96.9), (177.5, 110.0), (177.9, 121.8), (178.8, 133.9), (183.3, 147.4), (191.7, 161.4),
    (198.6, 168.2), (208.9, 172.9), (220.2, 176.9), (230.8, 175.3), (241.4, 171.8), (249.8, 166.6),
    (260.6, 155.5), (266.6, 140.9), (269.3, 129.3), (271.9, 117.8), (273.2, 104.8), (187.6, 89.5),
    (193.7, 85.1), (201.4, 83.4), (209.8, 85.4), (218.9, 87.3), (234.6, 88.3), (242.5, 87.5),
    (252.1, 87.5), (259.0, 89.7), (264.4, 94.7), (225.2, 102.2), (225.0, 109.7), (224.2, 116.9),
    (223.7, 125.4), (212.6, 130.9), (217.5, 133.1), (222.9, 134.7), (227.8, 133.5), (233.5, 132.7),
    (196.2, 100.0), (199.1, 98.1), (207.2, 97.8), (213.5, 102.6), (207.5, 102.4), (200.0, 101.8),
    (237.4, 104.2), (244.1, 100.9), (251.4, 101.1), (254.8, 105.2), (250.3, 106.1), (242.9, 104.6),
    (201.9, 141.4), (207.8, 139.1), (215.6, 139.5), (222.0, 140.2), (228.9, 140.2), (237.5, 141.5),
    (242.9, 145.8), (235.8, 151.8), (230.3, 154.6), (221.4, 155.2), (213.0, 153.0), (207.4, 149.3),
    (203.8, 142.8), (212.3, 144.3), (221.8, 145.4), (232.0, 145.9), (240.6, 145.8), (231.7, 148.5),
    (221.8, 149.1), (212.9, 147.3),
])  # fmt: skip


def track_of(*rows):
    """One frame a dictionary; a name without its side means both sides."""
    track = np.zeros((len(rows), 60), np.float32)
    for frame, weights in zip(track, rows, strict=True):
        for name, weight in weights.items():
            for full in [name] if name in COLUMN else [f"{name}_L", f"{name}_R"]:
                frame[COLUMN[full]] = weight
    return track


@pytest.fixture(scope="module")
def geometry():
    return load_geometry()


@pytest.fixture(scope="module")
def animated(geometry):
    return AnimatedPhoto(geometry, astronaut(), ASTRONAUT)


def polygon(marks, size, grow=0):
    """Return which pixels lie within a polygon of unit-square points."""
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(cv2.convexHull(marks * size)).astype(np.int32)], 1)
    return cv2.dilate(mask, np.ones((2 * grow + 1,) * 2)) > 0


def test_what_ships_is_small_and_complete(geometry):
    from iad.checkpoint import WEIGHTS

    assert (WEIGHTS / "mini" / "geometry.safetensors").stat().st_size < 3e6
    assert "ICT" in (WEIGHTS / "mini" / "README.md").read_text()
    assert "USC" in (WEIGHTS / "mini" / "GEOMETRY_LICENSE").read_text()
    assert geometry.expression_names == COEFFICIENTS[:57]
    assert 40 <= len(geometry.identity) <= 60
    assert geometry.triangles.max() == len(geometry.neutral) - 1
    assert len(set(geometry.landmarks.tolist())) == 68


def test_a_geometry_survives_its_file(tmp_path, geometry):
    save_geometry(tmp_path, geometry)
    again = load_geometry(tmp_path)
    np.testing.assert_array_equal(again.expression, geometry.expression)
    assert again.parts == geometry.parts
    with pytest.raises(ValueError, match="geometry"):
        load_geometry(tmp_path / "nowhere")


@pytest.mark.skipif("IAD_ICT_FACEKIT" not in os.environ, reason="no head is named")
def test_the_compact_head_is_close_to_the_full_one(geometry):
    head = load_head()
    known = {tuple(point) for point in head.neutral.astype(np.float16)}
    assert all(tuple(point) in known for point in geometry.neutral.astype(np.float16)), "chosen, not moved"
    np.testing.assert_allclose(geometry.neutral[geometry.landmarks], head.neutral[head.landmarks], atol=0.01)
    places = {tuple(point): i for i, point in enumerate(head.neutral.astype(np.float16))}
    kept = np.array([places[tuple(point)] for point in geometry.neutral.astype(np.float16)])
    loss = measure_loss(head, geometry, kept, faces=5)
    assert loss["lost by fewer directions, % of the eye distance"] < 0.7
    assert loss["lost by fewer vertices, % of the eye distance"] < 0.7


def test_vertices_collapse_without_moving_what_is_fixed():
    head = create_tiny_head()
    kept, triangles = choose_vertices(head, vertices=250)
    assert 200 <= len(kept) < 300 and set(head.landmarks) <= set(kept.tolist())
    small = compact_head(head, kept, triangles, directions=4)
    assert len(small.identity) == 4 and small.triangles.max() < len(kept)
    np.testing.assert_array_equal(small.neutral[small.landmarks], head.neutral[head.landmarks])
    with pytest.raises(ValueError, match="fewer"):
        choose_vertices(head, vertices=10**6)


def test_fit_finds_pose_and_expression_of_projected_landmarks(geometry):
    rng = np.random.default_rng(0)
    truth = fit_head(geometry, ASTRONAUT)
    expression = np.zeros(57, np.float32)
    expression[COLUMN["jawOpen"]] = 0.7
    pose = np.float32([6, -12, 25])
    identity = rng.normal(0, 0.15, len(geometry.identity)).astype(np.float32)
    shape = geometry.shape(identity) + np.tensordot(expression, geometry.expression, axes=1)
    made = truth.__class__(
        identity, expression, 30.0, rotation_matrices(pose[None])[0], np.float32([900, -700]), 0.0
    )
    found = fit_head(geometry, project(shape[geometry.landmarks], made)[:, :2])
    assert found.error < 0.01
    assert np.abs(found.pose - pose).max() < 5
    assert abs(found.expression[COLUMN["jawOpen"]] - 0.7) < 0.2
    assert fit_head(geometry, ASTRONAUT + rng.normal(0, 30, (68, 2))).error > WORST_FIT


def test_own_track_draws_the_photo_again(animated):
    size = 256
    own = animated.own_track[None]
    frame = animated.render(own, size=size).frames[0].astype(float)
    square = animated.square
    scale = size / square.side
    corner = (0.5 - np.float32([[square.left], [square.top]])) * scale - 0.5
    matrix = np.hstack([scale * np.eye(2), corner])
    shown = cv2.warpAffine(astronaut(), matrix, (size, size), flags=cv2.INTER_AREA).astype(float)
    face = polygon(animated.landmarks(own)[0], size)
    error = ((frame - shown)[face] ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 24
    neutral = animated.render(track_of({}), size=size).frames[0].astype(float)
    assert ((neutral - shown)[face] ** 2).mean() > 2 * error, "the smile and the tilt are undone"


def test_closed_eyes_cover_the_irises(animated):
    still, shut = animated.render(track_of({}, {"eyeBlink": 1.0}), size=256).frames.astype(float)
    marks = animated.landmarks(track_of({}))[0]
    for eye in (marks[36:42], marks[42:48]):
        lid = polygon(eye, 256)
        assert np.quantile(still[lid].mean(axis=-1), 0.1) < 0.6 * np.median(shut[lid].mean(axis=-1)), (
            "an iris"
        )
        assert np.quantile(shut[lid].mean(axis=-1), 0.95) < 225, "no white of the eye"


def test_a_neutral_face_hides_the_teeth_of_a_grin(animated):
    tracks = np.concatenate([animated.own_track[None], track_of({})])
    own, neutral = animated.render(tracks, size=256).frames
    marks = animated.landmarks(tracks)

    def teeth(frame, lips):
        pixels = frame[polygon(lips, 256)].astype(float)
        return ((pixels.min(axis=-1) > 0.78 * pixels.max(axis=-1)) & (pixels.mean(axis=-1) > 170)).sum()

    assert teeth(own, marks[0, 48:60]) > 60
    assert teeth(neutral, marks[1, 48:60]) < 0.15 * teeth(own, marks[0, 48:60])


def test_an_open_mouth_has_teeth_above_and_dark_below(animated):
    wide = track_of({"jawOpen": 0.9})
    drawn = animated.render(wide, size=256)
    inner = polygon(animated.landmarks(wide)[0, 60:68], 256)
    assert (drawn.source[0][inner] == PAINTED).mean() > 0.8
    brightness = drawn.frames[0].mean(axis=-1)
    rows = np.flatnonzero(inner.any(axis=1))
    third = rows[0] + len(rows) // 3
    upper, lower = inner.copy(), inner.copy()
    upper[third:], lower[:third] = False, False
    assert np.quantile(brightness[upper], 0.95) > 1.4 * np.median(brightness[lower]), "teeth"
    assert np.quantile(brightness[inner], 0.1) < 0.6 * np.median(brightness[lower]), "and a dark hollow"


def test_a_grey_photo_stays_grey(geometry):
    grey = np.repeat(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    track = track_of({"jawOpen": 0.9, "eyeBlink": 0.5}, {"mouthSmile": 1.0, "eyeLookUp": 1.0})
    frames = AnimatedPhoto(geometry, grey, ASTRONAUT).render(track, size=128).frames
    assert np.ptp(frames.astype(int), axis=-1).max() <= 3


def test_the_background_stands_still(animated):
    frames = animated.render(track_of({}, {"yaw": 15}, {"pitch": -12}, {"jawOpen": 1.0}), size=256).frames
    for corner in (np.s_[:, :14, :8], np.s_[:, :14, -8:]):
        np.testing.assert_array_equal(frames[corner], np.repeat(frames[corner][:1], 4, axis=0))
    assert np.abs(frames[1].astype(int) - frames[0])[100:150, 100:150].mean() > 5


def test_a_person_and_the_backdrop_are_the_photo_and_part(animated):
    rows, columns = np.mgrid[:200, :200]
    person = (np.hypot(rows - 100, columns - 100) < 40).astype(np.float32)
    stripes = np.where((columns // 5 % 2)[..., None], np.float32([60, 90, 120]), np.float32([90, 120, 150]))
    photo = np.where(person[..., None] > 0, np.float32([250, 20, 20]), stripes)
    share, backdrop = part_backdrop(photo, person[::2, ::2], 2.5)
    whole = share[..., None] * photo + (1 - share[..., None]) * backdrop[..., :3]
    assert np.abs(whole - photo).mean() < 0.5 and share[person > 0].min() == 1
    assert backdrop[..., 0].max() <= 95, "something of the person is left"
    far = np.hypot(rows - 100, columns - 100) > 55
    np.testing.assert_allclose(backdrop[far, :3], photo[far], atol=0.01)
    assert backdrop[100, 100, 3] == 1 and backdrop[far, 3].max() < 0.01 > share[far].max()
    drawn = animated.render(track_of({"roll": 15}), size=128)
    assert 0 < (drawn.source == PAINTED).mean() < 0.1, "what the head uncovers is made up"


def test_loose_hair_is_part_of_the_person_and_a_busy_backdrop_is_not():
    rows, columns = np.mgrid[:200, :200]
    head = np.hypot((columns - 100) / 40, (rows - 80) / 50) < 1
    shirt = (rows > 150) & (np.abs(columns - 100) < 30 + 1.2 * (rows - 150))
    strand = (np.abs(columns + rows - 182) < 1.5) & (rows > 36) & (rows < 56)  # leads away from the head
    person = head | ((np.abs(columns - 100) < 20) & (rows > 80)) | shirt | strand
    turns = np.linspace(0, 2 * np.pi, 40)
    down = np.where(np.sin(turns) > 0, 90 + 110 * np.sin(turns), 60)
    face = np.stack([100 + 25 * np.cos(turns), down], axis=1)
    noise = np.random.default_rng(0).normal(0, 1, (200, 200, 1))
    far = cv2.dilate(person.astype(np.uint8), np.ones((9, 9))) == 0
    for busy in (2, 40):
        backdrop = cv2.GaussianBlur(noise, (0, 0), 1.0)[..., None] * busy * 3.5 + np.float32([150, 170, 190])
        photo = np.where(person[..., None], np.float32([60, 40, 30]) + 2 * noise, backdrop)
        photo[shirt] = np.float32([25, 30, 45]) + 2 * noise[shirt]
        matte = cut_out(photo.clip(0, 255).astype(np.uint8), face, np.float32([100, 80, 50, 62]))
        assert matte[head].mean() > 0.97 and matte[shirt].mean() > 0.9 and matte[far].mean() < 0.02
        if busy == 2:
            assert (matte[strand & (rows < 50)] > 0.25).mean() > 0.8, "loose hair is left in the backdrop"


def test_shoulders_stay_in_one_piece_when_the_head_tilts(geometry):
    photo = astronaut()[:236, 60:390].copy()
    rows, columns = np.mgrid[:236, :330]
    photo[np.hypot((columns - 162) / 70, (rows - 105) / 92) > 1] = (190, 200, 200)
    photo[(rows > 186) & (np.abs(columns - 162) < 60 + 1.6 * (rows - 186))] = (25, 30, 45)
    cropped = AnimatedPhoto(geometry, photo, ASTRONAUT - np.float32([60, 0]))
    tilted = cropped.render(track_of({"roll": -14}), size=192).frames[0, -11:].astype(float)
    shirt = np.linalg.norm(tilted - (25, 30, 45), axis=-1) < 40
    np.testing.assert_array_equal((np.diff(shirt.astype(int), axis=1) != 0).sum(axis=1), 2)


def test_frames_go_back_into_the_whole_photo(animated, monkeypatch):
    photo = astronaut()
    frames = animated.render(
        np.concatenate([animated.own_track[None], track_of({"jawOpen": 1.0})]), size=384
    ).frames
    whole = animated.paste_back(frames)
    assert whole.shape == (2, *photo.shape)
    square = animated.square
    outside = np.ones(photo.shape[:2], bool)
    outside[
        int(square.top) : int(square.top + square.side) + 1,
        int(square.left) : int(square.left + square.side) + 1,
    ] = False
    assert outside.sum() > 10000
    np.testing.assert_array_equal(whole[:, outside], np.repeat(photo[outside][None], 2, axis=0))
    chin = ASTRONAUT[57].astype(int)
    assert np.abs(whole[1].astype(int) - photo)[chin[1] : chin[1] + 10, chin[0] - 5 : chin[0] + 5].mean() > 10
    monkeypatch.setattr("iad.geometry.animation.MOST_WHOLE", whole.nbytes // 4)  # what is too large is shrunk
    small = animated.paste_back(frames)
    assert whole.nbytes // 5 < small.nbytes <= whole.nbytes // 4
    size = small.shape[2:0:-1]
    shrunk = np.stack([cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in whole])
    assert np.abs(small.astype(int) - shrunk).mean() < 1


def test_threads_and_sizes_do_not_change_what_is_drawn(animated):
    track = track_of({"yaw": 5}, {"mouthSmile": 1.0}, {"eyeBlink": 1.0})
    one, two = (animated.render(track, size=768, threads=threads) for threads in (1, 2))
    assert one.frames.shape == (3, 768, 768, 3)
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.source, two.source)
    small = animated.render(track, size=192).frames.astype(float)
    shrunk = np.stack([cv2.resize(frame, (192, 192), interpolation=cv2.INTER_AREA) for frame in one.frames])
    assert np.abs(small - shrunk).mean() < 4


def test_what_is_covered_keeps_its_pixels(geometry, animated):
    photo = astronaut()
    low, high = ASTRONAUT[48:60].min(axis=0).astype(int) - 4, ASTRONAUT[48:60].max(axis=0).astype(int) + 4
    photo[low[1] : high[1], low[0] : high[0]] = (40, 200, 90)  # a card
    kept = AnimatedPhoto(geometry, photo, ASTRONAUT, covered={"mouth"})
    track = track_of({"jawOpen": 1.0, "mouthSmile": 1.0}, {"eyeBlink": 1.0})
    frames = kept.render(track, size=256).frames.astype(int)
    green = (frames[..., 1] - frames[..., 0] > 60).sum(axis=(1, 2))
    assert green[0] > 500 and abs(green[0] - green[1]) < 0.02 * green[0], "one card, whatever the mouth does"
    inner = polygon(kept.landmarks(track)[0, 60:68], 256)
    assert (frames[0][inner][:, 1] - frames[0][inner][:, 0] > 60).mean() > 0.95


def test_glasses_hold_the_skin_behind_their_frames(geometry, animated):
    worn = AnimatedPhoto(geometry, astronaut(), ASTRONAUT, covered={"glasses"})
    track = track_of({}, {"browDown": 1.0, "cheekSquint": 1.0}, {"eyeBlink": 1.0})
    free, held = (one.render(track, size=256).frames.astype(float) for one in (animated, worn))
    marks = animated.landmarks(track)[0] * 256
    row, column = int(marks[41, 1] + 8), int(marks[41, 0])
    below = np.s_[row - 4 : row + 4, column - 8 : column + 8]
    assert np.abs(held[1] - held[0])[below].mean() < 0.6 * np.abs(free[1] - free[0])[below].mean()
    lid = polygon(animated.landmarks(track)[0, 36:42], 256)
    assert np.abs(held[2] - held[0])[lid].mean() > 20, "lids close behind glasses"


def test_faces_are_found_out_of_any_photo(geometry, animated):
    shifted = cv2.copyMakeBorder(
        cv2.resize(astronaut(), None, fx=1.5, fy=1.5), 40, 0, 300, 10, cv2.BORDER_REFLECT
    )
    moved = AnimatedPhoto(geometry, shifted, (ASTRONAUT + 0.5) * 1.5 - 0.5 + np.float32([300, 40]))
    here, there = (
        one.render(track_of({"mouthSmile": 0.5}), size=128).frames[0].astype(float)
        for one in (animated, moved)
    )
    assert np.abs(here - there)[20:, 20:108].mean() < 6


def test_frames_keep_to_what_the_photo_shows(geometry):
    cropped = np.ascontiguousarray(astronaut()[20:300, 90:400])  # hair cut off above
    square = AnimatedPhoto(geometry, cropped, ASTRONAUT - np.float32([90, 20])).square
    assert square.left >= 0 and square.top >= 0
    assert square.left + square.side <= 310.01 and square.top + square.side <= 280.01


def test_a_head_that_the_photo_cuts_is_round_when_it_nods(geometry):
    photo = np.ascontiguousarray(astronaut()[15:300, 90:370])  # hair reaches the upper edge
    cropped = AnimatedPhoto(geometry, photo, ASTRONAUT - np.float32([90, 15]))
    still, nodding = cropped.render(track_of({}, {"pitch": -14}), size=192).frames.astype(float)
    wall = nodding[:4, :12].mean((0, 1))
    hair = still[:4, 86:106].mean((0, 1))
    above = nodding[:4, 60:130].reshape(-1, 3)
    to_hair, to_wall = (np.linalg.norm(above - colour, axis=1) for colour in (hair, wall))
    assert np.linalg.norm(hair - wall) > 60
    assert (to_wall < to_hair).mean() > 0.95, "hair hangs in the air above the head"
    below = nodding[26:34, 80:110].reshape(-1, 3)
    assert (np.linalg.norm(below - hair, axis=1) < 90).mean() > 0.8, "the hair itself is gone"


def test_bad_input_is_explained(geometry, animated):
    with pytest.raises(ValueError, match="nose"):
        AnimatedPhoto(geometry, astronaut(), ASTRONAUT, covered={"nose"})
    with pytest.raises(ValueError, match="68 finite points"):
        AnimatedPhoto(geometry, astronaut(), ASTRONAUT * np.nan)
    with pytest.raises(ValueError, match="expected \\(frames, 60\\)"):
        animated.render(np.zeros((2, 57), np.float32))
    with pytest.raises(ValueError, match="choose 16 to"):
        animated.render(track_of({}), size=4000)
