"""Fetch the morphable head and the photo people from their public repositories, and fit the one to the other.

Everything arrives at pinned commits. The head's OBJ files become the arrays that `iad.portraits.morphable`
reads, checked against known digests; figures, grids of square portraits, are cut into photos of 256 x 256
pixels as `cells.csv` says, and each is fitted with the head from the landmarks that a face encoder finds. An
interrupted download goes on where it stopped; what lies there cut off or damaged is fetched once more.
"""

import csv
import hashlib
import io
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int32, UInt8
from PIL import Image
from tqdm import tqdm

from iad.faces import Landmarker, find_face
from iad.geometry.coefficients import COEFFICIENTS
from iad.geometry.fit import WORST_FIT, fit_head
from iad.geometry.head import Head
from iad.media.files import write_whole
from iad.media.photos import load_image
from iad.portraits import read_arrays
from iad.portraits.fetching import SERVER, SpoiltError, fetch_files, heal
from iad.portraits.morphable import cache_folder, load_head
from iad.portraits.photo import is_whole

HEAD = "ICT-VGL/ICT-FaceKit/da5f95a607f5e6b37755b38d3385d7f2853732e5"
PORTRAITS = "SelfishGene/SFHQ-dataset/4c898bc7936c19c201a163c4d636943e80d7bc19"
PROMPTED_PORTRAITS = "SelfishGene/SFHQ-T2I-dataset/a8064474a09cbcec27a498f5bf51ad08298ba47c"

EXPRESSIONS = COEFFICIENTS[:57]
IDENTITIES = tuple(f"identity{number:03d}" for number in range(100))
DIGESTS = {
    "neutral": "92e87293b7e3c5bf2c013b94f15c0cf06f429cf046df6edfbfb719f77dd76781",
    "faces": "8ab3c6fcb4f97d57fc9b5b6377ad687730ad039f558357f5cf16257cccf0a93b",
    "identity": "315c2d683eabdada64b255788526de9fe8044a9cf4a4bb76f8fbf6b019ff366e",
    "expression": "fc930387fc200d08555fbfdd6626a9f012217fbb9b96c038bf92d3cbc580ac6f",
    "expression_names": "f765d08d8ace2d1d9e3a80183025846354524b54bbd9b637e61240f3bfe33e8a",
}
PHOTO_SIZE = 256
_JPEG_QUALITY = 92

FindLandmarks = Callable[[UInt8[np.ndarray, "h w 3"]], Float[np.ndarray, "68 2"]]


@dataclass(frozen=True)
class Cell:
    """One row of `cells.csv`: a portrait that the project uses; its square in the figure, in pixels."""

    number: int
    figure: str
    left: int
    top: int
    side: int


def read_cells() -> list[Cell]:
    """Return the table of used portraits, by number."""
    with Path(__file__).with_name("cells.csv").open(encoding="utf-8", newline="") as file:
        return [
            Cell(int(row["id"]), row["figure"], int(row["left"]), int(row["top"]), int(row["side"]))
            for row in csv.DictReader(file)
        ]


def download(
    folder: str | Path | None = None, *, landmarker: Landmarker | None = None, server: str = SERVER
) -> Path:
    """Fetch and prepare head and photo people below `folder`; what is there, and whole, is left alone.

    Args:
        folder: Where to; the download cache ($IAD_CACHE, else ~/.cache/iad) if None.
        landmarker: 68 landmarks of a crop, from a face encoder; without one nothing is fitted.
        server: Where the repositories' files are, as `server/owner/name/commit/path`.

    Raises:
        ConnectionError: The server cannot be reached, or lacks a file.
        SpoiltError: A file is not what this version expects.
    """
    folder = Path(folder) if folder is not None else cache_folder()
    head = download_head(folder / "ict", server=server)
    people = folder / "people"
    fits = _read_if_whole(people / "fits.npz")
    fitted = set(fits["id"].tolist()) if fits else set()
    broken = [c for c in read_cells() if c.number in fitted and not is_whole(_photo_of(people / "photos", c))]
    if broken or not fits:
        cut_people(people, broken or read_cells(), server=server)
    if fits:
        shutil.rmtree(people / "figures", ignore_errors=True)
        return folder
    if landmarker is None:
        said = "The portraits are cut but not fitted: that needs the landmarks of a face encoder."
        tqdm.write(said, file=sys.stderr)
        return folder
    arrays = fit_people(
        people / "photos",
        read_cells(),
        head=load_head(head),
        find_landmarks=lambda photo: find_face(photo, landmarker).landmarks,
    )
    tqdm.write(f"{len(arrays['id'])} portraits fitted.", file=sys.stderr)
    write_whole(people / "fits.npz", _pack(arrays))
    shutil.rmtree(people / "figures", ignore_errors=True)
    return folder


