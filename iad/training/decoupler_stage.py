"""Stage: the split and its text network, by L_ID and L_TA on features of the frozen encoder.

While it learns f is split in two, for the residual is found last: in closed form, from how f - a still moves
with the track within a person (`DecouplerStage.centre`).
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal, SupportsIndex

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from iad import decoupling as idea
from iad.config import EXPRESSIONS, Preset
from iad.decoupling import IdentityWeights, Split, TextWeights
from iad.models.closed_form import fit_explained
from iad.models.encoders import POSE_SCALE
from iad.performing import frame_times
from iad.training.loop import Stage, to_device
from iad.training.pool import Pool, Prepared

SEGMENTS = 3  # at most so many in a timeline of the pool
FIELDS = ("facial", "identity", "action", "residual", "code")  # of a `Split`
MOMENTS = 4  # latent frames of a clip, in order, that one step looks at
SNAPSHOT_CLIPS = 64
CENTRE_PEOPLE = 1500  # whose average identity and action are stored, at most
CENTRE_FRAMES = 2  # of each of their two takes
ERASED = 32  # directions at most: what tracks explain has hardly more


def group_clips(pool: Pool) -> Int[np.ndarray, "groups slot take"]:
    """Find the clips of every whole group of a pool: two people, each in the same two takes."""
    places: dict[int, dict[tuple[int, int], int]] = defaultdict(dict)
    for index, record in enumerate(pool.records):
        places[record["group"]][record["slot"], record["take"]] = index
    whole = [place for place in places.values() if len(place) == 4]
    return np.array([[[p[s, t] for t in (0, 1)] for s in (0, 1)] for p in whole], int).reshape(-1, 2, 2)


class DecouplerStage(Stage):
    """Trains `Decoupler` and `TextAction`; every term of both losses can be weighted or switched off."""

    name = "decoupler"

    def __init__(
        self,
        preset: Preset,
        pool: Pool,
        prepared: Prepared,
        autoencoder: nn.Module,
        *,
        groups: int = 8,
        seed: int = 0,
        identity_weights: IdentityWeights = IdentityWeights(),
        text_weights: TextWeights = TextWeights(),
    ):
        self.preset, self.pool, self.prepared, self.seed = preset, pool, prepared, seed
        self.groups, self.count = group_clips(pool), groups
        self.identity_weights, self.text_weights = identity_weights, text_weights
        self.weights = autoencoder.weights()[:, None, None]
        names = [str(r["identity"] or f"{r['group']}-{r['slot']}") for r in pool.records]
        self.person = torch.from_numpy(np.unique(names, return_inverse=True)[1])  # of every clip
        self.model = idea.create_decoupling(preset)

    def batch(self, step: int) -> dict[str, Any]:
        """Draw groups: two takes of one person, the same of another; references, portraits and words."""
        rng = np.random.default_rng((self.seed, step))
        picks = self.groups[rng.integers(len(self.groups), size=self.count)]  # (g, slot, take)
        first, second = rearrange(picks[:, 0], "g t -> (t g)"), rearrange(picks[:, 1], "g t -> (t g)")
        count = self.preset.latent_frames
        moments = np.sort(rng.permutation(count)[: min(MOMENTS, count)])
        place = rng.integers(len(moments), size=len(first))
        k = moments[place]
        references = zip((first, second), rng.integers(count, size=(2, len(first))), strict=True)
        return {
            "clip": tuple(x[:, moments] for x in self.features(first)),
            "other": self.features(second, k),
            "references": [self.features(rows, at) for rows, at in references],
            "neutral": [self.read("neutral", rows) for rows in (first, second)],
            "frame": self.read("latents", first, k * self.preset.frames_per_latent),
            "person": torch.stack([self.person[rows] for rows in (first, second)]),
            "coefficients": self._coefficients(first)[:, moments],
            "same": self._same(first),
            "text": self.text_batch(first, rng),
            "moments": torch.from_numpy(moments),
            "place": torch.from_numpy(place),
        }

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Return every term of L_ID and L_TA, both sums, and their total."""
        clip = self.split_frames(batch["clip"])
        rows = torch.arange(len(batch["place"]), device=self.device)
        shown = Split(*(getattr(clip, key)[rows, batch["place"]] for key in FIELDS))
        split = self.model["decoupler"]
        other, references = split(*batch["other"]), [split(*r) for r in batch["references"]]
        terms = self._identity_terms(shown, other, references, batch) | self._text_terms(clip.code, batch)
        loss_id, loss_ta = (
            sum(weight * terms[key] for key, weight in vars(weights).items() if weight and key in terms)
            for weights in (self.identity_weights, self.text_weights)
        )
        return {"total": loss_id + loss_ta, "L_ID": loss_id, "L_TA": loss_ta} | terms

    def _identity_terms(
        self, shown: Split, other: Split, references: list[Split], batch: dict[str, Any]
    ) -> dict[str, Tensor]:
        takes = len(shown.code) // 2
        swapped = torch.arange(len(shown.code)).roll(takes)  # the same person's reference from the other take
        first, second = (reference.identity[swapped] for reference in references)
        pairs = zip(references, batch["neutral"], strict=True)
        portraits = [self._error("portrait", r.identity, neutral) for r, neutral in pairs]
        cosines = [idea.orthogonality(s.identity, s.action) for s in (shown, references[0])]
        changes = [idea.invariance(shown.identity, first), idea.invariance(other.identity, second)]
        return {
            "orthogonality": sum(cosines) / 2,
            "invariance": sum(changes) / 2,
            "retention": idea.retention(
                torch.cat([shown.identity[:takes], other.identity[:takes]]),
                torch.cat([first[:takes], second[:takes]]),
                batch["person"][:, :takes].flatten(),
            ),
            "portrait": sum(portraits) / 2,
            "picture": self._error("picture", shown.facial, batch["frame"]),
            "agreement": idea.agreement(shown.action, other.action),
            # over one person of each group at a time, for the two share their takes
            "independence": sum(idea.independence(*s.code.split(takes)) for s in (shown, other)) / 2,
            "swap": idea.swap(first, other.action, shown.facial),
        }

    def _error(self, head: Literal["portrait", "picture"], tokens: Tensor, latents: Tensor) -> Tensor:
        """Compare latents with what a head reads from tokens; token k tells of cell k of a grid."""
        side = round(self.preset.decoupler.queries**0.5)
        cell = self.preset.latent_size // side
        cells = self.model[head](tokens)
        read = rearrange(cells, "b (y x) (c p q) -> b c (y p) (x q)", y=side, p=cell, q=cell)
        return (self.weights.to(self.device) * (read - latents).pow(2)).mean()

    def _text_terms(self, code: Tensor, batch: dict[str, Any]) -> dict[str, Tensor]:
        text_code = self.model["text_action"](**batch["text"])[:, batch["moments"]]
        read, truth = self.model["coefficients"], batch["coefficients"]
        return {
            "contrast": idea.text_contrast(code, text_code, batch["same"]),
            "match": idea.text_match(code, text_code),
            "grounding": (mse_loss(read(code), truth) + mse_loss(read(text_code), truth)) / 2 * 10,
        }

    def text_batch(self, rows: Int[np.ndarray, " b"], rng: np.random.Generator) -> dict[str, Tensor]:
        """Draw for every clip a caption, or its timeline of prompts, as input of T."""
        frames, duration = self.preset.latent_frames, self.preset.duration
        lines, segment, times = [], [], []
        for i in rows:
            record = self.pool.records[i]
            if len(record["segments"]) > 1 and rng.random() < 0.5:
                spans = [(s["start"], s["end"]) for s in record["segments"]]
                sentences = [s["prompt"] for s in record["segments"]]
            else:
                spans = [(0.0, duration)]
                prompts = [s["prompt"] for s in record["segments"]]
                sentences = [str(rng.choice(record["captions"] + (prompts if len(prompts) == 1 else [])))]
            places, features = frame_times(spans, frames=frames, duration=duration)
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

    def features(
        self, rows: Iterable[SupportsIndex], k: Int[np.ndarray, " b"] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what the encoder said of these clips, at one latent frame `k` of each or at all."""
        return self.read("global", rows, k), self.read("tokens", rows, k)

    def read(
        self, name: str, rows: Iterable[SupportsIndex], k: Int[np.ndarray, " b"] | None = None
    ) -> Float[Tensor, "b ..."]:
        """Return prepared arrays of these clips, at one place `k` of each or whole."""
        arrays = [self.prepared.get(name, i) for i in rows]
        if k is not None:
            arrays = [array[j] for array, j in zip(arrays, k, strict=True)]
        return torch.from_numpy(np.stack(arrays).astype(np.float32))

    def _coefficients(self, rows: np.ndarray) -> Tensor:
        track = self.pool.tracks[rows][:, :: self.preset.frames_per_latent].copy()
        track[..., EXPRESSIONS:] /= POSE_SCALE
        return torch.from_numpy(track)

    def _same(self, rows: np.ndarray) -> Tensor:
        keys = [str([(s["actions"], s["start"]) for s in self.pool.records[i]["segments"]]) for i in rows]
        return torch.tensor([[a == b for b in keys] for a in keys])

    def split_frames(self, features: tuple[Tensor, Tensor]) -> Split:
        """Split what the encoder said of frames (b, m); every field of the result is (b, m, ...)."""
        flat = self.model["decoupler"](*(x.flatten(0, 1) for x in features))
        return Split(*(getattr(flat, key).unflatten(0, (len(features[0]), -1)) for key in FIELDS))

    @torch.no_grad()
    def centre(self, model: nn.Module) -> None:
        """Store the average identity and action of the pool's people, and what of i is to be erased."""
        rng, decoupler = np.random.default_rng(self.seed), model["decoupler"]
        decoupler.erase_from.zero_()
        decoupler.erase_to.zero_()
        clips = self.groups.reshape(-1, 2)  # (person of a group, take)
        clips = clips[rng.permutation(len(clips))[:CENTRE_PEOPLE]]
        rows = np.repeat(clips, CENTRE_FRAMES, axis=1).flatten()
        k = rng.integers(self.preset.latent_frames, size=len(rows))
        spans = [slice(at, at + 128) for at in range(0, len(rows), 128)]
        parts = [decoupler(*to_device(self.features(rows[at], k[at]), self.device)) for at in spans]
        identity = torch.cat([part.identity for part in parts])
        decoupler.mean_identity.copy_(identity.mean(0))
        decoupler.mean_action.copy_(torch.cat([part.action for part in parts]).mean(0))
        person = torch.arange(len(clips), device=self.device).repeat_interleave(2 * CENTRE_FRAMES)
        track = torch.stack([self._coefficients(rows[n : n + 1])[0, k[n]] for n in range(len(rows))])
        rank = min(ERASED, self.preset.decoupler.erased)
        found = fit_explained(identity.flatten(1), person, track.to(self.device), rank)
        decoupler.erase_from[:, : found.reads.shape[1]] = found.reads
        decoupler.erase_to[: found.shows.shape[0]] = found.shows

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep the split of the middle frame of some clips, with the truth about them."""
        rows = np.linspace(0, len(self.pool) - 1, SNAPSHOT_CLIPS).astype(int)
        k = np.full(len(rows), self.preset.latent_frames // 2)
        split = model["decoupler"](*to_device(self.features(rows, k), self.device))
        frame = k * self.preset.frames_per_latent
        return {
            "identity": split.identity.flatten(1),
            "action": split.action.flatten(1),
            "code": split.code,
            "coefficients": torch.from_numpy(self.pool.tracks[rows, frame]),
            "person": self.person[rows],
        }
