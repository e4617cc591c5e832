"""In which language a prompt is written, where it is none that is understood."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Language:
    """A language, by its letters or its words, and a sentence in it that says what is understood."""

    code: str
    sentence: str
    letters: str = ""
    words: frozenset[str] = frozenset()


@cache
def load_languages() -> tuple[Language, ...]:
    """Read the table of languages."""
    table = tomllib.loads(resources.files(__package__).joinpath("languages.toml").read_text(encoding="utf-8"))
    return tuple(
        Language(code, row["sentence"], row.get("letters", ""), frozenset(row.get("words", "").split()))
        for code, row in table.items()
    )


def find_language(text: str) -> Language | None:
    """Find the language of a text by its script, else by its words; None where it is, or may be, English."""
    for known in load_languages():
        if known.letters and re.search(known.letters, text):
            return known
    words = re.findall(r"[^\W\d_]{2,}", text.lower())
    counts = {known: sum(word in known.words for word in words) for known in load_languages()}
    language = max(counts, key=counts.get)
    return language if language.code != "en" and counts[language] else None
