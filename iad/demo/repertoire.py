"""What a face could do: a small picture of every named action, each a button that asks for it."""

import functools

import numpy as np
from jaxtyping import Float32, UInt8

from iad.demo.examples import digest, make_thumbnail
from iad.demo.studio import Studio
from iad.demo.uploads import Click, open_photo
from iad.geometry.coefficients import COEFFICIENTS, track_to_code
from iad.performing.actions import Performed, perform

SIDE = 112  # pixels of a picture
SHOWN = {  # what is asked for: the named action that is drawn
    "smiles": "smile", "laughs": "laugh", "looks surprised": "surprised",
    "opens the mouth wide": "mouth open", "closes the eyes": "eyes closed",
    "winks": "wink left", "raises the eyebrows": "brows raised",
    "looks angry": "angry", "looks sad": "sad", "blows a kiss": "pucker", "frowns": "frown",
    "looks skeptical": "skeptical", "looks left": "look left", "turns the head left": "turn left",
    "turns the head right": "turn right", "tilts the head": "tilt left", "nods": "nod", "yawns": "yawn",
}  # fmt: skip


@functools.cache
def find_height(action: str) -> Float32[np.ndarray, " 60"]:
    """Return the frame of a named action's track that is furthest from rest."""
    track = perform([Performed((action,), 0.0, 2.0)], rng=np.random.default_rng(0), idle=False)
    return track[int(np.square(track_to_code(track)).sum(1).argmax())]


class Repertoire:
    """What the strip's events call; of visitors' photos it keeps nothing.

    Args:
        studio: the Portrait tab's, for its pipeline and its examples.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        self._examples: dict[tuple[str, int], str] = {}  # by digest and face

    def show(self, photo: str | None, consent: bool, face: float | None) -> str:
        """Draw the face of a photo in every action; of a photo that cannot be drawn, the page says why."""
        try:
            picture = open_photo(photo, consent=consent, known=self.studio.known)
            key = digest(picture), int(face or 0)
            strip = self._examples.get(key) or self._draw(picture, key[1])
        except ValueError:
            return ""
        if key[0] in self.studio.known:
            self._examples[key] = strip
        return strip

    def choose(self, event: Click) -> str:
        """Return the prompt of a picture."""
        return event.choose(list(SHOWN))

    def _draw(self, picture: UInt8[np.ndarray, "h w 3"], face: int) -> str:
        self.studio.runs.step_aside()
        live, buttons = self.studio.pipeline.live(picture, face=face or None), []
        for k, (prompt, action) in enumerate(SHOWN.items()):
            weights = dict(zip(COEFFICIENTS, find_height(action).tolist(), strict=True))
            self.studio.runs.step_aside()
            buttons.append(_button(k, prompt, live.frame(size=SIDE, **weights)))
        return f'<p class="quiet">What this face could do:</p><div class="cards">{"".join(buttons)}</div>'


def _button(index: int, prompt: str, frame: UInt8[np.ndarray, "s s 3"]) -> str:
    picture = f'<i><img src="{make_thumbnail(frame, SIDE)}" alt=""></i>'
    return f'<button type="button" data-index="{index}">{picture}<span>{prompt}</span></button>'
