"""How sure a number is: percentile bootstrap intervals, drawn over people.

Clips of one person resemble each other, so people are what is drawn with replacement, not clips. In come
measures or embeddings, and whom they belong to; out come (value, low, high): means, correlations, slopes,
verification figures. scipy's bootstrap draws rows, not people with all their rows, and no paired people.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

Estimate = tuple[float, float, float]  # value, and the ends of its interval
RESAMPLES = 2000
FEW = 300  # of what is slower to compute
_TAILS = (2.5, 97.5)  # percent


def interval(
    values: Sequence[bool | float] | np.ndarray,
    *,
    groups: Sequence | np.ndarray | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Return the mean and the ends of its 95 % bootstrap interval; NaN values are left out.

    Args:
        values: One number a clip.
        groups: Whom each value belongs to; people are then drawn with all their values. None draws values.
        resamples: How many times people are drawn.
    """
    values = np.asarray(values, np.float64)
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if groups.shape != values.shape:
        raise ValueError(f"{len(values)} values have {len(groups)} groups; give one group for each value.")
    known = np.isfinite(values)
    if not known.any():
        return (np.nan,) * 3
    _, members = np.unique(groups[known], return_inverse=True)
    sums, counts = np.bincount(members, values[known]), np.bincount(members)
    drawn = draw_people(len(sums), resamples)
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, _TAILS)
    return float(sums.sum() / counts.sum()), float(low), float(high)


def by_person(
    statistic: Callable[[Int[np.ndarray, " n"]], float], people: int, *, resamples: int = 500
) -> Estimate:
    """Return a statistic of all people and the ends of its 95 % bootstrap interval.

    Args:
        statistic: Takes numbers of people, some of them more than once, and gives the number of interest.
        people: How many there are.
        resamples: How many times people are drawn.
    """
    drawn = draw_people(people, resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.array([statistic(numbers) for numbers in drawn], np.float64)
        value = float(statistic(np.arange(people)))
    if not np.isfinite(values).any():
        return value, np.nan, np.nan
    low, high = np.nanpercentile(values, _TAILS)
    return value, float(low), float(high)


def as_entry(estimate: Estimate) -> dict[str, float]:
    """Name the three numbers, as reports hold them."""
    return dict(zip(("value", "low", "high"), estimate, strict=True))


def draw_people(people: int, resamples: int) -> Int[np.ndarray, "resamples people"]:
    """Draw that many people with replacement, `resamples` times: always the same."""
    return np.random.default_rng(0).integers(people, size=(resamples, people))


def correlate(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> Estimate:
    """Pearson's r over photos; pairs with NaN are left out."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < 3:
        return (np.nan,) * 3
    return by_person(lambda drawn: _pearson(x[drawn], y[drawn]), len(x), resamples=FEW)


def follow(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, Estimate]:
    """Say how clips follow their drivers within each clip: r, and the slope (1 is the driver's amplitude).

    Args:
        pairs: driver's and clip's measure over time, (f,) each; means of a clip are taken off first.
    """
    centred = []
    for driver, clip in pairs:
        known = np.isfinite(driver) & np.isfinite(clip)
        if known.sum() >= 4:
            centred.append((driver[known] - driver[known].mean(), clip[known] - clip[known].mean()))
    if not centred:
        return {"r": (np.nan,) * 3, "slope": (np.nan,) * 3}
    sums = np.array([[d @ d, d @ c, c @ c] for d, c in centred])

    def r(drawn: Int[np.ndarray, " n"]) -> float:
        dd, dc, cc = sums[drawn].sum(0)
        return float(dc / np.sqrt(dd * cc)) if dd * cc > 0 else 0.0

    def slope(drawn: Int[np.ndarray, " n"]) -> float:
        dd, dc, _ = sums[drawn].sum(0)
        return float(dc / dd) if dd > 0 else 0.0

    return {name: by_person(f, len(sums), resamples=FEW) for name, f in (("r", r), ("slope", slope))}


def verify(
    rows: Float[np.ndarray, "n d"],
    group: Int[np.ndarray, " n"],
    *,
    people: Int[np.ndarray, " n"] | None = None,
    among: Bool[np.ndarray, "n n"] | None = None,
) -> dict[str, Estimate | int]:
    """Tell pairs of one group from pairs of two by cosine: area under the curve and equal error rate.

    Args:
        rows: embeddings.
        group: what "same" means: usually who is shown.
        people: who is shown, for the interval; None takes the groups.
        among: pairs that count; None takes all.
    """
    from sklearn.metrics import roc_auc_score

    people = group if people is None else people
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    one, other = np.triu_indices(len(rows), 1)
    kept = np.ones(len(one), bool) if among is None else among[one, other]
    one, other = one[kept], other[kept]
    alike, same = (unit[one] * unit[other]).sum(1), group[one] == group[other]
    names, who = np.unique(people, return_inverse=True)

    def rates(drawn: Int[np.ndarray, " n"]) -> tuple[float, float]:
        times = np.bincount(drawn, minlength=len(names)).astype(float)
        # A pair of one person is drawn as often as the person, a pair of two as often as both.
        weight = np.where(who[one] == who[other], times[who[one]], times[who[one]] * times[who[other]])
        rate = equal_error_rate(alike, same, weight)
        if np.isnan(rate):
            return np.nan, np.nan
        return float(roc_auc_score(same, alike, sample_weight=weight)), rate

    counts = {"same": int(same.sum()), "different": int((~same).sum())}
    if not all(counts.values()):
        return {"auc": (np.nan,) * 3, "eer": (np.nan,) * 3} | counts
    value = rates(np.arange(len(names)))
    drawn = np.array([rates(d) for d in draw_people(len(names), 100)])
    ends = np.nanpercentile(drawn, _TAILS, axis=0)
    return {name: (value[k], *ends[:, k].tolist()) for k, name in enumerate(("auc", "eer"))} | counts


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


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else 0.0
