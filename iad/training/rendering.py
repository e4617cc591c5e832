"""What everything learns from: clips and stills, made where they are missing, before training or beside it.

On a CPU they are made first, within their share of the minutes. Beside a GPU they go on growing while the
stages train; a stage sees what there is when it begins.
"""

import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

from iad.portraits.clips import is_rendered, render_pool
from iad.portraits.morphable import load_head
from iad.portraits.photo import load_photo_people
from iad.portraits.stills import load_stills
from iad.spread import leave_with
from iad.training.timetable import Amounts, count_cores

MOST_WORKERS = 16
MANY, MORE = 8, 3  # cores; so many times as many stills are made there
PAUSE = 0.5  # seconds between two looks for what others make


def count_animated(amounts: Amounts) -> int:
    """Return how many animated stills each person gets: more, where many cores make them."""
    return amounts.animated * (MORE if count_cores() >= MANY else 1)


def fetch_missing() -> None:
    """Download head and photo people where this machine has none.

    Raises:
        ConnectionError: there is no network.
    """
    try:
        load_head(), load_photo_people()
    except FileNotFoundError:
        from iad.models.reading import as_landmarker, load_mini_reader
        from iad.portraits.download import download

        download(landmarker=as_landmarker(load_mini_reader()))


def make_data(folder: Path, amounts: Amounts, *, size: int, seed: int, workers: int, minutes: float) -> None:
    """Make clips and stills, each within its part of the minutes; what is there is kept."""
    more: dict[str, Any] = {"size": size, "seed": seed, "workers": workers, "groups": amounts.groups}
    begun = time.monotonic()
    render_pool(folder, clips=amounts.least, minutes=minutes / 3, **more)
    stills = {"people": amounts.people, "animated": count_animated(amounts), "minutes": minutes / 3}
    load_stills(folder / "stills", seed=seed, **stills)
    left = minutes - (time.monotonic() - begun) / 60
    if left > 0:
        render_pool(folder, clips=amounts.clips, minutes=left, **more)


class Background:
    """Makes clips and stills beside a training, in processes of their own that end with it."""

    def __init__(self, folder: Path, amounts: Amounts, **given: Any):
        self.folder, self.amounts = folder, amounts
        workers = max(1, min(MOST_WORKERS, count_cores() - 1))
        given |= {"workers": workers}
        context = multiprocessing.get_context("spawn")  # the training may hold a GPU
        self.process = context.Process(target=_produce, args=(os.getpid(), folder, amounts, given))

    def __enter__(self) -> "Background":
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.join()

    def wait_for(self, stage: str) -> None:
        """Wait until there is enough for a stage to begin with.

        Raises:
            ValueError: rendering ended without it.
        """
        while not self._has_enough(stage):
            if not self.process.is_alive():
                raise ValueError(
                    f"The stage {stage!r} has nothing to learn from: rendering ended early, as said above."
                )
            time.sleep(PAUSE)

    def _has_enough(self, stage: str) -> bool:
        if stage == "reader":
            return (self.folder / "stills" / "stills.npz").exists()
        shards = -(-self.amounts.least // (4 * self.amounts.groups))
        return all(is_rendered(self.folder, shard) for shard in range(shards))


def _produce(parent: int, folder: Path, amounts: Amounts, given: dict[str, Any]) -> None:
    leave_with(parent)
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        make_data(folder, amounts, **given)
    except (OSError, ValueError) as error:
        print(f"Rendering stopped: {error}", file=sys.stderr, flush=True)
        raise SystemExit(1) from error
