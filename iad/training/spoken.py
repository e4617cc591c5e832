"""What T is taught on: sentences, and the deeds that each of them tells, drawn from a seed.

Sentences come from the captions of clips (`iad.portraits.captions`) and from freer shapes: clauses about a
part of the face, denials ("no smile, just ..."), orders in time. A share names no facial action at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from iad.performing.actions import ACTIONS, NORMAL, SLIGHT, STRONG, Performed
from iad.portraits.captions import PersonWords, load_people_words, locate, write_caption
from iad.portraits.off_topic import DEEDS, OPENINGS, OTHER_LANGUAGES, STYLES, THINGS
from iad.portraits.paraphrases import CLAUSES, KIN, NOUNS
from iad.portraits.phrasings import VERBS
from iad.portraits.scenes import SCENES
from iad.portraits.wording import Pronoun, Speaker, fill, inflect, pick

OFF_TOPIC = 0.16  # share of sentences that name no facial action
WHO: dict[Pronoun, tuple[str, ...]] = {
    "she": ("a woman", "the woman", "she", "a lady", "a young woman", "an old woman", "the girl"),
    "he": ("a man", "the man", "he", "a guy", "a young man", "an old man", "the boy", "a bearded man"),
    "they": ("a person", "the person", "someone", "the subject"),
}
THEM: dict[Pronoun, str] = {"she": "she", "he": "he", "they": "the person"}
_HEAD = tuple(name for name in ACTIONS if name.split()[0] in ("nod", "shake", "tilt", "turn", "head"))


@dataclass(frozen=True)
class Spoken:
    """A sentence and the deeds that it tells, in order; none where it names no facial action.

    The deeds' times are 0 to 1, 1 to 2 and so on: what counts is the order.
    """

    text: str
    deeds: tuple[Performed, ...]

    @property
    def sure(self) -> bool:
        """Tell whether a facial action is named, be it that the face is calm."""
        return bool(self.deeds)


def is_held_out(index: int) -> bool:
    """Tell whether an off-topic sentence of `iad.portraits.off_topic` is kept for evaluation."""
    return index % 4 == 3


def draw_spoken(rng: np.random.Generator) -> Spoken:
    """Draw a sentence of those that T is taught on."""
    if rng.random() < OFF_TOPIC:
        return Spoken(_decorate(draw_off_topic(rng), rng), ())
    count = int(rng.choice([1, 2, 3], p=[0.72, 0.21, 0.07]))
    deeds = tuple(_draw_deed(rng, start=k) for k in range(count))
    if rng.random() < 0.5:
        text = _write_caption(deeds, rng)
        deeds = tuple(_as_said(deed, text) for deed in deeds)
    else:
        text = _Teller(rng, pick(rng, ("she", "he", "they"))).tell(deeds)
    return Spoken(_decorate(text, rng), deeds)


def _draw_deed(rng: np.random.Generator, *, start: int) -> Performed:
    intensity = float(rng.choice([SLIGHT, NORMAL, STRONG], p=[0.13, 0.65, 0.22]))
    tempo = str(rng.choice(["slow", "normal", "quick"], p=[0.1, 0.8, 0.1]))
    names = [str(rng.choice(list(ACTIONS)))]
    if names[0] != "neutral" and rng.random() < 0.2:
        pool = _HEAD if names[0] not in _HEAD and rng.random() < 0.5 else tuple(ACTIONS)
        others = [n for n in pool if n != "neutral" and not _alike(n, names[0])]
        names.append(str(rng.choice(others)))
    if names == ["neutral"]:
        intensity, tempo = NORMAL, "normal"
    return Performed(tuple(names), float(start), float(start + 1), intensity, tempo)


def _alike(name: str, other: str) -> bool:
    return name == other or any({name, other} <= kin for kin in KIN)


@cache
def _people() -> list[PersonWords]:
    return list(load_people_words().values())


def _write_caption(deeds: Sequence[Performed], rng: np.random.Generator) -> str:
    person = _people()[int(rng.integers(len(_people())))]
    scene = str(rng.choice(list(SCENES))) if rng.random() < 0.25 else None
    while True:
        text = write_caption(person, deeds, rng=rng, scene=scene).text
        if "[" not in text:  # times are read before T hears a word
            return text


def _as_said(deed: Performed, text: str) -> Performed:
    """Take back a tempo that a caption does not tell."""
    said = deed.tempo == "normal" or ("slowly" if deed.tempo == "slow" else "quickly") in text.lower()
    return deed if said else Performed(deed.actions, deed.start, deed.end, deed.intensity)


@dataclass(frozen=True)
class _Teller:
    """Tells deeds in shapes that the captions of clips do not have."""

    rng: np.random.Generator
    pronoun: Pronoun

    def tell(self, deeds: Sequence[Performed]) -> str:
        if len(deeds) > 1:
            return self._in_order(deeds)
        deed = deeds[0]
        if deed.actions == ("neutral",) and self.rng.random() < 0.6:
            return self._deny_all()
        if self.rng.random() < 0.3:
            return self._deny_beside(deed)
        return self._say(deed)

    @property
    def who(self) -> str:
        return pick(self.rng, WHO[self.pronoun])

    @property
    def speaker(self) -> Speaker:
        return Speaker(self.pronoun, self.rng)

    def _plain(self, deed: Performed) -> bool:
        return deed.intensity == NORMAL and deed.tempo == "normal"

    def _verbs(self, deed: Performed, form) -> str:
        said = [self.speaker.action(name, deed, form=form) for name in self.rng.permutation(deed.actions)]
        return pick(self.rng, (" and ", " and ", " while also " if form == "gerund" else " and ")).join(said)

    def _say(self, deed: Performed) -> str:
        if self._plain(deed) and self.rng.random() < 0.35:
            said = [fill(pick(self.rng, CLAUSES[name]), self.pronoun) for name in deed.actions]
            return pick(self.rng, (" and ", ", ", " while ")).join(said)
        third = self._verbs(deed, "third")
        return pick(self.rng, (f"{self.who} {third}", third, f"{self.who} who {third}",
            f"{self.who} is {self._verbs(deed, 'gerund')}", self._verbs(deed, "base"),
            f"{self._verbs(deed, 'gerund')}", f"make {self.who} {self._verbs(deed, 'base')}",
            f"{self.who} starts {self._verbs(deed, 'gerund')}"))  # fmt: skip

    def _in_order(self, deeds: Sequence[Performed]) -> str:
        rng, them = self.rng, THEM[self.pronoun]
        if len(deeds) == 2 and rng.random() < 0.25:
            first, second = (self._verbs(deed, "gerund") for deed in deeds)
            third = self._verbs(deeds[1], "third"), self._verbs(deeds[0], "third")
            return pick(rng, (
                f"after {first} {self.who} {third[0]}", f"before {second} {self.who} {third[1]}",
                f"{self.who} {third[1]} before {second}", f"{self.who} {third[0]} after {first}",
            ))  # fmt: skip
        text = f"{self.who} {self._verbs(deeds[0], 'third')}"
        if rng.random() < 0.2:
            text = f"first {text}"
        for deed in deeds[1:]:
            third, gerund = self._verbs(deed, "third"), self._verbs(deed, "gerund")
            text += pick(rng, (f", then {third}", f" and then {third}", f". Then {them} {third}",
                f", followed by {gerund}", f". After that, {them} {third}", f", then {them} {third}",
                f" before {gerund}", f" and finally {third}", f", next {third}",
                f", and a moment later {third}"))  # fmt: skip
        return text

    def _denied(self, beside: Sequence[str], form) -> str:
        names = [n for n in ACTIONS if n != "neutral" and not any(_alike(n, other) for other in beside)]
        return fill(inflect(pick(self.rng, VERBS[pick(self.rng, names)]), form), self.pronoun)

    def _noun(self, beside: Sequence[str]) -> str:
        names = [n for n in NOUNS if not any(_alike(n, other) for other in beside)]
        return NOUNS[pick(self.rng, names)]

    def _deny_beside(self, deed: Performed) -> str:
        who, they, noun = self.who, THEM[self.pronoun], self._noun(deed.actions)
        third, gerund = self._verbs(deed, "third"), self._verbs(deed, "gerund")
        base, other = (self._denied(deed.actions, form) for form in ("base", "gerund"))
        return pick(self.rng, (
            f"without {other} {they} {third}", f"without {other}, {who} {third}",
            f"{who} {third} without {other}", f"{who} does not {base} but {third}",
            f"{who} doesn't {base}, {they} {third}", f"{who} {third} but does not {base}",
            f"{who} {third} and doesn't {base}", f"no {noun}, just {gerund}", f"no {noun}, just {third}",
            f"no {noun}, {they} only {third}", f"instead of {other} {they} {third}",
            f"{who} {third} instead of {other}", f"{who} never {inflect(base, 'third')}, only {third}",
            f"{who}, not {other}, {third}", f"{who} {third} with no {noun}", f"{who} {third}, no {noun}",
            f"not {other} but {gerund}", f"{who} {third}, but {they} is not {other}",
        ))  # fmt: skip

    def _deny_all(self) -> str:
        who, noun, another = self.who, self._noun(()), self._noun(())
        base, other, gerund = (self._denied((), form) for form in ("base", "base", "gerund"))
        return pick(self.rng, (
            f"{who} does not {base}", f"{who} doesn't {base}", f"does not {base}", f"no {noun}",
            f"{who} is not {gerund}", f"{who} never {inflect(base, 'third')}", f"without {gerund}",
            f"{who} does not {base} or {other}", f"no {noun}, no {another}", f"{who} with no {noun}",
            f"{who} stops {gerund}", f"don't {base}", f"not {gerund}", f"without any {noun}",
        ))  # fmt: skip


def draw_off_topic(rng: np.random.Generator, *, held_out: bool = False) -> str:
    """Draw words that name no facial action: another deed, a mere portrait, a scene, no English."""
    kind, pronoun = int(rng.integers(6)), pick(rng, ("she", "he", "they"))
    deeds, foreign = (
        [x for k, x in enumerate(table) if is_held_out(k) == held_out] for table in (DEEDS, OTHER_LANGUAGES)
    )
    if kind <= 1:
        form = pick(rng, ("third", "third", "gerund", "base"))
        deed = fill(inflect(pick(rng, deeds), form), pronoun)
        who = "" if form == "base" else pick(rng, WHO[pronoun])
        return f"{who} {'is ' if form == 'gerund' else ''}{deed}".strip()
    if kind == 2:
        return pick(rng, foreign)
    if kind == 3:
        return _portrait(rng)
    if kind == 4:
        return draw_scene(rng)
    return _gibberish(rng)


def draw_scene(rng: np.random.Generator) -> str:
    """Draw a sentence about surroundings or style, as prompts have before and after the action."""
    if rng.random() < 0.3:
        return ", ".join(pick(rng, STYLES) for _ in range(int(rng.integers(1, 5))))
    if rng.random() < 0.1:
        word = pick(rng, ("word", "blah", "very", "photo", "text", "and"))
        return " ".join([word] * int(rng.integers(3, 20)))
    said = f"{pick(rng, OPENINGS)} {pick(rng, THINGS)}"
    if rng.random() < 0.4:
        said += f" near {pick(rng, THINGS)}"
    return said if rng.random() < 0.5 else f"{said}, {pick(rng, OPENINGS)} {pick(rng, THINGS)}"


def _portrait(rng: np.random.Generator) -> str:
    words = _people()[int(rng.integers(len(_people())))]
    parts = [f"{words.age} {words.presentation}".strip()]
    parts += [f"with {words.hair}"] if words.hair and words.hair != "bald" and rng.random() < 0.6 else []
    parts += [f"wearing {words.clothes}"] if words.clothes and rng.random() < 0.6 else []
    parts += [locate(str(rng.choice(list(SCENES))))] if rng.random() < 0.6 else []
    title = pick(rng, ("", "a portrait of ", "a photo of ", "a video of ", "a close-up of "))
    return title + ("an " if parts[0][0] in "aeiou" else "a ") + " ".join(parts)


def _gibberish(rng: np.random.Generator) -> str:
    kind = int(rng.integers(4))
    count = int(rng.integers(1, 5 if kind else 6))
    if kind == 0:
        return "".join(pick(rng, ("😀", "😂", "🙂", "🔥", "👍", "❤️", "🎉", "?", "!")) for _ in range(count))
    if kind == 1:
        return " ".join(str(int(rng.integers(10**5))) for _ in range(count))
    letters = "asdfghjkl" if kind == 2 else "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(pick(rng, letters) for _ in range(rng.integers(2, 11))) for _ in range(count))


def _decorate(text: str, rng: np.random.Generator) -> str:
    """Put scene and style around a sentence at times, and vary how it is typed."""
    if rng.random() < 0.12:
        text = f"{draw_scene(rng)}{pick(rng, (', ', ' ', '. ', ' and '))}{text}"
    if rng.random() < 0.12:
        text = f"{text}{pick(rng, (', ', '. ', ' '))}{draw_scene(rng)}"
    if rng.random() < 0.25:
        text = text[:1].upper() + text[1:]
    return text + "." if rng.random() < 0.2 else text
