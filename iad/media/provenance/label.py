"""The label that a viewer sees: "AI-generated" in a corner of every frame."""

import functools

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

TEXT = "AI-generated"
SMALLEST_TEXT = 9  # pixels; smaller letters cannot be read


def draw_label(frames: UInt8[np.ndarray, "f h w 3"]) -> UInt8[np.ndarray, "f h w 3"]:
    """Draw the label into the lower left corner of copies of the frames."""
    height, width = frames.shape[1:3]
    mark = _make_mark(min(height, width))
    margin = round(0.02 * min(height, width))
    # Frames smaller than the label show its beginning.
    mark = mark[:height, :width]
    top, left = max(0, height - margin - mark.shape[0]), min(margin, width - mark.shape[1])
    corner = np.s_[:, top : top + mark.shape[0], left : left + mark.shape[1]]
    alpha = mark[..., 3:] / 255
    labelled = frames.copy()
    labelled[corner] = np.rint(frames[corner] * (1 - alpha) + mark[..., :3] * alpha).astype(np.uint8)
    return labelled


@functools.cache
def _make_mark(side: int) -> Float[np.ndarray, "h w 4"]:
    """Draw white letters on a dark, rounded, half-transparent ground, for frames of `side` pixels."""
    size = max(SMALLEST_TEXT, round(0.036 * side))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(TEXT)
    pad = round(0.45 * size)
    width, height = int(right - left) + 2 * pad, int(bottom - top) + 2 * round(0.32 * size)
    ground = Image.new("RGBA", (4 * width, 4 * height))  # drawn large, so that the corners come out round
    ImageDraw.Draw(ground).rounded_rectangle(
        (0, 0, 4 * width - 1, 4 * height - 1), 1.4 * size, (18, 18, 20, 165)
    )
    mark = ground.resize((width, height), Image.LANCZOS)
    text = Image.new("RGBA", mark.size)
    ImageDraw.Draw(text).text(
        (pad - left, (height - bottom + top) / 2 - top), TEXT, (255, 255, 255, 255), font
    )
    return np.asarray(Image.alpha_composite(mark, text)).astype(float)
