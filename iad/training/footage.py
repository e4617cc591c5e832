"""A folder of videos with captions -> clips that full-size training reads without decoding or encoding.

In: videos and `captions.jsonl`, one object a line: {"video": "a.mp4", "caption": "a woman laughs"}, with an
optional "person" (clips of one person lend each other references) and "timeline": [[0, 1, "smiles"], ...].
Out, in `prepared/`: one safetensors file a clip, `index.jsonl`, and `skipped.jsonl`, which names every video
that is of no use and why. Run again, it does only what is new or changed.
"""

import functools
import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float16, UInt8
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from iad.config import FullSizePreset
from iad.media.video import VIDEO_SUFFIXES, check_folder, write_whole
from iad.spread import spread
from iad.text import Action, parse_prompt
from iad.training.footage_tracks import FILTERS, Filters, Shot, TrackedClip, track

CAPTIONS = "captions.jsonl"
FORM = '{"video": "a.mp4", "caption": "a woman laughs"}'
INDEX, SKIPPED, SETTINGS = "index.jsonl", "skipped.jsonl", "settings.json"
PARTS = ("scheduler", "text_encoder", "tokenizer", "vae")  # of the published pipeline
MOST_FRAMES = 161  # more than any CogVideoX makes
EMPTY = "empty.safetensors"  # the text states of no words at all
NO_CAPTION = f"It has no line in {CAPTIONS}; write one."


@dataclass(frozen=True)
class Entry:
    """One line of the captions: a video and what is said about it."""

    video: str
    caption: str
    person: str | None
    segments: tuple[tuple[float, float, str], ...]  # start, end in seconds of the clip, and the words

    @property
    def told(self) -> str:
        """What the base model hears: all that happens, in one sentence and in order, as when it generates."""
        return ", then ".join(dict.fromkeys(words for _, _, words in self.segments))

    @property
    def sentences(self) -> list[str]:
        """What the base model hears, then the words of every segment, each once."""
        return list(dict.fromkeys([self.told, *(words for _, _, words in self.segments)]))


def read_captions(folder: Path, *, duration: float) -> list[Entry]:
    """Read `captions.jsonl`; every line must be right and name a video that is there.

    Args:
        folder: holds the videos too.
        duration: seconds of a clip; what a timeline says beyond them is left out.

    Raises:
        ValueError: the first thing that is wrong, with its line.
    """
    path = folder / CAPTIONS
    if not path.is_file():
        raise ValueError(f"'{folder}' has no {CAPTIONS}; write one line a video, such as {FORM}.")
    entries: dict[str, Entry] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        entry = _read_line(line, f"Line {number} of {path.name}", duration)
        if not (folder / entry.video).is_file():
            where = f"line {number} of {path.name}"
            raise ValueError(f"There is no video '{entry.video}' in '{folder}', which {where} names; fix it.")
        if entry.video in entries:
            raise ValueError(f"Line {number} of {path.name} names '{entry.video}' again; keep one line.")
        entries[entry.video] = entry
    if not entries:
        raise ValueError(f"'{path}' is empty; write one line a video, such as {FORM}.")
    return list(entries.values())


def _read_line(line: str, where: str, duration: float) -> Entry:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON ({error.msg}); write such as {FORM}.") from error
    values = values if isinstance(values, dict) else {}
    texts = [values.get(key) for key in ("video", "caption")]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError(f"{where} needs a video and a caption; write such as {FORM}.")
    video, caption = texts
    person = values.get("person")
    timeline = [_read_action(item, where) for item in values.get("timeline") or ()]
    timeline = [Action(a.start, min(a.end, duration), a.prompt) for a in timeline if a.start < duration]
    try:
        actions = parse_prompt(caption, timeline or None, duration=duration)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    segments = tuple((float(a.start), float(a.end), a.prompt) for a in actions)
    return Entry(video, caption, None if person is None else str(person), segments)


def _read_action(item: Any, where: str) -> Action:
    try:
        start, end, words = item
        return Action(float(start), float(end), str(words))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{where}: a timeline is such as [[0, 1, "smiles"]], got {item!r}.') from error


