"""What failed visitors once, and relatives of it: every case that no test of a room holds already."""

import io
import os
import struct

import numpy as np
import pytest
from made_up import ASTRONAUT
from made_up_broken import complain, write_jpegs
from PIL import Image
from pillow_heif import from_pillow

from iad.media.files import check_output
from iad.media.photos import load_image
from iad.media.provenance import verify
from iad.media.video import read_metadata, read_video, save, stream_video


def _write_heic(path, picture, **options):
    buffer = io.BytesIO()
    from_pillow(Image.fromarray(picture)).save(buffer, **options)
    path.write_bytes(buffer.getvalue())
    return path


# 21: photos of phones


@pytest.mark.parametrize("name", ["a.heic", "A.HEIC", "a.heif", "a.jpg", "a"])
@pytest.mark.parametrize(("orientation", "quarters"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_phone_s_photo_is_read_upright_whatever_its_name(tmp_path, name, orientation, quarters):
    picture = np.asarray(Image.open(ASTRONAUT).convert("RGB"))[:200, :300]
    exif = Image.Exif()
    exif[0x112] = orientation
    found = load_image(_write_heic(tmp_path / name, picture, quality=90, exif=exif.tobytes()))
    expected = np.rot90(picture, quarters)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_a_phone_s_photo_that_is_too_large_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = _write_heic(tmp_path / "a.heic", np.zeros((64, 64, 3), np.uint8))
    whole, size = path.read_bytes(), struct.pack(">4s4xII", b"ispe", 64, 64)
    assert size in whole
    path.write_bytes(whole.replace(size, struct.pack(">4s4xII", b"ispe", 9000, 9000)))
    monkeypatch.setattr("pillow_heif.HeifImageFile", lambda *_: pytest.fail("decoded"))
    assert "40 megapixels" in complain(lambda: load_image(path))


def test_a_phone_s_photo_whose_size_is_a_lie_is_refused(tmp_path):
    path = _write_heic(tmp_path / "a.heic", np.zeros((2000, 2000, 3), np.uint8))
    size = struct.pack(">4s4xII", b"ispe", 2000, 2000)
    path.write_bytes(path.read_bytes().replace(size, struct.pack(">4s4xII", b"ispe", 64, 64)))
    assert "damaged or cut short" in complain(lambda: load_image(path))


# 16, 21: names that no file can have


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "a\0b.png", "b/" * 3000 + ".png", "\udcff" * 400])
def test_a_name_that_no_file_can_have_ends_in_a_sentence(name):
    for read in (load_image, verify, read_metadata, lambda path: read_video(path, 1)):
        assert "no file" in complain(lambda read=read: read(name))


def test_an_output_that_cannot_be_is_noticed_before_any_work(tmp_path):
    for name in ("a" * 300 + ".mp4", "b" * 300 + "/a.mp4"):
        assert "rename it" in complain(lambda name=name: check_output(tmp_path / name))
    (tmp_path / "link.mp4").symlink_to(tmp_path)
    assert "a folder" in complain(lambda: check_output(tmp_path / "link.mp4"))
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert check_output(tmp_path / "loop.mp4")  # is replaced, as any link is


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "."])
def test_what_is_no_file_is_never_read(path, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in (path, tmp_path / "pipe"):
        for read in (load_image, verify, read_metadata, lambda path: read_video(path, 1)):
            assert "not a file" in complain(lambda read=read, name=name: read(name))


# 21: pictures of every kind that Pillow knows


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"])
def test_a_picture_of_any_mode_looks_as_it_did(mode):
    picture = Image.open(ASTRONAUT).convert("RGB").resize((96, 96))
    found = load_image(picture.convert(mode)).astype(int)
    expected = np.asarray(picture.convert(mode).convert("RGB")).astype(int)
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_picture_without_a_white_of_its_own_is_refused(mode):
    assert "convert it to RGB" in complain(lambda: load_image(Image.new(mode, (64, 64))))


# 10, 11: videos as phones take them


@pytest.mark.parametrize("quarters", range(4))
def test_a_video_that_was_held_upright_stands_upright(tmp_path, quarters):
    frame = np.zeros((64, 96, 3), np.uint8)
    frame[:32, :32] = 255
    path = tmp_path / "a.mp4"
    save(path, np.stack([frame] * 3), 24)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 44  # the matrix of the track, which says how it is shown
    cos, sin = ((1, 0), (0, -1), (-1, 0), (0, 1))[quarters]
    rows = (cos, sin, 0, -sin, cos, 0)
    data[place : place + 24] = struct.pack(">6i", *(round(value * 65536) for value in rows))
    path.write_bytes(data)
    (found,), _ = read_video(path, 1)
    expected = np.rot90(frame, quarters)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 4


def test_slow_motion_is_thinned_out(tmp_path):
    path = write_jpegs(tmp_path / "a.mkv", [64] * 480, [round(k * 1000 / 240) for k in range(480)], unit=1000)
    times = [now for now, _ in stream_video(path, most_fps=60)]
    assert len(times) == pytest.approx(120, abs=2) and times[-1] > 1.97
    even = write_jpegs(tmp_path / "b.mkv", [64] * 100, unit=60)
    assert len(list(stream_video(even, most_fps=60))) == 100
