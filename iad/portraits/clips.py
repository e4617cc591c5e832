"""Clips of people who do not exist, with exact actions and captions: the training pool.

Clips come in groups of four, two persons (A, B) performing the same two takes, so that a pool holds for every
clip the same person in another take (the reference) and another person in the same take (the same action).
Everything follows from the seed.
"""

import json
import math
import time
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from iad.faces import alignment
from iad.geometry.head import Head
from iad.media.video import save_picture
from iad.performing.actions import ACTIONS, EIGHT_BASIC, Performed, perform
from iad.portraits.captions import PersonWords, load_people_words, write_caption
from iad.portraits.morphable import load_head
from iad.portraits.photo import Look, PhotoPerson, PhotoRecord, leave_out_broken, load_photo_people
from iad.portraits.scenes import SCENES, paint
from iad.spread import create_pool

FRAMES, FPS, SIZE = 16, 8, 128
SECONDS = FRAMES / FPS
CAPTIONS = 4  # sentences a clip
GROUPS = 20  # of four clips, in one shard
SCENE_SHARE = 0.15  # photo people moved to a scene that the caption names
MAX_YAW = 20.0  # degrees; photos turned further do not re-pose well
MISSING = 0.08  # sides of the frame that may lie above the photo; more, and hair would have to be made up
HEAD_ACTIONS = ("nod", "shake", "tilt left", "tilt right", "turn left", "turn right", "head up", "head down")


@dataclass(frozen=True)
class Clip:
    """One rendered clip and all that is known of it."""

    frames: UInt8[np.ndarray, "f h w 3"]
    track: Float[np.ndarray, "f 60"]
    landmarks: Float[np.ndarray, "f 68 2"]
    portrait: UInt8[np.ndarray, "h w 3"]  # the same person, calm
    record: dict[str, Any]


def is_held_out(number: int) -> bool:
    """Tell whether a photo person is kept for evaluation, by number."""
    return number % 8 == 3


def usable_photos() -> list[tuple[PhotoRecord, PersonWords]]:
    """List the labelled photo people that look nearly straight ahead and whose photo shows the whole head."""
    words = load_people_words()
    records = leave_out_broken([r for r in load_photo_people() if r.number in words])
    return [(r, words[r.number]) for r in records if abs(_yaw(r)) < MAX_YAW and _head_room(r) > -MISSING]


def _yaw(record: PhotoRecord) -> float:
    return float(np.degrees(np.arctan2(record.fit.rotation[0, 2], record.fit.rotation[2, 2])))


def _head_room(record: PhotoRecord) -> float:
    """Return how far the framing stays below the photo's upper edge, in sides of the frame."""
    affine = alignment(record.landmarks)
    corners = (np.array([[0.0, 0.0], [1.0, 0.0]]) - affine[:, 2]) @ np.linalg.inv(affine[:, :2]).T
    return float(corners[:, 1].min() * np.hypot(*affine[0, :2]))


def draw_segments(rng: np.random.Generator) -> list[Performed]:
    """Draw what a clip shows: one action, two at once, or two or three in sequence."""
    kind = rng.random()
    degree = {"intensity": float(rng.choice([0.45, 0.8, 1.0], p=[0.15, 0.6, 0.25]))}
    degree["tempo"] = str(rng.choice(["slow", "normal", "quick"], p=[0.12, 0.76, 0.12]))
    if kind < 0.55:
        return [Performed((_draw_action(rng),), 0.0, SECONDS, **degree)]
    if kind < 0.7:
        face = _draw_action(rng, but=(*HEAD_ACTIONS, "neutral"))
        return [Performed((face, str(rng.choice(HEAD_ACTIONS))), 0.0, SECONDS, **degree)]
    count = 2 if kind < 0.93 else 3
    inner = (np.arange(1, count) / count + rng.uniform(-0.1, 0.1, count - 1)) * SECONDS
    cuts = [0.0, *np.round(inner, 1), SECONDS]
    names = [_draw_action(rng) for _ in range(count)]
    return [
        Performed((name,), float(a), float(b), **degree)
        for name, a, b in zip(names, cuts, cuts[1:], strict=False)
    ]


