"""What one embedding tells of expression, head pose and person, over several ways to divide the people.

Every division ("fold") halves the people: readers are taught on one half, judged on the other. Who a person
is cannot be read off people never met; there the readers learn the judged half's persons from some actions
and must know them in others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from iad.config import EXPRESSIONS
from iad.decoupling import gaussian_kernel
from iad.evaluation import probes
from iad.evaluation.intervals import as_entry, by_person, interval
from iad.evaluation.samples import SHOWN, TURNED

QUESTIONS = ("expression", "coefficients", "pose", "person")
RESAMPLES = 30  # of the equal error rate, which is slow to compute
PERMUTATIONS = 500


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of the people: rows that teach, rows that are asked, and a seed; equal to itself alone."""

    taught: Bool[np.ndarray, " n"]
    asked: Bool[np.ndarray, " n"]
    seed: int
    control: bool = False  # also teach on shuffled labels


Make = Callable[[Fold], Float[Tensor, "n d"]]  # an embedding; the closed form is another one in every fold


@runtime_checkable
class Faces(Protocol):
    """What is known of faces: `Samples`, or the tutorials' `Collection`."""

    tracks: Float[np.ndarray, "n 60"]
    person: Int[np.ndarray, " n"]
    action: Int[np.ndarray, " n"]  # index into `SHOWN`, or `TURNED`


def create_folds(person: Int[np.ndarray, " n"], seeds: Sequence[int]) -> list[Fold]:
    """Halve the people once a seed; each half teaches once and is asked once. The first seed has controls."""
    halves = [(probes.halve(person, seed=seed), seed) for seed in seeds]
    return [
        Fold(*pair, seed, control=seed == seeds[0]) for (a, b), seed in halves for pair in ((a, b), (b, a))
    ]


def sum_up(answers: Sequence[tuple[np.ndarray, ...]]) -> dict[str, float]:
    """Return accuracy, or R^2, with its 95 % interval over people.

    Args:
        answers: for every fold what each asked row scored, 0 or 1, and who it shows; where numbers were
            asked, the squared error, who it shows, and what the mean would have erred.
    """
    score, person, *base = (np.concatenate(column) for column in zip(*answers, strict=True))
    if not base:
        return as_entry(interval(score, groups=person))
    people, who = np.unique(person, return_inverse=True)
    wrong, most = (np.bincount(who, values) for values in (score, *base))
    return as_entry(by_person(lambda drawn: 1 - wrong[drawn].sum() / most[drawn].sum(), len(people)))


def probe(
    make: Make | Float[Tensor, "n d"],
    samples: Faces,
    folds: Sequence[Fold],
    *,
    kinds: Sequence[probes.Kind] = probes.KINDS,
) -> dict[str, dict[str, dict[str, float]]]:
    """Ask `QUESTIONS` of one embedding, or of what is made in every fold, by readers of these kinds.

    Returns for each question and kind of reader its value, interval, the value with shuffled labels, and how
    much it is better than that.
    """
    answers: dict[tuple[str, str, bool], list[tuple[np.ndarray, ...]]] = {}
    acted = samples.action != TURNED
    for fold in folds:
        for key, answer in _ask(_rows(make, fold), samples, fold, acted, kinds):
            answers.setdefault(key, []).append(answer)
    report: dict[str, dict[str, dict[str, float]]] = {question: {} for question in QUESTIONS}
    for (question, kind, shuffled), given in answers.items():
        found, entry = sum_up(given), report[question].setdefault(kind, {})
        entry |= {"shuffled": found["value"]} if shuffled else found
    for question in QUESTIONS:
        for entry in report[question].values():
            entry["selectivity"] = entry["value"] - entry["shuffled"]
    return report


def measure(
    make: Make | Float[Tensor, "n d"],
    samples: Faces,
    folds: Sequence[Fold],
    *,
    kinds: Sequence[probes.Kind] = probes.KINDS,
) -> dict[str, Any]:
    """Ask everything of one embedding, or of what is made in every fold.

    Returns what `probe` does, then verification (`equal_error_rate`, `rank_one`) and dependence
    (`hsic_expression`, `hsic_person`).
    """
    report: dict[str, Any] = probe(make, samples, folds, kinds=kinds)
    checks, found = [], []
    acted = samples.action != TURNED
    for fold in folds:
        rows = _rows(make, fold)
        centre = rows[torch.from_numpy(fold.taught)].mean(0)
        alike = probes.cosines(rows[torch.from_numpy(fold.asked & acted)], centre)
        who, what = samples.person[fold.asked & acted], samples.action[fold.asked & acted]
        checks.append((alike, who, what))
        found.append(rank_one(alike, who, what))
    report |= {"equal_error_rate": as_entry(verify(checks)), "rank_one": sum_up(found)}
    return report | _depend(_rows(make, folds[0]), samples, folds[0].asked & acted)


def _rows(make: Make | Tensor, fold: Fold) -> Tensor:
    return make(fold) if callable(make) else make


