"""Weights <-> disk: safetensors shards with a manifest of checksums; nothing is loaded that was altered."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from torch import Tensor

from iad.config import FullSizePreset, Preset

MANIFEST = "manifest.json"
SHARD_SIZE = "9MB"
MOST_BYTES = 1_000_000  # of a manifest
LARGEST = 8192  # any whole number of a preset that comes with weights from anywhere, but for these
_MOST = {
    "layers": 128, "blocks": 128, "decoder_blocks": 128, "frames": 512, "fps": 240, "tokens": 1024,
    "queries": 1024, "size": 1024, "height": 2048, "width": 2048,
}  # fmt: skip
WEIGHTS = Path(__file__).parent / "weights"


def save_part(
    folder: Path, part: str, state: dict[str, Tensor], *, half: bool = False, shard_size: str | None = None
) -> None:
    """Write one part's weights as shards `part*.safetensors` and enter their checksums in the manifest.

    Args:
        folder: created if it is not there; older shards of the part go once the new ones are whole.
        part: name of the part, as in `iad.pipeline.split_parts`.
        state: its weights by parameter name.
        half: store floating-point weights as float16.
        shard_size: of one file at most, such as "2GB"; None `SHARD_SIZE`.
    """
    from huggingface_hub import save_torch_state_dict
    from safetensors import SafetensorError

    folder.mkdir(parents=True, exist_ok=True)
    state = {k: v.half() if half and v.is_floating_point() else v for k, v in state.items()}
    state = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    names = {"filename_pattern": f"{part}{{suffix}}.safetensors", "max_shard_size": shard_size or SHARD_SIZE}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as made:
        try:
            save_torch_state_dict(state, made, **names)
        except SafetensorError as error:  # whatever keeps a file from being written
            raise OSError(f"The weights {part!r} could not be written to {folder}: {error}") from error
        new = {shard.name for shard in _shards(Path(made), part)}
        for shard in _shards(Path(made), part):
            shard.replace(folder / shard.name)  # the index stays behind: the manifest serves
        for old in _shards(folder, part):  # only now: at no moment there are none
            if old.name not in new:
                old.unlink()
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else {"files": {}}
    manifest["files"] = {k: v for k, v in manifest["files"].items() if (folder / k).exists()}
    manifest["files"] |= {file.name: _digest(file) for file in _shards(folder, part)}
    _write_manifest(folder, manifest)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one safetensors file, whole or not at all.

    Raises:
        OSError: it cannot be written, for want of space say; what was there before is still there.
    """
    from safetensors.torch import save

    write_whole(path, save({k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name first, so that a file with its own name is always whole."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    part.replace(path)


def save_preset(folder: Path, preset: Preset | FullSizePreset) -> None:
    """Enter the preset in the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(folder) if (folder / MANIFEST).exists() else {"files": {}}
    _write_manifest(folder, manifest | {"preset": preset.to_dict()})


def load_preset(folder: Path) -> Preset | FullSizePreset:
    """Read the preset of a weights folder.

    Raises:
        ValueError: there is none, or a field of it is not as it should be.
    """
    return preset_from_dict(read_manifest(folder).get("preset"))


def preset_from_dict(values: Any) -> Preset | FullSizePreset:
    """Rebuild a preset from its `to_dict`, as stored beside weights (JSON turns tuples to lists).

    Raises:
        ValueError: a field is unknown, missing, of another kind or out of range; the message names it.
    """
    full_size = isinstance(values, dict) and "base" in values
    return _read_fields(FullSizePreset if full_size else Preset, values, "preset")


def _read_fields(kind: Any, values: Any, name: str) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(values, dict):
        raise ValueError(f"The {name} of a model is an object with named fields; use weights as they came.")
    unknown = sorted(map(str, values.keys() - hints.keys()))
    missing = sorted(part.name for part in fields(kind) if _is_needed(part) and part.name not in values)
    if unknown or missing:
        wrong = f"does not know {unknown[0]!r}" if unknown else f"lacks {missing[0]!r}"
        raise ValueError(f"The {name} of a model {wrong}; use weights of this version.")
    return kind(**{key: _read_field(hints[key], value, f"{name}.{key}") for key, value in values.items()})


def _is_needed(part: Field) -> bool:
    return part.default is MISSING and part.default_factory is MISSING


def _read_field(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return _read_fields(hint, value, name)
    most, choices = _MOST.get(name.rpartition(".")[2], LARGEST), get_args(hint)
    if get_origin(hint) is tuple:
        fits = isinstance(value, list | tuple) and len(value) == 3  # one each at three sizes of a picture
        fits = fits and all(type(number) is int and 0 <= number <= most for number in value)
        value = tuple(value) if fits else value
        expected = f"three whole numbers up to {most}"
    elif hint is int:
        fits, expected = type(value) is int and 0 < value <= most, f"a whole number from 1 to {most}"
    elif hint is float:
        fits, expected = type(value) in (int, float) and 0 <= value <= 1000, "a number from 0 to 1000"
    elif hint is bool:
        fits, expected = type(value) is bool, "true or false"
    else:
        fits = isinstance(value, str) and (not choices or value in choices)
        expected = f"one of {', '.join(choices)}" if choices else "a text"
    if not fits:
        raise ValueError(f"The {name} of a model must be {expected}, got {value!r:.40}; use other weights.")
    return value


def load_part(folder: Path, part: str) -> dict[str, Tensor]:
    """Read one part's weights as float32.

    Raises:
        ValueError: a shard is missing, was altered, or is no safetensors file.
    """
    files = _digests(folder, part)
    if not files:
        raise ValueError(f"{folder} holds no {part!r} weights; train them, or load another folder.")
    state: dict[str, Tensor] = {}
    for name, digest in sorted(files.items()):
        path = folder / name
        if not path.is_file():
            raise ValueError(f"The weights file {path} is missing; reinstall or copy the folder again.")
        if _digest(path) != digest:
            raise ValueError(f"The weights file {path} was altered (checksum differs); copy it again.")
        state |= {k: v.float() if v.is_floating_point() else v for k, v in read_tensors(path).items()}
    return state


@contextmanager
def open_tensors(path: Path, *, device: str = "cpu") -> Iterator[Any]:
    """Open a safetensors file, of which tensors are then read one by one.

    Raises:
        ValueError: it is cut short or something else, or lacks a tensor that is asked for.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=device) as file:
            yield file
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); copy it again, or delete it.") from error


def read_tensors(path: Path, *, device: str = "cpu") -> dict[str, Tensor]:
    """Read a safetensors file whole; what is wrong with it is said as by `open_tensors`."""
    with open_tensors(path, device=device) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)


