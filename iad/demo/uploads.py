"""What a visitor brings: a photo is looked at only with consent, and opened only by `load_image`."""

from collections.abc import Collection
from typing import Any

import numpy as np
from jaxtyping import UInt8

from iad.demo.examples import digest
from iad.media.photos import load_image

CONSENT_NEEDED = "Tick the box first: everybody in your pictures must be you or have agreed."


def keep_path(component: Any) -> Any:
    """Let a `gr.Image` hand over the path: it would open the file with PIL, before anything was checked."""
    component.preprocess = lambda payload: payload.path if payload else None
    return component


def open_photo(path: str | None, *, consent: bool, known: Collection[str] = ()) -> UInt8[np.ndarray, "h w 3"]:
    """Open a visitor's photo.

    Args:
        path: of an upload.
        consent: that the person in it agreed.
        known: digests of pictures that need no consent.

    Raises:
        ValueError: no photo, no picture that can be read, or no consent.
    """
    if path is None:
        raise ValueError("There is no photo yet; add one, or pick an example.")
    picture = load_image(path)
    if not consent and digest(picture) not in known:
        raise ValueError(CONSENT_NEEDED)
    return picture
