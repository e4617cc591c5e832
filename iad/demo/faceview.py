"""The photo as the page shows it: every face outlined, each outline a button that chooses it."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from iad.faces import Box

LARGEST_SIDE = 720
FACE_JS = """
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button) trigger('click', {index: Number(button.dataset.index)});
});
"""
OTHER_PHOTO = -1  # the index that the button "Other photo" carries


def outline_faces(picture: UInt8[np.ndarray, "h w 3"], boxes: Sequence[Box], *, chosen: int) -> str:
    """Draw the photo with a button on every face.

    Args:
        picture: the photo, upright.
        boxes: its faces, largest first.
        chosen: which of them is used.
    """
    outlines = "".join(_outline(box, picture.shape[:2], k, chosen) for k, box in enumerate(boxes))
    several = f"{len(boxes)} faces found; click the one to use." if len(boxes) > 1 else "Face found."
    return show_photo(picture, several, over=outlines)


def show_photo(picture: UInt8[np.ndarray, "h w 3"], words: str, *, over: str = "") -> str:
    """Show a photo with words below it, and a button that makes room for another."""
    photo = f'<img src="{to_data_uri(picture, LARGEST_SIDE)}" alt="Your photo">'
    other = f'<button type="button" class="other" data-index="{OTHER_PHOTO}">Other photo</button>'
    return (
        f'<figure class="outlined"><div>{photo}{over}</div><figcaption>'
        f'<span role="status">{words}</span>{other}</figcaption></figure>'
    )


def describe_problem(error: Exception) -> str:
    """Say beside an upload why nothing comes of it."""
    words = "The file is no longer here; add it again." if isinstance(error, OSError) else str(error)
    return f'<p class="note" role="alert">{html.escape(words)}</p>'


def _outline(box: Box, shape: tuple[int, int], index: int, chosen: int) -> str:
    height, width = shape
    left, top = max(box.left, 0.0), max(box.top, 0.0)
    right, bottom = min(box.right, width - 1.0), min(box.bottom, height - 1.0)
    place = (
        f"left:{left / width:.2%};top:{top / height:.2%};"
        f"width:{(right - left) / width:.2%};height:{(bottom - top) / height:.2%}"
    )
    pressed = "true" if index == chosen else "false"
    label = f"Face {index + 1}{', used' if index == chosen else ''}"
    return (
        f'<button type="button" class="box" style="{place}" data-index="{index}" '
        f'aria-pressed="{pressed}" aria-label="{label}"></button>'
    )


def to_data_uri(picture: UInt8[np.ndarray, "h w 3"], largest_side: int, *, quality: int = 88) -> str:
    """Shrink a picture, if it is larger, into an address that holds it: no file is left to be fetched."""
    small = Image.fromarray(picture)
    small.thumbnail((largest_side, largest_side), Image.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=quality)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
