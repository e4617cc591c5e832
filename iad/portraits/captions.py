"""Captions: what a person looks like, what they do, where and when, in the ways people write prompts.

In come a person's words (`PersonWords`), the performed segments, and what the picture shows beyond them
(scene, clothes, lighting); out comes a `Caption`, which also records what it names.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from iad.performing.actions import Performed
from iad.portraits.wording import Form, Pronoun, Speaker, known_actions, pick

__all__ = ["Caption", "PersonWords", "known_actions", "load_people_words", "locate", "write_caption"]

Mention = Literal["presentation", "age", "hair", "beard", "glasses", "hat", "clothes", "scene", "lighting"]

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


@dataclass(frozen=True)
class Caption:
    """A prompt for a clip, what it says happens, and what else it names; the rest follows the reference."""

    text: str
    segments: tuple[Performed, ...]
    pronoun: Pronoun
    mentions: frozenset[Mention]


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
    clothes: str | None = None,
    lighting: str | None = None,
    held_out: bool = False,
) -> Caption:
    """Write one of many captions for a clip.

    Scene ("a park", "at the seaside"), clothes ("a red pullover") and lighting ("soft light", "under neon
    light") that are given are always named, since nothing else can tell a model about them. The person's own
    looks, clothes and backdrop are named at times. With `held_out` the actions are said in wordings that
    training never sees.
    """
    if not segments:
        raise ValueError("No segments to describe; give at least one Performed segment.")
    detail = rng.choice(["none", "pronoun", "noun", "looks"], p=[0.15, 0.1, 0.3, 0.45])
    if (scene or clothes or lighting) and detail in ("none", "pronoun") and rng.random() < 0.7:
        detail = "noun"
    pronoun = _PRONOUNS[person_words.presentation]
    if detail == "none" and rng.random() < 0.5:
        pronoun = "they"  # "close their eyes" tells nothing of the person
    draft = _Draft(Speaker(pronoun, rng, held_out), segments)
    who = draft.who(person_words, detail=detail, clothes=clothes)
    if not scene and person_words.backdrop and detail == "looks" and rng.random() < 0.35:
        scene = person_words.backdrop
    text = draft.sentence(who, place=draft.place(scene, lighting))
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:] + "."
    if re.search(r"\b(?:her|his)\b", text):
        draft.mentions.add("presentation")
    return Caption(text, tuple(segments), pronoun, frozenset(draft.mentions))


@dataclass(frozen=True)
class _Draft:
    """A caption in the making: gathers what was named while its parts are written."""

    speaker: Speaker
    segments: Sequence[Performed]
    mentions: set[Mention] = field(default_factory=set)

    def who(self, words: PersonWords, *, detail: str, clothes: str | None) -> str:
        """Name the person as a subject: "", "she", "a woman", "an older man with glasses"."""
        rng = self.speaker.rng
        worn = clothes or (words.clothes if detail == "looks" and rng.random() < 0.35 else "")
        if worn:
            self.mentions.add("clothes")
            worn = (pick(rng, (" wearing ", " in ")) if worn.startswith("a") else " wearing ") + worn
        if detail == "none":
            return pick(rng, ("a person", "someone")) + worn if worn else ""
        self.mentions.add("presentation")
        if detail == "pronoun" and not worn and words.presentation != "person":
            return _PRONOUNS[words.presentation]
        before, after = self._looks(words) if detail == "looks" else ([], [])
        noun = " ".join([*before, pick(rng, _NOUNS[words.presentation])])
        having = " with " + _listed(after) if after else ""
        return _with_article(noun) + having + ("," if having and worn else "") + worn

    def _looks(self, words: PersonWords) -> tuple[list[str], list[str]]:
        """Choose adjectives and "with" words for some of the person's looks."""
        rng, before, after = self.speaker.rng, [], []
        if words.age and rng.random() < 0.6:
            before.append(pick(rng, ("elderly", "older", "old")) if words.age == "older" else words.age)
            self.mentions.add("age")
        if words.hair and rng.random() < 0.6:
            self.mentions.add("hair")
            (before if words.hair == "bald" else after).append(_hair(words.hair))
        for mark, noun in (("beard", "a beard"), ("glasses", "glasses"), ("hat", "a hat")):
            if getattr(words, mark) and rng.random() < 0.6:
                self.mentions.add(mark)
                after.append(noun)
        return before, after

    def place(self, scene: str | None, lighting: str | None) -> str:
        """Say where, and in what light."""
        places = []
        if scene:
            self.mentions.add("scene")
            places.append(locate(scene))
        if lighting:
            self.mentions.add("lighting")
            places.append(lighting if lighting.startswith(_PREPOSITIONS) else f"in {lighting}")
        return " ".join(places)

    def sentence(self, who: str, *, place: str) -> str:
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
        if len(segment.actions) > 1 or not 0.6 <= segment.intensity <= 0.9 or self.speaker.held_out:
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
