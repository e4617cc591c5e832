"""Drivers: the video's own clock, gaps that are held and said, and sentences that name the driver."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import pytest

from iad.geometry.coefficients import GAZE
from iad.geometry.driving import FPS, LIDS, LONGEST, POSE_GAIN, WEIGHT_GAIN, read_driver
from iad.media.video import stream_video


@dataclass(frozen=True)
class Seen:
    """What the finders below say of a frame: its grey tells the smile, black shows nobody."""

    landmarks: np.ndarray
    track: np.ndarray


OPEN = np.zeros((68, 2), np.float32)  # eyes that are a third as high as wide
OPEN[36:48] = np.tile([[0, 0], [3, -1.5], [6, -1.5], [9, 0], [6, 1.5], [3, 1.5]], (2, 1))


def find(picture):
    grey = float(picture.mean()) / 255
    if grey < 0.1:
        raise ValueError("No face found in the photo.")
    return Seen(OPEN, np.full(60, grey, np.float32))


def follow(picture, landmarks):
    try:
        return find(picture)
    except ValueError:
        return None


def write(path, greys, milliseconds):
    """Write flat frames of these greys, 0 to 1, at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000, options={"crf": "5"})
        stream.width = stream.height = 64
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for grey, when in zip(greys, milliseconds, strict=True):
            flat = np.full((64, 64, 3), int(grey * 255), np.uint8)
            frame = av.VideoFrame.from_ndarray(flat, format="rgb24")
            frame.pts, frame.time_base = when, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path, **options):
    return read_driver(path, find=find, follow=follow, **options)


def test_a_driver_who_sits_askew_moves_about_the_middle_pose(tmp_path):
    path = write(tmp_path / "askew.mp4", [0.5] * 10 + [0.6] * 10 + [0.7] * 9, [k * 40 for k in range(29)])
    plain, about = read(path, relative=False).track, read(path).track
    assert np.median(about[:, 57:]) == pytest.approx(0, abs=0.02)
    assert np.ptp(about[:, 59]) == pytest.approx(np.ptp(plain[:, 59]), abs=1e-3)
    assert np.ptp(about[:, 58]) == pytest.approx(POSE_GAIN[1] * np.ptp(about[:, 59]), abs=1e-2)
    assert np.array_equal(plain[:, :57], about[:, :57])


def test_frames_come_with_their_own_times(tmp_path):
    times = [0, 40, 80, 400, 440, 1000]
    path = write(tmp_path / "uneven.mp4", [0.5] * 6, times)
    assert [round(1000 * seconds) for seconds, _ in stream_video(path)] == times


def test_an_uneven_driver_moves_by_its_time_stamps(tmp_path):
    path = write(tmp_path / "uneven.mp4", [0.2, 0.2, 0.8, 0.8, 0.8], [0, 40, 900, 940, 1000])
    track = read(path).track[:, 0]
    assert track[: FPS // 2].max() < 0.35  # by the average rate, the face would brighten at 0.4 s
    assert track[-1] == pytest.approx(0.8, abs=0.08)


def test_the_first_face_counts_and_the_wait_is_said(tmp_path):
    path = write(tmp_path / "late.mp4", [0.0] * 15 + [0.6] * 15, [k * 33 for k in range(30)])
    driven = read(path)
    eyes = [*LIDS, *np.ravel(GAZE)]  # which go by the picture
    shown = np.delete(np.minimum(0.6 * WEIGHT_GAIN, 1), eyes)
    assert np.allclose(np.delete(driven.track[:, :57], eyes, axis=1), shown, atol=0.12)
    assert "first" in driven.notes[0] and 0.35 < driven.shown < 0.6


def test_a_face_that_is_found_late_is_followed_back(tmp_path):
    path = write(tmp_path / "turned.mp4", [0.3] * 15 + [0.9] * 15, [k * 33 for k in range(30)])

    def find_bright(picture):  # as a detector that misses a turned face, which can still be followed
        if picture.mean() < 128:
            raise ValueError("No face found in the photo.")
        return find(picture)

    driven = read_driver(path, find=find_bright, follow=follow)
    assert driven.shown == 1 and not driven.notes
    assert driven.track[:8, 0].max() < 0.4 and driven.track[-8:, 0].min() > 0.8


def test_a_gap_is_held_and_said(tmp_path):
    path = write(tmp_path / "gap.mp4", [0.3] * 15 + [0.0] * 15 + [0.9] * 15, [k * 33 for k in range(45)])
    driven = read(path)
    held = driven.track[round(0.8 * FPS), 0]
    assert held == pytest.approx(0.3, abs=0.06)
    assert any("not seen for" in note for note in driven.notes)


def test_a_driver_that_loses_its_face_for_good_keeps_its_length(tmp_path):
    path = write(tmp_path / "end.mp4", [0.5] * 15 + [0.0] * 30, [k * 33 for k in range(45)])
    assert len(read(path).track) == pytest.approx(1.5 * FPS, abs=2)


def test_a_long_driver_is_used_up_to_the_limit_and_said(tmp_path):
    path = write(tmp_path / "long.mp4", [0.5] * 120, [k * 100 for k in range(120)])
    driven = read(path)
    assert len(driven.track) == LONGEST * FPS
    assert "longer than 10 s" in driven.notes[-1]
    assert len(read(path, seconds=3.0).track) == 3 * FPS


def test_without_a_face_the_sentence_names_the_driver(tmp_path):
    path = write(tmp_path / "nobody.mp4", [0.0] * 10, [k * 40 for k in range(10)])
    with pytest.raises(ValueError, match=r"driving video 'nobody.mp4' shows no face"):
        read(path)
    with pytest.raises(ValueError, match="driving picture"):
        read(np.zeros((64, 64, 3), np.uint8))


def test_a_picture_is_held():
    driven = read(np.full((64, 64, 3), 128, np.uint8), seconds=1.0)
    assert driven.track.shape == (FPS, 60) and np.ptp(driven.track) == 0
