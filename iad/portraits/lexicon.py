"""The lexicon: what a face can be told to do, as gestures, and the ways to say each; read from `lexicon.txt`.

Out come `Entry`s: a gesture's numbers with either side meant, and its wordings by kind. A wording still has
alternatives "(a|b)" and slots; `draw_words` makes one choice of them, `list_words` all.
"""

import re
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from iad.config import TRACK
from iad.performing.actions import ACTIONS
from iad.performing.gestures import (
    NUMBERS,
    PLACES,
    RHYTHMS,
    draw_gesture,
    gesture_of,
    mirror,
    release_after,
)
from iad.portraits.phrasings import VERBS, WITHS, inflect

FILE = Path(__file__).with_name("lexicon.txt")
Kind = Literal[
    "verb", "adj", "adv", "feel", "noun", "with", "part", "still", "mood", "like", "as", "when", "cue"
]
# What stands between several wordings of one line, by kind; other kinds have one a line.
_BETWEEN = dict.fromkeys(("adj", "adv", "feel", "mood"), ", ") | dict.fromkeys(
    ("like", "as", "when", "cue"), "; "
)
_SECOND_VERB = re.compile(
    r"\band (keep|tilt|turn|lean|sulk|shut|close|open|lower|wait|pucker|make|drop|cry|see|memorise|laugh"
    r"|chuckle|smile|grin|wink|shake|stick|twist|blow|count|say|raise|frown|look|wrinkle|bite|give|take|kiss"
    r"|exhale|puff|hide|act|throw|jerk|cough|pout|lose|come|mean)\b"
)
_ADVERBS = ("barely", "hardly", "just", "only", "half", "almost", "nearly", "not", "simply")
_GERUNDS = {
    "panic": "panicking", "lie": "lying", "die": "dying", "tie": "tying", "forget": "forgetting",
    "begin": "beginning", "regret": "regretting", "admit": "admitting", "submit": "submitting",
    "tut-tut": "tut-tutting", "be": "being", "LOL": "LOLing", "shh": "shushing",
}  # fmt: skip
_CHOICE = re.compile(r"\(([^()]*)\)")
_SIDES = {"S": ("L", "R"), "O": ("R", "L")}
# Named actions to a side, by the gesture that has both sides.
_SIDED = {"wink": "wink left", "look to one side": "look left", "turn to one side": "turn left",
          "tilt to one side": "tilt left"}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A gesture at full strength, its side meant to be the person's own left or right, and its wordings."""

    name: str
    sides: Float[np.ndarray, "2 n"]
    words: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in get_args(Kind)})
    note: str | None = None

    @property
    def sided(self) -> bool:
        """Tell whether it matters which side is meant."""
        return not np.array_equal(*self.sides)

    @property
    def strong(self) -> Bool[np.ndarray, " numbers"]:
        """Tell which of the face's numbers the gesture is about, on either side."""
        reach = np.abs(self.sides).max(0) * (np.arange(NUMBERS) < TRACK + len(RHYTHMS))
        return reach > max(0.2, 0.45 * reach.max())


