"""How sure a number is: percentile bootstrap intervals, drawn over people.

Clips of one person resemble each other, so people are what is drawn with replacement, not clips.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

RESAMPLES = 2000
_TAILS = (2.5, 97.5)  # percent


def interval(
    values: Sequence[float] | np.ndarray,
    *,
    groups: Sequence | np.ndarray | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[float, float, float]:
    """Return the mean and the ends of its 95 % bootstrap interval; NaN values are left out.

    Args:
        values: One number a clip.
        groups: Whom each value belongs to; people are then drawn with all their values. None draws values.
        seed: Same seed, same interval.
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
    drawn = draw_people(len(sums), seed=seed, resamples=resamples)
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, _TAILS)
    return float(sums.sum() / counts.sum()), float(low), float(high)


def by_person(
    statistic: Callable[[Int[np.ndarray, " n"]], float], people: int, *, seed: int = 0, resamples: int = 500
) -> tuple[float, float, float]:
    """Return a statistic of all people and the ends of its 95 % bootstrap interval.

    Args:
        statistic: Takes numbers of people, some of them more than once, and gives the number of interest.
        people: How many there are.
        seed: Same seed, same interval.
        resamples: How many times people are drawn.
    """
    drawn = draw_people(people, seed=seed, resamples=resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.array([statistic(numbers) for numbers in drawn], np.float64)
        value = float(statistic(np.arange(people)))
    if not np.isfinite(values).any():
        return value, np.nan, np.nan
    low, high = np.nanpercentile(values, _TAILS)
    return value, float(low), float(high)


def draw_people(people: int, *, seed: int, resamples: int) -> Int[np.ndarray, "resamples people"]:
    """Draw that many people with replacement, `resamples` times."""
    return np.random.default_rng(seed).integers(people, size=(resamples, people))
