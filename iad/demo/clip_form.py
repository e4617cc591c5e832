"""The form of a clip that the page makes: how long, how large, and of how large a photo."""

from typing import Any

import numpy as np
from PIL import Image

from iad.request import LONGEST, check_duration
from iad.text import split_prompt

SIZES, MOST_SECONDS = ("384", "512", "768"), 4.0  # pixels a side, and how long the largest may last


def choose_length(prompt: str, seconds: float) -> float:
    """Return the seconds of a clip: those that were chosen, or more where a timeline needs them."""
    return check_duration(float(max([seconds, *(action.end for action in split_prompt(prompt)[1])])))


def choose_size(size: str, seconds: float | None, usual: int) -> dict[str, Any]:
    """Return size and seconds of a clip, where the size is not the usual one; a large clip is a short one.

    Raises:
        ValueError: no such size, or a longer clip than it bears.
    """
    if size not in SIZES:
        raise ValueError(f"There is no size {size[:20]!r}; choose from {', '.join(SIZES)}.")
    most = LONGEST if int(size) < int(SIZES[-1]) else MOST_SECONDS
    if seconds is not None and seconds > most:
        raise ValueError(f"At {size} pixels a clip lasts {most:g} s at most; choose fewer pixels or seconds.")
    if int(size) == usual:
        return {}
    return {"size": int(size)} | ({"duration": most} if seconds is None else {})


def shrink(picture: np.ndarray, largest_side: int) -> np.ndarray:
    """Shrink a picture whose longer side is larger; sides become even, as a video's are."""
    scale = min(1.0, largest_side / max(picture.shape[:2]))
    height, width = (2 * round(scale * side / 2) for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.LANCZOS))
