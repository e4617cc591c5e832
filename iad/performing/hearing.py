"""A prompt of any length -> token states: the text is cut into windows that the encoder reads one by one.

A window is a sentence, or a stretch of one; it is encoded without the rest. So what a window says sounds the
same alone and after 200 words about the scene. In come texts, out come states (b, n, e) with a mask and each
token's place in the whole text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from iad.text import TextEncoder

MOST_WORDS = 250
WINDOW = 22  # words
WINDOW_TOKENS = 64
OVERLAP = 6  # words that a window shares with the one before it, where nothing better than a count cuts

_SENTENCES = re.compile(r"(?<=[.!?;。！？])\s+|\n+")
_JOINTS = re.compile(r",\s+|\s+(?=(?:while|then|but|who|she|he|they)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Heard:
    """Texts as T reads them; `left_out` holds for each what could not be heard, "" if all was."""

    states: Float[Tensor, "b n e"]
    mask: Bool[Tensor, "b n"]
    places: Float[Tensor, "b n"]
    left_out: tuple[str, ...]


def cut_windows(text: str) -> list[str]:
    """Cut a text into windows of at most `WINDOW` words: at sentences, else at commas, else by count."""
    windows = []
    for sentence in filter(None, map(str.strip, _SENTENCES.split(text))):
        if len(sentence.split()) <= WINDOW:
            windows.append(sentence)
            continue
        parts = [part for part in _JOINTS.split(sentence) if part.strip()]
        kept: list[str] = []
        for part in parts:
            if kept and len(f"{kept[-1]} {part}".split()) <= WINDOW:
                kept[-1] = f"{kept[-1]}, {part}"
            else:
                kept += _by_count(part)
        windows += kept
    return windows or [""]


def _by_count(text: str) -> list[str]:
    words = text.split()
    if len(words) <= WINDOW:
        return [text]
    starts = range(0, len(words) - OVERLAP, WINDOW - OVERLAP)
    return [" ".join(words[at : at + WINDOW]) for at in starts]


def hear(encoder: TextEncoder, texts: Sequence[str]) -> Heard:
    """Encode texts window by window; words beyond the first `MOST_WORDS` are left out."""
    windows = [cut_windows(_head(text)) for text in texts]
    unique = list(dict.fromkeys(window for own in windows for window in own))
    encoded = encoder.encode(unique, tokens=WINDOW_TOKENS)
    states = [s[m] for s, m in zip(encoded.states, encoded.mask, strict=True)]
    known = dict(zip(unique, states, strict=True))
    cut = {window for window, too_long in zip(unique, encoded.truncated, strict=True) if too_long}
    beyond = (" ".join(text.split()[MOST_WORDS:]) for text in texts)
    left_out = [
        rest or next((window[-40:] for window in own if window in cut), "")
        for rest, own in zip(beyond, windows, strict=True)
    ]
    return join_windows([[known[window] for window in own] for own in windows], left_out)


def _head(text: str) -> str:
    words = text.split()
    return text if len(words) <= MOST_WORDS else " ".join(words[:MOST_WORDS])


def join_windows(texts: Sequence[Sequence[Tensor]], left_out: Sequence[str] = ()) -> Heard:
    """Join the states of each text's windows, padded to the longest text."""
    rows = [torch.cat(list(windows)).float() for windows in texts]
    longest = max(map(len, rows))
    states = torch.zeros(len(rows), longest, rows[0].shape[-1], device=rows[0].device)
    mask = torch.zeros(len(rows), longest, dtype=torch.bool, device=states.device)
    for k, row in enumerate(rows):
        states[k, : len(row)], mask[k, : len(row)] = row, True
    places = torch.arange(longest, device=states.device).float().expand(len(rows), longest)
    return Heard(states, mask, places, tuple(left_out) or ("",) * len(rows))
