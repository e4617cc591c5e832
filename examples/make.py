"""Make all that the examples show again (`python -m examples.make`, or one part: `... cards`).

The parts are the clips of the gallery with the README's strip, their small copies for the page's cards, the
clips that drive a portrait in the Play tab, and the comparison that the Compare tab opens with.

Needs the shipped weights only. The people of `person-*.png`, `pairs` and `faces` do not exist: a generator
rendered them that has been retired since; their pictures are kept as they are.
"""

import json
import sys
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
from jaxtyping import UInt8

from iad.media.provenance import compute_seal, list_pictures, parse_record, set_seal, write_record
from iad.media.video import read_metadata, read_video, save_picture

FOLDER = Path(__file__).parent
CARD_SIDE, CARD_STEP = 160, 2  # pixels of a card's clip, and every which frame it takes
CARD_CODING = {"crf": "30", "preset": "veryslow", "tune": "animation"}
COMPARED = (0, "opens the mouth wide")  # the example that the Compare tab opens with, and its prompt
# Clips of some of them serve as footage; the page does not show them.
FOOTAGE = {
    "person-003": "closes her eyes, then smiles broadly",
    "person-019": "an older woman laughs",
    "person-035": "a woman raises her eyebrows in surprise",
    "person-131": "[0-1s] frowns [1-2s] opens his mouth",
}
DRIVERS = {  # file: whose photo in the public domain performs, and what
    "talks": ("Eileen Collins", "[0-4s] talks"),
    "laughs": ("Eileen Collins", "[0-1s] smiles [1-3.2s] laughs and tilts the head [3.2-4s] smiles"),
    "looks-around": (
        "Grace Hopper",
        "[0-1s] turns the head left [1-2s] turns the head right [2-3s] looks up and raises the eyebrows "
        "[3-4s] looks down",
    ),
    "nods": ("Eileen Collins", "[0-2s] nods [2-4s] shakes the head"),
    "grimaces": (
        "Eileen Collins",
        "[0-1s] blows a kiss [1-2s] opens the mouth wide [2-3s] looks surprised [3-4s] winks and smiles",
    ),
}
DRIVER_SIDE = 256
DRIVER_CARD = 112, 3  # as CARD_SIDE and CARD_STEP
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


def make_drivers() -> None:
    """Let photos perform what a visitor's portrait follows, and read it off their faces."""
    from iad import IaDPipeline
    from iad.demo.examples import load_examples
    from iad.geometry.driving import read_driver

    pipe, tracks = IaDPipeline.from_pretrained("mini"), {}
    pictures = {example.name: example.picture for example in load_examples()}
    for name, (person, prompt) in DRIVERS.items():
        result = pipe(pictures[person], prompt, seed=0, loop=True, size=DRIVER_SIDE)
        file = result.save(FOLDER / "drivers" / f"{name}.mp4", label=True)
        track = read_driver(file, find=pipe.find_face, follow=pipe.follow_face).track
        tracks[name] = track.astype(np.float16)
    np.savez_compressed(FOLDER / "drivers" / "tracks.npz", **tracks)


def make_cards() -> None:
    """Write a small copy of each clip that the page shows as a card: the page itself carries these."""
    for file in sorted([*(FOLDER / "gallery").glob("*.mp4"), *(FOLDER / "drivers").glob("*.mp4")]):
        if file.stem in FOOTAGE:
            continue
        frames, fps = read_video(file, 240)
        side, step = DRIVER_CARD if file.parent.name == "drivers" else (CARD_SIDE, CARD_STEP)
        small = [cv2.resize(frame, (side,) * 2, interpolation=cv2.INTER_AREA) for frame in frames]
        comment = write_record(read_metadata(file))
        data = _encode_small(np.stack(small[::step]), fps / step, comment)
        seal = compute_seal(parse_record(comment), list_pictures(BytesIO(data)))
        target = file.parent / "cards" / file.name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(set_seal(data, seal))


def _encode_small(frames: UInt8[np.ndarray, "f h w 3"], fps: float, comment: str) -> bytes:
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        container.metadata["comment"] = comment
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=CARD_CODING)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def make_comparison() -> None:
    """Make the three clips that the Compare tab opens with, and the report that its table is made of."""
    from iad import IaDPipeline
    from iad.config import ARMS
    from iad.demo.examples import load_examples
    from iad.demo.studio import make_report, save_clip
    from iad.request import Request

    pipe, reports = IaDPipeline.from_pretrained("mini"), {}
    number, prompt = COMPARED
    example, folder = load_examples()[number], FOLDER / "compare"
    folder.mkdir(exist_ok=True)
    for arm in ARMS:
        result = pipe.generate(Request(example.picture, prompt, arm=arm, detail_scale=0.0, seed=0))
        save_clip(result, folder / f"{arm}.mp4", label=True)
        reports[arm] = make_report(result)
    finished = {"name": example.name, "credit": example.credit, "prompt": prompt, "reports": reports}
    (folder / "reports.json").write_text(json.dumps(finished, indent=1) + "\n")


if __name__ == "__main__":
    steps = {
        "gallery": make_gallery, "drivers": make_drivers, "cards": make_cards, "compare": make_comparison,
    }  # fmt: skip
    for step in sys.argv[1:] or steps:
        steps[step]()
