"""A pool of clips on disk, memory-mapped, and what the frozen parts say of it: what every stage trains on.

A shard is five files: `NNNNN.frames.npy` uint8 (n, f, h, w, 3), `NNNNN.tracks.npy` float32 (n, f, 60),
`NNNNN.landmarks.npy` float32 (n, f, 68, 2) in the unit square, `NNNNN.portraits.npy` uint8 (n, h, w, 3),
`NNNNN.jsonl` with one object a clip. What is broken is left out, counted and named.

Computed once, beside it: `.latents.npy` float16 (n, f, c, y, x), `.tokens.npy` float16 (n, f / s, t, e) and
`.global.npy` of each latent frame's first video frame, `.neutral.npy`, the latents of the person's calm
portrait. The references of training are such frames, framed as they are: taken askew they would not say where
the head will be, and whoever learns from them learns to blur.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Int, UInt8
from torch import Tensor, nn

from iad.config import Preset
from iad.models.autoencoder import PATCH, to_tensor
from iad.text import TextEncoder

PATCH_FRAMES = 1200  # frames whose patches give the linear code
ARRAYS = ("frames", "tracks", "landmarks", "portraits")
KEYS = {"held_out", "identity", "captions", "segments", "group", "slot", "take", "shard", "row"}
NAMED = 5  # broken shards and clips that are named at most
TOGETHER = 8  # clips that are prepared at once
PARTS = ("latents", "tokens", "global", "neutral")


@dataclass(frozen=True)
class Pool:
    """Clips of one folder; arrays are lists of memory maps, one per shard."""

    frames: list[UInt8[np.ndarray, "_ f h w 3"]]
    tracks: Float[np.ndarray, "n f 60"]
    landmarks: Float[np.ndarray, "n f 68 2"]
    records: list[dict[str, Any]]
    offsets: Int[np.ndarray, " bounds"]

    def __len__(self) -> int:
        return len(self.records)

    def clip(self, index: SupportsIndex) -> UInt8[np.ndarray, "f h w 3"]:
        """Return the frames of one clip, without copying."""
        shard = int(np.searchsorted(self.offsets, index, side="right")) - 1
        return self.frames[shard][index - self.offsets[shard]]


def load_pool(folder: Path, *, held_out: bool | None = False) -> Pool:
    """Open every sound shard of `folder`; what is broken is told on stderr.

    Args:
        folder: holds the shards.
        held_out: keep training people (False), held-out ones (True), or all (None).

    Raises:
        FileNotFoundError: there is no sound shard.
    """
    folder = Path(folder)
    names, faults = check_shards(folder)
    if not names:
        broken = f", only broken ones ({', '.join(faults[:NAMED])})" if faults else ""
        hint = f"python -m iad data render --output {folder}"
        raise FileNotFoundError(f"No clips in {folder}{broken}; render some with: {hint}")
    arrays = {kind: [np.load(folder / f"{n}.{kind}.npy", mmap_mode="r") for n in names] for kind in ARRAYS}
    records = [json.loads(line) for name in names for line in (folder / f"{name}.jsonl").open()]
    offsets = np.cumsum([0] + [len(f) for f in arrays["frames"]])
    tracks, landmarks = np.concatenate(arrays["tracks"]), np.concatenate(arrays["landmarks"])
    pool = Pool(arrays["frames"], tracks, landmarks, records, offsets)
    wrong = [_check_clip(*row) for row in zip(records, tracks, landmarks, strict=True)]
    for record, fault in zip(records, wrong, strict=True):
        faults += [f"clip {record.get('row')} of shard {record.get('shard')}: {fault}"] if fault else []
    if faults:
        named = "; ".join(faults[:NAMED]) + ("; ..." if len(faults) > NAMED else "")
        print(f"{len(faults)} broken in {folder}, left out: {named}", file=sys.stderr)
    if held_out is None and not any(wrong):
        return pool
    sound = [not fault for fault in wrong]
    return select(pool, lambda r: held_out is None or r["held_out"] == held_out, sound=sound)


def check_shards(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of a folder's sound shards, sorted, and what is wrong with the others."""
    names, faults = [], []
    for name in sorted(p.name.removesuffix(".jsonl") for p in Path(folder).glob("*.jsonl")):
        try:
            lines = [json.loads(line) for line in (folder / f"{name}.jsonl").open()]
            counts = {len(np.load(folder / f"{name}.{kind}.npy", mmap_mode="r")) for kind in ARRAYS}
        except FileNotFoundError as error:
            faults.append(f"shard {name}: {Path(error.filename).name} is missing")
        except (OSError, ValueError) as error:
            faults.append(f"shard {name}: {error}")
        else:
            fits = counts == {len(lines)}
            names += [name] if fits else []
            faults += [] if fits else [f"shard {name}: its files are not equally long"]
    return names, faults


def _check_clip(
    record: dict[str, Any], track: Float[np.ndarray, "f 60"], landmarks: Float[np.ndarray, "f 68 2"]
) -> str:
    """Say what is wrong with a clip; nothing where nothing is."""
    lacking = KEYS - record.keys()
    if lacking:
        return f"its record lacks {', '.join(sorted(lacking))}"
    return "" if np.isfinite(track).all() and np.isfinite(landmarks).all() else "its numbers are not finite"


