"""Cut portraits out of the figures of public repositories, and know them again.

In comes a figure: a grid of square portraits on a plain dark ground, with titles between the rows. Out come
its cells in reading order, as 256 x 256 photos. `cells.csv` beside this file lists which of them are used:
the figure, the number that a portrait has everywhere in this project, and a fingerprint of 256 bits by which
its cell is recognised. Its place would not do: the numbers leave out cells (no face found, a near-duplicate,
a minor) that only a look can tell.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from scipy.ndimage import minimum_filter1d
from scipy.optimize import linear_sum_assignment

PHOTO_SIZE = 256
_JPEG_QUALITY = 92
_COUNTS = range(1, 15)  # rows or columns tried where a figure's name does not say
_COARSE = 400  # pixels of the longer side for the first search
_SHARE = 0.2  # of the usual portrait pixels in a line: more is portrait, fewer is gutter or title
_CONTRAST = 24  # grey levels off the ground; JPEG noise around titles stays below
_SIDE = 16  # of the fingerprint

# Bits out of 256. Cut up to 4 pixels off, 99 % of the portraits change fewer than 46; two portraits of one
# figure differ in 40 at least and mostly in 95.
RECOGNISED = 56


@dataclass(frozen=True)
class Cell:
    """One row of `cells.csv`: a portrait that the project uses."""

    number: int
    figure: str
    fingerprint: Bool[np.ndarray, " 256"]


@dataclass(frozen=True)
class Grid:
    """Upper and left edges of the cells in pixels, and the side of every cell."""

    top: Float[np.ndarray, " r"]
    left: Float[np.ndarray, " c"]
    side: float


@dataclass(frozen=True)
class _Comb:
    """Equal stretches at equal distances along one axis, and how much of the picture they cover."""

    score: float
    start: float
    pitch: float
    width: float
    count: int


def read_cells() -> list[Cell]:
    """Return the table of used portraits, by number."""
    with resources.files("iad.portraits").joinpath("cells.csv").open(encoding="utf-8", newline="") as file:
        return [
            Cell(int(row["id"]), row["figure"], _from_hex(row["fingerprint"])) for row in csv.DictReader(file)
        ]


def load_figure(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a figure, which may be larger than the photos that callers may pass.

    Raises:
        ValueError: The file is not a picture.
    """
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path} is not a picture; delete it and run the command again.")
    return np.ascontiguousarray(picture[..., ::-1])


