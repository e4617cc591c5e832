"""Single gestures put into words, with how they are done: "slightly raises her left brow", "with a big grin".

In come entries of the lexicon and manners; out come clauses with what they mean. Sentences are made of them
by `iad.training.sentences`.
"""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from iad.portraits.lexicon import Entry, draw_words, inflect_verb
from iad.portraits.wording import Pronoun, pick
from iad.training.meanings import Manner, Meaning, mean

Subject = Pronoun | Literal["I", "you"]
WHO: dict[Subject, tuple[str, ...]] = {
    "she": ("a woman", "the woman", "she", "she", "a lady", "a young woman", "an old woman", "the girl",
            "my sister", "the bride", "the actress", "my grandmother"),
    "he": ("a man", "the man", "he", "he", "a guy", "a young man", "an old man", "the boy", "a bearded man",
           "my dad", "the actor", "my grandfather"),
    "they": ("a person", "the person", "someone", "the subject", "a child", "the astronaut", "the portrait",
             "the model", "somebody"),
    "I": ("I",), "you": ("you",),
}  # fmt: skip
THEM: dict[Subject, str] = {"she": "she", "he": "he", "they": "the person", "I": "I", "you": "you"}
HER: dict[Subject, str] = {"she": "her", "he": "him", "they": "them", "I": "me", "you": "you"}
THEIR: dict[Subject, str] = {"she": "her", "he": "his", "they": "their", "I": "my", "you": "your"}
_SELF: dict[Subject, str] = {
    "she": "herself", "he": "himself", "they": "themselves", "I": "myself", "you": "yourself",
}  # fmt: skip
NOUN: dict[Subject, tuple[str, ...]] = {
    "she": ("woman", "girl", "lady"), "he": ("man", "boy", "guy"), "they": ("person", "child", "face"),
    "I": ("person",), "you": ("person",),
}  # fmt: skip
# Other words for the person's own left and right, at the end of a clause. A camera's left is the right of the
# one it looks at, a stage's is the actor's.
_ASIDE = re.compile(r"\b(?:to|off to|over to) (?:the|her|his|their|my|your) (?:left|right)$")
_SIDES = (
    "to {their} own {side}", "to {their} {side}", "to stage {side}", "to camera {other}", "camera {other}",
    "to the {other} of the picture", "to the viewer's {other}", "to the {other} as we see it",
    "to {their} {side}-hand side", "to the {other} edge of the frame",
)  # fmt: skip

# Words for degrees: after a verb, before an adjective, before a noun.
_DEGREES: dict[float, tuple[tuple[str, ...], ...]] = {
    0.35: (("ever so slightly", "barely", "almost imperceptibly", "faintly", "just a tiny bit"),
           ("barely", "ever so slightly", "hardly"), ("faint", "barely visible", "tiny")),
    0.55: (("slightly", "a little", "a bit", "just a little", "gently", "softly", "somewhat", "a little bit"),
           ("slightly", "a bit", "a little", "somewhat", "mildly", "rather"), ("slight", "small", "little",
           "gentle")),
    1.22: (("a lot", "strongly", "widely", "hard", "very much", "clearly", "broadly", "intensely", "far"),
           ("very", "really", "quite", "so", "deeply", "highly"), ("big", "broad", "strong", "wide",
           "great")),
    1.4: (("as much as possible", "extremely", "as far as possible", "with all * might", "to the extreme"),
          ("extremely", "utterly", "incredibly", "totally", "absolutely"), ("huge", "enormous", "massive")),
}  # fmt: skip
_SLOW = ("slowly", "very slowly", "in slow motion", "leisurely")
_QUICK = ("quickly", "fast", "rapidly", "swiftly", "very quickly", "hastily")
_GRADUAL = ("gradually", "little by little", "bit by bit", "more and more", "over time")
_SUDDEN = ("suddenly", "all of a sudden", "abruptly", "in an instant", "sharply")
_BRIEF = ("briefly", "for a moment", "for a second", "for an instant", "fleetingly", "and then stops")
_TIMES = {1: ("once", "one time"), 2: ("twice", "two times"), 3: ("three times",)}
_ADVERB_VERBS = ("look", "stare", "gaze", "look at the camera", "look at us", "look ahead", "glance", "act",
"watch",
                 "look into the camera", "react", "look around")  # fmt: skip
_POSES = (
    "look at us",
    "stand there",
    "pose",
    "sit",
    "look at the camera",
    "wait",
    "be seen",
    "stay",
    "look on",
)

