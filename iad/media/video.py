"""Frames <-> files: mp4, gif, contact sheet, each saying that it is AI-generated.

In come uint8 frames (f, h, w, 3) with a path, and out goes a whole file or none; or a video, and out come its
frames. What a file says about its making is a JSON object in the comment of its container
(`iad.media.provenance`).
"""

import contextlib
import io
import math
import os
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from einops import rearrange
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from iad.media.files import SUFFIXES, check_folder, check_output, find_file, unwritten, write_whole
from iad.media.provenance import (
    MIME,
    STATEMENT,
    XMP,
    check_signing,
    compute_seal,
    draw_label,
    inspect,
    list_pictures,
    make_xmp_box,
    open_video,
    parse_record,
    recognise,
    set_seal,
    sign,
    write_record,
)

# What is taken for a video, not a photo.
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".3gp", ".webm", ".mkv", ".avi", ".gif")

MOST_PIXELS = 10_000_000  # a frame that is read: 4K has 9
MOST_A_SECOND = 300  # frames that are read

__all__ = [
    "STATEMENT", "SUFFIXES", "VIDEO_SUFFIXES", "Frames", "check_folder", "check_output", "make_contact_sheet",
    "read_metadata", "read_video", "save", "save_picture", "stream_video", "write_whole",
]  # fmt: skip

Frames = UInt8[np.ndarray, "f h w 3"]


def save(
    path: str | os.PathLike,
    frames: Frames,
    fps: float,
    *,
    metadata: dict[str, Any] | None = None,
    scale: int = 1,
    label: bool = False,
) -> Path:
    """Write frames as .mp4, .gif or, for a contact sheet, .png; signed where there is a certificate.

    Args:
        path: the suffix decides the format; missing folders are made.
        frames: at least one.
        fps: frames a second; a contact sheet ignores it.
        metadata: how the frames were made (model, arm, seed), kept in the file's comment.
        scale: enlarge by this factor for viewing.
        label: draw a small "AI-generated" into a corner of every frame.

    Raises:
        ValueError: unknown suffix, no frames, a certificate that cannot sign, or the file cannot be written;
            then no part of it stays behind.
    """
    path = check_output(path)
    check_signing()
    if not len(frames) or fps <= 0:
        raise ValueError(f"A video needs frames and a positive rate, got {len(frames)} frames at {fps} fps.")
    frames = _enlarge(frames, scale)
    kind = path.suffix.lower().removeprefix(".")
    comment = write_record(metadata or {})
    encode = {"mp4": _encode_mp4, "gif": _encode_gif, "png": _encode_png}[kind]
    try:
        data = encode(frames, fps, comment, label)
    except OSError as error:  # an mp4 goes through a file of its own
        raise unwritten(path, error) from error
    # What a player will show is known only now.
    data = set_seal(data, compute_seal(parse_record(comment), list_pictures(io.BytesIO(data))))
    write_whole(path, sign(data, MIME[kind], metadata or {}))
    return path


def make_contact_sheet(frames: Frames, *, columns: int = 8, gap: int = 2) -> UInt8[np.ndarray, "H W 3"]:
    """Lay frames out in rows on white, in reading order."""
    count, height, width = frames.shape[:3]
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    tiles = np.full((rows * columns, height + gap, width + gap, 3), 255, np.uint8)
    tiles[:count, :height, :width] = frames
    sheet = rearrange(tiles, "(r c) h w d -> (r h) (c w) d", r=rows)
    return sheet[: sheet.shape[0] - gap, : sheet.shape[1] - gap]


def save_picture(path: str | os.PathLike, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Save one picture as PNG, whole or not at all.

    Raises:
        ValueError: the folder cannot be written to, or the disk is full.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    write_whole(check_output(path, (".png",)), buffer.getvalue())


def _enlarge(frames: Frames, scale: int) -> UInt8[np.ndarray, "f H W 3"]:
    if scale == 1:
        return frames
    size = (frames.shape[2] * scale, frames.shape[1] * scale)
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.LANCZOS)) for frame in frames])


def _encode_mp4(frames: Frames, fps: float, comment: str, label: bool) -> bytes:
    import av

    # yuv420p halves the colour resolution, so both sides must be even.
    odd = ((0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0))
    # Moving the index to the front needs a real file, and only a whole one may reach its place.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video.mp4"
        with av.open(str(file), "w", options={"movflags": "+faststart"}) as container:
            container.metadata["comment"] = comment
            stream = container.add_stream(
                "libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "16", "preset": "fast"}
            )
            stream.width, stream.height = frames.shape[2] + odd[1][1], frames.shape[1] + odd[0][1]
            stream.pix_fmt = "yuv420p"
            codec = stream.codec_context
            codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = _BT709
            for frame in frames:
                frame = draw_label(frame[None])[0] if label else frame  # a copy of all would be large
                frame = np.ascontiguousarray(np.pad(frame, odd, mode="edge"))
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return file.read_bytes() + make_xmp_box()


# Limited range, BT.709 matrix, primaries and transfer: told to the player, so that none has to guess.
_BT709 = (1, 1, 1, 1)


def _encode_gif(frames: Frames, fps: float, comment: str, label: bool) -> bytes:
    frames = draw_label(frames) if label else frames
    # One palette for all frames: a palette of each frame's own would flicker.
    palette = Image.fromarray(make_contact_sheet(frames, gap=0)).quantize(256, Image.Quantize.MEDIANCUT)
    pictures = [Image.fromarray(frame).quantize(palette=palette) for frame in frames]
    # A gif counts in hundredths of a second: spread the rounding over the frames.
    ends = np.rint(np.arange(len(frames) + 1) * 100 / fps).astype(int)
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=(np.diff(ends) * 10).tolist(),
        loop=0,
        comment=comment.encode(),
    )
    return buffer.getvalue()


