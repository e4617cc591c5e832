"""The split as geometry: the triangle of f, i and a, directions and their strength, faces in two of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from iad.plots.style import ACTION, IDENTITY, INK, LINE, SERIES, SOFT, create_figure, to_hex, to_picture

_ROOMY = 0.3  # side of a square, in lengths of f, in which its area can be written


def pythagoras(
    splits: Mapping[str, tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]],
) -> Image.Image:
    """Draw the triangle of i, a and f = i + a with the squares on its sides, lengths and angle true to scale.

    Args:
        splits: title, then (identity, action) of one face, a panel each.
    """
    figure, axes = create_figure(3.3 * len(splits), 3.5, columns=len(splits))
    for panel, (title, (identity, action)) in zip(axes[0], splits.items(), strict=True):
        _draw_triangle(panel, identity.astype(np.float64), action.astype(np.float64))
        panel.set(title=title, aspect="equal")
        panel.axis("off")
    return to_picture(figure)


def triangle(
    identity: Float[np.ndarray, " d"], action: Float[np.ndarray, " d"]
) -> tuple[Float[np.ndarray, "3 2"], float]:
    """Lay i + a = f into the plane with |f| = 1; returns the corners, and the angle of i and a in degrees."""
    facial = identity + action
    size = np.linalg.norm(facial)
    cosine = identity @ action / (np.linalg.norm(identity) * np.linalg.norm(action))
    i, a = np.linalg.norm(identity) / size, np.linalg.norm(action) / size
    corner = np.array([i, 0.0])
    end = corner + a * np.array([cosine, np.sqrt(1 - cosine**2)])
    return np.stack([np.zeros(2), corner, end]), float(np.degrees(np.arccos(cosine)))


def _draw_triangle(panel: Any, identity: np.ndarray, action: np.ndarray) -> None:
    from matplotlib.patches import Polygon

    corners, angle = triangle(identity, action)
    sides = [(1, 0, "i", IDENTITY), (2, 1, "a", ACTION), (0, 2, "f", INK)]
    for start, end, name, colour in sides:  # in this order every square lies outside
        along = corners[end] - corners[start]
        outwards = np.array([-along[1], along[0]])
        square = [corners[start], corners[end], corners[end] + outwards, corners[start] + outwards]
        panel.add_patch(Polygon(square, facecolor=to_hex(colour), alpha=0.16, linewidth=0))
        panel.plot(*np.stack([corners[start], corners[end]]).T, color=to_hex(colour), linewidth=2.6)
        inside = np.linalg.norm(along) > _ROOMY
        place = np.mean(square, axis=0) if inside else (corners[start] + corners[end]) / 2 + 1.15 * outwards
        area = f"$|{name}|^2$\n{along @ along:.2f}" if inside else f" $|{name}|^2$ {along @ along:.2f}"
        anchor = {"ha": "center", "va": "center"} if inside else {"ha": "left", "va": "center"}
        panel.text(*place, area, color=to_hex(colour), **anchor)
    i, a = (float(np.sum((corners[k] - corners[k - 1]) ** 2)) for k in (1, 2))
    panel.text(0.5, -0.02, f"angle {angle:.1f}°,  {i:.2f} + {a:.2f} = {i + a:.2f}", ha="center", va="top",
               transform=panel.transAxes, color=to_hex(SOFT))  # fmt: skip
    panel.autoscale_view()


def strength_of_directions(
    curves: Mapping[str, Float[np.ndarray, " k"]], *, taken: int = 0, most: int = 40
) -> Image.Image:
    """Draw how much there is in every direction, strongest first, as shares of the whole.

    Args:
        curves: eigenvalues of a scatter matrix, largest first.
        taken: how many directions are taken for action; they are shaded.
        most: how many directions to draw.
    """
    figure, axes = create_figure(6.4, 3.0)
    panel = axes[0, 0]
    for (name, values), colour in zip(curves.items(), (ACTION, IDENTITY), strict=False):
        shares = values[:most] / values.sum()
        panel.plot(
            np.arange(1, len(shares) + 1), shares, "o-", markersize=3.5, label=name, color=to_hex(colour)
        )
    if taken:
        panel.axvspan(0.5, taken + 0.5, color=to_hex(LINE), zorder=0)
        panel.text(
            taken + 0.8, panel.get_ylim()[1] * 0.93, f"the first {taken}", va="top", color=to_hex(SOFT)
        )
    panel.set(xlabel="direction", ylabel="share of all variation", xlim=(0.5, most + 0.5), ylim=(0, None))
    panel.legend(loc="upper right", frameon=False)
    return to_picture(figure)


def scatter_faces(
    panels: Mapping[str, Float[np.ndarray, "n 2"]],
    label: Int[np.ndarray, " n"],
    names: Sequence[str],
    *,
    axes: tuple[str, str],
) -> Image.Image:
    """Draw faces as points in two directions, coloured by label, the same scale in every panel.

    Args:
        panels: title and coordinates.
        label: index into `names` of every face.
        names: what the colours mean.
        axes: what the two directions are.
    """
    figure, frames = create_figure(
        4.1 * len(panels) + 1.2, 3.7, columns=len(panels), sharex=True, sharey=True
    )
    for panel, (title, points) in zip(frames[0], panels.items(), strict=True):
        for k, name in enumerate(names):
            shown = points[label == k]
            panel.plot(*shown.T, "o", color=SERIES[k % len(SERIES)], markersize=4, alpha=0.85, label=name,
                       markeredgewidth=0)  # fmt: skip
        panel.set(title=title, xlabel=axes[0])
    frames[0, 0].set_ylabel(axes[1])
    frames[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return to_picture(figure)
