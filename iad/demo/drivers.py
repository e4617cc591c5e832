"""Clips made of photos in the public domain, each one click from leading a visitor's portrait.

They lie in `examples/drivers` with what was read off their faces; `python -m examples.make drivers` makes
both.
"""

import base64
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from iad.installation import EXAMPLES
from iad.request import FPS

COLLINS, HOPPER = "Eileen Collins (NASA)", "Grace Hopper (US Navy)"
NAMES = {  # file: what it is called, and who it is of
    "talks": ("Talks", COLLINS), "laughs": ("Laughs", COLLINS), "looks-around": ("Looks around", HOPPER),
    "nods": ("Nods", COLLINS), "grimaces": ("Grimaces", COLLINS),
}  # fmt: skip


class Drivers:
    """The clips that are on this machine.

    Args:
        folder: where they lie, and small copies of them in `cards`.
    """

    def __init__(self, folder: Path = EXAMPLES / "drivers"):
        self._folder, self.tracks = folder, {}
        if (folder / "tracks.npz").is_file():
            with np.load(folder / "tracks.npz") as read:
                self.tracks = {name: read[name].astype(np.float32) for name in NAMES}

    def find_row(self, name: str, seconds: float) -> Float32[np.ndarray, " 60"]:
        """Return what the face of a clip does at a time from its beginning; the clips loop.

        Raises:
            ValueError: there is no such clip.
        """
        if name not in self.tracks:
            raise ValueError(f"There is no clip {name[:20]!r}; load the page again.")
        return self.tracks[name][int(seconds * FPS) % len(self.tracks[name])]

    def list_cards(self) -> str:
        """Write a button for each clip, with a small copy of it that moves."""
        return "".join(map(self._write_card, self.tracks))

    def describe(self) -> str:
        """Say who the clips are of, and who made them."""
        people = " and ".join(dict.fromkeys(NAMES[name][1] for name in self.tracks))
        return f"Made by this model of photos in the public domain: {people}." if people else ""

    def _write_card(self, name: str) -> str:
        data = base64.b64encode((self._folder / "cards" / f"{name}.mp4").read_bytes()).decode()
        words, person = NAMES[name]
        return (
            f'<button type="button" class="play-driver" data-clip="{name}" title="{person}" '
            'aria-pressed="false" disabled><i>'
            f'<video src="data:video/mp4;base64,{data}" autoplay loop muted playsinline tabindex="-1" '
            f'aria-hidden="true"></video></i><span>{words}</span></button>'
        )
