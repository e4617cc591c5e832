"""A batch makes every clip once: bad lines do not stop it, and an interrupted one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import cut_portrait

import iad
from iad import batch
from iad.batch import making
from iad.cli import main
from iad.config import PRESETS
from iad.media import video
from iad.request import Request

PORTRAIT = cut_portrait()
ROOT = Path(__file__).parents[1]


class FakePipeline:
    """Stands for the pipeline: frames whose grey is the seed; the prompt "break" breaks it."""

    calls: list
    preset = PRESETS["tiny"]

    @classmethod
    def from_pretrained(cls, name, *, device):
        return cls()

    def generate(self, request):
        self.calls.append(replace(request, reference=[photo.read_bytes() for photo in request.references]))
        if request.prompt == "fail":
            raise ValueError("No face found\nin the photo.")
        if request.prompt == "break":
            raise ZeroDivisionError("division by zero")
        if request.prompt == "interrupt":
            raise KeyboardInterrupt
        frames = np.full((2, 32, 32, 3), request.seed, np.uint8)
        return types.SimpleNamespace(
            frames=frames,
            seconds=0.5,
            scores={"identity": np.array([0.5, 0.7]), "action": float("nan"), "detected": 1.0},
            notes=["a note"],
            save=lambda path: video.save(path, frames, 8),
        )


@pytest.fixture
def pipeline(monkeypatch):
    FakePipeline.calls = []
    making.load.cache_clear()
    monkeypatch.setitem(vars(iad), "IaDPipeline", FakePipeline)
    yield FakePipeline
    making.load.cache_clear()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(PORTRAIT.read_bytes())
    return tmp_path


def _request(**values):
    return {"reference": "photos/a.jpg", "prompt": "a woman smiles"} | values


def _write(folder, *lines):
    file = folder / "requests.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts) + "\n")
    return file


def _batch(folder, *options):
    output = str(folder / "clips")
    return main(["batch", str(folder / "requests.jsonl"), "--output", output, "--model", "tiny", *options])


def _results(folder):
    return [json.loads(line) for line in (folder / "clips" / "results.jsonl").read_text().splitlines()]


def test_every_request_becomes_a_clip_and_a_result(pipeline, folder, capsys):
    second = {
        "references": ["photos/a.jpg"] * 2,
        "prompt": "nods",
        "name": "a nod",
        "format": "gif",
        "seed": 7,
    }
    _write(folder, _request(seed=4, steps=3, action_scale=0.5, detail_scale=0.25, face=None), "", second)
    assert _batch(folder, "--json") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert report.pop("seconds") > 0
    results = folder / "clips" / "results.jsonl"
    assert report == {"results": str(results), "requests": 2, "made": 2, "skipped": 0, "failed": 0}
    first, last = _results(folder)
    assert len(first.pop("digest")) == 64
    assert first == {
        "name": "00001", "line": 1, "status": "ok", "output": "00001.mp4", "seed": 4, "arm": "iad",
        "scores": {"identity": pytest.approx(0.6), "action": None, "detected": 1.0},
        "seconds": 0.5, "notes": ["a note"], "error": None,
    }  # fmt: skip
    assert (last["line"], last["output"], last["seed"]) == (3, "a nod.gif", 7)
    assert video.read_video(folder / "clips" / "00001.mp4", 9)[0].shape == (2, 32, 32, 3)
    assert sorted(file.name for file in (folder / "clips").iterdir()) == [
        "00001.mp4", "a nod.gif", "results.jsonl",
    ]  # fmt: skip
    photo, said = PORTRAIT.read_bytes(), {"action_scale": 0.5, "detail_scale": 0.25}
    assert pipeline.calls == [
        Request([photo], "a woman smiles", seed=4, num_inference_steps=3, **said),
        Request([photo] * 2, "nods", seed=7),
    ]
    assert "batch" in captured.err


def test_a_request_says_length_rate_and_size(pipeline, folder):
    form = {"duration": 4.5, "fps": 30, "size": 256, "paste_back": True, "loop": True}
    _write(folder, _request(**form, prompt="[0-4s] nods"))
    assert _batch(folder) == 0
    assert pipeline.calls == [Request([PORTRAIT.read_bytes()], "[0-4s] nods", **form)]
    _write(folder, _request(**form | {"duration": 5}))  # another length is another clip
    assert _batch(folder) == 0 and len(pipeline.calls) == 2


def test_a_driver_stands_for_words_that_are_empty_but_not_for_bad_ones(pipeline, folder):
    driven = {"action_reference": "photos/a.jpg"}
    _write(folder, _request(**driven, prompt=""), _request(**driven, prompt="[0-1s smiles"))
    assert _batch(folder) == 2
    made, refused = _results(folder)
    assert made["status"] == "ok" and "a time that cannot be read" in refused["error"]
    assert [(asked.prompt, asked.action_reference.name) for asked in pipeline.calls] == [("", "a.jpg")]


@pytest.mark.parametrize("link", ["same", "symlink"])
def test_no_request_writes_over_a_photo_of_any(pipeline, folder, capsys, link):
    photo = folder / "clips" / "mine.png"
    photo.parent.mkdir()
    if link == "same":
        photo.write_bytes(PORTRAIT.read_bytes())
    else:
        photo.symlink_to(folder / "photos" / "a.jpg")
    before = photo.read_bytes()
    other = _request(reference="clips/mine.png") if link == "same" else _request()
    _write(folder, _request(name="mine", format="png"), other)
    assert _batch(folder) == 2
    assert "which would be lost" in capsys.readouterr().err
    assert [record["status"] for record in _results(folder)] == ["failed", "ok"]
    assert photo.read_bytes() == before and len(pipeline.calls) == 1


def test_the_results_do_not_replace_the_requests(pipeline, folder, capsys):
    file = _write(folder, _request())
    asked = file.rename(folder / "results.jsonl").read_bytes()
    words = ["batch", str(folder / "results.jsonl"), "--output", str(folder), "--model", "tiny"]
    assert main(words) == 2 and "which would be lost" in capsys.readouterr().err
    assert (folder / "results.jsonl").read_bytes() == asked and pipeline.calls == []


def test_a_large_model_is_not_asked_for_the_photos_detail(pipeline, folder):
    _write(folder, _request(detail_scale=0.5), _request(detail_scale=1))
    assert _batch(folder, "--model", "some/large") == 2
    refused, made = _results(folder)
    assert "detail_scale: only small models" in refused["error"] and made["status"] == "ok"
    assert pipeline.calls == [Request([PORTRAIT.read_bytes()], "a woman smiles")]
    _write(folder, _request(duration=2, fps=9))
    assert _batch(folder, "--model", "some/large") == 2
    assert "duration, fps: only small models" in _results(folder)[0]["error"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[1", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 50_000, "not JSON"),
        ('{"seed": ' + "9" * 5000 + "}", "not JSON"),
        ("\udcff", "UTF-8"),
        (_request(promt="x"), "Unknown key 'promt'; did you mean 'prompt'?"),
        (_request(output="/etc/x.mp4"), "Unknown key 'output'"),
        (_request(prompt=" "), "prompt is empty"),
        (_request(prompt="x" * 6000), "6,000 characters"),
        (_request(prompt="x" * 200_000), "more than 100,000 bytes"),
        (_request(prompt="[0-11s] nods"), "lasts 10 s"),
        (_request(prompt="[0-3s] nods", duration=2), "lasts 2 s"),
        (_request(duration=0.05), "duration is 0.05; give a number from 0.1 to 10"),
        (_request(fps=100), "fps is 100"),
        (_request(size=65), "size is 65; give an even number"),
        (_request(paste_back=1), "'paste_back' must be true or false"),
        (_request(paste_back=True, detail_scale=0), "paste_back needs a face that is drawn"),
        (_request(prompt=None), "needs a 'prompt'"),
        (_request(prompt=["a"]), "'prompt' must be a text"),
        ({"prompt": "a"}, "needs 'reference'"),
        (_request(references=["photos/a.jpg"]), "one of the two"),
        ({"references": [], "prompt": "a"}, "must be a list of texts"),
        ({"references": ["photos/a.jpg"] * 17, "prompt": "a"}, "at most 16"),
        (_request(reference="photos/b.jpg"), "no file"),
        (_request(reference="photos"), "not a file"),
        (_request(reference="\0"), "no file"),
        (_request(action_reference="b.mp4"), "no file"),
        (_request(arm="consisd"), "did you mean 'consisid'"),
        (_request(seed=-1), "seed is -1"),
        (_request(seed=1.5), "'seed' must be a whole number, it is 1.5"),
        (_request(seed=True), "'seed' must be a whole number"),
        (_request(steps=0), "steps is 0"),
        (_request(identity_scale="1"), "'identity_scale' must be a number"),
        (_request(action_scale=float("nan")), "action_scale is nan"),
        (_request(detail_scale=1.5), "detail_scale is 1.5; give a number from 0 to 1"),
        (_request(format="avi"), "Unknown format 'avi'"),
        (_request(name="../a"), "cannot be a file's"),
        (_request(name="/tmp/a"), "cannot be a file's"),
        (_request(name="a\\b"), "cannot be a file's"),
        (_request(name="C:a"), "cannot be a file's"),
        (_request(name=".hidden"), "cannot be a file's"),
        (_request(name="a\n"), "cannot be a file's"),
        (_request(name="."), "cannot be a file's"),
        (_request(name=""), "cannot be a file's"),
        (_request(name="a" * 81), "cannot be a file's"),
        (_request(name="語" * 80), "cannot be a file's"),
        (_request(name="Good"), "taken by line 1"),
        (_request(), "taken by line 2"),
        (_request(prompt="fail"), "No face found in the photo."),
        (_request(prompt="break"), "ZeroDivisionError: division by zero"),
    ],
)
def test_a_bad_line_is_told_and_the_rest_goes_on(pipeline, folder, capsys, line, complaint):
    # without a name, a request is named after its line
    second = "00003" if complaint == "taken by line 2" else "second"
    lines = [_request(name="good"), _request(name=second), line, _request(name="last")]
    file = folder / "requests.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_bytes("\n".join(texts).encode(errors="surrogateescape"))
    assert _batch(folder) == 2
    captured = capsys.readouterr()
    told = captured.err.replace("\r", "\n").strip().splitlines()
    results = folder / "clips" / "results.jsonl"
    assert told[-1].strip() == f"1 of 4 requests failed; the reasons are in '{results}'."
    assert sum("Line 3: " in sentence and complaint in sentence for sentence in told) == 1
    assert captured.out == "" and "Traceback" not in captured.err
    by_line = {record["line"]: record for record in _results(folder)}
    assert [by_line[k]["status"] for k in (1, 2, 3, 4)] == ["ok", "ok", "failed", "ok"]
    assert complaint in by_line[3]["error"] and by_line[3]["output"] is None
    made = {file.name for file in folder.rglob("*.mp4")}
    assert made == {"good.mp4", f"{second}.mp4", "last.mp4"}


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda file: None, "no file"),
        (lambda file: file.mkdir(), "not a file"),
        (lambda file: file.write_text("\n \n"), "holds no request"),
        (lambda file: file.write_text("{}\n" * 100_001), "more than 100,000 lines"),
    ],
)
def test_a_bad_request_file_ends_in_one_sentence(pipeline, folder, capsys, make, complaint):
    make(folder / "requests.jsonl")
    assert _batch(folder) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err and captured.out == "" and not (folder / "clips").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [(("--workers", "0"), "--workers is 0"), (("--model", "tinny"), "did you mean 'tiny'")],
)
def test_bad_options_end_in_one_sentence(pipeline, folder, capsys, options, complaint):
    _write(folder, _request())
    assert _batch(folder, *options) == 2
    assert complaint in capsys.readouterr().err and not (folder / "clips").exists()


def test_a_second_run_makes_only_what_is_new_or_failed(pipeline, folder, capsys):
    old = [_request(name="same"), _request(name="other", seed=1), _request(name="bad", prompt="fail")]
    old += [_request(name="lost")]
    _write(folder, *old)
    assert _batch(folder) == 2
    pipeline.calls.clear()
    (folder / "clips" / "lost.mp4").unlink()
    before = (folder / "clips" / "same.mp4").stat().st_mtime_ns
    new = [_request(name="new"), old[0], _request(name="other", seed=2)]
    _write(folder, *new, _request(name="bad", prompt="nods"), old[3])
    assert _batch(folder, "--json") == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["made"], report["skipped"], report["failed"]) == (4, 1, 0)
    assert [(call.seed, call.prompt) for call in pipeline.calls] == [
        (0, "a woman smiles"), (2, "a woman smiles"), (0, "nods"), (0, "a woman smiles"),
    ]  # fmt: skip
    assert (folder / "clips" / "same.mp4").stat().st_mtime_ns == before
    assert [record["line"] for record in _results(folder)] == [1, 2, 3, 4, 5]
    assert [record["name"] for record in _results(folder)] == ["new", "same", "other", "bad", "lost"]


def test_another_photo_or_model_is_another_request(pipeline, folder):
    _write(folder, _request())
    assert _batch(folder) == 0 and _batch(folder) == 0 and len(pipeline.calls) == 1
    (folder / "photos" / "a.jpg").write_bytes(PORTRAIT.read_bytes() + b"more")
    assert _batch(folder) == 0 and len(pipeline.calls) == 2
    assert _batch(folder, "--model", "mini") == 0 and len(pipeline.calls) == 3


def test_new_weights_in_the_same_folder_make_the_clips_anew(pipeline, folder):
    _write(folder, _request())
    (folder / "weights").mkdir()
    for content, calls in (("1", 1), ("1", 1), ("2", 2)):
        (folder / "weights" / "manifest.json").write_text(content)
        assert _batch(folder, "--model", str(folder / "weights")) == 0 and len(pipeline.calls) == calls


def test_a_photo_that_is_too_large_is_never_read(pipeline, folder, monkeypatch):
    monkeypatch.setattr(batch, "MOST_BYTES", 3_000_000)
    with (folder / "photos" / "vast.jpg").open("wb") as file:
        file.truncate(4_000_000)
    _write(folder, _request(reference="photos/vast.jpg"))
    assert _batch(folder) == 2 and pipeline.calls == []
    assert "more than 3 MB" in _results(folder)[0]["error"]


@pytest.mark.parametrize("junk", ['{"name": "00002", "li', "[]", '{"name": 3}', "\xff", '{"surprise": 1}'])
def test_a_torn_or_foreign_line_of_results_does_no_harm(pipeline, folder, junk):
    _write(folder, _request(), _request(seed=2))
    assert _batch(folder) == 0
    results = folder / "clips" / "results.jsonl"
    first = results.read_text().splitlines()[0]
    results.write_bytes(f"{first}\n{junk}".encode("latin-1"))
    pipeline.calls.clear()
    assert _batch(folder) == 0
    assert [call.seed for call in pipeline.calls] == [2] and len(_results(folder)) == 2


def test_ctrl_c_keeps_what_was_made(pipeline, folder, capsys):
    _write(folder, _request(), _request(prompt="interrupt"), _request(seed=3))
    assert _batch(folder) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].strip().endswith("Stopped.")
    assert [record["line"] for record in _results(folder)] == [1]
    _write(folder, _request(), _request(prompt="nods"), _request(seed=3))
    pipeline.calls.clear()
    assert _batch(folder) == 0 and len(pipeline.calls) == 2


def test_a_full_disk_ends_the_batch_in_one_sentence(pipeline, folder, capsys, monkeypatch):
    _write(folder, _request(), _request(seed=1))
    whole = batch.write_whole

    def write(path, data):
        if path.suffix == ".mp4" and pipeline.calls[-1].seed == 1:
            raise ValueError(f"'{path}' could not be written (No space left on device); free some space.")
        whole(path, data)

    monkeypatch.setattr(batch, "write_whole", write)
    assert _batch(folder) == 2
    assert "No space left" in capsys.readouterr().err
    assert [record["line"] for record in _results(folder)] == [1]


@pytest.mark.slow
def test_a_killed_batch_goes_on_and_two_workers_make_the_frames_of_one(folder):
    prompts = ["smiles", "nods", "[0-1s] winks [1-2s] frowns", "laughs", "pouts", "looks up"]
    _write(folder, *(_request(prompt=f"a woman {prompt}", seed=k) for k, prompt in enumerate(prompts)))
    clips = folder / "clips"
    words = ["batch", str(folder / "requests.jsonl"), "--output", str(clips), "--model", "tiny"]
    run = subprocess.Popen(
        [sys.executable, "-m", "iad", *words, "--workers", "2"], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    results = clips / "results.jsonl"
    deadline = time.monotonic() + 300
    while not (results.exists() and results.read_bytes().count(b"\n") >= 2):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    made = [record["output"] for record in _results(folder) if record["status"] == "ok"]
    times = {name: (clips / name).stat().st_mtime_ns for name in made}
    assert 2 <= len(times) < len(prompts), "killed too late to tell"
    making.load.cache_clear()
    assert main(words) == 0
    assert {name: (clips / name).stat().st_mtime_ns for name in made} == times
    assert [record["status"] for record in _results(folder)] == ["ok"] * len(prompts)
    assert len(list(clips.glob("*.mp4"))) == len(prompts)
    # what the two workers made is what this process makes
    alone = batch.run(folder / "requests.jsonl", output=folder / "alone", model="tiny")
    assert alone.made == len(prompts)
    for name in made:
        frames = [video.read_video(place / name, 99)[0] for place in (clips, folder / "alone")]
        assert np.array_equal(*frames)
