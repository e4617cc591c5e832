"""Backgrounds by name: out-of-focus places, painted from a seed.

`SCENES` names what captions may say; `paint` gives the picture that belongs to the name. Every scene is drawn
with simple shapes and then thrown out of focus as by a lens: bright spots grow into discs, structures melt.
"""

# fmt: off  (calls packed into a few lines: one argument a line would hide the pictures)
import zlib
from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8

from iad.portraits.canvas import SIDE, Canvas, blobs, bokeh, boxes, clouds, defocus, fade, rgb, ridge, uneven


def paint(name: str, seed: int, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Paint the named scene; name, seed and size decide every pixel.

    Raises:
        ValueError: There is no scene of that name.
    """
    if name not in SCENES:
        raise ValueError(f"There is no scene named {name!r}; choose one of: {', '.join(SCENES)}.")
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    canvas = SCENES[name](rng)
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
    canvas = canvas * rng.normal(1.0, 0.06) * rng.normal(1.0, 0.015, 3)
    canvas = cv2.resize(np.ascontiguousarray(canvas), (size, size), interpolation=cv2.INTER_AREA)
    return (np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8)


_LEAVES = [(58, 92, 38), (86, 122, 48), (110, 146, 62), (40, 70, 34), (134, 160, 82)]


def _backdrop(*colour: int) -> Callable[[np.random.Generator], Canvas]:
    """A plain backdrop of this colour, lit from somewhere behind the sitter."""

    def draw(rng):
        y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
        left, top = rng.uniform(0.25, 0.75), rng.uniform(0.3, 0.6)
        glow = np.exp(-((x - left) ** 2 + (y - top) ** 2) / 0.5)
        shade = rng.uniform(0.62, 0.85) + glow * rng.uniform(0.2, 0.45)
        return uneven(rgb(*colour) * shade[..., None].astype(np.float32), rng, 0.015)

    return draw


def _park(rng):
    canvas = fade((0, (196, 220, 236)), (0.3, (214, 226, 214)), (0.55, (140, 170, 92)), (1, (96, 138, 58)))
    blobs(canvas, rng, count=70, y=(0.0, 0.52), radius=(0.03, 0.15), colours=_LEAVES)
    boxes(canvas, rng, count=4, x=(0, 1), y=(0.6, 0.7), width=(0.02, 0.05), height=(0.3, 0.6),
        colours=[(70, 54, 42)])
    canvas = defocus(uneven(canvas, rng, 0.06, 6), 6)
    return bokeh(canvas, rng, count=22, y=(0, 0.5), colours=[(250, 250, 200), (220, 240, 190)],
        strength=(0.1, 0.4))


def _forest(rng):
    canvas = fade((0, (120, 150, 96)), (0.6, (62, 88, 46)), (1, (50, 56, 34)))
    blobs(canvas, rng, count=60, y=(0, 0.8), radius=(0.03, 0.1), colours=_LEAVES)
    for width in ((0.02, 0.05), (0.05, 0.1)):
        boxes(canvas, rng, count=7, x=(0, 1), y=(0.9, 1.1), width=width, height=(0.9, 1.2),
            colours=[(58, 46, 36), (40, 34, 28)])
    canvas = defocus(uneven(canvas, rng, 0.1, 8), 5)
    return bokeh(canvas, rng, count=14, y=(0, 0.6), colours=[(230, 240, 180)], strength=(0.1, 0.35))


def _autumn(rng):
    leaves = [(186, 110, 36), (206, 146, 52), (150, 70, 30), (120, 84, 40), (222, 176, 84)]
    canvas = fade((0, (226, 206, 160)), (0.6, (160, 110, 56)), (1, (120, 84, 48)))
    blobs(canvas, rng, count=90, y=(0, 0.85), radius=(0.03, 0.11), colours=leaves)
    boxes(canvas, rng, count=6, x=(0, 1), y=(0.9, 1.1), width=(0.02, 0.06), height=(0.9, 1.2),
        colours=[(60, 44, 34)])
    return bokeh(defocus(canvas, 6), rng, count=20, y=(0, 0.7), colours=[(255, 226, 150)],
        strength=(0.1, 0.4))


def _garden(rng):
    canvas = fade((0, (150, 178, 120)), (0.5, (96, 128, 64)), (1, (70, 104, 48)))
    blobs(canvas, rng, count=80, y=(0, 1), radius=(0.03, 0.09), colours=_LEAVES)
    flowers = [(214, 84, 120), (236, 196, 88), (240, 236, 232), (168, 96, 190), (224, 90, 60)]
    blobs(canvas, rng, count=70, y=(0.25, 1), radius=(0.012, 0.035), colours=flowers)
    return bokeh(defocus(canvas, 4.5), rng, count=12, y=(0, 0.4), colours=[(250, 250, 220)],
        strength=(0.1, 0.4))


def _street(rng):
    canvas = fade((0, (206, 220, 232)), (0.4, (216, 216, 212)), (0.75, (128, 126, 124)), (1, (104, 104, 106)))
    walls = [(176, 160, 142), (150, 120, 100), (196, 188, 178), (120, 116, 116), (160, 96, 78)]
    boxes(canvas, rng, count=9, x=(-0.1, 0.95), y=(0.72, 0.8), width=(0.12, 0.3), height=(0.35, 0.85),
        colours=walls)
    boxes(canvas, rng, count=70, x=(0, 1), y=(0.1, 0.7), width=(0.02, 0.03), height=(0.03, 0.06),
        colours=[(70, 80, 92), (210, 214, 210)])
    blobs(canvas, rng, count=8, y=(0.72, 0.82), radius=(0.03, 0.08), colours=[(150, 40, 40), (40, 60, 100),
        (220, 220, 222), (40, 40, 44)])
    return bokeh(defocus(canvas, 5), rng, count=8, y=(0.5, 0.8), colours=[(255, 230, 190), (255, 120, 100)],
        strength=(0.2, 0.5))


def _night(rng):
    canvas = fade((0, (14, 18, 34)), (0.6, (34, 32, 46)), (1, (26, 24, 30)))
    boxes(canvas, rng, count=9, x=(-0.1, 0.95), y=(0.8, 0.85), width=(0.12, 0.3), height=(0.4, 0.9),
        colours=[(22, 24, 36), (38, 32, 38), (52, 42, 40)])
    canvas = defocus(canvas, 5)
    lights = [
        (255, 190, 96),
        (255, 214, 150),
        (255, 90, 70),
        (110, 180, 255),
        (255, 240, 220),
        (110, 255, 170),
    ]
    return bokeh(canvas, rng, count=60, y=(0.1, 0.85), radius=(0.012, 0.055), colours=lights,
        strength=(0.3, 0.9))


def _neon(rng):
    canvas = fade((0, (24, 12, 44)), (1, (14, 16, 36)))
    colours = [(255, 40, 150), (40, 210, 255), (160, 70, 255), (255, 120, 50), (60, 255, 170)]
    for _ in range(9):
        ends = [(int(v[0]), int(v[1])) for v in rng.uniform(0, SIDE, (2, 2))]
        if rng.random() < 0.7:
            ends[1] = (ends[0][0], ends[1][1]) if rng.random() < 0.5 else (ends[1][0], ends[0][1])
        cv2.line(canvas, *ends, [float(c) for c in rgb(*colours[rng.integers(5)]) * 1.3],
            int(rng.integers(3, 8)))
    canvas = np.maximum(defocus(canvas, 5), defocus(canvas, 16) * 1.25)
    return bokeh(canvas, rng, count=14, colours=colours, strength=(0.2, 0.6))


def _office(rng):
    canvas = fade((0, (224, 226, 226)), (0.5, (206, 208, 210)), (1, (164, 160, 154)))
    boxes(canvas, rng, count=4, x=(-0.1, 0.9), y=(0.55, 0.65), width=(0.2, 0.3), height=(0.45, 0.6),
        colours=[(222, 236, 246), (236, 244, 250)])
    boxes(canvas, rng, count=7, x=(0, 1), y=(0.7, 1.0), width=(0.1, 0.26), height=(0.1, 0.3),
        colours=[(90, 96, 104), (180, 176, 170), (60, 66, 78), (150, 118, 88)])
    boxes(canvas, rng, count=5, x=(0, 1), y=(0.62, 0.75), width=(0.08, 0.14), height=(0.07, 0.1),
        colours=[(34, 38, 46), (110, 150, 190)])
    blobs(canvas, rng, count=7, x=(0.0, 0.25), y=(0.5, 0.8), radius=(0.03, 0.06), colours=_LEAVES)
    return bokeh(defocus(canvas, 6), rng, count=5, y=(0, 0.15), radius=(0.04, 0.07),
        colours=[(255, 255, 250)], strength=(0.3, 0.6))


def _library(rng):
    canvas = fade((0, (70, 50, 36)), (1, (54, 38, 28)))
    spines = [(140, 50, 40), (40, 66, 96), (60, 90, 64), (190, 160, 110), (96, 60, 40), (210, 196, 170)]
    for shelf in np.arange(rng.uniform(0.08, 0.2), 1.2, 0.2):
        x = 0.0
        while x < 1:
            width = rng.uniform(0.012, 0.035)
            boxes(canvas, rng, count=1, x=(x, x), y=(shelf, shelf), width=(width, width), height=(0.12, 0.17),
                colours=spines)
            x += width + 0.002
    canvas = defocus(canvas, 3.5)
    return bokeh(canvas, rng, count=5, y=(0, 0.4), radius=(0.03, 0.06), colours=[(255, 210, 140)],
        strength=(0.2, 0.6))


def _beach(rng):
    canvas = fade((0, (132, 186, 226)), (0.4, (196, 220, 234)), (0.42, (70, 140, 172)),
        (0.62, (104, 178, 190)),
                   (0.66, (232, 236, 228)), (0.7, (226, 204, 164)), (1, (206, 178, 134)))  # fmt: skip
    soft = (np.clip(clouds(rng, 3)[..., None] - 0.4, 0, 1) * np.linspace(1, -1.4, SIDE).clip(0, 1)[:, None,
        None])
    canvas = canvas * (1 - 0.6 * soft) + 0.6 * soft
    canvas = bokeh(defocus(canvas, 4), rng, count=24, y=(0.43, 0.6), radius=(0.008, 0.02),
        colours=[(255, 255, 250)], strength=(0.1, 0.5))
    return uneven(canvas, rng, 0.02, 8)


def _bricks(rng):
    canvas = np.tile(rgb(176, 162, 148), (SIDE, SIDE, 1)).astype(np.float32)
    base = [
        [(156, 82, 62), (140, 70, 54), (168, 98, 76)],
        [(190, 178, 164), (204, 196, 184)],
        [(104, 62, 52), (88, 54, 48)],
    ][rng.integers(3)]
    high, wide = int(rng.integers(12, 18)), int(rng.integers(30, 42))
    for row, y in enumerate(range(0, SIDE, high)):
        for x in range(-(row % 2) * wide // 2, SIDE, wide):
            colour = rgb(*base[rng.integers(len(base))]) * rng.normal(1, 0.08)
            cv2.rectangle(canvas, (x + 1, y + 1), (x + wide - 2, y + high - 2),
                [float(c) for c in np.clip(colour, 0, 1)], -1)
    slope = np.linspace(rng.uniform(0.8, 1.1), rng.uniform(0.8, 1.1), SIDE)[None, :, None]
    return defocus(uneven(uneven(canvas, rng, 0.06, 24), rng, 0.08) * slope, 1.6)


def _planks(rng):
    canvas = np.zeros((SIDE, SIDE, 3), np.float32)
    base = rgb(*[(150, 108, 72), (110, 78, 54), (178, 146, 110)][rng.integers(3)])
    wide = int(rng.integers(20, 34))
    for x in range(0, SIDE, wide):
        grain = cv2.resize(rng.normal(0, 1, (3, 9)).astype(np.float32), (wide, SIDE),
            interpolation=cv2.INTER_CUBIC)
        part = canvas[:, x : x + wide]
        part[:] = base * rng.normal(1, 0.07) * (1 + 0.06 * grain[:, : part.shape[1], None])
        part[:, :2] *= 0.55
    return defocus(uneven(canvas, rng, 0.06), 1.8)


def _snow(rng):
    canvas = fade((0, (176, 194, 214)), (0.42, (222, 228, 234)), (0.5, (236, 240, 246)), (1, (214, 222, 236)))
    blobs(canvas, rng, count=26, y=(0.34, 0.46), radius=(0.02, 0.07), colours=[(88, 104, 108),
        (120, 134, 138), (190, 200, 208)], flat=1.5)
    canvas = defocus(uneven(canvas, rng, 0.02), 5)
    return bokeh(canvas, rng, count=30, radius=(0.006, 0.018), colours=[(255, 255, 255)], strength=(0.3, 0.8))


def _cafe(rng):
    canvas = fade((0, (60, 44, 36)), (0.5, (104, 76, 56)), (1, (72, 52, 40)))
    boxes(canvas, rng, count=3, x=(-0.1, 0.8), y=(0.5, 0.6), width=(0.2, 0.35), height=(0.35, 0.55),
        colours=[(206, 196, 176), (176, 190, 196)])
    boxes(canvas, rng, count=10, x=(0, 1), y=(0.65, 1.0), width=(0.06, 0.2), height=(0.05, 0.25),
        colours=[(90, 58, 38), (140, 98, 64), (44, 36, 34), (190, 170, 140)])
    blobs(canvas, rng, count=10, y=(0.45, 0.7), radius=(0.02, 0.05), colours=[(220, 210, 196), (150, 60, 44),
        (60, 80, 70)])
    return bokeh(defocus(canvas, 6), rng, count=16, y=(0, 0.35), radius=(0.025, 0.06),
        colours=[(255, 196, 110), (255, 220, 160)], strength=(0.3, 0.8))


def _living_room(rng):
    wall = [(214, 202, 184), (190, 198, 196), (200, 180, 164)][rng.integers(3)]
    canvas = fade((0, wall), (0.68, wall), (0.7, (150, 116, 86)), (1, (120, 90, 66)))
    boxes(canvas, rng, count=1, x=(0.0, 0.6), y=(0.5, 0.55), width=(0.25, 0.35), height=(0.4, 0.48),
        colours=[(236, 242, 246)])
    boxes(canvas, rng, count=3, x=(0, 0.9), y=(0.25, 0.4), width=(0.1, 0.2), height=(0.1, 0.22),
        colours=[(80, 90, 110), (150, 90, 70), (60, 66, 60)])
    sofa = [[(96, 110, 126), (86, 100, 116)], [(160, 130, 104)], [(74, 96, 84)]][rng.integers(3)]
    boxes(canvas, rng, count=3, x=(-0.1, 0.6), y=(0.85, 0.95), width=(0.35, 0.6), height=(0.18, 0.28),
        colours=sofa, spread=0.03)
    blobs(canvas, rng, count=5, y=(0.66, 0.76), radius=(0.04, 0.07), colours=[(206, 150, 70), (190, 186, 176),
        (120, 60, 60)])
    blobs(canvas, rng, count=14, x=(0.85, 1.0), y=(0.3, 0.65), radius=(0.02, 0.06), colours=_LEAVES, flat=0.5)
    return bokeh(defocus(canvas, 6), rng, count=3, y=(0.15, 0.45), radius=(0.05, 0.09),
        colours=[(255, 226, 170)], strength=(0.3, 0.7))


def _kitchen(rng):
    canvas = fade((0, (226, 224, 218)), (0.55, (214, 212, 206)), (0.6, (130, 112, 94)),
        (0.64, (200, 198, 194)), (1, (184, 182, 178)))
    boxes(canvas, rng, count=5, x=(-0.1, 0.9), y=(0.3, 0.34), width=(0.16, 0.24), height=(0.3, 0.36),
        colours=[(238, 236, 232), (150, 168, 166), (120, 92, 68)], spread=0.03)
    boxes(canvas, rng, count=10, x=(0, 1), y=(0.58, 0.61), width=(0.03, 0.09), height=(0.06, 0.16),
        colours=[(60, 60, 64), (190, 60, 46), (200, 204, 206), (226, 190, 90), (90, 130, 80)])
    return bokeh(defocus(canvas, 5), rng, count=8, y=(0.05, 0.5), radius=(0.02, 0.04),
        colours=[(255, 244, 220)], strength=(0.2, 0.6))


def _sunset(rng):
    canvas = fade((0, (70, 84, 136)), (0.3, (156, 112, 142)), (0.55, (236, 140, 96)), (0.72, (255, 194, 116)),
        (0.76, (96, 62, 68)), (1, (44, 34, 46)))
    bands = cv2.GaussianBlur(cv2.resize(clouds(rng, 6)[:, :24], (SIDE, SIDE)), (0, 0), 3)[..., None]
    canvas = canvas * (1 + 0.12 * bands * np.linspace(1, -0.3, SIDE).clip(0, 1)[:, None, None])
    canvas = defocus(canvas, 3)
    return bokeh(canvas, rng, count=1, y=(0.62, 0.7), radius=(0.05, 0.08), colours=[(255, 240, 190)],
        strength=(0.8, 0.95))


def _mountains(rng):
    canvas = fade((0, (110, 160, 208)), (0.5, (206, 222, 234)), (1, (220, 226, 230)))
    for base, rough, colour in ((0.42, 0.06, (150, 168, 190)), (0.55, 0.05, (106, 126, 140)),
        (0.72, 0.04, (74, 96, 72))):
        ridge(canvas, rng, base=base, rough=rough, colour=colour)
    return defocus(uneven(canvas, rng, 0.03, 8), 3.5)


def _desert(rng):
    canvas = fade((0, (120, 168, 214)), (0.5, (228, 222, 206)), (1, (222, 190, 140)))
    for base, rough, colour in ((0.55, 0.02, (222, 184, 132)), (0.66, 0.03, (206, 160, 106)),
        (0.82, 0.03, (190, 142, 92))):
        ridge(canvas, rng, base=base, rough=rough, colour=colour)
    return defocus(uneven(canvas, rng, 0.03), 4)


def _lake(rng):
    canvas = fade((0, (150, 190, 222)), (0.38, (214, 226, 232)), (0.5, (120, 156, 170)), (1, (70, 112, 130)))
    blobs(canvas, rng, count=40, y=(0.36, 0.48), radius=(0.02, 0.06), colours=[(66, 92, 60), (50, 76, 54),
        (92, 112, 70)])
    middle, deep = SIDE // 2, 60
    mirrored = canvas[middle - deep : middle][::-1]
    canvas[middle : middle + deep] = canvas[middle : middle + deep] * 0.55 + mirrored * 0.4
    return bokeh(defocus(canvas, 4.5), rng, count=20, y=(0.55, 1), radius=(0.008, 0.02),
        colours=[(240, 250, 255)], strength=(0.1, 0.4))


def _stage(rng):
    canvas = fade((0, (20, 14, 34)), (1, (10, 8, 16)))
    for _ in range(6):
        x, tip = rng.uniform(-0.2, 1.2) * SIDE, rng.uniform(0, 1) * SIDE
        beam = np.zeros_like(canvas)
        colour = rgb(*[(255, 60, 120), (80, 120, 255), (255, 190, 90), (150, 80, 255)][rng.integers(4)]) * 0.5
        cv2.fillPoly(beam, [np.array([[tip, 0], [x - 30, SIDE], [x + 30, SIDE]], np.int32)],
            [float(c) for c in colour])
        canvas = canvas + beam * np.linspace(1, 0.1, SIDE)[:, None, None]
    lights = [(255, 240, 220), (255, 120, 170), (140, 170, 255)]
    return bokeh(defocus(np.clip(canvas, 0, 1), 6), rng, count=12, y=(0, 0.25), colours=lights,
        strength=(0.4, 0.9))


SCENES: dict[str, Callable[[np.random.Generator], Canvas]] = {
    "a sunny park": _park,
    "a city street at night": _night,
    "a city street": _street,
    "an office": _office,
    "a library": _library,
    "a beach": _beach,
    "a brick wall": _bricks,
    "a wooden wall": _planks,
    "a forest": _forest,
    "an autumn forest": _autumn,
    "a snowy field": _snow,
    "a cafe": _cafe,
    "a living room": _living_room,
    "a kitchen": _kitchen,
    "a sunset sky": _sunset,
    "neon lights": _neon,
    "a garden": _garden,
    "a mountain landscape": _mountains,
    "a desert": _desert,
    "a lake": _lake,
    "a concert stage": _stage,
    "a plain grey studio": _backdrop(150, 150, 152),
    "a plain white wall": _backdrop(226, 224, 220),
    "a plain blue backdrop": _backdrop(88, 128, 184),
    "a plain green backdrop": _backdrop(96, 146, 104),
    "a plain red backdrop": _backdrop(164, 62, 58),
    "a plain beige backdrop": _backdrop(206, 184, 152),
    "a dark studio": _backdrop(52, 52, 58),
}
