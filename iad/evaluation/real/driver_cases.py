"""Cases of drivers that failed visitors once: gaps, uneven times, lengths; and the list of all cases.

In comes a `Trial`; out comes an `Outcome` each.
"""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from iad.evaluation.real import cases, mesh
from iad.evaluation.real.cases import Outcome, Trial, write_video

_RATE = 25


def gaps(trial: Trial) -> Outcome:
    """9: a driver that begins blank, ends blank, or is hidden for five frames."""
    if trial.video is None:
        return Outcome(None, "needs the real video")
    face = trial.video[0][:50]
    blank = np.zeros_like(face[:1])
    drivers = {
        "blank first": np.concatenate([np.repeat(blank, 12, 0), face[:38]]),
        "blank last": np.concatenate([face[:25], np.repeat(blank, 25, 0)]),
        "hidden": np.concatenate([face[:20], np.repeat(blank, 5, 0), face[25:]]),
    }
    inputs = {}
    for name, frames in drivers.items():
        path = write_video(trial.folder / f"{name}.mp4", frames, np.arange(len(frames)) / _RATE)
        inputs[name] = {"reference": trial.astronaut, "action_reference": str(path)}
    return cases.try_each(trial, inputs, noted="driv")


def uneven_times(trial: Trial) -> Outcome:
    """10: what a driver shows at 1.4 s is shown at 1.4 s, however many frames came before."""
    if trial.video is None:
        return Outcome(None, "needs the real video")
    frames = trial.video[0]
    mouth = mesh.measure(mesh.load_judge()(frames))["mouth"]
    shut, wide = frames[int(np.nanargmin(mouth))], frames[int(np.nanargmax(mouth))]
    times = np.concatenate([np.arange(20) * 0.02, 1.4 + np.arange(20) * 0.02])
    path = write_video(trial.folder / "uneven.mp4", [shut] * 20 + [wide] * 20, times)
    clip = trial.animate(trial.astronaut, action_reference=str(path))
    seen = trial.see(clip)["mouth"]
    half = (np.nanmin(seen) + np.nanmax(seen)) / 2
    at = float(clip.times[int(np.argmax(seen > half))])
    return Outcome(
        bool(np.ptp(seen) > 0.05 and 1.1 < at < 1.7), f"the mouth opens at {at:.1f} s", [clip.frames]
    )


def lengths(trial: Trial) -> Outcome:
    """11: drivers of 7 s are followed whole; of longer ones it is said what is left out."""
    if trial.video is None:
        return Outcome(None, "needs the real video")
    there = trial.video[0]
    round_trip = np.concatenate([there, there[::-1]])
    said, strips, right = [], [], True
    for seconds in (7, 40):
        frames = np.resize(round_trip, (seconds * _RATE, *there.shape[1:]))
        path = write_video(trial.folder / f"{seconds}s.mp4", frames, np.arange(len(frames)) / _RATE)
        clip = trial.animate(trial.astronaut, action_reference=str(path))
        strips.append(clip.frames)
        lasts, noted = float(clip.times[-1]), any("driv" in n.lower() or "second" in n for n in clip.notes)
        right &= lasts > 6.5 if seconds == 7 else noted
        said.append(f"{seconds} s: clip of {lasts:.1f} s, noted {noted}")
    return Outcome(right, "; ".join(said), strips)


CASES: dict[int, Callable[[Trial], Outcome]] = {
    1: cases.long_prompt,
    2: cases.card_over_mouth,
    3: cases.cup_over_mouth,
    4: cases.head_motion,
    5: cases.close_eyes,
    6: cases.quarter_turns,
    7: cases.grey,
    8: cases.negations,
    9: gaps,
    10: uneven_times,
    11: lengths,
    12: cases.bearded_mouth,
    13: cases.glasses,
    14: cases.grins,
    15: cases.two_people,
    16: cases.own_input,
    17: cases.hard_photos,
    23: cases.three_photos,
}


def try_cases(trial: Trial, numbers: Sequence[int]) -> dict[int, Outcome]:
    """Try cases; a refusal in a sentence is right for some of them only."""
    outcomes = {}
    for number in tqdm(numbers, desc="cases"):
        try:
            outcomes[number] = CASES[number](trial)
        except ValueError as error:
            outcomes[number] = Outcome(number in _MAY_REFUSE, f"refused: {error}")
    return outcomes


_MAY_REFUSE = (2, 3, 15)  # a sentence is a right answer here
