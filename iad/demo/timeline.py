"""The timeline: bars on an axis of seconds and times to type, that say the same as the prompt."""

import html
from collections.abc import Sequence
from typing import Any

import gradio as gr

from iad.demo.runs import QUIET
from iad.demo.uploads import STRANGE, Click
from iad.request import LONGEST
from iad.text import Action, parse_prompt, split_prompt, write_timeline

MOST_LABELS = 5  # on the axis
HEADS = ("From (s)", "To (s)", "Action")
CELLS = ('inputmode="decimal"', 'inputmode="decimal"', 'placeholder="another action"')
# A bar is moved by its middle and stretched by its ends, a tenth of a second a step. Whatever is typed or
# dragged, all rows are sent.
TIMELINE_JS = """
const send = () => trigger('input', {rows: [...element.querySelectorAll('tbody tr')].map(
  row => [...row.querySelectorAll('input')].map(cell => cell.value))});
element.addEventListener('change', send);
element.addEventListener('pointerdown', event => {
  const bar = event.target.closest('.timeline span');
  if (!bar) return;
  event.preventDefault();
  const [index, seconds] = [Number(bar.dataset.index), Number(bar.dataset.seconds)];
  const [from, to] = element.querySelectorAll('tbody tr')[index].querySelectorAll('input');
  const box = bar.getBoundingClientRect(), second = bar.parentElement.clientWidth / seconds;
  const edge = Math.min(14, box.width / 3), within = (low, x, high) => Math.min(Math.max(x, low), high);
  const first = event.clientX - box.left < edge, last = box.right - event.clientX < edge;
  const start = Number(from.value), end = Number(to.value), size = end - start;
  const before = from.value + to.value;
  bar.onpointermove = now => {
    const by = (now.clientX - event.clientX) / second;
    const left = last ? start : within(0, start + by, first ? end - 0.1 : seconds - size);
    const right = first ? end : last ? within(start + 0.1, end + by, seconds) : left + size;
    [from.value, to.value] = [left, right].map(time => Number(time.toFixed(1)));
    bar.style.left = 100 * from.value / seconds + '%';
    bar.style.width = 100 * (to.value - from.value) / seconds + '%';
  };
  bar.onlostpointercapture = () => {
    bar.onpointermove = null;
    if (from.value + to.value !== before) send();
  };
  bar.setPointerCapture(event.pointerId);
});
"""

Rows = Sequence[Sequence[str]]


def build_timeline(prompt: Any, length: Any) -> None:
    """Lay out the editor inside the current block, and keep it and `prompt` in step.

    Args:
        prompt: the textbox.
        length: a number, the seconds of the clip.
    """
    with gr.Accordion("Timeline: what happens when", open=False, elem_id="timeline"):
        bars = gr.HTML(draw_timeline(prompt.value, length.value), elem_id="bars", js_on_load=TIMELINE_JS)
    quiet, changed = QUIET | {"show_progress": "hidden"}, [prompt.change, length.change]
    gr.on(changed, draw_timeline, [prompt, length], bars, trigger_mode="always_last", **quiet)
    bars.input(_change, [prompt, length], [prompt, bars], trigger_mode="multiple", **quiet)


def _change(prompt: str, duration: float, event: Click) -> tuple[Any, Any]:
    rows = event.read("rows", list)
    if not all(isinstance(row, list) and list(map(type, row)) == [str] * len(HEADS) for row in rows):
        raise gr.Error(STRANGE)
    try:
        return write_rows(prompt, rows, duration), gr.skip()
    except ValueError as error:  # told, not mended: which of the times is wrong, only the visitor knows
        return gr.skip(), draw_timeline(prompt, duration, error=str(error), rows=rows)


def write_rows(prompt: str, rows: Rows, duration: float) -> str:
    """Write the prompt anew from rows of from, to and action; what stands before its first time stays.

    A row without times takes what the others leave: it begins where the row before ends.

    Raises:
        ValueError: times that are none, or end before they start.
    """
    try:
        shared, written = split_prompt(prompt)
    except ValueError:
        shared, written = "", []
    actions, free = [], 0.0
    for start, end, action in rows:
        if action.strip():
            begin = _read_time(start, free)
            actions.append(Action(begin, _read_time(end, begin + 1.0), action))
            free = actions[-1].end
    if not written and len(actions) == 1 and (actions[0].start, actions[0].end) == (0, duration):
        return actions[0].prompt
    return write_timeline(actions, shared=shared if written else "")


def _read_time(text: str, otherwise: float) -> float:
    try:
        return float(text) if text.strip() else otherwise
    except ValueError:
        raise ValueError(f"{text!r} is no time; write seconds, for example 1.5.") from None


def draw_timeline(prompt: str, duration: float, *, error: str = "", rows: Rows | None = None) -> str:
    """Draw the prompt's actions over the seconds of the clip, with their times in cells; say what is wrong.

    Args:
        prompt: with times or without.
        duration: seconds of the clip; times beyond it make it longer.
        error: what is wrong with what was typed.
        rows: what was typed.
    """
    try:
        shared, actions = split_prompt(prompt)
    except ValueError as mistake:
        shared, actions, error = "", [], error or str(mistake)
    if shared and not actions:
        actions = [Action(0.0, duration, shared)]
    actions = sorted(actions, key=lambda a: a.start)
    duration = max([duration, *(action.end for action in actions)])
    if actions and not error:
        error = _find_mistake(prompt, duration)
    cells = rows or [[f"{a.start:g}", f"{a.end:g}", a.prompt] for a in actions]
    cells = [*(row for row in cells if row[2].strip()), ["", "", ""]]
    bars = "".join(_draw_bar(k, action, duration) for k, action in enumerate(actions))
    heads = "".join(f'<th scope="col">{head}</th>' for head in HEADS)
    body = "".join(_draw_row(k, row) for k, row in enumerate(cells))
    return (
        f'<div class="timeline" aria-hidden="true"><div>{bars}</div>{_draw_axis(duration)}</div>'
        f'<p class="note" role="status">{html.escape(error)}</p>'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _find_mistake(prompt: str, duration: float) -> str:
    try:
        parse_prompt(prompt, duration=min(duration, LONGEST))
    except ValueError as error:
        return str(error)
    return ""


def _draw_bar(index: int, action: Action, duration: float) -> str:
    place = f"left:{action.start / duration:.1%};width:{(action.end - action.start) / duration:.1%}"
    data = f'data-index="{index}" data-seconds="{duration:g}"'
    return f'<div><span style="{place}" {data}>{html.escape(action.prompt)}</span></div>'


def _draw_axis(duration: float) -> str:
    step = next(step for step in (0.5, 1, 2, 5, 10, 100) if duration / step <= MOST_LABELS)
    times = [k * step for k in range(int(duration / step) + 1)]
    ticks = "".join(f'<i style="left:{time / duration:.1%}">{time:g} s</i>' for time in times)
    return f'<div class="axis">{ticks}</div>'


def _draw_row(index: int, row: Sequence[str]) -> str:
    cells = (
        f'<td><input value="{html.escape(text)}" aria-label="{head}, row {index + 1}" {more}></td>'
        for head, text, more in zip(HEADS, row, CELLS, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"
