"""Actions in words: saying a performed segment in one of many ways, and recognising actions in a prompt.

In come segments (`Performed`) or a prompt; out comes a clause ("closes her eyes, then smiles broadly") or the
names of the actions found. The wordings themselves are data: `phrasings.toml` says each action,
`off_topic.toml` has words that name none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from iad.performing.actions import Performed
from iad.portraits import read_table

Pronoun = Literal["she", "he", "they"]
Form = Literal["base", "third", "gerund"]

_ACTIONS, _OFF_TOPIC = read_table("phrasings.toml"), read_table("off_topic.toml")

VERBS: dict[str, tuple[str, ...]] = {name: tuple(words["verbs"]) for name, words in _ACTIONS.items()}
WITHS: dict[str, tuple[str, ...]] = {name: tuple(words["with"]) for name, words in _ACTIONS.items()}
HELD_OUT_PHRASINGS: dict[str, tuple[str, ...]] = {
    name: tuple(words["held_out"]) for name, words in _ACTIONS.items()
}
STRONG_WORDS: dict[str, tuple[str, ...]] = {
    name: tuple(words["strong"]) for name, words in _ACTIONS.items() if "strong" in words
}
KEYWORDS: dict[str, str] = {name: words["known"] for name, words in _ACTIONS.items() if "known" in words}

DEEDS, LOOKS, HANDS, OTHER_LANGUAGES, OPENINGS, THINGS, STYLES = (
    tuple(_OFF_TOPIC[kind])
    for kind in ("deeds", "looks", "hands", "other_languages", "openings", "things", "styles")
)

_THEIR = {"she": "her", "he": "his", "they": "their"}
_SLIGHT_WORDS = ("slightly", "a little", "a bit", "just a little")
_SMILES = frozenset({"smile", "grin", "laugh", "smirk"})
_FROWNS = frozenset({"frown", "pout", "angry", "sad", "cry", "disgusted", "brows furrowed", "skeptical"})
_MOUTHS = frozenset({"talk", "shout", "mouth open", "yawn", "laugh"})


def inflect(phrase: str, form: Form) -> str:
    """Put the verb that starts a phrase in its base form ("smile"), third person ("smiles") or "smiling"."""
    verb, space, rest = phrase.partition(" ")
    if form == "third":
        verb = {"be": "is", "have": "has"}.get(verb) or _third_person(verb)
    elif form == "gerund":
        verb = _gerund(verb)
    return verb + space + rest


def _third_person(verb: str) -> str:
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + ("es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s")


def _gerund(verb: str) -> str:
    if re.fullmatch(r"(?:[^aeiou]*|qu)[aeiou][^aeiouwxy]", verb):  # nod, shut
        return verb + verb[-1] + "ing"
    return (verb[:-1] if re.search(r"[^eoy]e$", verb) and verb != "be" else verb) + "ing"


def fill(phrase: str, pronoun: Pronoun, *, very: str = "", size: str = "") -> str:
    """Put the pronoun and the degree into a phrase's slots."""
    return phrase.format(their=_THEIR[pronoun], very=very, size=size)


def phrasings(action: str, *, pronoun: Pronoun = "they", held_out: bool = False) -> list[str]:
    """List every third-person wording of an action at normal intensity."""
    verbs = HELD_OUT_PHRASINGS[action] if held_out else VERBS[action]
    return [fill(inflect(verb, "third"), pronoun) for verb in verbs]


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """Draw one of the options."""
    return options[int(rng.integers(len(options)))]


