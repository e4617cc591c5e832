"""Photo and landmarks -> frames of the person performing a track, with the photo's own pixels.

`AnimatedPhoto` takes any photo, of any size, with the face anywhere in it. It works on a window around the
head, at the resolution that the frames ask for; `paste_back` puts frames into the whole photo again.
"""

import functools
import math
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from threadpoolctl import ThreadpoolController

from iad.geometry.coefficients import COEFFICIENTS, COLUMN, EXPRESSIONS, split_gaze
from iad.geometry.curves import ease
from iad.geometry.eyes import GAZE_DEGREES
from iad.geometry.fit import Fit, fit_head
from iad.geometry.head import Head
from iad.geometry.moving import MovingFace
from iad.geometry.renderer import round_colours
from iad.geometry.rig import create_rig
from iad.geometry.stage import Square, create_stage, cut_window, frame_photo
from iad.geometry.textures import COVERABLE
from iad.request import LARGEST

MOST_WHOLE = 600_000_000  # bytes of all frames of a whole photo, which a label copies once more
# Photos' coordinates begin at the first pixel's centre, the drawing's at its edge.
_HALF_PIXEL = np.float32(0.5)
_OF_MOUTH = tuple(COLUMN[n] for n in COEFFICIENTS if n.startswith(("jaw", "mouth", "cheekPuff", "noseSneer")))
_OF_EYE = {
    side: tuple(COLUMN[n] for n in COEFFICIENTS if n.startswith("eye") and n.endswith(f"_{side}"))
    for side in "LR"
}


@dataclass(frozen=True)
class Drawn:
    """Frames, and where each of their pixels comes from: `PHOTO`, `FILLED` or `PAINTED` of `renderer`."""

    frames: UInt8[np.ndarray, "f s s 3"]
    source: UInt8[np.ndarray, "f s s"]


