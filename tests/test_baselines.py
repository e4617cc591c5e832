"""The arms share one base, change nothing before they are trained, and look at what they should."""


import pytest
import torch

from iad import IaDPipeline
from iad.config import ARMS, CONTROLS, PRESETS
from iad.decoupling import Reader
from iad.models.adapters import is_adapter_key
from iad.models.baselines import RECIPES, create_baseline, crop_condition
from iad.models.predicting import Guidance
from iad.models.transformer import create_transformer
from tests.made_up import ASTRONAUT

TINY = PRESETS["tiny"]
FRAMES = 4


@pytest.fixture
def base():
    torch.manual_seed(0)
    return create_transformer(TINY).eval()


def inputs(arm, transformer, *, identity=None):
    """Return what `arm`'s transformer is called with, and its keyword arguments."""
    generator = torch.Generator().manual_seed(1)
    recipe, dim = RECIPES[arm], TINY.decoupler.dim
    shape = (1, FRAMES, TINY.latent_channels, TINY.latent_size, TINY.latent_size)
    latents = torch.randn(shape, generator=generator)
    states = torch.randn(1, TINY.text.tokens, TINY.text.state_dim, generator=generator)
    queries = recipe.queries or TINY.decoupler.queries
    tokens = torch.randn(1, queries, dim, generator=generator) if identity is None else identity
    action = torch.randn(1, FRAMES, TINY.decoupler.queries, dim, generator=generator)
    adapter = transformer.adapt(tokens, action if recipe.actions else None, frames=FRAMES)
    return latents, states, {"adapter": adapter}


def run(arm, transformer, latents, states, kwargs, crop=None):
    if RECIPES[arm].crop:
        crop = torch.zeros_like(latents) if crop is None else crop
        latents = torch.cat([latents, crop], dim=2)
    with torch.inference_mode():
        return transformer(latents, states, torch.tensor([500]), attention_kwargs=kwargs).sample


def stir(module):
    """Give every weight that starts at zero another value."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)


def test_there_is_a_recipe_for_every_arm_but_iad():
    assert set(RECIPES) == set(ARMS + CONTROLS) - {"iad"}


@pytest.mark.parametrize("arm", RECIPES)
def test_an_untrained_arm_is_exactly_the_base(arm, base):
    baseline = create_baseline(arm, TINY, base).eval()
    latents, states, kwargs = inputs(arm, baseline.transformer)
    crop = torch.randn_like(latents)
    with torch.inference_mode():
        expected = base(latents, states, torch.tensor([500])).sample
    assert torch.equal(run(arm, baseline.transformer, latents, states, kwargs, crop), expected)


@pytest.mark.parametrize("arm", RECIPES)
def test_a_trained_arm_looks_at_its_reference(arm, base):
    baseline = create_baseline(arm, TINY, base).eval()
    stir(baseline)
    latents, states, kwargs = inputs(arm, baseline.transformer)
    other = torch.randn(1, RECIPES[arm].queries or TINY.decoupler.queries, TINY.decoupler.dim)
    _, _, changed = inputs(arm, baseline.transformer, identity=other)
    one, two = (run(arm, baseline.transformer, latents, states, k) for k in (kwargs, changed))
    assert (one - two).abs().max() > 1e-3


def test_arms_hold_the_very_parameters_of_the_base(base):
    baseline = create_baseline("consisid", TINY, base)
    shared = dict(base.named_parameters())
    for name, parameter in baseline.transformer.named_parameters():
        assert (parameter is shared.get(name)) == (not is_adapter_key(name))


def test_only_consisids_recipe_sees_the_crop(base):
    for arm, recipe in RECIPES.items():
        baseline = create_baseline(arm, TINY, base).eval()
        stir(baseline)
        latents, states, kwargs = inputs(arm, baseline.transformer)
        if recipe.crop:
            plain = run(arm, baseline.transformer, latents, states, kwargs)
            seen = run(arm, baseline.transformer, latents, states, kwargs, torch.ones_like(latents))
            assert (plain - seen).abs().max() > 1e-3
        else:
            assert not any("crop" in name for name, _ in baseline.named_parameters())


def test_only_arms_with_the_channel_have_action_weights(base):
    for arm, recipe in RECIPES.items():
        names = create_baseline(arm, TINY, base).own_state()
        assert any("action_attention" in name for name in names) == recipe.actions


def test_the_crop_fills_the_first_latent_frame_only():
    crop = torch.randn(2, 3, 4, 4)
    condition = crop_condition(crop, frames=5, stack=2)
    assert condition.shape == (2, 5, 6, 4, 4)
    assert torch.equal(condition[:, 0], torch.cat([crop, crop], dim=1))
    assert condition[:, 1:].abs().sum() == 0


def test_own_state_leaves_the_base_out_and_comes_back(base):
    first, second = (create_baseline("entangled", TINY, base) for _ in range(2))
    state = first.own_state()
    assert not any(k.startswith("transformer.") and not is_adapter_key(k) for k in state)
    second.load_own_state(state)
    assert all(torch.equal(second.own_state()[k], v) for k, v in state.items())


def test_weights_of_another_arm_are_refused(base):
    state = create_baseline("id-animator", TINY, base).own_state()
    with pytest.raises(ValueError, match="do not fit"):
        create_baseline("consisid", TINY, base).load_own_state(state)


def test_arms_begin_with_the_trained_reader(base):
    reader = Reader(TINY)
    for arm in RECIPES:
        baseline = create_baseline(arm, TINY, base)
        baseline.begin_reading_like(reader)
        assert torch.equal(baseline.reader.reads[0].to_kv.weight, reader.reads[0].to_kv.weight)


@pytest.mark.parametrize(
    ("words", "person", "rows", "expected"),
    [(1.0, 1.0, 1, 7.0), (3.0, 1.0, 2, 2 + 3 * 5), (1.0, 2.0, 3, 1 + 2 * 1 + 5), (3.0, 2.0, 3, 1 + 2 + 15)],
)
def test_guidance_weighs_words_and_person_apart(words, person, rows, expected):
    guidance = Guidance(words, person, identity_scale=1.0, action_scale=1.0)
    told, free, nobody = 7.0, 2.0, 1.0
    velocity = torch.tensor([told, free, nobody])[: guidance.rows, None, None, None, None]
    assert guidance.rows == rows
    assert guidance.combine(velocity).item() == pytest.approx(expected)


@pytest.fixture(scope="module")
def pipe():
    return IaDPipeline.create("tiny")


def test_every_arm_generates_and_comes_back_from_disk(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = IaDPipeline.from_pretrained(tmp_path)
    assert set(again.arms) == set(ARMS + CONTROLS)
    for arm in pipe.arms:
        one, two = (p(ASTRONAUT, "a woman smiles", arm=arm, num_frames=4) for p in (pipe, again))
        assert (one.frames == two.frames).all()
        assert one.settings["arm"] == arm


def test_an_arm_that_a_model_lacks_is_said_in_a_sentence(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    for file in tmp_path.glob("arm-consisid.*"):
        file.unlink()
    manifest = tmp_path / "manifest.json"
    lines = [line for line in manifest.read_text().splitlines() if "arm-consisid.s" not in line]
    manifest.write_text("\n".join(lines).replace(",\n }", "\n }"))
    lacking = IaDPipeline.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'consisid' has no weights"):
        lacking(ASTRONAUT, "a woman smiles", arm="consisid")


def test_an_arm_without_action_channel_takes_no_driver(pipe):
    with pytest.raises(ValueError, match="words alone"):
        pipe(ASTRONAUT, "smiles", arm="id-animator", action_reference=ASTRONAUT)
