"""ID-Animator, the real one (arXiv 2404.15275): SD 1.5, AnimateDiff's motion modules and a face adapter.

In: photos of a person and a sentence. Out: sixteen frames. Everything is diffusers' `AnimateDiffPipeline` and
transformers' CLIP with the published weights; the settings are those of its authors' `infer.py`. Two things
differ: the landmarks that frame the face are ours, not InsightFace's, and the attention to the face has the
scale 1, as on their page, where the script has 0.8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from iad.checkpoint import check_fit
from iad.faces import Landmarker, crop, find_face
from iad.full_size.arcface import five_points
from iad.full_size.forms import RequestDefaults, check_sides, to_diffusers
from iad.full_size.hub import check_folder, fetch_model
from iad.full_size.id_animator_adapter import ADAPTERS, install_adapter, read_adapter
from iad.full_size.memory import apply_memory, check_mode, explain_out_of_memory, find_device
from iad.full_size.published import explain, load_network
from iad.models.autoencoder import to_uint8
from iad.models.reading import as_landmarker, load_mini_reader
from iad.request import Request

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

SIDE_STEP = 8  # pixels of a latent
MOST_STEPS = 999  # of a schedule of 1000, the first of which is left out
CROP_SIZE = 112
# Where ArcFace's crop has both eyes, the nose and both corners of the mouth, in its pixels.
TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
            (70.7299, 92.2041))  # fmt: skip
QUALITY = " 8k uhd, high quality, medium shot"  # what ID-Animator's page adds
NEGATIVE_PROMPT = (
    "semi-realistic, cgi, 3d, render, sketch, cartoon, drawing, anime, text, close up, cropped, out of "
    "frame, worst quality, low quality, jpeg artifacts, ugly, duplicate, morbid, mutilated, extra "
    "fingers, mutated hands, poorly drawn hands, poorly drawn face, mutation, deformed, blurry, "
    "dehydrated, bad anatomy, bad proportions, extra limbs, cloned face, disfigured, gross proportions, "
    "malformed limbs, missing arms, missing legs, extra arms, extra legs, fused fingers, too many "
    "fingers, long neck long shots, full body"
)


class IDAnimator:
    """The published system behind one request: AnimateDiff, conditioned on a face.

    Args:
        pipeline: an `AnimateDiffPipeline` with the face adapter in it.
        landmarker: finds the landmarks of a face.
        memory: how the pipeline is kept in memory.
    """

    defaults = RequestDefaults(16, 512, 512, fps=8, num_inference_steps=30, guidance_scale=8.0)

    def __init__(self, pipeline: Any, landmarker: Landmarker, *, memory: str):
        self.pipeline, self.memory, self._landmarker = pipeline, memory, landmarker
        self.identity_scale = 1.0  # of the attention to the face; the adapter's LoRA works at 0 too
        pipeline.set_progress_bar_config(disable=True)  # the callback tells

    @torch.inference_mode()
    def generate(
        self,
        photos: list[UInt8[np.ndarray, "_ _ 3"]],
        request: Request,
        callback: Callable[[int, int], None] | None = None,
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """Make a clip of the person in the photos; of several photos the mean of their tokens counts.

        Raises:
            ValueError: no photo, no face in one, or a size that the model cannot make.
        """
        self._check(request)
        if not photos:
            raise ValueError("ID-Animator was given no photo; give at least one of the person.")
        faces = [Image.fromarray(crop_face(photo, self._landmarker)) for photo in photos]
        self.pipeline.set_ip_adapter_scale(self.identity_scale)
        with explain_out_of_memory(self.memory):
            made = self.pipeline(
                **to_diffusers(request, callback, prompt=request.prompt + QUALITY),
                negative_prompt=NEGATIVE_PROMPT,
                ip_adapter_image=[faces],  # one adapter, several photos
                output_type="pt",
                decode_chunk_size=1,
            )
        return to_uint8(made.frames[0].float())

    def _check(self, request: Request) -> None:
        frames = self.pipeline.unet.config.motion_max_seq_length
        for name, most in (("num_frames", frames), ("num_inference_steps", MOST_STEPS)):
            asked = getattr(request, name)
            if not 1 <= asked <= most:
                near = min(max(asked, 1), most)
                raise ValueError(f"{name} is {asked}; ID-Animator takes 1 to {most}, try {near}.")
        check_sides(request.height, request.width, step=SIDE_STEP)


def crop_face(photo: UInt8[np.ndarray, "h w 3"], landmarker: Landmarker) -> UInt8[np.ndarray, "112 112 3"]:
    """Cut out the largest face with eyes, nose and mouth where ArcFace wants them, as ID-Animator does.

    Raises:
        ValueError: no face is found.
    """
    return crop(photo, align(five_points(find_face(photo, landmarker).landmarks)), CROP_SIZE)


def align(points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Map photo pixels to the unit square of ArcFace's crop by the best similarity."""
    from skimage.transform import SimilarityTransform

    places = (np.array(TEMPLATE) + 0.5) / CROP_SIZE  # a unit square's edge is half a pixel before a centre
    return SimilarityTransform.from_estimate(np.asarray(points, float), places).params[:2]


def load_id_animator(
    source: str | Path | None = None, *, memory: str = "auto", device: str | None = None
) -> IDAnimator:
    """Load ID-Animator, in half precision on a GPU as its authors do.

    Args:
        source: a folder or hub id with `base/` (Stable Diffusion 1.5 in diffusers' layout), `motion/` (a
            `MotionAdapter`), `image_encoder/` (CLIP ViT-H/14) and `animator.safetensors`, or else
            `animator.ckpt`; None fetches what its authors use.
        memory: one of `iad.full_size.memory.MEMORY_MODES`.
        device: None is the GPU, where there is one.

    Raises:
        ValueError: a part is missing, broken or of another model; the message says what to do.
    """
    place = find_device(device)
    check_mode(memory, place)  # before anything is fetched
    places = fetch_published() if source is None else find_places(source)
    pipeline = load_pipeline(places, torch.float16 if place.type == "cuda" else torch.float32)
    install_adapter(pipeline, read_adapter(places.adapter), file=places.adapter)
    landmarker = as_landmarker(load_mini_reader())
    return IDAnimator(pipeline, landmarker, memory=apply_memory(pipeline, memory, device=place))


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
    size, words = encoder.config.image_size, places.base / "tokenizer"
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(words, local_files_only=True)
    except Exception as error:  # of transformers and tokenizers
        raise ValueError(explain(error, words)) from error
    pipeline = diffusers.AnimateDiffPipeline(
        **networks,
        tokenizer=tokenizer,
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
