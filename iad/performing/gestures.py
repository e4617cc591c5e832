"""A gesture: what a face does in one deed, as a row of numbers; no list of actions stands behind it.

    57 weights, pose / 15 degrees | how much of each rhythm | onset, tempo, delay, release

In come gestures with their times (`Deed`), out comes a track at any length and frame rate. What the numbers
do is decided here and by `iad.performing.motions`; which numbers a sentence asks for, T has learned.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from iad.config import EXPRESSIONS, TRACK
from iad.geometry.coefficients import mirror_track
from iad.performing import motions
from iad.performing.actions import ACTIONS, COLUMNS, limit, settle
from iad.performing.idling import enliven
from iad.performing.motions import Chance, Motion, Typical, smoothstep
from iad.performing.units import POSE_UNIT, code_to_track

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
    rise, end = smoothstep((seconds - begin) / whole), deed.end
    if deed.hold is not None:
        end = min(end, begin + 0.5 * whole + deed.hold)
    if end >= clip - 0.05:
        return rise
    return rise * smoothstep((end + 0.15 - seconds) * deed.rate / 0.35)


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
