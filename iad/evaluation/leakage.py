"""Suite `leakage`: what each part of each embedding gives away, beside splits by algebra, in one table.

Two embeddings are split in use: the recogniser's token, which says who it is, and the local tokens, whose
identity the denoiser is given. f is split into identity i, action a and residual r, as the pipeline splits a
visitor's face. A clean split keeps the person in i and the expression and head pose in a, and not the other
way round; r is given to nobody. Probes measure both ways on people whom training never saw; photos as they
are tell whether i still verifies. Normalised leakage is (probe - chance) / (raw - chance), raw what f tells.

Splits by linear algebra must be beaten, fitted anew on the people who teach a fold. The closed form at every
rank needs to know who is who; LEACE (arXiv 2306.03819) is told which expression every face shows, the very
thing that is asked of others afterwards: the strongest opponent a table can have. Embeddings are long and
people few, so both work within the span of the rows that teach, which is the same.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from iad import checkpoint
from iad.decoupling import create_decoupling
from iad.evaluation import crossing, probes
from iad.evaluation import samples as faces
from iad.evaluation.leakage_page import draw_leakage, to_markdown
from iad.evaluation.own_judges import load_scorers
from iad.evaluation.people import HeadName, held_out_people
from iad.evaluation.probes import Faces, Fold, Make
from iad.evaluation.report import write_suite
from iad.evaluation.samples import Parts, Photos, Samples
from iad.models.closed_form import Explained, fit_closed_form

RANKS = (1, 2, 4, 8, 16, 32, 64)  # of the closed form
PHOTOS = 24  # held-out photos as they are, in four looks each
WORSE = 0.01  # by which the equal error rate of a closed form may lie above that of f, to be called best
PARTS = (
    ("facial", "raw", "f"),
    ("identity", "identity", "i, shipped"),
    ("action", "action", "a, shipped"),
    ("code", "action", "a's code"),
    ("residual", "residual", "r, shipped"),
)
Fit = Callable[[Fold], Explained]  # what of rows is action, learned once a fold


@dataclass(frozen=True)
class Tested:
    """One row of the table: a part of a source's faces.split, shipped or by algebra."""

    name: str
    source: str  # rows of one source are normalised by its own f
    part: str  # "raw", "identity", "action" or "residual"
    make: Make
    photos: Make | None = None  # the same of photos as they are


def run_leakage(
    pipe: Any,
    *,
    output: Path,
    people: int = 60,
    seeds: Sequence[int] = (0, 1, 2),
    ablations: Path | None = None,
    head: HeadName = "ict",
) -> dict[str, Any]:
    """Probe a pipeline's embeddings; writes `leakage.json`, `.md` and `.png` into `output`.

    Args:
        pipe: an `IaDPipeline`.
        output: a folder; made if it is not there.
        people: how many held-out people.
        seeds: one division of the people into halves for each; ranks are compared on the first.
        ablations: a folder of splits that each learned without a term of their losses; every one adds its
            rows, by linear probes, and its pictures to the swap test.
        head: "tiny" needs no data, and looks at no photos.

    Raises:
        ValueError: fewer than 8 people.
        FileNotFoundError: the data of the people is missing.
    """
    if people < 8:
        raise ValueError(f"The leakage suite needs at least 8 people, got {people}; ask for more.")
    begun = time.perf_counter()
    casts = held_out_people(people, head=head)
    samples = faces.render_samples(casts, stride=pipe.preset.frames_per_latent, seed=0)
    folds = probes.create_folds(samples.person, seeds)
    photographed = None if head == "tiny" else faces.split_photos(pipe, PHOTOS, casts)
    sources = faces.divide(pipe, faces.split_faces(pipe, samples.crops))
    rows = []
    for source, parts in sources.items():
        seen = photographed and photographed.parts[source]
        rows += _probe_all(_shipped(source, parts, seen), samples, folds, photographed, probes.KINDS)
        rows += _probe_linear(source, parts["facial"], samples, folds, photographed, rows[-len(PARTS)])
    encoded = faces.encode(pipe.parts["encoder"], samples.small)
    alike = {"shipped": pipe.parts} | dict(load_ablations(ablations))  # all split as in their training
    shown = {name: (heads, faces.split(heads["decoupler"], encoded)) for name, heads in alike.items()}
    for name in list(alike)[1:]:
        rows += _probe_all(_shipped(name, shown[name][1], None), samples, folds, None, ("linear",))
    report = {
        "people": {"photo": people},
        "photos": len(set(photographed.person)) if photographed else 0,
        "faces_a_person": len(samples.crops) // people,
        "seeds": list(seeds),
        "components": probes.COMPONENTS,
        "chance": _chance(folds, samples),
        "embeddings": normalise(rows, _chance(folds, samples)),
        "left_out": lacks_leace(),
        "words": crossing.find_clips(pipe, samples, casts),
        **_swap(pipe, shown, samples),
        "swap_embedded": {name: crossing.swap_embedded(parts, samples) for name, parts in sources.items()},
    }
    report["seconds"] = round(time.perf_counter() - begun, 1)
    write_suite(output, "leakage", report, to_markdown(report))
    draw_leakage(report).save(output / "leakage.png")
    return report


