"""Fetch the morphable head and the photo people from their public repositories, and fit the one to the other.

Everything arrives at pinned commits. The head's OBJ files become the arrays that `iad.portraits.head` reads,
checked against known digests; the figures are cut into the portraits of `cells.csv`, and each is fitted with
the head from the landmarks that a face encoder finds. An interrupted download goes on where it stopped.
"""

import hashlib
import io
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import numpy as np
from jaxtyping import Float32, Int32
from tqdm import tqdm

from iad.faces import Landmarker, find_face
from iad.geometry.coefficients import COEFFICIENTS
from iad.portraits.figures import Cell, cut_figure, load_figure, read_cells, recognise, save_photo
from iad.portraits.fitting import fit_people
from iad.portraits.head import cache_folder, load_head

SERVER = "https://raw.githubusercontent.com"
HEAD = "ICT-VGL/ICT-FaceKit/da5f95a607f5e6b37755b38d3385d7f2853732e5"
PORTRAITS = "SelfishGene/SFHQ-dataset/4c898bc7936c19c201a163c4d636943e80d7bc19"
PROMPTED_PORTRAITS = "SelfishGene/SFHQ-T2I-dataset/a8064474a09cbcec27a498f5bf51ad08298ba47c"

EXPRESSIONS = COEFFICIENTS[:57]
IDENTITIES = tuple(f"identity{number:03d}" for number in range(100))
DIGESTS = {
    "neutral": "92e87293b7e3c5bf2c013b94f15c0cf06f429cf046df6edfbfb719f77dd76781",
    "uv": "700440143151b836d41bf648aa9d176bdd782ad86bd85674726ed75de7513d02",
    "faces": "8ab3c6fcb4f97d57fc9b5b6377ad687730ad039f558357f5cf16257cccf0a93b",
    "uv_faces": "8064589b56cd23db551cd8aa20ba329c45b13dd3cf77c1c0ea15805e8ed6a169",
    "identity": "315c2d683eabdada64b255788526de9fe8044a9cf4a4bb76f8fbf6b019ff366e",
    "expression": "fc930387fc200d08555fbfdd6626a9f012217fbb9b96c038bf92d3cbc580ac6f",
    "expression_names": "f765d08d8ace2d1d9e3a80183025846354524b54bbd9b637e61240f3bfe33e8a",
}
_ATTEMPTS = 4
_TIMEOUT = 30  # seconds without an answer

T = TypeVar("T")


@dataclass(frozen=True)
class Mesh:
    """An OBJ file: vertices, texture coordinates and triangles that count from 0."""

    vertices: Float32[np.ndarray, "v 3"]
    uv: Float32[np.ndarray, "u 2"]
    faces: Int32[np.ndarray, "t 3"]
    uv_faces: Int32[np.ndarray, "t 3"]


def download(
    folder: str | Path | None = None, *, landmarker: Landmarker | None = None, server: str = SERVER
) -> Path:
    """Fetch and prepare head and photo people below `folder`; what is there already is left alone.

    Args:
        folder: Where to; the download cache ($IAD_CACHE, else ~/.cache/iad) if None.
        landmarker: 68 landmarks of a crop, from a face encoder; without one nothing is fitted.
        server: Where the repositories' files are, as `server/owner/name/commit/path`.

    Raises:
        ConnectionError: The server cannot be reached, or lacks a file.
        ValueError: A file is not what this version expects.
    """
    folder = Path(folder) if folder is not None else cache_folder()
    head = download_head(folder / "ict", server=server)
    people = folder / "people"
    if (people / "fits.npz").is_file():
        return folder
    cut_people(people, read_cells(), server=server)
    if landmarker is None:
        _say("The portraits are cut but not fitted: that needs the landmarks of a face encoder.")
        return folder
    arrays = fit_people(
        people / "photos",
        read_cells(),
        head=load_head(head),
        find_landmarks=lambda photo: find_face(photo, landmarker).landmarks,
    )
    _say(f"{len(arrays['id'])} portraits fitted.")
    _write(people / "fits.npz", _pack(arrays))
    shutil.rmtree(people / "figures", ignore_errors=True)
    return folder


