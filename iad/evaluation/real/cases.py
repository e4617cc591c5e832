"""Cases that failed visitors once, made again by a line or two each, with a check of what is right.

In comes a `Trial`: the model and what it is tried with; out comes an `Outcome` each. The checks hold what a
machine can hold; the sheet shows the rest. Cases of drivers, and the list of all, are in
`iad.evaluation.real.driver_cases`.
"""

import hashlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from iad.evaluation.real import mesh, subject
from iad.evaluation.real.asked import ACTIONS, LOOKS, MOUTH, NEUTRAL, SHAKE, SMILE
from iad.evaluation.real.material import load_numbers

CUP = (40, 160, 90)  # a green that no face has
GRINS = (521, 1179, 2037, 1058)
BEARDED, GLASSES = (155, 187), 331  # held-out photos
Picture = UInt8[np.ndarray, "_ _ 3"]  # pictures of several sizes meet here


@dataclass(frozen=True)
class Outcome:
    """What came out of a case.

    Attributes:
        right: True or False, by the automatic check; None where only the sheet can tell.
        said: what came out, in a few words.
        strips: frames for the sheet.
    """

    right: bool | None
    said: str
    strips: list[UInt8[np.ndarray, "_ _ _ 3"]] = field(default_factory=list)


@dataclass(frozen=True)
class Trial:
    """The model on trial and what it is tried with.

    Attributes:
        model: its name or folder, for the command line.
        folder: where drivers are written.
        video: frames of the real video and their rate; None where there is none.
    """

    pipe: object
    model: str
    folder: Path
    astronaut: Picture
    hopper: Picture
    video: tuple[UInt8[np.ndarray, "f _ _ 3"], float] | None

    def animate(self, reference, prompt: str = "", **options) -> subject.Clip:
        """Make a clip, thinned out to what is judged."""
        return subject.animate(self.pipe, reference, prompt, **options).sample(LOOKS)

    def see(self, clip: subject.Clip) -> dict[str, Float[np.ndarray, " f"]]:
        """Measure a clip."""
        return mesh.measure(mesh.load_judge()(clip.frames))

    def own(self, picture: Picture) -> dict[str, float]:
        """Measure a photo."""
        return {name: float(v[0]) for name, v in mesh.measure(mesh.load_judge()([picture])).items()}

    def shows(self, clip: subject.Clip, photo: Picture, action: str) -> bool:
        """Tell whether the judge sees one of the asked actions happen."""
        seen = self.see(clip)
        return bool(
            np.isfinite(seen["mouth"]).mean() > 0.5 and ACTIONS[action].judge(seen, self.own(photo))[1]
        )

    def detected(self, clip: subject.Clip) -> float:
        """Return the share of frames in which the judge sees a face."""
        return float(np.isfinite(self.see(clip)["mouth"]).mean())


def try_each(
    trial: Trial, inputs: Mapping[str, dict[str, Any]], *, noted: str = "", may_refuse: bool = False
) -> Outcome:
    """Make a clip of each input: right where faces are seen throughout and a note says what was wrong.

    Args:
        trial: what is tried.
        inputs: what `Trial.animate` is given, by name.
        noted: what a note must hold, in small letters.
        may_refuse: a refusal in a sentence is as good.
    """
    said, strips, right = [], [], True
    for name, given in inputs.items():
        try:
            clip = trial.animate(**given)
        except ValueError as error:
            said.append(f"{name}: refused, {str(error)[:40]}")
            right &= may_refuse
            continue
        strips.append(clip.frames)
        found, notes = trial.detected(clip), sum(noted in note.lower() for note in clip.notes)
        right &= found > 0.9 and notes > 0
        said.append(f"{name}: faces {found:.0%}, notes {notes}")
    return Outcome(right, "; ".join(said), strips)


def cover(picture: Picture, box: tuple[int, int, int, int], colour) -> Picture:
    """Lay a plain card (left, top, right, bottom) over a picture."""
    left, top, right, bottom = box
    picture = picture.copy()
    picture[top:bottom, left:right] = colour
    return picture


