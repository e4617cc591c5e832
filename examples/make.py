"""Make the clips of all examples again, and the README's strip (`python -m examples.make`).

Needs the shipped weights only. The people of `person-*.png`, `pairs` and `faces` do not exist: a generator
rendered them that has been retired since; their pictures are kept as they are.
"""

import json
from pathlib import Path

import cv2
import numpy as np

from iad.media.video import save_picture

FOLDER = Path(__file__).parent
# Clips of some of them serve as footage and drivers; the page does not show them.
FOOTAGE = {
    "person-003": "closes her eyes, then smiles broadly",
    "person-019": "an older woman laughs",
    "person-035": "a woman raises her eyebrows in surprise",
    "person-131": "[0-1s] frowns [1-2s] opens his mouth",
}
STRIP = ("astronaut.mp4", "grace_hopper.mp4", "astronaut-laughs.mp4", "grace_hopper-winks.mp4")
STRIP_SIDE = 144  # pixels of a picture in the strip


def make_gallery() -> None:
    """Generate each example's clip with seed 0 as the app shows it, and a strip of some for the README."""
    from iad import IaDPipeline
    from iad.demo.examples import find_picture, load_examples, name_clip
    from iad.faces import crop

    pipe, rows = IaDPipeline.from_pretrained("mini"), []
    entries = json.loads((FOLDER / "prompts.json").read_text())
    present = [entry for entry in entries if find_picture(entry)]
    # the page's own pictures: pressing Generate there makes the same clip
    for entry, example in zip(present, load_examples(), strict=True):
        if "person" in entry:  # fetched by who wants them, and so no part of the repository
            continue
        result = pipe(example.picture, example.prompt, seed=0, loop=True)
        result.save(FOLDER / "gallery" / name_clip(entry), label=True)
        if name_clip(entry) in STRIP:
            photo = crop(example.picture, pipe.find_face(example.picture).affine, STRIP_SIDE)
            picks = np.linspace(0, len(result.frames) - 1, 7)[1:-1].round().astype(int)
            shown = [
                cv2.resize(result.frames[k], (STRIP_SIDE,) * 2, interpolation=cv2.INTER_AREA) for k in picks
            ]
            rows.append(np.concatenate([photo, *shown], axis=1))
    save_picture(FOLDER / "strip.png", np.concatenate(rows))
    for name, prompt in FOOTAGE.items():
        pipe(FOLDER / f"{name}.png", prompt, seed=0).save(FOLDER / "gallery" / f"{name}.mp4", label=True)


if __name__ == "__main__":
    make_gallery()