# How what is like, as if, and when stands in a sentence: as a verb phrase, after "with", and as a clause.
_LOOKS = {
    "mood": ("be {}", "look {}", "seem {}", "appear {}", "be clearly {}", "look as if ~ were {}"),
    "like": (
        "look like {}", "look like {}", "look just like {}", "have the look of {}", "have the face of {}",
        "make a face like {}", "act like {}", "put on the face of {}", "pose like {}", "resemble {}",
        "pull a face like {}", "pretend to be {}",
    ),
    "as": (
        "look as if {}", "look as though {}", "act as if {}", "make a face as if {}",
        "pull a face as though {}", "look at us as if {}", "pose as if {}", "react as though {}",
        "behave as if {}", "seem as if {}",
    ),
    "when": (
        "look like someone {}", "look as if ~ were {}", "have the face of someone {}", "act like someone {}",
        "make the face of a person {}", "look as people do when {}", "be seen {}", "react to {}",
        "look the way one does when {}", "pretend to be {}",
    ),
}  # fmt: skip
_FACES = {
    "like": ("the face of {}", "a face like {}", "the look of {}", "the expression of {}"),
    "as": ("a face as if {}", "a look as though {}", "an expression as if {}", "a face like {}"),
    "when": ("the face of someone {}", "the look of a person {}", "the expression of someone {}"),
}
_SEEN = {
    "mood": ("one can see that ~ is {}", "everyone sees that ~ is {}"),
    "like": ("* face is that of {}", "* face looks like that of {}", "it could be the face of {}"),
    "as": ("* face looks as if {}", "it looks as if {}", "one would think {}", "it seems as though {}"),
    "when": ("one would think ~ were {}", "* face is that of someone {}", "it is as if ~ were {}"),
}

AnyForm = Literal["base", "third", "gerund", "with", "part", "cue"]


def draw_manner(rng: np.random.Generator, *, often: float = 0.4) -> Manner:
    """Draw how something is done; mostly nothing is said of it."""
    if rng.random() >= often:
        return Manner()
    kind = int(rng.choice(6, p=[0.58, 0.13, 0.07, 0.06, 0.1, 0.06]))
    if kind == 0:
        return Manner(degree=float(rng.choice(list(_DEGREES), p=[0.17, 0.35, 0.33, 0.15])))
    return (
        Manner(rate=float(rng.choice([0.65, 1.5]))),
        Manner(onset=1.3),
        Manner(onset=0.16),
        Manner(hold=0.7),
        Manner(times=int(rng.integers(1, 4))),
    )[kind - 1]


