"""Ways to say each action, and words that name none, as `phrasings.toml` and `off_topic.toml` list them.

Nothing comes in; out come tables from an action's name to its wordings, and lists of words off the topic.
"""

import tomllib
from importlib import resources


def _read(name: str) -> dict:
    return tomllib.loads(resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))


_ACTIONS, _OFF_TOPIC = _read("phrasings.toml"), _read("off_topic.toml")

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
