"""Driving picture or video -> track: what its face does, 24 times a second by the video's own clock.

The first frame that shows a face counts; from there the face is followed from frame to frame, and looked for
anew where it is lost. A gap is held: the last face before it lasts until the next one. Everything that the
visitor should know of it becomes a note.

What is seen becomes what a portrait does: about the driver's own face at rest, and steadily. A row of what is
seen is a track's 60 numbers as they are read, then how high over wide both eyes are open and where the irises
lie in them. Lids and gaze go by that: people differ in it by as much as half a blink.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy.ndimage import grey_opening

from iad.config import EXPRESSIONS
from iad.faces import Face
from iad.faces.gaze import measure_gaze
from iad.geometry.coefficients import COEFFICIENTS, COLUMN, COLUMNS, split_gaze
from iad.media.photos import ImageSource, load_image
from iad.media.video import VIDEO_SUFFIXES, stream_video
from iad.request import FPS, LONGEST

LIDS, _POSE, _EYES = COLUMNS["eyeBlink"], slice(EXPRESSIONS, 60), slice(60, 62)
_LOOK = slice(62, 64)
# An outside judge (MediaPipe's mesh) saw 0.6 of a nod and 0.87 of a turn when the poses of held-out photos
# were read, and drawn with other photos.
POSE_GAIN = np.float32([1.5, 1.15, 1.0])
# On 400 animated stills weights were read lower than they were; one over the slope, up to 2, where r was 0.5.
_READ_LOW = {
    "browDown": 2.0, "browInnerUp": 1.4, "browOuterUp": 1.5, "cheekSquint": 1.8, "eyeSquint": 2.0,
    "eyeWide": 2.0, "jawOpen": 1.2, "mouthClose": 2.0, "mouthFrown": 2.0, "mouthSmile": 1.4,
    "mouthStretch": 2.0, "mouthUpperUp": 2.0, "noseSneer": 1.7,
}  # fmt: skip
WEIGHT_GAIN = np.float32([_READ_LOW.get(name.split("_")[0], 1.0) for name in COEFFICIENTS[:EXPRESSIONS]])
LOOK_OF_ONE = np.float32([0.16, -0.115])  # what the irises of those stills moved by, in a look of weight 1
REST = 0.15  # what a weight may be read as in a face at rest: cheeks, brows and gaze, by their shape
SHUT, OPEN = 0.06, 0.22  # height over width of an eye: shut, and open in the narrowest eyes
WINK = 0.55, 0.75  # how far both lids are read apart: by mistake, for the far one is hard to see, and winking
BLINK, HALF = 0.2, 0.3  # how far blinks are read to close: what passes for one, and what is taken for shut
_LASTS = 0.3  # seconds of a blink, at most
# By what a reading trembles from frame to frame: three standard deviations, measured on a real video.
_TREMBLE = np.r_[np.full(EXPRESSIONS, 0.03), np.full(3, 1.2)].astype(np.float32)
_SHARE = 0.3  # of a tremble that is followed


def observe(
    picture: UInt8[np.ndarray, "h w 3"],
    track: Float[np.ndarray, " 60"],
    landmarks: Float[np.ndarray, "68 2"],
) -> Float[np.ndarray, " 64"]:
    """Make a row of a face as it was read; where shut eyes look is NaN."""
    eyes = np.stack([landmarks[42:48], landmarks[36:42]])
    height = np.linalg.norm(eyes[:, [1, 2]] - eyes[:, [5, 4]], axis=-1).mean(-1)
    opened = height / np.linalg.norm(eyes[:, 3] - eyes[:, 0], axis=-1).clip(1e-3)
    return np.r_[track, opened, measure_gaze(picture, landmarks)]


def find_rest(seen: Float[np.ndarray, "f 64"]) -> Float[np.ndarray, " 64"]:
    """Find the face at rest: what its weights are read as, the middle of its poses and looks, open eyes."""
    rest = np.quantile(seen, 0.1, axis=0)
    rest[rest > REST] = 0  # an action that is held throughout
    rest[COLUMN["jawOpen"]] = 0  # lips meet at rest in every face
    rest[_POSE] = np.median(seen[:, _POSE], axis=0)
    awake = seen[:, _EYES] >= 0.65 * np.quantile(seen[:, _EYES], 0.9, axis=0)
    rest[_EYES] = np.nanmedian(np.where(awake, seen[:, _EYES], np.nan), axis=0).clip(OPEN)
    known = np.isfinite(seen[:, 62])
    rest[_LOOK] = np.median(seen[known][:, _LOOK], axis=0) if known.any() else 0
    return rest


def move_about(rest: Float[np.ndarray, " 64"], seen: Float[np.ndarray, "f 64"]) -> Float[np.ndarray, "f 60"]:
    """Turn what is seen into a portrait's track."""
    track = (seen - rest)[:, :60]
    track[:, :EXPRESSIONS] *= WEIGHT_GAIN
    left, up = np.nan_to_num((seen - rest)[:, _LOOK] / LOOK_OF_ONE).T
    for column, amount in split_gaze(left, up):
        track[:, column] = amount
    track[:, LIDS] = (rest[_EYES] - seen[:, _EYES]) / (rest[_EYES] - SHUT)
    track[:, :EXPRESSIONS] = track[:, :EXPRESSIONS].clip(0, 1)
    apart = np.abs(np.diff(track[:, LIDS]))
    winks = ((apart - WINK[0]) / (WINK[1] - WINK[0])).clip(0, 1)
    track[:, LIDS] += (1 - winks) * (track[:, LIDS].mean(axis=1, keepdims=True) - track[:, LIDS])
    track[:, _POSE] *= POSE_GAIN
    return track


def close_in_blinks(track: Float[np.ndarray, "f 60"], fps: float) -> Float[np.ndarray, "f 60"]:
    """Let the largest blink close the eyes: one that is over in a frame or two is read as half of itself."""
    lids = track[:, LIDS].mean(axis=1)
    largest = float((lids - grey_opening(lids, max(3, round(_LASTS * fps)))).max())
    if largest > BLINK:
        track[:, LIDS] = (track[:, LIDS] / np.clip(largest, HALF, 1)).clip(0, 1)
    return track


def settle(last: Float[np.ndarray, " 60"], row: Float[np.ndarray, " 60"]) -> Float[np.ndarray, " 60"]:
    """Go from one row of a track to the next: at once by what moves, a little by what only trembles."""
    apart = row - last
    return last + (_SHARE + (1 - _SHARE) * apart**2 / (apart**2 + _TREMBLE**2)) * apart


def steady(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 60"]:
    """Settle a whole track, forwards and backwards, so that nothing comes late."""
    forwards, backwards = (np.stack(list(accumulate(rows, settle))) for rows in (track, track[::-1]))
    return (forwards + backwards[::-1]) / 2


LARGEST_SIDE = 720  # pixels that a frame is read at: a face needs some two hundred
FOLLOWED_FPS = 30  # of a video that was taken faster; a face moves little between two such frames
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
    video = stream_video(source, largest=LARGEST_SIDE, most_fps=max(fps, FOLLOWED_FPS))
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