def download_head(folder: Path, *, server: str = SERVER, digests: Mapping[str, str] = DIGESTS) -> Path:
    """Fetch the head's OBJ files and return the `ict_facekit.npz` made of them, with these SHA-256 digests.

    Raises:
        ConnectionError: A file could not be fetched.
        SpoiltError: A file is damaged, or an array is not the one known.
    """
    made = folder / "ict_facekit.npz"
    there = _read_if_whole(made)
    if there and all(name in there and digest_of(there[name]) == digests[name] for name in digests):
        return made
    meshes = folder / "FaceXModel"
    names = ("generic_neutral_mesh", *IDENTITIES, *EXPRESSIONS)
    files = {meshes / f"{name}.obj": f"{HEAD}/FaceXModel/{name}.obj" for name in names}
    files[folder / "LICENSE"] = f"{HEAD}/LICENSE"
    arrays = heal(
        lambda: fetch_files(files, what="The morphable head", server=server),
        lambda: build_head(meshes, digests=digests),
    )
    write_whole(made, _pack(arrays))
    shutil.rmtree(meshes)
    return made


def cut_people(folder: Path, cells: Sequence[Cell], *, server: str = SERVER) -> list[int]:
    """Fetch the figures, cut out the portraits of the table, and return their numbers."""
    figures = {name: folder / "figures" / name for name in dict.fromkeys(cell.figure for cell in cells)}
    files = {path: f"{_repository_of(name)}/{name}" for name, path in figures.items()}
    files[folder / "LICENSE"] = f"{PROMPTED_PORTRAITS}/LICENSE.txt"
    fetch = partial(fetch_files, files, what="The portraits", server=server)
    fetch()
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for name, path in tqdm(figures.items(), "cutting", unit="figure", file=sys.stderr):
        shown = [cell for cell in cells if cell.figure == name]
        heal(fetch, partial(cut_figure, path, shown, folder / "photos"))
    return sorted(cell.number for cell in cells)


