"""Cases that failed visitors once, made again by a line or two each, with a check of what is right.

In comes a `Bench`; out comes an `Outcome` each. The checks hold what a machine can hold; the sheet shows the
rest. Cases of drivers, and the list of all, are in `iad.evaluation.real.driver_cases`.
"""

import hashlib
import subprocess
import sys

import cv2
import numpy as np
from PIL import Image

from iad.evaluation.real import subject
from iad.evaluation.real.asked import MOUTH, NEUTRAL, SHAKE, SMILE
from iad.evaluation.real.bench import Bench, Outcome, cover, sharpness, tilt
from iad.evaluation.real.material import load_numbers

CUP = (40, 160, 90)  # a green that no face has
GRINS = (521, 1179, 2037, 1058)
BEARDED, GLASSES = (155, 187), 331  # held-out photos


def long_prompt(bench: Bench) -> Outcome:
    """1: forty words of scene, then the action; of a face that does not smile yet."""
    scene, photo = "word " * 40, bench.hopper
    clips = [bench.animate(photo, scene + end) for end in ("she smiles broadly", "she closes her eyes")]
    right = [bench.shows(clip, photo, a) for clip, a in zip(clips, ("smile", "eyes"), strict=True)]
    same = np.array_equal(clips[0].frames, clips[1].frames)
    return Outcome(all(right), "identical clips" if same else f"seen: {right}", [c.frames for c in clips])


def card_over_mouth(bench: Bench) -> Outcome:
    """2: a white card over the mouth; the face, or a sentence, never another patch."""
    photo = cover(bench.astronaut, (190, 130, 260, 200), 255)
    box, true = (np.array(bench.pipe.find_face(p).box) for p in (photo, bench.astronaut))
    apart = np.abs(box - true).max() / (true[2] - true[0])
    clip = bench.animate(photo, "she smiles")
    return Outcome(bool(apart < 0.4), f"box off by {apart:.1f} widths; notes: {clip.notes}", [clip.frames])


def cup_over_mouth(bench: Bench) -> Outcome:
    """3: a cup over the mouth stays a cup, and is said."""
    photo = cover(bench.astronaut, (190, 140, 250, 200), CUP)
    clip = bench.animate(photo, "she opens her mouth wide")
    near = np.abs(clip.frames.astype(int) - CUP).max(-1) < 40
    kept = near.mean((1, 2)).min() / max(near.mean((1, 2)).max(), 1e-6)
    said = any("cover" in note or "mouth" in note for note in clip.notes)
    return Outcome(
        bool(kept > 0.9) and said, f"{kept:.0%} of the cup kept; notes: {clip.notes}", [clip.frames]
    )


def head_motion(bench: Bench) -> Outcome:
    """4: shaking and nodding heads stay faces, and sharp; a machine sees only gross faults."""
    clips = [bench.animate(bench.astronaut, f"she {verb}") for verb in ("shakes her head", "nods")]
    seen = [bench.see(clip) for clip in clips]
    found = min(bench.detected(clip) for clip in clips)
    sharp = min(float(np.percentile(s, 10) / s[0]) for s in (sharpness(c.frames) for c in clips))
    moved = np.nanpercentile(seen[0]["yaw"], 95) - np.nanpercentile(seen[0]["yaw"], 5)
    right = found == 1 and sharp > 0.5 and moved > SHAKE
    said = (
        f"faces seen {found:.0%}, least sharpness {sharp:.0%} of the first frame's, turn {moved:.0f} degrees"
    )
    return Outcome(None if right else False, said, [clip.frames for clip in clips])


def close_eyes(bench: Bench) -> Outcome:
    """5: both lids close in light from one side, and above beards."""
    photos = load_numbers(BEARDED)
    light = np.linspace(1.4, 0.3, photos[0].shape[1])[None, :, None]
    photos.append(np.clip(photos[0] * light, 0, 255).astype(np.uint8))
    clips = [bench.animate(photo, "closes the eyes") for photo in photos]
    right = [bench.shows(clip, photo, "eyes") for clip, photo in zip(clips, photos, strict=True)]
    return Outcome(all(right), f"both shut: {right}", [clip.frames for clip in clips])


def quarter_turns(bench: Bench) -> Outcome:
    """6: photos that lie on their side or stand on their head, without EXIF."""
    said, strips, right = [], [], True
    for turns in (1, 2, 3):
        try:
            clip = bench.animate(np.ascontiguousarray(np.rot90(bench.astronaut, turns)), "she smiles")
        except ValueError as error:
            said.append(str(error)[:40])
            right = False
            continue
        strips.append(clip.frames)
        found = bench.detected(clip)
        right &= found > 0.9 and bool(clip.notes)
        said.append(f"faces {found:.0%}, notes {len(clip.notes)}")
    return Outcome(right, "; ".join(said), strips)


def grey(bench: Bench) -> Outcome:
    """7: a grey photo stays grey."""
    lightness = cv2.cvtColor(bench.astronaut, cv2.COLOR_RGB2GRAY)
    clip = bench.animate(np.repeat(lightness[..., None], 3, 2), "she opens her mouth wide")
    spread = np.ptp(clip.frames.astype(int), axis=-1)
    share = float((spread <= 3).mean())
    return Outcome(share >= 0.999, f"{share:.1%} of pixels grey, spread up to {spread.max()}", [clip.frames])


