"""Captions: what a person looks like, what they do, where and when, in the ways people write prompts.

In come a person's words (`PersonWords`), the performed segments, and a scene that they were moved to; out
comes a sentence.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from iad.performing.actions import Performed
from iad.portraits.phrasings import Form, Pronoun, Speaker, pick

_PRONOUNS: dict[str, Pronoun] = {"woman": "she", "man": "he", "person": "they"}
_NOUNS = {
    "woman": ("woman", "woman", "woman", "lady"),
    "man": ("man", "man", "man", "guy"),
    "person": ("person",),
}
_PREPOSITIONS = ("in ", "on ", "at ", "by ", "under ", "against ", "beside ", "near ", "inside ", "with ")
_COUNTABLE_HAIR = "bob mohawk ponytail braid bun updo head turban headscarf"
_INSIDE = """
alley bar barn bedroom cafe camp canyon cave city classroom courtyard desert diner doorway festival
field forest gallery garden grass grassland greenhouse gym hall kitchen landscape library light market meadow
office orchard outdoors park rain restaurant room savanna snow square station studio town village woods
workshop
"""
_UPON = "balcony beach bridge hillside lawn plain porch quay road rooftop shore stage street terrace"


@dataclass(frozen=True)
class PersonWords:
    """What can be said of how a person looks; empty strings where there is nothing to say.

    `hair`, `clothes` and `backdrop` are noun phrases: "long brown hair", "a blue shirt", "a brick wall".
    """

    presentation: Literal["woman", "man", "person"] = "person"
    age: Literal["young", "middle-aged", "older", ""] = ""
    hair: str = ""
    beard: bool = False
    glasses: bool = False
    hat: bool = False
    clothes: str = ""
    backdrop: str = ""


def load_people_words(path: str | Path | None = None) -> dict[int, PersonWords]:
    """Read the labels of the photo people worth keeping, by photo number; by default the package's own."""
    path = Path(path) if path else Path(__file__).with_name("people.csv")
    with path.open(newline="", encoding="utf-8") as table:
        return {int(row["id"]): _person_words(row) for row in csv.DictReader(table) if row["keep"] == "1"}


def _person_words(row: dict[str, str]) -> PersonWords:
    marks = {name: row[name] == "1" for name in ("beard", "glasses", "hat")}
    looks = {name: row[name] for name in ("presentation", "age", "hair", "clothes", "backdrop")}
    return PersonWords(**looks, **marks)


def write_caption(
    person_words: PersonWords,
    segments: Sequence[Performed],
    *,
    rng: np.random.Generator,
    scene: str | None = None,
) -> str:
    """Write one of many captions for a clip.

    A scene that is given ("a park", "at the seaside") is always named, since nothing else can tell a model
    about it. The person's own looks, clothes and backdrop are named at times.
    """
    if not segments:
        raise ValueError("No segments to describe; give at least one Performed segment.")
    detail = rng.choice(["none", "pronoun", "noun", "looks"], p=[0.15, 0.1, 0.3, 0.45])
    if scene and detail in ("none", "pronoun") and rng.random() < 0.7:
        detail = "noun"
    pronoun = _PRONOUNS[person_words.presentation]
    if detail == "none" and rng.random() < 0.5:
        pronoun = "they"  # "close their eyes" tells nothing of the person
    who = _name_person(person_words, rng, detail=detail)
    if not scene and person_words.backdrop and detail == "looks" and rng.random() < 0.35:
        scene = person_words.backdrop
    text = _Sentences(Speaker(pronoun, rng), segments).write(who, place=locate(scene) if scene else "")
    return text[0].upper() + text[1:] + "." if rng.random() < 0.3 else text


def _name_person(words: PersonWords, rng: np.random.Generator, *, detail: str) -> str:
    """Name the person as a subject: "", "she", "a woman", "an older man with glasses"."""
    worn = words.clothes if detail == "looks" and rng.random() < 0.35 else ""
    if worn:
        worn = (pick(rng, (" wearing ", " in ")) if worn.startswith("a") else " wearing ") + worn
    if detail == "none":
        return pick(rng, ("a person", "someone")) + worn if worn else ""
    if detail == "pronoun" and not worn and words.presentation != "person":
        return _PRONOUNS[words.presentation]
    before, after = _choose_looks(words, rng) if detail == "looks" else ([], [])
    noun = " ".join([*before, pick(rng, _NOUNS[words.presentation])])
    having = " with " + _listed(after) if after else ""
    return _with_article(noun) + having + ("," if having and worn else "") + worn


