"""The published CogVideoX and its T5, IaD's adapters on its transformer, and the folder that holds these."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iad import checkpoint
from iad.config import BaseConfig, FullSizePreset, TextConfig
from iad.decoupling import create_split
from iad.full_size.hub import check_kind, read_json
from iad.full_size.published import fill_module, load_cogvideox
from iad.models.adapters import is_adapter_key
from iad.models.transformer import ADAPTER_SETTINGS, IaDTransformer3DModel
from iad.text import TextEncoder, TextStates

ADAPTER_FOLDER = "iad"  # within a saved pipeline
SHARD_SIZE = "2GB"
SPLIT, ADAPTERS = "decoupling", "adapters-iad"  # weight files
LORA_FILE = "pytorch_lora_weights.safetensors"  # as diffusers names it
TRAINED = ("face", "adapters", "decoupler", "text", "size")  # what adapters decide of a preset


def read_preset(folder: Path, preset: FullSizePreset) -> FullSizePreset:
    """Take over the sizes of a downloaded base: its width and depth, its text, the clip it makes.

    Raises:
        ValueError: the folder holds no CogVideoX text-to-video model.
    """
    check_kind(folder, "CogVideoXPipeline")
    config, vae = (read_json(folder / part / "config.json") for part in ("transformer", "vae"))
    if config.get("patch_size_t"):
        raise ValueError(f"{folder} holds a CogVideoX 1.5, whose patches span frames; use CogVideoX-5b.")
    side = 2 ** (len(vae["block_out_channels"]) - 1)  # pixels of a latent
    base = replace(
        preset.base,
        dim=config["num_attention_heads"] * config["attention_head_dim"],
        layers=config["num_layers"],
        text_dim=config["text_embed_dim"],
    )
    text = replace(preset.text, state_dim=base.text_dim, tokens=config["max_text_seq_length"])
    return replace(
        preset,
        base=base,
        text=text,
        height=config["sample_height"] * side,
        width=config["sample_width"] * side,
        frames=config["sample_frames"],
        frames_per_latent=config["temporal_compression_ratio"],
    )


def load_base(
    folder: Path, preset: FullSizePreset, *, dtype: torch.dtype = torch.float32, **components: Any
) -> Any:
    """Load the base with untrained adapters on its transformer: it makes what the base makes, to the bit.

    Args:
        folder: a CogVideoX text-to-video pipeline as diffusers saves it.
        preset: its sizes, see `read_preset`.
        dtype: of all weights.
        components: parts to take instead of the folder's; `vae=None` leaves one out.

    Raises:
        ValueError: weights of a part are missing or cannot be read.
    """
    from diffusers import CogVideoXDPMScheduler

    kinds = ("CogVideoXPipeline", "CogVideoXTransformer3DModel")
    pipeline = load_cogvideox(*kinds, folder, dtype=dtype, **components)
    # what its authors sample the 5B model with; the published folder names another, and other spacing
    pipeline.register_modules(
        scheduler=CogVideoXDPMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    )
    if pipeline.transformer is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            over = IaDTransformer3DModel.over(pipeline.transformer, **adapter_settings(preset))
        pipeline.register_modules(transformer=over.requires_grad_(False))
    return pipeline


def adapter_settings(preset: FullSizePreset) -> dict[str, int | bool]:
    """Return the adapters' settings as `IaDTransformer3DModel` names them."""
    sizes, queries = preset.adapters, preset.decoupler.queries
    return {
        "token_dim": preset.decoupler.dim,
        "queries": queries,
        "action_queries": queries,
        "adapter_interval": sizes.interval,
        "adapter_heads": sizes.heads,
        "adapter_head_dim": sizes.head_dim,
        "focus": False,  # a face may be anywhere in the picture
    }


