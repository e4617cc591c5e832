"""The split is what it says, and every loss term pulls where its name says."""

import pytest
import torch

from iad import decoupling as idea
from iad.config import PRESETS, TRACK
from iad.models.closed_form import fit_closed_form, fit_erasure, fit_explained
from iad.performing import TextAction, frame_times

TINY = PRESETS["tiny"]


@pytest.fixture
def split():
    torch.manual_seed(0)
    decoupler = idea.Decoupler(TINY)
    encoder = TINY.encoder
    return decoupler(torch.randn(5, encoder.global_dim + TRACK), torch.randn(5, 64, encoder.token_dim))


def test_split_is_additive_and_shares_sum_to_one(split):
    assert torch.allclose(split.facial, split.identity + split.action + split.residual, atol=1e-6)
    identity, action, residual = split.shares()
    assert torch.allclose(identity + action + residual, torch.ones(5))
    assert (action > 0).all()


def test_the_action_is_exactly_what_the_code_says():
    torch.manual_seed(0)
    decoupler = idea.Decoupler(TINY)
    for buffer in (decoupler.erase_from, decoupler.erase_to):
        torch.nn.init.normal_(buffer)
    facial = torch.randn(5, TINY.decoupler.queries, TINY.decoupler.dim)
    code = torch.randn(5, TINY.decoupler.code_dim)
    own, given = decoupler.split(facial), decoupler.split(facial, code)
    assert torch.equal(own.action, decoupler.expand(own.code)) and own.residual.abs().max() > 1
    assert torch.equal(given.code, code) and torch.equal(given.action, decoupler.expand(code))
    assert torch.allclose(given.facial, given.identity + given.action + given.residual, atol=1e-4)
    assert torch.equal(given.identity, own.identity)  # as in training, whoever says the code


def test_a_centred_split_still_adds_up():
    torch.manual_seed(0)
    decoupler = idea.Decoupler(TINY)
    for buffer in (decoupler.mean_identity, decoupler.mean_action, decoupler.erase_from, decoupler.erase_to):
        torch.nn.init.normal_(buffer)
    split = decoupler.split(torch.randn(5, TINY.decoupler.queries, TINY.decoupler.dim))
    centred = decoupler.centre(split)
    assert torch.allclose(centred.facial, centred.identity + centred.action + centred.residual, atol=1e-4)
    assert torch.equal(centred.residual, split.residual)  # the average face has none
    mean = decoupler.mean_identity + decoupler.mean_action
    assert torch.allclose(split.facial - centred.facial, mean.expand(5, -1, -1), atol=1e-4)


def test_pythagoras_holds_where_the_parts_are_orthogonal():
    form = fit_closed_form(torch.randn(40, 12), torch.arange(40) % 8, rank=3)
    x = torch.randn(7, 12)
    identity, action = form.split(x)
    squares = identity.pow(2).sum(1) + action.pow(2).sum(1)
    assert torch.allclose(squares, (x - form.mean).pow(2).sum(1), atol=1e-4)
    assert idea.orthogonality(identity[:, None], action[:, None]) < 1e-8


def test_closed_form_finds_the_action_subspace():
    torch.manual_seed(0)
    people, faces = torch.randn(20, 10), torch.randn(20, 6, 2) * 3
    people[:, :2] = 0  # persons differ in eight directions, actions in the first two
    embedding = people[:, None].repeat(1, 6, 1)
    embedding[..., :2] += faces
    form = fit_closed_form(embedding.flatten(0, 1), torch.arange(20).repeat_interleave(6), rank=2)
    identity, _ = form.split(embedding.flatten(0, 1))
    assert identity[:, :2].abs().max() < 1e-4
    assert idea.invariance(identity[::6, None], identity[1::6, None]) < 1e-5


def test_closed_form_says_what_it_lacks():
    with pytest.raises(ValueError, match="at least two"):
        fit_closed_form(torch.randn(4, 8), torch.arange(4), rank=2)
    with pytest.raises(ValueError, match="rank is 8"):
        fit_closed_form(torch.randn(4, 8), torch.zeros(4, dtype=torch.long), rank=8)


def test_orthogonality_is_zero_only_when_orthogonal():
    x = torch.eye(4)[None, :2]
    y = torch.eye(4)[None, 2:]
    assert idea.orthogonality(x, y) < 1e-8
    assert idea.orthogonality(x, x) > 1.9


def test_retention_rewards_telling_persons_apart_and_ignores_copies():
    x = torch.eye(6)[:, None]
    person = torch.arange(6)
    right, wrong = idea.retention(x, x, person), idea.retention(x, x.roll(1, 0), person)
    assert right < 0.01 < 5 < wrong
    copies = torch.tensor([0, 0, 2, 3, 4, 5])  # rows 0 and 1 are copies: confusing them costs nothing
    confused = x.clone()
    confused[1] = x[0]
    assert idea.retention(confused, confused, copies) < 0.01 < idea.retention(confused, confused, person)


