"""Frames come back as they were saved, files say how they were made, and nothing half-written stays."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from iad.media import video

MADE_BY = {"model": "mini", "arm": "iad", "seed": 0}


def _make_frames(count=6, height=64, width=64):
    y, x = np.mgrid[:height, :width] / max(height, width)
    wave = [np.stack([x, y, 0.5 + 0.5 * np.sin(6 * x + 0.5 * k)], -1) for k in range(count)]
    return (np.stack(wave) * 255).astype(np.uint8)


def test_an_mp4_comes_back(tmp_path):
    frames = _make_frames()
    path = video.save(tmp_path / "a.mp4", frames, 8, metadata=MADE_BY)
    back, fps = video.read_video(path, 100)
    assert fps == 8 and back.shape == frames.shape
    assert np.abs(back.astype(int) - frames).mean() < 3


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (200, 150, 120), (0, 0, 0), (255, 255, 255)])
def test_an_mp4_keeps_colours(tmp_path, colour):
    frames = np.full((3, 32, 32, 3), colour, np.uint8)
    back, _ = video.read_video(video.save(tmp_path / "a.mp4", frames, 8), 3)
    assert np.abs(back.astype(int) - frames).max() <= 3


def test_large_frames_are_shrunk_as_they_come(tmp_path):
    path = video.save(tmp_path / "a.mp4", _make_frames(height=120, width=200), 8)
    whole, small = (video.read_video(path, 3, largest=side)[0].astype(int) for side in (None, 50))
    assert whole.shape == (3, 120, 200, 3) and small.shape == (3, 30, 50, 3)
    means = whole.reshape(3, 30, 4, 50, 4, 3).mean((2, 4))
    assert np.abs(small - means).mean() < 2  # 2.5 where colours are halved once more


def test_an_mp4_plays_everywhere(tmp_path):
    import av

    path = video.save(tmp_path / "odd.mp4", _make_frames(height=63, width=65), 12.5)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts before it is fully loaded
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.codec_context.width, stream.codec_context.height) == (66, 64)
        assert stream.average_rate == Fraction(25, 2)


def test_a_gif_loops_at_the_right_speed(tmp_path):
    frames = _make_frames(16) // 3 + 90
    with Image.open(video.save(tmp_path / "a.gif", frames, 8)) as picture:
        assert picture.info["loop"] == 0 and picture.n_frames == 16
        durations = []
        for number in range(16):
            picture.seek(number)
            durations.append(picture.info["duration"])
            assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - frames[number]).mean() < 6
    assert sum(durations) == 2000


def test_a_contact_sheet_shows_the_frames_in_reading_order(tmp_path):
    frames = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 5, 4, 3), np.uint8)
    sheet = np.asarray(Image.open(video.save(tmp_path / "a.png", frames, 8)))
    assert sheet.shape == (12, 46, 3)
    assert sheet[2, ::6, 0].tolist() == list(range(8)) and sheet[9, 6, 0] == 9 and sheet[9, 20, 0] == 255


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".png"])
def test_every_file_says_that_it_is_generated(tmp_path, suffix):
    path = video.save(tmp_path / f"a{suffix}", _make_frames(), 8, metadata=MADE_BY)
    assert video.read_metadata(path) == {"statement": video.STATEMENT, "ai_generated": True, **MADE_BY}


def test_foreign_files_say_nothing(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert video.read_metadata(tmp_path / "a.png") is None


def test_scale_enlarges(tmp_path):
    back, _ = video.read_video(video.save(tmp_path / "a.mp4", _make_frames(), 8, scale=3), 100)
    assert back.shape == (6, 192, 192, 3)


@pytest.mark.parametrize(
    ("fps", "expected"), [(4, [0, 2, 4, 6]), (16, [0, 0, 1, 1, 2, 2, 3, 3]), (None, [0, 1, 2])]
)
def test_frames_are_picked_at_another_rate(tmp_path, fps, expected):
    steps = np.arange(8, dtype=np.uint8)[:, None, None, None] * 30
    path = video.save(tmp_path / "a.mp4", np.broadcast_to(steps, (8, 32, 32, 3)), 8)
    back, rate = video.read_video(path, len(expected), fps=fps)
    assert np.rint(back[:, 16, 16, 0] / 30).tolist() == expected and rate == (fps or 8)


@pytest.mark.parametrize(("name", "complaint"), [("a.avi", "must end in"), ("a", "must end in")])
def test_unknown_suffixes_are_refused(tmp_path, name, complaint):
    with pytest.raises(ValueError, match=complaint):
        video.save(tmp_path / name, _make_frames(), 8)


def test_folders_that_take_no_files_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="takes no files"):
        video.save(tmp_path / "file" / "a.mp4", _make_frames(), 8)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        video.save(tmp_path / "folder.mp4", _make_frames(), 8)


def test_no_frames_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs frames"):
        video.save(tmp_path / "a.mp4", _make_frames()[:0], 8)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".png"])
def test_a_full_disk_leaves_nothing_behind_and_the_old_file_as_it_was(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"before")
    # A limit on the size of files stands for the full disk: writing fails midway in the same manner.
    program = (
        "import resource, signal, sys, tempfile, numpy as np\n"
        "from iad.media import video\n"
        "frames = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)\n"
        "for name in ('_encode_mp4', '_encode_gif', '_encode_png'):\n"
        "    data = getattr(video, name)(frames, 8, '', False)\n"
        "    setattr(video, name, lambda *_, data=data: data)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    video.save(sys.argv[1], frames, 8)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not be written" in run.stdout
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == b"before"


@pytest.mark.parametrize(("data", "complaint"), [(b"", "empty"), (b"words", "not a readable video")])
def test_bad_videos_are_refused(tmp_path, data, complaint):
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=complaint):
        video.read_video(path, 4)
    with pytest.raises(FileNotFoundError):
        video.read_video(tmp_path / "absent.mp4", 4)


def test_a_playlist_reaches_no_other_file(tmp_path):
    video.save(tmp_path / "secret.mp4", _make_frames(), 8)
    playlist = tmp_path / "a.mp4"
    playlist.write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(ValueError, match="not a readable video"):
        video.read_video(playlist, 4)
