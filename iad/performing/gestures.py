"""A gesture: what a face does in one deed, as a row of numbers; no list of actions stands behind it.

    57 weights, pose / 15 degrees | how much of each rhythm | onset, tempo, delay, release

In come gestures with their times (`Deed`), out comes a track at any length and frame rate. What the numbers
do is decided here and by `iad.performing.motions`; which numbers a sentence asks for, T has learned. A living
face besides blinks, sways and glances, drawn from a seed (`enliven`), but for eyes that a gesture uses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from iad.config import EXPRESSIONS, TRACK
from iad.geometry.coefficients import POSE_UNIT, code_to_track, mirror_track, split_gaze
from iad.geometry.curves import ease
from iad.performing import motions
from iad.performing.actions import ACTIONS, COEFFICIENTS, COLUMNS, limit, settle
from iad.performing.motions import Chance, Motion, Typical

IN_USE = 0.15  # weight of a coefficient of the eyes from which on they are taken
AROUND = 0.3  # seconds before and after, in which they are left alone too
BLINK_EVERY = 3.2  # seconds, about
SWAY = {  # degrees and hertz
    "pitch": ((0.35, 0.27), (0.3, 0.11)),
    "yaw": ((0.45, 0.13), (0.3, 0.071)),
    "roll": ((0.3, 0.17), (0.15, 0.31)),
}

_EYES = [k for k, name in enumerate(COEFFICIENTS) if name.startswith(("eyeBlink", "eyeLook", "eyeWide"))]
_STEADY = [k for k, name in enumerate(COEFFICIENTS[:EXPRESSIONS]) if not name.startswith("eye")]


def enliven(track: Float[np.ndarray, "f 60"], *, fps: float | int, seed: int) -> Float[np.ndarray, "f 60"]:
    """Let the face of a track blink, breathe and look about; the same seed, the same life."""
    rng, seconds = np.random.default_rng((seed, 7)), np.arange(len(track)) / fps
    free = _free_eyes(track, fps)
    lived = track.copy()
    waver = 0.025 * np.sin(2 * np.pi * (0.6 * seconds + rng.random()))  # a held face is never quite still
    lived[:, _STEADY] *= 1 + waver[:, None]
    for name, waves in SWAY.items():
        for degrees, hertz in waves:
            swing = np.sin(2 * np.pi * (hertz * seconds + rng.random()))
            lived[:, COEFFICIENTS.index(name)] += degrees * rng.uniform(0.6, 1.3) * swing
    blinks = _blink(seconds, free, rng)
    for side in "LR":
        lid = lived[:, COEFFICIENTS.index(f"eyeBlink_{side}")]
        lid[:] = np.maximum(lid, blinks)
    for column, amount in split_gaze(*_glance(seconds, rng)):
        lived[:, column] += free * amount
    return settle(lived)


def _free_eyes(track: np.ndarray, fps: float | int) -> np.ndarray:
    """Tell from 0 to 1 how free the eyes are at each frame."""
    used = (track[:, _EYES].max(1) > IN_USE).astype(np.float32)
    reach = round(AROUND * fps)
    padded = np.pad(used, 2 * reach, mode="edge")
    near = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(1)
    return 1 - np.lib.stride_tricks.sliding_window_view(near, 2 * reach + 1).mean(1)


def _blink(seconds: np.ndarray, free: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Close quickly and open more slowly, now and then; a blink is whole or not at all."""
    blinks, length = np.zeros(len(seconds)), seconds[-1]
    at = rng.uniform(0.4, max(0.5, min(2.5, length - 0.5)))
    while at < length:
        if free[np.searchsorted(seconds, at)] > 0.99:
            shut = ease((seconds - at) / 0.1) * ease((at + 0.34 - seconds) / 0.18)
            blinks = np.maximum(blinks, shut)
        at += max(0.9, BLINK_EVERY * np.exp(rng.normal(0, 0.4)))
    return blinks


