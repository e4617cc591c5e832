"""What the Play tab's events call: a photo that follows sliders, clips and a webcam, picture by picture.

A photo is fitted once for a visitor, and lives in memory under a key that only their page knows. The page
asks for the next picture as soon as it has the last one, by a call that no queue holds up. Nothing is written
to disk but what the visitor keeps: a picture, or a take of what the portrait did, which becomes a clip.
"""

import base64
import io
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from iad.demo.clip_files import save_clip
from iad.demo.drivers import Drivers
from iad.demo.expressions import read_sliders
from iad.demo.faceview import describe_problem
from iad.demo.play_words import GONE, NOTHING_SHOWN, NOTHING_TAKEN, PROBLEM
from iad.demo.runs import Follower, Runs
from iad.demo.studio import Studio
from iad.demo.uploads import CONSENT_NEEDED, open_photo
from iad.media.photos import load_image
from iad.media.provenance import DAMAGE
from iad.media.safety import check_pictures
from iad.media.video import save
from iad.request import FPS, LONGEST, MOST_FPS
from iad.result import Result

MOST_VISITORS = 6  # at a time; who was away longest is forgotten
KEPT = 1800  # seconds without a picture
MOST_BYTES, MOST_SIDE = 400_000, 1280  # of a webcam's frame: it comes 320 pixels wide
AT_ONCE = 2  # pictures that are drawn at a time
SIDE, SIDE_LED = 384, 256  # pixels: by sliders and clips, and while a driver has to be read as well
SIDE_KEPT = 768  # of a picture that is kept
PART = 12  # frames of a clip between two looks for Cancel
SHORTEST_TAKE = 0.5  # seconds


@dataclass
class Visit:
    """One visitor's fitted photo, what it does now, and a take: times and rows of a track."""

    live: Any
    consent: bool
    session: str
    photo: tuple[str, int] = ("", 0)  # its path, and which face of it
    used: float = field(default_factory=time.monotonic)
    now: Float32[np.ndarray, " 60"] | None = None
    take: float = 0
    rows: list[tuple[float, Float32[np.ndarray, " 60"]]] = field(default_factory=list)