def select(
    pool: Pool, keep: Callable[[dict[str, Any]], bool], *, sound: Sequence[bool] | None = None
) -> Pool:
    """Return the clips whose record `keep` accepts, of the sound ones."""
    index = [i for i, r in enumerate(pool.records) if (sound is None or sound[i]) and keep(r)]
    frames = [pool.clip(i)[None] for i in index]
    records = [pool.records[i] for i in index]
    return Pool(frames, pool.tracks[index], pool.landmarks[index], records, np.arange(len(index) + 1))


def thin_out(pool: Pool, most: int, *, seed: int) -> Pool:
    """Return `most` clips at most, drawn by chance."""
    chosen = set(np.random.default_rng(seed).permutation(len(pool))[:most].tolist())
    return select(pool, lambda r: True, sound=[k in chosen for k in range(len(pool))])


def sample_patches(pool: Pool, *, seed: int) -> Float[Tensor, "n 3 16 16"]:
    """Cut patches in [0, 1] from anywhere in the first frames of some clips."""
    rng = np.random.default_rng(seed)
    frames = [pool.clip(i)[0] for i in rng.integers(len(pool), size=PATCH_FRAMES)]
    corners = rng.integers(0, frames[0].shape[0] - PATCH + 1, (PATCH_FRAMES, 12, 2))
    cut = [
        f[y : y + PATCH, x : x + PATCH] for f, places in zip(frames, corners, strict=True) for y, x in places
    ]
    return to_tensor(np.stack(cut))


@dataclass(frozen=True)
class Prepared:
    """Memory-mapped arrays of the selected clips of a pool, in its order; text states by sentence."""

    arrays: dict[str, list[np.ndarray]]
    rows: Int[np.ndarray, "clips 2"]  # shard, row
    states: Float16[np.ndarray, "sentences n e"]
    masks: Bool[np.ndarray, "sentences n"]
    sentence: dict[str, int]

    def get(self, name: str, index: SupportsIndex) -> Float16[np.ndarray, "..."]:
        """Return one array of one clip, without copying."""
        shard, row = self.rows[index]
        return self.arrays[name][shard][row]


@torch.inference_mode()
def prepare_shard(
    folder: Path, name: str, *, preset: Preset, autoencoder: nn.Module, encoder: nn.Module
) -> None:
    """Write the arrays of one shard, unless they are there."""
    if all((folder / f"{name}.{part}.npy").exists() for part in PARTS):
        return
    frames = np.load(folder / f"{name}.frames.npy", mmap_mode="r")
    portraits = np.load(folder / f"{name}.portraits.npy", mmap_mode="r")
    device = next(encoder.parameters()).device
    parts: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
    for at in range(0, len(frames), TOGETHER):
        clips = frames[at : at + TOGETHER]
        shown = to_tensor(np.array(clips[:, :: preset.frames_per_latent])).to(device)
        features = encoder(shown.flatten(0, 1))
        pictures = np.concatenate([clips, portraits[at : at + TOGETHER, None]], axis=1)
        latents = autoencoder.encode(to_tensor(pictures).flatten(0, 1).to(device))
        latents = latents.unflatten(0, pictures.shape[:2]).half().cpu().numpy()
        parts["latents"].append(latents[:, :-1])
        parts["neutral"].append(latents[:, -1])
        for part, feature in (("tokens", features.tokens), ("global", features.vector)):
            parts[part].append(feature.unflatten(0, shown.shape[:2]).half().cpu().numpy())
    for part, rows in parts.items():
        made = folder / f"{name}.{part}.part.npy"  # renamed when it is whole
        np.save(made, np.concatenate(rows))
        made.replace(folder / f"{name}.{part}.npy")


def forget(folder: Path) -> None:
    """Delete prepared arrays, because the parts that made them changed."""
    for part in PARTS:
        for path in folder.glob(f"*.{part}.npy"):
            path.unlink()


def prepare_text(folder: Path, sentences: list[str], text_encoder: TextEncoder) -> None:
    """Write the token states of all sentences of a pool: `text.states.npy`, `text.masks.npy`, `text.txt`."""
    from tqdm import tqdm

    states, masks = [], []
    for start in tqdm(range(0, len(sentences), 64), desc="prompt states", mininterval=5):
        encoded = text_encoder.encode(sentences[start : start + 64])
        states.append(encoded.states.half().cpu().numpy())
        masks.append(encoded.mask.cpu().numpy())
    np.save(folder / "text.states.npy", np.concatenate(states))
    np.save(folder / "text.masks.npy", np.concatenate(masks))
    (folder / "text.txt").write_text("\n".join(sentences))


def sentences_of(records: list[dict]) -> list[str]:
    """List every caption and every segment's prompt once, sorted; the empty prompt comes first."""
    found = {c for r in records for c in r["captions"]}
    found |= {s["prompt"] for r in records for s in r["segments"]}
    return ["", *sorted(found - {""})]


def open_prepared(folder: Path, pool: Pool) -> Prepared:
    """Open the prepared arrays of the clips that `pool` (from the same folder) selects."""
    names = sorted({record["shard"] for record in pool.records})  # more may have come since
    arrays = {
        part: [np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for name in names] for part in PARTS
    }
    place = {name: i for i, name in enumerate(names)}
    rows = np.array([(place[r["shard"]], r["row"]) for r in pool.records])
    sentences = (folder / "text.txt").read_text().split("\n")
    states = np.load(folder / "text.states.npy", mmap_mode="r")
    masks = np.load(folder / "text.masks.npy")
    return Prepared(arrays, rows, states, masks, {s: i for i, s in enumerate(sentences)})
