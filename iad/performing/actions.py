"""Named facial actions: what each does to the face over time, and how a person performs them.

In come action names with times, intensities and tempos (`Performed`); out comes an action track (f, 60): 57
ARKit-style expression weights in [0, 1] in the head file's order, then pitch, yaw and roll in degrees. Pitch
is positive when the person looks up, yaw when they turn to their own left (picture right), roll when they
tilt to picture right. Everyday prompts such as "turns left" leave open whose left is meant; here it is always
the person's own.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from iad.geometry.coefficients import COEFFICIENTS, COLUMN, COLUMNS, EXPRESSIONS, POSE_LIMITS, split_gaze
from iad.geometry.curves import ease
from iad.performing import motions

Tempo = Literal["slow", "normal", "quick"]

RATES: dict[str, float] = {"slow": 0.65, "normal": 1.0, "quick": 1.5}
SLIGHT, NORMAL, STRONG = 0.45, 0.8, 1.0  # intensities that "slightly", no adverb and "broadly" stand for


@dataclass(frozen=True)
class ActionProgram:
    """An action over time: a held face, and a motion that comes on top of it.

    Attributes:
        held: weights and degrees at intensity 1. A name without its side means both sides.
        motion: takes seconds since the start and the tempo's rate, gives curves that are added.
        onset: seconds from rest to the held face at normal tempo.
    """

    held: Mapping[str, float] = field(default_factory=dict)
    motion: motions.Motion | None = None
    onset: float = 0.4

    def __call__(
        self, seconds: Float[np.ndarray, "f"], tempo: Tempo, rng: motions.Chance
    ) -> Float[np.ndarray, "f 60"]:
        """Give the action's own track at intensity 1, neither eased in nor limited."""
        track = np.zeros((len(seconds), len(COEFFICIENTS)), dtype=np.float32)
        moving = self.motion(seconds, RATES[tempo], rng) if self.motion else {}
        for curves in (self.held, moving):
            for name, curve in curves.items():
                for column in COLUMNS[name]:
                    track[:, column] += curve
        return track

    @property
    def uses_eyes(self) -> bool:
        """Tell whether lids or gaze are part of the action, so that idle blinks would spoil it."""
        moving = self.motion(np.zeros(1), 1.0, np.random.default_rng(0)) if self.motion else {}
        return any(name.startswith(("eyeBlink", "eyeLook", "eyeWide")) for name in (*self.held, *moving))


@dataclass(frozen=True)
class Performed:
    """One stretch of a clip: the actions done together, from when to when (seconds), how much, how fast."""

    actions: tuple[str, ...]
    start: float | int
    end: float | int
    intensity: float | int = NORMAL
    tempo: Tempo = "normal"

    def __post_init__(self) -> None:
        unknown = [name for name in self.actions if name not in ACTIONS]
        if unknown or not self.actions:
            raise ValueError(f"Unknown actions {unknown}; name at least one of: {', '.join(ACTIONS)}.")
        if not 0 <= self.start < self.end:
            raise ValueError(f"Times {self.start} to {self.end} s; start must be at least 0 and before end.")
        if not 0 < self.intensity <= 1:
            raise ValueError(f"Intensity is {self.intensity}; give a number above 0 and up to 1.")
        if self.tempo not in get_args(Tempo):
            raise ValueError(f"Tempo is {self.tempo!r}; choose from {', '.join(get_args(Tempo))}.")


