"""Photo people: where things go in a frame when a track says so."""

import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from iad.faces import alignment
from iad.geometry.coefficients import COEFFICIENTS, mirror_track
from iad.portraits.morphable import load_head
from iad.portraits.photo import Look, PhotoPerson, PhotoRecord, load_photo_people
from iad.portraits.tiny import create_tiny_head, draw_person

needs_people = pytest.mark.skipif(
    not {"IAD_ICT_FACEKIT", "IAD_PHOTO_PEOPLE"} <= os.environ.keys(),
    reason="no head or no photo people are named",
)
HEAD = create_tiny_head()


def track_of(**weights):
    """One frame; a name without its side means both sides."""
    track = np.zeros((1, 60), np.float32)
    for name, weight in weights.items():
        for full in [name] if name in COEFFICIENTS else [f"{name}_L", f"{name}_R"]:
            track[0, COEFFICIENTS.index(full)] = weight
    return track


def write_record(folder, **shown):
    """Save the drawing of a person of the tiny head: red lips, blue eyes, grey shirt, green wall."""
    record = draw_person(0, head=HEAD, **shown)
    path = folder / "0007.png"
    cv2.imwrite(str(path), record.drawing[..., ::-1])
    return PhotoRecord(number=7, path=path, landmarks=record.landmarks, fit=record.fit)


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_record(tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="module")
def person(record):
    return PhotoPerson(HEAD, record)


def window(frame, marks, grow=0.0):
    """Cut out the box around some landmarks (unit square)."""
    low, high = (marks.min(axis=0) - grow) * len(frame), (marks.max(axis=0) + grow) * len(frame)
    return frame[int(low[1]) : int(np.ceil(high[1])), int(low[0]) : int(np.ceil(high[0]))].astype(float)


def blue(pixels):
    return (pixels[..., 2] - pixels[..., 0] > 40).sum()


def test_frames_have_the_asked_size_and_are_repeatable(person):
    frames = person.render(np.concatenate([track_of(), track_of(jawOpen=1.0)]), size=64)
    assert frames.shape == (2, 64, 64, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames[:1], person.render(track_of(), size=64))
    with pytest.raises(ValueError, match="expected \\(frames, 60\\)"):
        person.render(np.zeros((2, 57), np.float32))


def test_the_neutral_face_fills_the_ffhq_frame(person):
    unit = alignment(person.landmarks(track_of())[0])
    np.testing.assert_allclose(unit, [[1, 0, 0], [0, 1, 0]], atol=1e-3)


def test_the_source_pose_and_expression_are_undone(tmp_path, person):
    turned = write_record(tmp_path, pose=(8.0, 12.0, 5.0), expression=track_of(jawOpen=0.6)[0, :57])
    again = PhotoPerson(HEAD, turned)
    np.testing.assert_allclose(again.landmarks(track_of()), person.landmarks(track_of()), atol=1e-3)
    lips = person.landmarks(track_of())[0, 48:60]
    red = [
        (window(one.render(track_of())[0], lips, 0.02) @ [1, -0.5, -0.5] > 60).mean()
        for one in (person, again)
    ]
    assert red[0] > 0.2 and abs(red[0] - red[1]) < 0.15


def test_landmarks_follow_the_track(person):
    still = person.landmarks(track_of())[0]
    assert person.landmarks(track_of(yaw=15))[0, 30, 0] > still[30, 0] + 0.02
    assert person.landmarks(track_of(pitch=12))[0, 30, 1] < still[30, 1] - 0.02
    rolled = person.landmarks(track_of(roll=12))[0]
    assert rolled[27, 0] - rolled[8, 0] > 0.05
    assert person.landmarks(track_of(jawOpen=1))[0, 8, 1] > still[8, 1] + 0.05


def test_lips_are_drawn_where_the_landmarks_are(person):
    for track in (track_of(), track_of(yaw=15), track_of(pitch=-10, roll=10)):
        frame, marks = person.render(track)[0].astype(float), person.landmarks(track)[0]
        red = frame @ [1, -0.5, -0.5] > 70
        red[: int(marks[33, 1] * 128)] = False
        found = np.argwhere(red).mean(axis=0)[::-1] / 128
        np.testing.assert_allclose(found, marks[48:60].mean(axis=0), atol=0.03)


def test_closed_eyes_show_skin(person):
    marks = person.landmarks(track_of())[0]
    for side, eye in (("L", slice(42, 48)), ("R", slice(36, 42))):
        open_eye = window(person.render(track_of())[0], marks[eye])
        shut = window(person.render(track_of(**{f"eyeBlink_{side}": 1.0}))[0], marks[eye])
        assert blue(open_eye) > 20 and blue(shut) == 0
        assert (shut.min(axis=-1) > 210).sum() == 0, "no white of the eye is left"


def test_irises_follow_the_gaze(person):
    marks = person.landmarks(track_of())[0]

    def middle(track):
        pixels = window(person.render(track)[0], marks[42:48])
        return np.argwhere(pixels[..., 2] - pixels[..., 0] > 40).mean(axis=0)

    still = middle(track_of())
    assert middle(track_of(eyeLookOut_L=1.0))[1] > still[1] + 1.5
    assert middle(track_of(eyeLookIn_L=1.0))[1] < still[1] - 1.5


