"""Known answers: planted signals are read, noise is not, and people never stand on both sides."""

import numpy as np
import pytest
import torch

from iad.decoupling import gaussian_kernel
from iad.evaluation import probes
from iad.evaluation.intervals import equal_error_rate

PEOPLE, ACTIONS, WIDTH = 24, 8, 600


@pytest.fixture(scope="module")
def planted():
    """Rows of noise, longer than there are rows, that hold the person and the action in a few directions."""
    rng = np.random.default_rng(0)
    person, action = (x.ravel() for x in np.mgrid[:PEOPLE, :ACTIONS])
    who, what = rng.normal(size=(PEOPLE, WIDTH)), rng.normal(size=(ACTIONS, WIDTH))
    noise = rng.normal(size=(len(person), WIDTH))
    with_action = torch.from_numpy(who[person] + what[action] + 0.5 * noise).float()
    without = torch.from_numpy(who[person] + 0.5 * noise).float()
    return person, action, with_action, without


def read_action(rows, person, action, kind, *, seed=0):
    taught, asked = probes.halve(person, seed=seed)
    components = probes.fit_components(rows[taught])
    read = {"groups": person[taught], "kind": kind, "seed": seed}
    told = probes.teach_and_ask(components(rows[taught]), action[taught], components(rows[asked]), **read)
    return float((told == action[asked]).mean())


@pytest.mark.parametrize("kind", probes.KINDS)
def test_a_planted_action_is_read_and_one_that_is_not_there_is_not(planted, kind):
    person, action, with_action, without = planted
    assert read_action(with_action, person, action, kind) > 0.9
    chances = [read_action(without, person, action, kind, seed=s) for s in range(3)]
    assert abs(np.mean(chances) - 1 / ACTIONS) < 0.08


@pytest.mark.parametrize("kind", probes.KINDS)
def test_planted_numbers_are_read_and_noise_is_not(kind):
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(40), 6)
    x = torch.from_numpy(rng.normal(size=(240, 20))).float()
    values = (x[:, :2].numpy() * [3.0, 0.5] + [10, 0]).astype(np.float32)
    taught, asked = probes.halve(person, seed=0)
    least = {"linear": 0.9, "mlp": 0.7}[kind]
    for truth, low, high in ((values, least, 1.0), (rng.permutation(values), -0.2, 0.1)):
        told = probes.teach_and_ask(x[taught], truth[taught], x[asked], groups=person[taught], kind=kind)
        error = ((told - truth[asked]) ** 2).sum() / ((truth[asked] - truth[taught].mean(0)) ** 2).sum()
        assert low < 1 - error <= high


def test_halves_share_no_person_and_hold_everybody():
    person = np.repeat(np.arange(9), 5)
    for seed in range(5):
        first, second = probes.halve(person, seed=seed)
        assert not set(person[first]) & set(person[second])
        assert (first ^ second).all()
        assert len(set(person[first])) == 4
    with pytest.raises(ValueError, match="at least 4 people"):
        probes.halve(np.array([0, 1, 2]), seed=0)


def test_no_person_is_on_both_sides_when_the_strength_is_chosen(planted, monkeypatch):
    from sklearn.model_selection import GroupShuffleSplit

    person, action, rows, _ = planted
    seen, split = [], GroupShuffleSplit.split

    def watch(self, x, y=None, groups=None):
        for teach, judge in split(self, x, y, groups):
            seen.append((set(groups[teach]), set(groups[judge])))
            yield teach, judge

    monkeypatch.setattr(GroupShuffleSplit, "split", watch)
    read_action(rows, person, action, "linear")
    assert seen and all(one and other and not one & other for one, other in seen)


