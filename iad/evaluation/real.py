"""Suite `real`: a model judged on faces as they are, by judges that no training here met.

In come a pipeline and how much to measure; out come `real.json`, `real.md` and contact sheets.
"""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from iad.evaluation import agreement, asked, cases, driven, material, outside, real_page
from iad.evaluation.report import as_json, write_suite
from iad.evaluation.speed import get_photo
from iad.faces import mesh
from iad.geometry.head import Head
from iad.portraits.morphable import load_head

STRAIGHT = 12.0  # degrees of yaw, for faces that are put into other surroundings


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


QUICK = Amounts(8, 4, 2, 1, 1, 1, 3, 12, ("smile", "shake"), (7, 15, 23))


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
        cases=tuple(sorted(cases.CASES)),
    )


@dataclass(frozen=True)
class Measuring:
    """A model, and what it is measured with; each part returns its own of the report.

    Attributes:
        model: its name or folder, for the case that needs the command line.
        videos: real ones with their rates, by name.
        head: of the training renderer, if it is there.
        folder: for drivers.
    """

    pipe: Any
    model: str
    amounts: Amounts
    photos: list[material.Photo]
    videos: dict[str, material.Video]
    head: Head | None
    folder: Path
    output: Path

    def read(self) -> dict[str, Any]:
        """Compare what the model reads with what the mesh measures."""
        report = {"held-out photos": agreement.read_photos(self.pipe, self.photos[: self.amounts.photos])}
        for name, (frames, _) in self.videos.items() if not mesh.missing() else ():
            told = agreement.read_video(self.pipe, frames, every=self.amounts.every)
            report[f"real video, {name}"] = told
        return {"reading": report}

    def verify(self) -> dict[str, Any]:
        """Tell people apart by each part of the embedding."""
        straight = [photo for photo in self.photos if abs(photo.seen["yaw"]) < STRAIGHT]
        some, real = straight[: self.amounts.verified], [get_photo(), material.load_hopper()]
        looks = {p.number: [p.image, *material.list_looks(p.image, seed=p.number)] for p in some}
        named = {k: [photo, *material.list_looks(photo, seed=k)] for k, photo in enumerate(real)}
        if "car" in self.videos:
            frames = self.videos["car"][0]
            named[len(real)] = list(frames[np.linspace(0, len(frames) - 1, 6).astype(int)])
        surroundings = agreement.list_surroundings(some, straight[-3:])
        report = {
            "one photo in four looks": agreement.verify_looks(self.pipe, looks),
            "one face in three surroundings": agreement.verify_looks(self.pipe, surroundings),
        }
        if self.head is not None:
            acted = agreement.verify_actions(self.pipe, straight[: self.amounts.acted], self.head)
            report["one photo in four actions, drawn by the training renderer"] = acted
        report["real people"] = agreement.verify_looks(self.pipe, named) | {"people": len(named)}
        return {"identity": report}

    def ask(self) -> dict[str, Any]:
        """Ask for actions, and judge the photos repeated beside the clips."""
        grins = [photo for photo in self.photos if photo.is_toothy][: self.amounts.toothy]
        calm = self._list_calm()[: self.amounts.asked]
        judged = asked.ask(self.pipe, calm, grins, actions=self.amounts.actions)
        real_page.draw_asked(self.output, judged)
        return {"asked": asked.sum_up(judged), "control": asked.sum_up(asked.repeat_photos(judged))}

    def copy(self) -> dict[str, Any]:
        """Say how much of the photos comes through into calm clips."""
        photos = self.photos[: self.amounts.copied]
        return {"copying": agreement.compare_copying(self.pipe, photos)}

    def try_cases(self) -> dict[str, Any]:
        """Try what failed visitors once."""
        video = self.videos["car"][0] if "car" in self.videos else None
        pictures = get_photo(), material.load_hopper()
        trial = cases.Trial(self.pipe, self.model, self.folder, *pictures, video)
        outcomes = cases.try_cases(trial, self.amounts.cases)
        real_page.draw_cases(self.output / "real-cases.png", outcomes)
        return {"cases": {str(k): {"right": o.right, "said": o.said} for k, o in outcomes.items()}}

    def drive(self) -> dict[str, Any]:
        """Compare clips with their drivers."""
        drivers = [
            driver
            for name, video in self.videos.items()
            for driver in driven.cut_video(name, *video, self.folder)
        ]
        calm = self._list_calm()
        if self.head is not None:
            drivers += driven.render_drivers(calm[-2:], self.head, self.folder)
        photos = calm[: self.amounts.driven]
        made = driven.drive(self.pipe, photos, drivers)
        real_page.draw_driving(self.output / "real-driven.png", made)
        return {"driving": driven.judge(made, len(photos) * len(drivers))}

    def _list_calm(self) -> list[material.Photo]:
        """The photos that show the person's own neutral face."""
        return [photo for photo in self.photos if photo.is_calm]


def run_real(pipe: Any, *, output: Path, amounts: Amounts, model: str = "mini") -> dict[str, Any]:
    """Measure a model on real faces; the report is written anew after every part.

    Args:
        pipe: an `IaDPipeline`.
        output: where the report and the sheets go.
        amounts: how much is measured: `QUICK`, or from `choose_amounts`.
        model: the model's name or folder, for the case that needs the command line.

    Raises:
        FileNotFoundError: there are no photo people.
    """
    skipped = [sentence for sentence in (mesh.missing(), outside.lacks_dlib()) if sentence]
    report: dict[str, Any] = {"amounts": asdict(amounts), "skipped": skipped}
    found = {name: _try(material.load_video, skipped, name) for name in material.RECORDINGS}
    videos = {name: video for name, video in found.items() if video is not None}
    photos, head = material.load_photos(), _try(load_head, skipped)
    with tempfile.TemporaryDirectory() as name:
        on = Measuring(pipe, model, amounts, photos, videos, head, Path(name), output)
        judged = () if mesh.missing() else (on.ask, on.copy, on.try_cases, on.drive)
        for part in (on.read, on.verify, *judged):
            report |= part()
            write_suite(output, "real", report, real_page.to_markdown(as_json(report)))
    return as_json(report)


def _try(load: Callable[..., Any], skipped: list[str], *given: Any) -> Any:
    try:
        return load(*given)
    except FileNotFoundError as error:
        skipped.append(str(error))
        return None
