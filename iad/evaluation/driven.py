"""Driving: does a clip follow its driver, in step and in full?

In come held-out photos and drivers: real videos, and held-out people brought to life by the training
renderer. Out come correlation and slope of the outside judge's measures, clip against driver. Below stand the
cases of drivers that failed visitors once: gaps, uneven times, lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

from iad.evaluation.asked import Clip, animate, attempt
from iad.evaluation.cases import RATE, Outcome, Trial, case, try_each
from iad.evaluation.intervals import follow
from iad.evaluation.material import Photo
from iad.faces import mesh
from iad.geometry.head import Head
from iad.media.video import save
from iad.performing.actions import Performed, perform
from iad.portraits.photo import PhotoPerson

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
    clip: Clip
    seen: dict[str, Float[np.ndarray, " f"]]


def create_driver(name: str, frames: UInt8[np.ndarray, "f h w 3"], fps: float, folder: Path) -> Driver:
    """Write a driver as a video and look at its frames."""
    path = save(folder / f"{name}.mp4", frames, fps, metadata={})
    return Driver(name, path, np.arange(len(frames)) / fps, mesh.see(frames), frames)


def cut_video(name: str, frames: UInt8[np.ndarray, "f h w 3"], fps: float, folder: Path) -> list[Driver]:
    """Cut a real video into drivers of two seconds."""
    length = round(SECONDS * fps)
    parts = [frames[k : k + length] for k in range(0, len(frames) - length + 1, length)]
    return [create_driver(f"{name}-{k}", part, fps, folder) for k, part in enumerate(parts)]


def render_drivers(photos: Sequence[Photo], head: Head, folder: Path) -> list[Driver]:
    """Bring photos to life as drivers, one for each play."""
    drivers = []
    for k, (photo, play) in enumerate(zip(photos, _PLAYS, strict=False)):
        step = SECONDS / len(play)
        parts = [Performed((name,), i * step, (i + 1) * step) for i, name in enumerate(play)]
        track = perform(parts, rng=np.random.default_rng(k), frames=round(SECONDS * _RATE), fps=_RATE)
        frames = PhotoPerson(head, photo.record).render(track)
        drivers.append(create_driver(f"render-{k}", frames, _RATE, folder))
    return drivers


def drive(pipe: Any, photos: Sequence[Photo], drivers: Sequence[Driver]) -> list[Driven]:
    """Drive every photo by every driver; what the model refuses is left out."""
    made = []
    for photo, driver in tqdm(list(product(photos, drivers)), desc="driven clips"):
        clip = attempt(animate, pipe, photo.image, action_reference=str(driver.path))
        if clip is not None:
            clip = clip.sample(LOOKS)
            made.append(Driven(photo.number, driver, clip, mesh.see(clip.frames)))
    return made


def judge(made: Sequence[Driven], asked: int) -> dict[str, Any]:
    """Compare clips with their drivers, and with another clip's driver, which they should not follow."""
    rows = {}
    for kind in dict.fromkeys(d.driver.name.rsplit("-", 1)[0] for d in made):
        title = "rendered drivers" if kind == "render" else f"real video, {kind}"
        chosen = [d for d in made if d.driver.name.startswith(f"{kind}-")]
        drivers = list({d.driver.name: d.driver for d in chosen}.values())
        rows[title] = _follow(chosen, drivers, drivers)
        if len(drivers) > 1:
            rows[f"{title}, drivers exchanged"] = _follow(chosen, drivers, drivers[1:] + drivers[:1])
    return {"asked": asked, "made": len(made), "rows": rows}


def _follow(made: Sequence[Driven], own: Sequence[Driver], others: Sequence[Driver]) -> dict[str, Any]:
    """Compare each clip with the driver that stands in place of its own."""
    given = {driver.name: other for driver, other in zip(own, others, strict=True)}
    return {name: follow([_pair(d, given[d.driver.name], name) for d in made]) for name in FOLLOWED}


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


@case(9, driven=True)
def gaps(trial: Trial) -> Outcome:
    """9: a driver that begins blank, ends blank, or is hidden for five frames."""
    face = trial.video[:50]
    blank = np.zeros_like(face[:1])
    drivers = {
        "blank first": np.concatenate([np.repeat(blank, 12, 0), face[:38]]),
        "blank last": np.concatenate([face[:25], np.repeat(blank, 25, 0)]),
        "hidden": np.concatenate([face[:20], np.repeat(blank, 5, 0), face[25:]]),
    }
    makers = {name: partial(trial.drive, name, frames) for name, frames in drivers.items()}
    return try_each(makers, noted="driv")


@case(10, driven=True)
def uneven_times(trial: Trial) -> Outcome:
    """10: what a driver shows at 1.4 s is shown at 1.4 s, however many frames came before."""
    mouth = mesh.see(trial.video)["mouth"]
    shut, wide = (trial.video[int(find(mouth))] for find in (np.nanargmin, np.nanargmax))
    times = np.concatenate([np.arange(20) * 0.02, 1.4 + np.arange(20) * 0.02])
    clip = trial.drive("uneven", [shut] * 20 + [wide] * 20, times)
    seen = mesh.see(clip.frames)["mouth"]
    half = (np.nanmin(seen) + np.nanmax(seen)) / 2
    at = float(clip.times[int(np.argmax(seen > half))])
    right = bool(np.ptp(seen) > 0.05 and 1.1 < at < 1.7)
    return Outcome(right, f"the mouth opens at {at:.1f} s", [clip])


@case(11, driven=True)
def lengths(trial: Trial) -> Outcome:
    """11: drivers of 7 s are followed whole; of longer ones it is said what is left out."""
    round_trip = np.concatenate([trial.video, trial.video[::-1]])
    said, clips, right = [], [], True
    for seconds in (7, 40):
        clips.append(
            trial.drive(f"{seconds}s", np.resize(round_trip, (seconds * RATE, *trial.video.shape[1:])))
        )
        lasts, notes = float(clips[-1].times[-1]), clips[-1].notes
        noted = any("driv" in note.lower() or "second" in note for note in notes)
        right &= lasts > 6.5 if seconds == 7 else noted
        said.append(f"{seconds} s: clip of {lasts:.1f} s, noted {noted}")
    return Outcome(right, "; ".join(said), clips)
