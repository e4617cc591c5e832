"""Everything in order, from nothing: `python -m iad train mini --output runs --minutes N`.

In come a budget and, perhaps, a folder of clips or a carried pack; out comes a folder of weights that
`IaDPipeline.from_pretrained` reads, with a card. The output folder keeps a journal of what is finished, so
that a run which was killed goes on where it stood: between stages, or within one from its last checkpoint.
Clips and stills are made where they are missing: on a CPU first, within their share of the minutes; beside a
GPU they go on growing while the stages train, and a stage sees what there is when it begins.
"""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iad import checkpoint
from iad.checkpoint import write_whole
from iad.config import PRESETS
from iad.portraits.clips import is_rendered, render_pool
from iad.portraits.morphable import load_head
from iad.portraits.photo import load_photo_people
from iad.portraits.stills import load_stills
from iad.spread import leave_with
from iad.training import packs
from iad.training.loop import Paused
from iad.training.stages import train
from iad.training.timetable import (
    AMOUNTS,
    RECOGNISER,
    Amounts,
    Options,
    choose_stages,
    count_cores,
    get_device,
    list_missing,
    share_minutes,
)  # fmt: skip

JOURNAL = "training.json"
NO_BOUND = 10.0**6  # minutes of a run that steps bound
FULL = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
SPARE = 20e6  # bytes: with fewer left on the disk, a file that could not be written lacked space
MOST_WORKERS = 16  # that make data beside a training
PAUSE = 0.5  # seconds between two looks for what others make


@dataclass(frozen=True, kw_only=True)
class Whole(Options):
    """What the command line says of a training of everything.

    Attributes:
        minutes: of all calls together; None where steps bound it.
        max_steps: of every stage; the same steps give the same bits on a CPU.
        arms: that learn beside iad in the stage joint.
        pack: a file that `iad.training.packs.write_pack` wrote; then nothing is fetched.
        pause: minutes after which this call stops, to be resumed.
        shards: also write the result there, as a few files to be carried away.
        ablations: also train the split without each of its terms.
        command: as it was typed, for the card.
    """

    minutes: float | None = None
    preset: str = "mini"
    pack: Path | None = None
    pause: float | None = None
    shards: Path | None = None
    ablations: bool = False
    command: str = ""


def train_whole(whole: Whole) -> dict[str, Any]:
    """Train every stage that is not finished; returns where the weights are, or why there are none yet.

    Raises:
        ValueError: a training of another kind is in the folder, or one that is not to be resumed.
        OSError: the disk is full; what is there can be resumed.
    """
    if not (whole.minutes or whole.max_steps):
        raise ValueError("Say how long everything is trained: --minutes for all stages, or --steps for each.")
    whole = replace(whole, amounts=AMOUNTS.get(whole.preset, Amounts()))
    journal = _open_journal(whole)
    whole.output.mkdir(parents=True, exist_ok=True)
    begun, now = time.monotonic(), packs.describe_call(whole.command)
    paused = None
    try:
        try:
            _train_stages(whole, journal, begun)
        except Paused as words:
            paused = f"{words}; the same command with --resume goes on."
        finally:
            journal["calls"].append(now | {"minutes": round((time.monotonic() - begun) / 60, 2)})
            _save(whole, journal)
        folder = packs.pack(whole.output, whole.output / whole.preset, journal)
        files = packs.write_shards(folder, whole.shards) if whole.shards else []
    except OSError as error:
        raise _explain(error, whole) from error
    return {"weights": str(folder), "paused": paused, "files": [str(file) for file in files]}


def _train_stages(whole: Whole, journal: dict[str, Any], begun: float) -> None:
    stages = choose_stages(ablations=whole.ablations)
    budget = share_minutes(whole.minutes or NO_BOUND, stages)
    if whole.pack:
        packs.unpack(whole.pack, whole.output / "pack")
    checkpoint.save_preset(whole.output / "weights", PRESETS[whole.preset])
    with _make_data(whole, journal, budget["render"]) as background, _listen(whole, begun) as stop:
        for stage in stages:
            if stage in journal["finished"]:
                continue
            if stop():
                raise Paused(f"Paused before the stage {stage!r}")
            if background and stage not in ("geometry", "performing"):
                background.wait_for(stage)
            start = time.monotonic()
            note = _train_stage(stage, whole, budget[stage], stop)
            minutes = round((time.monotonic() - start) / 60, 2)
            _save(whole, journal, stage, minutes=minutes, **note)


def _make_data(whole: Whole, journal: dict[str, Any], minutes: float) -> Any:
    """Make data now, and return nothing to wait for; or begin to make it beside the training."""
    if "render" in journal["finished"]:
        return nullcontext()
    fetch_missing()
    if whole.data:
        return nullcontext()
    folder = whole.output / "clips"
    given: dict[str, Any] = {"seed": whole.seed, "size": PRESETS[whole.preset].size}
    if get_device().type == "cuda" and not whole.max_steps:
        return Background(folder, whole.amounts, minutes=NO_BOUND, **given)
    make_data(folder, whole.amounts, workers=count_cores(), minutes=minutes, **given)
    _save(whole, journal, "render")
    return nullcontext()


