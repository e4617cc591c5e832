"""Prepared clips -> batches of full-size training; the same seed and step always give the same batch.

A target's identity comes from another clip of the same person where there is one, else from other moments of
its own video; its action from words, or from another clip with the same words: never from its own frames.
"""

import json
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from iad.checkpoint import open_tensors, read_tensors
from iad.config import FaceConfig, FullSizePreset
from iad.performing import frame_times
from iad.training.footage import EMPTY, INDEX, SETTINGS

DROP_WORDS = 0.1  # the sentence and its action at once: what guidance compares with, the person left
DROP_IDENTITY = 0.1
FROM_TEXT = 0.5  # share of targets whose action is told by words although a driver is there
MOMENTS = 4  # latent frames of a clip, in order, that the split looks at in one step
HINT = "prepare the folder: python -m iad data prepare"


@dataclass(frozen=True)
class Draw:
    """Which targets one step of one process trains on, and with which chance."""

    targets: list[int]  # rows of the index
    split: list[int]  # rows that the split's own losses look at
    seed: tuple[int, ...]


class Clips:
    """The clips of a prepared folder; their size and face encoder become those of the preset."""

    def __init__(self, folder: Path, preset: FullSizePreset):
        folder = folder if (folder / INDEX).exists() else folder / "prepared"
        if not (folder / INDEX).exists():
            raise ValueError(f"'{folder.parent}' holds no prepared clips; {HINT}.")
        self.folder = folder
        try:
            self.settings = json.loads((folder / SETTINGS).read_text())
            self.preset = _adopt(preset, self.settings)
            self.records = [json.loads(line) for line in (folder / INDEX).read_text().splitlines()]
            people = [row["person"] for row in self.records]
            self.action = [json.dumps([segment[:3] for segment in row["segments"]]) for row in self.records]
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise ValueError(f"'{folder}' holds clips whose index is damaged; {HINT}.") from error
        if len(self.records) < 2:
            raise ValueError(f"'{folder}' holds {len(self.records)} clip; training compares at least two.")
        self.silence = read_tensors(folder / EMPTY)["states"].float()
        names = [f"clip {k}" if person is None else person for k, person in enumerate(people)]
        self.person = np.unique(names, return_inverse=True)[1]
        self.partners = _list_others(self.person.tolist())
        # the clips in which the same is done; other people's where there are any
        alike = enumerate(_list_others(self.action))
        self.drivers = [[j for j in js if self.person[j] != self.person[k]] or js for k, js in alike]

    def __len__(self) -> int:
        return len(self.records)

    def draw(self, step: int, *, rank: int, world: int, batch: int, split: int, seed: int) -> Draw:
        """Deal the targets of one step: every process another share of a new permutation each epoch."""
        places = (step * world + rank) * batch + np.arange(batch)
        epochs, at = np.divmod(places, len(self))
        dealt = zip(epochs.tolist(), at.tolist(), strict=True)
        targets = [int(self._order(seed, epoch)[k]) for epoch, k in dealt]
        rng = np.random.default_rng((seed, step, rank, 1))
        chosen = rng.permutation(len(self))[: min(split, len(self))]
        return Draw(targets, chosen.tolist(), (seed, step, rank))

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, epoch)).permutation(len(self))

    def batch(self, draw: Draw) -> dict[str, Any]:
        """Collect all that one step of one process needs, on the CPU."""
        rng = np.random.default_rng(draw.seed)
        noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        latents, spread = (torch.stack([self._read(k, n) for k in draw.targets]) for n in ("mean", "std"))
        latents = latents + spread * torch.randn(latents.shape, generator=noise)
        count = len(draw.targets)
        keep_identity, keep_words = rng.random((2, count)) >= np.array([[DROP_IDENTITY], [DROP_WORDS]])
        driven = [bool(self.drivers[k]) and rng.random() >= FROM_TEXT for k in draw.targets]
        drivers = [int(rng.choice(self.drivers[k])) for k, on in zip(draw.targets, driven, strict=True) if on]
        told = zip(draw.targets, keep_words, strict=True)
        return {
            "latents": latents,
            "noise": torch.randn(latents.shape, generator=noise),
            "level": torch.from_numpy(rng.random(count)),
            "reference": self.references(draw.targets, rng),
            "driven": torch.tensor(driven),
            "driver": self.faces(drivers) if drivers else None,
            "states": torch.stack([self._states(k)[0] if words else self.silence for k, words in told]),
            "text": self.text(draw.targets),
            "keep_identity": torch.from_numpy(keep_identity).float(),
            "keep_action": torch.from_numpy(keep_words).float(),
            "split": self._split(draw.split, rng),
        }

    def _split(self, rows: list[int], rng: np.random.Generator) -> dict[str, Any]:
        """Collect what L_ID and L_TA look at: moments of clips, another view of each person, words."""
        count = self.preset.latent_frames
        moments = sorted(rng.permutation(count)[: min(MOMENTS, count)].tolist())
        return {
            "clip": self.faces(rows, moments),
            "other": self.references(rows, rng),
            "person": torch.from_numpy(self.person[rows]),
            "same": torch.tensor([[self.action[i] == self.action[j] for j in rows] for i in rows]),
            "text": self.text(rows),
            "moments": torch.tensor(moments),
        }

    def references(self, rows: list[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw a jittered view of each clip's person, from another clip if there is one."""
        shown = [int(rng.choice(self.partners[k])) if self.partners[k] else k for k in rows]
        views = rng.integers(self.settings["shot"]["references"], size=len(rows)).tolist()
        pairs = list(zip(shown, views, strict=True))
        both = [[self._read(k, f"reference.{n}", [v]) for k, v in pairs] for n in ("vector", "tokens")]
        return torch.cat(both[0]), torch.cat(both[1])

    def faces(self, rows: list[int], moments: list[int] | None = None) -> tuple[Tensor, Tensor]:
        """Return what the face encoder said at these latent frames, or at all."""
        both = [[self._read(k, f"face.{name}", moments) for k in rows] for name in ("vector", "tokens")]
        return torch.stack(both[0]), torch.stack(both[1])

    def text(self, rows: list[int]) -> dict[str, Tensor]:
        """Return the words of each clip, segment by segment, as T wants them."""
        most = max(len(self.records[k]["segments"]) for k in rows)
        states, masks, places, times = [], [], [], []
        for k in rows:
            segments = self.records[k]["segments"]
            which = torch.tensor([segment[3] for segment in segments] + [0] * (most - len(segments)))
            own, counts = self._states(k), self._read(k, "counts")
            states.append(own[which])
            masks.append(torch.arange(own.shape[1])[None] < counts[which][:, None])
            spans = [(start, end) for start, end, _, _ in segments]
            frames = self.preset.latent_frames
            place, time = frame_times(spans, frames=frames, duration=self.preset.seconds(frames))
            places.append(place)
            times.append(time)
        return {
            "states": torch.stack(states),
            "mask": torch.stack(masks),
            "segment": torch.stack(places),
            "times": torch.stack(times),
        }

    def _states(self, row: int) -> Tensor:
        return self._read(row, "states", dtype=None)

    def _read(
        self,
        row: int,
        name: str,
        which: list[int] | None = None,
        *,
        dtype: torch.dtype | None = torch.float32,
    ) -> Tensor:
        """Read one array of one clip from disk, or some rows of it."""
        with open_tensors(self.folder / self.records[row]["clip"]) as file:
            if which is None:
                tensor = file.get_tensor(name)
            else:
                rows = file.get_slice(name)
                tensor = torch.cat([rows[k : k + 1] for k in which])
        return tensor.float() if tensor.is_floating_point() else tensor


def _list_others(labels: Sequence[Hashable]) -> list[list[int]]:
    """List for every place the other places with the same label."""
    rows = defaultdict(list)
    for k, label in enumerate(labels):
        rows[label].append(k)
    return [[j for j in rows[label] if j != k] for k, label in enumerate(labels)]


def _adopt(preset: FullSizePreset, settings: dict[str, Any]) -> FullSizePreset:
    shot = dict(settings["shot"])
    del shot["references"]
    return replace(preset, size=shot.pop("face_size"), face=FaceConfig(settings["face"]), **shot)


def flatten_moments(features: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Join clips and moments, as the decoupler wants them."""
    vector, tokens = features
    return rearrange(vector, "b m v -> (b m) v"), rearrange(tokens, "b m n e -> (b m) n e")