def draw_codes(kind, people=8, *, seed=0):
    """Give codes of each person in two clips, which are drawn apart from each other."""
    torch.manual_seed(seed)
    actions, light = torch.randn(12, 6), 0.1 * torch.randn(2, people, 6)
    which = torch.randint(12, (2, people))
    if kind == "everybody in every action":
        which = (torch.arange(people) + torch.tensor([[0], [5]])) % people
    who = torch.randn(people, 6)
    told = {"tells": who[None].repeat(2, 1, 1), "opposite": torch.stack([who, -who])}
    return told[kind] + light if kind in told else actions[which] + light


def mean_independence(kind, draws=300):
    values = torch.stack([idea.independence(*draw_codes(kind, seed=seed)) for seed in range(draws)])
    return float(values.mean()), float(values.std() / draws**0.5)


@pytest.mark.parametrize("kind", ["free", "everybody in every action"])
def test_codes_that_tell_no_person_cost_nothing_on_average(kind):
    value, error = mean_independence(kind)
    assert abs(value) < 3 * error < 0.08


def test_codes_that_tell_the_person_cost_and_opposite_ones_no_less():
    assert mean_independence("tells", 40)[0] > 0.9
    assert mean_independence("opposite", 40)[0] > 0.9


def test_labels_of_persons_would_reward_opposite_codes():
    """Why independence compares clips: the usual statistic, codes against labels, falls below zero here."""
    code, person = draw_codes("opposite").flatten(0, 1), torch.arange(8).repeat(2)
    labels = (person[:, None] == person[None]).float()
    assert idea.hsic(idea.gaussian_kernel(code), labels) < -0.1


def test_independence_pulls_the_person_out_of_codes():
    codes = draw_codes("tells").requires_grad_()
    before = idea.independence(*codes)
    (slope,) = torch.autograd.grad(before, codes)
    assert idea.independence(*(codes - slope / slope.norm())) < before
    assert idea.independence(torch.randn(3, 6), torch.randn(3, 6)) == 0


