"""A pool of clips on disk, memory-mapped: what every stage trains on.

A shard is five files: `NNNNN.frames.npy` uint8 (n, f, h, w, 3), `NNNNN.tracks.npy` float32 (n, f, 60),
`NNNNN.landmarks.npy` float32 (n, f, 68, 2) in the unit square, `NNNNN.portraits.npy` uint8 (n, h, w, 3),
`NNNNN.jsonl` with one object a clip. What is broken is left out, counted and named.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from torch import Tensor

from iad.autoencoder import to_tensor
from iad.patches import PATCH

PATCH_FRAMES = 1200  # frames whose patches give the linear code
ARRAYS = ("frames", "tracks", "landmarks", "portraits")
KEYS = {"held_out", "identity", "captions", "segments", "group", "slot", "take", "shard", "row"}
NAMED = 5  # broken shards and clips that are named at most


@dataclass(frozen=True)
class Pool:
    """Clips of one folder; arrays are lists of memory maps, one per shard."""

    frames: list[np.ndarray]
    tracks: np.ndarray
    landmarks: np.ndarray
    records: list[dict[str, Any]]
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def clip(self, index: SupportsIndex) -> np.ndarray:
        """Return the frames of one clip, uint8 (f, h, w, 3), without copying."""
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


def _check_clip(record: dict[str, Any], track: np.ndarray, landmarks: np.ndarray) -> str:
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


def sample_patches(pool: Pool, *, seed: int) -> Tensor:
    """Cut patches (n, 3, 16, 16) in [0, 1] from anywhere in the first frames of some clips."""
    rng = np.random.default_rng(seed)
    frames = [pool.clip(i)[0] for i in rng.integers(len(pool), size=PATCH_FRAMES)]
    corners = rng.integers(0, frames[0].shape[0] - PATCH + 1, (PATCH_FRAMES, 12, 2))
    cut = [
        f[y : y + PATCH, x : x + PATCH] for f, places in zip(frames, corners, strict=True) for y, x in places
    ]
    return to_tensor(np.stack(cut))