def download_head(folder: Path, *, server: str = SERVER, digests: Mapping[str, str] = DIGESTS) -> Path:
    """Fetch the head's OBJ files and return the `ict_facekit.npz` made of them, with these SHA-256 digests.

    Raises:
        ConnectionError: A file could not be fetched.
        ValueError: A file is damaged, or an array is not the one known.
    """
    made = folder / "ict_facekit.npz"
    if made.is_file():
        return made
    meshes = folder / "FaceXModel"
    names = ("generic_neutral_mesh", *IDENTITIES, *EXPRESSIONS)
    files = {meshes / f"{name}.obj": f"{HEAD}/FaceXModel/{name}.obj" for name in names}
    files[folder / "LICENSE"] = f"{HEAD}/LICENSE"
    fetch_files(files, what="The morphable head", server=server)
    arrays = build_head(meshes)
    for name, digest in digests.items():
        if digest_of(arrays[name]) != digest:
            raise ValueError(_spoilt(meshes, f"gives another `{name}` than expected"))
    _write(made, _pack(arrays))
    shutil.rmtree(meshes)
    return made


def cut_people(folder: Path, cells: Sequence[Cell], *, server: str = SERVER) -> list[int]:
    """Fetch the figures, cut out the portraits of the table, and return the numbers of those found."""
    figures = {name: folder / "figures" / name for name in dict.fromkeys(cell.figure for cell in cells)}
    files = {path: f"{_repository_of(name)}/{name}" for name, path in figures.items()}
    files[folder / "LICENSE"] = f"{PROMPTED_PORTRAITS}/LICENSE.txt"
    fetch_files(files, what="The portraits", server=server)
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    found: list[int] = []
    for name, path in tqdm(figures.items(), "cutting", unit="figure", file=sys.stderr):
        wanted = [cell for cell in cells if cell.figure == name]
        photos = recognise(cut_figure(load_figure(path), name), wanted)
        for number, photo in photos.items():
            save_photo(folder / "photos" / f"{number:04d}.jpg", photo)
        if len(photos) < len(wanted):
            _say(f"{name}: {len(photos)} of {len(wanted)} portraits recognised.")
        found += photos
    return sorted(found)


def fetch_files(files: Mapping[Path, str], *, what: str, server: str = SERVER, pause: float = 1.0) -> None:
    """Fetch the files that are not there yet, four at a time, each under another name until it is whole.

    Args:
        files: Where each goes, and its path on the server.
        what: Names them in messages.
        server: As in `download`.
        pause: Seconds before the second attempt; doubled with every further one.

    Raises:
        ConnectionError: The server cannot be reached after four attempts, or lacks a file.
    """
    missing = {path: f"{server}/{quote(place)}" for path, place in files.items() if not path.is_file()}
    if not missing:
        return

    def fetch(path: Path) -> int:
        data = _retry(_read_whole, missing[path], pause=pause)
        _write(path, data)
        return len(data)

    pool = ThreadPoolExecutor(4)
    try:
        total = sum(pool.map(lambda url: _retry(_ask_size, url, pause=pause), missing.values()))
        here = f"; {len(files) - len(missing)} more are here already" if len(missing) < len(files) else ""
        _say(f"{what}: {len(missing)} files, {total / 1e6:.1f} MB to fetch{here}.")
        with tqdm(total=total, unit="B", unit_scale=True, desc=what, file=sys.stderr) as bar:
            for job in as_completed([pool.submit(fetch, path) for path in missing]):
                bar.update(job.result())
    finally:
        pool.shutdown(cancel_futures=True)  # after a failure, do not try the others too


