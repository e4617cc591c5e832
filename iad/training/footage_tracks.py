"""One video -> one face through time: read, tracked, filtered, and cut to the size that the model makes.

In goes the path of a video, out come its frames at the model's size and rate, an aligned crop of the face
for every latent frame, and jittered views of the person to serve as references; or one sentence why not.
Files are data: FFmpeg decodes them, and nothing in them runs. Needs no GPU, so many processes can work at it.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from iad.faces import Face, Landmarker, crop, find_face
from iad.media.video import read_video
from iad.models.reading import as_landmarker, load_mini_reader
from iad.training.augment import degrade, recolour, reframe

LARGEST_SIDE = 1920  # pixels that a video is read at: twice as many frames as a clip has are held at once
JITTER = 0.3  # of the framing of references; a crop far askew would not say where the head is
CUT = 0.22  # mean change of a thumbnail, of full range, from one frame to the next: another shot
STAYS = 0.5  # a face that moves further than so many of its widths is followed
SEVERAL = 0.34  # share of moments with more than one face at which a clip counts as a group's


@dataclass(frozen=True)
class Filters:
    """What a clip must show to be of use."""

    min_face: int = 64  # width of the detected box, pixels of the video
    min_sharpness: float = 20.0  # median variance of the Laplacian of a 128 x 128 crop, grey levels squared
    min_seen: float = 0.6  # share of moments in which the face is found


FILTERS = Filters()


@dataclass(frozen=True)
class Shot:
    """The size of a clip and of the faces cut from it."""

    frames: int
    fps: int
    height: int
    width: int
    frames_per_latent: int
    face_size: int
    references: int

    @property
    def moments(self) -> list[int]:
        """The frame in the middle of every latent frame; the first of these holds the first frame alone."""
        stack = self.frames_per_latent
        return [0, *(end - stack // 2 for end in range(stack, self.frames, stack))]


@dataclass(frozen=True)
class TrackedClip:
    """One face through one clip."""

    frames: UInt8[np.ndarray, "f h w 3"]
    faces: UInt8[np.ndarray, "m s s 3"]  # one a latent frame, FFHQ framing
    references: UInt8[np.ndarray, "r s s 3"]  # jittered in framing and colour
    apart: bool  # the references show moments after the clip
    face_width: float  # median, pixels of the video
    sharpness: float


def track(task: tuple[int, Path, int], *, shot: Shot, filters: Filters) -> tuple[int, TrackedClip | str]:
    """Work on one video, given with its number and seed; what is wrong with it comes back as a sentence."""
    number, video, seed = task
    try:
        return number, track_video(video, shot, filters=filters, seed=seed)
    except (ValueError, OSError) as error:
        return number, " ".join(str(error).split())
    except Exception as error:  # whatever a strange file makes of FFmpeg and OpenCV; the others go on
        return number, f"It could not be read ({type(error).__name__}: {' '.join(str(error).split())})."


def track_video(path: Path, shot: Shot, *, filters: Filters, seed: int) -> TrackedClip:
    """Read, track, filter and cut one video.

    The first `shot.frames` frames become the clip. What follows them, up to as much again, lends the
    references: moments that the clip itself does not show.

    Raises:
        ValueError: the clip is of no use; the message says why.
    """
    frames, _ = read_video(path, 2 * shot.frames, fps=shot.fps, largest=LARGEST_SIDE)
    needed = shot.frames / shot.fps
    if len(frames) < shot.frames:
        have = f"{len(frames) / shot.fps:.1f} s"
        raise ValueError(f"It lasts {have} and a clip needs {needed:.1f} s; use a longer video.")
    cut = _find_cut(frames)
    if cut is not None and cut < shot.frames:
        raise ValueError(f"It cuts to another shot at {cut / shot.fps:.1f} s; split it there.")
    frames = frames[:cut]
    moments = shot.moments
    apart, others = _pick_references(len(frames), shot)
    found = _find_faces(frames, moments, filters)
    width = float(np.median([face.box[2] - face.box[0] for face in found if face]))
    if width < filters.min_face:
        raise ValueError(f"Its face is {width:.0f} pixels wide; at least {filters.min_face} are needed.")
    sharpness = float(np.median([_sharpness(face.image) for face in found if face]))
    if sharpness < filters.min_sharpness:
        least = f"{filters.min_sharpness:.0f}"
        raise ValueError(f"Its face is blurred (sharpness {sharpness:.0f}); at least {least} is needed.")
    found = _fill_gaps(found)
    views = _view_references(frames, others, dict(zip(moments, found, strict=True)))
    rng = np.random.default_rng(seed)
    size = shot.face_size
    return TrackedClip(
        frames=_cut_out(frames[: shot.frames], found, shot),
        faces=np.stack([crop(frames[k], a, size) for k, a in zip(moments, _frame(found), strict=True)]),
        references=np.stack([_jitter(frames[k], a, size, rng) for k, a in views]),
        apart=apart,
        face_width=width,
        sharpness=sharpness,
    )


def _find_cut(frames: UInt8[np.ndarray, "f h w 3"]) -> int | None:
    """Return the first frame of the second shot."""
    small = [cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA) for frame in frames]
    change = np.abs(np.diff(np.stack(small).astype(np.float32), axis=0)).mean((1, 2, 3)) / 255
    cuts = np.flatnonzero(change > CUT)
    return int(cuts[0]) + 1 if len(cuts) else None


def _pick_references(count: int, shot: Shot) -> tuple[bool, list[int]]:
    """Choose moments after the clip where there is half a second of them, else moments of the clip."""
    first = shot.frames + shot.fps // 4
    if count - first >= max(shot.references, shot.fps // 2):
        return True, [round(k) for k in np.linspace(first, count - 1, shot.references)]
    places = np.linspace(0, len(shot.moments) - 1, shot.references)
    return False, [shot.moments[round(place)] for place in places]


def _find_faces(
    frames: UInt8[np.ndarray, "f h w 3"], moments: list[int], filters: Filters
) -> list[Face | None]:
    """Find the face at every moment; None where it is not seen."""
    found: list[Face | None] = []
    allowed = int((1 - filters.min_seen) * len(moments) + 1e-6)
    for k in moments:
        found.append(_find(frames[k]))
        if found.count(None) > allowed:
            seen = f"{found.count(None)} of {len(found)} moments"
            raise ValueError(f"It shows no face in {seen}; one face must stay in view.")
    several = sum(face is not None and face.count > 1 for face in found)
    if several >= SEVERAL * len(moments):
        raise ValueError(f"It shows several faces in {several} of {len(moments)} moments; one is allowed.")
    return found


def _find(frame: UInt8[np.ndarray, "h w 3"]) -> Face | None:
    try:
        return find_face(frame, load_landmarker())
    except ValueError:
        return None


@functools.cache
def load_landmarker() -> Landmarker:
    """Load what aligns the faces: the glance of mini's reader, which ships with the project."""
    return as_landmarker(load_mini_reader())


