"""Recorded trainings: logs, snapshots, small probes, and maps that do not turn."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from iad.plots.history import (
    SHIPPED,
    Snapshot,
    flatten,
    list_ablations,
    load_ablation,
    load_curves,
    probe_snapshot,
    smooth,
)

SUMS = {"total", "L_ID", "L_TA"}  # of terms


def write_log(file, *entries):
    file.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return file


def make_snapshot(*, people=5, seed=0):
    """Make the best split there is: identity says who it is and nothing else, action the coefficients."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), 8)
    coefficients = rng.random((len(person), 60))
    identity = rng.normal(size=(people, 12))[person] + rng.normal(0, 1e-4, (len(person), 12))
    axes = np.linalg.qr(rng.normal(size=(60, 60)))[0]
    return Snapshot(7, identity, 3 * coefficients @ axes, coefficients, person, np.repeat(np.arange(10), 4))


def test_every_number_of_a_log_becomes_a_curve(tmp_path):
    log = write_log(
        tmp_path / "a.jsonl",
        {"step": 5, "minutes": 0.5, "swap": 2.0},
        {"step": 10, "minutes": 1.0, "swap": 1.0, "diffusion": 0.5},
    )
    curves = load_curves(log)
    assert set(curves) == {"swap", "diffusion"}
    assert curves["swap"].steps.tolist() == [5, 10] and curves["swap"].values.tolist() == [2.0, 1.0]
    assert curves["diffusion"].minutes.tolist() == [1.0]
    without_clock = load_curves(write_log(tmp_path / "b.jsonl", {"step": 0, "swap": 1.0}))
    assert np.isnan(without_clock["swap"].minutes).all()


def test_a_resumed_training_is_told_as_one(tmp_path):
    log = write_log(
        tmp_path / "a.jsonl",
        *({"step": step, "minutes": clock, "swap": value} for step, clock, value in (
            (10, 1.0, 5.0), (20, 2.0, 4.0), (30, 3.0, 9.0), (20, 0.5, 3.0), (40, 1.5, 2.0), (50, 0.25, 1.0),
        )),
    )  # fmt: skip
    curve = load_curves(log)["swap"]
    assert curve.steps.tolist() == [10, 20, 40, 50]
    assert curve.values.tolist() == [5.0, 3.0, 2.0, 1.0]
    assert curve.minutes.tolist() == [1.0, 1.5, 2.5, 2.75]


def test_mistakes_are_told_in_a_sentence(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"step": 1}\n{"minutes": 2}\n')
    with pytest.raises(ValueError, match="Line 2 of .*bad.jsonl is no log entry"):
        load_curves(tmp_path / "bad.jsonl")
    with pytest.raises(ValueError, match="no log none.jsonl"):
        load_curves(tmp_path / "none.jsonl")
    with pytest.raises(ValueError, match="no ablation 'without-sense'; choose one of full, "):
        load_ablation("without-sense")


def test_smoothing_takes_means_of_neighbours_and_shifts_nothing():
    values = np.array([0.0, 0.0, 6.0, 0.0, 0.0])
    assert smooth(values, 0.0).tolist() == values.tolist()
    assert smooth(values, 0.4).tolist() == [0.0, 2.0, 2.0, 2.0, 0.0]
    line = np.arange(50.0)
    assert np.allclose(smooth(line, 0.2)[5:-5], line[5:-5])
    assert np.allclose(smooth(np.full(9, 3.0), 0.4), 3.0)


def test_probes_know_the_best_split_and_the_worst():
    best = make_snapshot()
    identity, action = (probe_snapshot(best, part) for part in ("identity", "action"))
    assert identity.person == 1.0 and identity.chance == pytest.approx(4 / 36)
    assert action.own == pytest.approx(1.0, abs=1e-6) and action.others == pytest.approx(1.0, abs=1e-6)
    assert abs(identity.own) < 0.25 and abs(identity.others) < 0.25
    assert action.person < 0.4
    worst = replace(best, identity=best.action, action=best.identity)
    assert probe_snapshot(worst, "action").person == 1.0
    assert probe_snapshot(worst, "identity").own > 0.9


def test_frames_of_the_same_clip_are_no_evidence():
    """Each clip has a place of its own, and neighbours of it belong to other people."""
    best = make_snapshot()
    place = best.clip[:, None] * np.array([[1.0, 0.0]]) + 0.01 * np.random.default_rng(1).normal(size=(40, 2))
    turned = np.stack([np.cos(place[:, 0] * 3), np.sin(place[:, 0] * 3)], axis=1)
    assert probe_snapshot(replace(best, identity=turned), "identity").person < 1.0


def test_what_never_changes_follows_nothing():
    still = replace(make_snapshot(), action=np.zeros((40, 12)))
    assert probe_snapshot(still, "action").own == 0.0 == probe_snapshot(still, "action").others


def test_the_shipped_ablations_can_be_read():
    names = list_ablations()
    assert names[0] == "full" and len(names) > 1
    for name in names:
        run = load_ablation(name)
        steps = [snapshot.step for snapshot in run.snapshots]
        assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == run.steps
        assert set(run.weights) == set(run.curves) - SUMS
        assert all(len(s.identity) == len(s.person) == len(s.clip) for s in run.snapshots)
    assert load_curves(SHIPPED / "logs" / "joint.jsonl")["diffusion"].steps.size > 10


def test_a_snapshot_is_read_as_it_was_written(tmp_path):
    best = make_snapshot()
    folder = tmp_path / "full"
    (folder / "snapshots").mkdir(parents=True)
    rows = {key: getattr(best, key).astype(np.float16) for key in ("identity", "action", "coefficients")}
    rows |= {key: getattr(best, key).astype(np.int32) for key in ("person", "clip")}
    save_file(rows, folder / "snapshots" / "0000123.safetensors")
    facts = {"without": ["swap"], "steps": 123, "L_ID": {"swap": 0.0}, "L_TA": {"match": 0.2}}
    (folder / "ablation.json").write_text(json.dumps(facts))
    write_log(folder / "log.jsonl", {"step": 0, "swap": 1.0})
    run = load_ablation("full", tmp_path)
    assert (run.without, run.weights) == (("swap",), {"swap": 0.0, "match": 0.2})
    assert run.snapshots[0].step == 123
    assert np.allclose(run.snapshots[0].action, best.action, rtol=2e-3, atol=2e-3)


def test_a_map_shows_the_plane_of_the_greatest_differences():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(30, 2)) * [5, 2]
    axes = np.linalg.qr(rng.normal(size=(9, 9)))[0][:2]
    points, share = flatten(flat @ axes + 4.0)
    assert share == pytest.approx(1.0)
    distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (points, flat)]
    assert np.allclose(*distances)
    assert flatten(rng.normal(size=(500, 10)))[1] < 0.35
    assert flatten(np.array([[1.0], [3.0]]))[0].shape == (2, 2)
    with pytest.raises(ValueError, match="at least 2 embeddings, got 1"):
        flatten(np.ones((1, 4)))
