"""A carried pack: everything that training needs and a machine without network lacks, in one file.

`write_pack` puts the head, the photo people (as WebP), the compact geometry and the sentence encoder (8 bits
a number) into a zip file and says what takes how much; `unpack` lays them out where the loaders look. The
labels of the people come with the code.
"""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from iad import checkpoint
from iad.portraits.head import find_head
from iad.portraits.photo import find_people, leave_out_broken, load_photo_people
from iad.text import find_minilm
from iad.training.packing import find_commit

QUALITY = 82  # of WebP: 38 dB
ICT_LICENCE = checkpoint.WEIGHTS / "mini" / "GEOMETRY_LICENSE"
LEVELS = 127  # of an int8 on either side of zero
SCALE = ".scale"  # follows the name of what is stored in 8 bits
FOLDERS = {"IAD_ICT_FACEKIT": "ict/ict_facekit.npz", "IAD_PHOTO_PEOPLE": "people", "IAD_MINILM": "minilm"}
NOTE = "pack.json"


def write_pack(output: Path) -> dict[str, int]:
    """Write a pack and return the bytes of each of its parts.

    Raises:
        FileNotFoundError: head, photo people or sentence encoder are not on this machine.
        OSError: it cannot be written.
    """
    sizes: dict[str, int] = {}
    part = output.with_name(output.name + ".part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in _list_contents():
                # what is compressed already does not get smaller
                stored = name.endswith((".webp", ".npz"))
                file.writestr(name, content, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
                kind = name.split("/")[0] if "/" in name else "note"
                kind = "fits" if name == "people/fits.npz" else kind
                sizes[kind] = sizes.get(kind, 0) + file.getinfo(name).compress_size
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    return sizes


def _list_contents() -> Iterator[tuple[str, bytes]]:
    """Give every file of a pack, by name."""
    people, minilm = find_people(), find_minilm()
    yield NOTE, json.dumps({"commit": find_commit(), "date": time.strftime("%Y-%m-%d")}).encode()
    yield "ict/ict_facekit.npz", find_head().read_bytes()
    yield "ict/LICENSE", ICT_LICENCE.read_bytes()
    for name in ("geometry.safetensors", checkpoint.MANIFEST):
        yield f"geometry/{name}", _read_geometry(name)
    yield "people/fits.npz", _read_fits(people)
    if (people / "LICENSE").exists():
        yield "people/LICENSE", (people / "LICENSE").read_bytes()
    for record in leave_out_broken(load_photo_people(people)):
        buffer = BytesIO()
        Image.fromarray(record.load_photo()).save(buffer, "WEBP", quality=QUALITY, method=6)
        yield f"people/photos/{record.number:04d}.webp", buffer.getvalue()
    for name, path in minilm.items():
        yield f"minilm/{name}", _halve_twice(path) if path.suffix == ".safetensors" else path.read_bytes()


def _read_geometry(name: str) -> bytes:
    folder = checkpoint.WEIGHTS / "mini"
    if name != checkpoint.MANIFEST:
        return (folder / name).read_bytes()
    files = {k: v for k, v in checkpoint.read_manifest(folder)["files"].items() if k.startswith("geometry")}
    return json.dumps({"files": files}).encode()


def _read_fits(people: Path) -> bytes:
    buffer = BytesIO()
    with np.load(people / "fits.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "source"}
    arrays["landmarks"] = arrays["landmarks"].astype(np.float32)
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _halve_twice(path: Path) -> bytes:
    """Store a network's matrices in 8 bits a number, with a scale for every row."""
    from safetensors.torch import load_file, save

    state: dict[str, Tensor] = {}
    for name, tensor in load_file(path).items():
        if tensor.ndim == 2 and tensor.is_floating_point():
            state[name], state[name + SCALE] = quantise(tensor.float())
        else:
            state[name] = tensor.half() if tensor.is_floating_point() else tensor
    return save(state)


def quantise(matrix: Float[Tensor, "r c"]) -> tuple[Int[Tensor, "r c"], Float[Tensor, "r 1"]]:
    """Round a matrix to 255 levels a row; returns the levels and what one is worth."""
    scale = matrix.abs().amax(1, keepdim=True).clamp(min=1e-12) / LEVELS
    return (matrix / scale).round().to(torch.int8), scale


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
        except (zipfile.BadZipFile, FileNotFoundError) as error:
            raise ValueError(f"{pack} is no readable pack ({error}); copy or write it again.") from error
        _widen(part / "minilm" / "model.safetensors")
        part.replace(folder)
    for variable, place in FOLDERS.items():
        os.environ[variable] = str(folder / place)


def _widen(path: Path) -> None:
    from safetensors.torch import load_file

    stored = load_file(path)
    state = {
        name: tensor * stored[name + SCALE] if name + SCALE in stored else tensor
        for name, tensor in stored.items()
        if not name.endswith(SCALE)
    }
    checkpoint.write_tensors(path, {k: v.half() if v.is_floating_point() else v for k, v in state.items()})