def load_ablations(folder: Path | None) -> Iterator[tuple[str, nn.ModuleDict]]:
    """Yield name, split and heads of every ablation in a folder; they know no recogniser's token."""
    for place in sorted(folder.iterdir()) if folder else []:
        if (place / checkpoint.MANIFEST).exists():
            parts = create_decoupling(checkpoint.load_preset(place))
            parts.load_state_dict(checkpoint.load_part(place, "decoupling"))
            yield place.name, parts.eval().requires_grad_(False)


def _shipped(source: str, parts: Parts, photos: Parts | None) -> list[Tested]:
    def keep(rows: Float[Tensor, "n d"]) -> Make:
        return lambda _: rows

    return [
        Tested(name, source, part, keep(parts[key]), photos and keep(photos[key]))
        for key, part, name in PARTS
    ]


def _probe_linear(
    source: str,
    facial: Float[Tensor, "n d"],
    samples: Samples,
    folds: Sequence[Fold],
    photographed: Photos | None,
    raw: dict[str, Any],
) -> list[dict[str, Any]]:
    """Probe the closed form's identity at every rank, then both parts at the best rank, then LEACE's."""
    shown = photographed and photographed.parts[source]["facial"]

    def test(fit: Fit, name: str, parts: Sequence[int] = (0, 1)) -> list[Tested]:
        return [
            Tested(
                f"{'ia'[part]}, {name}",
                source,
                ("identity", "action")[part],
                make_part(fit, facial, part),
                None if shown is None else make_part(fit, shown, part),
            )
            for part in parts
        ]

    smallest = min(facial.shape[1], *(int(fold.taught.sum()) for fold in folds)) // 2
    ranks = [rank for rank in RANKS if rank <= smallest]
    forms = {rank: create_closed_form(facial, samples, rank) for rank in ranks}
    swept = []
    for rank, form in forms.items():
        tested = test(form, f"closed form, rank {rank}", (0,))
        swept += _probe_all(tested, samples, folds[:2], photographed, ("linear",))
    leaks = {r: row["expression"]["linear"]["value"] for r, row in zip(ranks, swept, strict=True)}
    errors = {r: row["equal_error_rate"]["value"] for r, row in zip(ranks, swept, strict=True)}
    best = choose_rank(leaks, errors, raw["equal_error_rate"]["value"] + WORSE)
    compared = test(forms[best], f"closed form, best rank, {best}")
    if not lacks_leace():
        compared += test(create_leace(facial, samples), "LEACE")
    return swept + _probe_all(compared, samples, folds, photographed, probes.KINDS)


def _probe_all(
    tested: Sequence[Tested],
    samples: Samples,
    folds: Sequence[Fold],
    photographed: Photos | None,
    kinds: Sequence[probes.Kind],
) -> list[dict[str, Any]]:
    rows = []
    for row in tqdm(tested, desc=f"probe {tested[0].source}", mininterval=5):
        made = row.make(folds[0])
        found = {"name": row.name, "source": row.source, "part": row.part, "width": made.shape[1]}
        found |= probes.measure(row.make, samples, folds, kinds=kinds)
        if row.photos and photographed:
            centre = made[torch.from_numpy(folds[0].taught)].mean(0)
            found["auc"] = faces.verify_rows(row.photos(folds[0]) - centre, photographed.person)
        rows.append(found)
    return rows


