"""Words -> track: what mini's T, its text encoder and a seed make of a prompt or a timeline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from iad.config import TRACK
from iad.performing.actions import ACTIONS, RATES, Performed, play, settle
from iad.performing.hearing import MOST_WORDS, Heard, hear
from iad.performing.idling import enliven
from iad.performing.motions import Typical
from iad.performing.network import Performer, Told
from iad.text import NEUTRAL_PROMPT, Action, TextEncoder, parse_prompt

FPS = 24
SHORTEST, LONGEST = 0.5, 10.0  # seconds
SURE = 0.5  # from which confidence on a segment is performed
NAMED = 0.5  # from which probability on an action is part of a deed; the likeliest always is
TOGETHER = 3  # actions of one deed at most
DELAY = 0.1  # seconds by which a take begins later, at most
FIRST = 0.12  # seconds that a clip is at rest before its first deed
TEMPI = (0.93, 1.07)  # of takes
STRENGTHS = (0.94, 1.06)

_NAMES = tuple(ACTIONS)


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
    deeds: tuple[Performed, ...]
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
        seed: which take: onset, tempo, strength and what the words leave open, such as the side to which a
            shake of the head begins; blinks and sway besides. None gives the typical take, without idling.

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
    heard = hear(encoder, [segment.prompt for segment in segments])
    confidence, read = read_segments(performer, heard, segments)
    deeds = tuple(deed for own in read for deed in own)
    track = play_take(deeds, frames=frames, fps=fps, seed=seed)
    return Performance(track, tuple(segments), confidence, deeds, _notes(segments, confidence, heard))


@torch.inference_mode()
def read_segments(
    performer: Performer, heard: Heard, segments: Sequence[Action]
) -> tuple[tuple[float, ...], list[list[Performed]]]:
    """Say for each segment how sure T is and which deeds it tells; none where T is not sure."""
    told = performer(heard.states, heard.mask, heard.places)
    calm = [segment.prompt == NEUTRAL_PROMPT for segment in segments]
    sure = told.sure.sigmoid().tolist()
    confidence = tuple(1.0 if c else s for c, s in zip(calm, sure, strict=True))
    heeded = [not c and s >= SURE for c, s in zip(calm, sure, strict=True)]
    read = [_read_deeds(told, k, segments[k]) if heeded[k] else [] for k in range(len(segments))]
    return confidence, read


def _read_deeds(told: Told, row: int, segment: Action) -> list[Performed]:
    """Read what T tells of one segment; deeds one after another take equal shares of its time."""
    count = int(told.count[row].argmax()) + 1
    cuts = np.linspace(float(segment.start), float(segment.end), count + 1)
    deeds = []
    for k in range(count):
        chances = told.names[row, k].sigmoid().cpu().numpy()
        likely = np.argsort(-chances)[:TOGETHER]
        names = tuple(_NAMES[a] for a in likely if a == likely[0] or chances[a] >= NAMED)
        degree = float(np.clip(told.degree[row, k].sigmoid().cpu(), 0.2, 1))
        tempo = tuple(RATES)[int(told.tempo[row, k].argmax())]
        deeds.append(Performed(names, cuts[k], cuts[k + 1], degree, tempo))
    return deeds


def play_take(
    deeds: Sequence[Performed], *, frames: int, fps: float | int = FPS, seed: int | None = 0
) -> Float[np.ndarray, "f 60"]:
    """Play deeds at any frame rate; a seed is a take of its own, None the typical one."""
    seconds, clip = np.arange(frames) / fps, frames / fps
    track = np.zeros((frames, TRACK), dtype=np.float32)
    if seed is None:
        return settle(track + sum(play(deed, seconds, clip=clip, rng=Typical()) for deed in deeds))
    rng = np.random.default_rng((seed, 5))
    for deed in deeds:
        start = deed.start + rng.uniform(0, DELAY) + (0 if deed.start else FIRST)
        strength = min(1.0, deed.intensity * rng.uniform(*STRENGTHS))
        taken = replace(deed, start=max(0.0, min(start, deed.end - 0.2)), intensity=strength)
        track += play(taken, seconds, clip=clip, rng=rng, haste=rng.uniform(*TEMPI))
    return enliven(settle(track), fps=fps, seed=seed)


def _notes(segments: Sequence[Action], confidence: Sequence[float], heard: Heard) -> tuple[str, ...]:
    unknown = dict.fromkeys(s.prompt for s, c in zip(segments, confidence, strict=True) if c < SURE)
    notes = []
    if unknown:
        words = " and ".join(f'"{_shorten(prompt)}"' for prompt in unknown)
        notes.append(
            f"No facial action was recognised in {words}, so the face stays calm there; say in English what "
            'the face does, such as "smiles", "closes her eyes" or "nods".'
        )
    cut = next(filter(None, heard.left_out), "")
    if cut:
        notes.append(f'The first {MOST_WORDS} words of a prompt are heard; this was not: "{_shorten(cut)}".')
    return tuple(notes)


def _shorten(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[: most - 3].rsplit(" ", 1)[0] + " ..."
