"""Make a clip and read everything off it that the `action` suite needs: one process's share of the work.

In comes a `Plan`, a folder and the names of clips; out come records, plain values that fit a line of JSON.
All numbers of the report are computed from these records alone.
"""

from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from iad import checkpoint
from iad.config import get_preset
from iad.evaluation import metrics
from iad.evaluation.cached_pipeline import CachedPipeline, animate, fit_reference
from iad.evaluation.metrics import pack
from iad.evaluation.outside import (
    DlibJudge,
    compare_features,
    lacks_landmarks,
    load_inception,
    read_landmarks,
)
from iad.evaluation.own_judges import Scorers, create_scorers, load_scorers
from iad.evaluation.people import (
    DRAWN,
    Plan,
    Wanted,
    cast_person,
    choose_reference,
    get_head,
    list_wanted,
    prompt_for,
    reference_of,
    references_of,
    timeline,
    truth_of,
)
from iad.faces.detectors import detect_frontal
from iad.full_size.judging import Judges, load_judges
from iad.performing.actions import Performed
from iad.portraits.clips import SECONDS
from iad.portraits.photo import PhotoPerson

LOOKED_AT = (2, 6, 10, 14)  # of 16 frames: the detector is dear; each speaks for the four around it
TAKEN = 10  # the frame that dlib's recogniser sees: the action is under way
FEATURED = (3, 7, 11, 15)  # frames that Frechet distances see
SHOWN = 6  # first people, whose clips are kept as pictures, never by looks
STRIP = (0, 4, 8, 11, 15)  # frames of a kept clip
_DETECTION_SIZE = 256  # pixels: the framing's face is then twice as wide as what dlib's detector needs


class Bench:
    """Everything that one process needs, loaded when it is first used."""

    def __init__(self, plan: Plan, folder: Path):
        self.plan, self.folder = plan, folder
        self.head = get_head(plan.head)

    @cached_property
    def pipe(self) -> CachedPipeline:
        """The model."""
        pipe = CachedPipeline.from_pretrained(self.plan.model, device="cpu")
        pipe.framed = self.plan.head == "tiny"
        return pipe

    @cached_property
    def scorers(self) -> Scorers:
        """Our judges: the model's own, or the shipped ones."""
        if self.plan.model == "tiny":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return Scorers(create_scorers(get_preset("tiny")))
        own = Path(self.plan.model)
        return load_scorers(own if own.is_dir() and checkpoint.has_part(own, "scorers-arc") else None)

    @cached_property
    def dlib(self) -> DlibJudge | None:
        """The landmarks and the recogniser of dlib, if they may be asked."""
        return None if lacks_landmarks() else DlibJudge()

    @cached_property
    def published(self) -> Judges:
        """InsightFace and CLIP, as far as they are here."""
        return load_judges(fetch=False)

    @cached_property
    def inception(self) -> torch.nn.Module | None:
        """What ConsisID's 'FID' compares by, if it is here."""
        return load_inception()

    @lru_cache(maxsize=4)  # noqa: B019 - as long-lived as the process
    def fitted(self, person: int, shown: str) -> PhotoPerson:
        """The reference as the outsider animates it."""
        return fit_reference(self.head, self.pipe.find_face(self.references(person)[shown]))

    @lru_cache(maxsize=4)  # noqa: B019
    def references(self, person: int) -> dict[str, UInt8[np.ndarray, "h w 3"]]:
        """A person's reference pictures, by what they show."""
        stored = load_person(self.folder, person)
        return dict(zip(stored["shown"].tolist(), stored["images"], strict=True))

    @lru_cache(maxsize=4)  # noqa: B019
    def embedded(self, person: int) -> dict[str, Float[np.ndarray, " e"]]:
        """A person's gallery picture as the recognisers see it: a calm face, of which no clip is made."""
        picture = load_person(self.folder, person)["gallery"][None]
        found = {which: self.scorers.embed(picture, which)[0] for which in ("arc", "cur")}
        others = {"dlib": self.dlib, "insightface": self.published if self.published.faces else None}
        return found | {name: judge.embed(picture)[0] for name, judge in others.items() if judge}

    def read(self, frames: UInt8[np.ndarray, "f h w 3"]) -> dict[str, str]:
        """Read what a clip does, once for each judge of actions, packed."""
        found = {"track": pack(self.scorers.track(frames))}
        if self.dlib:
            found["marks"] = pack(read_landmarks(self.dlib.landmarks(frames)))
        return found