@dataclass(frozen=True)
class Speaker:
    """Says gestures of one person."""

    rng: np.random.Generator
    pronoun: Subject

    @property
    def who(self) -> tuple[str, ...]:
        """Name the person in several ways."""
        return WHO[self.pronoun]

    def fill(self, phrase: str, manner: Manner) -> tuple[str, int | None]:
        """Fill a wording's slots; tell which side it names, if it names one."""
        text, side = draw_words(phrase, self.rng), None
        if "@" in text:
            side = int(self.rng.integers(2))
            text = text.replace("@wards", ("leftward", "rightward")[side]).replace(
                "@", ("left", "right")[side]
            )
        their = "the" if self.rng.random() < 0.05 and "* own" not in text else THEIR[self.pronoun]
        words = _DEGREES.get(manner.degree)
        text = text.replace("^", pick(self.rng, words[1]) if words else "")
        text = text.replace("+", pick(self.rng, words[2]) if words else "").replace("*", their)
        if side is not None and _ASIDE.search(text) and self.rng.random() < 0.12:
            here, there = (("left", "right"), ("right", "left"))[side]
            said = pick(self.rng, _SIDES).format(their=THEIR[self.pronoun], side=here, other=there)
            text = _ASIDE.sub(said, text)
        return self._name_person(text), side

    def _name_person(self, text: str) -> str:
        """Fill the slots for the person; "they" take verbs of their own."""
        they = self.pronoun
        text = text.replace("~", they).replace("%", HER[they])
        text = re.sub(r"\bthemselves\b", _SELF[they], text)
        if they in ("they", "you", "I"):
            text = text.replace(f"{they} has ", f"{they} have ").replace(f"{they} does", f"{they} do")
            text = text.replace(f"{they} is ", f"{they} {'am' if they == 'I' else 'are'} ")
        return " ".join(text.split())

    def _manner_words(self, manner: Manner) -> str:
        rng = self.rng
        if manner.degree != 1:
            return pick(rng, _DEGREES[manner.degree][0]).replace("*", THEIR[self.pronoun])
        if manner.rate != 1:
            return pick(rng, _SLOW if manner.rate < 1 else _QUICK)
        if manner.onset is not None:
            return pick(rng, _GRADUAL if manner.onset > 0.4 else _SUDDEN)
        return pick(rng, _BRIEF if manner.hold is not None else _TIMES[manner.times])

    def say(self, entry: Entry, manner: Manner, *, form: AnyForm) -> tuple[str, Meaning]:
        """Say a gesture in one form: as an inflected verb phrase, after "with", or as a clause of its own."""
        kinds = {"with": self._with_kinds, "part": self._part_kinds, "cue": self._cue_kinds}
        shapes = kinds.get(form, self._verb_kinds)(entry)
        phrase, before = shapes[int(self.rng.integers(len(shapes)))]
        slotted = manner.degree != 1 and ("^" in phrase or "+" in phrase)
        text, side = self.fill(phrase, manner)
        if form in ("base", "third", "gerund"):
            text = inflect_verb(text, form)
        if not manner.plain and not slotted:
            text = self._modify(text, manner, front=form in ("third", "gerund", "base") and not before)
        known = next((n for n, words in _TIMES.items() if any(f" {w}" in text for w in words)), 0)
        manner = Manner(manner.degree, manner.rate, manner.onset, manner.hold, manner.times or known)
        return text, mean(entry, manner, side=side)

    def _modify(self, text: str, manner: Manner, *, front: bool) -> str:
        words = self._manner_words(manner)
        single = " " not in words and words.endswith(("ly", "barely", "fast"))
        if front and single and self.rng.random() < 0.4 and not text.startswith(("is ", "be ", "being ")):
            return f"{words} {text}"
        return f"{text} {words}"

    def _verb_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        """Draw verb phrases in their base form from each kind; True where a degree stands inside."""
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["verb"]), False)] * 4 if words["verb"] else []
        if words["adj"]:
            adj = pick(rng, words["adj"])
            verb = pick(
                rng,
                ("look", "look", "be", "be", "seem", "feel", "appear", "get", "become", "look completely"),
            )
            found += [
                (f"{verb} ^ {adj}", True),
                (f"have a(n) ^ {adj} look", True),
                (f"make a(n) ^ {adj} face", True),
            ]
        found += [(f"{pick(rng, _ADVERB_VERBS)} ^ {pick(rng, words['adv'])}", True)] if words["adv"] else []
        if words["feel"]:
            feel = pick(rng, words["feel"])
            verb = pick(
                rng,
                ("show", "express", "feel", "be full of", "react with", "look at us with", "be filled with"),
            )
            found += [(f"{verb} + {feel}", True)]
        if words["with"] and (rng.random() < 0.4 or not found):
            found += [(f"{pick(rng, _POSES)} with {pick(rng, words['with'])}", False)]
        found += [(phrase, False) for phrase in self._situations(entry, _LOOKS)]
        return [(self.add_article(phrase), inside) for phrase, inside in found]

    def _situations(self, entry: Entry, shapes: dict[str, tuple[str, ...]]) -> list[str]:
        """Draw what one is like, as if what had happened, and when one looks so: a phrase of each kind."""
        found = []
        for kind, own in shapes.items():
            if entry.words[kind]:
                said = pick(self.rng, entry.words[kind])
                said = inflect_verb(draw_words(said, self.rng), "gerund") if kind == "when" else said
                doing = kind == "mood" and shapes is _LOOKS and said.partition(" ")[0].endswith("ing")
                found.append(("be {}" if doing else pick(self.rng, own)).format(said))
        return found

    def add_article(self, phrase: str) -> str:
        """Choose between "a" and "an" before an adjective."""
        before, mark, after = phrase.partition("a(n) ^ ")
        if not mark:
            return phrase
        return f"{before}{'an' if after[0] in 'aeiou' else 'a'} {after}"

    def _with_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["with"]), False)] * 2 if words["with"] else []
        if words["adj"]:
            face = pick(rng, ("look", "expression", "face", "look on * face"))
            found += [(self.add_article(f"a(n) ^ {pick(rng, words['adj'])} {face}"), True)]
        if words["feel"]:
            place = pick(rng, ("", " in * eyes", " on * face", " written on * face"))
            found += [
                (
                    pick(rng, ("+ ", "a look of ", "an expression of ")) + pick(rng, words["feel"]) + place,
                    True,
                )
            ]
        found += [(phrase, False) for phrase in self._situations(entry, _FACES)]
        return found or [(inflect_verb(draw_words(phrase, rng), "gerund"), False) for phrase in words["verb"]]

    def _cue_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        """Draw directions without a verb: "a broad smile", "teeth showing", "lips pursed"."""
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["cue"]), False)] * 3 if words["cue"] else []
        if words["with"]:
            said = draw_words(pick(rng, words["with"]), rng)
            found += [(said.removeprefix("* ") if rng.random() < 0.7 else said, False)]
        if words["adj"]:
            found += [(self.add_article(f"a(n) ^ {pick(rng, words['adj'])} face"), True)]
        return found or self._with_kinds(entry)

    def _part_kinds(self, entry: Entry) -> list[tuple[str, bool]]:
        rng, words, found = self.rng, entry.words, []
        found += [(pick(rng, words["part"]), False)] * 2 if words["part"] else []
        if words["adj"]:
            subject = pick(rng, ("* face looks", "* expression is", "* face is", "the look on * face is"))
            found += [(f"{subject} ^ {pick(rng, words['adj'])}", True)]
        if words["feel"]:
            feel = pick(rng, words["feel"])
            found += [
                (
                    pick(
                        rng,
                        (f"{feel} shows on * face", f"* face shows + {feel}", f"* eyes are full of {feel}"),
                    ),
                    True,
                )
            ]
        found += [(phrase, False) for phrase in self._situations(entry, _SEEN)]
        if found:
            return found
        return [
            (f"{THEM[self.pronoun]} {inflect_verb(draw_words(phrase, rng), 'third')}", False)
            for phrase in words["verb"]
        ]
