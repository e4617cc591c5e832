"""Suite `leakage`: what each embedding gives away, by probes on people that training never saw.

The facial embedding f is split into identity i, action a and residual r, as the pipeline splits a visitor's
face. A clean split keeps the person in i and the expression and head pose in a, and not the other way round;
r is given to nobody. Probes measure both ways; beside them stand what the undivided f tells (`raw`), the two
kinds of tokens that make up i, chance, probes taught on shuffled labels, the encoder's own vectors, and the
closed-form split. Normalised leakage is (probe - chance) / (raw - chance).
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from iad import checkpoint
from iad.closed_form import ClosedForm, fit_closed_form
from iad.decoupling import create_decoupling
from iad.evaluation import crossing, probes
from iad.evaluation.leakage_page import draw_leakage, to_markdown
from iad.evaluation.measures import QUESTIONS, Faces, Fold, Make, create_folds, measure
from iad.evaluation.people import HeadName, get_head, held_out_people
from iad.evaluation.report import as_json
from iad.evaluation.samples import SHOWN, Encoded, Samples, encode, render_samples, split, split_faces
from iad.evaluation.scorers import Scorers, load_scorers
from iad.recogniser import DIM

RANK = 8  # directions that the closed form takes for action: one less than there are faces to tell apart


@dataclass(frozen=True)
class Tested:
    """One embedding of the table: a part of `source`'s split, or something else to compare it with."""

    name: str
    source: str  # rows of one source are normalised by its own f
    part: str  # "raw", "identity", "action", "residual", or "encoder"
    make: Make


def run_leakage(
    pipe: Any,
    *,
    output: Path,
    people: int = 60,
    seeds: Sequence[int] = (0, 1, 2),
    ablations: Path | None = None,
    scorers: Scorers | None = None,
    head: HeadName = "ict",
) -> dict[str, Any]:
    """Probe a pipeline's embeddings; writes `leakage.json`, `.md` and `.png` into `output`.

    Args:
        pipe: an `IaDPipeline`.
        output: a folder; made if it is not there.
        people: how many held-out people, half from photos (rendered ones alone with the tiny head).
        seeds: one division of the people into halves for each.
        ablations: a folder of `python -m iad train ablations`; each adds its rows, linear probes only.
        scorers: judges of the swap test; the shipped ones by default.
        head: "tiny" needs no data.

    Raises:
        ValueError: fewer than 8 people.
        FileNotFoundError: the data of the people is missing.
    """
    if people < 8:
        raise ValueError(f"The leakage suite needs at least 8 people, got {people}; ask for more.")
    begun = time.perf_counter()
    photos = 0 if head == "tiny" else people // 2
    casts = held_out_people(photos, people - photos, head=get_head(head))
    samples = render_samples(casts, stride=pipe.preset.frames_per_latent, seed=0)
    encoded = encode(pipe.parts["encoder"], samples.crops)
    folds = create_folds(samples.person, seeds)
    rows = []
    for source, parts in _sources(pipe, ablations, samples, encoded):
        tested = list(_tested(source, parts))
        if not source:
            tested += [*_halves(pipe, parts), *_compared(parts, encoded, samples)]
        kinds = probes.KINDS if not source else ("linear",)  # networks take long
        for row in tqdm(tested, desc=f"probe {source or pipe.preset.name}", mininterval=5):
            found = {"name": row.name, "source": row.source, "part": row.part}
            rows.append(
                found
                | {"width": row.make(folds[0]).shape[1]}
                | measure(row.make, samples, folds, kinds=kinds)
            )
    report = {
        "people": {"photo": photos, "rendered": people - photos},
        "faces_a_person": len(samples.crops) // people,
        "seeds": list(seeds),
        "components": probes.COMPONENTS,
        "chance": _chance(folds, samples),
        "embeddings": normalise(rows, _chance(folds, samples)),
        "words": crossing.find_clips(pipe, samples, casts),
        "swap": _swap(pipe, samples, scorers),
    }
    report["seconds"] = round(time.perf_counter() - begun, 1)
    output.mkdir(parents=True, exist_ok=True)
    (output / "leakage.json").write_text(json.dumps(as_json(report), indent=1))
    (output / "leakage.md").write_text(to_markdown(report))
    draw_leakage(report).save(output / "leakage.png")
    return report


