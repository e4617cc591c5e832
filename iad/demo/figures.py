"""Plots as the page shows them: pictures inside the page, each with words for those who do not see it."""

import base64
import html
import io

from PIL import Image


def show_figure(picture: Image.Image, *, alt: str, title: str = "", caption: str = "") -> str:
    """Put a plot into the page, on a white card.

    Args:
        picture: the plot.
        alt: what a screen reader says of it.
        title: a few words above it.
        caption: a sentence below it: what one should see.
    """
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=6)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    above = f"<h3>{html.escape(title)}</h3>" if title else ""
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="plot">{above}<img src="{source}" alt="{html.escape(alt)}" '
        f'width="{picture.width}" height="{picture.height}">{below}</figure>'
    )


def show_grid(figures: list[str], *, wide: bool = False) -> str:
    """Lay figures side by side where there is room, else one below the other."""
    return f'<div class="plots{" wide" if wide else ""}">{"".join(figures)}</div>'
