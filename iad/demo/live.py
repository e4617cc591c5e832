"""The Live tab: a photo that answers sliders and a webcam at once, one picture after the other.

A photo is fitted once for a visitor, and lives in memory under a key that only their page knows. The page
asks for the next picture as soon as it has the last one, by a call that no queue holds up; with a camera two
are on their way, so that one is read while the other is drawn. Nothing is written to disk.
"""

import base64
import io
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import gradio as gr
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from iad.demo.examples import list_faces
from iad.demo.faceview import FACE_JS
from iad.demo.live_words import GONE, HELP, INTRODUCTION, LIVE_JS, PROBLEM, TEMPLATE
from iad.demo.runs import QUIET, plain_errors, when_closed
from iad.demo.studio import Studio
from iad.demo.uploads import CONSENT_NEEDED, keep_path, open_photo
from iad.media.photos import load_image

MOST_VISITORS = 6  # at a time; who was away longest is forgotten
KEPT = 1800  # seconds without a picture
MOST_BYTES, MOST_SIDE = 400_000, 1280  # of a webcam's frame: it comes 320 pixels wide
AT_ONCE = 2  # pictures that are drawn at a time
SLIDERS = {  # name: what it is called, its least and its most
    "smile": ("Smile", 0.0, 1.0),
    "mouth": ("Open mouth", 0.0, 1.0),
    "eyes": ("Close eyes", 0.0, 1.0),
    "brows": ("Raise brows", 0.0, 1.0),
    "gaze": ("Look aside", -1.0, 1.0),
    "turn": ("Turn", -25.0, 25.0),
    "nod": ("Nod", -18.0, 18.0),
    "tilt": ("Tilt", -20.0, 20.0),
}
POSES = {"turn": "yaw", "nod": "pitch", "tilt": "roll"}


@dataclass
class Visit:
    """One visitor's fitted photo."""

    live: Any
    consent: bool
    session: str
    used: float = field(default_factory=time.monotonic)


class LiveRoom:
    """What the tab's events call; it holds the fitted photos.

    Args:
        studio: the Portrait tab's, for its pipeline and its examples.
    """

    def __init__(self, studio: Studio):
        self.studio, self.visits = studio, {}
        self._lock, self._drawing = threading.Lock(), threading.BoundedSemaphore(AT_ONCE)

    def begin(self, photo: str | None, consent: bool, request: gr.Request) -> Iterator[str]:
        """Fit a photo, and give the key by which its pictures are asked for."""
        if photo is None:
            self.forget(request.session_hash or "")
            yield ""
            return
        with plain_errors():
            try:
                picture = open_photo(photo, consent=consent, known=self.studio.known)
                live = self.studio.pipeline.live(picture)
            except ValueError:
                self.forget(request.session_hash or "")
                raise
            yield self.admit(live, consent, request.session_hash or "")

    def admit(self, live: Any, consent: bool, session: str) -> str:
        """Keep a visitor's fitted photo instead of the one before, and return its key."""
        key, now = secrets.token_hex(16), time.monotonic()
        with self._lock:
            others = [
                (one, visit)
                for one, visit in self.visits.items()
                if visit.session != session and now - visit.used <= KEPT
            ]
            others = sorted(others, key=lambda pair: pair[1].used)[-(MOST_VISITORS - 1) :]
            self.visits = dict(others) | {key: Visit(live, consent, session)}
        return key

    def forget(self, session: str) -> None:
        """Forget what a closed page, or one with another photo now, had fitted."""
        with self._lock:
            self.visits = {key: visit for key, visit in self.visits.items() if visit.session != session}

    def draw(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Draw one picture.

        Args:
            asked: key; sliders, numbers by their names; driver, a webcam's frame as a data URI, or None.

        Returns:
            picture, a data URI, or problem, a sentence; gone where the photo has to be added again.
        """
        visit = self.visits.get(str(asked.get("key")))
        if visit is None:
            return {"problem": GONE, "gone": True}
        visit.used = time.monotonic()
        try:
            driver = read_frame(asked["driver"]) if asked.get("driver") else None
            if driver is not None and not visit.consent:
                return {"problem": CONSENT_NEEDED}
            sliders = read_sliders(asked.get("sliders") or {})
            with self._drawing:
                frame = visit.live.frame(driver=driver, **sliders)
        except ValueError as error:
            return {"problem": str(error)}
        except Exception:  # a fault of ours, without what it says of the server
            return {"problem": PROBLEM}
        return {"picture": write_frame(frame)}


def read_sliders(values: Mapping[str, Any]) -> dict[str, float]:
    """Turn the page's sliders into those of `iad.geometry.sliders`.

    Raises:
        ValueError: a slider that there is not, or out of its range.
    """
    found: dict[str, float] = {}
    for name, value in values.items():
        if name not in SLIDERS or not isinstance(value, int | float):
            raise ValueError(f"There is no slider {str(name)[:20]!r} with such a value.")
        _, low, high = SLIDERS[name]
        value = float(np.clip(np.nan_to_num(value), low, high))
        if name == "gaze":
            found["gaze_left" if value > 0 else "gaze_right"] = abs(value)
        else:
            found[POSES.get(name, name)] = value
    return found


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
    except (ValueError, OSError) as error:
        raise ValueError("The camera's picture cannot be read; load the page again.") from error
    if max(picture.size) > MOST_SIDE:
        raise ValueError(large)
    return load_image(picture)


def write_frame(frame: UInt8[np.ndarray, "s s 3"]) -> str:
    """Write a picture as a data URI."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def build_live(studio: Studio, consent: Any) -> LiveRoom:
    """Lay out the tab inside the current block, and wire it.

    Args:
        studio: the Portrait tab's.
        consent: the page's checkbox.
    """
    room = LiveRoom(studio)
    gr.HTML(INTRODUCTION)
    with gr.Row(elem_id="live-work", equal_height=False):
        with gr.Column(scale=4, min_width=280):
            photo = keep_path(
                gr.Image(
                    label="Photo", type="filepath", image_mode=None, format="png", height=220, buttons=[],
                    sources=["upload", "webcam", "clipboard"], elem_id="live-photo",
                    placeholder="Drop a photo of a face here,\nor choose one below",
                )
            )  # fmt: skip
            cards = gr.HTML(list_faces(studio.faces), elem_id="live-faces", js_on_load=FACE_JS)
            gr.HTML(HELP)
        with gr.Column(scale=7, min_width=300):
            stage = gr.HTML(
                "", html_template=TEMPLATE.replace("@sliders", _lay_out_sliders()), js_on_load=LIVE_JS,
                elem_id="live-stage", server_functions=[_make_draw(room)],
            )  # fmt: skip
    cards.click(studio.choose_picture, outputs=photo, **QUIET)
    gr.on(
        [photo.change, consent.change], room.begin, [photo, consent], stage, api_visibility="private",
        concurrency_limit=2, trigger_mode="always_last",
    )  # fmt: skip
    when_closed(room.forget)
    return room


def _make_draw(room: LiveRoom) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def draw(asked: dict[str, Any]) -> dict[str, Any]:  # gradio marks it, which a method does not bear
        return room.draw(asked)

    return draw


def _lay_out_sliders() -> str:
    return "".join(
        f'<label><span>{words}</span><input type="range" name="{name}" min="{low:g}" max="{high:g}" '
        f'step="{(high - low) / 50:g}" value="0" disabled></label>'
        for name, (words, low, high) in SLIDERS.items()
    )
