"""Make the pictures of this folder again: rendered people who do not exist, and clips of all examples.

python -m examples.make portraits     (needs the morphable head: python -m iad data download)
python -m examples.make pairs         (needs the head, too: one person in two facial actions, for the app)
python -m examples.make faces         (needs the head, too: the collection of the tutorials)
python -m examples.make gallery       (needs the shipped weights only: clips, and the README's strip)
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from iad.media.video import save_picture

FOLDER = Path(__file__).parent
# Rendered people kept from training (seeds of the form 8k + 3), and what each shows.
PORTRAITS = (
    (131, "smile"), (19, "neutral"), (35, "frown"), (99, "neutral"), (179, "neutral"), (187, "mouth open"),
    (219, "neutral"), (251, "frown"), (291, "neutral"), (3, "smile"),
)  # fmt: skip
# Clips of some of them serve as footage and drivers; the page does not show them.
FOOTAGE = {
    "person-003": "closes her eyes, then smiles broadly",
    "person-019": "an older woman laughs",
    "person-035": "a woman raises her eyebrows in surprise",
    "person-131": "[0-1s] frowns [1-2s] opens his mouth",
}
STRIP = ("astronaut.mp4", "grace_hopper.mp4", "astronaut-laughs.mp4", "grace_hopper-winks.mp4")
STRIP_SIDE = 144  # pixels of a picture in the strip
PAIRED, PAIRED_ACTIONS = (3, 99, 187), ("smile", "eyes closed")
COLLECTED = range(403, 723, 8)  # 40 more rendered people kept from training, for `iad.portraits.collection`
SWAY = (1.5, 4.0)  # degrees by which heads are not held straight, in the first and in the second take


def make_portraits() -> None:
    """Render the portraits at 256 pixels, each with a facial action of its own."""
    from iad.performing.actions import Performed, perform
    from iad.portraits.head import load_head
    from iad.portraits.rendered import RenderedPerson

    head = load_head()
    for seed, action in PORTRAITS:
        person = RenderedPerson.sample(head, seed)
        track = perform([Performed((action,), 0.0, 2.0)], rng=np.random.default_rng(0), idle=False)[10:11]
        save_picture(FOLDER / f"person-{seed:03d}.png", person.render(track, size=256)[0])


def make_pairs() -> None:
    """Render some of these people at 256 pixels, each in the same two facial actions."""
    from iad.performing.actions import Performed, perform
    from iad.portraits.head import load_head
    from iad.portraits.rendered import RenderedPerson

    head = load_head()
    for seed in PAIRED:
        person = RenderedPerson.sample(head, seed)
        for action in PAIRED_ACTIONS:
            track = perform([Performed((action,), 0.0, 2.0)], rng=np.random.default_rng(0), idle=False)[10:11]
            name = f"person-{seed:03d}-{action.replace(' ', '-')}.png"
            save_picture(FOLDER / "pairs" / name, person.render(track, size=256)[0])


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
        result = pipe(example.picture, example.prompt, seed=0)
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


def make_faces() -> None:
    """Render the collection: every person in nine actions at their height, two takes."""
    from tqdm import tqdm

    from iad.evaluation.samples import SHOWN, height
    from iad.geometry.coefficients import EXPRESSIONS
    from iad.performing.actions import Performed, perform
    from iad.portraits.clips import cast_rendered
    from iad.portraits.collection import FOLDER, save_collection
    from iad.portraits.head import load_head

    head, crops, tracks, called = load_head(), [], [], []
    for seed in tqdm(COLLECTED, desc="render people"):
        rng, cast, faces = np.random.default_rng(seed), cast_rendered(head, seed), []
        for sway in SWAY:
            for name in SHOWN:
                face = height(perform([Performed((name,), 0.0, 2.0)], rng=rng, idle=False))
                face[EXPRESSIONS:] += rng.normal(0, sway, 3)
                faces.append(face)
        rows = np.stack(faces)
        pictures = cast.person.render(rows)
        crops.append(pictures.reshape(len(SWAY), len(SHOWN), *pictures.shape[1:]))
        tracks.append(rows.reshape(len(SWAY), len(SHOWN), -1))
        called.append(cast.words.presentation)
    shown = {"actions": SHOWN, "called": called, "seeds": list(COLLECTED)}
    save_collection(FOLDER, np.stack(crops), np.stack(tracks), **shown)


if __name__ == "__main__":
    makers = (make_portraits, make_pairs, make_faces, make_gallery)
    {maker.__name__.removeprefix("make_"): maker for maker in makers}[sys.argv[1]]()