def _chance(folds: Sequence[Fold], samples: Samples) -> dict[str, float]:
    asked = [len(set(samples.person[fold.asked])) for fold in folds]
    person = sum(1 / count for count in asked) / len(asked)
    return {"expression": 1 / len(faces.SHOWN), "coefficients": 0.0, "pose": 0.0, "person": person}


def normalise(rows: list[dict[str, Any]], chance: dict[str, float]) -> list[dict[str, Any]]:
    """Enter `normalised` beside every probe: its share of what the same source's undivided f tells."""
    raw = {row["source"]: row for row in rows if row["part"] == "raw"}
    for row in rows:
        for question in probes.QUESTIONS:
            for kind, entry in row[question].items():
                most = raw[row["source"]][question][kind]["value"]
                share = probes.normalised_leakage(entry["value"], chance=chance[question], raw=most)
                entry["normalised"] = share
    return rows


def _swap(pipe: Any, shown: dict[str, tuple[Any, Parts]], samples: Samples) -> dict[str, Any]:
    """Judge clips of the shipped split, and its and every ablation's pictures by the heads that show them."""
    try:
        scorers = load_scorers()
    except ValueError as error:
        return {"swap": {"left_out": f"The swap test needs judges. {error}"}, "swap_pictures": {}}
    found = {"swap": crossing.swap(pipe, samples, scorers), "swap_pictures": {}}
    for name, (heads, parts) in shown.items():
        show = partial(faces.paint, heads, pipe.parts["autoencoder"], pipe.preset)
        found["swap_pictures"][name] = crossing.swap_pictures(show, parts, samples, scorers)
    return found


def create_closed_form(rows: Float[Tensor, "n d"], samples: Faces, rank: int) -> Fit:
    """Take the strongest directions in which faces of one person differ."""

    @cache
    def fit(fold: Fold) -> Explained:
        mean, axes, taught = _span(rows, fold)
        small = fit_closed_form(taught, torch.from_numpy(samples.person[fold.taught]), rank=rank)
        basis = axes @ small.basis
        return Explained(mean, basis, basis.T)

    return fit


def create_leace(rows: Float[Tensor, "n d"], samples: Faces) -> Fit:
    """Erase which expression is shown, head turns at random being one more."""
    from concept_erasure import LeaceEraser

    names, which = np.unique(samples.action, return_inverse=True)
    labels = torch.nn.functional.one_hot(torch.from_numpy(which), len(names))

    @cache
    def fit(fold: Fold) -> Explained:
        mean, axes, taught = _span(rows, fold)
        eraser = LeaceEraser.fit(taught.double(), labels[torch.from_numpy(fold.taught)].double())
        reads, shows = eraser.proj_right.T.float(), eraser.proj_left.T.float()
        return Explained(mean, axes @ reads, shows @ axes.T)

    return fit


def make_part(fit: Fit, rows: Float[Tensor, "n d"], part: int) -> Make:
    """Return what makes identity (0) or action (1) of rows, of whichever people, in a fold."""

    def make(fold: Fold) -> Float[Tensor, "n d"]:
        found = fit(fold)
        action = (rows - found.mean) @ found.reads @ found.shows
        return action if part else rows - found.mean - action

    return make


def lacks_leace() -> str:
    """Say what LEACE needs and does not have; empty where nothing."""
    if importlib.util.find_spec("concept_erasure") is None:
        return "LEACE needs a package; install it with: pip install --no-deps concept-erasure==0.2.4"
    return ""


def choose_rank(leaks: dict[int, float], errors: dict[int, float], most: float) -> int:
    """Choose the rank that leaks least among those whose equal error rate is at most `most`, else of all."""
    allowed = [rank for rank in leaks if errors[rank] <= most] or list(leaks)
    return min(allowed, key=lambda rank: leaks[rank])


def _span(
    rows: Float[Tensor, "n d"], fold: Fold
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d k"], Float[Tensor, "m k"]]:
    """Return the mean of the rows that teach, axes of what they span about it, and them on these axes."""
    taught = rows[torch.from_numpy(fold.taught)]
    mean = taught.mean(0)
    axes = torch.linalg.qr((taught - mean).T)[0]
    return mean, axes, (taught - mean) @ axes