def _glance(seconds: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rest the gaze near the camera, elsewhere every second or two; to the left, and up."""
    across, along, at = np.zeros(len(seconds)), np.zeros(len(seconds)), 0.0
    where = (rng.normal(0, 0.04), rng.normal(0, 0.03))
    across, along = across + where[0], along + where[1]
    while at < seconds[-1]:
        at += rng.uniform(0.8, 2.6)
        there = (rng.normal(0, 0.07), rng.normal(0, 0.04))
        moved = ease((seconds - at) / 0.07)
        across, along = (old + moved * (new - old) for old, new in zip((across, along), there, strict=True))
    return across, along


FPS = 24
FIRST = 0.06  # seconds that a clip is at rest before its first deed
ONSET = 0.4  # seconds from rest to the held face that an onset of 0 stands for
FAINTEST = 0.05  # below it a weight, or a pose in its unit, is none
LEAST = 0.15  # below it there is none of a rhythm
UNRELEASED = 0.1  # below it a face is held to the deed's end


def _one_way(motion: Motion) -> Motion:
    """Take the chance out of a motion: its amount is signed instead."""
    return lambda seconds, rate, rng: motion(seconds, rate, Typical())


RHYTHMS: Mapping[str, Motion] = {
    "nod": motions.nod, "shake": _one_way(motions.shake), "laugh": motions.laugh, "talk": motions.talk,
    "blink": motions.blink, "wink_L": motions.wink_left, "wink_R": motions.wink_right, "sob": motions.sob,
    "tremble": motions.tremble, "chew": motions.chew, "sway": motions.sway, "wiggle": motions.wiggle,
    "dart": motions.dart, "quiver": motions.quiver, "eyeroll": motions.roll_eyes, "breath": motions.breathe,
}  # fmt: skip
MANNER = ("onset", "tempo", "delay", "release")
NUMBERS = TRACK + len(RHYTHMS) + len(MANNER)
PLACES = {name: TRACK + k for k, name in enumerate((*RHYTHMS, *MANNER))}

Numbers = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Deed:
    """A gesture, and from when to when (seconds) it is done."""

    numbers: Numbers
    start: float | int
    end: float | int

    @property
    def onset(self) -> float:
        """Seconds from rest to the held face at normal tempo."""
        return ONSET * 2 ** float(np.clip(self.numbers[PLACES["onset"]], -2, 2))

    @property
    def rate(self) -> float:
        """How fast rhythms go; 1 is normal."""
        return 2 ** float(np.clip(self.numbers[PLACES["tempo"]], -1, 1))

    @property
    def delay(self) -> float:
        """Seconds by which the deed begins later."""
        return float(np.clip(self.numbers[PLACES["delay"]], 0, 0.25 * (self.end - self.start)))

    @property
    def hold(self) -> float | None:
        """Seconds after which the face lets go before the deed's end, if it does."""
        release = float(self.numbers[PLACES["release"]])
        return None if release < UNRELEASED else -np.log(min(release, 0.95))

    @property
    def rhythms(self) -> dict[str, float]:
        """How much of which rhythm; a negative amount begins to the other side."""
        amounts = {name: float(self.numbers[PLACES[name]]) for name in RHYTHMS}
        return {name: amount for name, amount in amounts.items() if abs(amount) >= LEAST}


def _other_side() -> tuple[np.ndarray, np.ndarray]:
    """Say which number each becomes in a mirror, and which change their sign."""
    order, signs = np.arange(NUMBERS), np.ones(NUMBERS, np.float32)
    marked = mirror_track(np.arange(1, TRACK + 1, dtype=np.float32)[None])[0]
    order[:TRACK], signs[:TRACK] = np.abs(marked).astype(int) - 1, np.sign(marked)
    left, right = PLACES["wink_L"], PLACES["wink_R"]
    order[[left, right]] = right, left
    signs[[PLACES[name] for name in ("shake", "sway", "dart")]] = -1
    return order, signs


_ORDER, _SIGNS = _other_side()


def mirror(numbers: Float[np.ndarray, "*b n"]) -> Float[np.ndarray, "*b n"]:
    """Give the gesture of the mirrored face."""
    return numbers[..., _ORDER] * _SIGNS


def release_after(seconds: float) -> float:
    """Say in a gesture's numbers that a face lets go after so many seconds."""
    return float(np.exp(-seconds))


def draw_gesture(
    held: Mapping[str, float], rhythms: Mapping[str, float] | None = None, *, onset: float = ONSET
) -> Numbers:
    """Write a gesture down: weights and degrees by name (one without its side means both), and rhythms."""
    numbers = np.zeros(NUMBERS, np.float32)
    for name, amount in held.items():
        for column in COLUMNS[name]:
            numbers[column] += amount / (1 if column < EXPRESSIONS else POSE_UNIT)
    for name, amount in (rhythms or {}).items():
        numbers[PLACES[name]] = amount
    numbers[PLACES["onset"]] = max(-2, np.log2(onset / ONSET))
    return numbers


_RHYTHM_OF: dict[Callable, str] = {motion: name for name, motion in RHYTHMS.items()} | {
    motions.shake: "shake"
}


def gesture_of(action: str) -> Numbers:
    """Give one of the `ACTIONS` as a gesture at full strength, as its typical take has it."""
    program = ACTIONS[action]
    if program.motion is None or program.motion in _RHYTHM_OF:
        rhythms = {_RHYTHM_OF[program.motion]: 1.0} if program.motion else {}
        return draw_gesture(program.held, rhythms, onset=program.onset)
    kept = program.motion(np.zeros(1), 1.0, Typical())  # no rhythm, but a face with a side to choose
    held = [draw_gesture(part, onset=program.onset) for part in (program.held, kept)]
    return sum(held) - draw_gesture({}, onset=program.onset)


def play(
    deed: Deed, seconds: Float[np.ndarray, "f"], *, clip: float | int, rng: Chance
) -> Float[np.ndarray, "f 60"]:
    """Give what one deed adds to a clip of `clip` seconds at any times, without idling."""
    target = np.where(np.abs(deed.numbers[:TRACK]) < FAINTEST, 0, deed.numbers[:TRACK])
    track = np.repeat(code_to_track(target)[None], len(seconds), axis=0)
    since = np.maximum(seconds - deed.start - deed.delay, 0)
    for name, amount in deed.rhythms.items():
        for moved, curve in RHYTHMS[name](since, deed.rate, rng).items():
            for column in COLUMNS[moved]:
                track[:, column] += amount * curve
    return _envelope(seconds, deed, clip=clip)[:, None] * limit(track)


def _envelope(seconds: np.ndarray, deed: Deed, *, clip: float | int) -> np.ndarray:
    """Rise to 1 and fall to 0 over a few tenths of a second, centred near the deed's ends."""
    # Within a clip the rise begins a little early, so that it meets the fall of what came before.
    begin = deed.start + deed.delay + (-0.12 if deed.start > 0 else FIRST)
    whole = max(deed.onset / deed.rate, min(deed.onset, 0.28))  # two frames of 8 a second or more
    rise, end = ease((seconds - begin) / whole), deed.end
    if deed.hold is not None:
        end = min(end, begin + 0.5 * whole + deed.hold)
    if end >= clip - 0.05:
        return rise
    return rise * ease((end + 0.15 - seconds) * deed.rate / 0.35)


def play_take(
    deeds: Sequence[Deed], *, frames: int, fps: float | int = FPS, seed: int | None = 0
) -> Float[np.ndarray, "f 60"]:
    """Play deeds at any frame rate, amid the life of a face that the seed draws; None leaves it out."""
    seconds, clip = np.arange(frames) / fps, frames / fps
    rng = Typical() if seed is None else np.random.default_rng((seed, 5))
    track = np.zeros((frames, TRACK), dtype=np.float32)
    for deed in deeds:
        track += play(deed, seconds, clip=clip, rng=rng)
    return settle(track) if seed is None else enliven(settle(track), fps=fps, seed=seed)
