"""Photo + sentence -> clip: `IaDPipeline` loads the parts, splits faces, and generates.

In: reference photos, a prompt, a timeline or driving pictures. Out: a `Result` with frames and scores. What
never reaches the denoiser: the reference's action part, and the reference's pixels; the photo's detail comes
back afterwards, along a motion field (`iad.finishing`), as far as `detail_scale` says.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import repeat
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from iad import checkpoint
from iad.autoencoder import decode_latents, to_tensor, to_uint8, weigh_contrast
from iad.baselines import RECIPES, Baseline, create_baseline
from iad.config import ARMS, CONTROLS, Preset, get_preset, is_full_size
from iad.faces import Face, crop, detect_faces
from iad.finishing import finish, resize
from iad.full_size.pipeline import FullSizePipeline
from iad.parts import arm_part, create_parts, find_arms, load_baseline, load_parts, split_parts
from iad.photos import load_image
from iad.portraits.wording import known_actions
from iad.result import Result
from iad.sampling import Conditions, Guidance, sample
from iad.splitting import Reference, Splitting, check_seed, face_notes
from iad.text import NEUTRAL_PROMPT, Action, create_text_encoder, load_text_encoder, parse_prompt
from iad.transformer import create_scheduler

LARGEST = 4  # times the preset's size
CALM_NOTE = "The prompt names no known facial action, so the portrait stays calm; try 'smiles' or 'nods'."


class IaDPipeline(Splitting):
    """All parts of one model size, ready to generate. Build it with `from_pretrained` or `create`."""

    def __init__(
        self,
        preset: Preset,
        parts: nn.ModuleDict,
        text_encoder,
        *,
        baselines: Mapping[str, Callable[[], Baseline]] | None = None,
    ):
        super().__init__()
        self.preset, self.parts, self.text_encoder = preset, parts.eval().requires_grad_(False), text_encoder
        self.scheduler = create_scheduler(preset)
        self._baselines = dict(baselines or {})  # loaded when first asked for
        self._loaded: dict[str, Baseline] = {}

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have weights here."""
        return ("iad", *self._baselines)

    @classmethod
    def create(cls, preset: Preset | str, *, seed: int = 0) -> "IaDPipeline":
        """Build a pipeline with random weights, the same for the same seed."""
        preset = get_preset(preset) if isinstance(preset, str) else preset
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts, text_encoder = create_parts(preset), _text_encoder(preset)
            made = {arm: create_baseline(arm, preset, parts["transformer"]) for arm in RECIPES}
        made = {arm: baseline.eval().requires_grad_(False) for arm, baseline in made.items()}
        return cls(preset, parts, text_encoder, baselines={a: partial(made.get, a) for a in made})

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, adapter: str | Path | None = None, **full_size: Any
    ) -> "IaDPipeline | FullSizePipeline":
        """Load a model by name ("mini", "cogvideox-5b"), from a folder, or from the hub.

        Args:
            name: a preset, a folder written by `save_pretrained` or by diffusers, or a hub id.
            adapter: a folder whose adapters and split replace those of the model; at full size also a hub id.
            full_size: for a full-size model only: `arms` to load at once, and the fields of
                `iad.full_size.pipeline.Sources`: baselines, memory, cache, device, accept_licence.

        Raises:
            ValueError: unknown name, no weights, or weights that were altered or do not fit.
        """
        if is_full_size(name):
            return FullSizePipeline.open(name, adapter=adapter, **full_size)
        if full_size:
            raise ValueError(f"{', '.join(full_size)}: only full-size models take these; leave them out.")
        if str(name) == "tiny":
            return cls.create("tiny")
        shipped = checkpoint.WEIGHTS / str(name)
        folder = shipped if shipped.is_dir() else Path(name)
        if not folder.is_dir():
            get_preset(str(name))  # says which names there are
            raise ValueError(f"No weights of {name!r} are installed; train them, or give their folder.")
        preset = checkpoint.load_preset(folder)
        parts = create_parts(preset)
        load_parts(parts, folder)
        sources = dict.fromkeys(find_arms(folder, tuple(RECIPES)), folder)
        if adapter:
            load_parts(parts, Path(adapter), only=("decoupling", "adapters-iad"))
            sources |= {arm: Path(adapter) for arm in find_arms(Path(adapter), tuple(RECIPES))}
        loaders = {a: partial(load_baseline, a, preset, parts, source) for a, source in sources.items()}
        return cls(preset, parts, _text_encoder(preset), baselines=loaders)

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Write all weights and the preset; `from_pretrained` reads them back bit for bit (unless `half`)."""
        folder = Path(folder)
        checkpoint.save_preset(folder, self.preset)
        for name, state in split_parts(self.parts).items():
            checkpoint.save_part(folder, name, state, half=half)
        for arm in self._baselines:
            checkpoint.save_part(folder, arm_part(arm), self.baseline(arm).own_state(), half=half)

    def baseline(self, arm: str) -> Baseline:
        """Return one of the arms beside "iad", loading it the first time."""
        if arm not in self._loaded:
            self._loaded[arm] = self._baselines[arm]()
        return self._loaded[arm]

    @torch.inference_mode()
    def __call__(
        self,
        reference: Reference | Sequence[Reference],
        prompt: str = "",
        *,
        timeline: Sequence[Action] | None = None,
        action_reference: Reference | None = None,
        arm: str = "iad",
        face: int | None = None,
        identity_scale: float = 1.0,
        action_scale: float = 1.0,
        detail_scale: float = 1.0,
        guidance_scale: float | None = None,
        identity_guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        num_frames: int | None = None,
        size: int | None = None,
        seed: int = 0,
        callback: Callable[[int, int], None] | None = None,
    ) -> Result:
        """Generate a clip of the reference's person doing what the prompt says.

        Args:
            reference: path, PIL image or uint8 array; or several photos of one person.
            prompt: what the person does, in words; with an action reference it may be empty.
            timeline: actions with times; also read from the prompt, "[0-1s] smiles [1-2s] nods".
            action_reference: image or video that drives the action instead of the prompt.
            arm: whose adapters to use, one of `pipe.arms`.
            face: which face of the reference, 0 the largest.
            identity_scale: weight of the identity; 0 leaves it out.
            action_scale: weight of the action; 0 leaves it out.
            detail_scale: how much of the photo's detail the frames get back, 0 to 1; 0 shows what the two
                embeddings alone carry.
            guidance_scale: how far the words are exaggerated; 1 not at all, None the preset's.
            identity_guidance_scale: how far the person is exaggerated; 1 not at all, None the preset's.
            num_inference_steps: denoising steps; None the preset's.
            num_frames: video frames, at most the preset's and a multiple of `frames_per_latent`.
            size: pixels a side of the frames, at most `LARGEST` times the preset's, with as much more of the
                photo's detail; None the preset's.
            seed: same seed, same frames.
            callback: called with (step, total) after every step.

        Raises:
            ValueError: bad input, in one sentence that says what to do.
        """
        begun = time.perf_counter()
        settings = self._settings(arm, num_inference_steps, num_frames, size, seed)
        if not 0 <= detail_scale <= 1:
            raise ValueError(f"detail_scale is {detail_scale}; give a number from 0 to 1.")
        if action_reference is not None and arm != "iad" and not self.baseline(arm).recipe.actions:
            raise ValueError(f"The arm {arm!r} follows words alone; leave out the action reference.")
        guidance = self._guidance(guidance_scale, identity_guidance_scale, identity_scale, action_scale)
        settings |= {"prompt": prompt, "detail_scale": detail_scale} | asdict(guidance)
        words = NEUTRAL_PROMPT if action_reference is not None and not prompt.strip() else prompt
        segments = parse_prompt(words, timeline, duration=settings["frames"] / self.preset.fps)
        references = list(reference) if isinstance(reference, (list, tuple)) else [reference]
        faces = [self.find_face(photo, face) for photo in references]
        latent_frames = settings["frames"] // self.preset.frames_per_latent
        code, notes = self._action_codes(segments, action_reference, latent_frames)
        conditions = self._conditions(arm, faces, code, segments)
        latents = sample(
            self.parts["transformer"] if arm == "iad" else self.baseline(arm).transformer,
            self.scheduler,
            conditions,
            guidance,
            latents=self._noise(seed, latent_frames),
            steps=settings["steps"],
            stack=self.preset.frames_per_latent,
            weigh=self._weigh_contrast,
            callback=callback,
        )
        decoded = decode_latents(self.parts["autoencoder"], latents, self.preset.frames_per_latent)
        heard = None if conditions.action is None else code[0]
        photo = self._enlarge(faces[0], references[0], settings["size"])
        frames = self._finish(decoded[0], faces[0], photo, heard, detail_scale * min(identity_scale, 1))
        scores = self._score(to_uint8(resize(frames, self.preset.size)), faces, code)
        seconds = time.perf_counter() - begun
        notes = face_notes(faces, face) + notes
        return Result(to_uint8(frames), self.preset.fps, seed, seconds, scores, settings, notes)

    def _settings(self, arm, steps, frames, size, seed) -> dict[str, Any]:
        sampler, stack = self.preset.sampler, self.preset.frames_per_latent
        known = ARMS + CONTROLS
        if arm not in known:
            raise ValueError(f"Unknown arm {arm!r}; choose one of {', '.join(known)}.")
        if arm not in self.arms:
            have = ", ".join(self.arms)
            raise ValueError(f"The arm {arm!r} has no weights for {self.preset.name!r}; it has {have}.")
        check_seed(seed)
        if steps is not None and not 1 <= steps <= sampler.timesteps:
            raise ValueError(f"num_inference_steps is {steps}; give 1 to {sampler.timesteps}.")
        if frames is not None and (frames < stack or frames % stack or frames > self.preset.frames):
            near = max(stack, min(self.preset.frames, round(frames / stack) * stack))
            most = self.preset.frames
            raise ValueError(f"num_frames is {frames}; {self.preset.name!r} makes up to {most}, try {near}.")
        least, most = self.preset.size, LARGEST * self.preset.size
        if size is not None and (not least <= size <= most or size % 2):
            raise ValueError(f"size is {size}; give an even number of pixels from {least} to {most}.")
        return {
            "model": self.preset.name,
            "arm": arm,
            "seed": seed,
            "steps": steps or sampler.steps,
            "frames": frames or self.preset.frames,
            "size": size or self.preset.size,
        }

    def _weigh_contrast(self, latents: Tensor) -> Tensor:
        return weigh_contrast(self.parts["autoencoder"], latents, self.preset.frames_per_latent)

    def _guidance(self, words, person, identity_scale, action_scale) -> Guidance:
        sampler = self.preset.sampler
        return Guidance(
            guidance_scale=sampler.guidance_scale if words is None else words,
            identity_guidance_scale=sampler.identity_guidance_scale if person is None else person,
            identity_scale=identity_scale,
            action_scale=action_scale,
        )

    def _action_codes(self, segments, source: Reference | None, latent_frames: int):
        """Return the action codes (1, f, c), told by the words or shown by a driver, and a note if calm."""
        if source is not None:
            return self._driving_codes(source, latent_frames), []
        named = [bool(known_actions(s.prompt)) for s in segments]
        told = [s if k else replace(s, prompt=NEUTRAL_PROMPT) for s, k in zip(segments, named, strict=True)]
        return self.text_codes(told, latent_frames), [] if any(named) else [CALM_NOTE]

    def _conditions(self, arm: str, faces: list[Face], code: Tensor, segments) -> Conditions:
        crops = np.stack([f.image for f in faces])
        words, actions, crop = self._text_states(segments), self.parts["decoupler"].expand(code), None
        if arm == "iad":
            identity = self._split(crops).identity
        else:
            baseline, pictures = self.baseline(arm), to_tensor(crops)
            features = self.parts["encoder"](pictures)
            identity = baseline.reader.read(features.vector, features.tokens)
            actions = actions if baseline.recipe.actions else None
            crop = self.parts["autoencoder"].encode(pictures[:1]) if baseline.recipe.crop else None
        silence = self.text_encoder.encode([""]).states
        return Conditions(identity.mean(0, keepdim=True), actions, crop, words, silence)

    def _enlarge(self, face: Face, photo: Reference, size: int) -> Float[Tensor, "3 s s"]:
        """Cut a face out of its photo in another size."""
        large = size != self.preset.size
        return to_tensor(crop(load_image(photo), face.affine, size) if large else face.image)

    def _finish(
        self, frames: Tensor, face: Face, photo: Tensor, code: Tensor | None, scale: float
    ) -> Float[Tensor, "f 3 s s"]:
        """Bring the first photo's detail back, in its size; without a person there is none to bring."""
        own = self._split(face.image[None]).code[0]
        return finish(self.parts["finisher"], frames, photo, code, own, scale=scale)

    def _noise(self, seed: int, latent_frames: int) -> Float[Tensor, "1 f c y x"]:
        preset = self.preset
        shape = (1, latent_frames, preset.latent_channels, preset.latent_size, preset.latent_size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    def _text_states(self, segments: Sequence[Action]) -> Float[Tensor, "1 n e"]:
        prompts = list(dict.fromkeys(s.prompt for s in segments))
        return self.text_encoder.encode([", then ".join(prompts)]).states

    def _score(self, frames: UInt8[np.ndarray, "f h w 3"], faces: list[Face], code: Tensor) -> dict[str, Any]:
        """Judge a clip by the conditioning encoder itself; `iad.evaluation` has independent judges."""
        crops = np.concatenate([frames, *(f.image[None] for f in faces)])
        features = self.parts["encoder"](to_tensor(crops))
        n, decoupler = len(frames), self.parts["decoupler"]
        reference = features.embedding[n:].mean(0, keepdim=True)
        split = self.centre(decoupler(features.vector, features.tokens))
        shown, photo = split.action[:n].flatten(1), split.action[n:].flatten(1).mean(0, keepdim=True)
        shares = [float(share[n:].mean()) for share in split.shares()]
        wanted = decoupler.expand(code[0]) - decoupler.mean_action
        wanted = repeat(wanted, "t q d -> (t s) (q d)", s=self.preset.frames_per_latent)
        return {
            "identity": cosine_similarity(features.embedding[:n], reference).numpy(),
            "action": float(cosine_similarity(shown, wanted).mean()),
            "copied": float(cosine_similarity(shown, photo).mean()),
            "identity_share": shares[0],
            "action_share": shares[1],
            "detected": float(np.mean([_shows_face(frame) for frame in frames[:: max(1, n // 4)]])),
        }


def _shows_face(frame: UInt8[np.ndarray, "h w 3"]) -> bool:
    try:
        return bool(detect_faces(frame))
    except ValueError:
        return False


def _text_encoder(preset: Preset):
    create = create_text_encoder if preset.text.name == "hashed" else load_text_encoder
    return create(preset.text)
