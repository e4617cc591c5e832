"""What T is taught on: sentences, and what each of them means, drawn from a seed.

Sentences are composed of the lexicon's wordings: at once, one after another, denied, with degree, tempo, side
and part of the face, amid words about scenes; some are captions of clips. A share names no facial action.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iad.performing.actions import ACTIONS, NORMAL, SLIGHT, STRONG, Performed
from iad.performing.gestures import gesture_of
from iad.portraits.captions import write_caption
from iad.portraits.lexicon import Entry, load_lexicon
from iad.portraits.scenes import SCENES
from iad.portraits.wording import Pronoun, pick
from iad.training.clauses import draw_manner
from iad.training.meanings import Manner, Meaning, combine, deny, go_together, mean, overlap, split_face
from iad.training.sentences import Teller
from iad.training.surroundings import draw_aside, draw_off_topic, draw_scene, list_people

OFF_TOPIC = 0.15  # share of sentences that name no facial action
CAPTIONS = 0.12  # share of sentences that are captions of clips
CONTRADICTORY = 0.025
_OFTEN = 2.5  # how much likelier a named action is drawn than another gesture


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


def draw_spoken(rng: np.random.Generator) -> Spoken:
    """Draw a sentence of those that T is taught on."""
    if rng.random() < OFF_TOPIC:
        text, beyond = draw_off_topic(rng)
        return Spoken(_decorate(text, rng), (), beyond)
    if rng.random() < CAPTIONS:
        spoken = _write_caption(rng)
    else:
        composer = _Composer(rng, pick(rng, ("she", "he", "they")))
        spoken = composer.contradict() if rng.random() < CONTRADICTORY else composer.compose()
    return Spoken(_decorate(spoken.text, rng), spoken.deeds, spoken.beyond)


def _write_caption(rng: np.random.Generator) -> Spoken:
    """Caption a clip of the named actions, as the pool of clips does."""
    person, scene = list_people()[int(rng.integers(len(list_people())))], None
    if rng.random() < 0.25:
        scene = str(rng.choice(list(SCENES)))
    count = int(rng.choice([1, 2], p=[0.75, 0.25]))
    performed = [
        Performed(
            (str(rng.choice(list(ACTIONS))),),
            float(k),
            float(k + 1),
            float(rng.choice([SLIGHT, NORMAL, STRONG])),
        )
        for k in range(count)
    ]
    while "[" in (text := write_caption(person, performed, rng=rng, scene=scene)):
        pass  # times are read before T hears a word
    return Spoken(text, tuple(_mean_named(deed, text) for deed in performed))


def _mean_named(deed: Performed, text: str) -> Meaning:
    name, strength = deed.actions[0], deed.intensity / NORMAL
    if (side := name.rpartition(" ")[2]) in ("left", "right") and side in re.findall(r"\w+", text.lower()):
        gesture = gesture_of(name)
        entry = Entry(name, np.stack([gesture, gesture]))
        return mean(entry, Manner(degree=strength), side=("left", "right").index(side))
    base = name.removesuffix(" left").removesuffix(" right")
    own = {"look": "look to one side", "turn": "turn to one side", "tilt": "tilt to one side"}.get(base, base)
    return mean(load_lexicon()[own if base != name else name], Manner(degree=strength))


@dataclass(frozen=True)
class _Composer:
    """Composes a sentence about one person."""

    rng: np.random.Generator
    pronoun: Pronoun

    @property
    def teller(self) -> Teller:
        return Teller(self.rng, self.pronoun)

    def compose(self) -> Spoken:
        """Tell one to four deeds."""
        count = int(self.rng.choice([1, 2, 3, 4], p=[0.74, 0.18, 0.06, 0.02]))
        if count > 1:
            return self._in_order(count)
        shapes = (
            self._one, self._two, self._three, self._beside_denial, self._nothing, self._mixed, self._parts,
            self._not_that_side, self._with_hands,
        )  # fmt: skip
        shares = (0.37, 0.19, 0.03, 0.17, 0.07, 0.05, 0.03, 0.04, 0.05)
        return shapes[int(self.rng.choice(len(shapes), p=shares))]()

    def contradict(self) -> Spoken:
        """Say and deny the same."""
        entry = self._draw(calm=False, with_verb=True)
        return Spoken(self.teller.contradict(entry), (), frozenset({"contradiction"}))

    def _draw(self, *, calm: bool = True, with_verb: bool = False) -> Entry:
        entries = [e for e in load_lexicon().values() if calm or e.name != "neutral"]
        entries = [e for e in entries if not with_verb or e.words["verb"]]
        weights = np.array([_OFTEN if e.words["noun"] and e.words["with"] else 1.0 for e in entries])
        return entries[int(self.rng.choice(len(entries), p=weights / weights.sum()))]

    def _partners(self, *entries: Entry) -> Entry | None:
        """Draw another gesture that goes with these."""
        for _ in range(30):
            other = self._draw(calm=False)
            if all(go_together(entry, other) for entry in entries):
                return other
        return None

    def _denied(self, *entries: Entry) -> Entry | None:
        """Draw a gesture that may be denied beside these."""
        for _ in range(30):
            other = self._draw(calm=False, with_verb=True)
            if self.rng.random() < 0.4:  # what people deny
                often = [e for e in load_lexicon().values() if e.words["still"]]
                other = often[int(self.rng.integers(len(often)))]
            if not any(overlap(entry, other) for entry in entries):
                return other
        return None

    def _someone(self, third: str) -> str:
        who = pick(self.rng, self.teller.who)
        return pick(self.rng, (f"{who} {third}", f"{who} {third}", third, f"{who} who {third}"))

    def _note(self, *entries: Entry) -> frozenset[str]:
        return frozenset(entry.note for entry in entries if entry.note)

    def _one(self) -> Spoken:
        entry, rng = self._draw(), self.rng
        manner = Manner() if entry.name == "neutral" else draw_manner(rng)
        text, meaning = self.teller.sentence(entry, manner)
        return Spoken(text, (meaning,), self._note(entry))

    def _two(self) -> Spoken:
        first = self._draw(calm=False)
        second = self._partners(first)
        if second is None:
            return self._one()
        text, meanings = self.teller.at_once(
            [first, second], [draw_manner(self.rng, often=0.15) for _ in range(2)]
        )
        return Spoken(text, (combine(meanings),), self._note(first, second))

    def _three(self) -> Spoken:
        first = self._draw(calm=False)
        second = self._partners(first)
        third = second and self._partners(first, second)
        if third is None:
            return self._two()
        text, meanings = self.teller.at_once([first, second, third], [Manner()] * 3)
        return Spoken(text, (combine(meanings),), self._note(first, second, third))

    def _mixed(self) -> Spoken:
        """Tell a mixture of two feelings."""
        pool = [e for e in load_lexicon().values() if e.words["adj"] and e.name != "neutral"]
        first, second = (pool[k] for k in self.rng.choice(len(pool), 2, replace=False))
        text, meanings = self.teller.mixture(first, second)
        return Spoken(text, (combine(meanings, mixed=True),), self._note(first, second))

    def _parts(self) -> Spoken:
        """Tell a feeling of the eyes alone, or with a mouth that does something else."""
        pool = [e for e in load_lexicon().values() if e.words["adj"] and e.name != "neutral"]
        upper = pool[int(self.rng.integers(len(pool)))]
        lower = load_lexicon()[
            pick(self.rng, ("smile", "smile", "grin", "frown", "talk", "pout", "lips pressed", "laugh"))
        ]
        lower = lower if self.rng.random() < 0.75 else None
        text, above, below = self.teller.eyes_alone(upper, lower)
        return Spoken(text, (split_face(above, below),))

    def _with_hands(self) -> Spoken:
        """Tell what hands or the body do beside the face."""
        spoken = (self._one, self._two)[int(self.rng.integers(2))]()
        text, beyond = draw_aside(self.rng, self.pronoun)
        shapes = ("{0} while {1}", "{0} and is {1}", "{1}, {0}", "{0}, {1}")
        joined = pick(self.rng, shapes).format(spoken.text, text)
        return Spoken(joined, spoken.deeds, spoken.beyond | beyond)

    def _beside_denial(self) -> Spoken:
        entry = self._draw(calm=False)
        denied = self._denied(entry)
        if denied is None:
            return self._one()
        text, meaning = self.teller.beside_denial(entry, denied)
        return Spoken(text, (deny(meaning, denied),), self._note(entry))

    def _nothing(self) -> Spoken:
        """Deny, and say nothing else."""
        first, second = (self._draw(calm=False, with_verb=True) for _ in range(2))
        calm = mean(load_lexicon()["neutral"])
        return Spoken(self.teller.deny_all(first, second), (calm,))

    def _not_that_side(self) -> Spoken:
        pool = [e for e in load_lexicon().values() if any("@" in w for w in e.words["verb"])]
        entry = pool[int(self.rng.integers(len(pool)))]
        text, meaning = self.teller.one_side_only(entry)
        return Spoken(self._someone(text), (meaning,), self._note(entry))

    def _in_order(self, count: int) -> Spoken:
        entries = [self._draw() for _ in range(count)]
        manners = [Manner() if e.name == "neutral" else draw_manner(self.rng, often=0.15) for e in entries]
        if count == 2 and self.rng.random() < 0.25:
            partner = self._partners(entries[-1])
            if partner:
                return self._last_with(entries, partner)
        text, meanings = self.teller.in_order(entries, manners)
        return Spoken(text, tuple(meanings), self._note(*entries))

    def _last_with(self, entries: Sequence[Entry], partner: Entry) -> Spoken:
        text, meanings = self.teller.in_order(entries, [Manner()] * len(entries))
        beside, more = self.teller.say(partner, Manner(), form="gerund")
        last = combine([meanings[-1], more])
        return Spoken(f"{text} while {beside}", (*meanings[:-1], last), self._note(*entries, partner))


def _decorate(text: str, rng: np.random.Generator) -> str:
    """Put scene and style around a sentence at times, and vary how it is typed."""
    if rng.random() < 0.06:
        text = f"{draw_scene(rng)}{pick(rng, (', ', ' ', '. ', ' and '))}{text}"
    if rng.random() < 0.06:
        text = f"{text}{pick(rng, (', ', '. ', ' '))}{draw_scene(rng)}"
    if rng.random() < 0.25:
        text = text[:1].upper() + text[1:]
    return text + pick(rng, (".", ".", "!")) if rng.random() < 0.2 else text
