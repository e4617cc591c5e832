"""What T is taught on: sentences, and what each of them means, drawn from a seed.

Sentences are composed of the lexicon's wordings: at once, one after another, denied, with degree, tempo, side
and part of the face, amid words about scenes; some are captions of clips. A share names no facial action, but
surroundings, what hands and body do, mere portraits, or is in another language: T must stay calm at that.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from iad.performing.actions import ACTIONS
from iad.portraits import phrasings
from iad.portraits.captions import locate
from iad.portraits.lexicon import FILE, Entry, draw_words, inflect_verb, load_lexicon, one_sided
from iad.portraits.phrasings import Pronoun, fill, inflect, pick
from iad.portraits.scenes import SCENES
from iad.training.meanings import Manner, Spoken, combine, deny, go_together, mean, overlap, split_face
from iad.training.sentences import SIDES, WORDS, AnyForm, Teller, draw_manner, list_people, tell_clip

OFF_TOPIC = 0.15  # share of sentences that name no facial action
CAPTIONS = 0.12  # share of sentences that are captions of clips
CONTRADICTORY = 0.025
NEAR = 0.3  # share of sentences without a facial action whose words are close to one
NEAR_MISSES = FILE.with_name("near_misses.txt")
_OFTEN = 1.6  # how much likelier a named action is drawn than another gesture


def draw_spoken(rng: np.random.Generator) -> Spoken:
    """Draw a sentence of those that T is taught on."""
    if rng.random() < OFF_TOPIC:
        text, beyond = draw_off_topic(rng)
        return Spoken(_decorate(text, rng), (), beyond)
    if rng.random() < CAPTIONS:
        spoken = tell_clip(rng)
    else:
        composer = _Composer(rng, pick(rng, ("she", "he", "they")))
        spoken = composer.contradict() if rng.random() < CONTRADICTORY else composer.compose()
    return Spoken(_decorate(spoken.text, rng), spoken.deeds, spoken.beyond)


class _Composer(Teller):
    """Draws gestures and composes a sentence of them, about one person."""

    def compose(self) -> Spoken:
        """Tell one to four deeds."""
        count = int(self.rng.choice([1, 2, 3, 4], p=[0.74, 0.18, 0.06, 0.02]))
        if count > 1:
            return self._in_order(count)
        shapes = (
            self._one, self._two, self._three, self._beside_denial, self._nothing, self._mixed, self._parts,
            self._not_that_side, self._with_hands, self._two_sides,
        )  # fmt: skip
        shares = (0.26, 0.28, 0.03, 0.16, 0.07, 0.04, 0.03, 0.03, 0.05, 0.05)
        return shapes[int(self.rng.choice(len(shapes), p=shares))]()

    def contradict(self) -> Spoken:
        """Say and deny the same."""
        entry = self._draw(calm=False, with_verb=True)
        said = self.fill(pick(self.rng, entry.words["verb"]), Manner())[0]
        parts = {form: inflect_verb(said, form) for form in ("base", "third", "gerund")}
        text = self._shape(WORDS["contradicting"], who=pick(self.rng, self.who), **parts)
        return Spoken(text, (), frozenset({"contradiction"}))

    def _draw(self, *, calm: bool = True, with_verb: bool = False) -> Entry:
        entries, chances = _list_entries(calm=calm, with_verb=with_verb)
        return entries[int(self.rng.choice(len(entries), p=chances))]

    def _partners(self, *entries: Entry, pool: Sequence[Entry] = ()) -> Entry | None:
        """Draw another gesture that goes with these, or just one where there are none."""
        for _ in range(30):
            other = pool[int(self.rng.integers(len(pool)))] if pool else self._draw(calm=False)
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

    def _note(self, *entries: Entry) -> frozenset[str]:
        return frozenset(entry.note for entry in entries if entry.note)

    def _one(self) -> Spoken:
        entry, rng = self._draw(), self.rng
        manner = Manner() if entry.name == "neutral" else draw_manner(rng)
        text, meaning = self.sentence(entry, manner)
        return Spoken(text, (meaning,), self._note(entry))

    def _two(self) -> Spoken:
        pool = _movements() if self.rng.random() < 0.5 else ()  # what people ask for most
        return self._at_once(2, pool=pool, often=0.15) or self._one()

    def _three(self) -> Spoken:
        return self._at_once(3) or self._two()

    def _two_sides(self) -> Spoken:
        """Tell two gestures of one moment, each with its side."""
        return self._at_once(2, pool=_sided()) or self._two()

    def _at_once(self, count: int, *, pool: Sequence[Entry] = (), often: float = 0) -> Spoken | None:
        """Tell several gestures of one moment, of a pool if any; nothing where none goes with the first."""
        entries: list[Entry] = []
        while len(entries) < count:
            partner = self._partners(*entries, pool=pool)
            if partner is None:
                return None
            entries.append(partner)
        manners = [draw_manner(self.rng, often=often) if often else Manner() for _ in entries]
        text, meanings = self.at_once(entries, manners)
        return Spoken(text, (combine(meanings),), self._note(*entries))

    def _mixed(self) -> Spoken:
        """Tell a mixture of two feelings."""
        pool = [e for e in load_lexicon().values() if e.words["adj"] and e.name != "neutral"]
        first, second = (pool[k] for k in self.rng.choice(len(pool), 2, replace=False))
        who = pick(self.rng, self.who)
        one, other = (pick(self.rng, entry.words["adj"]) for entry in (first, second))
        texts = [shape.format(one=one, other=other) for shape in WORDS["mixed"]]
        if first.words["feel"] and second.words["feel"]:
            feel, more = (pick(self.rng, entry.words["feel"]) for entry in (first, second))
            texts += [shape.format(one=feel, other=more) for shape in WORDS["mixed feelings"]]
        text = pick(self.rng, [*texts, *2 * [f"{who} {text}" for text in texts]])
        meaning = combine([mean(first), mean(second)], mixed=True)
        return Spoken(text.replace("*", self.called["their"]), (meaning,), self._note(first, second))

    def _parts(self) -> Spoken:
        """Tell a feeling of the eyes alone, or with a mouth that does something else."""
        pool = [e for e in load_lexicon().values() if e.words["adj"] and e.name != "neutral"]
        upper = pool[int(self.rng.integers(len(pool)))]
        mouths = ("smile", "smile", "grin", "frown", "talk", "pout", "lips pressed", "laugh")
        lower = load_lexicon()[pick(self.rng, mouths)]
        lower = lower if self.rng.random() < 0.75 else None
        who, adj = pick(self.rng, self.who), pick(self.rng, upper.words["adj"])
        parts = {"who": who, "adj": adj.replace("*", self.called["their"])}
        if lower is None:
            return Spoken(self._shape(WORDS["only eyes"], **parts), (split_face(mean(upper), None),))
        third, below = self.say(lower, Manner(), form="third")
        text = self._shape(WORDS["eyes apart"], third=third, **parts)
        return Spoken(text, (split_face(mean(upper), below),))

    def _with_hands(self) -> Spoken:
        """Tell what hands or the body do beside the face."""
        spoken = (self._one, self._two)[int(self.rng.integers(2))]()
        text, beyond = _draw_deed(self.rng, self.pronoun, "gerund", held_out=False)
        shapes = ("{0} while {1}", "{0} and is {1}", "{1}, {0}", "{0}, {1}")
        joined = pick(self.rng, shapes).format(spoken.text, text)
        return Spoken(joined, spoken.deeds, spoken.beyond | beyond)

    def _beside_denial(self) -> Spoken:
        entry = self._draw(calm=False)
        denied = self._denied(entry)
        if denied is None:
            return self._one()
        rng, who = self.rng, pick(self.rng, self.who)
        if denied.words["still"] and rng.random() < 0.5:
            said, meaning = self.say(entry, draw_manner(rng, often=0.1), form="third")
            still = self.fill(pick(rng, denied.words["still"]), Manner())[0]
            text = self._shape(WORDS["still"], who=who, said=said, still=still)
        else:
            noun = self._name(denied)
            form: AnyForm = "gerund" if rng.random() < 0.25 else "third"
            said, meaning = self.say(entry, draw_manner(rng, often=0.1), form=form)
            base, other, never = (self._verb(denied, form) for form in ("base", "gerund", "third"))
            parts = {"who": who, "said": said, "noun": noun, "base": base, "other": other, "never": never}
            text = self._shape(WORDS["denied"][form], **parts)
        return Spoken(text, (deny(meaning, denied),), self._note(entry))

    def _nothing(self) -> Spoken:
        """Deny, and say nothing else."""
        first, second = (self._draw(calm=False, with_verb=True) for _ in range(2))
        rng, who = self.rng, pick(self.rng, self.who)
        parts = {"who": who, "noun": self._name(first), "another": self._name(second)}
        parts |= {form: self._verb(first, form) for form in ("base", "gerund", "third")}
        parts |= {"other": self._verb(second, "base"), "also": self._verb(second, "third")}
        shapes = list(WORDS["nothing"])
        if first.words["adj"]:
            parts["adj"] = self.fill(pick(rng, first.words["adj"] + first.words["mood"]), Manner())[0]
            shapes += WORDS["not so"]
        if first.words["still"]:
            parts["still"] = self.fill(pick(rng, first.words["still"]), Manner())[0]
            shapes += 3 * WORDS["not moved"]
        return Spoken(self._shape(shapes, **parts), (mean(load_lexicon()["neutral"]),))

    def _not_that_side(self) -> Spoken:
        pool = _sided()
        entry = pool[int(self.rng.integers(len(pool)))]
        side, said = int(self.rng.integers(2)), pick(self.rng, one_sided(entry).words["verb"])
        said = said.replace("@wards", SIDES[side]).replace("@", SIDES[side])
        said = said.replace("*", self.called["their"]).replace("^", "").replace("+", "")
        said = " ".join(inflect_verb(said, "third").split())
        said, who = self._shape(WORDS["one side"], said=said, there=SIDES[1 - side]), pick(self.rng, self.who)
        text = pick(self.rng, (f"{who} {said}", f"{who} {said}", said, f"{who} who {said}"))
        return Spoken(text, (mean(entry, side=side),), self._note(entry))

    def _in_order(self, count: int) -> Spoken:
        entries = [self._draw() for _ in range(count)]
        manners = [Manner() if e.name == "neutral" else draw_manner(self.rng, often=0.15) for e in entries]
        if count == 2 and self.rng.random() < 0.25:
            partner = self._partners(entries[-1])
            if partner:
                return self._last_with(entries, partner)
        text, meanings = self.in_order(entries, manners)
        return Spoken(text, tuple(meanings), self._note(*entries))

    def _last_with(self, entries: Sequence[Entry], partner: Entry) -> Spoken:
        text, meanings = self.in_order(entries, [Manner()] * len(entries))
        beside, more = self.say(partner, Manner(), form="gerund")
        last = combine([meanings[-1], more])
        return Spoken(f"{text} while {beside}", (*meanings[:-1], last), self._note(*entries, partner))


@cache
def _list_entries(*, calm: bool, with_verb: bool) -> tuple[list[Entry], np.ndarray]:
    """List gestures with their chances: the more there is to say of one, and named actions more."""
    entries = [e for e in load_lexicon().values() if calm or e.name != "neutral"]
    entries = [e for e in entries if not with_verb or e.words["verb"]]
    named = [_is_named(e) for e in entries]
    wordings = [sum(map(len, e.words.values())) for e in entries]
    weights = np.where(named, _OFTEN, 1.0) * np.sqrt(wordings)
    return entries, weights / weights.sum()


def _is_named(entry: Entry) -> bool:
    return entry.name in ACTIONS or f"{entry.name.removesuffix(' to one side')} left" in ACTIONS


@cache
def _movements() -> tuple[Entry, ...]:
    """List the named actions that do something, those that are no feeling twice."""
    named = tuple(e for e in load_lexicon().values() if _is_named(e) and e.name != "neutral")
    return named + tuple(entry for entry in named if not entry.words["adj"])


@cache
def _sided() -> list[Entry]:
    """List the gestures of one side, with the wordings that name it."""
    entries = [one_sided(entry) for entry in load_lexicon().values()]
    return [entry for entry in entries if entry.words["verb"]]


def _decorate(text: str, rng: np.random.Generator) -> str:
    """Put scene and style around a sentence at times, and vary how it is typed."""
    if rng.random() < 0.06:
        text = f"{draw_scene(rng)}{pick(rng, (', ', ' ', '. ', ' and '))}{text}"
    if rng.random() < 0.06:
        text = f"{text}{pick(rng, (', ', '. ', ' '))}{draw_scene(rng)}"
    if rng.random() < 0.25:
        text = text[:1].upper() + text[1:]
    return text + pick(rng, (".", ".", "!")) if rng.random() < 0.2 else text


def is_held_out(index: int) -> bool:
    """Tell whether an off-topic sentence of `off_topic.toml` is kept for evaluation."""
    return index % 4 == 3


def draw_off_topic(rng: np.random.Generator, *, held_out: bool = False) -> tuple[str, frozenset[str]]:
    """Draw words that name no facial action, and what of it hands or body do."""
    if not held_out and rng.random() < NEAR:
        return _draw_near_miss(rng)
    kind, pronoun = int(rng.integers(6)), pick(rng, ("she", "he", "they"))
    if kind <= 1:
        form = pick(rng, ("third", "third", "gerund", "base"))
        deed, beyond = _draw_deed(rng, pronoun, form, held_out=held_out)
        who = "" if form == "base" else pick(rng, WORDS["who"][pronoun])
        return f"{who} {'is ' if form == 'gerund' else ''}{deed}".strip(), beyond
    if kind == 2:
        said = [x for k, x in enumerate(phrasings.OTHER_LANGUAGES) if is_held_out(k) == held_out]
        return pick(rng, said), frozenset()
    draw = (_draw_portrait, draw_scene, _draw_gibberish)[kind - 3]
    return draw(rng), frozenset()


@cache
def _list_near_misses() -> list[str]:
    lines = NEAR_MISSES.read_text().splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def _draw_near_miss(rng: np.random.Generator) -> tuple[str, frozenset[str]]:
    """Draw a sentence whose words are close to facial actions and name none."""
    person = Teller(rng, pick(rng, ("she", "he", "they")))
    line = pick(rng, _list_near_misses())
    mark, _, rest = line.partition(": ")
    beyond = frozenset({mark} & {"body", "hands"})
    text = draw_words(rest if beyond else line, rng).replace("~", pick(rng, person.who))
    return text.replace("*", person.called["their"]).replace("%", person.called["her"]), beyond


def _draw_deed(
    rng: np.random.Generator, pronoun: Pronoun, form: phrasings.Form, *, held_out: bool
) -> tuple[str, frozenset[str]]:
    kind = int(rng.choice(3, p=[0.3, 0.55, 0.15]))
    table, beyond = ((phrasings.HANDS, {"hands"}), (phrasings.DEEDS, {"body"}), (phrasings.LOOKS, ()))[kind]
    deeds = [deed for k, deed in enumerate(table) if is_held_out(k) == held_out]
    return fill(inflect(pick(rng, deeds), form), pronoun), frozenset(beyond)


def draw_scene(rng: np.random.Generator) -> str:
    """Draw a sentence about surroundings or style, as prompts have before and after the action."""
    if rng.random() < 0.3:
        return ", ".join(pick(rng, phrasings.STYLES) for _ in range(int(rng.integers(1, 5))))
    if rng.random() < 0.1:
        word = pick(rng, ("word", "blah", "very", "photo", "text", "and"))
        return " ".join([word] * int(rng.integers(3, 20)))
    said = f"{pick(rng, phrasings.OPENINGS)} {pick(rng, phrasings.THINGS)}"
    if rng.random() < 0.4:
        said += f" near {pick(rng, phrasings.THINGS)}"
    if rng.random() < 0.5:
        return said
    return f"{said}, {pick(rng, phrasings.OPENINGS)} {pick(rng, phrasings.THINGS)}"


def _draw_portrait(rng: np.random.Generator) -> str:
    words = list_people()[int(rng.integers(len(list_people())))]
    parts = [f"{words.age} {words.presentation}".strip()]
    parts += [f"with {words.hair}"] if words.hair and words.hair != "bald" and rng.random() < 0.6 else []
    parts += [f"wearing {words.clothes}"] if words.clothes and rng.random() < 0.6 else []
    parts += [locate(str(rng.choice(list(SCENES))))] if rng.random() < 0.6 else []
    title = pick(rng, ("", "a portrait of ", "a photo of ", "a video of ", "a close-up of "))
    return title + ("an " if parts[0][0] in "aeiou" else "a ") + " ".join(parts)


def _draw_gibberish(rng: np.random.Generator) -> str:
    kind = int(rng.integers(5))
    count = int(rng.integers(1, 5 if kind else 6))
    if kind == 0:
        return "".join(pick(rng, ("😀", "😂", "🙂", "🔥", "👍", "❤️", "🎉", "?", "!")) for _ in range(count))
    if kind == 1:
        return " ".join(str(int(rng.integers(10**5))) for _ in range(count))
    if kind == 2:
        return "".join(pick(rng, ".,;:!?-…()\"'*/ ") for _ in range(3 * count)).strip() or "..."
    letters = "asdfghjkl" if kind == 3 else "abcdefghijklmnopqrstuvwxyz"
    return " ".join("".join(pick(rng, letters) for _ in range(rng.integers(2, 11))) for _ in range(count))
