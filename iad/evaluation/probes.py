"""What can be read from frozen embeddings, by readers that are taught on other people.

Linear readers (multinomial logistic, ridge) and a small network learn from some rows (n, d) and are judged on
others. How strongly a linear reader is held back, and when a network stops, is decided on people kept out of
the teaching; a linear reader is then taught anew on all. Embeddings are long and people are few, so rows are
first standardised and turned to principal components (256 at most) of the rows that teach. Plus what needs
no reader: equal error rates, and the Hilbert-Schmidt independence criterion (HSIC) with a permutation test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

Kind = Literal["linear", "mlp"]
KINDS: tuple[Kind, ...] = ("linear", "mlp")
COMPONENTS = 256
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of the readers' weights; rows have unit variance on average
ROUNDS = 3  # times that other people are kept out, to choose the penalty of a ridge
# The network is small and much is dropped: rows are many numbers of few people.
HIDDEN, DROP_IN, DROP, RATE, DECAY = 96, 0.3, 0.5, 2e-3, 0.3
STEPS, CHECK, PATIENCE = 200, 10, 4  # at most, between checks, checks without gain


@dataclass(frozen=True)
class Components:
    """Standardised principal components: (x - mean) / scale @ axes."""

    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]
    axes: Float[Tensor, "d k"]

    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        """Turn embeddings to components."""
        return ((x - self.mean) / self.scale) @ self.axes


def fit_components(x: Float[Tensor, "n d"], *, most: int = COMPONENTS) -> Components:
    """Find the strongest directions of standardised rows, at most `most`; their mean variance becomes 1.

    Directions keep their relative strength: whitening would raise the noise in the weak ones.
    """
    mean, scale = x.mean(0), x.std(0).clamp(min=1e-6)
    _, strength, axes = _thin_svd((x - mean) / scale)
    axes, strength = axes[:, :most], strength[:most]
    spread = (strength.pow(2).mean() / len(x)).sqrt().clamp(min=1e-12)
    return Components(mean, scale, axes / spread)


def _thin_svd(z: Float[Tensor, "n d"]) -> tuple[Tensor, Tensor, Tensor]:
    """Return left vectors (n, k), strengths (k,), axes (d, k), by the smaller of the two Gram matrices."""
    z = z.double()
    wide = z.shape[1] > len(z)
    squares, vectors = torch.linalg.eigh(z @ z.T if wide else z.T @ z)
    strength = squares.flip(0).clamp(min=0).sqrt()
    found = strength > 1e-6 * strength[0].clamp(min=1e-12)
    found[0] = True  # rows that are all alike have one direction, along which nothing differs
    strength, vectors = strength[found].clamp(min=1e-12), vectors.flip(1)[:, found]
    other = (z.T if wide else z) @ vectors / strength
    left, axes = (vectors, other) if wide else (other, vectors)
    return left.float(), strength.float(), axes.float()


def span(x: Float[Tensor, "n d"]) -> Float[Tensor, "d k"]:
    """Return orthonormal axes of all directions in which rows differ."""
    return _thin_svd(x - x.mean(0))[2]


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


def _keep_some_out(groups: Int[np.ndarray, " n"], seed: int) -> Bool[np.ndarray, " n"]:
    names = np.unique(groups)
    out = np.random.default_rng(seed).permutation(names)[: max(1, len(names) // 4)]
    return np.isin(groups, out)


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
    names, target = np.unique(labels, return_inverse=True)
    wanted = torch.from_numpy(target)
    score = _read(taught, wanted, asked, groups=groups, kind=kind, seed=seed, outputs=len(names))
    return names[score.argmax(1).numpy()]


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
    mean, spread = values.mean(0), max(float(values.std()), 1e-6)  # one scale, so that small ones stay small
    wanted = torch.from_numpy((values - mean) / spread).float()
    told = _read(taught, wanted, asked, groups=groups, kind=kind, seed=seed, outputs=values.shape[1])
    return told.numpy() * spread + mean


def _read(taught, wanted, asked, *, groups, kind: Kind, seed: int, outputs: int) -> Tensor:
    if kind == "mlp":
        out = torch.from_numpy(_keep_some_out(groups, seed))
        network = _teach_network(taught[~out], wanted[~out], taught[out], wanted[out], outputs, seed)
        return network(asked)
    teach, rounds = (_teach_logistic, 1) if wanted.ndim == 1 else (_teach_ridge, ROUNDS)
    errors = np.zeros(len(PENALTIES))
    for turn in range(rounds):
        out = torch.from_numpy(_keep_some_out(groups, seed + turn))
        readers = teach(taught[~out], wanted[~out], outputs, PENALTIES)
        errors += [float(_error(wanted)(_apply(reader, taught[out]), wanted[out])) for reader in readers]
    best = PENALTIES[int(errors.argmin())]
    return _apply(teach(taught, wanted, outputs, (best,))[0], asked)


def _error(wanted: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    return cross_entropy if wanted.ndim == 1 else mse_loss


def _apply(reader: tuple[Tensor, Tensor], x: Tensor) -> Tensor:
    weight, bias = reader
    return x @ weight + bias


def _teach_ridge(x: Tensor, wanted: Tensor, _outputs: int, penalties) -> list[tuple[Tensor, Tensor]]:
    mean, bias = x.mean(0), wanted.mean(0)
    left, strength, axes = _thin_svd(x - mean)
    told = left.T @ (wanted - bias)
    readers = []
    for penalty in penalties:
        shrunk = strength / (strength.pow(2) + penalty * len(x))
        weight = axes @ (shrunk[:, None] * told)
        readers.append((weight, bias - mean @ weight))
    return readers


def _teach_logistic(x: Tensor, wanted: Tensor, outputs: int, penalties) -> list[tuple[Tensor, Tensor]]:
    readers = []
    weight, bias = torch.zeros(x.shape[1], outputs), torch.zeros(outputs)
    for penalty in sorted(penalties, reverse=True):  # the strongest first: each starts where the last ended
        weight, bias = _minimise(x, wanted, weight, bias, penalty / outputs)
        readers.append((weight, bias))
    return readers[::-1]


@torch.enable_grad()
def _minimise(x, wanted, weight, bias, penalty: float) -> tuple[Tensor, Tensor]:
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    search = {"max_iter": 60, "tolerance_change": 1e-6, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([weight, bias], **search)

    def closure():
        optimizer.zero_grad()
        loss = cross_entropy(x @ weight + bias, wanted) + penalty * weight.pow(2).sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach()


@torch.enable_grad()
def _teach_network(x, wanted, kept_out, truth, outputs: int, seed: int) -> Callable[[Tensor], Tensor]:
    error, best, since = _error(wanted), (np.inf, {}), 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _create_network(x.shape[1], outputs)
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        for step in range(STEPS + 1):
            if step % CHECK == 0:  # the first check is of what knows nothing yet
                now = float(error(_quietly(network)(kept_out), truth))
                since = 0 if now < best[0] else since + 1
                if now < best[0]:
                    best = (now, {k: v.clone() for k, v in network.state_dict().items()})
                if since >= PATIENCE:
                    break
            optimizer.zero_grad()
            error(network(x), wanted).backward()
            optimizer.step()
    network.load_state_dict(best[1])
    return _quietly(network)


def _create_network(inputs: int, outputs: int) -> nn.Sequential:
    last = nn.Linear(HIDDEN, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Dropout(DROP_IN), nn.Linear(inputs, HIDDEN), nn.GELU(), nn.Dropout(DROP), last)


def _quietly(network: nn.Module) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        network.eval()
        with torch.no_grad():
            told = network(x)
        network.train()
        return told

    return apply


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
    weights = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    scores, own = scores[order], (weights * same)[order]
    strange = (weights * ~same)[order]
    if not own.sum() or not strange.sum():
        return float("nan")
    last = np.append(scores[1:] != scores[:-1], True)  # equal scores are accepted together
    accepted = np.append(0.0, np.cumsum(strange)[last] / strange.sum())
    refused = 1 - np.append(0.0, np.cumsum(own)[last] / own.sum())
    k = int(np.argmax(accepted >= refused))  # the curves cross between k - 1 and k
    gap, before = accepted[k] - refused[k], refused[k - 1] - accepted[k - 1]
    share = before / max(before + gap, 1e-12)
    return float(accepted[k - 1] + share * (accepted[k] - accepted[k - 1]))


def cosines(x: Float[Tensor, "n d"], mean: Float[Tensor, " d"]) -> Float[np.ndarray, "n n"]:
    """Return how alike rows are once what all share (`mean`) is taken off."""
    unit = torch.nn.functional.normalize(x - mean, dim=1)
    return (unit @ unit.T).numpy()


def gaussian_kernel(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Return a Gaussian kernel as wide as the median distance between rows."""
    rows = torch.from_numpy(np.asarray(x, np.float32))
    distance = torch.cdist(rows, rows).pow(2).double().numpy()
    between = distance[np.triu_indices(len(distance), 1)]
    return np.exp(-distance / max(float(np.median(between)), 1e-12))


