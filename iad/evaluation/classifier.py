"""Which action a clip shows: multinomial logistic regression on summaries of tracks, by scipy alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

PENALTY = 0.01  # on the squared weights, a sample; features are standardised


@dataclass(frozen=True)
class ActionClassifier:
    """A linear classifier of standardised features; `names` are its classes."""

    names: tuple[str, ...]
    mean: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    weights: Float[np.ndarray, "d k"]
    bias: Float[np.ndarray, " k"]

    def predict(self, features: Float[np.ndarray, "n d"]) -> list[str]:
        """Name the likeliest action of every row."""
        logits = (features - self.mean) / self.scale @ self.weights + self.bias
        return [self.names[k] for k in logits.argmax(1)]


def teach_classifier(
    features: Float[np.ndarray, "n d"], labels: Sequence[str], *, penalty: float = PENALTY
) -> ActionClassifier:
    """Fit by L-BFGS from zero, so the same lessons teach the same classifier."""
    names = tuple(dict.fromkeys(labels))
    target = np.eye(len(names))[[names.index(label) for label in labels]]
    mean, scale = features.mean(0), features.std(0) + 1e-3
    x = (features - mean) / scale
    n, d = x.shape

    def loss(flat):
        weights, bias = flat[: d * len(names)].reshape(d, -1), flat[d * len(names) :]
        logits = x @ weights + bias
        error = (softmax(logits, axis=1) - target) / n
        value = -(target * log_softmax(logits, axis=1)).sum() / n + penalty / 2 * (weights**2).sum()
        return value, np.concatenate([(x.T @ error + penalty * weights).ravel(), error.sum(0)])

    start = np.zeros((d + 1) * len(names))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300}).x
    weights, bias = found[: d * len(names)].reshape(d, -1), found[d * len(names) :]
    return ActionClassifier(names, mean, scale, weights, bias)