class AnimatedPhoto:
    """A photo that performs tracks.

    Args:
        geometry: From `load_geometry`.
        photo: RGB.
        landmarks: The 68 of Multi-PIE, pixels, (0, 0) in the middle of the first pixel.
        covered: Of "mouth", "left eye" and "right eye" (the person's own), what something hides: there the
            photo's pixels stay and move with the head alone. With "glasses", lids and eyes move, but not the
            skin behind the frames.

    Raises:
        ValueError: No picture, no usable landmarks, or an unknown name in `covered`.
    """

    def __init__(
        self,
        geometry: Head,
        photo: UInt8[np.ndarray, "h w 3"],
        landmarks: Float[np.ndarray, "68 2"],
        *,
        covered: frozenset[str] | set[str] | tuple[str, ...] = (),
    ):
        unknown = sorted(set(covered) - set(COVERABLE))
        if unknown:
            raise ValueError(f"Nothing is called {', '.join(unknown)}; choose from {', '.join(COVERABLE)}.")
        self._geometry, self._photo, self._covered = geometry, photo, frozenset(covered)
        self._landmarks = np.asarray(landmarks, np.float32) + _HALF_PIXEL
        self.fit: Fit = fit_head(geometry, self._landmarks)
        rig = create_rig(geometry)
        stage = create_stage(self.fit, rig.shape(self.fit.identity)[rig.landmarks])
        self.square: Square = frame_photo(stage, self._landmarks, photo.shape[:2])
        self._faces: dict[int, MovingFace] = {}
        self._lock = threading.Lock()

    @property
    def error(self) -> float:
        """How far the fitted landmarks miss, over the eye distance; above `fit.WORST_FIT` do not draw it."""
        return self.fit.error

    @property
    def own_track(self) -> Float[np.ndarray, " 60"]:
        """The photo's own expression, gaze and pose: the row that draws the photo as it is."""
        own = np.concatenate([self.fit.expression, self.fit.pose]).astype(np.float32)
        for column, amount in split_gaze(*self._face(384).textures.gaze / GAZE_DEGREES):
            own[column] = min(amount, 1)
        return own

    def landmarks(self, track: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f 68 2"]:
        """Project the 68 landmarks; (0, 0) is the upper left corner of the frame, (1, 1) its lower right."""
        return self._face(384).landmarks(self._check(track))

    def render(
        self, track: Float[np.ndarray, "f k"], *, size: int = 384, threads: int | None = None
    ) -> Drawn:
        """Draw absolute expression weights and head poses in the framing of the neutral frontal face.

        Args:
            track: A row a frame.
            size: Of a frame, pixels.
            threads: That draw frames side by side; by default one a core.

        Raises:
            ValueError: The track is not (f, 60), or the size is not between 16 and `LARGEST`.
        """
        return next(self.render_parts(track, part=max(1, len(track)), size=size, threads=threads))

    def render_parts(
        self, track: Float[np.ndarray, "f k"], *, part: int, size: int = 384, threads: int | None = None
    ) -> Iterator[Drawn]:
        """Draw as `render`, and yield so many frames at a time, while those that follow are drawn already."""
        track = self._check(track)
        if not 16 <= size <= LARGEST:
            raise ValueError(f"Frames of {size} pixels were asked for; choose 16 to {LARGEST}.")
        face = self._face(size)
        plate = face.draw_backdrop(size)
        counts = [len(track[start : start + part]) for start in range(0, max(1, len(track)), part)]
        parts = [
            Drawn(np.empty((k, size, size, 3), np.uint8), np.empty((k, size, size), np.uint8)) for k in counts
        ]

        def draw(number: int) -> None:
            drawn, place = parts[number // part], number % part
            colours, drawn.source[place] = face.draw(track[number], plate, finer=3 if size <= 256 else 2)
            round_colours(colours, face.textures.grey, drawn.frames[place])

        # Frames are drawn side by side, and threads of each product's own would only wait for one another.
        pool = ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 8))
        with _find_libraries().limit(limits=1, user_api="blas"):
            try:
                done = pool.map(draw, range(len(track)))
                for number, count in enumerate(counts):
                    list(islice(done, count))
                    yield parts[number]
                    parts[number] = None  # whose memory the caller decides on
            finally:  # a caller who has seen enough waits for no more
                pool.shutdown(cancel_futures=True)

    def cut_out(self, size: int) -> UInt8[np.ndarray, "size size 3"]:
        """Cut out of the photo what frames of this size show."""
        window = cut_window(self._photo, self.square, size)
        matrix = size * window.affine
        matrix[:, 2] += 0.5 * matrix[:, :2].sum(axis=1) - 0.5  # from the edges of pixels to their middles
        picture = cv2.warpAffine(window.photo, matrix, (size, size), flags=cv2.INTER_LINEAR)
        return np.round(picture.clip(0, 255)).astype(np.uint8)

    def paste_back(self, frames: UInt8[np.ndarray, "f s s 3"]) -> UInt8[np.ndarray, "f h w 3"]:
        """Put frames into the whole photo; towards the frame's border the photo takes over, seamlessly.

        A photo that is too large for so many frames is shrunk, to `MOST_WHOLE` bytes of all of them.
        """
        photo, scale = self._photo, math.sqrt(MOST_WHOLE / (len(frames) * self._photo.nbytes))
        if scale < 1:
            size = [2 * max(1, int(scale * pixels / 2)) for pixels in photo.shape[1::-1]]
            photo, scale = cv2.resize(photo, size, interpolation=cv2.INTER_AREA), size[0] / photo.shape[1]
        left, top, side = (min(scale, 1) * x for x in (self.square.left, self.square.top, self.square.side))
        height, width = photo.shape[:2]
        first = np.floor([left, top]).astype(int).clip(0)
        last = np.minimum(np.ceil([left + side, top + side]).astype(int), (width, height))
        columns, rows = (np.arange(a, b, dtype=np.float32) + 0.5 for a, b in zip(first, last, strict=True))
        u, v = np.meshgrid((columns - left) / side, (rows - top) / side)
        edges = [u if left > 0.5 else 1 + u, 1 - u if left + side < width - 0.5 else 1 + u]
        edges += [v if top > 0.5 else 1 + v, 1 - v if top + side < height - 0.5 else 1 + v]
        share = ease(np.minimum.reduce(edges) / 0.08)[..., None]
        window = (slice(first[1], last[1]), slice(first[0], last[0]))
        whole = np.repeat(photo[None], len(frames), axis=0)
        size = frames.shape[1]
        for picture, frame in zip(whole, frames, strict=True):
            there = _look_up(frame, u * size - 0.5, v * size - 0.5, side / size)
            picture[window] = np.round(picture[window] + share * (there - picture[window])).astype(np.uint8)
        return whole

    def _check(self, track: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f 60"]:
        """Check a track, and hold still what is covered."""
        if track.ndim != 2 or track.shape[1] != EXPRESSIONS + 3 or not np.isfinite(track).all():
            raise ValueError(
                f"Got a track of shape {track.shape}; expected (frames, {EXPRESSIONS + 3}) finite numbers: "
                "expression weights, then pitch, yaw and roll."
            )
        track = np.array(track, np.float32)
        for name, columns in zip(COVERABLE, (_OF_MOUTH, _OF_EYE["L"], _OF_EYE["R"]), strict=False):
            if name in self._covered:
                track[:, columns] = self.fit.expression[list(columns)]
        return track

    def _face(self, size: int) -> MovingFace:
        """Return what draws frames of this size; it is made once."""
        with self._lock:
            if size not in self._faces:
                while len(self._faces) >= 2:
                    self._faces.pop(next(iter(self._faces)))
                window = cut_window(self._photo, self.square, size)
                self._faces[size] = MovingFace(
                    self._geometry,
                    self.fit.enlarged(window.factor, window.shift),
                    window.photo,
                    self._landmarks * window.factor + window.shift,
                    bounds=window.bounds,
                    affine=window.affine,
                    covered=self._covered,
                    cut=True,
                )
            return self._faces[size]


@functools.cache
def _find_libraries() -> ThreadpoolController:
    return ThreadpoolController()


def _look_up(frame: np.ndarray, columns: np.ndarray, rows: np.ndarray, scale: float) -> np.ndarray:
    """Sample a frame, which the photo shows `scale` times as large."""
    if scale < 1:
        frame = cv2.GaussianBlur(frame, (0, 0), 0.5 * (1 / scale - 1) + 1e-3)
    return cv2.remap(
        frame,
        columns.astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    ).astype(np.float32)