@lru_cache(maxsize=1)
def open_bench(plan: Plan, folder: Path) -> Bench:
    """Return this process's bench, the same at every call."""
    return Bench(plan, folder)


def person_file(folder: Path, person: int) -> Path:
    """Where a person's references lie."""
    return folder / "people" / f"{person:03d}.npz"


def load_person(folder: Path, person: int) -> dict[str, np.ndarray]:
    """Read a person's pictures, what they show, and what the person is called."""
    with np.load(person_file(folder, person)) as file:
        return dict(file)


def teach_person(plan: Plan, folder: Path, number: int) -> list[dict[str, Any]]:
    """Let a training person perform, and write down what is read: examples for the classifiers."""
    bench = open_bench(plan, folder)
    cast = cast_person(plan.class_teachers[number], plan.head)
    order = np.random.default_rng(number).permutation(len(plan.actions))
    names = [plan.actions[k] for k in order]
    takes = [[Performed((name,), 0.0, SECONDS)] for name in (*plan.actions, "neutral")]
    takes += [list(timeline(pair, 0)) for pair in zip(names[::2], names[1::2], strict=False)]
    examples = []
    for k, segments in enumerate(takes):
        readings = bench.read(truth_of(cast, segments, k))
        actions = [s.actions[0] for s in segments]
        examples.append({"key": f"{number}/{k}", "teacher": number, "actions": actions} | readings)
    return examples


def prepare_person(plan: Plan, folder: Path, person: int) -> list[dict[str, Any]]:
    """Render a person's pictures and true clips; save the ones and measure the others."""
    bench = open_bench(plan, folder)
    cast = cast_person(plan.people[person], plan.head)
    shown = references_of(person, plan.actions)
    path = person_file(folder, person)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        images = np.stack([reference_of(cast, action) for action in shown])
        about = {"shown": np.array(shown), "presentation": cast.words.presentation}
        np.savez(file, images=images, gallery=reference_of(cast, "neutral"), **about)
    part.replace(path)
    gallery = {which: pack(row) for which, row in bench.embedded(person).items()}
    named = {"key": f"truth/gallery/{person}", "row": "truth", "part": "gallery", "person": person}
    records = [named | {"gallery": gallery}]
    for wanted in list_wanted(plan, "truth", person):
        if wanted.part == "render":  # only Frechet distances look at it
            frames = truth_of(cast, wanted.segments, wanted.seed, frames=FEATURED)
            records.append(_name(plan, wanted) | {"features": pack(bench.scorers.features(frames))})
        else:
            frames = truth_of(cast, wanted.segments, wanted.seed)
            records.append(_record(bench, wanted, frames, prompt=""))
    return records


def measure_clips(plan: Plan, folder: Path, task: Sequence[Wanted]) -> list[dict[str, Any]]:
    """Make and measure clips; one that cannot be made is recorded with the reason."""
    bench = open_bench(plan, folder)
    records: list[dict[str, Any]] = []
    still: dict[str, dict[str, Any]] = {}  # repeated references by what they show: measured once
    for wanted in task:
        presentation, held_out = str(load_person(folder, wanted.person)["presentation"]), plan.held_out_words
        prompt = prompt_for(presentation, wanted.segments, turn=wanted.person, held_out=held_out)
        named = _name(plan, wanted) | {"prompt": prompt}
        if wanted.row == "still" and named["shown"] in still:
            records.append(still[named["shown"]] | named)
            continue
        try:
            records.append(_record(bench, wanted, _make(bench, wanted, prompt), prompt=prompt))
        except ValueError as error:
            records.append(named | {"failed": str(error)})
        if wanted.row == "still":
            still[named["shown"]] = records[-1]
    return records


