"""Weights that others publish: read as data, and fitted to a network name by name, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from iad.checkpoint import check_fit


def read_published(file: Path) -> dict[str, Tensor]:
    """Read the weights of a torch or safetensors file; nothing in it is run.

    Weights that lie in parts, {"a": {"b": ...}}, get joint names, "a.b".

    Raises:
        ValueError: the file is missing, cut short, or holds more than weights.
    """
    from diffusers.models.model_loading_utils import load_state_dict  # of a pickle it reads weights alone

    if not file.is_file():
        raise ValueError(f"{file} is missing; the download is not complete, run it again.")
    try:
        content: Any = load_state_dict(str(file), disable_mmap=True)  # a mapped file must not change
    except OSError as error:
        raise ValueError(
            f"{file} cannot be read as weights: it is cut short or holds more than weights; fetch it again."
        ) from error
    for wrapping in ("state_dict", "module", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    content = content if isinstance(content, Mapping) else {}
    parts = {k: v for k, v in content.items() if isinstance(v, Mapping)}
    content = dict(content) | {f"{part}.{k}": v for part in parts for k, v in parts[part].items()}
    weights = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not weights:
        raise ValueError(f"{file} holds no weights by name; download that file again.")
    return {name.removeprefix("module."): value for name, value in weights.items()}


def fill_module(module: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Put weights into a module that has exactly these.

    Raises:
        ValueError: some are missing, extra or misshapen.
    """
    check_fit(module.state_dict(), state, what=f"weights in {file}")
    module.load_state_dict(dict(state))


def load_network(kind: Any, folder: Path, **settings: Any) -> nn.Module:
    """Load a network of diffusers or transformers; left alone they would fill gaps with arbitrary memory.

    Raises:
        ValueError: its folder cannot be read, or weights are missing or misshapen.
    """
    try:
        network, report = kind.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True, **settings
        )
    except Exception as error:  # of diffusers, transformers, torch and safetensors
        raise ValueError(explain(error, folder)) from error
    misshapen = [key if isinstance(key, str) else key[0] for key in report["mismatched_keys"]]
    missing = {name: torch.empty(0) for name in (*report["missing_keys"], *misshapen)}
    check_fit(missing, {}, what=f"weights in {folder}")
    return network.eval().requires_grad_(False)


def load_cogvideox(kind: str, denoiser: str, folder: Path, *, dtype: torch.dtype, **components: Any) -> Any:
    """Load a pipeline of CogVideoX's kin into main memory, each of its networks whole or not at all.

    Args:
        kind: the pipeline's class in diffusers.
        denoiser: its transformer's.
        folder: as diffusers saves it.
        dtype: of all weights.
        components: parts to take instead of the folder's; `vae=None` leaves one out.

    Raises:
        ValueError: weights are missing, broken or of another model.
    """
    import diffusers
    from transformers import T5EncoderModel

    check_tokenizer(folder / "tokenizer")
    kinds = {
        "transformer": getattr(diffusers, denoiser),
        "vae": diffusers.AutoencoderKLCogVideoX,
        "text_encoder": T5EncoderModel,
    }
    for name in kinds.keys() - components.keys():
        components[name] = load_network(kinds[name], folder / name, dtype=dtype)
    try:
        return getattr(diffusers, kind).from_pretrained(
            folder, dtype=dtype, local_files_only=True, **components
        )
    except Exception as error:  # of diffusers, transformers and tokenizers
        raise ValueError(explain(error, folder)) from error


def check_tokenizer(folder: Path) -> None:
    """Refuse a tokenizer that is published as a SentencePiece model, where what reads these is missing.

    Raises:
        ValueError: sentencepiece or protobuf is not installed; transformers would ask for something else.
    """
    if not (folder / "spiece.model").is_file() or (folder / "tokenizer.json").is_file():
        return
    try:
        import google.protobuf  # noqa: F401
        import sentencepiece  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"Reading the tokenizer in {folder} needs two packages: run pip install sentencepiece protobuf."
        ) from error


def explain(error: Exception, place: Path) -> str:
    """Say in a sentence that a library could not load a place, with the first line of its reason."""
    reason = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(". ")
    return f"{place} cannot be loaded ({reason}); download the published files again."
