"""Driving picture or video -> track: what its face does, 24 times a second by the video's own clock.

The first frame that shows a face counts; from there the face is followed from frame to frame, and looked for
anew where it is lost. A gap is held: the last face before it lasts until the next one. Everything that the
visitor should know of it becomes a note.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8

from iad.config import EXPRESSIONS
from iad.faces import Face
from iad.geometry.calibration import close_in_blinks, find_rest, move_about, observe, steady
from iad.media.photos import ImageSource, load_image
from iad.media.video import VIDEO_SUFFIXES, stream_video
from iad.request import FPS, LONGEST, MOST_FPS

LARGEST_SIDE = 720  # pixels that a frame is read at: a face needs some two hundred
LOOK_AGAIN = 0.1  # seconds between looks for a face that is lost: looking costs as much as ten frames
WAITING = 60  # frames without a face that are kept, to follow back the one that comes
GAP = 0.22  # seconds without a face that need no word

FindFace = Callable[[UInt8[np.ndarray, "h w 3"]], Face]  # raises ValueError where there is none
FollowFace = Callable[[UInt8[np.ndarray, "h w 3"], Float32[np.ndarray, "68 2"]], Face | None]


@dataclass(frozen=True)
class Driven:
    """What a driver does; `shown` is the share of its frames in which a face was found."""

    track: Float32[np.ndarray, "f 60"]
    notes: tuple[str, ...]
    shown: float


def is_video(source: ImageSource) -> bool:
    """Tell a video file from a photo by its name."""
    return isinstance(source, str | Path) and Path(source).suffix.lower() in VIDEO_SUFFIXES


def read_driver(
    source: ImageSource,
    *,
    find: FindFace,
    follow: FollowFace,
    seconds: float | None = None,
    fps: float = FPS,
    relative: bool = True,
) -> Driven:
    """Read what a picture or a video does.

    Args:
        source: a photo, which is held, or a video file.
        find: looks for a face anywhere.
        follow: looks where the face was the frame before.
        seconds: how long the clip is to be; None: a video's own length up to `LONGEST`, two for a photo.
        fps: frames a second of the track.
        relative: take a video's head pose about its own middle, for a driver who sits askew; else as it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be read, or shows no face; the sentence speaks of the driver.
    """
    if not is_video(source):
        return _hold(source, find, seconds or 2.0, fps)
    limit = min(seconds or LONGEST, LONGEST)
    times, seen, length, missed, longer = [], [], 0.0, 0, False
    video = stream_video(source, largest=LARGEST_SIDE, most_fps=MOST_FPS)
    for now, row in observe_faces(video, find=find, follow=follow):
        if now >= limit:
            length, longer = limit, True
            break
        length = now + 1 / fps
        if row is None:
            missed += 1
        else:
            times.append(now)
            seen.append(row)
    if not seen:
        raise ValueError(
            f"The driving video '{Path(source).name}' shows no face that can be read; choose one in which a "
            "face is seen from the front, sharp and larger than 36 pixels."
        )
    length = min(length, limit)
    frames = np.arange(max(1, round(length * fps))) / fps
    even = np.stack([np.interp(frames, times, column) for column in np.stack(seen).T], axis=1)
    held = _hold_gaps(frames, np.array(times), np.stack(seen), even)
    rest = find_rest(held)
    if not relative:
        rest[EXPRESSIONS:60] = 0
    track = steady(close_in_blinks(move_about(rest, held), fps)).astype(np.float32)
    return Driven(
        track, tuple(_doubts(times, length, longer and seconds is None)), len(times) / (len(times) + missed)
    )


def observe_faces(
    video: Iterator[tuple[float, UInt8[np.ndarray, "h w 3"]]], *, find: FindFace, follow: FollowFace
) -> Iterator[tuple[float, Float[np.ndarray, " 64"] | None]]:
    """Yield every frame's time and what is seen of its face, as `observe` says it; None where there is none.

    A face that is found late is followed back, too: it may only have been turned too far to be found.
    """
    landmarks, looked, waiting = None, -np.inf, deque()
    for now, picture in video:
        face = None if landmarks is None else follow(picture, landmarks)
        if face is None and now - looked >= LOOK_AGAIN:
            looked = now
            try:
                face = find(picture)
            except ValueError:
                face = None
        landmarks = None if face is None else face.landmarks
        if face is not None:
            yield from _follow_back(waiting, landmarks, follow)
            waiting.clear()
            yield now, observe(picture, face.track, face.landmarks)
            continue
        waiting.append((now, picture))
        if len(waiting) > WAITING:
            yield waiting.popleft()[0], None
    yield from ((now, None) for now, _ in waiting)


def _follow_back(
    waiting: deque, landmarks: Float32[np.ndarray, "68 2"], follow: FollowFace
) -> Iterator[tuple[float, Float[np.ndarray, " 64"] | None]]:
    rows = []
    for now, picture in reversed(waiting):
        face = None if landmarks is None else follow(picture, landmarks)
        landmarks = None if face is None else face.landmarks
        rows.append((now, face and observe(picture, face.track, face.landmarks)))
    return reversed(rows)


def _hold(source: ImageSource, find: FindFace, seconds: float, fps: float) -> Driven:
    try:
        face = find(load_image(source))
    except ValueError as error:
        raise ValueError(f"The driving picture cannot be used: {error}") from error
    return Driven(np.repeat(face.track[None], max(1, round(seconds * fps)), axis=0), (), 1.0)


def _hold_gaps(
    frames: Float[np.ndarray, " f"],
    times: Float[np.ndarray, " t"],
    tracks: Float[np.ndarray, "t k"],
    track: Float[np.ndarray, "f k"],
) -> Float[np.ndarray, "f k"]:
    """Hold the last face through a gap instead of gliding to the next one."""
    before = (np.searchsorted(times, frames, side="right") - 1).clip(0)
    after = np.minimum(before + 1, len(times) - 1)
    gap = (times[after] - times[before] > GAP) & (frames > times[before])
    return np.where(gap[:, None], tracks[before], track)


def _doubts(times: list[float], length: float, cut: bool) -> Iterator[str]:
    if times[0] > GAP:
        yield f"The driver shows no face in its first {times[0]:.1f} s; the portrait waits with the first."
    gaps = np.diff([*times, length])
    lost = float(gaps[gaps > GAP].sum())
    if lost:
        yield f"The driver's face was not seen for {lost:.1f} s; the portrait holds what it did before."
    if cut:
        yield f"The driver is longer than {LONGEST:g} s; only its first {LONGEST:g} s are used."
