"""The tab "Losses": recorded trainings with and without each term, maps and probes of the split."""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import Float

from iad.demo.figures import show_figure, show_grid
from iad.demo.losses_words import (
    ABLATED_HEAD,
    ARMS,
    DEFAULT_TERMS,
    INTRODUCTION,
    SHIPPED_HEAD,
    TERMS,
    caption_term,
    describe_limits,
    describe_run,
    name_run,
    order_runs,
)
from iad.demo.runs import QUIET, plain_errors
from iad.plots import Trace, dot_map, draw_curves
from iad.plots.history import (
    ACTIONS,
    AT_REST,
    SHIPPED,
    Curve,
    Snapshot,
    find_actions,
    flatten,
    list_ablations,
    load_ablation,
    load_curves,
    probe_snapshot,
    smooth,
    turn_to,
)
from iad.plots.style import ACTION, IDENTITY, INK, SERIES, to_hex

FULL = "full"
COLOURS = (to_hex(INK), SERIES[2])  # of the full run and of the one beside it
PARTS = {"identity": to_hex(IDENTITY), "action": to_hex(ACTION)}
PAUSE = 0.9  # seconds between two snapshots when the training is played
MARGIN = 1.08  # of a map, around its outermost point
WAITING = '<p class="quiet">Drawing...</p>'


class Recordings:
    """The trainings recorded beside the shipped weights; what was drawn once is kept."""

    def __init__(self, folder: Path = SHIPPED):
        self.folder = folder
        self.names = order_runs(list_ablations(folder / "ablations"))
        self.load = lru_cache(maxsize=None)(lambda name: load_ablation(name, folder / "ablations"))
        self.logs = lru_cache(maxsize=None)(lambda name: load_curves(folder / "logs" / f"{name}.jsonl"))
        self.probe = lru_cache(maxsize=None)(self._probe)
        self.shipped_panel = lru_cache(maxsize=256)(self._draw_shipped)
        self.ablated_panel = lru_cache(maxsize=256)(self._draw_ablated)
        self.reach = lru_cache(maxsize=None)(self._reach)
        self.map = lru_cache(maxsize=256)(self._draw_map)
        self.probe_panel = lru_cache(maxsize=256)(self._draw_probe)

    def show_shipped(self, terms: Sequence[str], scale: str, smoothing: float) -> str:
        """Show the chosen terms over the shipped model's training."""
        with plain_errors():
            figures = [self.shipped_panel(term, scale == "log", smoothing) for term in _ordered(terms)]
        return show_grid(figures) if figures else _ask_for_terms()

    def show_ablated(self, name: str, terms: Sequence[str], scale: str, smoothing: float) -> tuple[str, str]:
        """Show the chosen terms of an ablation beside the full losses, and say what is left out."""
        with plain_errors():
            sentence = describe_run(self.load(name).without)
            wanted = [term for term in _ordered(terms) if term in self.load(FULL).curves]
            figures = [self.ablated_panel(name, term, scale == "log", smoothing) for term in wanted]
        return sentence, show_grid(figures) if figures else _ask_for_terms()

    def show_step(self, name: str, place: int, colours: str) -> tuple[str, str]:
        """Show the maps and the probes of one snapshot of an ablation beside the full losses."""
        with plain_errors():
            names = list(dict.fromkeys([FULL, name]))
            maps = [self.map(run, part, int(place), colours) for run in names for part in PARTS]
            probes = [self.probe_panel(name, probe, int(place)) for probe in PROBES]
        return show_grid(maps), show_grid(probes)

    def play(self, name: str, colours: str) -> Iterator[tuple[int, str, str]]:
        """Walk through the snapshots: where the slider stands, and what belongs there."""
        for place in range(1, len(self.load(FULL).snapshots) + 1):
            yield place, *self.show_step(name, place, colours)
            time.sleep(PAUSE)

    def _draw_shipped(self, term: str, log: bool, smoothing: float) -> str:
        split, joint = self.logs("decoupler"), self.logs("joint")
        joined = max(float(curve.minutes[-1]) for curve in split.values())
        if term == "diffusion":
            arms = [(key, label) for key, label in ARMS.items() if key in joint]
            traces = [
                _trace(joint[key], label, SERIES[k], smoothing, minutes=True, later=joined)
                for k, (key, label) in enumerate(arms)
            ]
        else:
            stages = (("the split alone", split, 0.0), ("with the video model", joint, joined))
            traces = [
                _trace(curves[term], label, SERIES[k], smoothing, minutes=True, later=later)
                for k, (label, curves, later) in enumerate(stages)
                if term in curves
            ]
        picture = draw_curves(traces, title=term, across="minutes", log=log)
        return show_figure(picture, alt=_describe_traces(term, traces), caption=caption_term(term))

    def _draw_ablated(self, name: str, term: str, log: bool, smoothing: float) -> str:
        runs = list(dict.fromkeys([FULL, name]))
        traces = [
            _trace(self.load(run).curves[term], name_run(run), colour, smoothing)
            for run, colour in zip(runs, COLOURS, strict=False)
        ]
        off = "" if self.load(name).weights.get(term, 1.0) else f" Not learned in the run {name_run(name)!r}."
        picture = draw_curves(traces, title=term, across="steps", log=log)
        return show_figure(picture, alt=_describe_traces(term, traces), caption=caption_term(term) + off)

    def _reach(self, part: str) -> float:
        """How far any point of any run lies out, so that all maps compare."""
        every = (snapshot for name in self.names for snapshot in self.load(name).snapshots)
        return MARGIN * max(float(np.abs(self._place(snapshot, part)).max()) for snapshot in every)

    def _place(self, snapshot: Snapshot, part: str) -> Float[np.ndarray, "n 2"]:
        """Lay a snapshot flat, turned to how the full run ended."""
        last, rows = self.load(FULL).snapshots[-1], getattr(snapshot, part)
        flat = _lay_flat(rows)
        return turn_to(flat, _lay_flat(getattr(last, part))) if len(rows) == len(last.person) else flat

    def _draw_map(self, name: str, part: str, place: int, colours: str) -> str:
        run, snapshot = self.load(name), self._find(name, place)
        points = self._place(snapshot, part)
        by_action = part == "action" and colours == "facial action"
        groups = find_actions(snapshot.coefficients) if by_action else _number(snapshot.person)
        names = (*ACTIONS, AT_REST) if by_action else ()
        picture = dot_map(points, groups, reach=self.reach(part), names=names, paths=snapshot.clip)
        spread, first = (_spread(getattr(s, part)) for s in (snapshot, run.snapshots[0]))
        title = f"{part.capitalize()}, {name_run(name)}"
        meaning = MEANINGS["facial action" if by_action else part]
        return show_figure(
            picture, title=title, alt=f"Map of {title.lower()}.",
            caption=f"Step {snapshot.step:,}. {meaning} Spread {spread:.1f}, {first:.1f} at first.",
        )  # fmt: skip

    def _draw_probe(self, name: str, probe: str, place: int) -> str:
        runs = list(dict.fromkeys([FULL, name]))
        traces = []
        for run in runs:
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
        picture = draw_curves(
            traces, title=title, across="steps", bounds=(low, 1.06), levels=levels,
            now=float(self._find(name, place).step),
        )  # fmt: skip
        return show_figure(picture, alt=_describe_traces(title, traces), caption=caption)

    def _probe(self, name: str, part: str) -> tuple[Any, ...]:
        return tuple(probe_snapshot(snapshot, part) for snapshot in self.load(name).snapshots)

    def _find(self, name: str, place: int) -> Snapshot:
        snapshots = self.load(name).snapshots
        return snapshots[min(max(place, 1), len(snapshots)) - 1]