def prepare_footage(
    folder: str | Path,
    *,
    preset: FullSizePreset,
    base: str | Path | None = None,
    output: str | Path | None = None,
    workers: int = 1,
    filters: Filters = FILTERS,
    references: int = 4,
    device: str | None = None,
    accept_licence: bool = False,
) -> dict[str, Any]:
    """Prepare every video of a folder that has a caption; a bad one is skipped and named, the rest goes on.

    Args:
        folder: holds the videos and `captions.jsonl`.
        preset: the model that will be trained; its size and rate decide how clips are cut.
        base: folder or hub id of the model whose VAE and text encoder are used; None the preset's own.
        output: where the clips go; None `folder/prepared`.
        workers: processes that decode and track; the networks run in this one.
        filters: what a clip must show.
        references: jittered views of the person a clip.
        device: where the networks run; None CUDA where there is one.
        accept_licence: of the face encoder's weights.

    Returns:
        The output folder, how many clips it holds, how many of these were there before, and what was skipped.

    Raises:
        ValueError: a size that the model cannot make, no captions, captions that cannot be read or name no
            video, or not one usable clip.
    """
    from iad.full_size.forms import check_frames, check_sides

    folder = Path(folder)
    check_frames(preset.frames, most=MOST_FRAMES)
    check_sides(preset.height, preset.width)
    entries = read_captions(folder, duration=preset.duration)
    output = check_folder(output or folder / "prepared")
    check_folder(output / "clips")
    settings = _settings(preset, base, filters, references)
    write_whole(output / SETTINGS, json.dumps(settings, indent=1).encode())
    keys = {entry.video: _key(folder, entry, settings) for entry in entries}
    records = {name: _Records(output / name, keys) for name in (INDEX, SKIPPED)}
    done = {v for v, r in records[INDEX].lines.items() if (output / r["clip"]).exists()}
    todo = [entry for entry in entries if entry.video not in done | records[SKIPPED].lines.keys()]
    if todo or not (output / EMPTY).exists():
        encoders = _Encoders(preset, base, device=device, accept_licence=accept_licence)
        write_whole(output / EMPTY, save({"states": encoders.read([""])[0][0]}))
        tasks = [(k, folder / e.video, zlib.crc32(e.video.encode())) for k, e in enumerate(todo)]
        work = functools.partial(track, shot=_shot(preset, references), filters=filters)
        tracked = spread(tasks, work, workers=workers)
        for number, found in tqdm(tracked, total=len(tasks), desc="clips", unit="clip"):
            entry = todo[number]
            if isinstance(found, str):
                records[SKIPPED].add(entry.video, {"reason": found})
            else:
                records[INDEX].add(entry.video, _store(output, entry, found, encoders))
    return _finish(folder, output, entries, records) | {"reused": len(done)}


def _settings(
    preset: FullSizePreset, base: str | Path | None, filters: Filters, references: int
) -> dict[str, Any]:
    """Return what decides how clips come out; another value makes them anew."""
    return {
        "base": str(base or f"{preset.base.repo}@{preset.base.revision}"),
        "face": preset.face.name,
        "shot": asdict(_shot(preset, references)),
        "text_tokens": preset.text.tokens,
        "filters": asdict(filters),
    }


def _shot(preset: FullSizePreset, references: int) -> Shot:
    sizes = {key: getattr(preset, key) for key in ("frames", "fps", "height", "width", "frames_per_latent")}
    return Shot(**sizes, face_size=preset.size, references=references)


def _key(folder: Path, entry: Entry, settings: dict[str, Any]) -> str:
    file = (folder / entry.video).stat()
    told = [asdict(entry), settings, file.st_size, file.st_mtime_ns]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