def _read_actions() -> dict[str, ActionProgram]:
    """Read the table beside this file."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        name: ActionProgram(**row | {"motion": getattr(motions, row["motion"]) if "motion" in row else None})
        for name, row in rows.items()
    }


ACTIONS = _read_actions()
EIGHT_BASIC = ("smile", "mouth open", "eyes closed", "brows raised", "frown", "pucker", "turn left", "nod")


def perform(
    segments: list[Performed],
    *,
    rng: motions.Chance,
    frames: int = 16,
    fps: float | int = 8,
    idle: bool = True,
) -> Float[np.ndarray, "f 60"]:
    """Play segments as one smooth track.

    An action eases in (reached about 0.4 s after its start), is held or repeated, and eases out where its
    segment ends before the clip does; neighbours overlap by a few tenths of a second. With `idle` the person
    also blinks, breathes and shifts gaze a little, except where eyes are part of the action.
    """
    seconds = np.arange(frames) / fps
    track = np.zeros((frames, len(COEFFICIENTS)), dtype=np.float32)
    eyes_taken = np.zeros(frames)
    for segment in segments:
        for name in segment.actions:
            program = ACTIONS[name]
            envelope = _envelope(seconds, segment, onset=program.onset, clip=frames / fps, rng=rng)
            own = segment.intensity * program(np.maximum(seconds - segment.start, 0), segment.tempo, rng)
            own[:, :EXPRESSIONS] *= rng.normal(1, 0.06, EXPRESSIONS).clip(0.85, 1.15)  # people differ
            own = limit(own)  # before easing, which stays smooth so
            if idle:  # a held face is never quite still
                own *= (0.96 + 0.04 * np.sin(2 * np.pi * (0.7 * seconds + rng.random())))[:, None]
            track += envelope[:, None] * own
            if program.uses_eyes:
                eyes_taken = np.maximum(eyes_taken, envelope)
    if idle:
        calm = all(name == "neutral" for segment in segments for name in segment.actions)
        track += _idle(seconds, length=frames / fps, free=1 - eyes_taken, calm=calm, rng=rng)
    return settle(track)


def _envelope(
    seconds: motions.Seconds, segment: Performed, *, onset: float, clip: float, rng: motions.Chance
) -> motions.Seconds:
    """Rise to 1 and fall to 0 over a few tenths of a second, centred near the segment's ends."""
    rate = RATES[segment.tempo]
    # Within a clip the rise begins a little early, so that it meets the fall of what came before.
    begin = segment.start - (0.12 if segment.start > 0 else rng.uniform(0, 0.1))
    rise = ease((seconds - begin) / max(onset / rate, min(onset, 0.28)))  # two frames or more
    if segment.end >= clip - 0.05:
        return rise
    return rise * ease((segment.end + 0.15 - seconds) * rate / 0.35)


def _idle(
    seconds: motions.Seconds, *, length: float, free: motions.Seconds, calm: bool, rng: motions.Chance
) -> Float[np.ndarray, "f 60"]:
    """Blink, breathe and look about a little. `free` is 1 where the eyes have nothing else to do."""
    track = np.zeros((len(seconds), len(COEFFICIENTS)), dtype=np.float32)
    if rng.random() < (1.0 if calm else 1 - np.exp(-0.25 * length)):
        when = rng.uniform(0.35, max(length - 0.3, 0.4))
        blink = motions.pulses(seconds, first=when, every=4.0, width=0.22)
        track[:, COLUMNS["eyeBlink"]] += (free * blink)[:, None]
    for name, degrees, hertz in (("pitch", 0.4, 0.3), ("yaw", 0.5, 0.17), ("roll", 0.3, 0.21)):
        wave = np.sin(2 * np.pi * (hertz * seconds + rng.random()))
        track[:, COLUMN[name]] = rng.normal(0, 0.6) + degrees * wave
    shift = ease((seconds - rng.uniform(0.2, max(length, 0.3))) / 0.15)
    gaze = (free * (rng.normal(0, 0.05) + rng.normal(0, 0.07) * shift) for _ in range(2))
    for column, amount in split_gaze(*gaze):
        track[:, column] += amount
    return track


def limit(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 60"]:
    """Clip weights and degrees to what a face can do, each by itself."""
    weights, pose = track[:, :EXPRESSIONS].clip(0, 1), track[:, EXPRESSIONS:].clip(-POSE_LIMITS, POSE_LIMITS)
    return np.concatenate([weights, pose], axis=1).astype(np.float32)


def settle(track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, "f 60"]:
    """Keep a sum of actions within what a face can do."""
    settled = limit(track)
    weights = settled[:, :EXPRESSIONS]
    blink, jaw = weights[:, COLUMNS["eyeBlink"]], weights[:, COLUMNS["jawOpen"]]
    weights[:, COLUMNS["eyeWide"]] *= 1 - blink  # lids cannot close and gape
    for name in ("mouthPress", "mouthRollLower", "mouthRollUpper"):  # lips cannot be pressed in an open mouth
        weights[:, COLUMNS[name]] *= (1 - 3 * jaw).clip(0)
    return settled