def create_full_split(preset: FullSizePreset, *, seed: int = 0) -> nn.ModuleDict:
    """Build an untrained decoupler and T, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_split(preset)


def save_adapter(
    folder: str | Path, preset: FullSizePreset, split: nn.ModuleDict, transformer: nn.Module
) -> None:
    """Write decoupler, T and adapters, which is all that training changes; the base stays where it is."""
    folder, learned = Path(folder), {key: split[key] for key in ("decoupler", "text_action")}
    checkpoint.save_preset(folder, preset)
    checkpoint.save_part(folder, SPLIT, nn.ModuleDict(learned).state_dict(), shard_size=SHARD_SIZE)
    checkpoint.save_part(folder, ADAPTERS, _adapters_of(transformer), shard_size=SHARD_SIZE)


def load_adapter_preset(folder: Path) -> FullSizePreset:
    """Read what an adapter folder was trained for.

    Raises:
        ValueError: the folder holds no adapters of a full-size model.
    """
    preset = checkpoint.load_preset(folder)
    if not isinstance(preset, FullSizePreset):
        raise ValueError(f"The adapter in {folder} is for {preset.name!r}, not for a full-size model.")
    return preset


def check_base(adapter: BaseConfig, base: BaseConfig, *, folder: Path) -> None:
    """Make sure that an adapter was trained on a base of these sizes.

    Raises:
        ValueError: it was not.
    """
    wants, has = ((b.dim, b.layers, b.text_dim) for b in (adapter, base))
    if wants != has:
        described = "width {}, {} blocks and text of width {}"
        raise ValueError(
            f"The adapter in {folder} is for a base of {described.format(*wants)} ({adapter.repo}); this one "
            f"has {described.format(*has)}; give the base that it was trained on."
        )


def load_split(split: nn.ModuleDict, folder: Path) -> None:
    """Fill decoupler and T from an adapter folder.

    Raises:
        ValueError: weights are missing, altered, extra or misshapen.
    """
    fill_module(split, checkpoint.load_part(folder, SPLIT), folder)


def load_adapters(transformer: nn.Module, folder: Path) -> None:
    """Fill the adapters of a transformer from an adapter folder; the base's weights stay.

    Raises:
        ValueError: weights are missing, altered, extra or misshapen.
    """
    own, state = _adapters_of(transformer), checkpoint.load_part(folder, ADAPTERS)
    checkpoint.check_fit(own, state, what=f"{ADAPTERS!r} weights in {folder}")
    transformer.load_state_dict(state, strict=False)


def load_lora(pipeline: Any, folder: Path) -> None:
    """Put the LoRA on the base's attention that an adapter folder may hold.

    Raises:
        ValueError: it holds one, and peft is not installed.
    """
    if not (folder / LORA_FILE).exists():
        return
    if find_spec("peft") is None:
        raise ValueError(f"The adapter in {folder} holds a LoRA, which needs peft; run: pip install peft")
    pipeline.load_lora_weights(folder, weight_name=LORA_FILE)


def save_base(pipeline: Any, folder: Path) -> None:
    """Write the base as diffusers does, without the adapters: any program that knows CogVideoX reads it."""
    from accelerate import init_empty_weights
    from diffusers import CogVideoXPipeline, CogVideoXTransformer3DModel

    ours = pipeline.transformer
    settings = {k: v for k, v in ours.config.items() if k not in ADAPTER_SETTINGS}
    with init_empty_weights(include_buffers=False):
        stock = CogVideoXTransformer3DModel.from_config(settings)
    base = {k: v for k, v in ours.state_dict().items() if not is_adapter_key(k)}
    stock.load_state_dict(base, assign=True)
    CogVideoXPipeline(**{**pipeline.components, "transformer": stock}).save_pretrained(folder)



def _adapters_of(transformer: nn.Module) -> dict[str, Tensor]:
    return {k: v for k, v in transformer.state_dict().items() if is_adapter_key(k)}


class T5TextEncoder(TextEncoder):
    """The T5 of a CogVideoX pipeline, wherever its memory mode has put it; T and the base both read it."""

    def __init__(self, config: TextConfig, pipeline: Any):
        super().__init__(config)
        self.pipeline = pipeline

    @torch.no_grad()
    def encode(self, texts: list[str]) -> TextStates:
        """Encode texts, padded or cut to `tokens` tokens."""
        whole = [len(self.pipeline.tokenizer(text).input_ids) for text in texts]
        states, _ = self.pipeline.encode_prompt(
            texts, do_classifier_free_guidance=False, max_sequence_length=self.tokens
        )
        lengths = torch.tensor(whole, device=states.device)
        mask = torch.arange(self.tokens, device=states.device)[None] < lengths[:, None]
        return TextStates(states.float(), mask, tuple(length > self.tokens for length in whole))

    def to(self, device: torch.device | str) -> "T5TextEncoder":
        """Stay where the memory mode has put it."""
        return self
