"""What is inside a file from anywhere: its kind, its size, its comment, and its pictures to the last bit.

Kinds are told by the first bytes, never by the name: FFmpeg left to guess would also follow playlists, which
open other files and addresses.
"""

import contextlib
import io
import itertools
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image

MOST_PIXELS = 40_000_000  # a picture
MOST_SHOWN = 500_000_000  # pixels of all pictures together; far more than any model here makes
LEAST_COUNTED = 50_000  # pixels that even the smallest picture counts as, for looking at it takes time, too

# What Pillow raises where a file is not what its head says.
DAMAGE = (OSError, SyntaxError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)

MIME = {
    "mp4": "video/mp4", "mov": "video/quicktime", "gif": "image/gif", "png": "image/png",
    "webm": "video/webm", "mkv": "video/x-matroska", "avi": "video/avi",
}  # fmt: skip
_DEMUXERS = {"mp4": "mov", "mov": "mov", "webm": "matroska", "mkv": "matroska", "avi": "avi", "gif": "gif"}


@dataclass(frozen=True)
class Media:
    """What is to be known of a file without looking at its pictures."""

    format: str
    width: int
    height: int
    frames: int | None  # None where the file does not say
    fps: float | None
    sound: bool
    comment: str | bytes


def recognise(start: bytes) -> str | None:
    """Name a file's kind by its first 64 bytes; None for all that is not read here."""
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if start[4:8] == b"ftyp":
        return "mov" if start[8:12] == b"qt  " else "mp4"
    if start[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return "mov"
    if start.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm" if b"webm" in start else "mkv"
    return "avi" if start.startswith(b"RIFF") and start[8:12] == b"AVI " else None


def inspect(file: io.BufferedIOBase) -> Media:
    """Look at a file's head.

    Raises:
        ValueError: it is not readable; a sentence that begins with "it".
    """
    kind = _find_kind(file)
    try:
        if kind not in ("gif", "png"):
            return _inspect_video(file, kind)
        frames = _count_gif(file) if kind == "gif" else None
        with _open_picture(file) as picture:
            frames = getattr(picture, "n_frames", 1) if frames is None else frames
            milliseconds = picture.info.get("duration") or 0
            comment = picture.info.get("Comment") or picture.info.get("comment") or ""
            fps = 1000 / milliseconds if frames > 1 and milliseconds else None
            return Media(kind, *picture.size, frames, fps, False, comment)
    except DAMAGE as error:
        raise ValueError("it is damaged") from error


def list_pictures(file: io.BufferedIOBase) -> Iterator[bytes]:
    """Yield what a player would show, picture by picture, with size and time, and how many tracks there are.

    Decoders of H.264 agree to the last bit, so the same file gives the same bytes everywhere.

    Raises:
        ValueError: it is not readable, or there are too many pictures.
    """
    kind = _find_kind(file)
    try:
        shown = 0
        for head, body in _unfold(file) if kind in ("gif", "png") else _decode(file):
            shown += max(head[1] * head[2], LEAST_COUNTED)
            if shown > MOST_SHOWN:
                raise ValueError("it has too many pictures")
            yield " ".join(map(str, head)).encode()
            yield body
    except DAMAGE as error:
        raise ValueError("it is damaged") from error


def _count_gif(file: io.BufferedIOBase) -> int:
    """Count the pictures of a gif, which does not say how many it has, without unpacking them."""
    most = MOST_SHOWN // LEAST_COUNTED
    with open_video(file, "gif") as (container, stream):
        found = sum(1 for packet in itertools.islice(container.demux(stream), most + 2) if packet.size)
    file.seek(0)
    if found > most:
        raise ValueError("it has too many pictures")
    return found


def _find_kind(file: io.BufferedIOBase) -> str:
    file.seek(0)
    kind = recognise(file.read(64))
    file.seek(0)
    if kind is None:
        raise ValueError("it is of another kind")
    return kind


def _inspect_video(file: io.BufferedIOBase, kind: str) -> Media:
    with open_video(file, kind) as (container, stream):
        rate = float(stream.average_rate) if stream.average_rate else None
        seconds = (container.duration or 0) / 1e6
        frames = stream.frames or (round(seconds * rate) if rate and seconds else None)
        words = {key.lower(): value for key, value in container.metadata.items()}
        codec = stream.codec_context
        return Media(
            kind,
            codec.width,
            codec.height,
            frames,
            rate,
            bool(container.streams.audio),
            words.get("comment", ""),
        )


@contextlib.contextmanager
def open_video(
    file: io.BufferedIOBase, kind: str | None, *, most: int = MOST_PIXELS
) -> Iterator[tuple[Any, Any]]:
    """Open a file of a kind that `recognise` names, whose frames have at most so many pixels.

    Raises:
        ValueError: it is no video, or not readable; a sentence that begins with "it".
    """
    import av

    if kind not in _DEMUXERS:
        raise ValueError("it is of another kind")

    try:
        with av.open(file, format=_DEMUXERS[kind], metadata_errors="replace") as container:
            if not container.streams.video:
                raise ValueError("it has no picture")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ValueError("it is coded in a manner that is not known here")
            if stream.codec_context.width * stream.codec_context.height > most:
                raise ValueError(f"it has more than {most // 10**6} megapixels a frame")
            yield container, stream
    except av.FFmpegError as error:
        raise ValueError("it is damaged") from error


@contextlib.contextmanager
def _open_picture(file: io.BufferedIOBase) -> Iterator[Image.Image]:
    large = f"it has more than {MOST_PIXELS // 10**6} megapixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(file, formats=("GIF", "PNG"))
    except Image.DecompressionBombError as error:
        raise ValueError(large) from error
    except (*DAMAGE, ValueError) as error:
        raise ValueError("it is damaged") from error
    with opened as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(large)
        yield picture


def _decode(file: io.BufferedIOBase) -> Iterator[tuple[tuple, bytes]]:
    with open_video(file, _find_kind(file)) as (container, stream):
        begin = None
        for frame in container.decode(stream):
            time = frame.time or 0.0
            begin = time if begin is None else begin
            # Another container may count in milliseconds, so no finer.
            head = (
                len(container.streams),
                frame.width,
                frame.height,
                round(1000 * (time - begin)),
                frame.format.name,
            )
            # the planes as they were decoded: how they become red, green and blue varies between versions
            yield head, frame.to_ndarray().tobytes()


def _unfold(file: io.BufferedIOBase) -> Iterator[tuple[tuple, bytes]]:
    with _open_picture(file) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            yield (1, *picture.size, picture.info.get("duration", 0), "rgb"), picture.convert("RGB").tobytes()
