"""ID-Animator, the real one (arXiv 2404.15275): SD 1.5, AnimateDiff's motion modules and a face adapter.

In: photos of a person and a sentence. Out: sixteen frames. Everything is diffusers' `AnimateDiffPipeline` and
transformers' CLIP with the published weights; the settings are those of its authors' `infer.py`. Two things
differ: the landmarks that frame the face are ours, not InsightFace's, and the attention to the face has the
scale 1, as on their page, where the script has 0.8.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from iad.faces import Landmarker, crop, find_face
from iad.full_size.forms import RequestDefaults, check_sides, to_diffusers
from iad.full_size.id_animator_adapter import check_adapter, install_adapter, read_adapter
from iad.full_size.id_animator_files import fetch_published, find_places, load_pipeline
from iad.full_size.memory import apply_memory, check_mode, explain_out_of_memory, find_device
from iad.full_size.prompts import NEGATIVE_PROMPT, add_quality
from iad.full_size.recogniser import five_points
from iad.models.autoencoder import to_uint8
from iad.models.reading import as_landmarker, load_mini_reader
from iad.request import Request

SIDE_STEP = 8  # pixels of a latent
MOST_STEPS = 999  # of a schedule of 1000, the first of which is left out
CROP_SIZE = 112
# Where ArcFace's crop has both eyes, the nose and both corners of the mouth, in its pixels.
TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
            (70.7299, 92.2041))  # fmt: skip


class IDAnimator:
    """A `RealBaseline`: AnimateDiff, conditioned on a face.

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
        self._check(request.num_frames, request.num_inference_steps)
        check_sides(request.height, request.width, step=SIDE_STEP)
        if not photos:
            raise ValueError("ID-Animator was given no photo; give at least one of the person.")
        faces = [Image.fromarray(crop_face(photo, self._landmarker)) for photo in photos]
        self.pipeline.set_ip_adapter_scale(self.identity_scale)
        with explain_out_of_memory(self.memory):
            made = self.pipeline(
                **to_diffusers(request, callback, prompt=add_quality(request.prompt)),
                negative_prompt=NEGATIVE_PROMPT,
                ip_adapter_image=[faces],  # one adapter, several photos
                output_type="pt",
                decode_chunk_size=1,
            )
        return to_uint8(made.frames[0].float())

    def _check(self, frames: int, steps: int) -> None:
        most = self.pipeline.unet.config.motion_max_seq_length
        if not 1 <= frames <= most:
            near = min(max(frames, 1), most)
            raise ValueError(f"num_frames is {frames}; ID-Animator makes 1 to {most} frames, try {near}.")
        if not 1 <= steps <= MOST_STEPS:
            near = min(max(steps, 1), MOST_STEPS)
            raise ValueError(f"The steps are {steps}; ID-Animator takes 1 to {MOST_STEPS}, try {near}.")


def crop_face(photo: UInt8[np.ndarray, "h w 3"], landmarker: Landmarker) -> UInt8[np.ndarray, "112 112 3"]:
    """Cut out the largest face with eyes, nose and mouth where ArcFace wants them, as ID-Animator does.

    Raises:
        ValueError: no face is found.
    """
    return crop(photo, align(five_points(find_face(photo, landmarker).landmarks)), CROP_SIZE)


def align(points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Map photo pixels to the unit square of ArcFace's crop by the best similarity."""
    x, y = np.asarray(points, float).T
    u, v = ((np.array(TEMPLATE) + 0.5) / CROP_SIZE).T  # a unit square's edge is half a pixel before a centre
    here, there = x + 1j * y, u + 1j * v
    spread = here - here.mean()
    turn = np.vdot(spread, there) / np.vdot(spread, spread).real
    shift = there.mean() - turn * here.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


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
    state = read_adapter(places.adapter)
    token_dim = pipeline.image_encoder.config.hidden_size
    state = check_adapter(state, pipeline.unet, token_dim=token_dim, file=places.adapter)
    install_adapter(pipeline, state)
    landmarker = as_landmarker(load_mini_reader())
    return IDAnimator(pipeline, landmarker, memory=apply_memory(pipeline, memory, device=place))
