"""Crossing tests: from words to faces, and one person's identity with another person's action.

`find_clips` asks whether what T performs of words is nearest to what is read of the right one of a person's
clips; `swap` generates a clip of A from A's identity and B's action, and asks judges whose is what.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity
from tqdm import tqdm

from iad.config import EXPRESSIONS, TRACK
from iad.encoders import POSE_SCALE
from iad.evaluation.intervals import interval
from iad.evaluation.people import prompt_for
from iad.evaluation.samples import SHOWN, Samples, read_faces
from iad.evaluation.scorers import Scorers
from iad.performing import perform_prompt, track_to_code
from iad.performing.actions import EIGHT_BASIC, Performed
from iad.portraits import clips

PAIRS = 16  # of people, in the swap test
SWAP_PROMPT = "a portrait of a person"  # what they do comes from the other face


@torch.inference_mode()
def find_clips(pipe: Any, samples: Samples, casts: Sequence[clips.Cast]) -> dict[str, Any]:
    """Let words find, among a person's clips of the eight basic actions, the one they tell of.

    T's track and the tracks read of the clips are compared moment by moment, by the cosine of their codes,
    every number weighing as it does in the model's own comparisons.
    """
    flat = rearrange(samples.clips, "p a f h w c -> (p a f) h w c")
    tracks = np.stack([face.track for face in read_faces(pipe, flat)])
    codes = _weigh(pipe, tracks)
    shown = rearrange(codes, "(p a f) d -> p a f d", p=samples.people, a=len(EIGHT_BASIC))
    report: dict[str, Any] = {"chance": 1 / len(EIGHT_BASIC)}
    for wording in ("seen", "unseen"):
        right = np.zeros((samples.people, len(EIGHT_BASIC)))
        for k, cast in enumerate(casts):
            told = [_say(pipe, cast, name, k, unseen=wording == "unseen") for name in EIGHT_BASIC]
            right[k] = find_nearest(torch.stack(told), shown[k]) == np.arange(len(EIGHT_BASIC))
        groups = np.repeat(np.arange(samples.people), len(EIGHT_BASIC))
        report[wording] = _with_interval(right.ravel(), groups)
        report[wording]["by_action"] = dict(zip(EIGHT_BASIC, right.mean(0).tolist(), strict=True))
    return report


def _weigh(pipe: Any, track: Float[np.ndarray, "n 60"]) -> Float[Tensor, "n 60"]:
    weight = torch.ones(TRACK) if pipe.recognised is None else pipe.recognised.weight.cpu()
    return torch.from_numpy(track_to_code(track)).float() * weight.sqrt()


def _say(pipe: Any, cast: clips.Cast, name: str, turn: int, *, unseen: bool) -> Float[Tensor, "f d"]:
    prompt = prompt_for(
        cast.words.presentation, [Performed((name,), 0.0, clips.SECONDS)], turn=turn, held_out=unseen
    )
    moments = pipe.preset.fps / pipe.preset.frames_per_latent  # a second, as the clips' frames
    performed = perform_prompt(
        pipe.parts["performer"], pipe.text_encoder, prompt, seconds=clips.SECONDS, fps=moments, seed=None
    )
    return _weigh(pipe, performed.track)


def find_nearest(told: Float[Tensor, "m f d"], shown: Float[Tensor, "n f d"]) -> np.ndarray:
    """Return for every sequence of `told` the number of the most alike one in `shown`."""
    alike = cosine_similarity(told.flatten(1)[:, None], shown.flatten(1)[None], dim=-1)
    return alike.argmax(1).numpy()


def swap(pipe: Any, samples: Samples, scorers: Scorers) -> dict[str, Any]:
    """Generate A doing what B does, for pairs of people, and judge.

    Returns shares with intervals: `identity`, the recogniser finds the clip more like A than like B;
    `rank_one`, more like A than like anyone; `action`, the regressor finds the clip closer to what B does
    than to what A's reference does. `failed` pairs, where no face was found, count as wrong.
    """
    count = min(PAIRS, samples.people)
    gallery = _gallery(samples, scorers)
    rows, failed = [], 0
    for one in tqdm(range(count), desc="swap identity and action", mininterval=5):
        other = (one + samples.people // 2) % samples.people
        doing, reference = one % len(EIGHT_BASIC), (one + 3) % len(EIGHT_BASIC)
        a, b = _row(samples, one, reference), _row(samples, other, doing)
        try:
            driver = samples.crops[b]  # and no detail of A's photo: what the embeddings carry is in question
            clip = pipe(samples.crops[a], SWAP_PROMPT, action_reference=driver, detail_scale=0, seed=one)
        except ValueError:
            failed += 1
            rows.append((0.0, 0.0, 0.0))
            continue
        alike = scorers.embed(clip.frames, "arc").mean(0) @ gallery.T
        seen = scorers.track(clip.frames).mean(0)
        far = [_distance(seen, samples.tracks[k]) for k in (b, a)]
        rows.append((float(alike[one] > alike[other]), float(alike.argmax() == one), float(far[0] < far[1])))
    names = ("identity", "rank_one", "action")
    columns = zip(names, np.array(rows).T, strict=True)
    found = {name: _with_interval(values, np.arange(count)) for name, values in columns}
    return {"pairs": count, "failed": failed, "people": samples.people} | found


def _row(samples: Samples, person: int, action: int) -> int:
    return int(np.flatnonzero((samples.person == person) & (samples.action == action))[0])


def _gallery(samples: Samples, scorers: Scorers) -> Float[np.ndarray, "p e"]:
    calm = [_row(samples, k, SHOWN.index("neutral")) for k in range(samples.people)]
    return scorers.embed(samples.crops[calm], "arc")


def _distance(seen: Float[np.ndarray, " 60"], wanted: Float[np.ndarray, " 60"]) -> float:
    difference = seen - wanted
    difference[EXPRESSIONS:] /= POSE_SCALE
    return float(np.square(difference).sum())


def _with_interval(values: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    return dict(zip(("value", "low", "high"), interval(values, groups=groups), strict=True))
