"""Contact sheets of the suite, for the eye: what a table cannot say.

In come judged clips; out come PNGs, one row a clip: the photo, then frames at even distances.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from iad.evaluation.real.asked import Judged
from iad.evaluation.real.cases import Outcome
from iad.evaluation.real.driven import Driven
from iad.plots import face_sheet
from iad.video import save_picture

SIDE, FRAMES = 128, 8
Strip = tuple[str, list[UInt8[np.ndarray, "_ _ 3"]]]


def draw_asked(output: Path, judged: Sequence[Judged]) -> None:
    """Draw one sheet for every action, its clips below each other."""
    for action in dict.fromkeys(one.action for one in judged):
        strips = [
            (f"photo {one.number}, face seen {one.detected:.0%}", [one.photo, *_pick(one.frames)])
            for one in judged
            if one.action == action
        ]
        _save(output / f"real-asked-{action}.png", strips)


def draw_driving(path: Path, made: Sequence[Driven]) -> None:
    """Draw driver and clip below each other, the first photos of each driver."""
    strips: list[Strip] = []
    for name in dict.fromkeys(one.driver.name for one in made):
        chosen = [one for one in made if one.driver.name == name][:2]
        moments = np.linspace(0, len(chosen[0].clip.times) - 1, FRAMES).round().astype(int)
        times = chosen[0].clip.times[moments]
        driver = chosen[0].driver
        picks = [driver.frames[int(np.abs(driver.times - time).argmin())] for time in times]
        strips.append((f"driver {name}", picks))
        strips += [(f"photo {one.number}", _pick(one.clip.frames)) for one in chosen]
    _save(path, strips)


def draw_cases(path: Path, outcomes: Mapping[int, Outcome]) -> None:
    """Draw what came out of every case."""
    words = {True: "right", False: "wrong", None: "look"}
    strips = [
        (f"case {number}: {words[outcome.right]}", _pick(frames))
        for number, outcome in outcomes.items()
        for frames in outcome.strips
    ]
    _save(path, strips)


def _pick(frames: UInt8[np.ndarray, "f h w 3"]) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    return list(frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)])


def _save(path: Path, strips: Sequence[Strip]) -> None:
    if not strips:
        return
    columns = max(len(pictures) for _, pictures in strips)
    blank = np.full((SIDE, SIDE, 3), 255, np.uint8)
    crops = [_fit(x) for _, pictures in strips for x in [*pictures, *[blank] * (columns - len(pictures))]]
    titles = [label for label, _ in strips]
    save_picture(path, np.asarray(face_sheet(np.stack(crops), columns=columns, size=SIDE, titles=titles)))


def _fit(picture: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "s s 3"]:
    """Scale a picture into a square, on white."""
    scale = SIDE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    square = np.full((SIDE, SIDE, 3), 255, np.uint8)
    square[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return square
