"""What a deed that is told in words means: a gesture for either side, what may join in, and takes of it.

In come entries of the lexicon and how they are done (`Manner`); out come `Meaning`s, and from a batch of them
gestures (n, numbers), each a take: stronger or weaker, later or earlier, uneven, something joining in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float

from iad.config import EXPRESSIONS, TRACK
from iad.performing.actions import COLUMNS
from iad.performing.gestures import MANNER, NUMBERS, PLACES, RHYTHMS, draw_gesture, mirror, release_after
from iad.portraits.lexicon import Entry

FULL = 0.85  # of a gesture's full strength, where nothing is said of strength
PERIODS = {
    "nod": 0.87,
    "shake": 0.87,
    "blink": 0.62,
    "wink_L": 1.0,
    "wink_R": 1.0,
    "wiggle": 0.53,
    "sway": 1.33,
}
_SHOWN = TRACK + len(RHYTHMS)
_LEFT, _RIGHT = ([COLUMNS[n][k] for n in COLUMNS if len(COLUMNS[n]) == 2] for k in range(2))
_JOINS = (
    {"browInnerUp": 0.35, "browOuterUp": 0.4}, {"browOuterUp_L": 0.5, "browInnerUp_L": 0.25},
    {"browOuterUp_R": 0.5, "browInnerUp_R": 0.25}, {"eyeSquint": 0.4, "cheekSquint": 0.3}, {"eyeWide": 0.4},
    {"eyeLookOut_L": 0.45, "eyeLookIn_R": 0.45}, {"eyeLookOut_R": 0.45, "eyeLookIn_L": 0.45},
    {"eyeLookDown": 0.4}, {"eyeLookUp": 0.35}, {"roll": 6.0}, {"roll": -6.0}, {"yaw": 6.0}, {"yaw": -6.0},
    {"pitch": 4.5}, {"pitch": -4.5}, {"mouthDimple": 0.3}, {"cheekSquint": 0.4, "cheekRaiser": 0.3},
)  # fmt: skip
JOINS = np.stack([draw_gesture(join) for join in _JOINS])
JOINING = 0.7  # share of takes in which something joins in


def _columns(*beginnings: str) -> np.ndarray:
    found = np.zeros(NUMBERS, bool)
    for name, columns in COLUMNS.items():
        if name.startswith(beginnings):
            found[columns] = True
    for name in RHYTHMS:
        found[PLACES[name]] |= name.startswith(beginnings)
    return found


# What shares muscles: where one of a group acts, the others keep still.
_GROUPS = (
    _columns("brow", "wiggle"),
    _columns("eyeBlink", "eyeWide", "eyeSquint", "eyeLook", "dart", "eyeroll", "blink", "wink"),
    _columns("yaw", "shake"), _columns("pitch", "nod", "breath", "sob"), _columns("roll", "sway", "tremble"),
    _columns("mouth", "jaw", "cheek", "laugh", "talk", "chew", "quiver"),
)  # fmt: skip
UPPER = _columns("brow", "eye", "cheekSquint", "cheekRaiser", "wiggle")
# Pairs that no face does at once; each of the first with each of the second.
_APART = tuple(
    (_columns(*a), _columns(*b))
    for a, b in (
        (("eyeBlink", "blink"), ("eyeWide", "eyeLook", "eyeSquint", "dart", "eyeroll", "wink")),
        (("eyeWide",), ("eyeSquint",)),
        (
            ("jawOpen", "laugh", "talk", "chew"),
            ("mouthPress", "mouthRoll", "cheekPuff", "mouthPucker", "mouthClose"),
        ),
        (("mouthSmile", "laugh"), ("mouthFrown", "mouthPucker", "mouthFunnel", "mouthShrugLower", "sob")),
        (("browDown",), ("browInnerUp", "browOuterUp", "wiggle")),
        (("laugh",), ("talk", "chew", "sob")), (("talk",), ("chew", "sob", "quiver")),
        (("eyeLook",), ("dart", "eyeroll")), (("yaw", "roll", "pitch"), ("shake", "nod", "sway")),
        (("shake",), ("nod", "sway")), (("nod",), ("sway",)), (("jawLeft",), ("jawRight",)),
        (("mouthLeft",), ("mouthRight",)), (("cheekPuff",), ("mouthStretch", "mouthUpperUp", "mouthSmile")),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Manner:
    """How a gesture is done: strength (1 normal), rate, seconds of its onset and until it lets go."""

    degree: float = 1.0
    rate: float = 1.0
    onset: float | None = None
    hold: float | None = None
    times: int = 0

    @property
    def plain(self) -> bool:
        """Tell whether nothing is said of it."""
        return self == Manner()


@dataclass(frozen=True)
class Meaning:
    """A gesture for either side that words leave open (the same where they do not), and what keeps still.

    `side` is the one that is named first: 0 left, 1 right, None where none is.
    """

    sides: Float[np.ndarray, "2 n"]
    side: int | None = None
    still: Bool[np.ndarray, " n"] = field(default_factory=lambda: np.zeros(NUMBERS, bool))

    @property
    def calm(self) -> bool:
        """Tell whether nothing is done."""
        return not self.sides[:, :_SHOWN].any()


@dataclass(frozen=True)
class Spoken:
    """A sentence and the deeds that it tells, in order; none where it names no facial action.

    `beyond` are kinds of things that are named and not shown (`iad.performing.network.BEYOND`).
    """

    text: str
    deeds: tuple[Meaning, ...]
    beyond: frozenset[str] = frozenset()

    @property
    def sure(self) -> bool:
        """Tell whether a facial action is named, be it that the face is calm."""
        return bool(self.deeds)


def mean(entry: Entry, manner: Manner = Manner(), *, side: int | None = None) -> Meaning:  # noqa: B008
    """Say what an entry means, done in a manner, with the side (0 left, 1 right) where one is said."""
    sides = (entry.sides if side is None else entry.sides[[side, side]]).copy()
    sides[:, :_SHOWN] *= FULL * manner.degree
    sides[:, PLACES["tempo"]] += np.log2(manner.rate)
    if manner.onset is not None:
        sides[:, PLACES["onset"]] = np.log2(manner.onset / 0.4)
    if manner.hold is not None:
        sides[:, PLACES["release"]] = release_after(manner.hold)
    beats = [PERIODS[name] for name in PERIODS if sides[:, PLACES[name]].any()]
    if manner.times and beats:
        sides[:, PLACES["release"]] = release_after(manner.times * min(beats) / manner.rate)
    return Meaning(sides, side)


def go_together(a: Entry, b: Entry) -> bool:
    """Tell whether a face can do both at once, and both would be seen."""
    x, y = a.strong, b.strong
    opposed = (np.sign(a.sides) != np.sign(b.sides)).any(0) | (np.arange(NUMBERS) < EXPRESSIONS)
    if (x & y & opposed).any() or not x.any() or not y.any():
        return False
    return not any((x & p).any() and (y & q).any() or (y & p).any() and (x & q).any() for p, q in _APART)


def overlap(a: Entry, b: Entry) -> bool:
    """Tell whether denying one beside the other would take away what it is about."""
    heads = [("yaw", "shake"), ("pitch", "nod"), ("roll", "sway"), ("eyeBlink", "blink", "wink"),
             ("jawOpen", "laugh", "talk", "chew"), ("mouthSmile", "laugh"), ("browInnerUp", "sob", "wiggle"),
             ("mouthFrown", "sob"), ("eyeLook", "dart", "eyeroll")]  # fmt: skip
    x, y = a.strong.copy(), b.strong.copy()
    for group in heads:
        columns = _columns(*group)
        for strong in (x, y):
            strong[columns] |= (strong & columns).any()
    return bool((x & y).any()) or not x.any() or not y.any()


def combine(meanings: Sequence[Meaning], *, mixed: bool = False) -> Meaning:
    """Do several at once; feelings that are mixed leave each other room."""
    side = next((m.side for m in meanings if m.side is not None), None)
    sides = np.stack(
        [m.sides if side is None or m.side is not None else m.sides[[side, side]] for m in meanings]
    )
    whole = np.where(np.abs(sides.max(0)) >= np.abs(sides.min(0)), sides.max(0), sides.min(0))
    whole[:, EXPRESSIONS:TRACK] = sides[..., EXPRESSIONS:TRACK].sum(0)
    manner = slice(NUMBERS - len(MANNER), NUMBERS)
    whole[:, manner] = sides[..., manner].mean(0)
    for key in ("tempo", "release"):  # of the one that has it; a face that is let go only with all of it
        column = sides[..., PLACES[key]]
        whole[:, PLACES[key]] = column.min(0) if key == "release" else column.sum(0)
    if mixed:
        whole[:, :_SHOWN] *= 0.9
    return Meaning(whole, side, np.any([m.still for m in meanings], axis=0))


def deny(meaning: Meaning, denied: Entry) -> Meaning:
    """Keep still what a denied gesture would move."""
    still = meaning.still | denied.strong
    return replace(meaning, sides=np.where(still, 0, meaning.sides), still=still)


def split_face(upper: Meaning, lower: Meaning | None) -> Meaning:
    """Take brows and eyes from one meaning, and mouth and head from another or from a calm face."""
    rest = lower.sides if lower else np.zeros_like(upper.sides)
    sides = np.where(UPPER, upper.sides, np.where(np.arange(NUMBERS) < _SHOWN, rest, upper.sides))
    return Meaning(sides, lower.side if lower else None)


def draw_takes(meanings: Sequence[Meaning], rng: np.random.Generator) -> Float[np.ndarray, "n numbers"]:
    """Draw a take of each meaning, as if the side that is named, or open, were the person's own left."""
    usual = np.stack([mirror(m.sides[1]) if m.side == 1 else m.sides[0] for m in meanings])
    still = np.stack([mirror(m.still.astype(np.float32)) != 0 if m.side == 1 else m.still for m in meanings])
    used = (np.abs(usual) > 0.1) & (np.arange(NUMBERS) < _SHOWN)
    blocked = used | still
    for group in _GROUPS[:5]:
        blocked |= (used & group).any(1, keepdims=True) & group
    count, calm = len(usual), np.array([m.calm for m in meanings])
    takes = usual * np.exp(rng.normal(0, 0.07, (count, NUMBERS))).clip(0.8, 1.25)
    takes[:, :_SHOWN] *= np.exp(rng.normal(0, 0.1, (count, 1))).clip(0.75, 1.3)
    uneven = rng.normal(0, 0.09, (count, 1)).clip(-0.2, 0.2)
    takes[:, _LEFT] *= 1 + uneven
    takes[:, _RIGHT] *= 1 - uneven
    takes += _join(blocked, rng) * (~calm[:, None])
    sway = rng.normal(0, [0.09, 0.14, 0.14], (count, 3)) * np.where(calm[:, None], 0.4, 1)
    takes[:, EXPRESSIONS:TRACK] += np.where(blocked[:, EXPRESSIONS:TRACK], 0, sway)
    takes[:, PLACES["onset"]] += rng.normal(0, 0.3, count)
    takes[:, PLACES["tempo"]] += rng.normal(0, 0.09, count)
    takes[:, PLACES["delay"]] += rng.uniform(0, 0.3, count)
    return takes.astype(np.float32)


def _join(blocked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Let one of `JOINS` join in, where nothing that it moves is used, or up to two."""
    free = ~((blocked[:, None] & (JOINS != 0)).any(-1))
    joined = np.zeros(blocked.shape)
    for share in (JOINING, 0.4):
        scores = np.where(free, rng.random(free.shape), -1)
        which = scores.argmax(1)
        there = free[np.arange(len(free)), which] & (rng.random(len(free)) < share)
        joined += (there * rng.uniform(0.4, 1.0, len(free)))[:, None] * JOINS[which]
    joined[:, PLACES["onset"]] = 0
    return joined
