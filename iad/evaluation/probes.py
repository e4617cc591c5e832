"""What frozen embeddings tell of expression, head pose and person, by readers taught on other people.

Linear readers (logistic, ridge) and a small network, all scikit-learn's, learn from some rows (n, d) and are
judged on others. How strongly a reader is held back is decided on people kept out of the teaching; then it
learns anew from all. Embeddings are long and people are few, so rows are first standardised and turned to
principal components (256 at most) of the rows that teach.

Every division ("fold") halves the people: readers are taught on one half, judged on the other. Who a person
is cannot be read off people never met; there the readers learn the judged half's persons from some actions
and must know them in others. Equal error rates and a permutation test of the Hilbert-Schmidt independence
criterion (HSIC) need no reader.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from iad.config import EXPRESSIONS
from iad.decoupling import centre_kernel, gaussian_kernel, hsic
from iad.evaluation.intervals import as_entry, by_person, equal_error_rate, interval
from iad.evaluation.samples import SHOWN, TURNED

Kind = Literal["linear", "mlp"]
KINDS: tuple[Kind, ...] = ("linear", "mlp")
QUESTIONS = ("expression", "coefficients", "pose", "person")
COMPONENTS = 256
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of a linear reader's weights, a row that teaches
NETWORK_PENALTIES = (1e-1, 1.0, 10.0)
# The network is small and learns shortly: rows are many numbers of few people.
HIDDEN, RATE, BATCH, EPOCHS = 96, 3e-3, 64, 30
KEPT_OUT = 0.25  # of the people, to choose a penalty
RESAMPLES = 30  # of the equal error rate, which is slow to compute
PERMUTATIONS = 500


def fit_components(
    x: Float[Tensor, "n d"], *, most: int = COMPONENTS
) -> Callable[[Float[Tensor, "m d"]], Float[Tensor, "m k"]]:
    """Find the strongest directions of standardised rows, at most `most`; their mean variance becomes 1.

    Returned is what turns embeddings to these components. Directions keep their relative strength: whitening
    would raise the noise in the weak ones.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x.numpy())
    pca = PCA(min(most, *x.shape), svd_solver="full").fit(scaler.transform(x.numpy()))
    spread = max(float(np.sqrt(pca.explained_variance_.mean())), 1e-6)

    def turn(rows: Float[Tensor, "m d"]) -> Float[Tensor, "m k"]:
        turned = pca.transform(scaler.transform(rows.numpy())) / spread
        return torch.from_numpy(turned.astype(np.float32))

    return turn


def halve(
    people: Int[np.ndarray, " n"], *, seed: int
) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Deal people, with all their rows, into two halves; returns which rows are in each.

    Raises:
        ValueError: there are fewer than four people.
    """
    names = np.unique(people)
    if len(names) < 4:
        raise ValueError(f"Probes need at least 4 people to divide, got {len(names)}; give more.")
    first = np.random.default_rng(seed).permutation(names)[: len(names) // 2]
    inside = np.isin(people, first)
    return inside, ~inside


def teach_and_ask(
    taught: Float[Tensor, "n k"],
    wanted: Int[np.ndarray, " n"] | Float[np.ndarray, "n v"],
    asked: Float[Tensor, "m k"],
    *,
    groups: Int[np.ndarray, " n"],
    kind: Kind = "linear",
    seed: int = 0,
) -> Int[np.ndarray, " m"] | Float[np.ndarray, "m v"]:
    """Teach a reader to tell labels, or numbers, from rows, and let it tell those of other rows.

    `groups` says which rows must not be on both sides when the reader's strength is chosen (their person).
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    classes, penalties = wanted.ndim == 1, [penalty * len(taught) for penalty in PENALTIES]
    if kind == "mlp":
        reader = (MLPClassifier if classes else MLPRegressor)(**_network(seed))
        choices: dict[str, Any] = {"alpha": NETWORK_PENALTIES}
    elif classes:
        reader = LogisticRegression(max_iter=60, tol=1e-3)
        choices = {"C": [1 / penalty for penalty in penalties]}
    else:
        reader, choices = Ridge(), {"alpha": penalties}
    if classes:
        return _teach(reader, choices, taught, wanted, groups, seed).predict(asked.numpy())
    mean, spread = wanted.mean(0), max(float(wanted.std()), 1e-6)  # one scale, so that small ones stay small
    found = _teach(reader, choices, taught, (wanted - mean) / spread, groups, seed)
    return found.predict(asked.numpy()).reshape(len(asked), -1) * spread + mean


