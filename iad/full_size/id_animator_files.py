"""Where the parts of ID-Animator come from, and AnimateDiff put together from them, whole or not at all.

In: a folder, a hub id, or nothing for what its authors use. Out: a pipeline without face adapter, and the
adapter's file. Their base is one file in the layout of Stable Diffusion's own code, which lies in their Space
beside the adapter: realisticVisionV60B1_v51VAE, Realistic Vision 5.1 with a VAE whatever its name says.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from iad.checkpoint import check_fit
from iad.full_size.folder import check_folder
from iad.full_size.hub import fetch_model
from iad.full_size.id_animator_adapter import ADAPTERS
from iad.full_size.published import explain, load_network

SPACE = "ID-Animator/ID-Animator"  # the authors publish adapter and base nowhere else
BASE = "realisticVisionV60B1_v51VAE.safetensors"
BASE_CONFIGS = "animatediff/sd"  # Stable Diffusion 1.5 in diffusers' layout, of which they take the configs
MOTION = "guoyww/animatediff-motion-adapter-v1-5-2"
MOTION_REVISION = "6167b88ffe39b4441fdf2113e77b99a6f56b7906"
ENCODER = "h94/IP-Adapter"
ENCODER_REVISION = "018e402774aeeddd60609b4ecdb7e298259dc729"
ENCODER_FOLDER = "models/image_encoder"

PARTS = ("base", "motion", "image_encoder")
BASE_FILES = ("unet/*", "vae/*", "text_encoder/*", "tokenizer/*")
_WEIGHTS = "diffusion_pytorch_model.[bs]*"  # .bin or .safetensors, and no half-precision copy
_NETWORK_FILES = ("config.json", _WEIGHTS)
_SPACE_DOWNLOADS = (
    ADAPTERS[-1],
    BASE,
    *(f"{BASE_CONFIGS}/{part}/config.json" for part in ("unet", "vae", "text_encoder")),
    f"{BASE_CONFIGS}/tokenizer/*",
)
_TEXT_KEYS = "cond_stage_model.transformer."  # of the text encoder, in one file
_ENCODER_DOWNLOADS = tuple(f"{ENCODER_FOLDER}/{file}" for file in ("config.json", "model.safetensors"))


@dataclass(frozen=True)
class Places:
    """Where the parts of an ID-Animator lie."""

    base: Path  # in diffusers' layout
    motion: Path
    image_encoder: Path
    adapter: Path
    base_weights: Path | None = None  # one file with all weights of the base; None: beside its configs


def find_places(source: str | Path) -> Places:
    """Find the parts of an ID-Animator in one folder, or in one repository of the hub.

    Raises:
        ValueError: a part is missing or incomplete.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        wanted = [f"base/{pattern}" for pattern in BASE_FILES]
        folder = fetch_model(source, files=[*wanted, "motion/*", "image_encoder/*", "animator.*"])
    found = [folder / name for name in ADAPTERS if (folder / name).is_file()]
    missing = [f"{part}/" for part in PARTS if not (folder / part).is_dir()]
    missing += [] if found else [" or ".join(ADAPTERS)]
    if missing:
        raise ValueError(
            f"{folder} is no whole ID-Animator: it lacks {', '.join(missing)}; put there what its authors "
            f"publish, or leave the folder out."
        )
    check_folder(folder / "base", files=BASE_FILES)
    return Places(*(folder / part for part in PARTS), found[0])


def fetch_published() -> Places:
    """Fetch what the authors of ID-Animator use: Realistic Vision 5.1, AnimateDiff v1.5.2, IP-Adapter's CLIP.

    Raises:
        ValueError: something cannot be fetched.
    """
    space = fetch_model(SPACE, files=_SPACE_DOWNLOADS, repo_type="space")
    motion = fetch_model(MOTION, revision=MOTION_REVISION, files=_NETWORK_FILES)
    encoder = fetch_model(ENCODER, revision=ENCODER_REVISION, files=_ENCODER_DOWNLOADS)
    image_encoder, adapter = encoder / ENCODER_FOLDER, space / ADAPTERS[-1]
    return Places(space / BASE_CONFIGS, motion, image_encoder, adapter, space / BASE)


def load_pipeline(places: Places, dtype: torch.dtype) -> Any:
    """Load the `AnimateDiffPipeline` of these parts with the scheduler of ID-Animator, on the CPU.

    Raises:
        ValueError: a part cannot be read, or is not whole.
    """
    import diffusers
    import transformers

    load = load_network if places.base_weights is None else partial(_load_from_one_file, places.base_weights)
    networks = {
        name: load(kind, places.base / name, dtype=dtype)
        for name, kind in (
            ("vae", diffusers.AutoencoderKL),
            ("text_encoder", transformers.CLIPTextModel),
            ("unet", diffusers.UNet2DConditionModel),
        )
    }
    encoder = load_network(transformers.CLIPVisionModelWithProjection, places.image_encoder, dtype=dtype)
    size = encoder.config.image_size
    pipeline = diffusers.AnimateDiffPipeline(
        **networks,
        tokenizer=_load_tokenizer(places.base / "tokenizer"),
        motion_adapter=load_network(diffusers.MotionAdapter, places.motion, dtype=dtype),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="linear", steps_offset=1, clip_sample=False
        ),
        feature_extractor=transformers.CLIPImageProcessor(size=size, crop_size=size),
        image_encoder=encoder,
    )
    pipeline.unet.eval()
    pipeline.motion_adapter = None  # the UNet holds a copy
    return pipeline


def _load_from_one_file(weights: Path, kind: Any, configs: Path, *, dtype: torch.dtype) -> torch.nn.Module:
    """Load one network of a base that is a single file, none of whose weights may be missing."""
    load = _load_text_encoder if configs.name == "text_encoder" else _load_by_diffusers
    try:
        model, missing = load(weights, kind, configs)
    except Exception as error:  # of diffusers, of transformers and of safetensors' reader
        raise ValueError(explain(error, weights)) from error
    check_fit({name: torch.empty(0) for name in missing}, {}, what=f"weights of {kind.__name__} in {weights}")
    return model.to(dtype).eval().requires_grad_(False)


def _load_by_diffusers(weights: Path, kind: Any, configs: Path) -> tuple[torch.nn.Module, list[str]]:
    model = kind.from_single_file(str(weights), config=str(configs), local_files_only=True)
    return model, [name for name, weight in model.state_dict().items() if weight.is_meta]


def _load_text_encoder(weights: Path, kind: Any, configs: Path) -> tuple[torch.nn.Module, list[str]]:
    from safetensors import safe_open

    config = kind.config_class.from_pretrained(configs, local_files_only=True)
    with safe_open(weights, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(_TEXT_KEYS)]  # noqa: SIM118
        state = {name.removeprefix(_TEXT_KEYS): file.get_tensor(name) for name in names}
    model, report = kind.from_pretrained(None, config=config, state_dict=state, output_loading_info=True)
    return model, sorted(report["missing_keys"])


def _load_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ValueError(f"{folder} holds no CLIP tokenizer that can be read; fetch it again.") from error