def _ask(rows: Tensor, samples: Faces, fold: Fold, acted: np.ndarray, kinds: Sequence[probes.Kind]):
    rng = np.random.default_rng(fold.seed)
    person, action = samples.person, samples.action
    everything = (fold.taught, fold.asked)
    faces = (fold.taught & acted, fold.asked & acted)
    yield from _ask_classes("expression", rows, action, person, faces, person, fold, rng, kinds)
    yield from _ask_values(rows, samples.tracks, person, everything, fold, rng, kinds)
    known = np.isin(action, rng.permutation(len(SHOWN))[: (len(SHOWN) + 1) // 2])
    actions = (fold.asked & acted & known, fold.asked & acted & ~known)
    yield from _ask_classes("person", rows, person, action, actions, person, fold, rng, kinds)


def _ask_classes(question, rows, labels, groups, masks, person, fold: Fold, rng, kinds):
    taught, asked = (torch.from_numpy(mask) for mask in masks)
    components = probes.fit_components(rows[taught])
    x, y = components(rows[taught]), components(rows[asked])
    truth, groups = labels[masks[0]], groups[masks[0]]
    for shuffled in (False, True)[: 1 + fold.control]:
        answers = rng.permutation(truth) if shuffled else truth
        for kind in kinds:
            guessed = probes.read_classes(x, answers, y, groups=groups, kind=kind, seed=fold.seed)
            yield (question, kind, shuffled), ((guessed == labels[masks[1]]).astype(float), person[masks[1]])


def _ask_values(rows, tracks, groups, masks, fold: Fold, rng, kinds):
    taught, asked = (torch.from_numpy(mask) for mask in masks)
    components = probes.fit_components(rows[taught])
    x, y = components(rows[taught]), components(rows[asked])
    for question, part in (("coefficients", slice(EXPRESSIONS)), ("pose", slice(EXPRESSIONS, None))):
        targets, truth = (tracks[mask][:, part] for mask in masks)
        base = np.square(truth - targets.mean(0)).sum(1)
        for shuffled in (False, True)[: 1 + fold.control]:
            answers = rng.permutation(targets) if shuffled else targets
            for kind in kinds:
                groups_taught = groups[masks[0]]
                guessed = probes.read_values(
                    x, answers, y, groups=groups_taught, kind=kind, seed=fold.seed
                )
                error = np.square(guessed - truth).sum(1)
                yield (question, kind, shuffled), (error, groups[masks[1]], base)


def rank_one(
    alike: Float[np.ndarray, "n n"], person: Int[np.ndarray, " n"], action: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Seek every acting face among all people's neutral faces; returns 1 where the own is the most alike."""
    gallery = action == SHOWN.index("neutral")
    nearest = alike[np.ix_(~gallery, gallery)].argmax(1)
    right = person[gallery][nearest] == person[~gallery]
    return right.astype(np.float64), person[~gallery]


def verify(checks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    """Return the equal error rate over pairs of faces in different actions, with its interval over people.

    Args:
        checks: for every fold, similarities (n, n), persons (n,) and actions (n,).
    """
    listed = []
    for alike, person, action in checks:
        one, other = np.triu_indices(len(person), 1)
        differ = action[one] != action[other]
        one, other = one[differ], other[differ]
        scores = alike[one, other]
        order = np.argsort(-scores, kind="stable")  # sorting what is sorted is quick, and done often
        listed.append((scores[order], person[one][order], person[other][order]))
    people = np.unique(np.concatenate([person for _, person, _ in checks]))

    def rate(drawn: np.ndarray) -> float:
        times = np.zeros(people.max() + 1)
        np.add.at(times, people[drawn], 1)
        rates = [_rate(scores, a, b, times) for scores, a, b in listed]
        return float(np.nanmean(rates)) if np.isfinite(rates).any() else np.nan

    return by_person(rate, len(people), resamples=RESAMPLES)


def _rate(scores: np.ndarray, one: np.ndarray, other: np.ndarray, times: np.ndarray) -> float:
    same = one == other
    weights = np.where(same, times[one], times[one] * times[other])
    return probes.equal_error_rate(scores, same, weights)


def _depend(rows: Tensor, samples: Faces, mask: np.ndarray) -> dict[str, Any]:
    """Test whether rows depend on the expression within a person, and on the person within an action."""
    person, action = samples.person[mask], samples.action[mask]
    kernel = gaussian_kernel(rows[torch.from_numpy(mask)].double())
    coefficients = gaussian_kernel(torch.from_numpy(samples.tracks[mask][:, :EXPRESSIONS]).double())
    tests = {
        "hsic_expression": (coefficients, person),
        "hsic_person": (probes.label_kernel(person), action),
    }
    found = {}
    for name, (other, blocks) in tests.items():
        alignment, p = probes.hsic_test(kernel, other, blocks=blocks, permutations=PERMUTATIONS)
        found[name] = {"alignment": alignment, "p": p}
    return found