@cache
def load_lexicon() -> dict[str, Entry]:
    """Read the lexicon, with the named actions' own wordings.

    Raises:
        ValueError: a line that cannot be read, by its number.
    """
    entries = _named_actions()
    entry = None
    for number, line in enumerate(FILE.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if line.startswith("["):
                entry = _begin(line, entries)
            else:
                _add_words(entry, line)
        except (KeyError, ValueError, AttributeError) as error:
            raise ValueError(f"Line {number} of {FILE.name} cannot be read: {line!r} ({error}).") from error
    return entries


def _named_actions() -> dict[str, Entry]:
    entries = {}
    for name in ACTIONS:
        base, _, side = name.rpartition(" ")
        if side == "right":
            continue
        both = [name, f"{base} right"] if side == "left" else [name, name]
        sides = np.stack([gesture_of(action) for action in both])
        if side != "left":  # where it has a side, it is by chance
            sides[1] = mirror(sides[0])
        known = next((own for own, left in _SIDED.items() if left == name), name)
        entries[known] = Entry(known, sides)
        for action in dict.fromkeys(both):
            entries[known].words["verb"] += [_plain(verb) for verb in VERBS[action]]
            entries[known].words["with"] += [
                _plain(w.partition(" ")[2]) for w in WITHS[action] if w[:5] == "with "
            ]
    return entries


def _plain(phrase: str) -> str:
    return phrase.replace("{their}", "*").replace("{very}", "^").replace("{size}", "+")


def _begin(line: str, entries: dict[str, Entry]) -> Entry:
    name, _, numbers = line[1:].partition("]")
    name = {left: own for own, left in _SIDED.items()}.get(name, name)
    if not numbers.strip() and name not in entries:
        raise ValueError("it has no numbers and is no named action")
    if numbers.strip():
        values = dict(pair.split("=") for pair in numbers.split())
        note = values.pop("note", None)
        entries[name] = Entry(name, np.stack([_read_side(values, k) for k in range(2)]), note=note)
    return entries[name]


def _read_side(values: dict[str, str], side: int) -> np.ndarray:
    """Read a gesture's numbers, its side being the person's own left (0) or right (1)."""
    held: dict[str, float] = {}
    rhythms, manner = {}, {}
    for key, text in values.items():
        amount = float(text.lstrip("S")) * (-1 if text.startswith("S") and side else 1)
        base, _, mark = key.rpartition("_")
        own = _SIDES.get(mark, (mark, mark))[side]
        if key in ("onset", "tempo", "hold"):
            manner[key] = amount
        elif base == "look":
            other = "LR"[own == "L"]
            held |= {f"eyeLookOut_{own}": amount, f"eyeLookIn_{other}": amount}
        elif base in ("jaw", "mouth") and mark in _SIDES:
            held[base + {"L": "Left", "R": "Right"}[own]] = amount
        else:
            name = f"{base}_{own}" if base else key
            (rhythms if name in RHYTHMS else held)[name] = amount
    if side:  # which side comes first
        rhythms |= {name: -rhythms[name] for name in ("dart", "sway", "shake") if name in rhythms}
    numbers = draw_gesture(held, rhythms, onset=manner.get("onset", 0.4))
    numbers[PLACES["tempo"]] = np.log2(manner.get("tempo", 1.0))
    if "hold" in manner:
        numbers[PLACES["release"]] = release_after(manner["hold"])
    return numbers


def _add_words(entry: Entry, line: str) -> None:
    label, colon, rest = line.partition(": ")
    kind, phrase = (label, rest) if colon and label in get_args(Kind) else ("verb", line)
    phrases = phrase.split(_BETWEEN[kind]) if kind in _BETWEEN else [phrase]
    entry.words[kind] += [" ".join(phrase.split()) for phrase in phrases]


def draw_words(phrase: str, rng: np.random.Generator) -> str:
    """Choose one of each group of alternatives."""
    while match := _CHOICE.search(phrase):
        options = match[1].split("|")
        phrase = phrase[: match.start()] + options[int(rng.integers(len(options)))] + phrase[match.end() :]
    return " ".join(phrase.split())


def list_words(phrase: str) -> list[str]:
    """List every choice of the groups of alternatives."""
    parts = _CHOICE.split(phrase)  # plain, group, plain, ...
    options = [part.split("|") if k % 2 else [part] for k, part in enumerate(parts)]
    return [" ".join("".join(choice).split()) for choice in product(*options)]


def one_sided(entry: Entry) -> Entry:
    """Keep of an entry's wordings only those that name the side."""
    words = {kind: [w for p in own for w in list_words(p) if "@" in w] for kind, own in entry.words.items()}
    return replace(entry, words=words)


def inflect_verb(phrase: str, form: Literal["base", "third", "gerund"]) -> str:
    """Inflect the verbs of a phrase that may begin with an adverb or have two: "turns and tilts her head"."""
    first, _, rest = phrase.partition(" ")
    if first in _ADVERBS and rest:
        return f"{first} {inflect_verb(rest, form)}"
    whole = f"{_GERUNDS[first]} {rest}" if form == "gerund" and first in _GERUNDS else inflect(phrase, form)
    return _SECOND_VERB.sub(lambda match: f"and {inflect(match[1], form)}", whole).rstrip()