def _make(bench: Bench, wanted: Wanted, prompt: str) -> UInt8[np.ndarray, "f h w 3"]:
    shown = choose_reference(wanted.person, wanted.actions, bench.plan.actions)
    reference = bench.references(wanted.person)[shown]
    if wanted.row == "still":
        return np.repeat(reference[None], 16, axis=0)
    seed = 1000 * wanted.seed + wanted.person
    if wanted.row == "warp":
        return animate(bench.fitted(wanted.person, shown), prompt, seed=seed)
    if wanted.row == DRAWN:
        detail = bench.plan.detail_scale
        return bench.pipe.draw_framed(reference, prompt, seed=seed, detail_scale=detail)
    arm, _, words = wanted.row.partition("@")
    guidance = {"guidance_scale": float(words)} if words else {}
    return bench.pipe(reference, prompt, arm=arm, seed=seed, detail_scale=0, **guidance).frames


def _name(plan: Plan, wanted: Wanted) -> dict[str, Any]:
    return {
        "key": wanted.key,
        "row": wanted.row,
        "part": wanted.part,
        "person": wanted.person,
        "actions": wanted.actions,
        "seed": wanted.seed,
        "shown": choose_reference(wanted.person, wanted.actions, plan.actions),
    }


def _record(
    bench: Bench, wanted: Wanted, frames: UInt8[np.ndarray, "f h w 3"], *, prompt: str
) -> dict[str, Any]:
    """Measure a clip."""
    record = _name(bench.plan, wanted) | {"prompt": prompt, "failed": None}
    record |= bench.read(frames)
    if wanted.part != "basic":
        return record
    gallery = bench.embedded(wanted.person)
    picks = frames[np.linspace(0, len(frames) - 1, 16).astype(int)]
    found = np.repeat(show_faces(picks[list(LOOKED_AT)]), 4)
    for which in ("arc", "cur"):
        embedded = bench.scorers.embed(picks, which)
        record[which] = metrics.similarity(embedded @ gallery[which], found)
        if which == "arc":
            record["steady"] = metrics.steadiness(embedded)
            record["embedding"] = pack(embedded.mean(0))
    moved = {"jitter": metrics.jitter(frames), "motion": metrics.motion(frames)}
    record |= {"found": float(found.mean()), **moved}
    if bench.dlib:
        row = bench.dlib.embed(picks[[TAKEN]])[0]
        record |= {"dlib": float(row @ gallery["dlib"]), "dlib_embedding": pack(row)}
        record["dlib_distance"] = float(np.linalg.norm(row - gallery["dlib"]))
    if wanted.seed == 0:
        record["features"] = pack(bench.scorers.features(picks[list(FEATURED)]))
        if bench.published.faces:
            cosines = bench.published.embed(picks[list(LOOKED_AT)]) @ gallery["insightface"]
            record["insightface"] = metrics.similarity(cosines, np.isfinite(cosines))
        if bench.inception:
            reference = bench.references(wanted.person)[record["shown"]]
            record["consisid_fid"] = compare_features(bench.inception, picks, reference)
        if prompt and bench.published.clip:  # true renders have no prompt
            record["clipscore"] = bench.published.compare_words(picks, prompt)
        if wanted.person < SHOWN:
            keep_strip(bench.folder, wanted, frames)
    return record


def show_faces(frames: UInt8[np.ndarray, "n h w 3"]) -> Bool[np.ndarray, " n"]:
    """Tell which frames show a face to dlib's HOG detector, in one look at 256 pixels."""
    size = (_DETECTION_SIZE, _DETECTION_SIZE)
    large = [cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames]
    return np.array([bool(detect_frontal(picture)) for picture in large])


def strip_file(folder: Path, key: str) -> Path:
    """Where the frames of a kept clip lie."""
    return folder / "strips" / f"{key.replace('/', '_').replace(' ', '-')}.jpg"


def keep_strip(folder: Path, wanted: Wanted, frames: UInt8[np.ndarray, "f h w 3"]) -> None:
    """Keep five frames of a clip side by side."""
    path = strip_file(folder, wanted.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(list(frames[list(STRIP)]), axis=1)).save(path, quality=92)
