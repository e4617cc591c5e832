"""Words that name no facial action: surroundings, what hands and body do, mere portraits, other languages.

T must stay calm at them, and hear the action that stands between them. In comes a generator, out come
sentences.
"""

from functools import cache

import numpy as np

from iad.portraits.captions import PersonWords, load_people_words, locate
from iad.portraits.scenes import SCENES
from iad.portraits.wording import (
    DEEDS,
    HANDS,
    LOOKS,
    OPENINGS,
    OTHER_LANGUAGES,
    STYLES,
    THINGS,
    Pronoun,
    fill,
    inflect,
    pick,
)
from iad.training.clauses import WHO

Beyond = frozenset[str]


def is_held_out(index: int) -> bool:
    """Tell whether an off-topic sentence of `off_topic.toml` is kept for evaluation."""
    return index % 4 == 3


@cache
def list_people() -> list[PersonWords]:
    """List the words for the looks of all people of the clips."""
    return list(load_people_words().values())


def draw_off_topic(rng: np.random.Generator, *, held_out: bool = False) -> tuple[str, Beyond]:
    """Draw words that name no facial action, and what of it hands or body do."""
    kind, pronoun = int(rng.integers(6)), pick(rng, ("she", "he", "they"))
    if kind <= 1:
        form = pick(rng, ("third", "third", "gerund", "base"))
        deed, beyond = _draw_deed(rng, pronoun, form, held_out=held_out)
        who = "" if form == "base" else pick(rng, WHO[pronoun])
        return f"{who} {'is ' if form == 'gerund' else ''}{deed}".strip(), beyond
    if kind == 2:
        return pick(
            rng, [x for k, x in enumerate(OTHER_LANGUAGES) if is_held_out(k) == held_out]
        ), frozenset()
    draw = (_draw_portrait, draw_scene, _draw_gibberish)[kind - 3]
    return draw(rng), frozenset()


def draw_aside(rng: np.random.Generator, pronoun: Pronoun) -> tuple[str, Beyond]:
    """Draw what hands or body do beside a facial action, as a gerund."""
    return _draw_deed(rng, pronoun, "gerund", held_out=False)


def _draw_deed(rng, pronoun: Pronoun, form, *, held_out: bool) -> tuple[str, Beyond]:
    kind = int(rng.choice(3, p=[0.3, 0.55, 0.15]))
    table = (HANDS, DEEDS, LOOKS)[kind]
    deeds = [deed for k, deed in enumerate(table) if is_held_out(k) == held_out]
    return fill(inflect(pick(rng, deeds), form), pronoun), (
        frozenset({"hands"}),
        frozenset({"body"}),
        frozenset(),
    )[kind]


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
