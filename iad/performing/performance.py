"""Words -> track: what mini's T, its text encoder and a seed make of a prompt or a timeline.

A prompt of any length is cut into windows that the encoder reads one by one. A window is a sentence, or a
stretch of one; so what it says sounds the same alone and after 200 words about the scene.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from iad.performing.clauses import cut_clauses, has_words, join_clauses
from iad.performing.gestures import FPS, NUMBERS, PLACES, Deed, mirror, play_take
from iad.performing.network import BEYOND, DEEDS, SIDES, Performer, Told
from iad.text import NEUTRAL_PROMPT, Action, TextEncoder, parse_prompt

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


SHORTEST, LONGEST = 0.5, 10.0  # seconds
SURE = 0.5  # from which confidence on a segment is performed

_UNSHOWN = {
    "tongue": "A tongue is not shown; the rest of the face is.",
    "tears": "Tears are not shown; the rest of the face is.",
    "hands": "What hands do is not shown; the face is.",
    "body": "What the body does is not shown; the face is.",
    "skin": "A change of the skin's colour is not shown; the rest of the face is.",
    "contradiction": "The words contradict themselves, so the face stays calm there.",
}


@dataclass(frozen=True)
class Performance:
    """What the face does, and how sure T is of it.

    Attributes:
        track: 57 expression weights, then pitch, yaw, roll in degrees, for each frame.
        segments: the stretches of the clip and their words.
        confidence: for each segment how sure T is that its words name a facial action, 0 to 1; below `SURE`
            the face stays calm there.
        deeds: what is performed, in order, with times in seconds.
        notes: doubts, each in a sentence.
    """

    track: Float[np.ndarray, "f 60"]
    segments: tuple[Action, ...]
    confidence: tuple[float, ...]
    deeds: tuple[Deed, ...]
    notes: tuple[str, ...]

    @property
    def understood(self) -> bool:
        """Tell whether some segment's words were understood; gaps of a timeline do not count."""
        asked = [c for c, s in zip(self.confidence, self.segments, strict=True) if s.prompt != NEUTRAL_PROMPT]
        return not asked or max(asked) >= SURE


def perform_prompt(
    performer: Performer,
    encoder: TextEncoder,
    prompt: str,
    timeline: Sequence[Action] | None = None,
    *,
    seconds: float | int = 2.0,
    fps: float | int = FPS,
    seed: int | None = 0,
) -> Performance:
    """Perform a prompt or a timeline.

    Args:
        performer: T.
        encoder: gives T its token states.
        prompt: what happens, in words; also "[0-1s] smiles [1-2s] nods".
        timeline: actions with times, instead of times in the prompt.
        seconds: length of the clip, `SHORTEST` to `LONGEST`.
        fps: frames a second.
        seed: which take: what the words leave open, such as the side, how strong, when and how fast, what of
            the face joins in; blinks and sway besides. None gives the typical take, without idling.

    Raises:
        ValueError: a length or prompt that cannot be performed, in one sentence.
    """
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"The clip lasts {seconds} s; give {SHORTEST:g} to {LONGEST:g} seconds.")
    segments = parse_prompt(prompt, timeline, duration=seconds)
    return perform_segments(performer, encoder, segments, frames=round(fps * seconds), fps=fps, seed=seed)


@torch.inference_mode()
def perform_segments(
    performer: Performer,
    encoder: TextEncoder,
    segments: Sequence[Action],
    *,
    frames: int,
    fps: float | int = FPS,
    seed: int | None = 0,
) -> Performance:
    """Perform segments that cover a clip, as `iad.text.parse_prompt` gives them."""
    segments = _cut_segments(performer, encoder, segments)
    heard = hear(encoder, [segment.prompt for segment in segments])
    told = performer(heard.states, heard.mask, heard.places)
    confidence = _rate(told, segments)
    drawn = _draw_gestures(performer, told, seed)
    deeds = []
    for row, (segment, sure) in enumerate(zip(segments, confidence, strict=True)):
        if sure >= SURE and segment.prompt != NEUTRAL_PROMPT:
            deeds += _share_time(segment, drawn[row, : int(told.count[row].argmax()) + 1])
    track = play_take(deeds, frames=frames, fps=fps, seed=seed)
    notes = _notes(segments, confidence, heard, told)
    return Performance(track, tuple(segments), confidence, tuple(deeds), notes)


