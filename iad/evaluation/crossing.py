"""Crossing tests: from words to faces, and one person's identity with another person's action.

`find_clips` asks whether what T performs of words is nearest to what is read of the right one of a person's
clips; `swap` generates a clip of A from A's identity and B's action, and asks judges whose is what;
`swap_pictures` asks the same of pictures that a split's own head shows, which needs no denoiser.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity
from tqdm import tqdm

from iad.config import TRACK
from iad.evaluation.intervals import as_entry, interval
from iad.evaluation.own_judges import Scorers
from iad.evaluation.people import prompt_for
from iad.evaluation.samples import SHOWN, Samples, read_faces
from iad.performing import perform_prompt, track_to_code
from iad.performing.actions import EIGHT_BASIC, Performed
from iad.portraits import clips

PAIRS = 16  # of people, in the swap test
PICTURES = 400  # pairs of faces, where a picture at most is made of them
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
            performed = [_say(pipe, cast, name, k, unseen=wording == "unseen") for name in EIGHT_BASIC]
            right[k] = find_nearest(torch.stack(performed), shown[k]) == np.arange(len(EIGHT_BASIC))
        groups = np.repeat(np.arange(samples.people), len(EIGHT_BASIC))
        report[wording] = as_entry(interval(right.ravel(), groups=groups))
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


def find_nearest(asked: Float[Tensor, "m f d"], shown: Float[Tensor, "n f d"]) -> np.ndarray:
    """Return for every sequence of `asked` the number of the most alike one in `shown`."""
    alike = cosine_similarity(asked.flatten(1)[:, None], shown.flatten(1)[None], dim=-1)
    return alike.argmax(1).numpy()


JUDGED = ("identity", "rank_one", "action", "nearest", "judged")


def swap(pipe: Any, samples: Samples, scorers: Scorers) -> dict[str, Any]:
    """Generate A doing what B does, for pairs of people, and judge.

    Returns shares with intervals: `identity`, the recogniser finds the clip more like A than like B;
    `rank_one`, more like A than like anyone; by what the regressor sees in true faces of A, `action`: the
    clip is nearer to A doing what B does than to A's reference, and `nearest`: nearest to it of all nine.
    `judged` is how often the regressor itself puts another true face of A nearest. `failed` pairs, where no
    face was found, count as wrong.
    """
    count = min(PAIRS, samples.people)
    gallery, crops = _gallery(samples, scorers), samples.small
    true = scorers.track(crops)
    rows, failed = [], 0
    for one in tqdm(range(count), desc="swap identity and action", mininterval=5):
        other = (one + samples.people // 2) % samples.people
        doing, reference = one % len(EIGHT_BASIC), (one + 3) % len(EIGHT_BASIC)
        a, b = _row(samples, one, reference), _row(samples, other, doing)
        try:
            driver = crops[b]  # and no detail of A's photo: what the embeddings carry is in question
            clip = pipe(crops[a], SWAP_PROMPT, action_reference=driver, detail_scale=0, seed=one)
        except ValueError:
            failed += 1
            rows.append((0.0,) * len(JUDGED))
            continue
        alike = scorers.embed(clip.frames, "arc").mean(0) @ gallery.T
        seen, again = scorers.track(clip.frames).mean(0), true[_row(samples, one, doing, turn=1)]
        rows.append(_judge(samples, true, alike, (seen, again), (one, other, reference, doing)))
    return {"pairs": count, "failed": failed, "people": samples.people} | _sum_up(rows, np.arange(count))


def swap_pictures(
    paint: Callable[[Float[Tensor, "n d"]], np.ndarray],
    parts: Mapping[str, Float[Tensor, "n d"]],
    samples: Samples,
    scorers: Scorers,
    *,
    draws: int = PICTURES,
) -> dict[str, Any]:
    """Show i of A plus a of B by the head that a split learned beside it, and judge the pictures as clips.

    What needs no denoiser can be asked of every ablation. Returns what `swap` does, but `judged` is of the
    same head's picture of f of another performance of A: what can be seen in such pictures at all.
    """
    rng, gallery, true = np.random.default_rng(0), _gallery(samples, scorers), scorers.track(samples.small)
    drawn = [
        [*rng.choice(samples.people, 2, False).tolist(), *rng.choice(len(SHOWN), 2, False).tolist()]
        for _ in range(draws)
    ]
    mine = [_row(samples, one, reference) for one, _, reference, _ in drawn]
    theirs = [_row(samples, other, doing) for _, other, _, doing in drawn]
    other_takes = [_row(samples, one, doing, turn=1) for one, _, _, doing in drawn]
    shown = paint(parts["identity"][mine] + parts["action"][theirs])
    alike, seen = scorers.embed(shown, "arc") @ gallery.T, scorers.track(shown)
    again = scorers.track(paint(parts["facial"][other_takes]))
    faces = zip(alike, seen, again, drawn, strict=True)
    rows = [_judge(samples, true, like, (now, then), who) for like, now, then, who in faces]
    return {"people": samples.people} | _sum_up(rows, np.array([one for one, *_ in drawn]))


def _judge(samples: Samples, true, alike, seen, who) -> tuple[float, ...]:
    one, other, reference, doing = who
    known = true[[_row(samples, one, k) for k in range(len(SHOWN))]]
    far, again = (_distances(track, known) for track in seen)
    right = (alike[one] > alike[other], alike.argmax() == one, far[doing] < far[reference])
    return (*map(float, right), float(far.argmin() == doing), float(again.argmin() == doing))


def _sum_up(rows: Sequence[tuple[float, ...]], groups: np.ndarray) -> dict[str, Any]:
    columns = zip(JUDGED, np.array(rows).T, strict=True)
    return {name: as_entry(interval(values, groups=groups)) for name, values in columns}


def swap_embedded(parts: Mapping[str, Float[Tensor, "n d"]], samples: Samples) -> dict[str, float]:
    """Add i of A to a of B, and look for the nearest f: is it of A doing what B does?

    The candidates are everybody's mean f in each of the nine actions. Returned are shares of draws: `all`
    candidates; `person`, any of A's is nearest; `own`, of A's nine the right one; `other`, the same without
    what A's own face did. `ceiling` is `own` for f of another performance of A instead of the sum.
    """
    rows, people = {key: parts[key].numpy() for key in ("facial", "identity", "action")}, samples.people
    shown = [samples.action == k for k in range(len(SHOWN))]
    where = [[(samples.person == p) & mask for mask in shown] for p in range(people)]
    known = np.stack([[rows["facial"][mask].mean(0) for mask in own] for own in where])
    rng, hits = np.random.default_rng(0), []
    for _ in range(PICTURES):
        (one, other), (did, does) = (rng.choice(n, 2, replace=False) for n in (people, len(SHOWN)))
        i, a, again = (
            rng.choice(np.flatnonzero(where[p][k])) for p, k in ((one, did), (other, does), (one, does))
        )
        far = np.square(known - (rows["identity"][i] + rows["action"][a])).sum(-1)
        rest = np.delete(np.arange(len(SHOWN)), did)
        count = where[one][does].sum()
        held = known[one].copy()  # without the performance that is asked
        held[does] = (count * held[does] - rows["facial"][again]) / max(count - 1, 1)
        ceiling = np.square(held - rows["facial"][again]).sum(-1).argmin() == does
        nearest = np.unravel_index(far.argmin(), far.shape)
        own, fair = far[one].argmin() == does, rest[far[one][rest].argmin()] == does
        hits.append((nearest == (one, does), nearest[0] == one, own, fair, ceiling))
    shares = np.array(hits, float).mean(0).tolist()
    return dict(zip(("all", "person", "own", "other", "ceiling"), shares, strict=True))


def _row(samples: Samples, person: int, action: int, *, turn: int = 0) -> int:
    rows = np.flatnonzero((samples.person == person) & (samples.action == action))
    return int(rows[min(turn, len(rows) - 1)])


def _gallery(samples: Samples, scorers: Scorers) -> Float[np.ndarray, "p e"]:
    calm = [_row(samples, k, SHOWN.index("neutral")) for k in range(samples.people)]
    return scorers.embed(samples.small[calm], "arc")


def _distances(seen: Float[np.ndarray, " 60"], known: Float[np.ndarray, "n 60"]) -> Float[np.ndarray, " n"]:
    return np.square(track_to_code(seen) - track_to_code(known)).sum(-1)