class _Records:
    """A JSONL file that grows a line at a time and is put in order at the end."""

    def __init__(self, path: Path, keys: dict[str, str]):
        self.path, self.keys, self.lines = path, keys, {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:  # the last line of a run that was killed
                continue
            if keys.get(values["video"]) == values.get("key"):
                self.lines[values["video"]] = values
        self.write(list(self.lines))

    def add(self, video: str, values: dict[str, Any]) -> None:
        values = {"video": video} | values | {"key": self.keys[video]}
        self.lines[video] = values
        with self.path.open("a") as file:
            file.write(json.dumps(values) + "\n")

    def write(self, order: Sequence[str]) -> None:
        self.lines = {video: self.lines[video] for video in order if video in self.lines}
        lines = [json.dumps(values) + "\n" for values in self.lines.values()]
        write_whole(self.path, "".join(lines).encode())


class _Encoders:
    """The frozen networks that clips are read with: VAE, text encoder, face encoder."""

    def __init__(
        self, preset: FullSizePreset, base: str | Path | None, *, device: str | None, accept_licence: bool
    ):
        from iad.full_size.base import T5TextEncoder, load_base
        from iad.full_size.encoder import load_face_encoder

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        folder = fetch_base(preset, base, parts=PARTS)
        pipeline = load_base(folder, preset, dtype=self.dtype, transformer=None).to(self.device)
        self.vae, self.text = pipeline.vae, T5TextEncoder(preset.text, pipeline)
        self.face = load_face_encoder(preset.face, device=str(self.device), accept_licence=accept_licence)
        self.read_one = functools.lru_cache(maxsize=64)(self._read_one)

    def read(self, sentences: list[str]) -> tuple[Tensor, Tensor]:
        """Return text states (n, t, e) and how many tokens of each are words."""
        states, counts = zip(*(self.read_one(sentence) for sentence in sentences), strict=True)
        return torch.stack(states), torch.stack(counts)

    def _read_one(self, sentence: str) -> tuple[Tensor, Tensor]:
        found = self.text.encode([sentence])
        return _pack(found.states[0]), found.mask[0].sum().cpu()

    @torch.inference_mode()
    def watch(self, frames: UInt8[np.ndarray, "f h w 3"]) -> dict[str, Tensor]:
        """Return mean and spread of the clip's latents (f, c, y, x), scaled as the transformer wants them."""
        pixels = torch.from_numpy(frames).to(self.device).to(self.dtype) / 127.5 - 1
        found = self.vae.encode(rearrange(pixels, "f h w c -> 1 c f h w")).latent_dist
        parts = {"mean": found.mean, "std": found.std}
        scale = self.vae.config.scaling_factor
        return {k: _pack(rearrange(x[0] * scale, "c f y x -> f c y x")) for k, x in parts.items()}

    @torch.inference_mode()
    def recognise(
        self, crops: UInt8[np.ndarray, "b s s 3"]
    ) -> tuple[Float16[Tensor, "b v"], Float16[Tensor, "b t e"]]:
        """Return the global vectors and the spatial tokens of face crops."""
        pictures = rearrange(torch.from_numpy(crops).to(self.device).float() / 255, "b h w c -> b c h w")
        found = self.face(pictures)
        return _pack(found.vector, torch.float16), _pack(found.tokens, torch.float16)


def _pack(x: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return x.to(dtype).cpu().contiguous()


def fetch_base(preset: FullSizePreset, base: str | Path | None, *, parts: Sequence[str]) -> Path:
    """Return the folder of the published model, of which only some parts are needed."""
    from iad.full_size.hub import fetch_model

    files = ["model_index.json", *(f"{part}/*" for part in parts)]
    revision = preset.base.revision if base is None else None
    return fetch_model(base or preset.base.repo, revision=revision, files=files)


def _store(output: Path, entry: Entry, clip: TrackedClip, encoders: _Encoders) -> dict[str, Any]:
    """Encode one clip, write its file whole, and return its line of the index."""
    states, counts = encoders.read(entry.sentences)
    tensors = {"states": states, "counts": counts} | encoders.watch(clip.frames)
    for name, crops in (("face", clip.faces), ("reference", clip.references)):
        tensors[f"{name}.vector"], tensors[f"{name}.tokens"] = encoders.recognise(crops)
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(entry.video).stem)[:48]
    name = f"clips/{stem}-{hashlib.sha256(entry.video.encode()).hexdigest()[:8]}.safetensors"
    write_whole(output / name, save(tensors))
    row = {sentence: k for k, sentence in enumerate(entry.sentences)}
    return {
        "clip": name,
        "caption": entry.caption,
        "person": entry.person,
        "segments": [[start, end, words, row[words]] for start, end, words in entry.segments],
        "apart": clip.apart,
        "face_width": round(clip.face_width, 1),
        "sharpness": round(clip.sharpness, 1),
    }


def _finish(folder: Path, output: Path, entries: list[Entry], records: dict[str, _Records]) -> dict[str, Any]:
    """Put index and skip report in order, drop what no longer belongs, and sum up."""
    known = [entry.video for entry in entries]
    videos = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES)
    silent = [video for video in videos if video not in known]
    records[SKIPPED].lines |= {v: {"video": v, "reason": NO_CAPTION, "key": ""} for v in silent}
    for records_of in records.values():
        records_of.write(known + silent)
    clips = records[INDEX].lines
    kept = {output / line["clip"] for line in clips.values()}
    for stale in set((output / "clips").glob("*.safetensors")) - kept:
        stale.unlink()
    skipped = [{k: line[k] for k in ("video", "reason")} for line in records[SKIPPED].lines.values()]
    if not clips:
        raise ValueError(
            f"None of {len(entries)} videos can be used; '{output / SKIPPED}' says why, of each."
        )
    return {"output": str(output), "clips": len(clips), "skipped": skipped}
