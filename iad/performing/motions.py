"""How faces move while an action lasts: the curves that repeat or tremble on top of a held face.

Every motion takes seconds since its start (f,), the tempo's rate (1 = normal) and a generator, and gives
curves by coefficient name (a name without its side means both sides), to be added. Rhythms stay below 4 Hz: a
clip at 8 frames a second shows no faster ones.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from iad.geometry.curves import ease


class Typical:
    """Stands in for a generator where nothing may be left to chance: each draw is the usual one.

    What is free in a performance gets a convention: a shake begins to the person's own left, a smirk and a
    raised brow are on their own left, syllables repeat in fours. So one action has one track.
    """

    def uniform(self, low: float, high: float, size: int | None = None) -> Any:
        """Draw the middle, or values that repeat in fours."""
        if size is None:
            return (low + high) / 2
        return low + (high - low) * np.resize([0.85, 0.25, 0.65, 0.05], size)

    def normal(self, mean: float = 0.0, deviation: float = 1.0, size: int | None = None) -> Any:
        """Draw the mean."""
        return mean if size is None else np.full(size, mean)

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> Any:
        """Draw the smallest, or all in turn, repeating in fours."""
        first, beyond = (0, low) if high is None else (low, high)
        return first if size is None else np.resize(first + np.arange(4) % (beyond - first), size)

    def choice(self, options: Sequence) -> Any:
        """Draw the last: of -1 and 1 the positive direction."""
        return options[-1]

    def permutation(self, options: Sequence) -> list:
        """Leave the order."""
        return list(options)

    def random(self) -> float:
        """Draw the middle."""
        return 0.5


Chance = np.random.Generator | Typical
Curves = dict[str, Any]  # numbers, or arrays (f,)
Seconds = Float[np.ndarray, " f"]
Motion = Callable[[Seconds, float, Chance], Curves]


def pulses(seconds: Seconds, *, first: float, every: float, width: float) -> Seconds:
    """Make humps of height 1 with soft flanks, centred at `first`, `first + every`, and so on."""
    distance = np.abs((seconds - first + every / 2) % every - every / 2)
    return ease(1.5 - 2 * distance / width)


def _beat(seconds: Seconds, hertz: float) -> Seconds:
    """Swing between 0 and 1, from 0."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * hertz * seconds)