PROBES = {  # attribute of a `Probe`: title, what one should see
    "person": (
        "Nearest face shows the same person",
        "Among faces of other clips, no reader taught. Identity should stay high, action fall as far as "
        "the true coefficients allow.",
    ),
    "own": (
        "Follows what the face does",
        "Rank correlation, within one person, between distances of embeddings and of true coefficients. "
        "Action should rise to 1, identity fall to 0.",
    ),
    "others": (
        "Means the same in other people",
        "The same correlation between different people. It rises only where an action is one and the same "
        "thing in everyone; identity should stay near 0.",
    ),
}
MEANINGS = {
    "identity": "A colour and shape is a person, a line one clip: each person should shrink to a point.",
    "action": "Coloured by person: no person should keep a corner of their own.",
    "facial action": "Coloured by what the face does most: equal colours should meet.",
}


def build_losses(pipeline: Any, consent: Any, *, folder: Path = SHIPPED) -> None:
    """Lay out the tab inside the current `gr.Tab`.

    Args:
        pipeline: not used; the recordings speak for themselves.
        consent: not used; no photo is looked at.
        folder: the weights beside which trainings were recorded.
    """
    tab, recordings = gr.context.Context.block, Recordings(folder)
    gr.HTML(INTRODUCTION)
    terms = gr.CheckboxGroup(
        list(TERMS), value=list(DEFAULT_TERMS), label="Terms to draw", elem_id="losses-terms"
    )
    with gr.Row(elem_id="losses-look"):
        scale = gr.Radio(
            ["linear", "log"], value="linear", label="Vertical axis", elem_id="losses-scale", min_width=140
        )
        smoothing = gr.Slider(
            0, 0.4, 0.1, step=0.02, label="Smoothing", info="Each point is the mean of this share of the run",
            elem_id="losses-smoothing", min_width=220,
        )  # fmt: skip
    gr.HTML(SHIPPED_HEAD)
    shipped = gr.HTML(WAITING, elem_id="losses-curves")
    opened, look = [tab.select] if isinstance(tab, gr.Tab) else [], [terms, scale, smoothing]
    changed = [*opened, terms.change, scale.change, smoothing.release]
    gr.on(changed, recordings.show_shipped, look, shipped, **_DRAWING)
    if recordings.names:
        _lay_out_ablations(recordings, opened=opened, look=look)


