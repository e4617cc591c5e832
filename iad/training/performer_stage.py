"""Stage of T: sentences and the deeds they tell; needs no face, no photo and no pool of clips.

A step sets some sentences amid words about scenes, draws takes of what they mean, and lets T say how many
deeds are told, whether any is, and where its flow would carry each. On a CPU the states of a stock of
sentences are computed once, before; a GPU hears new ones in every step.
"""

import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as binary_cross_entropy
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from iad import checkpoint
from iad.config import EXPRESSIONS, TRACK, Preset
from iad.performing.gestures import NUMBERS, RHYTHMS
from iad.performing.network import BEYOND, NOISE, STEPS, Performer
from iad.performing.performance import WINDOW_TOKENS, Heard, cut_windows, join_windows
from iad.text import TextEncoder, load_text_encoder
from iad.training.loop import Stage, fit
from iad.training.meanings import draw_takes
from iad.training.spoken import Spoken, draw_scene, draw_spoken
from iad.training.timetable import Options, enlarge, get_device

# Sentences; a short run has fewer blocks, for they have to be encoded first.
BLOCKS, BLOCK = 100, 1024
SCENES = 400  # sentences about scenes, that stand around the others
SURROUNDINGS = ((0, 1.0), (2, 0.5), (8, 0.15))  # at most so many windows on either side; share of a batch
CHANCES = (0.84, 0.11, 0.05)
TAKES = 1  # of each deed in a step
TIMES = (0.4, 0.2, 0.2, 0.2)  # how often the flow is asked at which of its steps
TYPICAL = 0.2  # share of takes that begin without noise, as a typical one does
WEIGHTS = {"gesture": 1.0, "side": 0.5, "count": 0.5, "sure": 0.5, "beyond": 1.0}
# Pose counts for more, for its unit is large, and manner for less, for its takes differ most.
_COUNTS = torch.tensor(
    [1.0] * EXPRESSIONS + [1.5] * (TRACK - EXPRESSIONS) + [1.0] * len(RHYTHMS) + [0.15, 0.5, 0.5, 0.5]
)


class PerformingStage(Stage):
    """Trains `Performer`."""

    name = "performing"

    def __init__(
        self,
        preset: Preset,
        encoder: TextEncoder,
        *,
        batch_size: int = 64,
        seed: int = 0,
        blocks: int | None = BLOCKS,
    ):
        """Make the stage.

        Args:
            preset: the model size.
            encoder: gives the states of sentences.
            batch_size: sentences of a step, fewer where many words surround them.
            seed: same seed, same sentences.
            blocks: of sentences that there are; None draws new ones in every step.
        """
        self.encoder, self.batch_size, self.seed, self.count = encoder, batch_size, seed, blocks
        self.blocks: dict[int, list[Spoken]] = {}
        self.states: dict[str, Tensor] = {}  # of windows, float16
        self.model = nn.ModuleDict({"performing": Performer(preset)})

    def prepare(self, folder: Path) -> None:
        """Encode every sentence once, shortest first, and keep the states in `folder` for a resumed run."""
        windows = {w for k in range(self.count) for s in self._block(k) for w in cut_windows(s.text)}
        windows |= {w for k in range(SCENES) for w in cut_windows(self._scene(k))}
        ordered, path = sorted(windows, key=lambda w: (len(w), w)), folder / "sentences.safetensors"
        digest = zlib.crc32("\n".join(ordered).encode())
        with suppress(FileNotFoundError, ValueError, KeyError):  # missing, damaged or something else
            stored = checkpoint.read_tensors(path)
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
        spoken = self._draw(round(self.batch_size * share), rng)
        texts = [self._surround(s.text, rng, most=most) for s in spoken]
        return {"windows": texts} | truth_of(spoken, rng)

    def _draw(self, size: int, rng: np.random.Generator) -> list[Spoken]:
        if self.count is None:
            return [draw_spoken(rng) for _ in range(size)]
        block = self._block(int(rng.integers(self.count)))
        at = int(rng.integers(len(block) - size + 1))
        return block[at : at + size]

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

    def _hear(self, texts: list[list[str]]) -> Heard:
        """Join the states of texts, each given as its windows; what is not in stock is encoded."""
        self._encode(dict.fromkeys(window for text in texts for window in text))
        heard = join_windows([[self.states[window] for window in text] for text in texts])
        if self.count is None:
            self.states.clear()
        return heard

    def _encode(self, windows: Iterable[str]) -> None:
        new = [window for window in windows if window not in self.states]
        if new:
            encoded = self.encoder.encode(new, tokens=WINDOW_TOKENS)
            states, masks = encoded.states.half().cpu(), encoded.mask.cpu()
            for window, state, mask in zip(new, states, masks, strict=True):
                self.states[window] = state[mask]

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, Tensor]:
        """Compare what T tells with the truth, and where its flow leads with takes of what is meant."""
        performer, device = self.model["performing"], self.device
        heard = self._hear(batch["windows"])
        told = performer(*(x.to(device) for x in (heard.states, heard.mask, heard.places)))
        rows, slots = batch["rows"], batch["slots"]
        queries = told.queries[rows, slots].expand(len(batch["takes"]), -1, -1)
        reached = performer.flow(batch["moving"], batch["time"], queries)
        sure = batch["sure"] > 0
        side, count = told.side[rows, slots], told.count[sure]
        terms = {
            "gesture": ((reached - batch["takes"]).square() * _COUNTS.to(device)).sum(-1).mean(),
            "side": cross_entropy(side, batch["side"]) if len(side) else side.sum(),
            "count": cross_entropy(count, batch["count"][sure]) if len(count) else count.sum(),
            "sure": binary_cross_entropy(told.sure, batch["sure"]),
            "beyond": binary_cross_entropy(told.beyond, batch["beyond"]),
        }
        return {"total": sum(weight * terms[key] for key, weight in WEIGHTS.items())} | terms