def test_components_are_those_of_the_rows_that_teach(planted):
    rows = planted[2]
    components = probes.fit_components(rows[:50], most=10)
    turned = components(rows[:50])
    assert turned.shape == (50, 10)
    assert torch.allclose(turned.mean(0), torch.zeros(10), atol=1e-4)
    assert abs(float(turned.var(0).mean()) - 1) < 1e-3
    off = turned.T @ turned / 50
    assert float((off - torch.diag(off.diag())).abs().max()) < 1e-3
    assert float(off.diag()[0]) > float(off.diag()[-1])


def test_equal_error_rate_of_known_scores():
    same = np.array([True] * 4 + [False] * 4)
    assert equal_error_rate(np.array([9, 8, 7, 6, 5, 4, 3, 2.0]), same) == 0
    assert equal_error_rate(np.array([2, 3, 4, 5, 6, 7, 8, 9.0]), same) == 1
    assert equal_error_rate(np.array([9, 8, 7, 1, 6, 5, 4, 8.5]), same) == pytest.approx(0.25)
    assert equal_error_rate(np.ones(8), same) == pytest.approx(0.5)
    # a pair that counts thrice is three pairs
    scores, weights = np.array([9, 6, 3, 7, 1.0]), np.array([1.0, 1, 1, 3, 1])
    same = np.array([True, True, True, False, False])
    thrice = np.array([9, 6, 3, 7, 7, 7, 1.0]), np.array([True] * 3 + [False] * 4)
    assert equal_error_rate(scores, same, weights) == pytest.approx(equal_error_rate(*thrice))
    assert equal_error_rate(scores, same, weights) > equal_error_rate(scores, same)
    assert np.isnan(equal_error_rate(scores, np.ones(5, bool)))


def test_equal_error_rate_of_two_overlapping_bells_is_what_the_normal_law_says():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.normal(2, 1, 20000), rng.normal(0, 1, 20000)])
    assert equal_error_rate(scores, np.arange(40000) < 20000) == pytest.approx(0.1587, abs=0.005)


def kernel(*columns):
    return gaussian_kernel(torch.from_numpy(np.hstack(columns)))


def test_hsic_is_sure_of_dependence_and_unsure_of_independence():
    rng = np.random.default_rng(2)
    everyone = np.zeros(40, int)
    x = rng.normal(size=(40, 3))
    together = kernel(x)
    found, p = probes.hsic_test(together, kernel(x[:, :1] ** 2), blocks=everyone, permutations=200)
    assert p < 0.02 < 0.1 < found
    values = [
        probes.hsic_test(together, kernel(x), blocks=everyone, permutations=99, seed=seed)
        for seed, x in enumerate(rng.normal(size=(40, 40, 2)))
    ]
    found, ps = np.array(values).T
    assert 0.35 < np.mean(ps) < 0.65
    assert np.mean(ps < 0.1) < 0.25
    assert abs(found.mean()) < 3 * found.std() / 40**0.5


def test_hsic_within_persons_overlooks_what_only_the_person_explains():
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(10), 6)
    who = rng.normal(size=10)[person, None]
    mood = rng.normal(size=(60, 1))
    everyone = np.zeros(60, int)
    k, m = (kernel(who + 0.1 * rng.normal(size=(60, 1))) for _ in range(2))
    assert probes.hsic_test(k, m, blocks=everyone, permutations=200)[1] < 0.02
    assert probes.hsic_test(k, m, blocks=person, permutations=200)[1] > 0.05
    k, m = (kernel(who, mood + 0.1 * rng.normal(size=(60, 1))) for _ in range(2))
    assert probes.hsic_test(k, m, blocks=person, permutations=200)[1] < 0.02


def test_normalised_leakage():
    assert probes.normalised_leakage(0.3, chance=0.1, raw=0.5) == pytest.approx(0.5)
    assert probes.normalised_leakage(0.1, chance=0.1, raw=0.5) == 0
    assert probes.normalised_leakage(0.05, chance=0.1, raw=0.5) < 0
    assert probes.normalised_leakage(0.3, chance=0.1, raw=0.1) is None