def cut_figure(path: Path, cells: Sequence[Cell], folder: Path) -> None:
    """Write the cells of a figure into the folder as NNNN.jpg.

    Raises:
        SpoiltError: The file is not a whole picture, or too small for a cell.
    """
    try:
        with Image.open(path) as file:
            figure = file.convert("RGB")
    except OSError as error:
        raise SpoiltError([path], "is not a whole picture") from error
    for cell in cells:
        box = (cell.left, cell.top, cell.left + cell.side, cell.top + cell.side)
        if box[2] > figure.width or box[3] > figure.height:
            raise SpoiltError([path], "is smaller than expected")
        photo = figure.crop(box).resize((PHOTO_SIZE, PHOTO_SIZE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        photo.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        write_whole(_photo_of(folder, cell), buffer.getvalue())


def fit_people(
    photos: Path, cells: Sequence[Cell], *, head: Head, find_landmarks: FindLandmarks
) -> dict[str, np.ndarray]:
    """Fit every photo NNNN.jpg of the folder and return the arrays of `fits.npz`, one row a photo.

    Photos without a face (`find_landmarks` raises ValueError) or that fit worse than `WORST_FIT` get no row.

    Raises:
        ValueError: Not one photo could be fitted.
    """
    here = [cell for cell in cells if _photo_of(photos, cell).is_file()]
    rows = []
    for cell in tqdm(here, "fitting", unit="face", file=sys.stderr):
        try:
            landmarks = find_landmarks(load_image(_photo_of(photos, cell)))
        except ValueError:
            continue
        fit = fit_head(head, landmarks)
        if fit.error <= WORST_FIT:
            rows.append((cell, landmarks, fit))
    if not rows:
        raise ValueError(f"No face in {photos} could be fitted; check the face encoder's landmarks.")
    cells, landmarks, fits = zip(*rows, strict=True)
    arrays = {
        "id": np.array([cell.number for cell in cells], np.int32),
        "landmarks": np.array(landmarks, np.float32),
        "identity": np.array([fit.identity for fit in fits], np.float16),
        "expression": np.array([fit.expression for fit in fits], np.float16),
    }
    for name in ("scale", "rotation", "translation", "error"):
        arrays[name] = np.array([getattr(fit, name) for fit in fits], np.float32)
    return arrays


def read_obj(path: Path) -> tuple[Float32[np.ndarray, "v 3"], Int32[np.ndarray, "t 3"]]:
    """Read vertices and polygons, which count from 0; a polygon a b c d becomes triangles a b c and a c d.

    Raises:
        SpoiltError: The file is no OBJ file, or damaged.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
        vertices = np.array([words[1:4] for words in lines if words[:1] == ["v"]], np.float64).reshape(-1, 3)
        polygons = [[int(c.split("/")[0]) - 1 for c in words[1:]] for words in lines if words[:1] == ["f"]]
    except ValueError as error:
        raise SpoiltError([path], "is not a readable OBJ file") from error
    triangles = [(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)]
    return vertices.astype(np.float32), np.array(triangles, np.int32).reshape(-1, 3)


def build_head(meshes: Path, *, digests: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
    """Return the head's arrays from its OBJ files; shapes become half-precision offsets from the neutral.

    Raises:
        SpoiltError: A file is damaged, or an array has another SHA-256 digest.
    """
    neutral, triangles = read_obj(meshes / "generic_neutral_mesh.obj")

    def offsets(names: Sequence[str], kind: str) -> np.ndarray:
        made = np.empty((len(names), *neutral.shape), np.float16)
        for offset, name in zip(made, tqdm(names, kind, unit="shape", file=sys.stderr), strict=True):
            path = meshes / f"{name}.obj"
            vertices, _ = read_obj(path)
            if len(vertices) != len(offset):
                raise SpoiltError([path], f"has {len(vertices)} vertices instead of {len(offset)}")
            offset[:] = vertices - neutral
        return made

    _compare({"neutral": neutral, "faces": triangles}, digests or {}, [meshes / "generic_neutral_mesh.obj"])
    shapes = {"identity": IDENTITIES, "expression": EXPRESSIONS}
    made = {kind: offsets(names, f"{kind}") for kind, names in shapes.items()}
    for kind, names in shapes.items():
        _compare({kind: made[kind]}, digests or {}, [meshes / f"{name}.obj" for name in names])
    return {"neutral": neutral, "faces": triangles} | made | {"expression_names": np.array(EXPRESSIONS)}


def _compare(arrays: Mapping[str, np.ndarray], digests: Mapping[str, str], made_of: Sequence[Path]) -> None:
    for name, array in arrays.items():
        if digest_of(array) != digests.get(name, digest_of(array)):
            raise SpoiltError(made_of, f"gives another `{name}` than expected")


def digest_of(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's bytes in C order."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _read_if_whole(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_arrays(path)
    except ValueError:
        return {}


def _photo_of(photos: Path, cell: Cell) -> Path:
    return photos / f"{cell.number:04d}.jpg"


def _repository_of(figure: str) -> str:
    return f"{PORTRAITS}/images" if figure.startswith("SFHQ_") else f"{PROMPTED_PORTRAITS}/figures"


def _pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
