"""The files of a clip on the page: their names, their size, how many frames a gif bears."""

import re
from dataclasses import replace
from pathlib import Path

from iad.media.safety import check_pictures
from iad.result import Result

STAMP, ENLARGED = 192, 3  # clips with shorter sides are enlarged so many times
GIF_FPS = 12  # about as many as a gif bears


def name_file(prompt: str) -> str:
    """Name a file after a prompt."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "-".join(["portrait", *words])[:48].rstrip("-")


def is_stamp(result: Result) -> bool:
    """Tell whether a clip would be a stamp on the page."""
    return min(result.frames.shape[1:3]) < STAMP


def save_clip(result: Result, path: Path, *, label: bool) -> str:
    """Write a clip as the page shows it: only what the denoiser drew alone is a stamp, which is enlarged.

    Raises:
        ValueError: it looks like nudity.
    """
    check_pictures(result.frames, what="clip")
    return str(result.save(path, scale=ENLARGED if is_stamp(result) else 1, label=label))


def thin_out(result: Result) -> Result:
    """Leave out frames that a gif would not bear."""
    step = max(1, round(result.fps / GIF_FPS))
    return replace(result, frames=result.frames[::step], fps=result.fps / step)
