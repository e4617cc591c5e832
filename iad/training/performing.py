"""Stage of T: sentences and the deeds they tell; needs no face, no photo and no pool of clips.

The states of all sentences are computed once; a step then sets some amid words about scenes and lets T say
which actions are done, in which order, how much and how fast, and whether any is named at all.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from iad import checkpoint
from iad.config import Preset
from iad.performing.actions import ACTIONS, RATES
from iad.performing.hearing import WINDOW_TOKENS, cut_windows, join_windows
from iad.performing.network import DEEDS, Performer
from iad.text import TextEncoder, load_text_encoder
from iad.training.loop import fit
from iad.training.spoken import Spoken, draw_scene, draw_spoken

BLOCKS, BLOCK = 6, 1024  # sentences
SCENES = 600  # sentences about scenes, that stand around the others
SURROUNDINGS = ((0, 1.0), (2, 0.75), (8, 0.375))  # at most so many windows on either side; share of a batch
CHANCES = (0.68, 0.2, 0.12)
WEIGHTS = {"names": 20.0, "degree": 0.5, "tempo": 0.3, "count": 0.5, "sure": 0.5}  # names: a mean over all
_INDEX = {name: k for k, name in enumerate(ACTIONS)}
_TEMPO = {name: k for k, name in enumerate(RATES)}


class PerformingStage:
    """Trains `Performer`."""

    name = "performing"

    def __init__(self, preset: Preset, encoder: TextEncoder, *, batch_size: int = 64, seed: int = 0):
        self.encoder, self.batch_size, self.seed = encoder, batch_size, seed
        self.blocks: dict[int, list[Spoken]] = {}
        self.states: dict[str, Tensor] = {}  # of windows, float16
        self.model = nn.ModuleDict({"performing": Performer(preset)})

    def prepare(self, folder: Path) -> None:
        """Encode every sentence once, shortest first, and keep the states in `folder` for a resumed run."""
        windows = {w for k in range(BLOCKS) for s in self._block(k) for w in cut_windows(s.text)}
        windows |= {w for k in range(SCENES) for w in cut_windows(self._scene(k))}
        ordered, path = sorted(windows, key=lambda w: (len(w), w)), folder / "sentences.safetensors"
        digest = zlib.crc32("\n".join(ordered).encode())
        stored = load_file(path) if path.exists() else {"digest": -1}
        if int(stored["digest"]) == digest:
            parts = stored["states"].split(stored["lengths"].tolist())
            self.states = dict(zip(ordered, parts, strict=True))
            return
        for at in tqdm(range(0, len(ordered), 64), desc="sentences", mininterval=5):
            self._encode(ordered[at : at + 64])
        folder.mkdir(parents=True, exist_ok=True)
        parts = [self.states[window] for window in ordered]
        lengths = torch.tensor([len(part) for part in parts])
        stored = {"states": torch.cat(parts), "lengths": lengths, "digest": torch.tensor(digest)}
        checkpoint.write_tensors(path, stored)

    def batch(self, step: int) -> dict[str, Any]:
        """Draw sentences of like length, some amid words about scenes, and what they tell."""
        rng = np.random.default_rng((self.seed, step))
        most, share = SURROUNDINGS[rng.choice(len(SURROUNDINGS), p=CHANCES)]
        size = round(self.batch_size * share)
        block = self._block(int(rng.integers(BLOCKS)))
        at = int(rng.integers(len(block) - size + 1))
        spoken = block[at : at + size]
        texts = [self._surround(s.text, rng, most=most) for s in spoken]
        self._encode(dict.fromkeys(window for text in texts for window in text))
        heard = join_windows([[self.states[window] for window in text] for text in texts])
        return {"heard": (heard.states, heard.mask, heard.places)} | truth_of(spoken)

    def _scene(self, index: int) -> str:
        return draw_scene(np.random.default_rng((self.seed, index, 2)))

    def _block(self, index: int) -> list[Spoken]:
        """Draw a block of sentences, shortest first, so that a batch needs little padding."""
        if index not in self.blocks:
            seeds = ((self.seed, index, k, 1) for k in range(BLOCK))
            spoken = [draw_spoken(np.random.default_rng(seed)) for seed in seeds]
            self.blocks[index] = sorted(spoken, key=lambda s: len(s.text))
        return self.blocks[index]

    def _surround(self, text: str, rng: np.random.Generator, *, most: int) -> list[str]:
        if not most:
            return cut_windows(text)
        before, after = rng.integers(most + 1, size=2)
        scenes = [self._scene(int(k)) for k in rng.integers(SCENES, size=before + after)]
        windows = [window for scene in scenes for window in cut_windows(scene)]
        return [*windows[:before], *cut_windows(text), *windows[before:]]

    def _encode(self, windows) -> None:
        new = [window for window in windows if window not in self.states]
        if new:
            encoded = self.encoder.encode(new, tokens=WINDOW_TOKENS)
            for window, states, mask in zip(new, encoded.states, encoded.mask, strict=True):
                self.states[window] = states[mask].half().cpu()

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Compare what T tells with the truth; degree and tempo only of deeds that have them."""
        device = next(self.model.parameters()).device
        told = self.model["performing"](*(x.to(device) for x in batch["heard"]))
        truth = {key: value.to(device) for key, value in batch.items() if key != "heard"}
        there, sure = truth["there"], truth["sure"] > 0
        moving = there & (truth["names"][..., _INDEX["neutral"]] == 0) & sure[:, None]
        terms = {
            "names": binary_cross_entropy(told.names[there], truth["names"][there]),
            "degree": binary_cross_entropy(told.degree[moving], truth["degree"][moving]),
            "tempo": cross_entropy(told.tempo[moving], truth["tempo"][moving]),
            "count": cross_entropy(told.count[sure], truth["count"][sure]),
            "sure": binary_cross_entropy(told.sure, truth["sure"]),
        }
        return {"total": sum(weight * terms[key] for key, weight in WEIGHTS.items())} | terms

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show nothing: `tests/benchmarks/performing.py` draws tracks."""

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}


def truth_of(spoken: list[Spoken]) -> dict[str, Tensor]:
    """Say what sentences tell as T is asked it; where nothing is told, a first deed without actions."""
    shape = (len(spoken), DEEDS)
    there, degree, tempo = np.zeros(shape, bool), np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    names = np.zeros((*shape, len(ACTIONS)), np.float32)
    there[:, 0] = True
    for row, sentence in enumerate(spoken):
        for k, deed in enumerate(sentence.deeds):
            there[row, k], degree[row, k], tempo[row, k] = True, deed.intensity, _TEMPO[deed.tempo]
            names[row, k, [_INDEX[name] for name in deed.actions]] = 1
    count = [max(0, len(s.deeds) - 1) for s in spoken]
    arrays = {"there": there, "degree": degree, "tempo": tempo, "names": names, "count": np.array(count)}
    sure = np.array([s.sure for s in spoken], np.float32)
    return {key: torch.from_numpy(value) for key, value in (arrays | {"sure": sure}).items()}


def train_performing(preset: Preset, options) -> Path:
    """Train T within the options' minutes; add it, halved, to the folder of weights and return that."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    stage = PerformingStage(preset, load_text_encoder(preset.text).to(device), seed=options.seed)
    if options.max_steps is None or options.total:  # in other company a sentence's states differ in a bit
        stage.prepare(options.output / stage.name)
    trained, weights = fit(stage, options.loop(stage.name)), options.output / "weights"
    checkpoint.save_preset(weights, preset)
    checkpoint.save_part(weights, stage.name, trained[stage.name].state_dict(), half=True)
    return weights
