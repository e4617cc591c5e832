"""A tiny ID-Animator with random weights, in the layout of its authors: same file names, keys and counts."""

import json
import re
import shutil
from pathlib import Path

import torch
from einops import rearrange
from safetensors.torch import load, save_file
from torch import nn

TOKENS, RANK, TEXT_DIM, CHANNELS = 16, 128, 64, (16, 16, 32, 32)


class Perceiver(nn.Module):
    """Tokens look at a face's patches and at themselves, as in OpenFlamingo."""

    def __init__(self, dim: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, patches, tokens):
        patches, tokens = self.norm1(patches), self.norm2(tokens)
        both = self.to_kv(torch.cat([patches, tokens], dim=1)).chunk(2, dim=-1)
        return self.to_out(_attend(self.to_q(tokens), *both, heads=self.to_q.out_features // 64))


class Resampler(nn.Module):
    """Sixteen learned tokens that read a face, under the names of the published file."""

    def __init__(self, dim: int, token_dim: int):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, TOKENS, dim) / dim**0.5)
        self.proj_in, self.proj_out = nn.Linear(token_dim, dim), nn.Linear(dim, dim)
        self.norm_out = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(nn.ModuleList([Perceiver(dim), _feed_forward(dim)]) for _ in range(4))

    def forward(self, patches):
        patches, tokens = self.proj_in(patches), self.latents.expand(len(patches), -1, -1)
        for attend, think in self.layers:
            tokens = attend(patches, tokens) + tokens
            tokens = think(tokens) + tokens
        return self.norm_out(self.proj_out(tokens))


class PublishedAttention(nn.Module):
    """A cross-attention as ID-Animator computes it: the LoRA beside, the face's tokens behind the text's."""

    def __init__(self, state: dict[str, torch.Tensor], index: int):
        super().__init__()
        start = f"adapter_modules.{index}."
        self.weights = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}

    def forward(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        text, face = encoder_hidden_states[:, :-TOKENS], encoder_hidden_states[:, -TOKENS:]
        query = attn.to_q(hidden_states) + self._lora("to_q", hidden_states)
        key, value = attn.to_k(text) + self._lora("to_k", text), attn.to_v(text) + self._lora("to_v", text)
        seen = _attend(query, key, value, heads=attn.heads)
        key, value = (face @ self.weights[f"to_{x}_face.weight"].mT for x in "kv")
        seen = seen + _attend(query, key, value, heads=attn.heads)
        return attn.to_out[0](seen) + self._lora("to_out", seen)

    def _lora(self, name, x):
        return x @ self.weights[f"{name}_lora.down.weight"].mT @ self.weights[f"{name}_lora.up.weight"].mT


def _attend(query, key, value, *, heads: int):
    query, key, value = (rearrange(x, "b n (h c) -> b h n c", h=heads) for x in (query, key, value))
    weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1)
    return rearrange(weights @ value, "b h n c -> b n (h c)")


def _feed_forward(dim: int) -> nn.Sequential:
    widen, narrow = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)
    return nn.Sequential(nn.LayerNorm(dim), widen, nn.GELU(), narrow)


def write_id_animator(folder: Path, *, seed: int = 0) -> Path:
    """Write base, motion modules, image encoder and `animator.ckpt`: 1.5 M parameters."""
    from diffusers import MotionAdapter

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        base, encoder = _stable_diffusion(), _image_encoder()
        motion = MotionAdapter(
            block_out_channels=CHANNELS,
            motion_layers_per_block=2,
            motion_num_attention_heads=4,
            motion_norm_num_groups=4,
            motion_max_seq_length=32,
        )
        state = make_adapter(base.unet, encoder.config.hidden_size)
    base.save_pretrained(folder / "base")
    _age(folder / "base")
    motion.save_pretrained(folder / "motion")
    encoder.save_pretrained(folder / "image_encoder")
    write_checkpoint(folder, state)
    return folder


def write_checkpoint(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Write `animator.ckpt` as a distributed training does."""
    wrapped = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 1, "global_step": 2, "state_dict": wrapped}, folder / "animator.ckpt")


def write_safetensors(folder: Path, state: dict[str, torch.Tensor]) -> None:
    """Write the same weights without a wrapping."""
    save_file(state, folder / "animator.safetensors")


def make_adapter(unet: nn.Module, token_dim: int) -> dict[str, torch.Tensor]:
    """Draw an adapter's weights; its attentions are numbered as `unet.attn_processors` of plain SD 1.5."""
    resampler = Resampler(TEXT_DIM, token_dim)
    state = {f"image_proj_model.{k}": v.detach().clone() for k, v in resampler.state_dict().items()}
    for index, name in enumerate(unet.attn_processors):
        if name.endswith("attn1.processor"):
            continue
        width = _width(*name.split(".")[:2])
        state |= {f"adapter_modules.{index}.{k}": v for k, v in _attention(width).items()}
    return state


def _width(block: str, number: str) -> int:
    if block == "mid_block":
        return CHANNELS[-1]
    return CHANNELS[int(number)] if block == "down_blocks" else CHANNELS[::-1][int(number)]


def _attention(width: int) -> dict[str, torch.Tensor]:
    state = {f"to_{x}_face.weight": torch.randn(width, TEXT_DIM) / TEXT_DIM**0.5 for x in "kv"}
    takes = {"q": width, "k": TEXT_DIM, "v": TEXT_DIM, "out": width}
    state |= {f"to_{x}_lora.down.weight": torch.randn(RANK, takes[x]) / RANK for x in takes}
    return state | {f"to_{x}_lora.up.weight": torch.randn(width, RANK) / RANK**0.5 for x in takes}


def _stable_diffusion():
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=CHANNELS,
        cross_attention_dim=TEXT_DIM,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=512,
    )
    tokenizer = _tokenizer()
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _tokenizer():
    from transformers import CLIPTokenizer

    letters = [chr(c) for c in range(ord("!"), ord("~") + 1)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: k for k, word in enumerate(words)}, merges=[], model_max_length=77)