def test_hsic_is_the_textbooks_sum_and_needs_four_rows():
    torch.manual_seed(0)
    x, y = torch.randn(2, 7, 3).double()
    k, m = (idea.gaussian_kernel(rows).fill_diagonal_(0) for rows in (x, y))
    n, one = 7, torch.ones(7).double()

    def song(k, m):
        crossed = one @ k @ m @ one * 2 / (n - 2)
        return (torch.trace(k @ m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - crossed) / (n * (n - 3))

    torch.testing.assert_close(idea.hsic(k, m), song(k, m) / (song(k, k) * song(m, m)).sqrt())
    torch.testing.assert_close(idea.hsic(k, k), torch.ones(()).double())
    with pytest.raises(ValueError, match="4 rows or more, got 3"):
        idea.hsic(k[:3, :3], m[:3, :3])


def test_hsic_is_blind_to_scale_and_averages_to_zero_at_few_rows():
    torch.manual_seed(0)
    x = torch.randn(9, 4)
    torch.testing.assert_close(idea.gaussian_kernel(100 * x), idea.gaussian_kernel(x))
    values = torch.stack([
        idea.hsic(*(idea.gaussian_kernel(rows) for rows in torch.randn(2, 6, 3))) for _ in range(500)
    ])
    assert abs(values.mean()) < 3 * values.std() / 500**0.5


def test_relative_error_does_not_pay_for_shrinking():
    torch.manual_seed(0)
    x, y = torch.randn(64, 5), torch.randn(64, 5)
    assert torch.allclose(idea.relative_error(x, y), idea.relative_error(x * 0.1, y * 0.1), rtol=0.05)


def test_swap_is_zero_for_a_true_recombination():
    torch.manual_seed(0)
    person, face = torch.randn(6, 2, 4), torch.randn(6, 2, 4)
    assert idea.swap(person, face, person + face) < 1e-6
    assert idea.swap(person.roll(1, 0), face, person + face) > 0.3


def test_text_contrast_knows_order_and_shares_positives():
    torch.manual_seed(0)
    nod = torch.randn(1, 4, 8)
    down = nod.flip(1)  # the same frames in another order
    codes = torch.cat([nod, down])
    same = torch.eye(2, dtype=torch.bool)
    right, wrong = idea.text_contrast(codes, codes, same), idea.text_contrast(codes, codes.flip(0), same)
    assert right < wrong
    twins = torch.cat([nod, nod])
    shared = idea.text_contrast(twins, twins, torch.ones(2, 2, dtype=torch.bool))
    assert torch.allclose(shared, torch.log(torch.tensor(2.0)))  # two positives, equally likely


def test_frame_times_place_frames_in_their_segments():
    segment, times = frame_times([(0.0, 1.0), (1.0, 2.0)], frames=8, duration=2.0)
    assert segment.tolist() == [0] * 4 + [1] * 4
    assert torch.allclose(times[4], torch.tensor([0.125, 1.0, 0.125, 1.125]))


def test_text_action_hears_only_the_segment_of_each_frame():
    torch.manual_seed(0)
    network = TextAction(TINY).eval()
    network.mixes = torch.nn.ModuleList([_Silent()])  # leave out what the frames tell each other
    states, mask = torch.randn(1, 2, 5, TINY.text.state_dim), torch.ones(1, 2, 5, dtype=torch.bool)
    segment, times = frame_times([(0.0, 1.0), (1.0, 2.0)], frames=8, duration=2.0)
    before = network(states, mask, segment[None], times[None])
    states[0, 1] = torch.randn(5, TINY.text.state_dim)
    after = network(states, mask, segment[None], times[None])
    assert torch.equal(before[0, :4], after[0, :4])
    assert not torch.allclose(before[0, 4:], after[0, 4:])


class _Silent(torch.nn.Module):
    def forward(self, x, context):
        return torch.zeros_like(x)


def test_erasure_takes_what_changes_within_a_person_and_little_else():
    torch.manual_seed(0)
    people, faces = torch.randn(60, 12) * 2, torch.randn(60, 6, 12) * 0.05
    faces[..., 3:5] += torch.randn(60, 6, 2) * 3  # the action moves two directions
    embedding = (people[:, None] + faces).flatten(0, 1)
    person = torch.arange(60).repeat_interleave(6)
    first, second = fit_erasure(embedding, person, 2)
    centred = embedding - embedding.mean(0)
    left = (centred - centred @ first @ second).unflatten(0, (60, 6))
    assert left.std(1)[:, 3:5].max() < 0.1 * centred.unflatten(0, (60, 6)).std(1)[:, 3:5].mean()
    others = [k for k in range(12) if k not in (3, 4)]
    assert torch.allclose(left[..., others], centred.unflatten(0, (60, 6))[..., others], atol=0.6)
    assert torch.allclose(left.flatten(0, 1) @ first, torch.zeros(360, 2), atol=1e-3)


def test_an_erased_split_still_adds_up_and_keeps_the_average_identity():
    torch.manual_seed(0)
    decoupler = idea.Decoupler(TINY)
    encoder = TINY.encoder
    given = torch.randn(40, encoder.global_dim + TRACK), torch.randn(40, 64, encoder.token_dim)
    before = decoupler(*given)
    decoupler.mean_identity.copy_(before.identity.mean(0))
    found = fit_erasure(before.identity.flatten(1), torch.arange(20).repeat_interleave(2), 4)
    for buffer, value in zip((decoupler.erase_from, decoupler.erase_to), found, strict=True):
        buffer.copy_(value)
    after = decoupler(*given)
    assert torch.allclose(after.facial, after.identity + after.action + after.residual, atol=1e-5)
    assert torch.equal(after.action, before.action)  # what is erased is no action
    assert torch.allclose(after.identity.mean(0), before.identity.mean(0), atol=1e-4)
    moved = (after.identity - before.identity).flatten(1)
    assert torch.linalg.matrix_rank(moved - moved.mean(0), tol=1e-3) == 4


def test_erasure_with_too_few_faces_leaves_the_rest_empty():
    first, second = fit_erasure(torch.randn(3, 20), torch.tensor([0, 0, 1]), 8)
    assert first.shape == (20, 8) and second.shape == (8, 20)
    assert first[:, 3:].abs().sum() == 0


@pytest.mark.parametrize("components", [12, 9])
def test_what_a_track_explains_is_found_and_read_without_the_person(components):
    torch.manual_seed(0)
    people, track = torch.randn(60, 12), torch.randn(60, 6, 2)
    patterns = torch.zeros(2, 12)
    patterns[0, 3], patterns[1, 4] = 2, 1  # the action moves two directions, in which people differ as well
    people[:, 9:] = 0
    embedding = (people[:, None] + track @ patterns + 0.05 * torch.randn(60, 6, 12)).flatten(0, 1)
    person, flat = torch.arange(60).repeat_interleave(6), track.flatten(0, 1)
    form = fit_explained(embedding, person, flat, 2, components=components)
    centred = embedding - form.mean
    left = (centred - centred @ form.reads @ form.shows).unflatten(0, (60, 6))
    assert left.std(1)[:, 3:5].mean() < 0.1 * centred.unflatten(0, (60, 6)).std(1)[:, 3:5].mean()
    torch.testing.assert_close(form.shows @ form.reads, torch.eye(2), atol=1e-3, rtol=0)
    others = [0, 1, 2, 5, 6, 7, 8]  # where nobody moves, people stay as they are
    centred = centred.unflatten(0, (60, 6))
    torch.testing.assert_close(left[..., others], centred[..., others], atol=0.15, rtol=0)