def _encode_png(frames: Frames, fps: float, comment: str, label: bool) -> bytes:
    frames = draw_label(frames) if label else frames
    text = PngInfo()
    text.add_itxt("Comment", comment)
    text.add_itxt("XML:com.adobe.xmp", XMP)
    buffer = io.BytesIO()
    Image.fromarray(make_contact_sheet(frames)).save(buffer, format="PNG", pnginfo=text)
    return buffer.getvalue()


def read_metadata(path: str | os.PathLike) -> dict[str, Any] | None:
    """Read how a file was made, by its own words, unchecked; None where it says nothing.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a readable .mp4, .gif or .png.
    """
    path = find_file(path, "a video")
    try:
        with path.open("rb") as file:
            comment = inspect(file).comment
    except (OSError, ValueError) as error:
        raise ValueError(f"'{path.name}' cannot be read, {error}; choose another file.") from error
    record = parse_record(comment)
    return record and {key: value for key, value in record.items() if key not in ("seal", "generator")}


def read_video(
    path: str | os.PathLike, max_frames: int, *, fps: float | None = None, largest: int | None = None
) -> tuple[UInt8[np.ndarray, "f h w 3"], float]:
    """Read the first frames of a video, upright, and their rate.

    Args:
        path: an mp4, mov, webm, mkv, avi or gif file.
        max_frames: read no more than these.
        fps: pick the frames at this rate by their time stamps instead of taking all; a slower video repeats
            frames.
        largest: pixels of the longer side; larger frames are shrunk to it as they come.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no video, it is damaged, or its frames are too large or too many.
    """
    with _open_video(find_file(path, "a video")) as (_, stream):
        rate = float(stream.average_rate or 25)
    frames: list[np.ndarray] = []
    shown = None
    for seconds, frame in stream_video(path, largest=largest):
        # A slower rate skips frames whose time has not come, a faster one repeats the one before.
        if shown is not None and fps is not None:
            frames += [shown] * (min(math.ceil(seconds * fps - 1e-6), max_frames) - len(frames))
        frames += [frame] if fps is None else []
        shown, ends = frame, seconds + 1 / rate
        if len(frames) >= max_frames:
            break
    if fps is not None:
        frames += [shown] * (min(math.ceil(ends * fps - 1e-6), max_frames) - len(frames))
    return np.stack(frames[:max_frames]), fps or rate


def stream_video(
    path: str | os.PathLike, *, largest: int | None = None, most_fps: float | None = None
) -> Iterator[tuple[float, UInt8[np.ndarray, "h w 3"]]]:
    """Yield every frame of a video, upright, with the seconds since the first by its time stamp.

    A video that breaks off ends there. Frames without a time stamp follow at the average rate. Where the size
    changes midway, as in a call over a poor line, what follows is brought to the size of the first frame.

    Args:
        path: as of `read_video`.
        largest: as of `read_video`.
        most_fps: leave out frames of what was taken faster, such as slow motion.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no video, shows no frame, or its frames are too large or too many.
    """
    path = find_file(path, "a video")
    import av

    first, now, size, slot = None, 0.0, None, -1
    with _open_video(path) as (container, stream):
        step = 1 / float(stream.average_rate or 25)
        try:
            for number, frame in enumerate(container.decode(stream)):
                if frame.width * frame.height > MOST_PIXELS:
                    most = f"{MOST_PIXELS // 10**6} megapixels a frame"
                    raise ValueError(f"'{path.name}' grows to more than {most}; save it smaller.")
                if first is not None and number > MOST_A_SECOND * (2 + now - first):
                    rate = f"{MOST_A_SECOND} frames a second"
                    raise ValueError(f"'{path.name}' has more than {rate}; save it with fewer.")
                stamp = now + step if frame.time is None else frame.time
                if first is None:
                    first = stamp
                now = stamp
                if most_fps:  # time stamps are rounded, so the slots' middles count
                    before, slot = slot, math.floor((now - first) * most_fps + 0.5)
                    if slot == before:
                        continue
                picture = np.rot90(_read_frame(frame, largest), frame.rotation // 90)
                picture = np.ascontiguousarray(picture)
                size = size or picture.shape[1::-1]
                if picture.shape[1::-1] != size:
                    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
                yield max(stamp - first, 0.0), picture
        except av.FFmpegError as error:
            if first is None:
                raise ValueError(
                    f"'{path.name}' is damaged and shows no frame; save the video again."
                ) from error
    if first is None:
        raise ValueError(f"'{path.name}' has no frames; choose another video.")


def _read_frame(frame: Any, largest: int | None) -> UInt8[np.ndarray, "h w 3"]:
    """Shrink a frame as it is turned into RGB: 4K takes three times as long one after the other."""
    scale = largest / max(frame.width, frame.height) if largest else 1.0
    if scale >= 1:
        return frame.to_ndarray(format="rgb24")
    width, height = (max(1, round(scale * side)) for side in (frame.width, frame.height))
    # into planes, for only then colours keep their full resolution
    return frame.reformat(width, height, "gbrp", interpolation="AREA").to_ndarray(format="rgb24")


@contextlib.contextmanager
def _open_video(path: Path) -> Iterator[tuple[Any, Any]]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            kind = recognise(file.read(64))
            file.seek(0)
            opened = stack.enter_context(open_video(file, kind, most=MOST_PIXELS))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"'{path.name}' is not a readable video, {error}; give an mp4, mov, webm, avi or gif file."
            ) from error
        yield opened
