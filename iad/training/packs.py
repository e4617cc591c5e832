"""Packs: what a machine without a network is given to train from, and what a training gives back.

`write_pack` puts the head, the photo people (as WebP), the compact geometry and the sentence encoder (8 bits
a number) into one zip file; `unpack` lays them out where the loaders look. The labels of the people come with
the code. `pack` makes of a training a folder to use and to publish: float16 weights, checksums, logs and a
card. `write_shards` writes that folder as a few files of bounded size, to be carried away from a machine that
lets nothing larger out; `cat NAME.zip.* > NAME.zip` joins them.
"""

import json
import math
import os
import platform
import shutil
import subprocess
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from iad import checkpoint
from iad.checkpoint import write_whole
from iad.portraits.morphable import find_head
from iad.portraits.photo import find_people, leave_out_broken, load_photo_people
from iad.text import find_minilm
from iad.training.loop import read_arrays, read_progress
from iad.training.timetable import PLAN, count_cores, get_device

SHIPPED = checkpoint.WEIGHTS / "mini"
GEOMETRY_LICENCE = "GEOMETRY_LICENSE"
QUALITY = 82  # of WebP: 38 dB
LEVELS = 127  # of an int8 on either side of zero
SCALE = ".scale"  # follows the name of what is stored in 8 bits
FOLDERS = {"IAD_ICT_FACEKIT": "ict/ict_facekit.npz", "IAD_PHOTO_PEOPLE": "people", "IAD_MINILM": "minilm"}
NOTE = "pack.json"
SHARD_BYTES, MOST_SHARDS = 16 * 2**20, 8
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)  # of a zip file
LOG_LINES = 300  # of each stage, at most
REPOSITORY = Path(__file__).parents[2]