def read_obj(path: Path) -> Mesh:
    """Read vertices, texture coordinates and polygons; a polygon a b c d becomes a b c and a c d.

    Raises:
        ValueError: The file is no OBJ file, or damaged.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        corners = [fan for line in lines if line.startswith("f ") for fan in _triangles_of(line)]
        pairs = np.array(corners, np.int32).reshape(-1, 3, 2) - np.int32(1)
        mesh = Mesh(_numbers(lines, "v ", 3), _numbers(lines, "vt ", 2), pairs[..., 0], pairs[..., 1])
    except ValueError as error:
        raise ValueError(_spoilt(path, "is not a readable OBJ file")) from error
    return mesh


def build_head(meshes: Path) -> dict[str, np.ndarray]:
    """Return the head's arrays from its OBJ files; shapes become half-precision offsets from the neutral."""
    neutral = read_obj(meshes / "generic_neutral_mesh.obj")

    def offsets(names: Sequence[str], kind: str) -> np.ndarray:
        made = np.empty((len(names), *neutral.vertices.shape), np.float16)
        for offset, name in zip(made, tqdm(names, kind, unit="shape", file=sys.stderr), strict=True):
            path = meshes / f"{name}.obj"
            vertices = read_obj(path).vertices
            if len(vertices) != len(offset):
                raise ValueError(_spoilt(path, f"has {len(vertices)} vertices instead of {len(offset)}"))
            offset[:] = vertices - neutral.vertices
        return made

    return {
        "neutral": neutral.vertices,
        "uv": neutral.uv,
        "faces": neutral.faces,
        "uv_faces": neutral.uv_faces,
        "identity": offsets(IDENTITIES, "identities"),
        "expression": offsets(EXPRESSIONS, "expressions"),
        "expression_names": np.array(EXPRESSIONS),
    }


def _triangles_of(line: str) -> list[list[tuple[int, ...]]]:
    """Split `f 1/4 2/5 3/6 4/7` into a fan of triangles with (vertex, texture) corners."""
    points = [tuple(map(int, corner.split("/")[:2])) for corner in line.split()[1:]]
    return [[points[0], points[i], points[i + 1]] for i in range(1, len(points) - 1)]


def _numbers(lines: Sequence[str], start: Literal["v ", "vt "], count: int) -> Float32[np.ndarray, "n count"]:
    rows = [line.split()[1 : 1 + count] for line in lines if line.startswith(start)]
    return np.array(rows, np.float64).reshape(-1, count).astype(np.float32)


def digest_of(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _spoilt(path: Path, fault: str) -> str:
    return f"{path} {fault}; delete it and run the command again."


def _repository_of(figure: str) -> str:
    return f"{PORTRAITS}/images" if figure.startswith("SFHQ_") else f"{PROMPTED_PORTRAITS}/figures"


def _pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _write(path: Path, data: bytes) -> None:
    """Write under another name first, so that a file with its own name is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(data)
    part.replace(path)


def _retry(action: Callable[[str], T], url: str, *, pause: float) -> T:
    attempt = 1
    while True:
        try:
            return action(url)
        except (HTTPException, OSError) as error:  # URLError and timeouts are OSErrors
            refused = isinstance(error, HTTPError) and error.code < 500 and error.code != 429
            if refused or attempt == _ATTEMPTS:
                raise ConnectionError(_explain(url, error)) from error
        time.sleep(pause * 2 ** (attempt - 1))
        attempt += 1


def _explain(url: str, error: Exception) -> str:
    again = "run the command again, finished files are kept."
    if isinstance(error, HTTPError):
        return f"{url} answered {error.code} {error.reason}; wait a while and {again}"
    return f"Could not reach {url}; check the connection and {again}"


def _ask_size(url: str) -> int:
    with _open(url, "HEAD") as answer:
        return int(answer.headers.get("Content-Length") or 0)


def _read_whole(url: str) -> bytes:
    with _open(url, "GET") as answer:
        return answer.read()  # raises IncompleteRead when it is cut short


def _open(url: str, method: Literal["GET", "HEAD"]) -> HTTPResponse:
    return urlopen(Request(url, method=method, headers={"User-Agent": "iad"}), timeout=_TIMEOUT)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