def _sources(
    pipe: Any, ablations: Path | None, samples: Samples, encoded: Encoded
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the parts of the pipeline's own split, named "", then those of every ablation's."""
    yield "", split_faces(pipe, samples.crops)
    for name, decoupler in load_ablations(ablations):
        yield name, split(decoupler, encoded)


def load_ablations(folder: Path | None) -> Iterator[tuple[str, nn.Module]]:
    """Yield name and decoupler of every ablation in a folder; they know no recogniser's token."""
    for place in sorted(folder.iterdir()) if folder else []:
        if (place / checkpoint.MANIFEST).exists():
            parts = create_decoupling(checkpoint.load_preset(place))
            parts.load_state_dict(checkpoint.load_part(place, "decoupling"))
            yield place.name, parts["decoupler"].eval().requires_grad_(False)


def _tested(source: str, parts: dict[str, Tensor]) -> Iterator[Tested]:
    for key, part, symbol in (
        ("facial", "raw", "f, facial"),
        ("identity", "identity", "i, identity"),
        ("code", "action", "a, action's code"),
        ("action", "action", "a, action"),
        ("residual", "residual", "r, residual"),
    ):
        name = f"{symbol} ({source})" if source else symbol
        yield Tested(name, source, part, lambda _, rows=parts[key]: rows)


def _halves(pipe: Any, parts: dict[str, Tensor]) -> Iterator[Tested]:
    """Yield identity's local tokens, which are all that the denoiser is given, and the recogniser's token."""
    if pipe.recognised is not None:
        local, token = parts["identity"][:, :-DIM], parts["identity"][:, -DIM:]
        yield Tested("i, local tokens", "", "identity", lambda _: local)
        yield Tested("i, recogniser's token", "", "identity", lambda _: token)


def _compared(parts: dict[str, Tensor], encoded: Encoded, samples: Samples) -> Iterator[Tested]:
    facial, tokens = parts["facial"], encoded.tokens.mean(1)
    for part, make in zip(("identity", "action"), closed_form_makers(facial, samples), strict=True):
        yield Tested(f"{part[0]}, closed form", "", part, make)
    yield Tested("encoder: who it is", "", "encoder", lambda _: encoded.embedding)
    yield Tested("encoder: with coefficients", "", "encoder", lambda _: encoded.vector)
    yield Tested("encoder: tokens, averaged", "", "encoder", lambda _: tokens)


def closed_form_makers(rows: Float[Tensor, "n d"], samples: Faces, *, rank: int = RANK) -> tuple[Make, Make]:
    """Return what makes identity and action by closed form, fitted anew on the people who teach a fold."""
    return tuple(lambda fold, k=k: _closed_form(rows, samples, fold, rank).split(rows)[k] for k in range(2))


def _closed_form(rows: Tensor, samples: Faces, fold: Fold, rank: int = RANK) -> ClosedForm:
    """Fit on the people who teach, within the span of their rows: the same, for less work."""
    taught = rows[torch.from_numpy(fold.taught)]
    axes, person = probes.span(taught), torch.from_numpy(samples.person[fold.taught])
    small = fit_closed_form((taught - taught.mean(0)) @ axes, person, rank=rank)
    return ClosedForm(taught.mean(0), axes @ small.basis)


def _chance(folds: Sequence[Fold], samples: Samples) -> dict[str, float]:
    asked = [len(set(samples.person[fold.asked])) for fold in folds]
    person = sum(1 / count for count in asked) / len(asked)
    return {"expression": 1 / len(SHOWN), "coefficients": 0.0, "pose": 0.0, "person": person}


def normalise(rows: list[dict[str, Any]], chance: dict[str, float]) -> list[dict[str, Any]]:
    """Enter `normalised` beside every probe: its share of what the same source's undivided f tells."""
    raw = {row["source"]: row for row in rows if row["part"] == "raw"}
    for row in rows:
        for question in QUESTIONS:
            for kind, entry in row[question].items():
                most = raw[row["source"]][question][kind]["value"]
                share = probes.normalised_leakage(entry["value"], chance=chance[question], raw=most)
                entry["normalised"] = share
    return rows


def _swap(pipe: Any, samples: Samples, scorers: Scorers | None) -> dict[str, Any]:
    try:
        scorers = scorers or load_scorers()
    except ValueError as error:
        return {"left_out": f"The swap test needs judges. {error}"}
    return crossing.swap(pipe, samples, scorers)