def truth_of(spoken: Sequence[Spoken], rng: np.random.Generator) -> dict[str, Tensor]:
    """Say what sentences tell as T is asked it, with `TAKES` takes of each deed on their way from noise."""
    told = [
        (row, slot, deed) for row, sentence in enumerate(spoken) for slot, deed in enumerate(sentence.deeds)
    ]
    takes = [draw_takes([deed for *_, deed in told], rng) for _ in range(TAKES)] if told else []
    takes = np.stack(takes) if told else np.zeros((TAKES, 0, NUMBERS), np.float32)
    time = rng.choice(STEPS, (TAKES, len(told), 1), p=TIMES).astype(np.float32) / STEPS
    noise = NOISE * rng.standard_normal(takes.shape, np.float32)
    usual = rng.random((TAKES, len(told), 1)) < TYPICAL
    arrays = {
        "rows": np.array([row for row, *_ in told], np.int64),
        "slots": np.array([slot for _, slot, _ in told], np.int64),
        "takes": takes,
        "side": np.array([2 if deed.side is None else deed.side for *_, deed in told], np.int64),
        "time": time,
        "moving": (1 - time) * np.where(usual, 0, noise) + time * takes,
        "count": np.array([max(0, len(s.deeds) - 1) for s in spoken]),
        "sure": np.array([s.sure for s in spoken], np.float32),
        "beyond": np.array([[name in s.beyond for name in BEYOND] for s in spoken], np.float32),
    }
    return {key: torch.from_numpy(value) for key, value in arrays.items()}


def train_performing(preset: Preset, options: Options) -> Path:
    """Train T within the options' minutes; add it, halved, to the folder of weights and return that."""
    device, steps = get_device(), options.max_steps
    torch.manual_seed(options.seed)
    fresh = device.type == "cuda" and steps is None
    blocks = 1 + steps // 100 if steps else max(1, round(3 * options.minutes))
    stage = PerformingStage(
        preset,
        load_text_encoder(preset.text).to(device),
        batch_size=64 * enlarge(PerformingStage.name),
        seed=options.seed,
        blocks=None if fresh else min(BLOCKS, blocks),
    )
    if not fresh:  # in other company a sentence's states differ in a bit
        stage.prepare(options.output / stage.name)
    trained = fit(stage, options.loop(stage.name))
    checkpoint.save_preset(options.weights, preset)
    checkpoint.save_part(options.weights, stage.name, trained[stage.name].state_dict(), half=True)
    return options.weights
