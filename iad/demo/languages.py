"""In which language a prompt is written, where it is none that is understood."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

ENGLISH = frozenset(
    "a an the and then he she they his her their is are with in on to at of no not man woman girl boy person "
    "child smiles laughs looks nods eyes mouth head face ride fill pass pose as us me die sees his sin red "
    "sad la".split()
)


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
    """Find the language of a text by its script, else by its words; None for English and all others."""
    script = next((known for known in load_languages() if known.letters and re.search(known.letters, text)), None)
    if script:
        return script
    words = re.findall(r"[^\W\d_]{2,}", text.lower())
    english = sum(word in ENGLISH for word in words)
    counted = [(sum(word in known.words for word in words), known) for known in load_languages()]
    most, language = max(counted, key=lambda pair: pair[0])
    return language if most > english else None