@dataclass(frozen=True)
class Speaker:
    """Puts segments into words for one person.

    Attributes:
        held_out: use the wordings that training never sees.
    """

    pronoun: Pronoun
    rng: np.random.Generator
    held_out: bool = False

    def action(self, name: str, segment: Performed, *, form: Form) -> str:
        """Say one action, with degree and tempo where they are not normal."""
        strength = 0 if name == "neutral" else _strength(segment)
        tempo = "normal" if name == "neutral" else segment.tempo
        phrases = (HELD_OUT_PHRASINGS if self.held_out else VERBS)[name]
        if strength or tempo != "normal":  # "laughs happily heartily" reads badly
            phrases = [phrase for phrase in phrases if not re.search(r"ly\b", phrase)] or phrases
        phrase = pick(self.rng, phrases)
        very, size = {-1: ("slightly ", "slight "), 0: ("", ""), 1: ("very ", "big ")}[strength]
        said = fill(inflect(phrase, form), self.pronoun, very=very, size=size)
        if strength and "{" not in phrase.replace("{their}", ""):
            strong = STRONG_WORDS.get(name, ("a lot", "strongly"))
            said += " " + pick(self.rng, strong if strength > 0 else _SLIGHT_WORDS)
        if tempo == "normal" or "{very}" in phrase:
            return said
        adverb = "slowly" if tempo == "slow" else "quickly"
        return f"{said} {adverb}" if not strength and self.rng.random() < 0.6 else f"{adverb} {said}"

    def segment(self, segment: Performed, *, form: Form) -> str:
        """Say what happens in a segment: one action or several at once."""
        if segment.actions == ("neutral",):
            return self._neutral(segment, form=form)
        first, *others = self.rng.permutation(segment.actions).tolist()
        text = self.action(first, segment, form=form)
        for other in others:
            join = pick(self.rng, ("while", "and", "with"))
            if join == "with" and not (self.held_out or _strength(segment)):
                text += " " + self.accompanying(other)
            elif join == "and":
                text += " and " + self.action(other, segment, form=form)
            else:
                text += " while " + self.action(other, segment, form="gerund")
        if not self.held_out and self.rng.random() < 0.06:
            text += " without " + self._denied(segment, form="gerund")
        return text

    def accompanying(self, name: str) -> str:
        """Say an action as what comes with something else: "with a smile on her face"."""
        return fill(pick(self.rng, WITHS[name]), self.pronoun)

    def sequence(self, segments: Sequence[Performed], *, form: Form) -> str:
        """Say segments in their order, in one clause."""
        said = [self.segment(segment, form=form) for segment in segments]
        if len(said) == 1:
            return said[0]
        if len(said) == 2 and self.rng.random() < 0.2:
            return f"{said[0]} before {self.segment(segments[1], form='gerund')}"
        first = pick(self.rng, ("", "", "first ")) if form == "third" else ""
        return first + pick(self.rng, (", then ", " and then ", ", and then ", ", after that ")).join(said)

    def timed(self, segments: Sequence[Performed]) -> str:
        """Say segments with their times: "[0-1s] smiles [1-2s] nods"."""
        return " ".join(f"[{s.start:.3g}-{s.end:.3g}s] {self.segment(s, form='third')}" for s in segments)

    def _neutral(self, segment: Performed, *, form: Form) -> str:
        """Say that nothing happens, half the time by what does not."""
        plain = self.action("neutral", segment, form=form)
        if self.held_out or self.rng.random() < 0.5:
            return plain
        if self.rng.random() < 0.5:
            return f"{plain} without {self._denied(segment, form='gerund')}"
        if form == "gerund":
            return "not " + self._denied(segment, form="gerund")
        return ("does not " if form == "third" else "do not ") + self._denied(segment, form="base")

    def _denied(self, segment: Performed, *, form: Form) -> str:
        """Name an everyday action that is no part of what the segment shows."""
        taken = set(segment.actions)
        for alike in (_SMILES, _FROWNS, _MOUTHS):
            taken |= alike if alike & taken else set()
        everyday = ("smile", "laugh", "frown", "talk", "nod", "grin")  # no blink: everybody blinks
        name = pick(self.rng, [name for name in everyday if name not in taken])
        return fill(inflect(VERBS[name][0], form), self.pronoun)


def _strength(segment: Performed) -> int:
    """Tell slight (-1), normal (0) and strong (1) performances apart."""
    return -1 if segment.intensity < 0.6 else 1 if segment.intensity > 0.9 else 0


_DENIAL = re.compile(
    r"(?:\b(?:not|without|never|no|nor|hardly|stops?)|n't)\s+"
    r"(?:(?!(?:while|but|then|and|as|before|after|with)\b)\w+\s+){0,2}$"
)


def known_actions(text: str) -> tuple[str, ...]:
    """Find the actions that a prompt names, in order, each once.

    Of overlapping finds the longest counts. Denied actions ("without smiling") do not count; a prompt that
    only denies names "neutral".
    """
    text = " ".join(text.lower().replace("’", "'").split())
    finds = [(match, name) for name in VERBS for match in _pattern(name).finditer(text)]
    named, denied, taken = [], False, set()
    for match, name in sorted(finds, key=lambda find: find[0].start() - find[0].end()):
        if taken.isdisjoint(range(*match.span())):
            taken.update(range(*match.span()))
            if _DENIAL.search(text[: match.start()]):
                denied = True
            else:
                named.append((match.start(), name))
    if denied and not named:
        return ("neutral",)
    return tuple(dict.fromkeys(name for _, name in sorted(named)))


@cache
def _pattern(action: str) -> re.Pattern:
    phrases = [
        inflect(verb, form)
        for verb in (*VERBS[action], *HELD_OUT_PHRASINGS[action])
        for form in ("base", "third", "gerund")
    ]
    slots = {
        "{their}": r"(?:her|his|their|my|your|the)",
        "{very}": r"(?:\w+ )?",
        "{size}": r"(?:big |slight |small |little |wide |broad |huge |faint |warm |bright |friendly )?",
    }
    escaped = [re.escape(phrase) for phrase in (*phrases, *WITHS[action])]
    for slot, pattern in slots.items():
        escaped = [phrase.replace(re.escape(slot), pattern) for phrase in escaped]
    escaped.sort(key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(escaped)}|{KEYWORDS.get(action, '(?!)')})\b")