def negations(bench: Bench) -> Outcome:
    """8: what is denied does not happen."""
    prompts = (
        "without closing her eyes she opens her mouth",
        "she does not smile",
        "no smile, just raises the brows",
    )
    clips = [bench.animate(bench.astronaut, prompt) for prompt in prompts]
    own, seen = bench.own(bench.astronaut), [bench.see(clip) for clip in clips]
    opened = np.nanmax(seen[0]["mouth"]) - own["mouth"] > MOUTH
    awake = np.nanpercentile(seen[0]["lids"], 20) > 0.7 * own["lids"]  # a blink is allowed
    calm = [bool(np.nanpercentile(s["smile"], 85) - own["smile"] < SMILE) for s in seen[1:]]
    raised = np.nanpercentile(seen[2]["brows"], 85) > own["brows"] + 0.015
    said = f"mouth opens {opened}, eyes stay open {awake}, no smile {calm}, brows rise {raised}"
    return Outcome(bool(opened and awake and all(calm) and raised), said, [c.frames for c in clips])


def bearded_mouth(bench: Bench) -> Outcome:
    """12: an open mouth holds teeth and a tongue, not a flat hole: light and dark inside the inner lips."""
    from iad.evaluation.real.measures import lips
    from iad.evaluation.real.mesh import load_judge

    photo = load_numbers(BEARDED)[0]
    clip = bench.animate(photo, "opens his mouth wide")
    seen, points = bench.see(clip), lips(load_judge()(clip.frames).points)[:, 12:]
    widest = int(np.nanargmax(seen["mouth"]))
    mask = cv2.fillPoly(
        np.zeros(clip.frames.shape[1:3], np.uint8), [points[widest].round().astype(np.int32)], 1
    )
    inside = cv2.cvtColor(clip.frames[widest], cv2.COLOR_RGB2GRAY)[mask > 0] / 255
    opened = seen["mouth"][widest] - bench.own(photo)["mouth"] > MOUTH
    said = (
        f"lips part {opened}; inside from {np.percentile(inside, 5):.2f} to {np.percentile(inside, 95):.2f}"
    )
    return Outcome(bool(opened and np.ptp(np.percentile(inside, (5, 95))) > 0.25), said, [clip.frames])


def glasses(bench: Bench) -> Outcome:
    """13: glasses stay glasses; for the eye."""
    photo = load_numbers((GLASSES,))[0]
    clips = [bench.animate(photo, prompt) for prompt in ("closes the eyes", "turns the head to the left")]
    return Outcome(None, f"eyes shut: {bench.shows(clips[0], photo, 'eyes')}", [c.frames for c in clips])


def grins(bench: Bench) -> Outcome:
    """14: grins with teeth end when something else is asked."""
    prompts = ("looks sad", "a neutral face", "closes the mouth")
    right, strips = [], []
    for photo in load_numbers(GRINS):
        clips = [bench.animate(photo, prompt) for prompt in prompts]
        right += [NEUTRAL.judge(bench.see(clip), bench.own(photo))[1] for clip in clips]
        strips.append(clips[1].frames)
    return Outcome(all(right), f"lips meet in {sum(right)} of {len(right)} clips", strips)


def two_people(bench: Bench) -> Outcome:
    """15: two people as several photos of one are not blended without a word."""
    clip = bench.animate([bench.astronaut, bench.hopper], "smiles")
    return Outcome(bool(clip.notes), f"notes: {clip.notes}", [clip.frames])


def own_input(bench: Bench) -> Outcome:
    """16: no command writes over its input."""
    path = bench.folder / "same.png"
    Image.fromarray(bench.astronaut).save(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    words = [
        "generate",
        "--model",
        bench.model,
        "--reference",
        str(path),
        "--prompt",
        "smiles",
        "--output",
        str(path),
    ]
    run = subprocess.run([sys.executable, "-m", "iad", *words], capture_output=True, text=True)
    kept = hashlib.sha256(path.read_bytes()).hexdigest() == before
    return Outcome(kept and run.returncode == 2, f"exit {run.returncode}, the photo is kept: {kept}")


def hard_photos(bench: Bench) -> Outcome:
    """17: almost black, cut above the brows, cut below the mouth, tilted by 45 degrees."""
    photo = bench.astronaut
    hard = {
        "dark": (photo * 0.06).astype(np.uint8),
        "no forehead": photo[95:, 100:360],
        "no chin": photo[:178, 100:360],
        "tilted": tilt(photo, 45),
    }
    said, strips, right = [], [], True
    for name, picture in hard.items():
        try:
            clip = bench.animate(np.ascontiguousarray(picture), "she smiles")
        except ValueError as error:
            said.append(f"{name}: refused, {str(error)[:30]}")
            continue
        strips.append(clip.frames)
        found = bench.detected(clip)
        right &= bool(clip.notes) and found > 0.9
        said.append(f"{name}: faces {found:.0%}, notes {len(clip.notes)}")
    return Outcome(right, "; ".join(said), strips)


def three_photos(bench: Bench) -> Outcome:
    """23: two photos of one real person are more alike than either is to another person."""
    one = bench.video[0] if bench.video else np.stack([bench.astronaut, tilt(bench.astronaut, 12)])
    rows = [subject.embed(bench.pipe, p)["identity"] for p in (one[3 % len(one)], one[-1], bench.hopper)]
    unit = np.stack(rows) / np.linalg.norm(rows, axis=1, keepdims=True)
    same, other = float(unit[0] @ unit[1]), float(max(unit[0] @ unit[2], unit[1] @ unit[2]))
    return Outcome(same > 0.5 and other < same / 2, f"same person {same:.2f}, another {other:.2f}")
