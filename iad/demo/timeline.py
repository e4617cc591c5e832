"""The timeline editor: rows of from, to and action that say the same as the prompt."""

import html
import itertools
from collections.abc import Sequence
from typing import Any

import gradio as gr

from iad.text import Action, split_prompt, write_timeline

ROWS = 4


def build_timeline(prompt: Any, length: Any) -> None:
    """Lay out the editor inside the current block, and keep it and `prompt` in step.

    Args:
        prompt: the textbox.
        length: a number, the seconds of the clip; its maximum is that of all times.
    """
    with gr.Accordion("Timeline: what happens when", open=False, elem_id="timeline"):
        bar = gr.HTML(draw_bar("", length.value), elem_id="timeline-bar")
        rows = [_lay_out_row(k, length.maximum) for k in range(ROWS)]
    cells = list(itertools.chain.from_iterable(rows))
    quiet = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
    shown = {"trigger_mode": "always_last", **quiet}
    gr.on([prompt.change, length.change], draw_bar, [prompt, length], bar, **shown)
    gr.on([prompt.blur, prompt.submit], fill_rows, [prompt, length], cells, **quiet)
    for start, end, action in rows:
        for event in (start.blur, end.blur, action.blur, start.submit, end.submit, action.submit):
            event(_read_cells, [prompt, length, *cells], prompt, **quiet)


def _read_cells(prompt: str, duration: float, *values: float | str | None) -> str:
    return read_rows(prompt, values, duration)


def _lay_out_row(index: int, duration: float) -> tuple[Any, Any, Any]:
    with gr.Row(elem_classes="moment"):
        times = {"minimum": 0, "maximum": duration, "step": 0.1, "min_width": 64, "scale": 1}
        start, end = (
            gr.Number(
                None,
                label=f"Row {index + 1}: {word} (s)",
                placeholder=word,
                elem_id=f"{word}-{index}",
                **times,
            )
            for word in ("from", "to")
        )
        action = gr.Textbox(
            label=f"Row {index + 1}: what happens", placeholder="smiles", min_width=120, scale=4,
            max_length=200, elem_id=f"action-{index}",
        )  # fmt: skip
    return start, end, action


def fill_rows(prompt: str, duration: float) -> list[float | str | None]:
    """Return the cells that say what the prompt says; nothing is filled in where it has no times."""
    try:
        _, actions = split_prompt(prompt)
    except ValueError:  # half written, or told at the click on Generate
        actions = []
    cells: list[float | str | None] = []
    for action in sorted(actions, key=lambda a: a.start)[:ROWS]:
        cells += [float(action.start), float(action.end), action.prompt]
    return cells + [None, None, ""] * (ROWS - len(cells) // 3)


def read_rows(prompt: str, values: Sequence[float | str | None], duration: float) -> str:
    """Write the prompt anew from the cells; what stands before its first time stays.

    A row without times takes what the others leave: it begins where the row before ends.
    """
    try:
        shared, written = split_prompt(prompt)
    except ValueError:
        shared, written = "", []
    actions, free = [], 0.0
    for start, end, action in zip(values[::3], values[1::3], values[2::3], strict=True):
        if not str(action or "").strip():
            continue
        start = free if start is None else float(start)
        end = min(duration, start + 1.0) if end is None else float(end)
        if start >= end:  # told, not mended: which of the two is wrong, only the visitor knows
            raise gr.Error(
                f"A row runs from {start:g} to {end:g} s; the end must follow the start.", duration=6
            )
        actions.append(Action(start, end, str(action)))
        free = end
    if not actions:
        return shared if written else prompt
    return write_timeline(actions, shared=shared if written else "")


def draw_bar(prompt: str, duration: float) -> str:
    """Show the prompt's actions as blocks along the clip; calm stretches stay empty."""
    try:
        shared, actions = split_prompt(prompt)
    except ValueError:
        shared, actions = "", []
    if shared and not actions:
        actions = [Action(0.0, duration, shared)]
    duration = max([duration, *(action.end for action in actions)])  # the clip becomes as long
    blocks = "".join(
        f'<span style="left:{a.start / duration:.1%};width:{(a.end - a.start) / duration:.1%}" '
        f'title="{a.start:g} to {a.end:g} s">{html.escape(a.prompt)}</span>'
        for a in actions
    )
    ticks = "".join(
        f'<i style="left:{s / duration:.1%}">{round(s, 1):g} s</i>' for s in (0, duration / 2, duration)
    )
    return f'<div class="timeline" aria-hidden="true"><div>{blocks}</div>{ticks}</div>'
