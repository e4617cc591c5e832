"""What a model folder holds: whether it is whole, and what its parts weigh.

Nothing is loaded: a folder is judged by its names and by the headers of its safetensors files.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from math import prod
from pathlib import Path
from typing import Any

NAMED = 5  # missing files that a message names
_WITHOUT_WEIGHTS = ("Tokenizer", "TokenizerFast", "Scheduler", "Extractor", "Processor", "ProcessorFast")
_WEIGHTS = ("*.safetensors", "*.bin", "*.ckpt", "*.pt")


@dataclass(frozen=True)
class Weights:
    """How much a part of a model weighs on disk."""

    parameters: int
    bytes: int


def check_folder(folder: Path, *, files: Sequence[str] | None = None) -> None:
    """Refuse a folder that holds only a part of its model.

    Raises:
        ValueError: a file is missing, cut short, or still being downloaded.
    """
    faults = list_faults(folder, files)
    if faults:
        named = ", ".join(faults[:NAMED]) + (", ..." if len(faults) > NAMED else "")
        count = "1 file is" if len(faults) == 1 else f"{len(faults)} files are"
        raise ValueError(
            f"The model folder {folder} is only half there: {count} missing or incomplete ({named}); "
            "download it again, or delete the folder and give the hub id."
        )


def read_weights(folder: Path) -> dict[str, Weights]:
    """Return what each part of a model folder weighs; a folder without parts is the part ""."""
    parts = {"": folder} | {p.name: p for p in sorted(folder.iterdir()) if p.is_dir()}
    found = {name: [_weigh(file) for file in _weight_files(part)] for name, part in parts.items()}
    return {
        name: Weights(sum(w.parameters for w in weights), sum(w.bytes for w in weights))
        for name, weights in found.items()
        if weights
    }


def list_faults(folder: Path, files: Sequence[str] | None = None) -> list[str]:
    """List the files that a model folder lacks, or holds only in part."""
    half = [*folder.glob("*.incomplete"), *folder.glob("*/*.incomplete")]
    half += folder.glob(".cache/huggingface/download/**/*.incomplete")
    faults = [str(path.relative_to(folder)) for path in half]
    indices = [*folder.glob("*.index.json"), *folder.glob("*/*.index.json")]
    for index in indices:
        shards = sorted(set(_read_json(index).get("weight_map", {}).values()))
        missing = [index.with_name(shard) for shard in shards if not index.with_name(shard).exists()]
        faults += [str(path.relative_to(folder)) for path in missing]
    for path in (*folder.glob("*.safetensors"), *folder.glob("*/*.safetensors")):
        if _read_header(path) is None:
            faults.append(str(path.relative_to(folder)))
    exact = [name for name in files or () if not any(sign in name for sign in "*?[")]
    faults += [name for name in exact if not (folder / name).exists()]
    if (folder / "model_index.json").exists():
        faults += _list_missing_components(folder, files)
    return list(dict.fromkeys(faults))


def _list_missing_components(folder: Path, files: Sequence[str] | None) -> list[str]:
    """List what a diffusers folder names and lacks; parts that `files` leaves out are not needed."""
    faults = []
    for name, kind in _read_json(folder / "model_index.json").items():
        if name.startswith("_") or not isinstance(kind, list) or not all(kind) or not _wanted(name, files):
            continue
        here, light = folder / name, str(kind[1]).endswith(_WITHOUT_WEIGHTS)
        if not here.is_dir() or not any(here.iterdir()):
            faults.append(f"{name}/")
        elif not light and not _weight_files(here) and not any(here.glob("*.index.json")):
            faults.append(f"{name}/*.safetensors")
    return faults


def _wanted(component: str, files: Sequence[str] | None) -> bool:
    if files is None:
        return True
    # a pattern without a folder is of any depth
    folders = [pattern.split("/")[0] if "/" in pattern else pattern[:1] for pattern in files]
    return any(fnmatch(component, folder) for folder in folders)


def _weight_files(folder: Path) -> list[Path]:
    """Return the files that a loader would read: the shards of an index, or the one without a variant."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        shards = set(_read_json(index).get("weight_map", {}).values())
        return [folder / shard for shard in sorted(shards) if (folder / shard).exists()]
    for pattern in _WEIGHTS:
        found = sorted(folder.glob(pattern))
        plain = [path for path in found if path.name.count(".") == 1]
        if found:
            return plain or found[:1]
    return []


def _weigh(path: Path) -> Weights:
    size = path.stat().st_size
    header = _read_header(path) if path.suffix == ".safetensors" else None
    if header is None:
        return Weights(size // 4, size)  # a pickle: at least so many parameters
    return Weights(sum(prod(entry["shape"]) for entry in header.values()), size)


def _read_header(path: Path) -> dict[str, Any] | None:
    """Return the tensors that a safetensors file names; None if the file is cut short or something else."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return None
        try:
            header = json.loads(file.read(length))
        except ValueError:
            return None
    header.pop("__metadata__", None)
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    return header if size == 8 + length + end else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"The file {path} cannot be read as JSON; download the model again.") from error
    return found if isinstance(found, dict) else {}