def nod(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Bow the head again and again: down far, up a little, since an even swing reads as bobbing."""
    swing = np.sin(2 * np.pi * 1.15 * rate * seconds)
    return {"pitch": np.where(swing > 0, -15 * swing, -5 * swing)}


def shake(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Turn the head from side to side, first to either side."""
    return {"yaw": rng.choice([-1, 1]) * 16 * np.sin(2 * np.pi * 1.15 * rate * seconds)}


def laugh(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Open the mouth in bursts, the head thrown back a little and bobbing."""
    beat = _beat(seconds, 2.0 * rate)
    return {"jawOpen": 0.22 + 0.2 * beat, "pitch": 5 - 4 * beat, "cheekSquint": 0.2 * beat}


def talk(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Open and close once a syllable; each syllable draws how far and with which lips."""
    beat = 1.9 * rate * seconds
    syllable = beat.astype(int) % 64
    opened = np.sin(np.pi * (beat % 1)) ** 2
    jaw, lips = rng.uniform(0.28, 0.5, 64)[syllable], rng.integers(0, 3, 64)[syllable]
    rounded, spread = lips == 1, lips == 2
    return {
        "jawOpen": opened * np.where(rounded, 0.6 * jaw, jaw),
        "mouthFunnel": 0.7 * opened * rounded,
        "mouthPucker": 0.35 * opened * rounded,
        "mouthStretch": 0.4 * opened * spread,
        "mouthUpperUp": 0.25 * opened * spread,
        "mouthLowerDown": 0.45 * opened * ~rounded,
        "mouthPress": 0.3 * (1 - opened),
        "browInnerUp": 0.25 * opened * (jaw > 0.4),
        "pitch": 1.5 - 3 * opened * (jaw > 0.38),
    }


def blink(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Shut and open both eyes again and again."""
    return {"eyeBlink": 1.4 * pulses(seconds, first=0.3, every=0.62 / rate, width=0.22)}


def wink_left(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Shut the person's own left eye for half a second, again and again."""
    return _wink("L", seconds, rate)


def wink_right(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Shut the person's own right eye for half a second, again and again."""
    return _wink("R", seconds, rate)


def _wink(side: str, seconds: Seconds, rate: float) -> Curves:
    closed = pulses(seconds, first=0.5, every=1.0 / rate, width=0.5)
    strengths = {"eyeBlink": 1.4, "cheekSquint": 0.9, "cheekRaiser": 0.6, "mouthSmile": 0.35, "browDown": 0.4}
    return {f"{name}_{side}": strength * closed for name, strength in strengths.items()}


def one_brow(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Raise one brow, either, lower the other, and lean the head away from the raised one."""
    up, down = rng.permutation(["L", "R"])
    raised = {f"browOuterUp_{up}": 1.25, f"browInnerUp_{up}": 0.7, "roll": 5 if up == "R" else -5}
    return raised | {f"browDown_{down}": 1.1, f"eyeSquint_{down}": 0.8}


def smirk(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Pull one corner of the mouth, either."""
    side, toward = [("L", "Left"), ("R", "Right")][rng.integers(2)]
    mouth = {f"mouthSmile_{side}": 1.2, f"mouthDimple_{side}": 0.6, f"mouth{toward}": 0.25}
    return mouth | {f"cheekSquint_{side}": 0.5}


def tremble(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Shiver slightly, the mouth ajar."""
    shiver = np.sin(2 * np.pi * 2.6 * rate * seconds)
    return {"roll": 0.9 * shiver, "jawOpen": 0.12 + 0.05 * shiver}


def sob(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Heave with the head bowed, the chin quivering."""
    beat = _beat(seconds, 1.5 * rate)
    return {"jawOpen": 0.1 + 0.14 * beat, "pitch": -3 - 3 * beat, "mouthShrugLower": 0.3 * (1 - beat)}


def chew(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Grind with closed lips, the jaw going round."""
    turn = 2 * np.pi * 1.3 * rate * seconds
    return {
        "jawOpen": 0.1 - 0.1 * np.cos(turn),
        "mouthClose": 0.06 - 0.06 * np.cos(turn),
        "jawLeft": 0.45 * np.sin(turn).clip(0),
        "jawRight": 0.45 * (-np.sin(turn)).clip(0),
        "mouthRollLower": 0.15 + 0.1 * np.cos(turn),
    }


def sway(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Rock the head from shoulder to shoulder."""
    swing = np.sin(2 * np.pi * 0.75 * rate * seconds)
    return {"roll": 10 * swing, "yaw": 3 * swing}


def wiggle(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Bounce both eyebrows."""
    beat = _beat(seconds, 1.9 * rate)
    return {"browOuterUp": 1.1 * beat, "browInnerUp": 0.95 * beat}


def dart(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Jump with both eyes from side to side."""
    across = np.tanh(4 * np.sin(2 * np.pi * 0.8 * rate * seconds))
    return _gaze_across(0.9 * across) | {"yaw": 2.5 * across}


def roll_eyes(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Carry the eyes up and round, again and again."""
    along = ((rate * seconds) % 1.9 / 1.25).clip(0, 1)
    seen = ease(6 * along) * ease(6 * (1 - along))
    up = np.sin(np.pi * along) ** 0.7 * seen
    gaze = _gaze_across(-0.9 * np.cos(np.pi * along) * seen)
    return gaze | {"eyeLookUp": 1.1 * up, "pitch": 4 * up, "browInnerUp": 0.3 * up, "browOuterUp": 0.3 * up}


def _gaze_across(left: Seconds) -> Curves:
    toward, away = np.clip(left, 0, None), np.clip(-left, 0, None)
    return {"eyeLookOut_L": toward, "eyeLookIn_R": toward, "eyeLookOut_R": away, "eyeLookIn_L": away}


def quiver(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Let the chin and the lower lip tremble."""
    shiver = np.sin(2 * np.pi * 3.3 * rate * seconds)
    return {"mouthShrugLower": 0.2 + 0.2 * shiver, "jawOpen": 0.04 - 0.04 * shiver}


def breathe(seconds: Seconds, rate: float, rng: Chance) -> Curves:
    """Draw a deep breath and let it out through rounded lips, again and again."""
    along = (rate * seconds) % 2.4
    drawn = ease(along / 0.8) * ease((1.1 - along) / 0.3)
    out = ease((along - 0.9) / 0.3) * ease((2.3 - along) / 0.6)
    return {
        "pitch": 5 * drawn - 5 * out, "noseSneer": 0.25 * drawn, "browInnerUp": 0.3 * drawn,
        "mouthFunnel": 0.55 * out, "mouthPucker": 0.25 * out, "jawOpen": 0.12 * out, "cheekPuff": 0.2 * out,
        "eyeBlink": 0.3 * out,
    }  # fmt: skip
