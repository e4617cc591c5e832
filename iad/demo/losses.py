"""The tab "Losses": recorded trainings with and without each term, and probes of the split on the way."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from iad.demo.figures import show_figure, show_grid
from iad.demo.losses_words import (
    INTRODUCTION,
    TERMS,
    caption_term,
    describe_limits,
    describe_run,
    name_run,
    order_runs,
)
from iad.demo.runs import QUIET, plain_errors
from iad.plots import Trace, draw_curves
from iad.plots.history import SHIPPED, Snapshot, list_ablations, load_ablation, probe_snapshot, smooth
from iad.plots.style import ACTION, IDENTITY, INK, SERIES, to_hex

FULL = "full"
COLOURS = (to_hex(INK), SERIES[2])  # of the full run and of the one beside it
PARTS = {"identity": to_hex(IDENTITY), "action": to_hex(ACTION)}
CURVES = 3  # that differ most are drawn
SMOOTHING = 0.1  # of a run; each point is the mean of this share of it
WAITING = '<p class="quiet">Drawing...</p>'
PROBES = {  # attribute of a `Probe`: title, what one should see
    "person": (
        "Nearest face shows the same person",
        "Identity should stay high, action fall as far as the true coefficients allow.",
    ),
    "own": (
        "Follows what the face does",
        "Within one person: action should rise to 1, identity fall to 0.",
    ),
    "others": (
        "Means the same in other people",
        "Between people: action should rise, identity stay near 0.",
    ),
}


class Recordings:
    """The trainings recorded beside the shipped weights; what was drawn once is kept."""

    def __init__(self, folder: Path = SHIPPED):
        self.folder = folder
        self.names = order_runs(list_ablations(folder / "ablations"))
        self.load = lru_cache(maxsize=None)(lambda name: load_ablation(name, folder / "ablations"))
        self.probe = lru_cache(maxsize=None)(self._probe)
        self.show_curves = lru_cache(maxsize=None)(self._show_curves)
        self.show_probes = lru_cache(maxsize=256)(self._show_probes)

    def list_differing(self, name: str) -> list[str]:
        """List the terms whose curves end furthest from those of the full losses, for how far they ran."""
        full, other = self.load(FULL).curves, self.load(name).curves
        apart = {}
        for term in TERMS.keys() & full.keys() & other.keys():
            one, two = (smooth(curves[term].values, SMOOTHING) for curves in (full, other))
            apart[term] = abs(one[-1] - two[-1]) / max(np.ptp([*one, *two]), 1e-9)
        return sorted(apart, key=apart.get, reverse=True)[:CURVES]

    def _show_curves(self, name: str) -> tuple[str, str]:
        """Say what a run leaves out, and draw what that changes."""
        with plain_errors():
            sentence = describe_run(self.load(name).without)
            return sentence, show_grid([self._draw_curves(name, term) for term in self.list_differing(name)])

    def _draw_curves(self, name: str, term: str) -> str:
        traces = [self._trace(run, term, colour) for run, colour in zip([FULL, name], COLOURS, strict=True)]
        off = "" if self.load(name).weights.get(term, 1.0) else f" Not learned in the run {name_run(name)!r}."
        picture = draw_curves(traces, title=term, across="steps")
        return show_figure(picture, alt=_describe_traces(term, traces), caption=caption_term(term) + off)

    def _trace(self, run: str, term: str, colour: str) -> Trace:
        curve = self.load(run).curves[term]
        values = smooth(curve.values, SMOOTHING)
        return Trace(name_run(run), curve.steps.astype(float), values, colour, raw=curve.values)

    def _show_probes(self, name: str, place: int) -> str:
        """Draw the probes of an ablation beside the full losses', and say their values at a snapshot."""
        with plain_errors():
            return show_grid([self._draw_probe(name, probe, place) for probe in PROBES])

    def _draw_probe(self, name: str, probe: str, place: int) -> str:
        traces = []
        for run in (FULL, name):
            for part, colour in PARTS.items():
                found = [getattr(values, probe) for values in self.probe(run, part)]
                steps = np.array([s.step for s in self.load(run).snapshots], float)
                label = part if run == FULL else f"{part}, {name_run(run)}"
                traces.append(Trace(label, steps, np.array(found), colour, dashed=run != FULL))
        title, caption = PROBES[probe]
        levels = [(0.0, "")]
        if probe == "person":
            levels = [(self.probe(FULL, "coefficients")[-1].person, "coefficients alone")]
        low = min(0.0, *(float(trace.y.min()) for trace in traces)) - 0.06
        step = self._find(name, place).step
        picture = draw_curves(
            traces, title=title, across="steps", bounds=(low, 1.06), levels=levels, now=float(step)
        )
        now = "; ".join(f"{trace.name} {trace.y[min(place, len(trace.y)) - 1]:.2f}" for trace in traces)
        caption = f"{caption} After {step:,} steps: {now}."
        return show_figure(picture, alt=_describe_traces(title, traces), caption=caption)

    def _probe(self, name: str, part: str) -> tuple[Any, ...]:
        return tuple(probe_snapshot(snapshot, part) for snapshot in self.load(name).snapshots)

    def _find(self, name: str, place: int) -> Snapshot:
        snapshots = self.load(name).snapshots
        return snapshots[min(max(place, 1), len(snapshots)) - 1]


def build_losses(pipeline: Any, consent: Any, *, folder: Path = SHIPPED) -> None:
    """Lay out the tab inside the current `gr.Tab`.

    Args:
        pipeline: not used; the recordings speak for themselves.
        consent: not used; no photo is looked at.
        folder: the weights beside which trainings were recorded.
    """
    tab, recordings = gr.context.Context.block, Recordings(folder)
    gr.HTML(INTRODUCTION)
    others = [name for name in recordings.names if name != FULL]
    if not others:
        return
    full = recordings.load(FULL)
    run = gr.Dropdown(
        [(name_run(name)[0].upper() + name_run(name)[1:], name) for name in others], value=others[0],
        label="Compare all terms with this run", elem_id="losses-run",
    )  # fmt: skip
    sentence, curves = gr.HTML(), gr.HTML(WAITING, elem_id="losses-curves")
    opened = [tab.select] if isinstance(tab, gr.Tab) else []
    drawing = QUIET | {"show_progress": "hidden", "trigger_mode": "always_last"}
    gr.on([*opened, run.change], recordings.show_curves, run, [sentence, curves], **drawing)
    if full.snapshots:
        count, steps = len(full.snapshots), [f"{s.step:,}" for s in full.snapshots]
        place = gr.Slider(
            1, max(count, 2), count, step=1, label="Snapshot", info=f"Taken after steps {', '.join(steps)}",
            elem_id="losses-step",
        )  # fmt: skip
        probes = gr.HTML(WAITING, elem_id="losses-probes")
        moved = [*opened, run.change, place.input]
        gr.on(moved, recordings.show_probes, [run, place], probes, **drawing)
    gr.HTML(describe_limits(steps=full.steps))


def _describe_traces(title: str, traces: Sequence[Trace]) -> str:
    ends = "; ".join(f"{t.name} from {t.y[0]:.3g} to {t.y[-1]:.3g}" for t in traces if len(t.y))
    return f"{title}: {ends}"