def _draw_action(rng: np.random.Generator, but: tuple[str, ...] = ()) -> str:
    often = (*EIGHT_BASIC, "neutral")
    weights = {name: 3.0 if name in often else 1.0 for name in ACTIONS if name not in but}
    chances = np.array(list(weights.values()))
    return str(rng.choice(list(weights), p=chances / chances.sum()))


@dataclass(frozen=True)
class Cast:
    """A person of the pool, the words for them, and how records name them."""

    person: PhotoPerson
    words: PersonWords
    scene: str | None  # named by captions, because it is not the reference's own
    key: dict[str, Any]


def cast_photo(
    head: Head, record: PhotoRecord, words: PersonWords, rng: np.random.Generator | None = None
) -> Cast:
    """Make a person from a photo; with `rng`, by chance mirrored, relit, reshaped or moved to a scene."""
    key = {"kind": "photo", "person": record.number, "held_out": is_held_out(record.number)}
    if rng is None:
        return Cast(PhotoPerson(head, record), words, None, key | {"identity": f"photo-{record.number}"})
    mirror = bool(rng.random() < 0.5)
    jitter = rng.normal(0, 0.35, len(record.fit.identity)).astype(np.float32) if rng.random() < 0.4 else None
    look = None
    if rng.random() < 0.6:
        gain = tuple(float(x) for x in np.exp(rng.normal(0, 0.05, 3)))
        gamma, saturation = float(np.exp(rng.normal(0, 0.15))), float(np.exp(rng.normal(0, 0.12)))
        look = Look(gain=gain, gamma=gamma, saturation=saturation, side_light=float(rng.normal(0, 0.3)))
    scene = str(rng.choice(list(SCENES))) if rng.random() < SCENE_SHARE else None
    background = paint(scene, int(rng.integers(1 << 30)), 256) if scene else None
    person = PhotoPerson(head, record, mirror=mirror, shape_jitter=jitter, look=look, background=background)
    # a reshaped face is nobody: neither the same person nor another
    identity = f"photo-{record.number}" if jitter is None else None
    return Cast(person, words, scene, key | {"identity": identity})


def render_clip(
    cast: Cast,
    segments: list[Performed],
    track: Float[np.ndarray, "f 60"],
    rng: np.random.Generator,
    *,
    size: int = SIZE,
) -> Clip:
    """Render one person performing one take, and write its captions."""
    captions = [write_caption(cast.words, segments, rng=rng, scene=cast.scene) for _ in range(CAPTIONS)]
    calm = perform([], rng=np.random.default_rng(0), frames=1, idle=False)
    record = cast.key | {
        "scene": cast.scene,
        "captions": captions,
        "segments": [asdict(s) | {"prompt": _prompt(cast.words, s, rng)} for s in segments],
    }
    frames, portrait = cast.person.render(track, size=size), cast.person.render(calm, size=size)[0]
    return Clip(frames, track, cast.person.landmarks(track), portrait, record)


def _prompt(words: PersonWords, segment: Performed, rng: np.random.Generator) -> str:
    whole = Performed(segment.actions, 0.0, SECONDS, segment.intensity, segment.tempo)
    return write_caption(words, [whole], rng=rng)


def render_group(seed: int, *, held_out: bool = False, size: int = SIZE) -> list[Clip]:
    """Render one group of four clips: persons A and B, each in takes 1 and 2."""
    rng = np.random.default_rng((seed, int(held_out)))
    takes = []
    for _ in range(2):
        segments = draw_segments(rng)
        takes.append((segments, perform(segments, rng=rng, frames=FRAMES, fps=FPS)))
    clips: list[Clip] = []
    for slot in range(2):
        cast = _draw_cast(rng, held_out=held_out, but=clips[0].record["person"] if clips else None)
        for take, (segments, track) in enumerate(takes):
            clip = render_clip(cast, segments, track, rng, size=size)
            clip.record.update(group=seed, slot=slot, take=take)
            clips.append(clip)
    return clips