def label_kernel(labels: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """Return 1 where two rows have the same label, else 0."""
    return (labels[:, None] == labels[None]).astype(np.float64)


def hsic_test(
    k: Float[np.ndarray, "n n"],
    m: Float[np.ndarray, "n n"],
    *,
    blocks: Int[np.ndarray, " n"],
    permutations: int = 500,
    seed: int = 0,
) -> tuple[float, float]:
    """Tell whether two kernels over the same rows depend on each other.

    HSIC is tr(KHMH) / (n - 1)^2; returned is its normalised form (CKA, 0 to 1) and the p-value of a
    permutation test that exchanges rows of `m` within `blocks` only, so that what a block as a whole explains
    does not count (blocks of persons: does the embedding change *with the action of one person*?).
    """
    rng = np.random.default_rng(seed)
    k, m = _centred(k), _centred(m)
    found, places = float((k * m).sum()), np.arange(len(k))
    members = [np.flatnonzero(blocks == name) for name in np.unique(blocks)]
    reached = 1
    for _ in range(permutations):
        order = places.copy()
        for rows in members:
            order[rows] = rng.permutation(rows)
        reached += float((k * m[np.ix_(order, order)]).sum()) >= found - 1e-12
    return found / max(float(np.linalg.norm(k) * np.linalg.norm(m)), 1e-12), reached / (permutations + 1)


def _centred(k: np.ndarray) -> np.ndarray:
    return k - k.mean(0) - k.mean(1, keepdims=True) + k.mean()
