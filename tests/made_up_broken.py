"""Broken and hostile files for tests, made by code."""

import io
import json
import struct
import tempfile
import traceback
import zlib
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from pillow_heif import from_pillow

import iad

PACKAGE = str(Path(iad.__file__).parent)
NOISE = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)


def complain(call: Callable[[], object]) -> str | None:
    """Return the sentence in which a call ends, which must be ours and no library's; None if it succeeds."""
    try:
        call()
    except (ValueError, FileNotFoundError) as error:
        words = str(error)
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        assert last.startswith(PACKAGE), f"{last}: {words}"
        assert words.endswith(".") and 20 < len(words) < 600, words
        return words
    return None


def write_jpegs(path: Path, sides: list[int], times: list[int] | None = None, *, unit: int = 24) -> Path:
    """Write square JPEG pictures of these sides as the frames of a Matroska file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.time_base = "yuvj420p", Fraction(1, unit)
        for number, side in enumerate(sides):
            buffer = io.BytesIO()
            Image.new("RGB", (side, side), (200, number % 256, 30)).save(buffer, "JPEG")
            packet = av.Packet(buffer.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, unit)
            packet.pts = packet.dts = number if times is None else times[number]
            container.mux(packet)
    return path


def write_gif(path: Path, *, frames: int = 2, comment: str = "", cut: int | None = None) -> Path:
    """Write a gif of one-pixel frames, by hand: 23 bytes each."""
    data = b"GIF89a\1\0\1\0\x80\0\0" + bytes(3) + b"\xff" * 3
    pieces = [comment.encode()[k : k + 255] for k in range(0, len(comment.encode()), 255)]
    if pieces:
        data += b"\x21\xfe" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"
    frame = b"\x21\xf9\4\0\4\0\0\0" + b"\x2c" + struct.pack("<4H", 0, 0, 1, 1) + b"\0\2\2\x44\1\0"
    path.write_bytes((data + frame * frames + b"\x3b")[:cut])
    return path


def make_png_head(width: int, height: int) -> bytes:
    """Write the beginning of a PNG of this size, which says that more follows."""
    head = b"IHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 999) + b"IDAT"


def make_record(**words: object) -> str:
    """Write what a forger may put into a file's comment."""
    return json.dumps({"ai_generated": True, **words})


def damage(data: bytes, edits: Iterable[tuple[float, int]], cut: float | None) -> bytes:
    """Put other bytes at some places, each a share of the length, and end at one."""
    broken = bytearray(data)
    for place, byte in edits:
        broken[int(place * len(data))] = byte
    return bytes(broken[: None if cut is None else int(cut * len(data))])


def encode_pictures() -> list[bytes]:
    """Return a small picture in every form that is read, some with notes of the camera."""
    exif = Image.Exif()
    exif[0x112], exif[0x10E] = 6, "a note"
    kinds = (("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB"))
    found = []
    for kind, mode in kinds:
        buffer = io.BytesIO()
        Image.fromarray(NOISE[0]).convert(mode).save(buffer, kind, exif=exif)
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    from_pillow(Image.fromarray(NOISE[0])).save(buffer, exif=exif.tobytes())
    return [*found, buffer.getvalue()]


def encode_videos() -> list[bytes]:
    """Return a small video in every kind of container that is read."""
    found = []
    for name, codec in (("a.mp4", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4"), ("a.gif", "gif")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, rate=24)
                stream.width = stream.height = 64
                stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
                for picture in NOISE[:3]:
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
                container.mux(stream.encode())
            found.append(path.read_bytes())
    return found
