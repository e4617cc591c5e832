"""Driving: does a clip follow its driver, in step and in full?

In come held-out photos and drivers: real videos, and held-out people brought to life by the training
renderer. Out come correlation and slope of the outside judge's measures, clip against driver.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from iad.evaluation.intervals import follow
from iad.evaluation.real import mesh, subject
from iad.evaluation.real.material import Photo
from iad.evaluation.real.mesh import measure
from iad.media.video import save

FOLLOWED = ("mouth", "lids", "smile", "yaw")
SECONDS = 2.0  # of a driver: what every edition takes whole
LOOKS = 48  # frames of a clip that are judged: all, because a blink lasts two
_RATE = 24  # of rendered drivers
# In the real video the mesh sets the corners of mouths that open further (eye distances) out into the cheeks,
# by 0.05 to 0.13 of the eye distance: as much as a smile. There no smile is compared.
WIDE = 0.15
# What the rendered drivers do, one after the other.
_PLAYS = (("mouth open", "turn left"), ("smile", "eyes closed"))


@dataclass(frozen=True)
class Driver:
    """A driving video, and what the judge sees in it over time."""

    name: str
    path: Path
    times: Float[np.ndarray, " f"]
    seen: dict[str, Float[np.ndarray, " f"]]
    frames: UInt8[np.ndarray, "f h w 3"]


@dataclass(frozen=True)
class Driven:
    """One photo driven by one driver."""

    number: int
    driver: Driver
    clip: subject.Clip
    seen: dict[str, Float[np.ndarray, " f"]]


def create_driver(name: str, frames: UInt8[np.ndarray, "f h w 3"], fps: float, folder: Path) -> Driver:
    """Write a driver as a video and look at its frames."""
    path = save(folder / f"{name}.mp4", frames, fps, metadata={})
    return Driver(name, path, np.arange(len(frames)) / fps, measure(mesh.load_judge()(frames)), frames)


def cut_video(name: str, frames: UInt8[np.ndarray, "f h w 3"], fps: float, folder: Path) -> list[Driver]:
    """Cut a real video into drivers of two seconds."""
    length = round(SECONDS * fps)
    parts = [frames[k : k + length] for k in range(0, len(frames) - length + 1, length)]
    return [create_driver(f"{name}-{k}", part, fps, folder) for k, part in enumerate(parts)]


def render_drivers(photos: Sequence[Photo], head, folder: Path) -> list[Driver]:
    """Bring photos to life as drivers, one for each play."""
    from iad.performing.actions import Performed, perform
    from iad.portraits.photo import PhotoPerson

    drivers = []
    for k, (photo, play) in enumerate(zip(photos, _PLAYS, strict=False)):
        step = SECONDS / len(play)
        parts = [Performed((name,), i * step, (i + 1) * step) for i, name in enumerate(play)]
        track = perform(parts, rng=np.random.default_rng(k), frames=round(SECONDS * _RATE), fps=_RATE)
        frames = PhotoPerson(head, photo.record).render(track)
        drivers.append(create_driver(f"render-{k}", frames, _RATE, folder))
    return drivers


def drive(pipe, photos: Sequence[Photo], drivers: Sequence[Driver]) -> list[Driven]:
    """Drive every photo by every driver; what the model refuses is left out."""
    made = []
    for photo, driver in tqdm(list(product(photos, drivers)), desc="driven clips"):
        try:
            clip = subject.animate(pipe, photo.image, action_reference=str(driver.path)).sample(LOOKS)
        except ValueError:
            continue
        made.append(Driven(photo.number, driver, clip, measure(mesh.load_judge()(clip.frames))))
    return made


def judge(made: Sequence[Driven], asked: int) -> dict[str, Any]:
    """Compare clips with their drivers, and with another clip's driver, which they should not follow."""
    report: dict[str, Any] = {"asked": asked, "made": len(made), "rows": {}}
    for kind in dict.fromkeys(d.driver.name.rsplit("-", 1)[0] for d in made):
        title = "rendered drivers" if kind == "render" else f"real video, {kind}"
        chosen = [d for d in made if d.driver.name.startswith(f"{kind}-")]
        report["rows"][title] = {n: follow([_pair(d, d.driver, n) for d in chosen]) for n in FOLLOWED}
        others = list(dict.fromkeys(d.driver.name for d in chosen))
        if len(others) > 1:
            swapped = [(d, _next(chosen, others, d)) for d in chosen]
            report["rows"][f"{title}, drivers exchanged"] = {
                n: follow([_pair(d, driver, n) for d, driver in swapped]) for n in FOLLOWED
            }
    return report


def _next(made: Sequence[Driven], names: list[str], one: Driven) -> Driver:
    name = names[(names.index(one.driver.name) + 1) % len(names)]
    return next(d.driver for d in made if d.driver.name == name)


def _pair(one: Driven, driver: Driver, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Give the driver's measure at the times of the clip's frames, and the clip's."""
    times, clip = one.clip.times, one.seen[name]
    known = np.isfinite(driver.seen[name])
    if known.sum() < 2:
        return np.full(len(times), np.nan), clip
    seen = np.interp(times, driver.times[known], driver.seen[name][known])
    if name == "smile":
        wide = np.interp(times, driver.times[known], driver.seen["mouth"][known]) > WIDE
        seen = np.where(wide | (one.seen["mouth"] > WIDE), np.nan, seen)
    return seen, clip
