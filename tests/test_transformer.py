"""Adapters inside the blocks: nothing when untrained, frame by frame when trained."""

import pytest
import torch

from iad.config import PRESETS
from iad.models.adapters import is_adapter_key
from iad.models.transformer import ADAPTER_SETTINGS, IaDTransformer3DModel, create_transformer

TINY = PRESETS["tiny"]


def _inputs(frames: int = 4):
    torch.manual_seed(0)
    config = TINY.decoupler
    latents = torch.randn(2, frames, TINY.latent_channels, 8, 8)
    text = torch.randn(2, TINY.text.tokens, TINY.text.state_dim)
    identity = torch.randn(2, config.queries, config.dim)
    action = torch.randn(2, frames, config.queries, config.dim)
    return latents, text, torch.tensor([500, 900]), identity, action


def _trained():
    torch.manual_seed(1)
    model = create_transformer(TINY)
    for key, parameter in model.named_parameters():
        if "to_out" in key and is_adapter_key(key):
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


@torch.no_grad()
def test_untrained_adapter_is_exactly_the_base():
    model = create_transformer(TINY).eval()
    latents, text, t, identity, action = _inputs()
    base = model(latents, text, t).sample
    states = model.adapt(identity, action, frames=4)
    adapted = model(latents, text, t, attention_kwargs={"adapter": states}).sample
    assert torch.equal(base, adapted)


@torch.no_grad()
def test_scale_zero_switches_a_sample_off():
    model = _trained()
    latents, text, t, identity, action = _inputs()
    off = torch.tensor([0.0, 1.0])
    states = model.adapt(identity, action, frames=4, identity_scale=off, action_scale=off)
    base = model(latents, text, t).sample
    adapted = model(latents, text, t, attention_kwargs={"adapter": states}).sample
    assert torch.equal(base[0], adapted[0])
    assert not torch.allclose(base[1], adapted[1])


@torch.no_grad()
def test_action_tokens_reach_their_own_frame_first():
    model = _trained()
    for block in model.transformer_blocks[1:]:  # one adapted block: later ones mix the frames
        block.index = None
    block = model.transformer_blocks[0]
    _, _, _, identity, action = _inputs()
    x, text = torch.randn(2, 4 * 16, 32), torch.randn(2, TINY.text.tokens, 32)
    emb = torch.randn(2, TINY.transformer.time_embed_dim)
    other = action.clone()
    other[:, 2] += 1
    states = [model.adapt(identity, a, frames=4) for a in (action, other)]
    shown = [block(x, text, emb, attention_kwargs={"adapter": state})[0] for state in states]
    before, after = (x.unflatten(1, (4, 16)) for x in shown)
    assert torch.equal(before[:, [0, 1, 3]], after[:, [0, 1, 3]])
    assert not torch.allclose(before[:, 2], after[:, 2])


@torch.no_grad()
def test_a_patch_is_told_its_own_cells_and_no_others():
    model = create_transformer(TINY).eval()
    patch = model.transformer_blocks[0].identity_patch
    torch.nn.init.normal_(patch.out.weight)
    _, _, _, identity, _ = _inputs()
    changed = identity.clone()
    changed[:, 6] += 1  # the third cell of the second row; a patch covers one
    differs = (patch(changed) != patch(identity)).any(-1)
    assert differs[0].nonzero().flatten().tolist() == [6]


@torch.no_grad()
def test_what_patches_are_told_reaches_the_first_block_unless_identity_is_off():
    model = create_transformer(TINY).eval()
    torch.nn.init.normal_(model.transformer_blocks[0].identity_patch.out.weight)
    latents, text, t, identity, action = _inputs()
    base = model(latents, text, t).sample
    states = model.adapt(identity, action, frames=4, identity_scale=torch.tensor([0.0, 1.0]))
    adapted = model(latents, text, t, attention_kwargs={"adapter": states}).sample
    assert torch.equal(base[0], adapted[0])
    assert not torch.allclose(base[1], adapted[1])


@torch.no_grad()
def test_adapters_over_a_loaded_base_share_its_weights_and_change_nothing():
    from diffusers import CogVideoXTransformer3DModel

    model = create_transformer(TINY)
    config = {k: v for k, v in model.config.items() if k not in ADAPTER_SETTINGS}
    base = CogVideoXTransformer3DModel.from_config(config).eval()
    over = IaDTransformer3DModel.over(base, token_dim=128, queries=16, action_queries=16, focus=False)
    assert all(p.device.type == "cpu" and p.isfinite().all() for p in over.parameters())
    assert over.proj_out.weight.data_ptr() == base.proj_out.weight.data_ptr()
    latents, text, t, identity, action = _inputs()
    states = over.adapt(identity, action, frames=4)
    adapted = over(latents, text, t, attention_kwargs={"adapter": states}).sample
    assert torch.equal(adapted, base(latents, text, t).sample)


def test_a_base_of_another_architecture_is_refused():
    from diffusers import CogVideoXTransformer3DModel

    config = {k: v for k, v in create_transformer(TINY).config.items() if k not in ADAPTER_SETTINGS}
    base = CogVideoXTransformer3DModel.from_config(config)
    base.proj_more = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"2 keys are missing or extra \(proj_more.weight, proj_more.bias\)"):
        IaDTransformer3DModel.over(base, token_dim=128, queries=16, action_queries=16)


def test_adapter_keys_are_told_from_base_keys():
    from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXTransformer3DModel

    model = create_transformer(TINY)
    base = {k for k in model.state_dict() if not is_adapter_key(k)}
    config = {k: v for k, v in model.config.items() if k not in ADAPTER_SETTINGS}
    assert base == set(CogVideoXTransformer3DModel.from_config(config).state_dict())
