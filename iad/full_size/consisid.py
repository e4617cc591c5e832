"""ConsisID, the real one (Yuan et al. 2024): diffusers' pipeline with its published weights, asked like IaD.

In: photos of a person and a sentence. Out: a clip. Nothing of the model is ours: the face is prepared as its
authors do (`consisid_faces`), and everything else is `ConsisIDPipeline`'s own. Its weights were trained
without facial keypoints, so none are given. Short prompts are written out, as its authors ask for long ones.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from iad.full_size.arcface import check_licence, import_insightface
from iad.full_size.consisid_faces import (
    EVA,
    PACK,
    PARSER,
    FaceCondition,
    FaceReader,
    load_face_reader,
    prepare_face,
)
from iad.full_size.forms import RequestDefaults, to_diffusers
from iad.full_size.hub import check_kind, fetch_model, is_hub_id
from iad.full_size.memory import (
    apply_memory,
    check_mode,
    explain_out_of_memory,
    find_device,
    refuse_without_cuda,
)
from iad.full_size.published import load_cogvideox
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
LONG = 40  # words; a prompt of so many is left as it was written
_WRITTEN_OUT = (
    "The video captures one person, head and shoulders, facing the camera: {prompt}. The face is clearly "
    "visible and evenly lit, and every movement of the eyes, the brows and the mouth can be seen as the "
    "expression changes. Soft daylight brings out the texture of skin and hair. The background is calm and "
    "slightly out of focus, and the camera stays where it is. The overall atmosphere of the video is natural "
    "and lifelike."
)


class ConsisID:
    """The published system behind one request; `load_consisid` makes it.

    Args:
        pipeline: a `ConsisIDPipeline`, already where it shall run.
        faces: prepares the photos.
        memory: how the pipeline is kept in memory.
    """

    def __init__(self, pipeline: Any, faces: FaceReader, *, memory: str = "full"):
        self.pipeline, self.faces, self.memory = pipeline, faces, memory
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
        place = {"device": self.pipeline._execution_device, "dtype": self.pipeline.text_encoder.dtype}
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
        if (frames, height, width) != (own.num_frames, own.height, own.width):
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
    import_insightface()
    place = find_device(device)
    check_mode(memory, place)
    dtype = torch.bfloat16 if place.type == "cuda" else torch.float32
    folder = fetch_consisid(source, accept_licence=accept_licence)
    refuse_without_cuda(folder, device=place)
    faces = load_face_reader(folder, device=place, dtype=dtype)
    pipeline = load_pipeline(folder, dtype=dtype)
    return ConsisID(pipeline, faces, memory=apply_memory(pipeline, memory, device=place))


def fetch_consisid(source: str | Path | None = None, *, accept_licence: bool = False) -> Path:
    """Return the folder of ConsisID, downloading it if it is not here.

    Raises:
        ValueError: no whole ConsisID there, or the licence of InsightFace's weights is not accepted.
    """
    source = REPOSITORY if source is None else source
    revision = REVISION if str(source) == REPOSITORY else None
    folder = Path(source).expanduser()
    if folder.is_dir():
        check_kind(folder, "ConsisIDPipeline")
    elif is_hub_id(source) and not _is_here(str(source), revision):
        check_licence(accept_licence, where=f"with {source}, which holds them")
    folder = fetch_model(source, revision=revision, files=FILES)
    check_kind(folder, "ConsisIDPipeline")
    return folder


def load_pipeline(folder: Path, *, dtype: torch.dtype = torch.float32) -> Any:
    """Load the `ConsisIDPipeline` of a folder into main memory.

    Raises:
        ValueError: weights are missing, broken or of another model.
    """
    return load_cogvideox("ConsisIDPipeline", "ConsisIDTransformer3DModel", folder, dtype=dtype)


def write_long_prompt(prompt: str) -> str:
    """Write a short prompt out, as ConsisID's authors let GPT-4o do; a long one stays as it is.

    ConsisID "works well with long and well-described prompts". The fixed text of the same build adds nothing
    but a plain portrait.
    """
    prompt = prompt.strip()
    return prompt if len(prompt.split()) >= LONG else _WRITTEN_OUT.format(prompt=prompt.rstrip("."))


def _is_here(repository: str, revision: str | None) -> bool:
    """Tell whether a repository's antelopev2, which has a licence of its own, was fetched before."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, FACE_FILES[-1], revision=revision), str)