def _network(seed: int) -> dict[str, Any]:
    shape = {"hidden_layer_sizes": (HIDDEN,), "batch_size": BATCH, "max_iter": EPOCHS}
    return shape | {"learning_rate_init": RATE, "random_state": seed}


def _teach(reader: Any, choices: dict[str, Any], taught: Tensor, wanted, groups, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, GroupShuffleSplit

    apart = GroupShuffleSplit(1, test_size=KEPT_OUT, random_state=seed)
    search = GridSearchCV(reader, choices, cv=apart, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the small number of rounds is meant
        return search.fit(taught.numpy(), wanted, groups=groups)


def normalised_leakage(probe: float, *, chance: float, raw: float) -> float | None:
    """Return (probe - chance) / (raw - chance): 0 where nothing leaks, 1 where as much as in the raw row.

    Not clipped: below 0 and above 1 are possible. None where the raw row itself tells nothing.
    """
    return (probe - chance) / (raw - chance) if raw - chance > 1e-9 else None


def cosines(x: Float[Tensor, "n d"], mean: Float[Tensor, " d"]) -> Float[np.ndarray, "n n"]:
    """Return how alike rows are once what all share (`mean`) is taken off."""
    unit = torch.nn.functional.normalize(x - mean, dim=1)
    return (unit @ unit.T).numpy()


def hsic_test(
    k: Float[Tensor, "n n"],
    m: Float[Tensor, "n n"],
    *,
    blocks: Int[np.ndarray, " n"],
    permutations: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Tell whether two kernels over the same rows depend on each other.

    Returned are unbiased, normalised HSIC and the p-value of a permutation test that exchanges rows of `m`
    within `blocks` only, so that what a block as a whole explains does not count (blocks of persons: does the
    embedding change *with the action of one person*?).
    """
    rng = np.random.default_rng(seed)
    found, places = float(hsic(k, m)), np.arange(len(k))
    k, m = centre_kernel(k).numpy(), centre_kernel(m).numpy()
    least = float((k * m).sum()) - 1e-12
    members = [np.flatnonzero(blocks == name) for name in np.unique(blocks)]
    reached = 1
    for _ in range(permutations):
        order = places.copy()
        for rows in members:
            order[rows] = rng.permutation(rows)
        reached += float((k * m[np.ix_(order, order)]).sum()) >= least
    return found, reached / (permutations + 1)


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
    return [
        Fold(*pair, seed, control=seed == seeds[0])
        for seed in seeds
        for pair in permutations(halve(person, seed=seed))
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
    make: Make | Float[Tensor, "n d"], samples: Faces, folds: Sequence[Fold], *, kinds: Sequence[Kind] = KINDS
) -> dict[str, dict[str, dict[str, float]]]:
    """Ask `QUESTIONS` of one embedding, or of what is made in every fold, by readers of these kinds.

    Returns for each question and kind of reader its value, interval, the value with shuffled labels, and how
    much it is better than that.
    """
    answers: dict[tuple[str, str, bool], list[tuple[np.ndarray, ...]]] = {}
    for fold in folds:
        for key, answer in _ask(_rows(make, fold), samples, fold, kinds):
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
    make: Make | Float[Tensor, "n d"], samples: Faces, folds: Sequence[Fold], *, kinds: Sequence[Kind] = KINDS
) -> dict[str, Any]:
    """Ask everything of one embedding, or of what is made in every fold.

    Returns what `probe` does, then verification (`equal_error_rate`, `rank_one`) and dependence
    (`hsic_expression`, `hsic_person`).
    """
    report: dict[str, Any] = probe(make, samples, folds, kinds=kinds)
    checks = []
    for fold in folds:
        rows, mask = _rows(make, fold), fold.asked & (samples.action != TURNED)
        centre = rows[torch.from_numpy(fold.taught)].mean(0)
        alike = cosines(rows[torch.from_numpy(mask)], centre)
        checks.append((alike, samples.person[mask], samples.action[mask]))
    report["equal_error_rate"] = as_entry(verify_actions(checks))
    report["rank_one"] = sum_up([rank_one(*check) for check in checks])
    return report | _depend(_rows(make, folds[0]), samples, folds[0].asked & (samples.action != TURNED))


def _rows(make: Make | Tensor, fold: Fold) -> Tensor:
    return make(fold) if callable(make) else make


def _ask(
    rows: Tensor, samples: Faces, fold: Fold, kinds: Sequence[Kind]
) -> Iterator[tuple[tuple[str, str, bool], tuple[np.ndarray, ...]]]:
    """Yield question, kind of reader, whether it learned shuffled labels; and the answers, for `sum_up`."""
    rng = np.random.default_rng(fold.seed)
    person, action, tracks = samples.person, samples.action, samples.tracks
    acted, both = action != TURNED, (fold.taught, fold.asked)
    faces = (fold.taught & acted, fold.asked & acted)
    yield from _answer("expression", _turn(rows, faces), faces, action, person, person, fold, rng, kinds)
    turned = _turn(rows, both)
    for question, part in (("coefficients", slice(EXPRESSIONS)), ("pose", slice(EXPRESSIONS, None))):
        yield from _answer(question, turned, both, tracks[:, part], person, person, fold, rng, kinds)
    known = np.isin(action, rng.permutation(len(SHOWN))[: (len(SHOWN) + 1) // 2])
    halves = (faces[1] & known, faces[1] & ~known)
    yield from _answer("person", _turn(rows, halves), halves, person, action, person, fold, rng, kinds)


def _turn(rows: Tensor, masks: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
    taught, asked = (rows[torch.from_numpy(mask)] for mask in masks)
    components = fit_components(taught)
    return components(taught), components(asked)


def _answer(question, turned, masks, targets, groups, person, fold: Fold, rng, kinds):
    taught, asked = masks
    truth, wanted, who = targets[asked], targets[taught], person[asked]
    base = () if targets.ndim == 1 else (np.square(truth - wanted.mean(0)).sum(1),)
    for shuffled in (False, True)[: 1 + fold.control]:
        answers = rng.permutation(wanted) if shuffled else wanted
        for kind in kinds:
            by = {"groups": groups[taught], "kind": kind, "seed": fold.seed}
            told = teach_and_ask(turned[0], answers, turned[1], **by)
            score = np.square(told - truth).sum(1) if base else (told == truth).astype(float)
            yield (question, kind, shuffled), (score, who, *base)


def rank_one(
    alike: Float[np.ndarray, "n n"], person: Int[np.ndarray, " n"], action: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Seek every acting face among all people's neutral faces; returns 1 where the own is the most alike."""
    gallery = action == SHOWN.index("neutral")
    nearest = alike[np.ix_(~gallery, gallery)].argmax(1)
    right = person[gallery][nearest] == person[~gallery]
    return right.astype(np.float64), person[~gallery]


def verify_actions(checks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
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
        rates = [
            equal_error_rate(scores, a == b, np.where(a == b, times[a], times[a] * times[b]))
            for scores, a, b in listed
        ]
        return float(np.nanmean(rates)) if np.isfinite(rates).any() else np.nan

    return by_person(rate, len(people), resamples=RESAMPLES)


def _depend(rows: Tensor, samples: Faces, mask: np.ndarray) -> dict[str, Any]:
    """Test whether rows depend on the expression within a person, and on the person within an action."""
    person, action = samples.person[mask], samples.action[mask]
    kernel = gaussian_kernel(rows[torch.from_numpy(mask)].double())
    coefficients = gaussian_kernel(torch.from_numpy(samples.tracks[mask][:, :EXPRESSIONS]).double())
    tests = {
        "hsic_expression": (coefficients, person),
        "hsic_person": (torch.from_numpy(person[:, None] == person[None]).double(), action),
    }
    found = {
        name: hsic_test(kernel, other, blocks=blocks, permutations=PERMUTATIONS)
        for name, (other, blocks) in tests.items()
    }
    return {name: {"alignment": alignment, "p": p} for name, (alignment, p) in found.items()}