class PlayRoom:
    """What the tab's events call; it holds the fitted photos.

    Args:
        studio: the Portrait tab's, for its pipeline and its examples.
    """

    def __init__(self, studio: Studio):
        self.studio, self.visits = studio, {}
        self.drivers, self.runs = Drivers(), Runs()
        self._lock, self._drawing = threading.Lock(), threading.BoundedSemaphore(AT_ONCE)

    def begin(
        self, photo: str | None, consent: bool, face: float | None, request: gr.Request
    ) -> Iterator[tuple[Any, str]]:
        """Fit a photo, unless it is fitted; give the key by which its pictures are asked for, or say why not.

        The photo before stays where this one cannot be drawn.
        """
        session, wanted = request.session_hash or "", (photo or "", int(face or 0))
        if photo is None:
            self.forget(session)
            yield "", ""
            return
        visit = self._find(session)
        if visit is not None and visit.photo == wanted:
            visit.consent = consent
            yield gr.skip(), ""
            return
        try:
            picture = open_photo(photo, consent=consent, known=self.studio.known)
            live = self.studio.pipeline.live(picture, face=wanted[1] or None)
            yield self.admit(Visit(live, consent, session, wanted)), ""
        except (ValueError, OSError) as error:
            yield gr.skip(), describe_problem(error)

    def admit(self, visit: Visit) -> str:
        """Keep a visitor's fitted photo instead of the one before, and return its key."""
        key, now = secrets.token_hex(16), time.monotonic()
        with self._lock:
            others = [
                (one, other)
                for one, other in self.visits.items()
                if other.session != visit.session and now - other.used <= KEPT
            ]
            others = sorted(others, key=lambda pair: pair[1].used)[-(MOST_VISITORS - 1) :]
            self.visits = dict(others) | {key: visit}
        return key

    def forget(self, session: str) -> None:
        """Forget what a closed page, or one with another photo now, had fitted."""
        with self._lock:
            self.visits = {key: visit for key, visit in self.visits.items() if visit.session != session}

    def draw(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Draw one picture.

        Args:
            asked: key; sliders, numbers by their names; and where there are any, driver, a webcam's frame as
                a data URI; clip, name and seconds of one of `drivers`; take, number and seconds of a
                recording; photo, true where the photo itself is wanted, too.

        Returns:
            picture, a data URI, or problem, a sentence; gone where the photo has to be read again.
        """
        visit = self.visits.get(str(asked.get("key")))
        if visit is None:
            return {"problem": GONE, "gone": True}
        visit.used = time.monotonic()
        try:
            with self._drawing:
                row = self._move(visit, asked)
                (frame,) = visit.live.draw(row[None], size=SIDE_LED if asked.get("driver") else SIDE)
            visit.now = row
            _record(visit, row, read_part(asked, "take"))
        except ValueError as error:
            return {"problem": str(error)}
        except Exception:  # a fault of ours, without what it says of the server
            return {"problem": PROBLEM}
        more = {"photo": write_frame(visit.live.show_photo(SIDE))} if asked.get("photo") else {}
        return {"picture": write_frame(frame), **more}

    def keep(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Draw what the portrait shows once more, larger, as a file that says what it is.

        Returns:
            file, a data URI of a PNG, and its name; or problem, a sentence.
        """
        visit = self.visits.get(str(asked.get("key")))
        if visit is None or visit.now is None:
            return {"problem": NOTHING_SHOWN}
        try:
            with self._drawing, tempfile.TemporaryDirectory() as folder:
                frames = visit.live.draw(visit.now[None], size=SIDE_KEPT)
                check_pictures(frames)
                told = self._describe(frames)
                file = save(Path(folder) / "portrait.png", frames, FPS, metadata=told, label=True)
                data = base64.b64encode(file.read_bytes()).decode()
        except ValueError as error:
            return {"problem": str(error)}
        return {"file": f"data:image/png;base64,{data}", "name": "portrait.png"}

    def record(
        self,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: B008 (gradio finds it by its default)
    ) -> Iterator[tuple[str, str]]:
        """Make a clip of what was recorded last: drawn anew, evenly in time."""
        followed = self.runs.follow(request, progress, doing="Drawing the clip")
        with followed as follow, tempfile.TemporaryDirectory() as folder:
            visit = self._find(request.session_hash or "")
            track = even_out(visit.rows if visit else [])
            frames = self._draw_clip(visit.live, track, follow)
            result = Result(frames, FPS, 0, 0.0, {}, self._describe(frames))
            file = save_clip(result, Path(folder) / "portrait-played.mp4", label=True)
            yield file, file

    def _draw_clip(
        self, live: Any, track: Float32[np.ndarray, "f 60"], follow: Follower
    ) -> UInt8[np.ndarray, "f s s 3"]:
        parts, size = [], self.studio.pipeline.preset.shown_size
        for start in range(0, len(track), PART):
            follow(start, len(track))
            with self._drawing:
                parts.append(live.draw(track[start : start + PART], size=size))
        return np.concatenate(parts)

    def _describe(self, frames: UInt8[np.ndarray, "f s s 3"]) -> dict[str, Any]:
        return {
            "model": self.studio.pipeline.preset.name, "arm": "iad", "frames": len(frames),
            "size": frames.shape[1], "fps": FPS, "prompt": "", "played": True,
        }  # fmt: skip

    def _find(self, session: str) -> Visit | None:
        return next((visit for visit in self.visits.values() if visit.session == session), None)

    def _move(self, visit: Visit, asked: Mapping[str, Any]) -> Float32[np.ndarray, " 60"]:
        """Return what the portrait is to do."""
        sliders, clip = read_sliders(read_part(asked, "sliders")), read_part(asked, "clip")
        if clip:
            under = self.drivers.find_row(str(clip.get("name")), read_number(clip.get("seconds")))
            return visit.live.perform(under=under, **sliders)
        driver = read_frame(asked["driver"]) if asked.get("driver") else None
        if driver is not None and not visit.consent:
            raise ValueError(CONSENT_NEEDED)
        return visit.live.perform(driver=driver, **sliders)


def _record(visit: Visit, row: Float32[np.ndarray, " 60"], take: Mapping[str, Any]) -> None:
    """Add a row to a take; a new one takes the place of the one before."""
    if not take:
        return
    number, seconds = (read_number(take.get(key)) for key in ("number", "seconds"))
    if number > visit.take:
        visit.take, visit.rows = number, []
    if number == visit.take and seconds <= LONGEST and len(visit.rows) < LONGEST * MOST_FPS:
        visit.rows.append((seconds, row))


def even_out(rows: list[tuple[float, Float32[np.ndarray, " 60"]]]) -> Float32[np.ndarray, "f 60"]:
    """Turn the rows of a take, as they came, into a track of even time.

    Raises:
        ValueError: too short.
    """
    rows = sorted(rows, key=lambda pair: pair[0])
    if not rows or rows[-1][0] - rows[0][0] < SHORTEST_TAKE:
        raise ValueError(NOTHING_TAKEN)
    times, track = np.array([seconds for seconds, _ in rows]), np.stack([row for _, row in rows])
    frames = np.arange(times[0], times[-1], 1 / FPS)
    return np.stack([np.interp(frames, times, column) for column in track.T], axis=1).astype(np.float32)


def read_part(asked: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of what is asked for, which may be missing.

    Raises:
        ValueError: it is no JSON object.
    """
    part = asked.get(name) or {}
    if not isinstance(part, dict):
        raise ValueError(f"'{name}' must be a JSON object; load the page again.")
    return part


def read_number(value: Any) -> float:
    """Read a time in seconds, or the number of a take.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise ValueError("A time is expected in seconds, or a take's number; load the page again.")
    return float(value)


def read_frame(uri: str) -> UInt8[np.ndarray, "h w 3"]:
    """Read a webcam's frame.

    Raises:
        ValueError: it is no small JPEG.
    """
    head, _, data = str(uri).partition(",")
    large = "The camera's picture is no small JPEG; load the page again."
    if head != "data:image/jpeg;base64" or len(data) > MOST_BYTES:
        raise ValueError(large)
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=["JPEG"])
    except (ValueError, *DAMAGE, Image.DecompressionBombError) as error:
        raise ValueError("The camera's picture cannot be read; load the page again.") from error
    if max(picture.size) > MOST_SIDE:
        raise ValueError(large)
    return load_image(picture)


def write_frame(frame: UInt8[np.ndarray, "s s 3"]) -> str:
    """Write a picture as a data URI."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