def _lay_out_ablations(recordings: Recordings, *, opened: list[Any], look: list[Any]) -> None:
    full = recordings.load(FULL)
    others = [name for name in recordings.names if name != FULL] or [FULL]
    gr.HTML(ABLATED_HEAD)
    run = gr.Dropdown(
        [(name_run(name)[0].upper() + name_run(name)[1:], name) for name in others], value=others[0],
        label="Compare all terms with this run", elem_id="losses-run",
    )  # fmt: skip
    sentence = gr.HTML(elem_id="losses-sentence")
    curves = gr.HTML(WAITING, elem_id="losses-ablated")
    terms, scale, smoothing = look
    changed = [*opened, run.change, terms.change, scale.change, smoothing.release]
    gr.on(changed, recordings.show_ablated, [run, *look], [sentence, curves], **_DRAWING)
    if not full.snapshots:
        return
    gr.HTML('<h2 class="section">The split on the way</h2>')
    with gr.Row(elem_id="losses-place"):
        count, steps = len(full.snapshots), [f"{s.step:,}" for s in full.snapshots]
        place = gr.Slider(
            1, max(count, 2), count, step=1, label="Snapshot", info=f"Taken after steps {', '.join(steps)}",
            elem_id="losses-step", min_width=240,
        )  # fmt: skip
        colours = gr.Radio(
            ["facial action", "person"], value="facial action", label="Colours of the action maps",
            elem_id="losses-colours", min_width=200,
        )  # fmt: skip
    play = gr.Button("Play the training", size="sm", elem_id="losses-play")
    maps, probes = gr.HTML(WAITING, elem_id="losses-maps"), gr.HTML(WAITING, elem_id="losses-probes")
    moved = [*opened, run.change, place.input, colours.change]
    gr.on(moved, recordings.show_step, [run, place, colours], [maps, probes], **_DRAWING)
    play.click(
        recordings.play, [run, colours], [place, maps, probes], api_visibility="private",
        concurrency_limit=8, show_progress="hidden",
    )  # fmt: skip
    shipped, last = recordings.logs("decoupler"), full.snapshots[-1]
    longest = max(int(curve.steps[-1]) for curve in shipped.values())
    people = len(np.unique(last.person))
    gr.HTML(describe_limits(steps=full.steps, shipped=longest, faces=len(last.person), people=people))


_DRAWING = QUIET | {"show_progress": "hidden", "trigger_mode": "always_last"}


def _trace(
    curve: Curve, name: str, colour: str, smoothing: float, *, minutes: bool = False, later: float = 0.0
) -> Trace:
    across = curve.minutes if minutes else curve.steps.astype(float)
    smoothed = smooth(curve.values, smoothing)
    return Trace(name, across + later, smoothed, colour, raw=curve.values if smoothing else None)


def _describe_traces(title: str, traces: Sequence[Trace]) -> str:
    ends = "; ".join(f"{t.name} from {t.y[0]:.3g} to {t.y[-1]:.3g}" for t in traces if len(t.y))
    return f"{title}: {ends}"


def _lay_flat(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    return flatten(rows)[0] / max(_spread(rows), 1e-12)


def _spread(rows: Float[np.ndarray, "n d"]) -> float:
    return float(np.sqrt(((rows - rows.mean(0)) ** 2).sum(1).mean()))


def _number(person: np.ndarray) -> np.ndarray:
    return np.unique(person, return_inverse=True)[1]


def _ordered(terms: Sequence[str] | None) -> list[str]:
    return [term for term in TERMS if term in (terms or ())]


def _ask_for_terms() -> str:
    return '<p class="quiet">Choose at least one term above.</p>'
