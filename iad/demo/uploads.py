"""What a visitor brings: values of the right kind, files of their own, photos only with consent.

In: what came over the network, as it came. Out: values that Gradio may look at, opened photos, or one
sentence. A file is named by the path under which it was uploaded or given out, and by nothing else.
"""

import contextlib
import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from iad.demo.examples import digest
from iad.faces import detect_faces
from iad.geometry.driving import LARGEST_SIDE, is_video
from iad.media.photos import load_image
from iad.media.safety import check_pictures
from iad.media.video import stream_video

T = TypeVar("T")
CONSENT_NEEDED = "Tick the box first: everybody in your pictures must be you or have agreed."
NOT_YOURS = (
    "This file is not one that you added here, or it is no longer kept; add it again. (Whoever calls this "
    "without a browser has to keep its cookie from upload to download.)"
)
STRANGE = "One of the values is of a kind that is not taken here; load the page again."
LOOKED_AT = 3.0  # seconds of a driving video in which a face has to be found
MOST_LETTERS = 10_000
# of files that are chosen; many systems do not count the last two among pictures
PHOTOS = ["image/*", ".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"]
_FILES = (gr.Image, gr.Video, gr.File, gr.UploadButton, gr.DownloadButton)


class Click(gr.EventData):
    """What a script of the page tells of a click or a change; a caller without a page may tell anything."""

    def read(self, key: str, kind: type[T]) -> T:
        """Return what is told under a name.

        Raises:
            gradio.Error: nothing of this kind, or what cannot be written.
        """
        value = self._data.get(key) if isinstance(self._data, dict) else None
        with contextlib.suppress(UnicodeEncodeError):
            if type(value) is kind and json.dumps(value, ensure_ascii=False).encode():
                return value
        raise gr.Error(STRANGE)

    def choose(self, things: Sequence[T]) -> T:
        """Return the one of several things that was clicked.

        Raises:
            gradio.Error: none of them was.
        """
        index = self.read("index", int)
        if not 0 <= index < len(things):
            raise gr.Error(STRANGE)
        return things[index]


def keep_path(component: Any) -> Any:
    """Let a component hand over paths: it would open or copy the files, before anything was checked."""

    def get_paths(payload: Any) -> Any:
        files = getattr(payload, "root", payload)
        if isinstance(files, list):
            return [file.path for file in files] or None
        return files.path if files else None

    component.preprocess = get_paths
    return component


def open_photo(path: str | None, *, consent: bool, known: Collection[str] = ()) -> UInt8[np.ndarray, "h w 3"]:
    """Open a visitor's photo.

    Args:
        path: of an upload.
        consent: that the person in it agreed.
        known: digests of pictures that need no consent.

    Raises:
        ValueError: no photo, no picture that can be read, no consent, or one that is not animated here.
    """
    if path is None:
        raise ValueError("There is no photo yet; add one, or pick an example.")
    picture = load_image(path)
    if digest(picture) not in known:
        if not consent:
            raise ValueError(CONSENT_NEEDED)
        check_pictures([picture])
    return picture


def check_driver(path: str, *, consent: bool, known: Collection[str] = ()) -> None:
    """Make sure that a driving picture, or the beginning of a driving video, shows a face.

    Raises:
        ValueError: as `open_photo`; or no face.
    """
    if not is_video(path):
        detect_faces(open_photo(path, consent=consent, known=known))
        return
    if not consent:
        raise ValueError(CONSENT_NEEDED)
    for seconds, frame in stream_video(path, largest=LARGEST_SIDE, most_fps=2):
        with contextlib.suppress(ValueError):
            detect_faces(frame)
            return
        if seconds > LOOKED_AT:
            break
    raise ValueError(
        f"No face was found in the first {LOOKED_AT:g} s of the driving video; choose one in which a face is "
        "seen from the front, sharp and larger than 36 pixels."
    )


def check_values(
    components: Sequence[Any], values: Sequence[Any], find: Callable[[str], Path | None]
) -> list[Any]:
    """Return what an event was given, with every file as this server knows it.

    Args:
        components: what the event takes.
        values: what came.
        find: returns the real path of a file that is the caller's, else None.

    Raises:
        ValueError: too many or too few, a value of another kind than its component holds, or a file that is
            not the caller's.
    """
    if len(values) != len(components):
        raise ValueError(f"{len(components)} values are needed here, and {len(values)} came.")
    checked = []
    for component, value in zip(components, values, strict=True):
        value = _own_files(value, find)
        if not component.stateful:  # a state is never taken from outside
            _check_kind(component, value)
        checked.append(value)
    return checked


def _own_files(value: Any, find: Callable[[str], Path | None]) -> Any:
    if isinstance(value, list):
        return [_own_files(item, find) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("path") is None and "url" in value:  # a place where a file was
        return None
    if "path" not in value:
        return {key: _own_files(item, find) for key, item in value.items()}
    if not isinstance(value["path"], str):
        raise ValueError("A file is expected as it was uploaded, with its path.")
    file = find(value["path"])
    if file is None:
        raise ValueError(NOT_YOURS)
    return {"path": str(file), "orig_name": file.name, "meta": {"_type": "gradio.FileData"}}


def _check_kind(component: Any, value: Any) -> None:
    name = getattr(component, "label", None) or component.get_block_name()
    if isinstance(component, gr.Number | gr.Slider):
        _check_number(name, value, component)
    elif isinstance(component, gr.Checkbox) and not isinstance(value, bool):
        raise ValueError(f"{name}: true or false is expected.")
    elif isinstance(component, gr.CheckboxGroup):
        if not isinstance(value, list):
            raise ValueError(f"{name}: a list of texts is expected.")
        for item in value:
            _check_choice(name, item, component)
    elif isinstance(component, gr.Textbox):
        _check_text(name, value, most=component.max_length or MOST_LETTERS)
    elif isinstance(component, gr.Dropdown | gr.Radio):
        if value is not None or isinstance(component, gr.Radio):
            _check_choice(name, value, component)
    elif isinstance(component, _FILES):
        several = getattr(component, "file_count", "single") != "single"
        files = value if several and isinstance(value, list) else [value]
        if any(isinstance(file, str) for file in files):
            raise ValueError(NOT_YOURS)
        if not all(file is None or (isinstance(file, dict) and "path" in file) for file in files):
            raise ValueError(f"{name}: a file is expected as it was uploaded, with its path.")


def _check_number(name: str, value: Any, component: Any) -> None:
    if value is None and isinstance(component, gr.Number):
        return
    try:
        finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        finite = False
    if not finite:
        raise ValueError(f"{name}: a number is expected, neither empty nor infinite.")
    low, high = component.minimum, component.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = (("at least", low), ("at most", high))
        words = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        raise ValueError(f"{name} is {value:g}; give a number of {words}.")
    whole = component.precision == 0 or (isinstance(component, gr.Slider) and component.step == 1)
    if whole and value != int(value):
        raise ValueError(f"{name} is {value:g}; give a whole number.")


def _check_text(name: str, value: Any, *, most: int) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name}: a text is expected.")
    if len(value) > most:
        raise ValueError(f"{name}: {len(value)} letters are too many; use at most {most}.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name}: it holds half a letter, which cannot be written; remove it.") from error


def _check_choice(name: str, value: Any, component: Any) -> None:
    choices = [choice for _, choice in component.choices]
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: one of its choices is expected: {', '.join(map(str, choices))}.")