def check_fit(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], *, what: str) -> None:
    """Make sure that weights fit a model, name by name and shape by shape.

    Raises:
        ValueError: some are missing, extra or misshapen; at most five are named.
    """
    wrong = sorted(expected.keys() ^ state.keys())
    wrong += sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape)
    if wrong:
        shown = ", ".join(wrong[:5]) + (", ..." if len(wrong) > 5 else "")
        raise ValueError(
            f"The {what} do not fit this model: {len(wrong)} keys are missing, extra or misshapen ({shown}); "
            "use weights of the same preset."
        )


def has_part(folder: Path, part: str) -> bool:
    """Tell whether the manifest lists weights of this part."""
    return bool(_digests(folder, part))


def list_parts(folder: Path) -> list[str]:
    """List the parts that the manifest names, sorted."""
    return sorted({_part_of(name) for name in read_manifest(folder)["files"]})


def is_sound(folder: Path, part: str) -> bool:
    """Tell whether all files of a part are there and as they were written."""
    files = _digests(folder, part) if (folder / MANIFEST).exists() else {}
    sound = ((folder / name).exists() and _digest(folder / name) == digest for name, digest in files.items())
    return bool(files) and all(sound)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a weights folder: checksums by the names of files in it, and perhaps a preset.

    Raises:
        ValueError: the folder is no weights folder.
    """
    try:
        with (folder / MANIFEST).open("rb") as file:
            manifest = json.loads(file.read(MOST_BYTES))
        if any(Path(name).name != name or type(d) is not str for name, d in manifest["files"].items()):
            raise ValueError("it names something else than files of the folder")
        return manifest
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{folder} is no folder of IaD weights (no readable {MANIFEST}); name a preset or a saved folder."
        ) from error


def _write_manifest(folder: Path, manifest: dict) -> None:
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def _digests(folder: Path, part: str) -> dict[str, str]:
    return {k: v for k, v in read_manifest(folder)["files"].items() if _part_of(k) == part}


def _shards(folder: Path, part: str) -> list[Path]:
    return [p for p in folder.glob("*.safetensors") if _part_of(p.name) == part]


def _part_of(name: str) -> str:
    return name.removesuffix(".safetensors").split("-0")[0]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
