"""Make the pictures of this folder again: rendered people who do not exist, and a gallery of generated clips.

python -m examples.make portraits     (needs the morphable head: python -m iad data download)
python -m examples.make gallery       (needs the shipped weights only)
"""

import json
import sys
from pathlib import Path

import numpy as np

from iad.video import save_picture

FOLDER = Path(__file__).parent
# Rendered people kept from training (seeds of the form 8k + 3), what each shows, and what to ask for.
PORTRAITS = [
    (3, "smile", "closes her eyes, then smiles broadly"),
    (19, "neutral", "an older woman laughs"),
    (35, "frown", "a woman raises her eyebrows in surprise"),
    (99, "neutral", "a man nods"),
    (131, "smile", "[0-1s] frowns [1-2s] opens his mouth"),
    (179, "neutral", "an older man smiles"),
    (187, "mouth open", "a woman turns her head to the left"),
    (219, "neutral", "a man blows a kiss"),
    (251, "frown", "an older man shakes his head"),
    (291, "neutral", "she winks with her left eye"),
]


def make_portraits() -> None:
    """Render the portraits at 256 pixels, each with a facial action of its own, and list the prompts."""
    from iad.portraits.actions import Performed, perform
    from iad.portraits.head import load_head
    from iad.portraits.rendered import RenderedPerson

    head, prompts = load_head(), []
    for seed, action, prompt in PORTRAITS:
        person = RenderedPerson.sample(head, seed)
        track = perform([Performed((action,), 0.0, 2.0)], rng=np.random.default_rng(0), idle=False)[10:11]
        name = f"person-{seed:03d}.png"
        save_picture(FOLDER / name, person.render(track, size=256)[0])
        prompts.append({"image": name, "prompt": prompt})
    (FOLDER / "prompts.json").write_text(json.dumps(prompts, indent=1) + "\n")


def make_gallery() -> None:
    """Generate each example's clip with seed 0: an mp4 twice enlarged and a contact sheet."""
    from iad import IaDPipeline

    pipe = IaDPipeline.from_pretrained("mini")
    for entry in json.loads((FOLDER / "prompts.json").read_text()):
        result = pipe(FOLDER / entry["image"], entry["prompt"], seed=0)
        stem = Path(entry["image"]).stem
        result.save(FOLDER / "gallery" / f"{stem}.mp4", scale=2)
        result.save(FOLDER / "gallery" / f"{stem}.png")


if __name__ == "__main__":
    {"portraits": make_portraits, "gallery": make_gallery}[sys.argv[1]]()