def _choose_looks(words: PersonWords, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Choose adjectives and "with" words for some of the person's looks."""
    before, after = [], []
    if words.age and rng.random() < 0.6:
        before.append(pick(rng, ("elderly", "older", "old")) if words.age == "older" else words.age)
    if words.hair and rng.random() < 0.6:
        (before if words.hair == "bald" else after).append(_hair(words.hair))
    for mark, noun in (("beard", "a beard"), ("glasses", "glasses"), ("hat", "a hat")):
        if getattr(words, mark) and rng.random() < 0.6:
            after.append(noun)
    return before, after


@dataclass(frozen=True)
class _Sentences:
    """The ways to put who does what, and where, into words."""

    speaker: Speaker
    segments: Sequence[Performed]

    def write(self, who: str, *, place: str) -> str:
        """Put who, what and where together in one of several shapes."""
        speaker, rng = self.speaker, self.speaker.rng
        if self._needs_times() or (len(self.segments) > 1 and rng.random() < 0.3):
            return " ".join(part for part in (who, place, speaker.timed(self.segments)) if part)
        if not who:
            form = pick(rng, ("base", "base", "third", "gerund"))
            return ", ".join(part for part in (speaker.sequence(self.segments, form=form), place) if part)
        shapes = [self._plain, self._plain, self._progressive]
        if who not in _PRONOUNS.values():
            shapes += [self._titled, self._two_sentences, self._tags]
            if len(self.segments) == 1 and self.segments[0].actions != ("neutral",):
                shapes.append(self._accompanied)
        return shapes[int(rng.integers(len(shapes)))](who, place)

    def _needs_times(self) -> bool:
        ends = [0.0, *(segment.end for segment in self.segments)]
        gaps = [segment.start - end for segment, end in zip(self.segments, ends, strict=False)]
        return max(gaps) > 0.25

    def _do(self, form: Form) -> str:
        return self.speaker.sequence(self.segments, form=form)

    def _plain(self, who: str, place: str) -> str:
        if place and self.speaker.rng.random() < 0.35:
            return f"{place}, {who} {self._do('third')}"
        return f"{who} {self._do('third')}" + (f", {place}" if place else "")

    def _progressive(self, who: str, place: str) -> str:
        return f"{who} is {self._do('gerund')}" + (f" {place}" if place else "")

    def _titled(self, who: str, place: str) -> str:
        title = pick(self.speaker.rng, ("", "a portrait of ", "a video of ", "a close-up of ", "a clip of "))
        return f"{title}{who} {place} {self._do('gerund')}".replace("  ", " ")

    def _two_sentences(self, who: str, place: str) -> str:
        pronoun = self.speaker.pronoun
        subject = "The person" if pronoun == "they" else pronoun.capitalize()
        return f"{who} {place}".strip() + f". {subject} {self._do('third')}"

    def _tags(self, who: str, place: str) -> str:
        return ", ".join(part for part in (who, self._do("gerund"), place) if part)

    def _accompanied(self, who: str, place: str) -> str:
        segment = self.segments[0]
        if len(segment.actions) > 1 or not 0.6 <= segment.intensity <= 0.9:
            return self._plain(who, place)
        return f"{who} {place} {self.speaker.accompanying(segment.actions[0])}".replace("  ", " ")


def locate(scene: str) -> str:
    """Put a preposition before a place: "in a park", "on a beach", "in front of a brick wall"."""
    if scene.startswith(_PREPOSITIONS):
        return scene
    noun = scene.split(" at ")[0].split(" with ")[0].split(" under ")[0].split()[-1]
    if noun in _UPON.split():
        return f"on {scene}"
    return f"in {scene}" if noun in _INSIDE.split() else f"in front of {scene}"


def _hair(hair: str) -> str:
    noun = hair.split(" with ")[0].split()[-1]
    return _with_article(hair) if noun in _COUNTABLE_HAIR.split() and "hair" not in hair.split() else hair


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _listed(things: list[str]) -> str:
    return things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]
