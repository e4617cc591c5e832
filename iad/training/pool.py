"""A pool of clips on disk, memory-mapped: what every stage trains on.

A shard is four files: `NNNNN.frames.npy` uint8 (n, f, h, w, 3), `NNNNN.tracks.npy` float32 (n, f, 60),
`NNNNN.landmarks.npy` float32 (n, f, 68, 2) in the unit square, `NNNNN.jsonl` with one object a clip.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from torch import Tensor

from iad.autoencoder import to_tensor
from iad.patches import PATCH

PATCH_FRAMES = 1200  # frames whose patches give the linear code


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
    """Open every shard of `folder`; `held_out` keeps training people (False), held-out ones (True), or all.

    Raises:
        FileNotFoundError: there is no complete shard.
    """
    folder = Path(folder)
    names = sorted(p.name.removesuffix(".jsonl") for p in folder.glob("*.jsonl"))
    if not names:
        hint = f"python -m iad data render --output {folder}"
        raise FileNotFoundError(f"No clips in {folder}; render some with: {hint}")
    frames = [np.load(folder / f"{name}.frames.npy", mmap_mode="r") for name in names]
    tracks = [np.load(folder / f"{name}.tracks.npy") for name in names]
    landmarks = [np.load(folder / f"{name}.landmarks.npy") for name in names]
    records = [json.loads(line) for name in names for line in (folder / f"{name}.jsonl").open()]
    offsets = np.cumsum([0] + [len(f) for f in frames])
    pool = Pool(frames, np.concatenate(tracks), np.concatenate(landmarks), records, offsets)
    return pool if held_out is None else select(pool, lambda record: record["held_out"] == held_out)


def select(pool: Pool, keep) -> Pool:
    """Return the clips whose record `keep` accepts."""
    index = [i for i, record in enumerate(pool.records) if keep(record)]
    frames = [pool.clip(i)[None] for i in index]
    records = [pool.records[i] for i in index]
    return Pool(frames, pool.tracks[index], pool.landmarks[index], records, np.arange(len(index) + 1))


def sample_patches(pool: Pool, *, seed: int) -> Tensor:
    """Cut patches (n, 3, 16, 16) in [0, 1] from anywhere in the first frames of some clips."""
    rng = np.random.default_rng(seed)
    frames = [pool.clip(i)[0] for i in rng.integers(len(pool), size=PATCH_FRAMES)]
    corners = rng.integers(0, frames[0].shape[0] - PATCH + 1, (PATCH_FRAMES, 12, 2))
    cut = [
        f[y : y + PATCH, x : x + PATCH] for f, places in zip(frames, corners, strict=True) for y, x in places
    ]
    return to_tensor(np.stack(cut))
