"""Where the parts of ID-Animator come from, and AnimateDiff put together from them, whole or not at all.

In: a folder, a hub id, or nothing for what its authors use. Out: a pipeline without the face adapter, and the
adapter's file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from iad.full_size.folder import check_folder
from iad.full_size.hub import fetch_model
from iad.full_size.id_animator_adapter import ADAPTERS

BASE = "SG161222/Realistic_Vision_V6.0_B1_noVAE"
BASE_REVISION = "7f177697718f088f243fd357263b9f0cb22d0cac"
MOTION = "guoyww/animatediff-motion-adapter-v1-5-2"
MOTION_REVISION = "6167b88ffe39b4441fdf2113e77b99a6f56b7906"
ENCODER = "h94/IP-Adapter"
ENCODER_REVISION = "018e402774aeeddd60609b4ecdb7e298259dc729"
ENCODER_FOLDER = "models/image_encoder"
ADAPTER_SPACE = "ID-Animator/ID-Animator"  # a Space; the authors publish the file nowhere else

PARTS = ("base", "motion", "image_encoder")
BASE_FILES = ("unet/*", "vae/*", "text_encoder/*", "tokenizer/*")
_WEIGHTS = "diffusion_pytorch_model.[bs]*"  # .bin or .safetensors, and no half-precision copy
_NETWORK_FILES = ("config.json", _WEIGHTS)
_BASE_DOWNLOADS = (
    *(f"{part}/{file}" for part in ("unet", "vae") for file in _NETWORK_FILES),
    "text_encoder/*",
    "tokenizer/*",
)
_ENCODER_DOWNLOADS = tuple(f"{ENCODER_FOLDER}/{file}" for file in ("config.json", "model.safetensors"))


@dataclass(frozen=True)
class Places:
    """Where the parts of an ID-Animator lie."""

    base: Path
    motion: Path
    image_encoder: Path
    adapter: Path


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
    """Fetch what the authors of ID-Animator use: Realistic Vision 6.0, AnimateDiff v1.5.2, IP-Adapter's CLIP.

    Raises:
        ValueError: something cannot be fetched.
    """
    base = fetch_model(BASE, revision=BASE_REVISION, files=_BASE_DOWNLOADS)
    motion = fetch_model(MOTION, revision=MOTION_REVISION, files=_NETWORK_FILES)
    encoder = fetch_model(ENCODER, revision=ENCODER_REVISION, files=_ENCODER_DOWNLOADS)
    return Places(base, motion, encoder / ENCODER_FOLDER, _fetch_adapter())


def _fetch_adapter() -> Path:
    from huggingface_hub import hf_hub_download

    name = ADAPTERS[-1]
    try:
        return Path(hf_hub_download(ADAPTER_SPACE, name, repo_type="space"))
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"{name} could not be fetched from the Space {ADAPTER_SPACE} ({type(error).__name__}); connect "
            f"and try again, or give a folder that holds it beside {', '.join(PARTS)}."
        ) from error


def load_pipeline(places: Places, dtype: torch.dtype) -> Any:
    """Load the `AnimateDiffPipeline` of these parts with the scheduler of ID-Animator, on the CPU.

    Raises:
        ValueError: a part cannot be read, or is not whole.
    """
    import diffusers
    import transformers

    base, half = places.base, {"torch_dtype": dtype}
    encoder = _load(transformers.CLIPVisionModelWithProjection, places.image_encoder, dtype=dtype)
    size = encoder.config.image_size
    pipeline = diffusers.AnimateDiffPipeline(
        vae=_load(diffusers.AutoencoderKL, base / "vae", **half),
        text_encoder=_load(transformers.CLIPTextModel, base / "text_encoder", dtype=dtype),
        tokenizer=_load_tokenizer(base / "tokenizer"),
        unet=_load(diffusers.UNet2DConditionModel, base / "unet", **half),
        motion_adapter=_load(diffusers.MotionAdapter, places.motion, **half),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="linear", steps_offset=1, clip_sample=False
        ),
        feature_extractor=transformers.CLIPImageProcessor(size=size, crop_size=size),
        image_encoder=encoder,
    )
    pipeline.unet.eval()
    pipeline.motion_adapter = None  # the UNet holds a copy
    return pipeline


def _load(kind: Any, folder: Path, **settings: Any) -> torch.nn.Module:
    """Load one network, none of whose weights may be missing."""
    try:
        model, report = kind.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, **settings
        )
    except Exception as error:  # of diffusers, of transformers, of torch's and of safetensors' readers
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{folder} holds no {kind.__name__} that can be read ({reason}); fetch it again."
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        shown = ", ".join(missing[:5])
        raise ValueError(
            f"The weights in {folder} are not whole: {len(missing)} keys are missing ({shown}); "
            f"fetch them again."
        )
    return model


def _load_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ValueError(f"{folder} holds no CLIP tokenizer that can be read; fetch it again.") from error
