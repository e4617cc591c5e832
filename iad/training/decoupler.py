"""Stage 3: the split and the text network, by L_ID and L_TA on features of the frozen encoder."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from iad import decoupling as idea
from iad.config import EXPRESSIONS, Preset
from iad.decoupling import IdentityWeights, Split, TextWeights
from iad.encoders import POSE_SCALE
from iad.training.pool import Pool
from iad.training.prepare import VIEWS, Prepared

SEGMENTS = 3  # at most so many in a timeline of the pool
SNAPSHOT_CLIPS = 64


class Groups:
    """Finds in a pool, for every clip, the same person in another take and another person in the same take."""

    def __init__(self, pool: Pool):
        places: dict[int, dict[tuple[int, int], int]] = defaultdict(dict)
        for index, record in enumerate(pool.records):
            places[record["group"]][record["slot"], record["take"]] = index
        whole = [place for place in places.values() if len(place) == 4]
        # (groups, slot, take)
        self.index = np.array([[[p[s, t] for t in (0, 1)] for s in (0, 1)] for p in whole]).reshape(-1, 2, 2)

    def __len__(self) -> int:
        return len(self.index)


class DecouplerStage:
    """Trains `Decoupler` and `TextAction`; every term of both losses can be weighted or switched off."""

    name = "decoupler"

    def __init__(
        self,
        preset: Preset,
        pool: Pool,
        prepared: Prepared,
        *,
        groups: int = 12,
        seed: int = 0,
        identity_weights: IdentityWeights = IdentityWeights(),
        text_weights: TextWeights = TextWeights(),
    ):
        self.preset, self.pool, self.prepared, self.seed = preset, pool, prepared, seed
        self.groups, self.count = Groups(pool), groups
        self.identity_weights, self.text_weights = identity_weights, text_weights
        names = sorted({str(r["identity"] or f"{r['group']}-{r['slot']}") for r in pool.records})
        self.person = {name: i for i, name in enumerate(names)}
        self.model = idea.create_decoupling(preset)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def batch(self, step: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, step))
        picks = self.groups.index[rng.integers(len(self.groups), size=self.count)]  # (g, slot, take)
        first, second = rearrange(picks[:, 0], "g t -> (t g)"), rearrange(picks[:, 1], "g t -> (t g)")
        k = rng.integers(self.preset.latent_frames, size=len(first))
        view = rng.integers(VIEWS, size=(2, len(first)))
        return {
            "clip": self._stack(("global", "tokens"), first),
            "other": self._stack(("global", "tokens"), second, k),
            "views": [self._stack(("viewglobal", "views"), rows, v) for rows, v in zip((first, second), view, strict=True)],
            "neutral": [self._tensor("neutral", rows) for rows in (first, second)],
            "person": torch.tensor([[self._person(i) for i in rows] for rows in (first, second)]),
            "coefficients": self._coefficients(first),
            "same": self._same(first),
            "text": self.text_batch(first, rng),
            "k": torch.from_numpy(k),
        }

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        n = len(batch["k"])
        clip = self._split_frames(batch["clip"])
        rows = torch.arange(n)
        shown = Split(*(getattr(clip, key)[rows, batch["k"]] for key in ("facial", "identity", "action", "code")))
        other = self._split(batch["other"])
        views = [self._split(v) for v in batch["views"]]
        return self._sum(
            self._identity_terms(shown, other, views, batch) | self._text_terms(clip.code, batch)
        )

    def _identity_terms(self, shown: Split, other: Split, views: list[Split], batch) -> dict[str, Tensor]:
        takes = len(shown.code) // 2
        swapped = torch.arange(len(shown.code)).roll(takes)  # the same person's view from the other take
        person = batch["person"].to(self.device)
        first, second = views[0].identity[swapped], views[1].identity[swapped]
        portraits = [self._portrait_error(v.identity, x) for v, x in zip(views, batch["neutral"], strict=True)]
        return {
            "orthogonality": (idea.orthogonality(shown.identity, shown.action) + idea.orthogonality(views[0].identity, views[0].action)) / 2,
            "invariance": (idea.invariance(shown.identity, first) + idea.invariance(other.identity, second)) / 2,
            "retention": idea.retention(
                torch.cat([shown.identity[:takes], other.identity[:takes]]),
                torch.cat([first[:takes], second[:takes]]),
                person[:, :takes].flatten(),
            ),
            "portrait": sum(portraits) / 2,
            "agreement": idea.agreement(shown.action, other.action),
            "independence": idea.independence(torch.cat([shown.code, other.code]), person.flatten()),
            "swap": idea.swap(first, other.action, shown.facial),
        }

    def _portrait_error(self, identity: Tensor, neutral: Tensor) -> Tensor:
        return mse_loss(self.portrait(self.model, identity), neutral.to(self.device))

    def portrait(self, model: nn.Module, identity: Tensor) -> Tensor:
        """Read the latents of the calm portrait from identity tokens; token k tells of cell k of a square grid."""
        side = round(self.preset.decoupler.queries**0.5)
        cell = self.preset.latent_size // side
        return rearrange(
            model["portrait"](identity), "b (y x) (c p q) -> b c (y p) (x q)", y=side, p=cell, q=cell
        )

    def _text_terms(self, code: Tensor, batch) -> dict[str, Tensor]:
        text_code = self.text_codes(batch["text"])
        truth = batch["coefficients"].to(self.device)
        read = self.model["coefficients"]
        return {
            "contrast": idea.text_contrast(code, text_code, batch["same"].to(self.device)),
            "match": idea.text_match(code, text_code),
            "grounding": (mse_loss(read(code), truth) + mse_loss(read(text_code), truth)) / 2 * 10,
        }

    def _sum(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        weights = vars(self.identity_weights) | vars(self.text_weights)
        loss_id = sum(weights[k] * v for k, v in terms.items() if k in vars(self.identity_weights) and weights[k])
        loss_ta = sum(weights[k] * v for k, v in terms.items() if k in vars(self.text_weights) and weights[k])
        return {"total": loss_id + loss_ta, "L_ID": loss_id, "L_TA": loss_ta} | terms

    def text_codes(self, text: dict[str, Tensor]) -> Tensor:
        """Run T on a text batch: codes (b, f, c)."""
        return self.model["text_action"](**{k: v.to(self.device) for k, v in text.items()})

    def text_batch(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw for every clip a caption, or its timeline of prompts, as input of T."""
        lines, segment, times = [], [], []
        for i in rows:
            record = self.pool.records[i]
            if len(record["segments"]) > 1 and rng.random() < 0.5:
                spans = [(s["start"], s["end"]) for s in record["segments"]]
                sentences = [s["prompt"] for s in record["segments"]]
            else:
                spans = [(0.0, self.preset.duration)]
                pool = record["captions"] + [s["prompt"] for s in record["segments"]] * (len(record["segments"]) == 1)
                sentences = [str(rng.choice(pool))]
            places, features = idea.frame_times(spans, frames=self.preset.latent_frames, duration=self.preset.duration)
            lines.append((sentences + [""] * SEGMENTS)[:SEGMENTS])
            segment.append(places)
            times.append(features)
        which = np.array([[self.prepared.sentence[s] for s in row] for row in lines])
        return {
            "states": torch.from_numpy(self.prepared.states[which].astype(np.float32)),
            "mask": torch.from_numpy(self.prepared.masks[which]),
            "segment": torch.stack(segment),
            "times": torch.stack(times),
        }

    def _stack(self, names: tuple[str, str], rows, k=None) -> tuple[Tensor, Tensor]:
        pick = (lambda name, j: self.prepared.get(name, rows[j])[() if k is None else k[j]])
        return tuple(torch.from_numpy(np.stack([pick(name, j) for j in range(len(rows))]).astype(np.float32)) for name in names)

    def _tensor(self, name: str, rows) -> Tensor:
        return torch.from_numpy(np.stack([self.prepared.get(name, i) for i in rows]).astype(np.float32))

    def _person(self, index: int) -> int:
        record = self.pool.records[index]
        return self.person[str(record["identity"] or f"{record['group']}-{record['slot']}")]

    def _coefficients(self, rows: np.ndarray) -> Tensor:
        track = self.pool.tracks[rows][:, :: self.preset.frames_per_latent].copy()
        track[..., EXPRESSIONS:] /= POSE_SCALE
        return torch.from_numpy(track)

    def _same(self, rows: np.ndarray) -> Tensor:
        keys = [str([(s["actions"], s["start"]) for s in self.pool.records[i]["segments"]]) for i in rows]
        return torch.tensor([[a == b for b in keys] for a in keys])

    def _split(self, features: tuple[Tensor, Tensor], model: nn.Module | None = None) -> Split:
        return (model or self.model)["decoupler"](*(x.to(self.device) for x in features))

    def _split_frames(self, features: tuple[Tensor, Tensor]) -> Split:
        b = len(features[0])
        flat = self._split(tuple(x.flatten(0, 1) for x in features))
        return Split(*(getattr(flat, key).unflatten(0, (b, -1)) for key in ("facial", "identity", "action", "code")))

    def picture(self, model: nn.Module, path: Path) -> None:
        pass

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        rows = np.linspace(0, len(self.pool) - 1, SNAPSHOT_CLIPS).astype(int)
        k = np.full(len(rows), self.preset.latent_frames // 2)
        split = self._split(self._stack(("global", "tokens"), rows, k), model)
        frame = k * self.preset.frames_per_latent
        return {
            "identity": split.identity.flatten(1),
            "action": split.action.flatten(1),
            "code": split.code,
            "coefficients": torch.from_numpy(self.pool.tracks[rows, frame]),
            "person": torch.tensor([self._person(i) for i in rows]),
        }