def tilt(picture: Picture, degrees: float) -> Picture:
    """Turn a picture about its middle."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def write_video(path: Path, frames, times: Float[np.ndarray, " f"]) -> Path:
    """Write frames at given times (seconds), however uneven."""
    from fractions import Fraction

    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        height, width = (side // 2 * 2 for side in frames[0].shape[:2])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "12", "bf": "0"}
        for frame, time in zip(frames, times, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
            picture.pts, picture.time_base = round(time * 1000), Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def sharpness(pictures: UInt8[np.ndarray, "f h w 3"]) -> Float[np.ndarray, " f"]:
    """Measure how much fine detail the middle of each picture holds."""
    height, width = pictures.shape[1:3]
    middle = pictures[:, height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    return np.array([cv2.Laplacian(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var() for p in middle])


def long_prompt(trial: Trial) -> Outcome:
    """1: forty words of scene, then the action; of a face that does not smile yet."""
    scene, photo = "word " * 40, trial.hopper
    clips = [trial.animate(photo, scene + end) for end in ("she smiles broadly", "she closes her eyes")]
    right = [trial.shows(clip, photo, a) for clip, a in zip(clips, ("smile", "eyes"), strict=True)]
    same = np.array_equal(clips[0].frames, clips[1].frames)
    return Outcome(all(right), "identical clips" if same else f"seen: {right}", [c.frames for c in clips])


def card_over_mouth(trial: Trial) -> Outcome:
    """2: a white card over the mouth; the face, or a sentence, never another patch."""
    photo = cover(trial.astronaut, (190, 130, 260, 200), 255)
    box, true = (np.array(trial.pipe.find_face(p).box) for p in (photo, trial.astronaut))
    apart = np.abs(box - true).max() / (true[2] - true[0])
    clip = trial.animate(photo, "she smiles")
    return Outcome(bool(apart < 0.4), f"box off by {apart:.1f} widths; notes: {clip.notes}", [clip.frames])


def cup_over_mouth(trial: Trial) -> Outcome:
    """3: a cup over the mouth stays a cup, and is said."""
    photo = cover(trial.astronaut, (190, 140, 250, 200), CUP)
    clip = trial.animate(photo, "she opens her mouth wide")
    near = np.abs(clip.frames.astype(int) - CUP).max(-1) < 40
    kept = near.mean((1, 2)).min() / max(near.mean((1, 2)).max(), 1e-6)
    said = any("cover" in note or "mouth" in note for note in clip.notes)
    return Outcome(
        bool(kept > 0.9) and said, f"{kept:.0%} of the cup kept; notes: {clip.notes}", [clip.frames]
    )


def head_motion(trial: Trial) -> Outcome:
    """4: shaking and nodding heads stay faces, and sharp; a machine sees only gross faults."""
    clips = [trial.animate(trial.astronaut, f"she {verb}") for verb in ("shakes her head", "nods")]
    seen = [trial.see(clip) for clip in clips]
    found = min(trial.detected(clip) for clip in clips)
    sharp = min(float(np.percentile(s, 10) / s[0]) for s in (sharpness(c.frames) for c in clips))
    moved = np.nanpercentile(seen[0]["yaw"], 95) - np.nanpercentile(seen[0]["yaw"], 5)
    right = found == 1 and sharp > 0.5 and moved > SHAKE
    said = (
        f"faces seen {found:.0%}, least sharpness {sharp:.0%} of the first frame's, turn {moved:.0f} degrees"
    )
    return Outcome(None if right else False, said, [clip.frames for clip in clips])


def close_eyes(trial: Trial) -> Outcome:
    """5: both lids close in light from one side, and above beards."""
    photos = load_numbers(BEARDED)
    light = np.linspace(1.4, 0.3, photos[0].shape[1])[None, :, None]
    photos.append(np.clip(photos[0] * light, 0, 255).astype(np.uint8))
    clips = [trial.animate(photo, "closes the eyes") for photo in photos]
    right = [trial.shows(clip, photo, "eyes") for clip, photo in zip(clips, photos, strict=True)]
    return Outcome(all(right), f"both shut: {right}", [clip.frames for clip in clips])


def quarter_turns(trial: Trial) -> Outcome:
    """6: photos that lie on their side or stand on their head, without EXIF."""
    turned = {f"{turns} quarters": np.rot90(trial.astronaut, turns).copy() for turns in (1, 2, 3)}
    return try_each(trial, {name: {"reference": p, "prompt": "she smiles"} for name, p in turned.items()})


def grey(trial: Trial) -> Outcome:
    """7: a grey photo stays grey."""
    lightness = cv2.cvtColor(trial.astronaut, cv2.COLOR_RGB2GRAY)
    clip = trial.animate(np.repeat(lightness[..., None], 3, 2), "she opens her mouth wide")
    spread = np.ptp(clip.frames.astype(int), axis=-1)
    share = float((spread <= 3).mean())
    return Outcome(share >= 0.999, f"{share:.1%} of pixels grey, spread up to {spread.max()}", [clip.frames])


def negations(trial: Trial) -> Outcome:
    """8: what is denied does not happen."""
    prompts = (
        "without closing her eyes she opens her mouth",
        "she does not smile",
        "no smile, just raises the brows",
    )
    clips = [trial.animate(trial.astronaut, prompt) for prompt in prompts]
    own, seen = trial.own(trial.astronaut), [trial.see(clip) for clip in clips]
    opened = np.nanmax(seen[0]["mouth"]) - own["mouth"] > MOUTH
    awake = np.nanpercentile(seen[0]["lids"], 20) > 0.7 * own["lids"]  # a blink is allowed
    calm = [bool(np.nanpercentile(s["smile"], 85) - own["smile"] < SMILE) for s in seen[1:]]
    raised = np.nanpercentile(seen[2]["brows"], 85) > own["brows"] + 0.015
    said = f"mouth opens {opened}, eyes stay open {awake}, no smile {calm}, brows rise {raised}"
    return Outcome(bool(opened and awake and all(calm) and raised), said, [c.frames for c in clips])


def bearded_mouth(trial: Trial) -> Outcome:
    """12: an open mouth holds teeth and a tongue, not a flat hole: light and dark inside the inner lips."""
    photo = load_numbers(BEARDED)[0]
    clip = trial.animate(photo, "opens his mouth wide")
    seen, points = trial.see(clip), mesh.lips(mesh.load_judge()(clip.frames).points)[:, 12:]
    widest = int(np.nanargmax(seen["mouth"]))
    mask = cv2.fillPoly(
        np.zeros(clip.frames.shape[1:3], np.uint8), [points[widest].round().astype(np.int32)], 1
    )
    inside = cv2.cvtColor(clip.frames[widest], cv2.COLOR_RGB2GRAY)[mask > 0] / 255
    opened = seen["mouth"][widest] - trial.own(photo)["mouth"] > MOUTH
    said = (
        f"lips part {opened}; inside from {np.percentile(inside, 5):.2f} to {np.percentile(inside, 95):.2f}"
    )
    return Outcome(bool(opened and np.ptp(np.percentile(inside, (5, 95))) > 0.25), said, [clip.frames])


def glasses(trial: Trial) -> Outcome:
    """13: glasses stay glasses; for the eye."""
    photo = load_numbers((GLASSES,))[0]
    clips = [trial.animate(photo, prompt) for prompt in ("closes the eyes", "turns the head to the left")]
    return Outcome(None, f"eyes shut: {trial.shows(clips[0], photo, 'eyes')}", [c.frames for c in clips])


def grins(trial: Trial) -> Outcome:
    """14: grins with teeth end when something else is asked."""
    prompts = ("looks sad", "a neutral face", "closes the mouth")
    right, strips = [], []
    for photo in load_numbers(GRINS):
        clips = [trial.animate(photo, prompt) for prompt in prompts]
        right += [NEUTRAL.judge(trial.see(clip), trial.own(photo))[1] for clip in clips]
        strips.append(clips[1].frames)
    return Outcome(all(right), f"lips meet in {sum(right)} of {len(right)} clips", strips)


def two_people(trial: Trial) -> Outcome:
    """15: two people as several photos of one are not blended without a word."""
    clip = trial.animate([trial.astronaut, trial.hopper], "smiles")
    return Outcome(bool(clip.notes), f"notes: {clip.notes}", [clip.frames])


def own_input(trial: Trial) -> Outcome:
    """16: no command writes over its input."""
    path = trial.folder / "same.png"
    Image.fromarray(trial.astronaut).save(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    words = ["generate", "--model", trial.model, "--reference", path, "--prompt", "smiles", "--output", path]
    run = subprocess.run([sys.executable, "-m", "iad", *words], capture_output=True, text=True)
    kept = hashlib.sha256(path.read_bytes()).hexdigest() == before
    return Outcome(kept and run.returncode == 2, f"exit {run.returncode}, the photo is kept: {kept}")


def hard_photos(trial: Trial) -> Outcome:
    """17: almost black, cut above the brows, cut below the mouth, tilted by 45 degrees."""
    photo = trial.astronaut
    hard = {
        "dark": (photo * 0.06).astype(np.uint8),
        "no forehead": photo[95:, 100:360],
        "no chin": photo[:178, 100:360],
        "tilted": tilt(photo, 45),
    }
    inputs = {name: {"reference": p.copy(), "prompt": "she smiles"} for name, p in hard.items()}
    return try_each(trial, inputs, may_refuse=True)


def three_photos(trial: Trial) -> Outcome:
    """23: two photos of one real person are more alike than either is to another person."""
    one = trial.video[0] if trial.video else np.stack([trial.astronaut, tilt(trial.astronaut, 12)])
    rows = [subject.embed(trial.pipe, p)["identity"] for p in (one[3 % len(one)], one[-1], trial.hopper)]
    unit = np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
    same, other = float(unit[0] @ unit[1]), float(max(unit[0] @ unit[2], unit[1] @ unit[2]))
    return Outcome(same > 0.5 and other < same / 2, f"same person {same:.2f}, another {other:.2f}")
