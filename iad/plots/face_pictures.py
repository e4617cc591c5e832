"""Faces as pictures: in rows, who is like whom, where everyone lies in a plane, and a report of all that."""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from iad.plots.style import ACTION, IDENTITY, INK, LINE, PAPER, RESIDUAL, SERIES, SOFT, to_rgb

_CELL, _GAP = 88, 4  # pixels: eight faces and their numbers stay readable on a phone
_MAP, _FACE, _PAD = 760, 116, 84  # of a map: its side, its faces, and the rim that is free of their centres
_DOTS, _COLUMNS = 560, 3  # of a map of dots: its side in pixels, and the columns of its legend
_APART, _LINE, _TEXT = 6, 22, 14  # of faces in rows: pixels between them, of a line of text, of its letters
_MARGIN, _WIDTH, _ROW, _CROP, _TITLE = 48, 1120, 232, 192, 52  # of a report, pixels
_SHARES, _ACTIONS = _MARGIN + _CROP + 36, 640  # left edges of a row's two columns


def face_sheet(
    crops: UInt8[np.ndarray, "n h w 3"],
    labels: Sequence[str] = (),
    *,
    columns: int = 9,
    size: int = 96,
    frames: Sequence[str] = (),
    titles: Sequence[str] = (),
) -> Image.Image:
    """Show faces in rows.

    Args:
        crops: the faces, row by row.
        labels: a few words below each face, or none.
        columns: how many faces a row has.
        size: side of each face in pixels.
        frames: a colour such as "#009e73" around each face, "" for no frame.
        titles: a few words before each row, or none.
    """
    rows = -(-len(crops) // columns)
    left = 0 if not titles else 12 + round(max(_measure(title, _TEXT) for title in titles))
    below = _LINE if labels else 0
    width, height = left + columns * (size + _APART) - _APART, rows * (size + below + _APART) - _APART
    canvas = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for k, crop in enumerate(crops):
        x, y = left + k % columns * (size + _APART), k // columns * (size + below + _APART)
        canvas.paste(Image.fromarray(crop).resize((size, size), Image.LANCZOS), (x, y))
        if k < len(frames) and frames[k]:
            draw.rectangle((x, y, x + size - 1, y + size - 1), outline=to_rgb(frames[k]), width=4)
        if k < len(labels):
            letters = next((n for n in range(_TEXT, 9, -1) if _measure(labels[k], n) <= size), 9)
            place = (x + size / 2, y + size + below / 2)
            _write(draw, place, labels[k], size=letters, tone=SOFT, anchor="mm")
    for row, title in enumerate(titles):
        y = row * (size + below + _APART) + size / 2
        _write(draw, (left - 12, y), title, size=_TEXT, anchor="rm")
    return canvas


def similarity_table(
    values: Float[np.ndarray, "n n"],
    crops: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    labels: Sequence[str],
    *,
    hue: tuple[int, int, int] = IDENTITY,
) -> Image.Image:
    """Draw cosines of faces as numbers on a ground of `hue`, grey where negative; faces are the headings."""
    count = len(values)
    if not count == len(crops) == len(labels):
        raise ValueError(f"A table of {count} faces got {len(crops)} crops and {len(labels)} labels.")
    side = _CELL * (count + 1)
    canvas = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i in range(count):
        face = round_corners(crops[i], _CELL - _GAP, corner=12)
        for x, y in (((i + 1) * _CELL, 0), (0, (i + 1) * _CELL)):
            canvas.paste(face[0], (x + _GAP // 2, y + _GAP // 2), face[1])
            _tag(draw, (x + _GAP // 2, y + _GAP // 2), labels[i])
        for j in range(count):
            _draw_cell(draw, ((j + 1) * _CELL, (i + 1) * _CELL), float(values[i, j]), hue, faint=i == j)
    return canvas


def _draw_cell(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    value: float,
    hue: tuple[int, int, int],
    *,
    faint: bool,
) -> None:
    x, y = place
    strength = min(1.0, abs(value)) * (0.35 if faint else 1.0)  # everyone is like themselves
    top = hue if value > 0 else SOFT
    ground = tuple(round(p + (t - p) * strength) for p, t in zip(PAPER, top, strict=True))
    box = (x + _GAP // 2, y + _GAP // 2, x + _CELL - _GAP // 2, y + _CELL - _GAP // 2)
    draw.rounded_rectangle(box, radius=10, fill=ground, outline=LINE, width=1)
    tone = PAPER if np.dot(ground, (0.299, 0.587, 0.114)) < 150 else SOFT if faint else INK
    _write(draw, (x + _CELL / 2, y + _CELL / 2), f"{value:.2f}", size=29, tone=tone, anchor="mm")


def face_map(
    points: Float[np.ndarray, "n 2"],
    crops: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    labels: Sequence[str],
    *,
    hue: tuple[int, int, int] = IDENTITY,
) -> Image.Image:
    """Draw faces where their points lie; faces that would hide each other part, tied to their points."""
    canvas = Image.new("RGB", (_MAP, _MAP), PAPER)
    draw = ImageDraw.Draw(canvas)
    middle = _MAP / 2
    for line in ((0, middle, _MAP, middle), (middle, 0, middle, _MAP)):
        draw.line(line, fill=LINE, width=2)
    reach = max(float(np.abs(points).max()), 1e-12)
    dots = middle + points * np.array([1, -1]) / reach * (middle - _PAD)  # up is up
    places = _spread(dots)
    for dot, place in zip(dots, places, strict=True):
        draw.line((*dot, *place), fill=hue, width=3)
        draw.ellipse((*(dot - 7), *(dot + 7)), fill=hue)
    for place, crop, label in zip(places, crops, labels, strict=True):
        corner = tuple(np.rint(place - _FACE / 2).astype(int).tolist())
        draw.ellipse((*(place - _FACE / 2 - 4), *(place + _FACE / 2 + 4)), fill=hue)
        face, mask = round_corners(crop, _FACE, corner=_FACE // 2)
        canvas.paste(face, corner, mask)
        _tag(draw, (corner[0] + 4, corner[1] + 4), label)
    return canvas


def _spread(dots: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 2"]:
    """Push places apart until faces hardly overlap."""
    turn = np.arange(len(dots)) * 2.4  # points on one another part in different directions
    places = dots + np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for _ in range(200):
        apart = places[:, None] - places[None]
        far = np.linalg.norm(apart, axis=-1) + 1e-9
        push = np.maximum(0.94 * _FACE - far, 0) * ~np.eye(len(dots), dtype=bool)
        places += 0.3 * (apart / far[..., None] * push[..., None]).sum(1)
        places = places.clip(_FACE / 2 + 6, _MAP - _FACE / 2 - 6)
        if push.max(initial=0.0) < 1:
            break
    return places


def dot_map(
    points: Float[np.ndarray, "n 2"],
    groups: Int[np.ndarray, " n"],
    *,
    reach: float,
    names: Sequence[str] = (),
    paths: Int[np.ndarray, " n"] | None = None,
) -> Image.Image:
    """Draw points, coloured by group.

    Args:
        points: about the origin.
        groups: 0, 1, 2, ...: the group of each point.
        reach: how far the axes go, so that maps of several steps compare; points beyond lie on the rim.
        names: of all groups, for a legend; none for no legend.
        paths: points of equal number are tied by a thin line, in order.
    """
    lines = -(-len(names) // _COLUMNS)
    canvas = Image.new("RGB", (2 * _DOTS, 2 * (_DOTS + 34 * lines)), PAPER)  # drawn twice as large: smooth
    draw = ImageDraw.Draw(canvas)
    for at in np.linspace(0, 2 * _DOTS - 1, 5):
        draw.line((at, 0, at, 2 * _DOTS), fill=LINE, width=2)
        draw.line((0, at, 2 * _DOTS, at), fill=LINE, width=2)
    places = _DOTS + (points * np.array([1, -1]) / reach).clip(-0.98, 0.98) * _DOTS
    for number in np.unique(paths) if paths is not None else ():
        draw.line(places[paths == number].flatten().tolist(), fill=SOFT, width=2)
    for place, group in zip(places, groups, strict=True):
        _draw_dot(draw, place, int(group))
    for number, name in enumerate(names):
        x, y = number % _COLUMNS * 2 * _DOTS / _COLUMNS, 2 * (_DOTS + 18 + 34 * (number // _COLUMNS))
        _draw_dot(draw, np.array([x + 22, y]), number)
        _write(draw, (x + 46, y), name, size=38, anchor="lm")
    return canvas.reduce(2)


def _draw_dot(draw: ImageDraw.ImageDraw, place: Float[np.ndarray, "2"], group: int) -> None:
    shapes = (draw.ellipse, draw.rectangle)
    shape = shapes[group // len(SERIES) % len(shapes)]
    for radius, fill in ((19, PAPER), (15, SERIES[group % len(SERIES)])):
        shape((*(place - radius), *(place + radius)), fill=fill)


def round_corners(
    crop: UInt8[np.ndarray, "_ _ 3"], size: int, *, corner: int
) -> tuple[Image.Image, Image.Image]:
    """Return a crop at `size`, and the mask that rounds its corners."""
    mask = Image.new("L", (4 * size, 4 * size))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, 4 * size - 1, 4 * size - 1), radius=4 * corner, fill=255)
    face = Image.fromarray(crop).resize((size, size), Image.LANCZOS)
    return face, mask.resize((size, size), Image.LANCZOS)


def _tag(draw: ImageDraw.ImageDraw, corner: tuple[int, int], label: str) -> None:
    """Write a label on a small dark plate."""
    x, y = corner
    width = _measure(label, 24) + 14
    draw.rounded_rectangle((x, y, x + width, y + 30), radius=8, fill=INK)
    _write(draw, (x + 7, y + 15), label, size=24, tone=PAPER, anchor="lm")


def decoupling_report(crops: Sequence[UInt8[np.ndarray, "_ _ 3"]], report: Mapping[str, Any]) -> Image.Image:
    """Draw faces with their shares of identity, action and residual, best actions, and how alike they are.

    Args:
        crops: the aligned crop of each face.
        report: `faces`, `identity_cosine` and `action_cosine`, as `iad decouple --json` prints them.
    """
    faces = report["faces"]
    if len(crops) != len(faces) or not faces:
        raise ValueError(
            f"A report needs a crop for each face, got {len(crops)} crops and {len(faces)} faces."
        )
    labels = list_labels(len(faces))
    likeness = {"Identity similarity": ("identity_cosine", IDENTITY)}
    likeness |= {"Action similarity": ("action_cosine", ACTION)}
    tables = {
        title: similarity_table(np.array(report[key]), crops, labels, hue=hue)
        for title, (key, hue) in (likeness.items() if len(faces) > 1 else ())
    }
    head = 128
    side_by_side = sum(table.width for table in tables.values()) + _MARGIN <= _WIDTH - 2 * _MARGIN
    below = sum(t.height + _TITLE for t in list(tables.values())[: 1 if side_by_side else None])
    width = max([_WIDTH] + [table.width + 2 * _MARGIN for table in tables.values()])
    canvas = Image.new("RGB", (width, head + _ROW * len(faces) + below + 24), PAPER)
    draw = ImageDraw.Draw(canvas)
    _write(draw, (_MARGIN, 34), "Identity, action, residual", size=32)
    below_title = "How much of each facial embedding is the person, what the face does, light and framing"
    _write(draw, (_MARGIN, 76), below_title, tone=SOFT)
    for row, (crop, face, label) in enumerate(zip(crops, faces, labels, strict=True)):
        _draw_face(canvas, head + row * _ROW, crop, face, label=label if len(faces) > 1 else "")
    x, y = _MARGIN, head + _ROW * len(faces)
    for title, table in tables.items():
        _write(draw, (x, y + 4), title, size=22)
        canvas.paste(table, (x, y + _TITLE - 12))
        x, y = (x + table.width + _MARGIN, y) if side_by_side else (x, y + table.height + _TITLE)
    return canvas


def list_labels(count: int) -> list[str]:
    """Name faces A, B, ... Z, then 27, 28, ..."""
    return [ascii_uppercase[i] if i < 26 else str(i + 1) for i in range(count)]


def _draw_face(
    canvas: Image.Image, top: int, crop: UInt8[np.ndarray, "_ _ 3"], face: Mapping[str, Any], *, label: str
) -> None:
    draw = ImageDraw.Draw(canvas)
    picture, mask = round_corners(crop, _CROP, corner=14)
    canvas.paste(picture, (_MARGIN, top), mask)
    width = _ACTIONS - _SHARES - 48
    name = "  ".join(filter(None, [label, str(face["file"]).replace("\\", "/").rsplit("/", 1)[-1]]))
    _write(draw, (_SHARES, top + 6), _shorten(name, 20, width), size=20)
    tones = {"identity": IDENTITY, "action": ACTION, "residual": RESIDUAL}
    shares = [(what, face[f"{what}_share"], tone) for what, tone in tones.items()]
    total, x = max(sum(share for _, share, _ in shares), 1e-9), float(_SHARES)
    for _, share, tone in shares:
        draw.rectangle((x, top + 44, x + width * share / total, top + 72), fill=tone)
        x += width * share / total
    for line, (what, share, tone) in enumerate(shares):
        y = top + 94 + 26 * line
        draw.rectangle((_SHARES, y - 7, _SHARES + 13, y + 6), fill=tone)
        _write(draw, (_SHARES + 24, y), what, anchor="lm")
        _write(draw, (_SHARES + 190, y), f"{share:.1%}", anchor="rm")
    _write(draw, (_SHARES, top + 174), f"cosine of the first two {face['cosine']:+.3f}", tone=SOFT, size=16)

    for line, match in enumerate(face["actions"][:6]):
        _draw_match(draw, top + 18 + 31 * line, match["prompt"], match["similarity"])


def _draw_match(draw: ImageDraw.ImageDraw, y: float, prompt: str, similarity: float) -> None:
    bar, right = _ACTIONS + 186, _WIDTH - _MARGIN - 56
    _write(draw, (bar - 16, y), _shorten(prompt, 18, 170), anchor="rm")
    draw.rectangle((bar, y - 8, right, y + 8), fill=LINE)
    length = (right - bar) * min(1.0, max(0.0, similarity))
    if length >= 1:
        draw.rectangle((bar, y - 8, bar + length, y + 8), fill=ACTION)
    _write(draw, (_WIDTH - _MARGIN, y), f"{similarity:.2f}", tone=SOFT, anchor="rm")


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    *,
    size: int = 18,
    tone: tuple[int, int, int] = INK,
    anchor: str = "la",
) -> None:
    draw.text(place, text, fill=tone, font=ImageFont.load_default(size), anchor=anchor)


def _measure(text: str, size: int) -> float:
    return ImageFont.load_default(size).getlength(text)


def _shorten(text: str, size: int, width: float) -> str:
    if _measure(text, size) <= width:
        return text
    while text and _measure(text + "...", size) > width:
        text = text[:-1]
    return text + "..."
