"""Examples: pictures that anybody may use, each with a prompt.

They are read from `examples/prompts.json`, a list of {"image": file name, "prompt": text}; a clip made of an
example lies in `examples/gallery`. An example needs no consent, and is recognised by its pixels.
"""

import base64
import hashlib
import importlib.util
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from iad.photos import load_image

FOLDER = Path(__file__).parents[2] / "examples"
LARGEST_SIDE = 768


@dataclass(frozen=True)
class Example:
    """A picture, what the person in it shall do, and the clip made of the two, where there is one."""

    picture: UInt8[np.ndarray, "h w 3"]
    prompt: str
    clip: Path | None = None

    @property
    def digest(self) -> str:
        """The same for the same pixels, whatever file they came in."""
        return digest(self.picture)


def digest(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """Hash the pixels of a picture."""
    return hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()


def load_examples(folder: Path = FOLDER) -> list[Example]:
    """Read the examples of a folder, and the astronaut that scikit-image brings, where there is one.

    Raises:
        ValueError: a picture or the list of prompts is damaged.
    """
    listing = folder / "prompts.json"
    entries = json.loads(listing.read_text()) if listing.is_file() else []
    examples = [_read_example(folder / entry["image"], entry["prompt"]) for entry in entries]
    astronaut = _find_astronaut()
    return examples + ([_read_example(astronaut, "closes her eyes and smiles")] if astronaut else [])


def make_thumbnail(picture: UInt8[np.ndarray, "h w 3"], size: int) -> str:
    """Shrink the upper square of a picture; a data URI, so that the page shows it without a file."""
    side = min(picture.shape[:2])
    left = (picture.shape[1] - side) // 2
    small = Image.fromarray(picture[:side, left : left + side]).resize((size, size), Image.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _read_example(file: Path, prompt: str) -> Example:
    picture = Image.fromarray(load_image(file))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.LANCZOS)
    clip = file.parent / "gallery" / f"{file.stem}.mp4"
    return Example(np.asarray(picture), prompt, clip if clip.is_file() else None)


def _find_astronaut() -> Path | None:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        return None
    file = Path(found.origin).parent / "data" / "astronaut.png"
    return file if file.is_file() else None
