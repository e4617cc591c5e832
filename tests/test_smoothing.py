"""Frames between frames: the given ones stay, what moves is halfway in between."""

import numpy as np
import pytest

from iad.smoothing import interpolate


def draw_blob(centre: float) -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    grey = 40 + 180 * np.exp(-((x - centre) ** 2 + (y - 32) ** 2) / 60)
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def find_blob(frame: np.ndarray) -> float:
    weight = frame[..., 0].astype(float) - 40
    return float((weight * np.arange(64)).sum() / weight.sum())


def test_given_frames_stay_and_the_motion_is_even():
    frames = np.stack([draw_blob(28), draw_blob(34)])
    smooth = interpolate(frames, 3)
    assert smooth.shape == (4, 64, 64, 3)
    assert np.array_equal(smooth[[0, 3]], frames)
    places = [find_blob(frame) for frame in smooth]
    assert places == pytest.approx([28, 30, 32, 34], abs=0.7)
    # A mere blend would fade: here the blob keeps its height.
    assert smooth[1].max() > 0.93 * frames.max()


def test_one_frame_and_no_factor():
    frames = np.stack([draw_blob(30)])
    assert np.array_equal(interpolate(frames, 4), frames)
    two = np.stack([draw_blob(30), draw_blob(31)])
    assert np.array_equal(interpolate(two, 1), two)
    with pytest.raises(ValueError, match="factor is 0"):
        interpolate(frames, 0)
