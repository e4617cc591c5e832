"""What can be read from frozen embeddings, by readers that are taught on other people.

Linear readers (logistic, ridge) and a small network, all scikit-learn's, learn from some rows (n, d) and are
judged on others. How strongly a reader is held back is decided on people kept out of the teaching; then it
learns anew from all. Embeddings are long and people are few, so rows are first standardised and turned to
principal components (256 at most) of the rows that teach. Plus what needs no reader: equal error rates, and a
permutation test of the Hilbert-Schmidt independence criterion (HSIC).
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from iad.decoupling import centre_kernel, hsic

Kind = Literal["linear", "mlp"]
KINDS: tuple[Kind, ...] = ("linear", "mlp")
COMPONENTS = 256
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of a linear reader's weights, a row that teaches
NETWORK_PENALTIES = (1e-1, 1.0, 10.0)
# The network is small and learns shortly: rows are many numbers of few people.
HIDDEN, RATE, BATCH, EPOCHS = 96, 3e-3, 64, 30
KEPT_OUT = 0.25  # of the people, to choose a penalty


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


def read_classes(
    taught: Float[Tensor, "n k"],
    labels: Int[np.ndarray, " n"],
    asked: Float[Tensor, "m k"],
    *,
    groups: Int[np.ndarray, " n"],
    kind: Kind = "linear",
    seed: int = 0,
) -> Int[np.ndarray, " m"]:
    """Teach a reader to tell labels from rows, and let it name those of other rows.

    `groups` says which rows must not be on both sides when the reader's strength is chosen (their person).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if kind == "mlp":
        reader, choices = MLPClassifier(**_network(seed)), {"alpha": NETWORK_PENALTIES}
    else:
        reader = LogisticRegression(max_iter=60, tol=1e-3)
        choices = {"C": [1 / (len(taught) * penalty) for penalty in PENALTIES]}
    return _teach(reader, choices, taught, labels, groups, seed).predict(asked.numpy())


def read_values(
    taught: Float[Tensor, "n k"],
    values: Float[np.ndarray, "n v"],
    asked: Float[Tensor, "m k"],
    *,
    groups: Int[np.ndarray, " n"],
    kind: Kind = "linear",
    seed: int = 0,
) -> Float[np.ndarray, "m v"]:
    """Teach a reader to tell numbers from rows, and let it tell those of other rows."""
    from sklearn.linear_model import Ridge
    from sklearn.neural_network import MLPRegressor

    if kind == "mlp":
        reader, choices = MLPRegressor(**_network(seed)), {"alpha": NETWORK_PENALTIES}
    else:
        reader, choices = Ridge(), {"alpha": [penalty * len(taught) for penalty in PENALTIES]}
    mean, spread = values.mean(0), max(float(values.std()), 1e-6)  # one scale, so that small ones stay small
    found = _teach(reader, choices, taught, (values - mean) / spread, groups, seed)
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


def equal_error_rate(
    scores: Float[np.ndarray, " n"],
    same: Bool[np.ndarray, " n"],
    weights: Float[np.ndarray, " n"] | None = None,
) -> float:
    """Return the rate at which as many strangers are accepted as own people are refused.

    Args:
        scores: how alike a pair is; a pair is accepted at a threshold or above.
        same: whether a pair is one person.
        weights: how often each pair counts; NaN is returned where one kind of pair does not occur at all.
    """
    from sklearn.metrics import roc_curve

    weights = np.ones(len(scores)) if weights is None else weights
    if not weights[same].sum() or not weights[~same].sum():
        return float("nan")
    accepted, known, _ = roc_curve(same, scores, sample_weight=weights, drop_intermediate=False)
    gap = accepted - (1 - known)  # rises; the curves cross where it is 0
    return float(np.interp(0.0, gap, accepted))


def cosines(x: Float[Tensor, "n d"], mean: Float[Tensor, " d"]) -> Float[np.ndarray, "n n"]:
    """Return how alike rows are once what all share (`mean`) is taken off."""
    unit = torch.nn.functional.normalize(x - mean, dim=1)
    return (unit @ unit.T).numpy()


def label_kernel(labels: Int[np.ndarray, " n"]) -> Float[Tensor, "n n"]:
    """Return 1 where two rows have the same label, else 0."""
    return torch.from_numpy(labels[:, None] == labels[None]).double()


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
