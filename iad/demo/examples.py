"""Examples: pictures that anybody may use, each with a prompt.

They are listed in `examples/prompts.json`: portraits in the public domain that packages bring, which have a
name and a credit, and photo people, who do not exist and are shown where they were fetched. A clip made of an
example lies in `examples/gallery`. An example needs no consent, and is recognised by its pixels.
"""

import base64
import hashlib
import importlib.util
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from iad.installation import EXAMPLES
from iad.media.photos import load_image

LARGEST_SIDE = 768


@dataclass(frozen=True)
class Example:
    """A picture, what the person in it shall do, and the clip made of the two, where there is one.

    `name` and `credit` are of real people; the others do not exist. `card` is a small copy of the clip.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    prompt: str
    clip: Path | None = None
    card: Path | None = None
    name: str = ""
    credit: str = ""

    @property
    def digest(self) -> str:
        """The same for the same pixels, whatever file they came in."""
        return digest(self.picture)

    @cached_property
    def png(self) -> bytes:
        """The picture as a file, which takes longer to write than to send."""
        buffer = io.BytesIO()
        Image.fromarray(self.picture).save(buffer, format="PNG")
        return buffer.getvalue()


def digest(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """Hash the pixels of a picture."""
    return hashlib.sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()


def load_examples(folder: Path = EXAMPLES) -> list[Example]:
    """Read the examples of a folder whose pictures are on this machine.

    Raises:
        ValueError: a picture or the list of prompts is damaged.
    """
    listing = folder / "prompts.json"
    entries = json.loads(listing.read_text()) if listing.is_file() else []
    files = [find_picture(entry, folder) for entry in entries]
    return [_read_example(file, e, folder) for e, file in zip(entries, files, strict=True) if file]


def find_picture(entry: Mapping[str, Any], folder: Path = EXAMPLES) -> Path | None:
    """Return the picture of an entry of the list, in the folder, a package or among the photo people."""
    if "person" in entry:
        # the cache as in `iad.portraits`
        cache = Path(os.environ.get("IAD_CACHE") or Path.home() / ".cache" / "iad")
        people = Path(os.environ.get("IAD_PHOTO_PEOPLE") or cache / "people")
        file = people / "photos" / f"{entry['person']:04d}.jpg"
    elif "package" in entry:
        found = importlib.util.find_spec(entry["package"])
        if found is None or found.origin is None:
            return None
        file = Path(found.origin).parent / entry["image"]
    else:
        return folder / entry["image"]
    return file if file.is_file() else None


def name_clip(entry: Mapping[str, Any]) -> str:
    """Name the clip of an entry; one whose picture stands in several entries names its own."""
    if "clip" in entry:
        return entry["clip"]
    return f"photo-{entry['person']:04d}.mp4" if "person" in entry else f"{Path(entry['image']).stem}.mp4"


def list_photo_people(folder: Path = EXAMPLES) -> list[int]:
    """Return the numbers of the photo people in the list; `python -m iad data examples` fetches them."""
    listing = folder / "prompts.json"
    entries = json.loads(listing.read_text()) if listing.is_file() else []
    return [entry["person"] for entry in entries if "person" in entry]


def vary(picture: UInt8[np.ndarray, "h w 3"], *, cold: bool) -> UInt8[np.ndarray, "_ _ 3"]:
    """Take a portrait closer and in other light, as another photo of the same moment might show it."""
    height, width = picture.shape[:2]
    close = picture[: round(0.7 * height), round(0.1 * width) : round(0.85 * width)]
    light = np.array((0.75, 0.95, 1.15) if cold else (1.12, 0.95, 0.72))
    return np.rint(255 * ((close / 255) ** 1.25 * light).clip(0, 1)).astype(np.uint8)


def make_thumbnail(picture: UInt8[np.ndarray, "h w 3"], size: int) -> str:
    """Shrink the upper square of a picture; a data URI, so that the page shows it without a file."""
    side = min(picture.shape[:2])
    left = (picture.shape[1] - side) // 2
    small = Image.fromarray(picture[:side, left : left + side]).resize((size, size), Image.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def list_faces(examples: Sequence[Example]) -> str:
    """Write a row of buttons, one with the face of each example."""
    faces = "".join(
        f'<button type="button" data-index="{k}" aria-label="Take {example.name or f"example face {k + 1}"}">'
        f'<img src="{make_thumbnail(example.picture, 96)}" alt=""></button>'
        for k, example in enumerate(examples)
    )
    return f'<div class="faces">{faces}</div>' if faces else ""


def _read_example(file: Path, entry: Mapping[str, Any], folder: Path) -> Example:
    picture = Image.fromarray(load_image(file))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.LANCZOS)
    clip = folder / "gallery" / name_clip(entry)
    card = clip.parent / "cards" / clip.name
    about = {key: entry[key] for key in ("name", "credit") if key in entry}
    found = [file if file.is_file() else None for file in (clip, card)]
    return Example(np.asarray(picture), entry["prompt"], *found, **about)
