"""The suite's report for readers: a page of tables in Markdown, and contact sheets for what no table says.

In comes the report as JSON holds it (intervals as lists, NaN as None), and judged clips; out come text and
PNGs, one row a clip: the photo, then frames at even distances.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from iad.evaluation.asked import ACTIONS, Judged
from iad.evaluation.cases import CASES, Outcome
from iad.evaluation.driven import Driven
from iad.evaluation.report import load_words, write_estimate, write_table
from iad.media.video import save_picture
from iad.plots import face_sheet

SIDE, FRAMES = 128, 8
Strip = tuple[str, list[UInt8[np.ndarray, "_ _ 3"]]]

WORDS = load_words("real")


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write the page."""
    left_out = [f"Left out: {sentence}\n" for sentence in report["skipped"]]
    parts = ["## Real faces", "", WORDS["note"], *left_out]
    if "asked" in report:
        parts += _asked(report["asked"], report["control"])
    writers = {"copying": _copying, "cases": _cases, "driving": _driving, "reading": _reading}
    for name, write in (writers | {"identity": _identity}).items():
        parts += write(report[name]) if name in report else []
    return "\n".join(parts)


def _reading(report: Mapping[str, Any]) -> list[str]:
    first = report["held-out photos"]
    names = list(first["track"])
    rows = []
    for title, part in report.items():
        count = part.get("photos", part.get("frames"))
        for key in ("track", "own landmarks"):
            if key in part:
                label = "read-out" if key == "track" else key
                rows.append([f"{title} ({count}), {label}", *map(part[key].get, names)])
    rows.append(["shuffled", *(first["shuffled"][n] for n in names)])
    words = list(first["words"])
    said = [[title, *(part["words"][w] for w in words)] for title, part in report.items()]
    shares = {name: [x and 100 * x for x in value] for name, value in first["landmarks"].items()}
    errors = [[name, write_estimate(value, digits=1)] for name, value in shares.items()]
    return [
        "### Reading\n",
        WORDS["reading"],
        write_table(["", *names], rows),
        write_table(["similarity with the words", *words], said),
        write_table(["landmarks of held-out photos", "mean error, % of the eye distance"], errors),
    ]


def _identity(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for title, part in report.items():
        for name, row in part["rows"].items():
            gap = [row.get(f"cosine {kind}") for kind in ("same", "different")]
            rows.append([title, name, row["auc"], row["eer"], *gap, f"{row['same']} / {row['different']}"])
    header = ["same person is", "part", "AUC", "EER", "cosine, same", "different", "pairs"]
    return ["### Identity\n", WORDS["identity"], write_table(header, rows)]


def _copying(report: Mapping[str, Any]) -> list[str]:
    rows = [[name, *row.values()] for name, row in report["rows"].items()]
    names = list(next(iter(report["rows"].values())))
    title = f"### Copied from {report['photos']} photos as they are\n"
    return [title, WORDS["copying"], write_table(["", *names], rows)]


def _driving(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [title, kind, *(part[kind] for part in row.values())]
        for title, row in report["rows"].items()
        for kind in ("r", "slope")
    ]
    names = list(next(iter(report["rows"].values()))) if report["rows"] else []
    made = f"{report['made']} of {report['asked']} clips were made.\n"
    return ["### Driving\n", WORDS["driving"], made, write_table(["driver", "", *names], rows)]


def _asked(report: Mapping[str, Any], control: Mapping[str, Any]) -> list[str]:
    header = ["asked", "should move", "clips", "right", "others", "photo repeated", "median change"]
    header += ["face seen", "distance", "same person"]
    rows = []
    for name, row in report.items():
        prompt = ACTIONS[name].prompt if name in ACTIONS else "a neutral face, of a grin with teeth"
        rows.append([
            prompt, row["moves"], row["clips"], row["right"], row["others"],
            (control[name]["right"] or [None])[0], row["change"], row["detected"], row["distance"],
            row["same person"],
        ])  # fmt: skip
    return ["### Asked actions\n", WORDS["asked"], write_table(header, rows)]


def _cases(report: Mapping[str, Any]) -> list[str]:
    words = {True: "yes", False: "no", None: "see the sheet"}
    rows = []
    for number, row in report.items():
        case = (CASES[int(number)].__doc__ or "").partition(": ")[2].rstrip(".")
        rows.append([number, case, row["said"].replace("|", "/"), words[row["right"]]])
    right = sum(row["right"] is True for row in report.values())
    title = f"### Cases that failed visitors: {right} of {len(report)} right\n"
    return [title, write_table(["#", "case", "came out", "right?"], rows)]


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
        (f"case {number}: {words[outcome.right]}", _pick(clip.frames))
        for number, outcome in outcomes.items()
        for clip in outcome.clips
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
