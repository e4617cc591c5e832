"""What the frozen parts say of a pool, computed once: frame latents, encoder features, prompt states.

Beside every shard `NNNNN` it writes `.latents.npy` float16 (n, f, c, y, x), `.tokens.npy` float16
(n, f / s, t, e) and `.global.npy` of each latent frame's first video frame, `.neutral.npy`, the latents of
the person's calm portrait. The references of training are such frames, framed as they are: taken askew they
would not say where the head will be, and whoever learns from them learns to blur.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import torch
from torch import nn

from iad.autoencoder import to_tensor
from iad.config import Preset
from iad.training.pool import Pool

TOGETHER = 8  # clips
PARTS = ("latents", "tokens", "global", "neutral")


@dataclass(frozen=True)
class Prepared:
    """Memory-mapped arrays of the selected clips of a pool, in its order; text states by sentence."""

    arrays: dict[str, list[np.ndarray]]
    rows: np.ndarray  # (n, 2): shard, row
    states: np.ndarray  # float16 (sentences, n, e)
    masks: np.ndarray  # bool (sentences, n)
    sentence: dict[str, int]

    def get(self, name: str, index: SupportsIndex) -> np.ndarray:
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


def prepare_text(folder: Path, sentences: list[str], text_encoder) -> None:
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
