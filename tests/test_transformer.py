"""Adapters inside the blocks: nothing when untrained, frame by frame when trained."""

import pytest
import torch

from iad.config import PRESETS
from iad.models.adapters import WidenedPatch, is_adapter_key
from iad.models.transformer import ADAPTER_SETTINGS, IaDBlock, IaDTransformer3DModel, create_transformer

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
    stock = base.state_dict()
    own = {key: value for key, value in over.state_dict().items() if not is_adapter_key(key)}
    assert {k: v.data_ptr() for k, v in own.items()} == {k: v.data_ptr() for k, v in stock.items()}
    latents, text, t, identity, action = _inputs()
    states = over.adapt(identity, action, frames=4)
    adapted = over(latents, text, t, attention_kwargs={"adapter": states}).sample
    assert torch.equal(adapted, base(latents, text, t).sample)


@torch.no_grad()
def test_a_block_takes_over_the_layers_of_the_stock_one_and_draws_nothing():
    from diffusers.models.transformers.cogvideox_transformer_3d import CogVideoXBlock

    sizes = {"dim": 32, "num_attention_heads": 2, "attention_head_dim": 16, "time_embed_dim": 8}
    stock = CogVideoXBlock(**sizes, dropout=0.1, attention_bias=True, norm_eps=1e-3).eval()
    torch.nn.init.normal_(stock.norm1.linear.weight)  # else nothing passes the gates
    drawn = torch.get_rng_state()
    block = IaDBlock(stock).eval()
    assert torch.equal(torch.get_rng_state(), drawn)
    assert dict(block.named_children()) == dict(stock.named_children())
    assert type(stock) is CogVideoXBlock
    given = torch.randn(2, 6, 32), torch.randn(2, 3, 32), torch.randn(2, 8)
    for ours, theirs in zip(block(*given), stock(*given), strict=True):
        assert torch.equal(ours, theirs)


@torch.no_grad()
def test_a_widened_patch_takes_over_the_weights_and_draws_nothing():
    conv = torch.nn.Conv2d(3, 5, kernel_size=2, stride=2)
    drawn = torch.get_rng_state()
    wide = WidenedPatch(conv)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert wide.weight is conv.weight and wide.bias is conv.bias
    assert type(conv) is torch.nn.Conv2d
    noisy, crop = torch.randn(2, 2, 3, 4, 4)
    assert torch.equal(wide(torch.cat([noisy, crop], 1)), conv(noisy))
    wide.crop_weight.copy_(2 * conv.weight)
    told = torch.nn.functional.conv2d(crop, 2 * conv.weight, stride=2)
    assert torch.allclose(wide(torch.cat([noisy, crop], 1)), conv(noisy) + told)


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