def _sharpness(image: UInt8[np.ndarray, "s s 3"]) -> float:
    return float(cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def _fill_gaps(found: list[Face | None]) -> list[Face]:
    """Let moments without a face take the nearest one that is seen."""
    known = np.array([k for k, face in enumerate(found) if face is not None])
    return [found[known[np.argmin(np.abs(known - k))]] for k in range(len(found))]


def _frame(found: list[Face]) -> list[Float[np.ndarray, "2 3"]]:
    """Frame all moments as the first, so that the head's motion stays; a face that walks away is followed."""
    boxes = np.array([face.box for face in found], dtype=np.float64)
    steps = (boxes[:, :2] + boxes[:, 2:]) / 2
    steps -= steps[0]
    if np.abs(steps).max() < STAYS * (boxes[0, 2] - boxes[0, 0]):
        steps[:] = 0
    first = found[0].affine
    return [np.column_stack([first[:, :2], first[:, 2] - first[:, :2] @ step]) for step in steps]


def _view_references(
    frames: UInt8[np.ndarray, "f h w 3"], others: list[int], known: dict[int, Face]
) -> list[tuple[int, Float[np.ndarray, "2 3"]]]:
    """Frame the references; where the face is gone by then, the clip's own moments serve."""
    views = []
    for place, k in enumerate(others):
        face = known.get(k) or _find(frames[k])
        if face is None or face.count > 1:
            k = list(known)[place * len(known) // len(others)]
            face = known[k]
        views.append((k, face.affine))
    return views


def _jitter(
    frame: UInt8[np.ndarray, "h w 3"],
    affine: Float[np.ndarray, "2 3"],
    size: int,
    rng: np.random.Generator,
) -> UInt8[np.ndarray, "s s 3"]:
    """Cut a face as another photo of the person might show it."""
    turn = np.vstack([reframe(rng, strength=JITTER), [0, 0, 1]])
    askew = (turn @ np.vstack([affine, [0, 0, 1]]))[:2]
    return degrade(recolour(crop(frame, askew, size), rng), rng)


def _cut_out(
    frames: UInt8[np.ndarray, "f _ _ 3"], found: list[Face], shot: Shot
) -> UInt8[np.ndarray, "f h w 3"]:
    """Scale the frames to cover the model's size and cut around the face, the same window in all of them."""
    height, width = frames.shape[1:3]
    scale = max(shot.height / height, shot.width / width)
    sides = (max(shot.width, round(width * scale)), max(shot.height, round(height * scale)))
    boxes = np.array([face.box for face in found])
    centre = (boxes[:, :2] + boxes[:, 2:]).mean(0) / 2 * scale
    spare = np.array([sides[0] - shot.width, sides[1] - shot.height])
    left, top = np.clip(np.rint(centre - np.array([shot.width, shot.height]) / 2), 0, spare).astype(int)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    window = np.s_[top : top + shot.height, left : left + shot.width]
    return np.stack([cv2.resize(frame, sides, interpolation=how)[window] for frame in frames])
