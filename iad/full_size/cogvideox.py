"""Photo + sentence -> clip at full size: a stock CogVideoX pipeline, whose transformer carries our adapters.

Nothing is loaded before it is needed: the real ConsisID runs without CogVideoX-5B, and a face is decoupled
without either.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import repeat
from jaxtyping import UInt8
from torch import Tensor, nn

from iad.config import ARMS, PRESETS, FaceConfig, FullSizePreset
from iad.faces import Face
from iad.full_size import base as published
from iad.full_size.caching import CACHES, compile_blocks, step_cache
from iad.full_size.consisid import ConsisID, load_consisid
from iad.full_size.encoder import load_face_encoder, score_clip
from iad.full_size.forms import (
    RequestDefaults,
    check_frames,
    check_sides,
    single_out,
    to_diffusers,
)
from iad.full_size.hub import fetch_model
from iad.full_size.id_animator import IDAnimator, load_id_animator
from iad.full_size.memory import (
    apply_memory,
    check_mode,
    explain_out_of_memory,
    find_device,
    refuse_without_cuda,
)
from iad.media.photos import load_image
from iad.models.adapters import AdapterStates
from iad.models.autoencoder import to_uint8
from iad.models.splitting import Splitting, face_notes
from iad.request import Request
from iad.result import Result
from iad.text import NEUTRAL_PROMPT, Action, parse_prompt

UNTRAINED_NOTE = (
    "No adapter is loaded, so the clip follows the words alone, whoever is in the photo; give a trained one "
    "by adapter=FOLDER (--adapter)."
)


@dataclass(frozen=True)
class Sources:
    """Where the weights of a full-size pipeline come from, and how they are kept in memory."""

    base: Path | None = None  # None: the preset's own, from the hub
    adapter: Path | None = None
    baselines: Mapping[str, str | Path] = field(default_factory=dict)  # arms whose weights are elsewhere
    memory: str = "auto"
    cache: str | None = None  # of steps, one of `iad.full_size.caching.CACHES`
    compile: bool = False  # the blocks, on CUDA: minutes at first, quicker clips after
    dynamic_guidance: bool = False  # diffusers' `use_dynamic_cfg`: the guidance grows over the steps
    device: str | None = None  # None: CUDA where there is one
    accept_licence: bool = False  # of InsightFace's weights: non-commercial research only


class FullSizePipeline(Splitting):
    """IaD on CogVideoX, and the real baselines beside it, behind the same call as `IaDPipeline`."""

    arms = ARMS

    def __init__(self, preset: FullSizePreset, sources: Sources):
        super().__init__()
        self.preset, self.sources = preset, sources
        self.device = find_device(sources.device)
        check_mode(sources.memory, self.device)
        if sources.cache not in (None, *CACHES):
            raise ValueError(f"Unknown step cache {sources.cache!r}; choose one of {', '.join(CACHES)}.")
        self._loaded: dict[str, ConsisID | IDAnimator] = {}

    @classmethod
    def open(
        cls,
        name: str | Path,
        *,
        adapter: str | Path | None = None,
        arms: Sequence[str] = ("iad",),
        **sources: Any,
    ) -> "FullSizePipeline":
        """Build a pipeline and load what `arms` need, so that what is missing is said at once.

        Args:
            name: a preset, a folder in diffusers' layout, or a hub id.
            adapter: a folder or hub id of trained adapters; None those saved within the folder, if any.
            arms: which arms will be asked for.
            sources: see `Sources`.

        Raises:
            ValueError: weights are missing, half-downloaded, altered, of another base, or too large.
        """
        preset, base, found = PRESETS.get(str(name)), None, None
        if preset is None:
            base = fetch_model(name)
            preset = published.read_preset(base, replace(PRESETS["cogvideox-5b"], name=Path(name).name))
            within = base / published.ADAPTER_FOLDER
            found = within if within.is_dir() else None
        if adapter is not None:
            found = fetch_model(adapter, files=("*.json", "*.safetensors"))
        if found is None:  # no adapter reads the face, so the encoder that is here does for the scores
            preset = replace(preset, face=FaceConfig("mini"))
        else:
            trained = published.load_adapter_preset(found)
            published.check_base(trained.base, preset.base, folder=found)
            preset = replace(preset, **{part: getattr(trained, part) for part in published.TRAINED})
        pipeline = cls(preset, Sources(base=base, adapter=found, **sources))
        for arm in arms:
            _ = pipeline.base if arm == "iad" else pipeline.baseline(arm)
        return pipeline

    @cached_property
    def base(self) -> Any:
        """The stock pipeline with our transformer, in its memory mode; loaded when first asked for."""
        sources, base = self.sources, self.preset.base
        folder = sources.base or fetch_model(base.repo, revision=base.revision)
        refuse_without_cuda(folder, device=self.device)
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        pipeline = published.load_base(folder, self.preset, dtype=dtype)
        if sources.adapter is not None:
            published.load_adapters(pipeline.transformer, sources.adapter)
            published.load_lora(pipeline, sources.adapter)
        self.memory = apply_memory(pipeline, sources.memory, device=self.device)
        if sources.compile:
            compile_blocks(pipeline.transformer)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @cached_property
    def parts(self) -> nn.ModuleDict:
        """Face encoder, decoupler and T; loaded when first asked for."""
        split = published.create_full_split(self.preset)
        if self.sources.adapter is not None:
            published.load_split(split, self.sources.adapter)
        accept = self.sources.accept_licence
        split["encoder"] = load_face_encoder(self.preset.face, device=self.device, accept_licence=accept)
        return split.eval().requires_grad_(False).to(self.device)

    @cached_property
    def text_encoder(self) -> published.T5TextEncoder:
        """The base's T5."""
        return published.T5TextEncoder(self.preset.text, self.base)

    def baseline(self, arm: str) -> ConsisID | IDAnimator:
        """Return one of the real baselines, loading it the first time.

        Raises:
            ValueError: its weights or packages are missing.
        """
        if self.sources.cache:
            raise ValueError(f"The real {arm} has no step caches here; leave the cache out.")
        if arm not in self._loaded:
            source = self.sources.baselines.get(arm)
            given = {"memory": self.sources.memory, "device": str(self.device)}
            if arm == "consisid":  # the one that reads faces by InsightFace
                licence = self.sources.accept_licence
                self._loaded[arm] = load_consisid(source, accept_licence=licence, **given)
            else:
                self._loaded[arm] = load_id_animator(source, **given)
        return self._loaded[arm]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write base and adapters; the base as diffusers writes it, the adapters in a folder within.

        Raises:
            ValueError: the base's weights are at one byte each, and so no longer what was loaded.
        """
        base = self.base  # and with it, the mode
        if self.memory in ("int8", "fp8"):
            raise ValueError(f"In the memory mode {self.memory!r} weights are rounded; save in another mode.")
        published.save_base(base, Path(folder))
        self.save_adapter(Path(folder) / published.ADAPTER_FOLDER)

    def save_adapter(self, folder: str | Path) -> None:
        """Write decoupler, T and adapters alone."""
        published.save_adapter(folder, self.preset, self.parts, self.base.transformer)

    @torch.inference_mode()
    def generate(self, request: Request, callback: Callable[[int, int], None] | None = None) -> Result:
        """Generate a clip; `callback` is called with (step, total) after every step.

        Raises:
            ValueError: bad input, or too little memory, in one sentence that says what to do.
        """
        begun = time.perf_counter()
        request.check_for(small=False)
        request = self._defaults(request.arm).complete(request)
        words = request.prompt
        if request.action_reference is not None and not words.strip():
            words = NEUTRAL_PROMPT
        segments = parse_prompt(words, request.timeline, duration=request.num_frames / request.fps)
        faces = [self.find_face(photo, request.face) for photo in request.references]
        code, notes = None, face_notes(faces, request.face)
        told = replace(request, prompt=_join(segments))
        if request.arm == "iad":
            frames, code = self._generate(faces, segments, told, callback)
            notes += [] if self.sources.adapter else [UNTRAINED_NOTE]
        else:
            if request.action_reference is not None:
                alone = f"The real {request.arm} follows words alone"
                raise ValueError(f"{alone}; leave out the action reference.")
            photos = [single_out(load_image(p), f) for p, f in zip(request.references, faces, strict=True)]
            frames = self.baseline(request.arm).generate(photos, told, callback)
        scores = score_clip(self, frames, faces, code, split=self.sources.adapter is not None)
        settings = {
            "model": self.preset.name, "arm": request.arm, "seed": request.seed, "prompt": request.prompt,
            "frames": request.num_frames, "height": request.height, "width": request.width,
            "steps": request.num_inference_steps, "guidance_scale": request.guidance_scale,
        }  # fmt: skip
        elapsed = time.perf_counter() - begun
        return Result(frames, request.fps, request.seed, elapsed, scores, settings, notes)

    def _defaults(self, arm: str) -> RequestDefaults:
        if arm != "iad":
            return self.baseline(arm).defaults
        p = self.preset
        return RequestDefaults(p.frames, p.height, p.width, p.fps, p.sampler.steps, p.sampler.guidance_scale)

    def _generate(
        self,
        faces: list[Face],
        segments: Sequence[Action],
        request: Request,
        callback: Callable[[int, int], None] | None,
    ) -> tuple[UInt8[np.ndarray, "f h w 3"], Tensor]:
        check_frames(request.num_frames, most=self.preset.frames)
        check_sides(request.height, request.width)
        latent_frames = self.preset.count_latents(request.num_frames)
        if request.action_reference is None:
            code = self.text_codes(segments, latent_frames)
        else:
            code = self._driving_codes(request.action_reference, latent_frames)
        cache, steps = request.cache or self.sources.cache, request.num_inference_steps
        cached = step_cache(self.base, cache, steps=steps)
        with explain_out_of_memory(self.memory), cached:
            clip = self.base(
                **to_diffusers(request, callback),
                use_dynamic_cfg=self.sources.dynamic_guidance,
                attention_kwargs={"adapter": self._adapt(faces, code, request)},
                max_sequence_length=self.preset.text.tokens,
                output_type="pt",
            ).frames[0]
        return to_uint8(clip.float()), code

    def _adapt(self, faces: list[Face], code: Tensor, request: Request) -> AdapterStates:
        """Project identity and action once per video; without words, the person is left to themselves."""
        transformer, rows = self.base.transformer, 2 if request.guidance_scale > 1 else 1
        crops = np.stack([face.image for face in faces])
        identity = self._split(crops).identity.mean(0, keepdim=True)
        action = self.parts["decoupler"].expand(code)
        dtype = self.base.text_encoder.dtype
        states = transformer.adapt(
            repeat(identity, "1 q d -> r q d", r=rows).to(dtype),
            repeat(action, "1 f q d -> r f q d", r=rows).to(dtype),
            frames=code.shape[1],
            identity_scale=torch.full((rows,), request.identity_scale),
            action_scale=request.action_scale * torch.tensor([0.0, 1.0])[-rows:],
        )
        return states.to(self.device)


def _join(segments: Sequence[Action]) -> str:
    """Say all actions in one sentence, in their order."""
    return ", then ".join(dict.fromkeys(segment.prompt for segment in segments))
