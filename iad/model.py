"""Weights -> a model: every part of one size, built with random weights or filled from a folder."""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from iad import checkpoint
from iad.config import Preset, get_preset, is_full_size
from iad.full_size.cogvideox import FullSizePipeline
from iad.full_size.memory import find_device
from iad.geometry.head import Head, load_geometry, save_geometry
from iad.models.baselines import RECIPES, Baseline, create_baseline
from iad.models.parts import (
    arm_part,
    create_parts,
    find_arms,
    load_baseline,
    load_parts,
    open_parts,
    split_parts,
)  # fmt: skip
from iad.models.splitting import Splitting
from iad.text import TextEncoder, load_text_encoder

T = TypeVar("T")
OUT_OF_MEMORY = (
    "The GPU's memory did not suffice, so this was made on the CPU, and so is what follows; free some of it, "
    "then load the model again."
)


class Model(Splitting):
    """All parts of one model size; `notes` are doubts about every clip, of where it is made."""

    notes: tuple[str, ...] = ()

    def __init__(
        self,
        preset: Preset,
        parts: nn.ModuleDict,
        text_encoder: TextEncoder,
        *,
        geometry: Head | None = None,
        baselines: Mapping[str, Callable[[], Baseline]] | None = None,
    ):
        super().__init__()
        self.preset, self.parts, self.text_encoder = preset, parts.eval().requires_grad_(False), text_encoder
        self.geometry = geometry
        self._baselines = dict(baselines or {})  # loaded when first asked for
        self._loaded: dict[str, Baseline] = {}

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that have weights here."""
        return ("iad", *self._baselines)

    @classmethod
    def create(cls, preset: Preset | str, *, seed: int = 0) -> "Model":
        """Build a pipeline with random weights, the same for the same seed; it has no geometry."""
        preset = get_preset(preset) if isinstance(preset, str) else preset
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            parts, text_encoder = create_parts(preset), load_text_encoder(preset.text)
            made = {arm: create_baseline(arm, preset, parts["transformer"]) for arm in RECIPES}
        made = {arm: baseline.eval().requires_grad_(False) for arm, baseline in made.items()}
        return cls(preset, parts, text_encoder, baselines={a: partial(made.get, a) for a in made})

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        adapter: str | Path | None = None,
        device: str | torch.device | None = "auto",
        **full_size: Any,
    ) -> "Model | FullSizePipeline":
        """Load a model by name ("mini", "cogvideox-5b"), from a folder, or from the hub.

        Args:
            name: a preset, a folder written by `save_pretrained` or by diffusers, or a hub id.
            adapter: a folder whose adapters and split replace those of the model; at full size also a hub id.
            device: "cpu", "cuda" or "mps"; "auto" is CUDA where there is one, else the CPU.
            full_size: for a full-size model only: `arms` to load at once, and the fields of
                `iad.full_size.cogvideox.Sources`: baselines, memory, cache, dynamic_guidance, accept_licence.

        Raises:
            ValueError: unknown name or device, no weights, or weights that were altered or do not fit.
        """
        device = find_device(device)
        if is_full_size(name):
            return FullSizePipeline.open(name, adapter=adapter, device=str(device), **full_size)
        if full_size:
            raise ValueError(f"{', '.join(full_size)}: only full-size models take these; leave them out.")
        if str(name) == "tiny":
            return cls.create("tiny").to(device)
        shipped = checkpoint.WEIGHTS / str(name)
        folder = shipped if shipped.is_dir() else Path(name)
        if not folder.is_dir():
            get_preset(str(name))  # says which names there are
            raise ValueError(f"No weights of {name!r} are installed; train them, or give their folder.")
        preset = checkpoint.load_preset(folder)
        parts = open_parts(preset, folder)
        if "recogniser" in parts and not checkpoint.has_part(folder, "recogniser"):
            del parts["recogniser"]
        geometry = load_geometry(folder) if checkpoint.has_part(folder, "geometry") else None
        sources = dict.fromkeys(find_arms(folder, tuple(RECIPES)), folder)
        if adapter:
            load_parts(parts, Path(adapter), only=("decoupling", "adapters-iad"))
            sources |= {arm: Path(adapter) for arm in find_arms(Path(adapter), tuple(RECIPES))}
        loaders = {a: partial(load_baseline, a, preset, parts, source) for a, source in sources.items()}
        encoder = load_text_encoder(preset.text)
        return cls(preset, parts, encoder, geometry=geometry, baselines=loaders).to(device)

    def to(self, device: str | torch.device) -> "Model":
        """Move every network, and return itself; what geometry draws is drawn on the CPU.

        Where a GPU's memory does not suffice, they stay on the CPU, and `notes` says so.

        Raises:
            ValueError: there is no such device.
        """
        self.notes = ()
        try:
            self._move(find_device(device))
        except torch.OutOfMemoryError:
            self._retreat()
        return self

    def _move(self, device: torch.device) -> None:
        self.device = device
        self.text_encoder = self.text_encoder.to(device)
        for module in (self.parts, *self._loaded.values()):
            module.to(device)

    def _retreat(self) -> None:
        """Go on on the CPU."""
        self._move(torch.device("cpu"))
        self.notes = (OUT_OF_MEMORY,)
        torch.cuda.empty_cache()

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> None:
        """Write all weights and the preset; `from_pretrained` reads them back bit for bit (unless `half`)."""
        folder = Path(folder)
        checkpoint.save_preset(folder, self.preset)
        for name, state in split_parts(self.parts).items():
            checkpoint.save_part(folder, name, state, half=half)
        if self.geometry is not None:
            save_geometry(folder, self.geometry)
        for arm in self._baselines:
            checkpoint.save_part(folder, arm_part(arm), self.baseline(arm).own_state(), half=half)

    def baseline(self, arm: str) -> Baseline:
        """Return one of the arms beside "iad", loading it the first time."""
        if arm not in self._loaded:
            self._loaded[arm] = self._baselines[arm]().to(self.device)
        return self._loaded[arm]


def retreating(method: Callable[..., T]) -> Callable[..., T]:
    """Let a method of a model run again on the CPU where a GPU's memory did not suffice."""

    @wraps(method)
    def run(self: Model, *args: Any, **kwargs: Any) -> T:
        try:
            return method(self, *args, **kwargs)
        except torch.OutOfMemoryError:
            if self.device.type == "cpu":
                raise
        self._retreat()  # past the handler, so that the frames that held the tensors are gone
        return method(self, *args, **kwargs)

    return run