def test_a_mouth_is_dark_inside_when_open_only(person):
    still, wide = (person.render(track_of(jawOpen=jaw))[0] for jaw in (0.0, 1.0))
    mouth = person.landmarks(track_of(jawOpen=1.0))[0, 60:68]
    assert (window(wide, mouth).mean(axis=-1) < 80).mean() > 0.1
    assert (window(still, mouth).mean(axis=-1) < 80).mean() < 0.05


def test_the_backdrop_hardly_follows_a_tilt(person):
    still, tilted = person.render(np.concatenate([track_of(), track_of(roll=15)])).astype(float)
    dragged = 2 * np.abs(still - tilted)[4:14, 4:14, 2].mean()  # pixels of the photo
    crown = person.landmarks(track_of(roll=15))[0, 27] - person.landmarks(track_of())[0, 27]
    assert dragged < 0.6 * np.abs(crown[0]) * 256


def test_mirroring_mirrors_frames_and_landmarks(record, person):
    mirrored = PhotoPerson(HEAD, record, mirror=True)
    track = track_of(yaw=10, eyeBlink_L=1.0, jawLeft=0.5)
    np.testing.assert_array_equal(mirrored.render(track), person.render(mirror_track(track))[:, :, ::-1])
    marks = mirrored.landmarks(track)[0]
    assert marks[36, 0] < marks[45, 0] and marks[30, 0] > marks[[0, 16], 0].mean() + 0.01


def test_shape_jitter_changes_the_face_but_not_its_framing(record, person):
    other = PhotoPerson(HEAD, record, shape_jitter=np.full(len(HEAD.identity), 1.5, np.float32))
    mine, theirs = person.landmarks(track_of())[0], other.landmarks(track_of())[0]
    assert np.abs(mine - theirs).max() > 0.01
    np.testing.assert_allclose(alignment(theirs), [[1, 0, 0], [0, 1, 0]], atol=1e-3)


def test_looks_change_colour_and_side_light(record, person):
    plain = person.render(track_of())[0].astype(float)
    blueish = PhotoPerson(HEAD, record, look=Look(gain=(0.6, 0.8, 1.0))).render(track_of())[0].astype(float)
    assert blueish[..., 0].mean() < 0.75 * plain[..., 0].mean()
    lit = PhotoPerson(HEAD, record, look=Look(side_light=0.8)).render(track_of())[0].astype(float)
    assert (lit - plain)[:, 96:].mean() > (lit - plain)[:, :32].mean() + 20


def test_a_new_background_replaces_the_wall(record, person):
    purple = np.full((40, 40, 3), (150, 20, 200), np.uint8)
    frame = PhotoPerson(HEAD, record, background=purple).render(track_of())[0].astype(float)
    np.testing.assert_allclose(frame[:10, :10], np.broadcast_to([150.0, 20, 200], (10, 10, 3)), atol=3)
    face = window(person.render(track_of())[0], person.landmarks(track_of())[0, 27:36])
    np.testing.assert_allclose(window(frame, person.landmarks(track_of())[0, 27:36]), face, atol=3)


def test_people_are_read_from_their_folder(tmp_path, record):
    fit = record.fit
    np.savez(
        tmp_path / "fits.npz", id=np.int32([7]), source=np.array(["made up"]),
        landmarks=record.landmarks[None],
        identity=fit.identity[None], expression=fit.expression[None], scale=np.float32([fit.scale]),
        rotation=fit.rotation[None], translation=fit.translation[None], error=np.float32([0.02]),
    )  # fmt: skip
    (loaded,) = load_photo_people(tmp_path)
    assert loaded.number == 7 and loaded.path == tmp_path / "photos" / "0007.jpg"
    np.testing.assert_array_equal(loaded.fit.rotation, fit.rotation)
    with pytest.raises(FileNotFoundError, match="python -m iad data download"):
        loaded.load_photo()
    with pytest.raises(FileNotFoundError, match="python -m iad data download"):
        load_photo_people(tmp_path / "nowhere")


@needs_people
def test_real_people_close_their_eyes_and_open_their_mouths():
    head, people = load_head(), load_photo_people()
    for record in people[:3]:
        person = PhotoPerson(head, replace(record))
        tracks = np.concatenate([track_of(), track_of(eyeBlink=1.0), track_of(jawOpen=0.7)])
        still, shut, wide = person.render(tracks).astype(float)
        marks = person.landmarks(tracks)
        for eye in (marks[0, 42:48], marks[0, 36:42]):
            iris = eye.mean(axis=0, keepdims=True)
            assert window(shut, iris, 0.01).mean() > window(still, iris, 0.01).mean() + 10, "skin, not iris"
        inner = marks[2, [61, 62, 63, 65, 66, 67]]
        assert window(wide, inner).mean() < 0.75 * window(still, marks[0, 27:31], 0.02).mean()
