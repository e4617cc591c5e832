"""What trainings left behind: curves of their losses, and some embeddings at a few steps.

In come the folders `logs/` and `ablations/` that lie beside shipped weights; out come curves, snapshots,
three small probes of a snapshot, and the plane in which embeddings differ most. Nothing here needs torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

SHIPPED = Path(__file__).parents[1] / "weights" / "mini"


@dataclass(frozen=True)
class Curve:
    """One number over a training: its values, and at which steps and minutes they were taken."""

    steps: Int[np.ndarray, " n"]
    minutes: Float[np.ndarray, " n"]  # NaN where the log does not say
    values: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Snapshot:
    """The split of some faces at one step, with the truth about them.

    `identity` and `action` are random projections, which keep distances; `coefficients` are 57 expression
    weights and the head pose.
    """

    step: int
    identity: Float[np.ndarray, "n d"]
    action: Float[np.ndarray, "n e"]
    coefficients: Float[np.ndarray, "n k"]
    person: Int[np.ndarray, " n"]
    clip: Int[np.ndarray, " n"]


@dataclass(frozen=True)
class Ablation:
    """A recorded training: what was left out of the losses, and what came of it."""

    name: str
    without: tuple[str, ...]
    steps: int
    weights: Mapping[str, float]  # of every term of both losses; 0 is off
    curves: Mapping[str, Curve]
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True)
class Probe:
    """How much of the person, and how much of the action, an embedding tells.

    Attributes:
        person: how often the nearest face of another clip shows the same person.
        chance: the same for a face drawn by chance.
        own: rank correlation of distances between embeddings and between coefficients, within a person.
        others: the same across people.
    """

    person: float
    chance: float
    own: float
    others: float


def load_curves(file: Path) -> dict[str, Curve]:
    """Read a log, one JSON object a line; every number in it becomes a curve.

    Raises:
        ValueError: there is no such log, or a line of it is damaged.
    """
    if not file.is_file():
        raise ValueError(f"There is no log {file.name} in {file.parent}; train the stage that writes it.")
    rows: dict[str, list[tuple[int, float, float]]] = {}
    for step, minutes, entry in _follow(_read_lines(file)):
        for key, value in entry.items():
            rows.setdefault(key, []).append((step, minutes, float(value)))
    columns = {key: np.array(values, np.float64).T for key, values in rows.items()}
    return {key: Curve(steps.astype(int), minutes, y) for key, (steps, minutes, y) in columns.items()}


def _read_lines(file: Path) -> list[tuple[int, float, dict[str, float]]]:
    lines = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        try:
            entry = json.loads(line)
            lines.append((int(entry.pop("step")), float(entry.pop("minutes", np.nan)), entry))
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"Line {number} of {file} is no log entry; expected JSON with a step."
            ) from error
    return lines


def _follow(lines: list[tuple[int, float, dict]]) -> list[tuple[int, float, dict]]:
    """Tell a training that was resumed as one: what it fell behind of is dropped, its minutes go on."""
    kept: list[tuple[int, float, dict]] = []
    before, clock = 0.0, 0.0
    for step, minutes, entry in lines:
        while kept and kept[-1][0] >= step:
            kept.pop()
        if minutes < clock:  # the clock began again
            before = kept[-1][1] if kept else 0.0
        clock = minutes
        kept.append((step, before + minutes, entry))
    return kept


def list_ablations(folder: Path = SHIPPED / "ablations") -> tuple[str, ...]:
    """Name the recorded ablations of a folder, "full" first."""
    names = sorted(path.parent.name for path in folder.glob("*/ablation.json"))
    return tuple(sorted(names, key=lambda name: name != "full"))


def load_ablation(name: str, folder: Path = SHIPPED / "ablations") -> Ablation:
    """Read a recorded ablation.

    Raises:
        ValueError: there is none of this name.
    """
    known = list_ablations(folder)
    if name not in known:
        raise ValueError(f"There is no ablation {name!r}; choose one of {', '.join(known) or 'none'}.")
    facts = json.loads((folder / name / "ablation.json").read_text())
    files = sorted((folder / name / "snapshots").glob("*.safetensors"))
    return Ablation(
        name=name,
        without=tuple(facts["without"]),
        steps=facts["steps"],
        weights=facts["L_ID"] | facts["L_TA"],
        curves=load_curves(folder / name / "log.jsonl"),
        snapshots=tuple(_load_snapshot(file) for file in files),
    )


def _load_snapshot(file: Path) -> Snapshot:
    from safetensors.numpy import load_file

    rows = load_file(file)
    numbers = (rows[key].astype(np.float64) for key in ("identity", "action", "coefficients"))
    return Snapshot(int(file.stem), *numbers, rows["person"].astype(int), rows["clip"].astype(int))


def smooth(values: Float[np.ndarray, " n"], share: float) -> Float[np.ndarray, " n"]:
    """Replace each value by the mean of those around it, as many as `share` of all; less at the edges."""
    reach = int(share * len(values) / 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.maximum(np.arange(len(values)) - reach, 0)
    last = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    return (sums[last] - sums[first]) / (last - first)


def probe_snapshot(snapshot: Snapshot, part: str) -> Probe:
    """Probe `identity` or `action` of a snapshot, without teaching a reader: faces are too few for that."""
    rows, person = getattr(snapshot, part), snapshot.person
    unit = rows - rows.mean(0)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    other_clip = snapshot.clip[:, None] != snapshot.clip[None]
    nearest = np.where(other_clip, unit @ unit.T, -np.inf).argmax(1)
    same = person[:, None] == person[None]
    first, second = np.triu_indices(len(rows), 1)
    apart, told = _distances(rows)[first, second], _distances(snapshot.coefficients)[first, second]
    own = [same[first, second] & (person[first] == name) for name in np.unique(person)]
    return Probe(
        person=float((person[nearest] == person).mean()),
        chance=float(((same & other_clip).sum(1) / other_clip.sum(1)).mean()),
        own=float(np.mean([_rank_correlation(apart[pairs], told[pairs]) for pairs in own])),
        others=_rank_correlation(apart[~same[first, second]], told[~same[first, second]]),
    )


def _distances(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    squares = (rows**2).sum(1)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0.0))


def _rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float:
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (x, y)]
    if len(x) < 3 or np.ptp(x) < 1e-12 or np.ptp(y) < 1e-12:
        return 0.0  # what never changes follows nothing
    return float(np.corrcoef(*ranks)[0, 1])


def flatten(rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], float]:
    """Find where rows lie in the plane in which they differ most (PCA); also its share of their variance.

    Raises:
        ValueError: fewer than two rows.
    """
    if len(rows) < 2:
        raise ValueError(f"A map needs at least 2 embeddings, got {len(rows)}; give more faces.")
    centred = np.asarray(rows, np.float64) - np.mean(rows, 0, dtype=np.float64)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    points = np.zeros((len(rows), 2))
    points[:, : strength.size] = (left * strength)[:, :2]
    return points, float((strength[:2] ** 2).sum() / max((strength**2).sum(), 1e-24))