def _cut_segments(performer: Performer, encoder: TextEncoder, segments: Sequence[Action]) -> list[Action]:
    """Cut segments at "then"; clauses have equal shares of a segment's time."""
    cut: list[Action] = []
    for segment in segments:
        clauses = cut_clauses(segment.prompt)
        if len(clauses) > 1:
            heard = hear(encoder, [clause.words for clause in clauses])
            sure = performer(heard.states, heard.mask, heard.places).sure.sigmoid() >= SURE
            clauses = join_clauses(clauses, sure.tolist())
        if len(clauses) == 1:
            cut.append(segment)
            continue
        shares = np.cumsum([0, *(clause.parts for clause in clauses)])
        cuts = float(segment.start) + float(segment.end - segment.start) * shares / shares[-1]
        times = pairwise(cuts.tolist())
        cut += [Action(*span, clause.words) for clause, span in zip(clauses, times, strict=True)]
    return cut


def _rate(told: Told, segments: Sequence[Action]) -> tuple[float, ...]:
    """Say for each segment how sure T is: of calm gaps it is, where no word is it is not."""
    sure = [float(c) * has_words(s.prompt) for c, s in zip(told.sure.sigmoid(), segments, strict=True)]
    return tuple(1.0 if s.prompt == NEUTRAL_PROMPT else c for c, s in zip(sure, segments, strict=True))


def _draw_gestures(performer: Performer, told: Told, seed: int | None) -> Float[np.ndarray, "b k n"]:
    """Draw a gesture for each deed that might be; a side that is open is the same throughout a take."""
    noise, left = np.zeros((len(told.sure), DEEDS, NUMBERS), np.float32), True
    if seed is not None:
        rng = np.random.default_rng((seed, 3))
        noise, left = rng.standard_normal(noise.shape, np.float32), rng.random() < 0.5
    drawn = performer.flow.sample(told.queries, torch.from_numpy(noise).to(told.queries.device)).cpu().numpy()
    if seed is None:
        drawn[..., PLACES["delay"]] = 0  # a typical take begins at once
    said = told.side.argmax(-1).cpu().numpy()
    to_right = (said == SIDES.index("right")) | (said == SIDES.index("open")) & (not left)
    return np.where(to_right[..., None], mirror(drawn), drawn)


def _share_time(segment: Action, gestures: Float[np.ndarray, "k n"]) -> list[Deed]:
    """Let gestures one after another have equal shares of a segment's time."""
    cuts = np.linspace(float(segment.start), float(segment.end), len(gestures) + 1).tolist()
    return [Deed(numbers, *times) for numbers, times in zip(gestures, pairwise(cuts), strict=True)]


def _notes(
    segments: Sequence[Action], confidence: Sequence[float], heard: Heard, told: Told
) -> tuple[str, ...]:
    asked = np.array([has_words(s.prompt) and s.prompt != NEUTRAL_PROMPT for s in segments])
    named = (told.beyond > 0).cpu().numpy() & asked[:, None]
    unsure = np.array(confidence) < SURE
    contradictory = named[:, BEYOND.index("contradiction")] & unsure
    named[:, BEYOND.index("contradiction")] = contradictory
    unknown = dict.fromkeys(segments[row].prompt for row in np.flatnonzero(unsure & ~contradictory))
    notes = []
    if unknown:
        words = " and ".join(f'"{_shorten(prompt)}"' for prompt in unknown)
        notes.append(
            f"No facial action was recognised in {words}, so the face stays calm there; say in English what "
            'the face does, such as "smiles", "closes her eyes" or "nods".'
        )
    notes += [_UNSHOWN[BEYOND[kind]] for kind in np.flatnonzero(named.any(0))]
    cut = next(filter(None, heard.left_out), "")
    if cut:
        notes.append(f'The first {MOST_WORDS} words of a prompt are heard; this was not: "{_shorten(cut)}".')
    return tuple(notes)


def _shorten(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3].rsplit(" ", 1)[0] + " ..."
