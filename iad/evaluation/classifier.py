"""Which action a clip shows: multinomial logistic regression on summaries of tracks, by scikit-learn."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

PENALTY = 0.01  # on the squared weights, a sample; features are standardised


def teach_classifier(
    features: Float[np.ndarray, "n d"], labels: Sequence[str], *, penalty: float = PENALTY
) -> Any:
    """Fit to standardised features; `predict` of what is returned names the likeliest action of every row."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reader = LogisticRegression(C=1 / (penalty * len(labels)), max_iter=300)
    return make_pipeline(StandardScaler(), reader).fit(features, np.array(labels))