def write_pack(output: Path) -> dict[str, int]:
    """Write a pack and return the bytes of each of its parts.

    Raises:
        FileNotFoundError: head, photo people or sentence encoder are not on this machine.
        OSError: it cannot be written.
    """
    sizes, whole = Counter[str](), BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in _list_contents():
            stored = name.endswith((".webp", ".npz"))  # what is compressed already does not get smaller
            file.writestr(name, content, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
            kind = {NOTE: "note", "people/fits.npz": "fits"}.get(name, name.split("/")[0])
            sizes[kind] += file.getinfo(name).compress_size
    write_whole(output, whole.getvalue())
    return dict(sizes)


def _list_contents() -> Iterator[tuple[str, bytes]]:
    """Give every file of a pack, by name."""
    people, minilm = find_people(), find_minilm()
    yield NOTE, json.dumps({"commit": find_commit(), "date": time.strftime("%Y-%m-%d")}).encode()
    yield "ict/ict_facekit.npz", find_head().read_bytes()
    yield "ict/LICENSE", (SHIPPED / GEOMETRY_LICENCE).read_bytes()
    files = {k: v for k, v in checkpoint.read_manifest(SHIPPED)["files"].items() if k.startswith("geometry")}
    yield "geometry/geometry.safetensors", (SHIPPED / "geometry.safetensors").read_bytes()
    yield f"geometry/{checkpoint.MANIFEST}", json.dumps({"files": files}).encode()
    yield "people/fits.npz", _read_fits(people)
    if (people / "LICENSE").exists():
        yield "people/LICENSE", (people / "LICENSE").read_bytes()
    for record in leave_out_broken(load_photo_people(people)):
        buffer = BytesIO()
        Image.fromarray(record.load_photo()).save(buffer, "WEBP", quality=QUALITY, method=6)
        yield f"people/photos/{record.number:04d}.webp", buffer.getvalue()
    for name, path in minilm.items():
        yield f"minilm/{name}", _halve_twice(path) if path.suffix == ".safetensors" else path.read_bytes()


def _read_fits(people: Path) -> bytes:
    buffer = BytesIO()
    with np.load(people / "fits.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "source"}
    arrays["landmarks"] = arrays["landmarks"].astype(np.float32)
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _halve_twice(path: Path) -> bytes:
    """Store a network's matrices in 8 bits a number, with a scale for every row."""
    state: dict[str, Tensor] = {}
    for name, tensor in load_file(path).items():
        if tensor.ndim == 2 and tensor.is_floating_point():
            scale = tensor.float().abs().amax(1, keepdim=True).clamp(min=1e-12) / LEVELS
            state[name], state[name + SCALE] = (tensor.float() / scale).round().to(torch.int8), scale
        else:
            state[name] = tensor.half() if tensor.is_floating_point() else tensor
    return save(state)


def unpack(pack: Path, folder: Path) -> None:
    """Lay a pack out in `folder`, unless it is there, and let the loaders of this process look there.

    Raises:
        ValueError: the file is no pack, or a broken one.
    """
    if not (folder / NOTE).exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            with zipfile.ZipFile(pack) as file:
                if NOTE not in file.namelist():
                    raise ValueError(f"{pack} is no pack; write one with: python -m iad data pack")
                file.extractall(part)
            _widen(part / "minilm" / "model.safetensors")
        except (*BROKEN, FileNotFoundError) as error:
            raise ValueError(f"{pack} is no readable pack ({error}); copy or write it again.") from error
        part.replace(folder)
    for variable, place in FOLDERS.items():
        os.environ[variable] = str(folder / place)


def _widen(path: Path) -> None:
    stored = checkpoint.read_tensors(path)
    state = {
        name: tensor * stored[name + SCALE] if name + SCALE in stored else tensor
        for name, tensor in stored.items()
        if not name.endswith(SCALE)
    }
    checkpoint.write_tensors(path, {k: v.half() if v.is_floating_point() else v for k, v in state.items()})


def describe_call(command: str) -> dict[str, Any]:
    """Say what is known of this call: command, code, date and machine."""
    return {
        "command": command,
        "commit": find_commit(),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "hardware": describe_hardware(),
    }


def find_commit() -> str:
    """Return the commit of the code that runs, with a plus where it was changed since; or "unknown"."""

    def ask(*words: str) -> str:
        words = ("git", "-C", str(REPOSITORY), *words)
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")) != REPOSITORY:
            return "unknown"
        return ask("rev-parse", "HEAD") + ("+" if ask("status", "--porcelain", "-uno", "--", "iad") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def describe_hardware() -> str:
    """Name the GPU, if there is one, and the processor with the cores that this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    cpu = f"{count_cores()} cores of {models[0] if models else platform.machine() or 'a CPU'}"
    return f"{torch.cuda.get_device_name()}, {cpu}" if get_device().type == "cuda" else f"{cpu}, no GPU"


def pack(output: Path, folder: Path, journal: dict[str, Any]) -> Path:
    """Write what there is of a training's weights, halved, to `folder`, with logs and a card; returns it."""
    weights = output / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    if (weights / checkpoint.MANIFEST).exists():
        checkpoint.save_preset(folder, checkpoint.load_preset(weights))
        for part in checkpoint.list_parts(weights):
            if checkpoint.is_sound(weights, part):
                checkpoint.save_part(folder, part, checkpoint.load_part(weights, part), half=True)
        shutil.copyfile(SHIPPED / GEOMETRY_LICENCE, folder / GEOMETRY_LICENCE)
    _copy_logs(output, folder)
    clips, stills = output / "clips", read_arrays(output / "clips" / "stills" / "stills.npz")
    journal["data"] = {
        "clips": sum(len(path.read_text().splitlines()) for path in clips.glob("*.jsonl")),
        "stills": 0 if stills is None else len(stills["person"]),
    }
    write_whole(folder / "README.md", write_card(output, folder, journal).encode())
    return folder


def _copy_logs(output: Path, folder: Path) -> None:
    for log in sorted(output.glob("*/log.jsonl")) + sorted(output.glob("scorers/*/log.jsonl")):
        lines = log.read_text().splitlines(keepends=True)
        kept = lines[:: max(1, math.ceil(len(lines) / LOG_LINES))]
        (folder / "logs").mkdir(exist_ok=True)
        name = "-".join(log.parent.relative_to(output).parts)
        write_whole(folder / "logs" / f"{name}.jsonl", "".join(kept).encode())
    if (output / "ablations").is_dir():
        shutil.copytree(output / "ablations", folder / "ablations", dirs_exist_ok=True)


def write_card(output: Path, folder: Path, journal: dict[str, Any]) -> str:
    """Write the model card from the journal and the logs alone."""
    stages = [_describe_stage(output, name, journal["finished"].get(name)) for name in PLAN]
    calls = [
        f"- {call['date']}, {call['minutes']:g} minutes, commit `{call['commit']}`, {call['hardware']}: "
        f"`{call['command']}`"
        for call in journal["calls"]
    ]
    bound = f"{journal['steps']} steps a stage" if journal["steps"] else f"{journal['minutes']:g} minutes"
    data, files = journal["data"], sorted(folder.glob("*.safetensors"))
    return "\n".join([
        "---", "license: apache-2.0", "tags: [video, portrait, identity-action-decoupling]", "---", "",
        f"# {journal['preset']}", "",
        "Weights of IaD video portraits, written by the commands below and by nothing else. "
        "`IaDPipeline.from_pretrained` reads this folder.", "",
        "## Training", "",
        f"Seed {journal['seed']}, {bound}, arms {', '.join(journal['arms'])}; "
        f"{data['clips']} clips and {data['stills']} stills were made for it.", "",
        *calls, "",
        f"All calls together took {sum(call['minutes'] for call in journal['calls']):.1f} minutes.", "",
        "| stage | steps | minutes | last loss | |", "|---|---|---|---|---|",
        *(row for row in stages if row), "",
        "## Files", "", "| file | million numbers |", "|---|---|",
        *(f"| `{path.name}` | {_count_numbers(path) / 1e6:.2f} |" for path in files), "",
        "float16 safetensors; `manifest.json` holds the preset and the checksums, `logs/` the losses. "
        "`geometry` is made from ICT-FaceKit, (c) 2020 USC Institute for Creative Technologies, MIT: "
        "GEOMETRY_LICENSE. Nobody in the training data exists. Use it only for people who agreed.", "",
    ])  # fmt: skip


def _count_numbers(path: Path) -> int:
    with safe_open(path, framework="np") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118


def _describe_stage(output: Path, name: str, finished: dict[str, Any] | None) -> str:
    found = [*(output / name).glob("checkpoint"), *(output / name).glob("*/checkpoint")]
    folders = sorted(path.parent for path in found)
    if not (finished or folders):
        return ""
    reached = [read_progress(folder) for folder in folders]
    minutes = sum(seconds for _, seconds in reached) / 60 or (finished or {}).get("minutes", 0)
    steps, losses = ", ".join(str(step) for step, _ in reached), ", ".join(map(_last_loss, folders))
    note = finished.get("note", "") if finished else "unfinished"
    return f"| {name} | {steps} | {minutes:.3g} | {losses} | {note} |"


def _last_loss(folder: Path) -> str:
    lines = (folder / "log.jsonl").read_text().splitlines() if (folder / "log.jsonl").exists() else []
    return f"{json.loads(lines[-1])['total']:.4g}" if lines else "–"


def write_shards(folder: Path, output: Path) -> list[Path]:
    """Write a folder as at most 8 files of at most 16 MiB, `NAME.zip.001` and so on; returns them.

    Raises:
        ValueError: it is larger than that.
    """
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob(f"{folder.name}.zip*"):
        old.unlink()
    archive, files = BytesIO(), []
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            file.write(path, Path(folder.name) / path.relative_to(folder))
    if (size := archive.tell()) > SHARD_BYTES * MOST_SHARDS:
        raise ValueError(
            f"{folder} has {size / 2**20:.0f} MiB packed, more than {MOST_SHARDS} files of 16 MiB hold; copy "
            "the folder itself."
        )
    archive.seek(0)
    while content := archive.read(SHARD_BYTES):
        files.append(output / f"{folder.name}.zip.{len(files) + 1:03d}")
        files[-1].write_bytes(content)
    return files