def _train_stage(stage: str, whole: Whole, minutes: float, stop: Callable[[], bool]) -> dict[str, Any]:
    """Train one stage, or say why it is left out."""
    if stage == "geometry" and (whole.pack or not whole.amounts.geometry):
        carried = whole.output / "pack" / "geometry"
        source = carried if whole.pack else checkpoint.WEIGHTS / "mini"
        state = checkpoint.load_part(source, "geometry")
        checkpoint.save_part(whole.output / "weights", "geometry", state, half=True)
        return {"note": "taken from the pack" if whole.pack else "the one that ships"}
    if stage == "recogniser" and (lack := _lacks_recogniser(whole.preset)):
        print(f"The stage 'recogniser' is left out: {lack}", flush=True)
        return {"note": f"left out: {lack}"}
    options = replace(
        whole,
        minutes=minutes,
        total=True,
        resume=True,
        arms=whole.arms if stage == "joint" else ("iad",),
        checkpoint_minutes=min(4.0, max(minutes / 8, 0.1)),
        should_stop=stop,
        begun=time.monotonic(),
    )
    train(stage, preset=whole.preset, options=options)
    return {}


def _lacks_recogniser(preset: str) -> str:
    from iad.faces.recogniser import DIM, load_recogniser

    if PRESETS[preset].decoupler.dim != DIM:
        return "this preset's tokens are not as wide as the recogniser's"
    if missing := list_missing(RECOGNISER):
        return f"it needs {', '.join(missing)}"
    try:
        load_recogniser("dlib")
    except ValueError as error:
        return str(error)
    return ""


def _open_journal(whole: Whole) -> dict[str, Any]:
    """Read what is finished, and make sure that it was the same training."""
    facts = {"preset": whole.preset, "seed": whole.seed, "steps": whole.max_steps, "arms": list(whole.arms)}
    path = whole.output / JOURNAL
    if (path.exists() or (whole.output / "weights").exists()) and not whole.resume:
        raise ValueError(
            f"{whole.output} holds a training already; add --resume to go on, or choose another folder."
        )
    if not path.exists():
        return facts | {"minutes": whole.minutes, "finished": {}, "calls": []}
    try:
        journal = {"finished": {}, "calls": []} | json.loads(path.read_text())
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; copy it again, or choose another folder.") from error
    changed = [key for key, value in facts.items() if journal.get(key) != value]
    if changed:
        was = ", ".join(f"{key} {journal.get(key)}" for key in changed)
        raise ValueError(f"The training in {whole.output} has {was}; go on so, or choose another folder.")
    return journal | {"minutes": whole.minutes}


def _save(whole: Whole, journal: dict[str, Any], finished: str = "", **note: Any) -> None:
    """Write the journal; where there is no space for that, the last one tells less, and is right."""
    if finished:
        journal["finished"][finished] = {"date": time.strftime("%Y-%m-%d %H:%M")} | note
    try:
        write_whole(whole.output / JOURNAL, json.dumps(journal, indent=1).encode())
    except OSError as error:
        print(f"The journal could not be written: {error}", file=sys.stderr, flush=True)


@contextmanager
def _listen(whole: Whole, begun: float) -> Iterator[Callable[[], bool]]:
    """Give what says that this call is to stop: it was asked to end, or its time is over."""
    asked: list[int] = []

    def ask(number: int, _: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("Stopping after this step; asked once more, at once.", file=sys.stderr, flush=True)

    before = None
    with suppress(ValueError):  # in a thread nobody is told
        before = signal.signal(signal.SIGTERM, ask)
    late = begun + 60 * whole.pause if whole.pause else float("inf")
    try:
        yield lambda: bool(asked) or time.monotonic() > late
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _explain(error: OSError, whole: Whole) -> OSError:
    """Say it in one sentence where the disk is full; other errors stay as they are."""
    short = shutil.disk_usage(whole.output).free < SPARE
    words = ("No space", "too large", "requested and")  # what libraries say that hide the number
    if not (error.errno in FULL or short or any(word in str(error) for word in words)):
        return error
    return OSError(
        f"There is no space left for {whole.output.resolve()}: free some, and the same command with --resume "
        f"goes on where it stood ({os.strerror(error.errno) if error.errno else error})."
    )


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
    load_stills(folder / "stills", seed=seed, minutes=minutes / 3, **amounts.stills)
    left = minutes - (time.monotonic() - begun) / 60
    if left > 0:
        render_pool(folder, clips=amounts.clips, minutes=left, **more)


class Background:
    """Makes clips and stills beside a training, in processes of their own that end with it."""

    def __init__(self, folder: Path, amounts: Amounts, **given: Any):
        self.folder, self.amounts = folder, amounts
        given |= {"workers": max(1, min(MOST_WORKERS, count_cores() - 1))}
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
