"""What the tutorials draw, and the points that they move: a picture must show what its numbers say."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from iad.plots.style import ACTION, IDENTITY, PAPER, SERIES, to_rgb

sys.path.insert(0, str(Path(__file__).parents[1] / "notebooks"))
from loss_table import as_table, identity_terms, move_points, split_table, text_terms  # noqa: E402
from tutorial_figures import (  # noqa: E402
    attention_weights,
    cell_box,
    confusion_table,
    count_confusions,
    draw_motion,
    draw_sphere,
    draw_surfaces,
    overlay_attention,
    probe_bars,
    pythagoras,
    read_where,
    scatter_faces,
    score_bars,
    strength_of_directions,
    triangle,
    watch_adapters,
)


def count(picture, colour, *, tolerance=6):
    """How many pixels have a colour."""
    return int((np.abs(np.asarray(picture).astype(int) - np.array(colour)).max(-1) <= tolerance).sum())


def entry(value, shuffled=0.1):
    return {"linear": {"value": value, "low": value - 0.05, "high": value + 0.05, "shuffled": shuffled}}


def _nearest(picture: np.ndarray, colour) -> np.ndarray:
    """Tell where a picture has a colour, nearly."""
    return np.abs(picture.astype(int) - np.array(colour)).max(-1) < 12


def test_a_surface_is_dark_where_the_loss_is_low():
    x = np.linspace(-1, 1, 41)
    valley = np.repeat((x[None] - 0.5) ** 2, 41, axis=0)  # lowest right of the middle
    picture = np.asarray(draw_surfaces({"valley": valley}, span=(-1, 1, -1, 1)))
    dark = np.flatnonzero(_nearest(picture, IDENTITY).sum(0) > 50)
    light = np.asarray(draw_surfaces({"valley": valley[:, ::-1]}, span=(-1, 1, -1, 1)))
    mirrored = np.flatnonzero(_nearest(light, IDENTITY).sum(0) > 50)
    assert len(dark) and len(mirrored)
    assert dark.min() > mirrored.min() + 50


def test_surfaces_of_one_value_and_of_different_scales_can_be_drawn():
    flat = {"flat": np.zeros((5, 5)), "steep": np.arange(25.0).reshape(5, 5)}
    shared, own = (draw_surfaces(flat, span=(0, 1, 0, 1), shared=shared) for shared in (True, False))
    assert shared.size == own.size
    assert np.abs(np.asarray(shared, int) - np.asarray(own, int)).max() > 0  # the colour bars differ


@pytest.mark.parametrize("dimensions", [2, 3])
def test_points_that_move_leave_trails(dimensions):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(1, 6, dimensions))
    still, moved = np.repeat(start, 20, 0), start + np.linspace(0, 1, 20)[:, None, None]
    options = {"colours": np.zeros(6, int), "shapes": np.arange(6), "limits": [(-3, 3)] * dimensions}
    pale = [round(0.55 * hue + 0.45 * 255) for hue in IDENTITY]  # what is between start and end
    trails = [
        _nearest(np.asarray(draw_motion({"points": paths}, columns=1, **options)), pale).sum()
        for paths in (still, moved)
    ]
    assert trails[1] > trails[0] + 60


def test_panels_of_a_motion_fill_rows():
    paths = np.zeros((3, 2, 2))
    options = {"colours": np.arange(2), "shapes": np.arange(2), "marks": {"goal": (0.0, 0.1)}}
    two = draw_motion({"a": paths, "b": paths}, columns=2, **options)
    three = draw_motion({"a": paths, "b": paths, "c": paths}, columns=2, **options)
    assert three.height == pytest.approx(2 * two.height, abs=2)


def test_the_sphere_shows_its_points():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3))
    tip = np.array([2.0, 0.0, 0.0])
    points = tip / 2 + points / np.linalg.norm(points, axis=1, keepdims=True)
    few, many = (np.asarray(draw_sphere(points[:n], tip=tip, title="sphere")) for n in (1, 40))
    assert _nearest(many, ACTION).sum() > 4 * _nearest(few, ACTION).sum()


def test_attention_lights_up_where_it_goes_and_nowhere_else():
    face = np.full((64, 64, 3), 90, np.uint8)
    weights = np.zeros((8, 8))
    weights[2, 5] = 0.5
    lit = overlay_attention(face, weights, size=80)
    warmth = lit[..., 0].astype(int) - lit[..., 2]
    y, x = np.unravel_index(warmth.argmax(), warmth.shape)
    assert (y // 10, x // 10) == (2, 5)
    assert np.abs(warmth[50:]).max() <= 2  # far away all is grey
    assert warmth.max() > 60


def test_attention_is_drawn_relative_to_its_largest_value():
    face = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    weights = np.random.default_rng(1).random((4, 4))
    np.testing.assert_array_equal(overlay_attention(face, weights), overlay_attention(face, weights / 7))


def test_a_box_frames_its_cell():
    assert cell_box(10, 8) == (2 / 8, 1 / 8, 3 / 8, 2 / 8)
    face = np.full((64, 64, 3), 255, np.uint8)
    framed = overlay_attention(face, np.zeros((8, 8)), size=81, box=cell_box(10, 8))
    plain = overlay_attention(face, np.zeros((8, 8)), size=81)
    y, x = np.nonzero((framed != plain).any(-1))
    assert (x.min(), y.min(), x.max(), y.max()) == pytest.approx((20, 10, 30, 20), abs=1)
    assert not (framed != plain)[14:17, 24:27].any()  # a frame, not a patch


def test_the_triangle_is_true_to_lengths_and_angle():
    rng = np.random.default_rng(0)
    identity, action = rng.normal(size=40), rng.normal(size=40)
    corners, angle = triangle(identity, action)
    f, i, a = (np.linalg.norm(x) for x in (identity + action, identity, action))
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    assert sides == pytest.approx([1.0, i / f, a / f])
    assert np.cos(np.radians(angle)) == pytest.approx(identity @ action / (i * a))
    action -= identity * (identity @ action) / i**2
    (_, corner, end), angle = triangle(identity, action)
    assert angle == pytest.approx(90) and corner @ corner + (end - corner) @ (end - corner) == pytest.approx(
        1
    )


def test_areas_follow_the_shares():
    identity, action = np.eye(8)[0] * 3, np.eye(8)[1]
    blue, orange = ([0.16 * c + 0.84 * p for c, p in zip(x, PAPER, strict=True)] for x in (IDENTITY, ACTION))
    ratio = [count(pythagoras({"": parts}), blue) / count(pythagoras({"": parts}), orange)
             for parts in ((identity, action), (identity, 2 * action))]  # fmt: skip
    assert ratio == pytest.approx([9, 9 / 4], rel=0.25)


def test_confusions_are_shares_of_each_true_class():
    truth, told = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 1])
    assert count_confusions(truth, told, 3).tolist() == [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]
    right, wrong = (confusion_table(truth, x, ["a", "b", "c"]) for x in (truth, (truth + 1) % 3))
    assert right.size == wrong.size and count(right, IDENTITY) > 1000
    assert np.abs(np.asarray(right).astype(int) - np.asarray(wrong)).mean() > 1


def test_bars_grow_with_what_is_read_and_keep_their_colours():
    low, high = (probe_bars({"f": {"expression": entry(0.8)}, "i": {"expression": entry(v)},
                             "a": {"expression": entry(0.7)}}, chance={"expression": 1 / 9})
                 for v in (0.2, 0.8))  # fmt: skip
    assert count(high, IDENTITY) > 2.5 * count(low, IDENTITY)
    assert count(high, ACTION) == pytest.approx(count(low, ACTION), rel=0.05)


def test_scores_below_zero_and_unknown_ends_are_drawn():
    spans = {"iad": (-0.02, -0.05, 0.01), "still": (1.0, np.nan, np.nan)}
    picture = score_bars({"copied": spans, "also": spans})
    assert count(picture, to_rgb(SERIES[1])) > 20 * count(picture, to_rgb(SERIES[0])) > 0


def test_directions_and_points_are_drawn():
    curves = {"within": np.array([4.0, 2, 1]), "between": np.array([1.0, 1, 1])}
    assert count(strength_of_directions(curves, taken=2, most=3), ACTION) > 100
    points = np.random.default_rng(0).normal(size=(20, 2))
    label = np.repeat([0, 1], 10)
    picture = scatter_faces({"f": points, "i": points * [0, 1]}, label, ["smile", "nod"], axes=("x", "y"))
    assert count(picture, to_rgb(SERIES[0]), tolerance=40) > 200


def test_points_go_where_a_term_draws_them():
    torch.manual_seed(0)
    facial, start = torch.randn(3, 4, 2), torch.randn(3, 4, 2)
    motion = move_points(facial, start, weights={"agreement": 1.0}, steps=150)
    assert motion.action.shape == (151, 3, 4, 2)
    torch.testing.assert_close(motion.identity + motion.action, facial.expand(151, -1, -1, -1))
    torch.testing.assert_close(motion.action[0], start)
    assert motion.terms["agreement"][-1] < 0.05 < motion.terms["agreement"][0]
    spread = motion.action[-1].std(0).max()  # people, at each action
    assert spread < 0.2 * start.std(0).max()


def test_the_perfect_table_satisfies_every_term():
    pillar = torch.tensor([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [-1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    floor = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 2.0]])
    action = floor.expand(4, 3, 3)
    for step in range(3):
        terms = identity_terms(as_table(pillar[:, None] + floor, action), step=step)
        for name in ("orthogonality", "invariance", "retention", "agreement", "swap"):
            assert terms[name] == pytest.approx(0, abs=1e-3), name
        assert terms["independence"] <= 0
    tagged = identity_terms(as_table(pillar[:, None] + floor, pillar[:, None].expand(4, 3, 3)))
    assert tagged["agreement"] > 1
    assert tagged["independence"] > 0.5


def test_table_faults_are_told_in_a_sentence():
    with pytest.raises(ValueError, match="two people and two actions, got 1 and 3"):
        identity_terms(as_table(torch.randn(1, 3, 2), torch.randn(1, 3, 2)))
    with pytest.raises(ValueError, match="Unknown terms shrinking; choose from orthogonality"):
        move_points(torch.randn(2, 2, 2), torch.randn(2, 2, 2), weights={"shrinking": 1.0})


def test_words_are_compared_with_the_faces_that_show_them():
    told = torch.eye(4)
    code = told.expand(3, 4, 4) + 0.01 * torch.randn(3, 4, 4)
    right, wrong = text_terms(code, told), text_terms(code, told.roll(1, 0))
    assert right["match"] < 0.01 < wrong["match"]
    assert right["contrast"] < wrong["contrast"] - 1


def test_a_table_is_split_face_by_face():
    from iad.config import get_preset
    from iad.decoupling import create_decoupling

    preset = get_preset("tiny")
    decoupler = create_decoupling(preset)["decoupler"].eval()
    width = preset.encoder.global_dim + 60
    vector = torch.randn(2, 3, width)
    tokens = torch.randn(2, 3, preset.latent_size**2, preset.encoder.token_dim)
    table, one = split_table(decoupler, vector, tokens), decoupler(vector[1, 2:], tokens[1, 2:])
    torch.testing.assert_close(table.identity[1, 2], one.identity[0])
    torch.testing.assert_close(table.code[1, 2], one.code[0])


def test_recorded_attention_is_the_attention_that_was_used():
    q, k, v = torch.randn(3, 2, 4, 5, 6).unbind(0)
    bias = torch.randn(1, 4, 5, 5)
    used = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(attention_weights(q, k, bias) @ v, used)


def test_watching_adapters_changes_nothing_and_ends():
    from iad.config import get_preset
    from iad.models.transformer import create_transformer

    preset = get_preset("tiny")
    torch.manual_seed(0)
    model = create_transformer(preset).eval()
    queries, frames, side = preset.decoupler.queries, preset.latent_frames, preset.latent_size
    identity = torch.randn(1, queries, preset.decoupler.dim)
    action = torch.randn(1, frames, queries, preset.decoupler.dim)
    noise = torch.randn(1, frames, preset.latent_channels, side, side)
    words, step = torch.randn(1, preset.text.tokens, preset.text.state_dim), torch.tensor([999])
    with torch.no_grad():
        for block in model.transformer_blocks:
            if block.index is not None:
                torch.nn.init.normal_(block.identity_attention.to_out.weight)
        kwargs = {"adapter": model.adapt(identity, action, frames=frames)}
        plain = model(noise, words, step, attention_kwargs=kwargs).sample
        with watch_adapters(model) as looks:
            watched = model(noise, words, step, attention_kwargs=kwargs).sample
        model(noise, words, step, attention_kwargs=kwargs)
    assert torch.equal(plain, watched)
    adapted = sum(block.index is not None for block in model.transformer_blocks)
    assert len(looks.identity) == len(looks.action) == adapted  # and no more after the end
    patches = (side // preset.transformer.patch_size) ** 2
    assert looks.identity[0].shape == (1, preset.transformer.heads, frames, patches, queries)
    for weights in (*looks.identity, *looks.action):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    spread = looks.identity[0].std(2).max()
    assert spread > 0  # each frame has its own latents


def test_what_is_watched_includes_the_heads_focus():
    from iad.config import get_preset
    from iad.models.transformer import create_transformer

    preset = get_preset("tiny")
    model = create_transformer(preset).eval()
    frames, side, queries = preset.latent_frames, preset.latent_size, preset.decoupler.queries
    tokens = torch.randn(1, frames, queries, preset.decoupler.dim)
    noise = torch.randn(1, frames, preset.latent_channels, side, side)
    words = torch.randn(1, preset.text.tokens, preset.text.state_dim)
    block = model.transformer_blocks[0]
    block.identity_focus.data.fill_(1e4)
    with torch.no_grad(), watch_adapters(model) as looks:
        kwargs = {"adapter": model.adapt(tokens[:, 0], tokens, frames=frames)}
        model(noise, words, torch.tensor([999]), attention_kwargs=kwargs)
    seen = looks.identity[0].mean((0, 2))  # (h, s, q)
    nearest = block.distance == block.distance.amin(-1, keepdim=True)
    assert (seen * nearest).sum(-1).min() > 0.99


def test_watching_an_arm_without_action_channel():
    from iad.config import get_preset
    from iad.models.transformer import create_transformer

    preset = get_preset("tiny")
    model = create_transformer(preset, action_queries=0).eval()
    frames, side = preset.latent_frames, preset.latent_size
    states = model.adapt(torch.randn(1, preset.decoupler.queries, preset.decoupler.dim), None, frames=frames)
    noise = torch.randn(1, frames, preset.latent_channels, side, side)
    words = torch.randn(1, preset.text.tokens, preset.text.state_dim)
    with torch.no_grad(), watch_adapters(model) as looks:
        model(noise, words, torch.tensor([999]), attention_kwargs={"adapter": states})
    assert looks.identity and not looks.action


def test_reading_maps_have_a_row_for_every_query():
    from iad.config import get_preset
    from iad.decoupling import Decoupler

    preset = get_preset("tiny")
    reader = Decoupler(preset).eval()
    vector = torch.randn(2, preset.encoder.global_dim + 60)
    tokens = torch.randn(2, preset.latent_size**2, preset.encoder.token_dim)
    with torch.no_grad():
        before = reader.read(vector, tokens)
        layers = read_where(reader, vector, tokens)
        assert torch.equal(reader.read(vector, tokens), before)
    assert len(layers) == preset.decoupler.layers
    assert layers[0].shape == (2, preset.decoupler.heads, preset.decoupler.queries, preset.latent_size**2)
    torch.testing.assert_close(layers[0].sum(-1), torch.ones(layers[0].shape[:-1]))
    assert not any(module._forward_hooks for module in reader.modules())
