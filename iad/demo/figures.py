"""Plots as the page shows them: pictures inside the page, each with words for those who do not see it."""

import base64
import html
import io

import numpy as np
from PIL import Image, ImageDraw


def show_figure(
    picture: Image.Image, *, alt: str, title: str = "", caption: str = "", faces: bool = False
) -> str:
    """Put a plot into the page; its paper is white by day and dark by night.

    Args:
        picture: the plot.
        alt: what a screen reader says of it.
        title: a few words above it.
        caption: a sentence below it: what one should see.
        faces: it shows faces, so its paper is cut away; lines alone are turned dark by the page.
    """
    buffer = io.BytesIO()
    (cut_paper(picture) if faces else picture).save(buffer, format="PNG", compress_level=6)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    above = f"<h3>{html.escape(title)}</h3>" if title else ""
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    kind = "cut" if faces else "lines"
    return (
        f'<figure class="plot {kind}">{above}<img src="{source}" alt="{html.escape(alt)}" '
        f'width="{picture.width}" height="{picture.height}">{below}</figure>'
    )


def cut_paper(picture: Image.Image) -> Image.Image:
    """Make the paper transparent, as far as it reaches from the corners; white within a face stays."""
    width, height = picture.size
    reached = picture.convert("RGB")
    key = (1, 254, 3)  # a colour of no plot
    for corner in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        ImageDraw.floodfill(reached, corner, key, thresh=12)
    paper = (np.asarray(reached) == key).all(-1)
    cut = picture.convert("RGBA")
    cut.putalpha(Image.fromarray(np.where(paper, 0, 255).astype(np.uint8)))
    return cut


def show_grid(figures: list[str], *, wide: bool = False) -> str:
    """Lay figures side by side where there is room, else one below the other."""
    return f'<div class="plots{" wide" if wide else ""}">{"".join(figures)}</div>'
