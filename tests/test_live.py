"""A portrait that follows a driver at once: about the driver's rest, reading while it draws."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from iad.geometry.animation import AnimatedPhoto
from iad.geometry.coefficients import COLUMN
from iad.geometry.driving import LIDS, POSE_GAIN
from iad.geometry.live import Live

EYES = np.zeros((68, 2), np.float32)
EYES[36:48] = np.tile([[0, 0], [3, -1.5], [6, -1.5], [9, 0], [6, 1.5], [3, 1.5]], (2, 1))
PICTURE = np.zeros((8, 8, 3), np.uint8)


def leave(drawn, track):
    return drawn.frames


class Camera:
    """Stands for the reading of faces: what the face does in each picture."""

    def __init__(self, *, yaw=(), slower=0.0):
        self.yaws, self.slower, self.inside, self.most = iter(yaw), slower, 0, 0

    def find(self, picture):
        self.inside += 1
        self.most = max(self.most, self.inside)
        threading.Event().wait(self.slower)
        self.inside -= 1
        track = np.zeros(60, np.float32)
        track[COLUMN["yaw"]] = next(self.yaws, 0.0)
        return SimpleNamespace(track=track, landmarks=EYES)

    def follow(self, picture, landmarks):
        return self.find(picture)


class Screen(AnimatedPhoto):
    """Stands for the photo; it waits with its first picture until the next one's driver was read."""

    own_track = np.zeros(60, np.float32)

    def __init__(self, wait=lambda: True):
        self.tracks, self.wait, self.meanwhile = [], wait, True

    def render(self, track, *, size):
        self.tracks.append(track[0])
        self.meanwhile &= self.wait()
        return SimpleNamespace(frames=np.zeros((1, size, size, 3), np.uint8))


def test_who_sits_askew_turns_the_portrait_about_the_middle():
    screen, camera = Screen(), Camera(yaw=[8.0] * 5 + [20.0])
    live = Live(screen, repair=leave, find=camera.find, follow=camera.follow)
    for _ in range(6):
        live.frame(driver=PICTURE)
    yaw = np.array(screen.tracks)[:, COLUMN["yaw"]]
    assert np.abs(yaw[:5]).max() < 0.01 and yaw[5] == pytest.approx(POSE_GAIN[1] * 12, abs=0.3)
    assert np.max(np.array(screen.tracks)[:, LIDS]) < 0.01


def test_one_frame_is_read_while_the_other_is_drawn():
    second = threading.Event()
    screen, camera = Screen(lambda: second.wait(5)), Camera(slower=0.01)

    def read(picture, landmarks):
        face = camera.find(picture)
        second.set()
        return face

    live = Live(screen, repair=leave, find=camera.find, follow=read)
    threads = [threading.Thread(target=live.frame, kwargs={"driver": PICTURE}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert screen.meanwhile and camera.most == 1
