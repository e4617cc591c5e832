"""ConsisID, the real one (Yuan et al. 2024): diffusers' pipeline with its published weights, asked like IaD.

In: photos of a person and a sentence. Out: a clip. Nothing of the model is ours: the face is prepared as its
authors do (`consisid_faces`), and everything else is `ConsisIDPipeline`'s own. Its weights were trained
without facial keypoints, so none are given. Short prompts are written out, as its authors ask for long ones.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from iad.full_size.consisid_faces import (
    EVA,
    PACK,
    PARSER,
    DiffusersFaceReader,
    FaceCondition,
    FaceReader,
    check_insightface,
    load_face_reader,
    prepare_face,
)
from iad.full_size.forms import RequestDefaults, check_frames, check_sides, to_diffusers
from iad.full_size.hub import fetch_model, is_hub_id
from iad.full_size.memory import (
    apply_memory,
    check_mode,
    explain_out_of_memory,
    find_device,
    refuse_without_cuda,
)
from iad.full_size.prompts import write_long_prompt
from iad.full_size.published import check_tokenizer, explain, load_network
from iad.request import Request

REPOSITORY = "BestWishYsh/ConsisID-preview"
REVISION = "950bc3f0902db44799e223a12ad972f9c52b341d"
FACE_FILES = tuple(
    f"face_encoder/{name}" for name in (EVA, PARSER, f"{PACK}/scrfd_10g_bnkps.onnx", f"{PACK}/glintr100.onnx")
)
FILES = (
    "model_index.json", "scheduler/*", "text_encoder/*", "tokenizer/*", "transformer/*", "vae/*",
    *FACE_FILES, f"face_encoder/{PACK}/*", "face_encoder/*.pth",
)  # fmt: skip
FPS = 8
STEPS = 50
GUIDANCE_SCALE = 6.0


class ConsisID:
    """The published system behind one request; `load_consisid` makes it.

    Args:
        pipeline: a `ConsisIDPipeline`, already where it shall run.
        faces: prepares the photos.
        memory: how the pipeline is kept in memory.
        dtype: of what the pipeline computes.
    """

    def __init__(
        self,
        pipeline: Any,
        faces: FaceReader | DiffusersFaceReader,
        *,
        memory: str = "full",
        dtype: torch.dtype = torch.float32,
    ):
        self.pipeline, self.faces, self.memory, self.dtype = pipeline, faces, memory, dtype
        pipeline.set_progress_bar_config(disable=True)  # the callback tells

    @property
    def defaults(self) -> RequestDefaults:
        """What it was trained to make: 49 frames of 720 x 480 pixels, for the published weights."""
        made, scale = self.pipeline.transformer.config, self.pipeline.vae_scale_factor_spatial
        height, width = made.sample_height * scale, made.sample_width * scale
        return RequestDefaults(made.sample_frames, height, width, FPS, STEPS, GUIDANCE_SCALE)

    def generate(
        self,
        photos: list[UInt8[np.ndarray, "_ _ 3"]],
        request: Request,
        callback: Callable[[int, int], None] | None = None,
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """Make a clip of the person in the photos; same seed, same machine, same frames.

        Of several photos, the embeddings are averaged and the picture that it starts from is the first one's.

        Raises:
            ValueError: a size that its weights cannot make, or a photo without a face.
        """
        self._check(request)
        return self.generate_from(prepare_face(self.faces, photos), request, callback)

    @torch.no_grad()
    def generate_from(
        self, face: FaceCondition, request: Request, callback: Callable[[int, int], None] | None = None
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """Make a clip of a face that is already prepared.

        Raises:
            ValueError: a size that its weights cannot make.
        """
        from PIL import Image

        self._check(request)
        place = {"device": self.pipeline._execution_device, "dtype": self.dtype}
        with explain_out_of_memory(self.memory):
            made = self.pipeline(
                image=Image.fromarray(face.image),
                **to_diffusers(request, callback, prompt=write_long_prompt(request.prompt)),
                id_cond=face.id_cond.to(**place),
                id_vit_hidden=[layer.to(**place) for layer in face.id_vit_hidden],
                output_type="np",
            )
        return (made.frames[0] * 255).round().astype(np.uint8)

    def _check(self, request: Request) -> None:
        own, frames, height, width = self.defaults, request.num_frames, request.height, request.width
        if not self.pipeline.transformer.config.use_learned_positional_embeddings:
            check_frames(frames, most=own.num_frames)
            check_sides(height, width)
        elif (frames, height, width) != (own.num_frames, own.height, own.width):
            raise ValueError(  # of fewer frames diffusers would compute positions that it never learned
                f"ConsisID learned its positions for {own.num_frames} frames of {own.width} x {own.height} "
                f"pixels and makes no others; {frames} of {width} x {height} were asked for: leave them out."
            )


def load_consisid(
    source: str | Path | None = None,
    *,
    memory: str = "auto",
    device: str | None = None,
    accept_licence: bool = False,
) -> ConsisID:
    """Load ConsisID with its published weights.

    Args:
        source: a folder in the published layout or a hub id; None is the published repository, pinned.
        memory: one of `iad.full_size.memory.MEMORY_MODES`.
        device: None is CUDA where there is one, else the CPU.
        accept_licence: the caller accepts the licence of InsightFace's weights, which the repository holds;
            so does IAD_ACCEPT_INSIGHTFACE=1 in the environment. A folder that is there asks no more.

    Raises:
        ValueError: InsightFace is missing, its licence is not accepted, or the folder is no whole ConsisID.
    """
    check_insightface()
    place = find_device(device)
    check_mode(memory, place)
    dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
    folder = fetch_consisid(source, accept_licence=accept_licence)
    refuse_without_cuda(folder, device=place)
    faces = load_face_reader(folder, device=str(place), dtype=dtype)
    pipeline = load_pipeline(folder, dtype=dtype)
    return ConsisID(pipeline, faces, memory=apply_memory(pipeline, memory, device=place), dtype=dtype)


def fetch_consisid(source: str | Path | None = None, *, accept_licence: bool = False) -> Path:
    """Return the folder of ConsisID, downloading it if it is not here.

    Raises:
        ValueError: no whole ConsisID there, or the licence of InsightFace's weights is not accepted.
    """
    source = REPOSITORY if source is None else source
    revision = REVISION if str(source) == REPOSITORY else None
    folder = Path(source).expanduser()
    if folder.is_dir():
        _check_kind(folder)
    elif is_hub_id(source):
        _check_licence(str(source), revision, accept_licence)
    folder = fetch_model(source, revision=revision, files=FILES)
    _check_kind(folder)
    return folder


def load_pipeline(folder: Path, *, dtype: torch.dtype = torch.float32) -> Any:
    """Load the `ConsisIDPipeline` of a folder into main memory.

    Raises:
        ValueError: weights are broken or belong to another model.
    """
    import diffusers
    from transformers import T5EncoderModel

    check_tokenizer(folder / "tokenizer")
    networks = {
        name: load_network(kind, folder / name, dtype=dtype)
        for name, kind in (
            ("transformer", diffusers.ConsisIDTransformer3DModel),
            ("vae", diffusers.AutoencoderKLCogVideoX),
            ("text_encoder", T5EncoderModel),
        )
    }
    load = diffusers.ConsisIDPipeline.from_pretrained
    try:
        return load(folder, dtype=dtype, local_files_only=True, **networks)
    except Exception as error:  # of diffusers, transformers, tokenizers and safetensors
        raise ValueError(explain(error, folder)) from error


def _check_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "model_index.json").read_text()).get("_class_name")
    except (OSError, json.JSONDecodeError, AttributeError) as error:
        raise ValueError(
            f"{folder} is no ConsisID (no readable model_index.json); give the folder of {REPOSITORY}."
        ) from error
    if kind != "ConsisIDPipeline":
        raise ValueError(f"{folder} holds a {kind}, not a ConsisIDPipeline; give the folder of {REPOSITORY}.")


def _check_licence(source: str, revision: str | None, accepted: bool) -> None:
    """The repository carries antelopev2, which has a licence of its own."""
    from huggingface_hub import try_to_load_from_cache

    from iad.full_size.recogniser import ACCEPT, LICENCE

    if isinstance(try_to_load_from_cache(source, FACE_FILES[-1], revision=revision), str):
        return
    if not accepted and os.environ.get(ACCEPT) != "1":
        raise ValueError(
            f"{LICENCE} {source} holds them and is not here yet; accept this with {ACCEPT}=1 and it is "
            "fetched."
        )
    print(LICENCE, file=sys.stderr)