def _age(folder: Path) -> None:
    """Give files and keys the names that SD 1.5 was published with; today's libraries write others."""
    tokenizer, text, vae = (folder / part for part in ("tokenizer", "text_encoder", "vae"))
    (tokenizer / "tokenizer.json").unlink()
    (tokenizer / "vocab.json").write_text(json.dumps(_tokenizer().get_vocab()))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    _rename(text / "model.safetensors", lambda key: f"text_model.{key.removeprefix('text_model.')}")
    _rename(vae / "diffusion_pytorch_model.safetensors", _old_attention)


def _rename(file: Path, rename) -> None:
    state = {rename(key): value for key, value in load(file.read_bytes()).items()}
    save_file(state, file, metadata={"format": "pt"})


def _old_attention(key: str) -> str:
    if ".attentions." in key:
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            key = key.replace(f".{new}.", f".{old}.")
    return key


def _text_encoder(tokenizer):
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_DIM,
        intermediate_size=TEXT_DIM,
        num_hidden_layers=2,
        num_attention_heads=4,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return CLIPTextModel(config).eval()


def _image_encoder():
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=16,
    )
    return CLIPVisionModelWithProjection(config).eval()


def write_space(twin: Path, folder: Path) -> Path:
    """Write a twin's adapter and base as in the authors' Space: one file of Stable Diffusion's own layout."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    state, configs = {}, folder / "animatediff" / "sd"
    for part, kind, rename in (
        ("unet", UNet2DConditionModel, _name_in_unet),
        ("vae", AutoencoderKL, _name_in_vae),
        ("text_encoder", CLIPTextModel, _name_in_text),
    ):
        (configs / part).mkdir(parents=True)
        shutil.copy(twin / "base" / part / "config.json", configs / part)
        network = kind.from_pretrained(twin / "base" / part)
        state |= {rename(name): value.contiguous() for name, value in network.state_dict().items()}
    for name in [name for name in state if ".attn_1." in name and state[name].ndim == 2]:
        state[name] = state[name][..., None, None]  # there a convolution
    save_file(state, folder / "realisticVisionV60B1_v51VAE.safetensors")
    shutil.copytree(twin / "base" / "tokenizer", configs / "tokenizer")
    shutil.copy(twin / "animator.ckpt", folder)
    return folder


_UNET_NAMES = (
    (r"time_embedding\.linear_1", lambda m: "time_embed.0"),
    (r"time_embedding\.linear_2", lambda m: "time_embed.2"),
    (r"^conv_in", lambda m: "input_blocks.0.0"),
    (r"^conv_norm_out", lambda m: "out.0"),
    (r"^conv_out", lambda m: "out.2"),
    (r"down_blocks\.(.)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op"),
    (
        r"down_blocks\.(.)\.(.).*?\.(.)\.",
        lambda m: f"input_blocks.{3 * int(m[1]) + int(m[3]) + 1}.{_PLACE[m[2]]}.",
    ),
    (r"mid_block\.(.).*?\.(.)\.", lambda m: f"middle_block.{2 * int(m[2]) + _PLACE[m[1]]}."),
    (
        r"up_blocks\.(.)\.upsamplers\.0",
        lambda m: f"output_blocks.{3 * int(m[1]) + 2}.{1 if m[1] == '0' else 2}",
    ),
    (
        r"up_blocks\.(.)\.(.).*?\.(.)\.",
        lambda m: f"output_blocks.{3 * int(m[1]) + int(m[3])}.{_PLACE[m[2]]}.",
    ),
)
_PLACE = {"r": 0, "a": 1}  # a residual block comes before its attention
_RESIDUAL_NAMES = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_VAE_NAMES = (
    (r"conv_norm_out", lambda m: "norm_out"),
    (r"down_blocks\.(.)\.resnets\.", lambda m: f"down.{m[1]}.block."),
    (r"down_blocks\.(.)\.downsamplers\.0", lambda m: f"down.{m[1]}.downsample"),
    (r"up_blocks\.(.)\.resnets\.", lambda m: f"up.{3 - int(m[1])}.block."),
    (r"up_blocks\.(.)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample"),
    (r"mid_block\.resnets\.(.)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (
        r"mid_block\.attentions\.0\.(?:to_)?(group_norm|q|k|v|out\.0)\.",
        lambda m: f"mid.attn_1.{_ATTENTION[m[1]]}.",
    ),
    (r"conv_shortcut", lambda m: "nin_shortcut"),
)
_ATTENTION = {"group_norm": "norm", "q": "q", "k": "k", "v": "v", "out.0": "proj_out"}


def _name_in_unet(name: str) -> str:
    residual = ".resnets." in name
    for pattern, new in _UNET_NAMES:
        name, done = re.subn(pattern, new, name, count=1)
        if done:
            break
    for old, new in _RESIDUAL_NAMES.items() if residual else ():
        name = name.replace(f".{old}.", f".{new}.")
    return f"model.diffusion_model.{name}"


def _name_in_vae(name: str) -> str:
    for pattern, new in _VAE_NAMES:
        name = re.sub(pattern, new, name)
    return f"first_stage_model.{name}"


def _name_in_text(name: str) -> str:
    return f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"