def save_photo(path: Path, photo: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write a photo as JPEG, under another name first, so that a file is always whole."""
    part = path.with_name(path.name + ".part")
    Image.fromarray(photo).save(part, "JPEG", quality=_JPEG_QUALITY)
    part.replace(path)


def cut_figure(picture: UInt8[np.ndarray, "h w 3"], name: str) -> list[UInt8[np.ndarray, "256 256 3"]]:
    """Return the cells of a figure in reading order; its name may tell the number of rows and columns.

    Raises:
        ValueError: The picture shows no grid.
    """
    rows, columns = _counts_in(name)
    grid = find_grid(picture, rows=rows, columns=columns)
    return [_cut(picture, top, left, grid.side) for top in grid.top for left in grid.left]


def find_grid(
    picture: UInt8[np.ndarray, "h w 3"], *, rows: int | None = None, columns: int | None = None
) -> Grid:
    """Find square cells at equal distances, from the picture alone.

    The ground is the colour of the outermost pixels. Along x, the best comb covers the columns that show
    portraits and leaves out the gutters; along y, the same with cells as high as wide, so that titles do not
    count.

    Raises:
        ValueError: The picture is blank, or holds no such grid.
    """
    frame = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    ground = np.median(frame, axis=0).astype(np.int16)
    shown = np.abs(picture.astype(np.int16) - ground).max(axis=2) > _CONTRAST
    if not shown.any():
        raise ValueError("The figure is blank; expected a grid of portraits on a plain ground.")
    across = _find_comb(shown.mean(axis=0), [columns] if columns else _COUNTS, side=None)
    starts = across.start + across.pitch * np.arange(across.count)
    inside = np.concatenate([np.arange(round(x), round(x + across.width)) for x in starts])
    rows_shown = shown[:, inside[inside < shown.shape[1]]].mean(axis=1)
    down = _find_comb(rows_shown, [rows] if rows else _COUNTS, side=across.width)
    return Grid(down.start + down.pitch * np.arange(down.count), starts, across.width)


def fingerprint(photo: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, " 256"]:
    """Return whether brightness rises from each of 16 x 16 places to the next on its right."""
    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return (small[:, 1:] > small[:, :-1]).ravel()


def recognise(
    photos: Sequence[UInt8[np.ndarray, "h w 3"]], cells: Sequence[Cell]
) -> dict[int, UInt8[np.ndarray, "h w 3"]]:
    """Return the photos that are cells of the table, by number; a photo is at most one of them."""
    if not photos or not cells:
        return {}
    prints = np.stack([fingerprint(photo) for photo in photos])
    distance = (np.stack([cell.fingerprint for cell in cells])[:, None] ^ prints[None]).sum(axis=2)
    pairs = zip(*linear_sum_assignment(distance), strict=True)
    return {cells[i].number: photos[j] for i, j in pairs if distance[i, j] <= RECOGNISED}


def _from_hex(text: str) -> Bool[np.ndarray, " 256"]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).astype(bool)


def _counts_in(name: str) -> tuple[int | None, int | None]:
    """Read rows and columns from a figure's name: `..._3x6.jpg`, `..._top_10_matches.jpg`."""
    if size := re.search(r"_(\d+)x(\d+)\.", name):
        return int(size[1]), int(size[2])
    matches = re.search(r"_top_(\d+)_matches", name)
    return None, int(matches[1]) if matches else None


def _cut(picture: UInt8[np.ndarray, "h w 3"], top: float, left: float, side: float) -> np.ndarray:
    y, x = max(round(top), 0), max(round(left), 0)
    cell = picture[y : round(top + side), x : round(left + side)]
    smaller = side > PHOTO_SIZE
    return cv2.resize(
        cell, (PHOTO_SIZE, PHOTO_SIZE), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    )


def _find_comb(profile: Float[np.ndarray, " n"], counts: Sequence[int], *, side: float | None) -> _Comb:
    """Search the best comb: for every count coarsely, then finely around what was found."""
    step = max(1, len(profile) // _COARSE)
    coarse = _covered(profile[: len(profile) // step * step].reshape(-1, step).mean(axis=1))
    fine = _covered(profile)
    combs = []
    for count in counts:
        smallest = len(coarse) / (count * 3) if side is None else side / step
        pitches = np.arange(smallest, len(coarse) / max(count - 0.5, 0.5), 1 / count)
        rough = _best_comb(coarse, count, pitches, side=side and side / step)
        if rough is not None:
            around = rough.pitch * step + np.arange(-8 * step, 8 * step + 1) / (4 * count)
            combs.append(_best_comb(fine, count, around, side=side))
    if not any(combs):
        raise ValueError("The figure shows no grid; expected rows and columns of squares on a plain ground.")
    return max(filter(None, combs), key=lambda comb: comb.score)


# Plain types from here on: a search makes some ten thousand calls.
def _best_comb(covered: np.ndarray, count: int, pitches: np.ndarray, *, side: float | None) -> _Comb | None:
    combs = [_fit_comb(covered, count, pitch, side=side) for pitch in pitches]
    return max(filter(None, combs), key=lambda comb: comb.score, default=None)


def _covered(profile: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m"]:
    """Sum up the share of portrait pixels, less a threshold, so that differences score stretches."""
    return np.concatenate([[0.0], np.cumsum(profile - _SHARE * np.percentile(profile, 75))])


def _fit_comb(covered: np.ndarray, count: int, pitch: float, *, side: float | None) -> _Comb | None:
    """Place a comb of this pitch so that the stretches it covers score the most."""
    places = int(len(covered) - 1 - (count - 1) * pitch)
    if places < (side or 2):
        return None
    total = sum(_shifted(covered, k * pitch, places) for k in range(count))
    if side is not None:
        room = places - 1 - int(side)
        if room < 1:
            return None
        gains = _shifted(total, side, room) - total[:room]
        start = int(gains.argmax())
        return _Comb(float(gains[start]), start, pitch, side, count)
    reach = max(int(pitch) - 1, 1)  # a gutter of one pixel at least
    # The origin moves the filter's window so that it ends at each place.
    lowest = minimum_filter1d(total, reach + 1, origin=reach // 2, mode="nearest")
    end = int((total - lowest).argmax())
    first = max(end - reach, 0)
    start = first + int(total[first : end + 1].argmin())
    return _Comb(float(total[end] - total[start]), start, pitch, float(end - start), count)


def _shifted(values: np.ndarray, offset: float, length: int) -> np.ndarray:
    """Read `length` values from a fractional offset on."""
    whole = int(offset)
    part = offset - whole
    return (1 - part) * values[whole : whole + length] + part * values[whole + 1 : whole + 1 + length]
