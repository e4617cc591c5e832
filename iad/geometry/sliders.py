"""One photo, fitted once -> one frame at a time, at once: for sliders and webcams."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float32, UInt8

from iad.geometry.animation import AnimatedPhoto, Drawn
from iad.geometry.coefficients import COEFFICIENTS, COLUMN, COLUMNS, EXPRESSIONS
from iad.geometry.drawing import adapt
from iad.geometry.driving import FindFace, FollowFace, find_rest, move_about, observe, settle

RepairFrames = Callable[[Drawn, Float32[np.ndarray, "f 60"]], UInt8[np.ndarray, "f s s 3"]]
SIZE = 256
REMEMBERED = 600  # frames of a driver by which the face at rest is known

# What a slider moves, at 1. Gaze is the person's own left and up; eyes and brows go both ways.
SLIDERS: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "smile": {"mouthSmile": 1.0, "cheekSquint": 0.7, "eyeSquint": 0.25, "mouthDimple": 0.25},
    "frown": {"mouthFrown": 1.0, "mouthShrugLower": 0.4},
    "mouth": {"jawOpen": 0.7, "mouthLowerDown": 0.2},
    "pucker": {"mouthPucker": 1.0, "mouthFunnel": 0.1},
    "eyes": {"eyeBlink": 1.0},
    "wide": {"eyeWide": 1.0},
    "brows": {"browInnerUp": 1.0, "browOuterUp": 1.0},
    "furrow": {"browDown": 1.0},
    "gaze_left": {"eyeLookOut_L": 1.0, "eyeLookIn_R": 1.0},
    "gaze_right": {"eyeLookIn_L": 1.0, "eyeLookOut_R": 1.0},
    "gaze_up": {"eyeLookUp": 1.0},
    "gaze_down": {"eyeLookDown": 1.0},
})  # fmt: skip
POSE = ("pitch", "yaw", "roll")


class Live:
    """An animated photo that answers one frame at a time.

    Frames may be asked for by two threads: then one is drawn while the next one's driver is read.

    Args:
        photo: the fitted photo.
        repair: of the frames that the photo draws, with their track.
        find: looks for the face of a driver's frame anywhere.
        follow: looks where it was the frame before.
    """

    def __init__(self, photo: AnimatedPhoto, *, repair: RepairFrames, find: FindFace, follow: FollowFace):
        self._photo, self._find, self._follow = photo, find, follow
        self._repair = repair
        self._driver: Float32[np.ndarray, "68 2"] | None = None
        self._seen: deque = deque(maxlen=REMEMBERED)
        self._last: Float32[np.ndarray, " 60"] | None = None
        self._reading = threading.Lock()

    def frame(
        self, *, driver: UInt8[np.ndarray, "h w 3"] | None = None, size: int = SIZE, **sliders: float
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Draw one frame.

        Args:
            driver: a picture whose face is followed, such as a webcam's; sliders come on top of it. The head
                moves about the middle of the poses that it was seen in so far.
            size: pixels a side.
            sliders: names of `SLIDERS` or of coefficients, 0 to 1; pitch, yaw and roll in degrees from where
                the photo has the head.

        Raises:
            ValueError: no face in the driver, or a slider that does not exist.
        """
        return self.draw(self.perform(driver=driver, **sliders)[None], size=size)[0]

    def perform(
        self,
        *,
        driver: UInt8[np.ndarray, "h w 3"] | None = None,
        under: Float32[np.ndarray, " 60"] | None = None,
        **sliders: float,
    ) -> Float32[np.ndarray, " 60"]:
        """Return what the photo does in one frame, for `draw`.

        Args:
            driver: as of `frame`.
            under: a row of a track, such as a driving video's; sliders come on top of it.
            sliders: as of `frame`.

        Raises:
            ValueError: as of `frame`.
        """
        track = slide(**sliders)
        if under is not None:
            track = track + under
        if driver is not None:
            with self._reading:
                track = track + self._read(driver)
        track[:EXPRESSIONS] = track[:EXPRESSIONS].clip(0, 1)
        return adapt(self._photo, track[None])[0]

    def draw(
        self, track: Float32[np.ndarray, "f 60"], *, size: int = SIZE
    ) -> UInt8[np.ndarray, "f size size 3"]:
        """Draw frames of what `perform` returned."""
        return self._repair(self._photo.render(track, size=size), track)

    def show_photo(self, size: int = SIZE) -> UInt8[np.ndarray, "size size 3"]:
        """Show of the photo what a frame shows, unmoved."""
        return self._photo.cut_out(size)

    def _read(self, picture: UInt8[np.ndarray, "h w 3"]) -> Float32[np.ndarray, " 60"]:
        face = None if self._driver is None else self._follow(picture, self._driver)
        self._driver = None
        face = face or self._find(picture)
        self._driver = face.landmarks
        self._seen.append(observe(picture, face.track, face.landmarks))
        seen = np.stack(self._seen)
        moved = move_about(find_rest(seen), seen[-1:])[0].astype(np.float32)
        self._last = moved if self._last is None else settle(self._last, moved)
        return self._last


def slide(**sliders: float) -> Float32[np.ndarray, " 60"]:
    """Return the track that sliders set.

    Raises:
        ValueError: a slider that does not exist, or a number that is none.
    """
    track = np.zeros(len(COEFFICIENTS), np.float32)
    for name, value in sliders.items():
        if not np.isfinite(value):
            raise ValueError(f"The slider {name!r} is {value}; give a number.")
        if name in COLUMN:
            track[COLUMN[name]] += value
            continue
        if name not in SLIDERS:
            known = ", ".join((*SLIDERS, *POSE))
            raise ValueError(f"There is no slider {name!r}; choose from {known}, or a coefficient's name.")
        for shape, weight in SLIDERS[name].items():
            track[COLUMNS[shape]] += weight * value
    return track