def _draw_cast(rng: np.random.Generator, *, held_out: bool, but: int | None = None) -> Cast:
    photos = [p for p in _photos() if is_held_out(p[0].number) == held_out and p[0].number != but]
    return cast_photo(_head(), *photos[rng.integers(len(photos))], rng)


@lru_cache(maxsize=1)
def _head() -> Head:
    return load_head()


@lru_cache(maxsize=1)
def _photos() -> list[tuple[PhotoRecord, PersonWords]]:
    return usable_photos()


def render_pool(
    output: str | Path,
    *,
    clips: int = 2000,
    seed: int = 0,
    workers: int = 2,
    held_out: bool = False,
    groups: int | None = None,
    size: int = SIZE,
    minutes: float = math.inf,
) -> None:
    """Render a pool of at least `clips` clips into shards; whole shards that exist are kept.

    Args:
        output: the pool's folder.
        clips: how many.
        seed: same seed, same clips.
        workers: processes.
        held_out: of people whom training never sees.
        groups: of four clips, in a shard; `GROUPS` by default.
        size: pixels a side.
        minutes: begin no shard later than so, but make one.
    """
    from tqdm import tqdm

    output, until, groups = Path(output), time.monotonic() + 60 * minutes, groups or GROUPS
    output.mkdir(parents=True, exist_ok=True)
    _head(), _photos()  # missing data is said here, not by a worker
    shards = [s for s in range(-(-clips // (4 * groups))) if not is_rendered(output, s)]
    render = partial(render_shard, output, groups=groups, seed=seed, held_out=held_out, size=size)
    with create_pool(workers) as pool, tqdm(total=len(shards), desc=f"shards of {4 * groups} clips") as bar:
        jobs = {pool.submit(render, shard) for shard in shards[:workers]}
        waiting = iter(shards[workers:])
        while jobs:  # no more are handed out than are worked on, so that time may end it
            done, jobs = wait(jobs, return_when=FIRST_COMPLETED)
            for job in done:
                job.result()
                bar.update()
            more = [] if time.monotonic() > until else islice(waiting, len(done))
            jobs |= {pool.submit(render, shard) for shard in more}


def is_rendered(output: Path, shard: int) -> bool:
    """Tell whether a shard is there, and whole."""
    return (output / f"{shard:05d}.jsonl").exists()


def render_shard(
    output: Path, shard: int, *, groups: int, seed: int, held_out: bool = False, size: int = SIZE
) -> None:
    """Render the groups of one shard."""
    numbers = range(seed * 1_000_000 + shard * groups, seed * 1_000_000 + (shard + 1) * groups)
    clips = [clip for number in numbers for clip in render_group(number, held_out=held_out, size=size)]
    name = f"{shard:05d}"
    np.save(output / f"{name}.frames.npy", np.stack([c.frames for c in clips]))
    np.save(output / f"{name}.tracks.npy", np.stack([c.track for c in clips]).astype(np.float32))
    np.save(output / f"{name}.landmarks.npy", np.stack([c.landmarks for c in clips]).astype(np.float32))
    np.save(output / f"{name}.portraits.npy", np.stack([c.portrait for c in clips]))
    lines = [json.dumps(c.record | {"shard": name, "row": row}) for row, c in enumerate(clips)]
    part = output / f"{name}.part"
    part.write_text("\n".join(lines) + "\n")
    part.replace(output / f"{name}.jsonl")  # last: a shard with this file is whole


def preview(output: str | Path, *, count: int = 64, seed: int = 0) -> Path:
    """Save a contact sheet of `count` clips, six frames each."""
    groups = [render_group(seed * 1_000_000 + g) for g in range(-(-count // 4))]
    clips = [clip for group in groups for clip in group][:count]
    strips = [np.concatenate(list(c.frames[[0, 3, 6, 9, 12, 15]]), axis=1) for c in clips]
    blank = [np.zeros_like(strips[0])] * (len(strips) % 2)
    rows = [np.concatenate(pair, axis=1) for pair in zip(*[iter(strips + blank)] * 2, strict=True)]
    save_picture(Path(output), np.concatenate(rows))
    return Path(output)
