"""The command line keeps its contract: files and JSON; or one sentence and exit code 2."""

import json
import os
import pickle
import socket
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from made_up import ASTRONAUT, draw_wall
from PIL import Image

import iad
from iad.cli import main
from iad.commands.evaluate import SUITES
from iad.config import ARMS, CONTROLS, PRESETS
from iad.media import video
from iad.request import Request
from iad.training.timetable import Options

PORTRAIT = str(ASTRONAUT)


class FakePipeline:
    """Stands for the pipeline: moves the reference sideways, and splits embeddings made of a hash."""

    calls: list
    preset = PRESETS["tiny"]

    @classmethod
    def from_pretrained(cls, name, **options):
        cls.calls = [("load", name, options)]
        return cls()

    def generate(self, request, callback):
        self.calls.append(("generate", request))
        callback(1, 2)
        callback(2, 2)
        frames = np.zeros((16, 128, 128, 3), np.uint8)
        return types.SimpleNamespace(
            frames=frames,
            fps=8,
            seed=request.seed,
            seconds=1.5,
            scores={"identity": np.array([0.5, 0.7]), "action": float("nan"), "detected": 1.0},
            notes=["3 faces found, using the largest"],
            made_of={"photo": 0.75, "denoiser": 0.0, "paint": 0.25},
            save=lambda path, **options: video.save(path, frames, 8, **options),
        )

    def decouple(self, file, face=None):
        rng = np.random.default_rng(list(str(file).encode()))
        identity, action, residual = rng.normal(size=(3, 12)).astype(np.float32)
        crop = np.zeros((128, 128, 3), np.uint8)
        return types.SimpleNamespace(
            facial=identity + action + residual, identity=identity, action=action, residual=residual,
            identity_share=0.6, action_share=0.3, residual_share=0.1,
            box=(1, 2, 3, 4), crop=crop, recognised=identity[-4:],
        )  # fmt: skip

    def match_actions(self, face, prompts):
        return [(prompt, 1 / (1 + place)) for place, prompt in enumerate(prompts)]


@pytest.fixture
def pipeline(monkeypatch):
    FakePipeline.calls = []
    monkeypatch.setitem(vars(iad), "IaDPipeline", FakePipeline)  # without loading the real one to save it
    return FakePipeline


def _generate(*options, reference=PORTRAIT, prompt="a man laughs", output="unused.mp4"):
    words = ["generate", "--reference", str(reference), "--prompt", prompt, "--output", str(output)]
    return main([*words, *options])


def test_generate_writes_a_video_and_reports(pipeline, tmp_path, capsys):
    output = tmp_path / "new" / "out.mp4"
    options = ("--seed", "3", "--json", "--steps", "4", "--detail-scale", "0.25")
    assert _generate(*options, output=output) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out.splitlines()[-1])
    assert report.pop("seconds")["generate"] == 1.5
    assert report == {
        "output": str(output),
        "frames": 16,
        "fps": 8,
        "width": 128,
        "height": 128,
        "seed": 3,
        "arm": "iad",
        "scores": {"identity": pytest.approx(0.6), "action": None, "detected": 1.0},
        "notes": ["3 faces found, using the largest"],
        "made_of": {"photo": 0.75, "denoiser": 0.0, "paint": 0.25},
    }
    assert "using the largest" in captured.err
    assert video.read_video(output, 99)[0].shape == (16, 128, 128, 3)
    assert pipeline.calls[0] == ("load", "mini", {"adapter": None, "device": "auto"})
    request = pipeline.calls[1][1]
    # what is not said is the pipeline's to choose
    assert request == Request([PORTRAIT], "a man laughs", seed=3, num_inference_steps=4, detail_scale=0.25)


def test_a_port_that_is_taken_is_said_at_once(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["demo", "--port", str(port)]) == 2
    assert f"Port {port} cannot be opened" in capsys.readouterr().err


def test_length_rate_and_size_of_a_small_clip_are_chosen(pipeline, tmp_path, capsys):
    options = ("--size", "256", "--duration", "7.5", "--fps", "30", "--paste-back", "--loop")
    assert _generate(*options, prompt="[0-7s] nods", output=tmp_path / "a.mp4") == 0
    asked = pipeline.calls[1][1]
    form = {"size": 256, "duration": 7.5, "fps": 30.0, "paste_back": True, "loop": True}
    assert asked == Request([PORTRAIT], "[0-7s] nods", **form)
    assert _generate("--frames", "30", "--fps", "10", output=tmp_path / "a.gif") == 0
    assert pipeline.calls[1][1].num_frames == 30 and pipeline.calls[1][1].duration is None
    capsys.readouterr()
    assert _generate("--size", "256", "--model", "some/large", output=tmp_path / "b.mp4") == 2
    assert "--size: only small models take these" in capsys.readouterr().err


def test_a_driver_stands_for_words_that_are_empty_but_not_for_bad_ones(pipeline, tmp_path, capsys):
    driven = ("--action-reference", PORTRAIT)
    assert _generate(*driven, prompt=" ", output=tmp_path / "a.mp4") == 0
    assert pipeline.calls[1][1] == Request([PORTRAIT], " ", action_reference=PORTRAIT)
    capsys.readouterr()
    assert _generate(*driven, prompt="[0-1s smiles", output=tmp_path / "b.mp4") == 2
    assert "a time that cannot be read" in capsys.readouterr().err


def test_generate_takes_several_references(pipeline, tmp_path):
    assert _generate("--reference", PORTRAIT, output=tmp_path / "a.gif") == 0
    assert pipeline.calls[1][1].references == [PORTRAIT, PORTRAIT]


@pytest.mark.parametrize("link", ["same", "symlink", "hard link"])
@pytest.mark.parametrize("command", ["generate", "driver", "decouple", "evaluate"])
def test_no_command_writes_over_what_it_reads(pipeline, tmp_path, capsys, command, link):
    photo = tmp_path / "photo.png"
    Image.open(PORTRAIT).resize((64, 64)).save(photo)
    if command == "evaluate":
        photo = tmp_path / "model"
        photo.mkdir()
    before = None if photo.is_dir() else photo.read_bytes()
    output = photo if link == "same" else tmp_path / "out.png"
    if link == "symlink":
        output.symlink_to(photo)
    elif link == "hard link":
        if photo.is_dir():
            pytest.skip("folders have no hard links")
        output.hardlink_to(photo)
    if command == "generate":
        code = _generate(reference=photo, output=output)
    elif command == "driver":
        code = _generate("--action-reference", str(photo), output=output)
    elif command == "decouple":
        code = main(["decouple", PORTRAIT, str(photo), "--output", str(output)])
    else:
        code = main(["evaluate", "--model", str(photo), "--output", str(output)])
    _expect_sentence(code, capsys, "which would be lost")
    assert pipeline.calls == [] and (before is None or photo.read_bytes() == before)


def _write(name, data):
    return lambda folder: (folder / name).write_bytes(data)


def _draw(name, size, mode="RGB"):
    return lambda folder: Image.new(mode, size, "grey" if mode == "RGB" else 0).save(folder / name)


@pytest.mark.parametrize(
    ("name", "make", "complaint"),
    [
        ("absent.jpg", lambda _: None, "no file"),
        ("words.jpg", _write("words.jpg", b"words"), "not a JPEG, PNG, WebP or HEIC"),
        ("empty.jpg", _write("empty.jpg", b""), "empty"),
        ("cut.jpg", _write("cut.jpg", Path(PORTRAIT).read_bytes()[:9000]), "cut short"),
        ("tiny.png", _draw("tiny.png", (8, 8)), "8 x 8 pixels"),
        ("huge.png", _draw("huge.png", (8_000, 5_200), "1"), "40 megapixels"),
        ("wall.png", lambda folder: draw_wall(folder / "wall.png"), "No face found"),
        ("a.pkl", _write("a.pkl", pickle.dumps([1])), "pickle"),
        ("https://example.com/a.jpg", lambda _: None, "URL"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "decouple", "driver"])
def test_bad_photos_end_in_one_sentence(pipeline, tmp_path, capsys, name, make, complaint, command):
    make(tmp_path)
    photo = name if "://" in name else str(tmp_path / name)
    if command == "generate":
        code = _generate(reference=photo, output=tmp_path / "out.mp4")
    elif command == "decouple":
        code = main(["decouple", PORTRAIT, photo])
    else:
        code = _generate("--action-reference", photo, output=tmp_path / "out.mp4")
    _expect_sentence(code, capsys, complaint)
    assert pipeline.calls == [] and not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"prompt": ""}, "empty"),
        ({"prompt": "smile " * 900}, "5,400 characters"),
        ({"prompt": "[0-1s smiles"}, "a time that cannot be read"),
        ({"prompt": "[1-0s] smiles"}, "reversed"),
        ({"prompt": "[0-11s] smiles"}, "lasts 10 s"),
        ({"prompt": "[0-3s] smiles", "extra": ("--duration", "2")}, "lasts 2 s"),
        ({"extra": ("--duration", "0.05")}, "--duration is 0.05; give a number from 0.1 to 10"),
        ({"extra": ("--duration", "11")}, "--duration is 11"),
        ({"extra": ("--duration", "2", "--frames", "9")}, "both say how long the clip is"),
        ({"extra": ("--frames", "241")}, "--frames is 241; give a number from 1 to 240"),
        ({"extra": ("--fps", "61")}, "--fps is 61"),
        ({"extra": ("--size", "62")}, "--size is 62; give a number from 64 to 1024"),
        ({"extra": ("--size", "255")}, "--size is 255; give an even number"),
        ({"extra": ("--paste-back", "--detail-scale", "0")}, "--paste-back needs a face that is drawn"),
        ({"extra": ("--paste-back", "--arm", "consisid")}, "--paste-back needs a face that is drawn"),
        ({"extra": ("--model", "some/large", "--duration", "2", "--fps", "9")}, "--duration, --fps: only"),
        ({"extra": ("--seed", "-1")}, "--seed is -1"),
        ({"extra": ("--steps", "0")}, "--steps is 0"),
        ({"extra": ("--identity-scale", "nan")}, "--identity-scale is nan"),
        ({"extra": ("--detail-scale", "1.5")}, "--detail-scale is 1.5; give a number from 0 to 1"),
        ({"extra": ("--detail-scale", "nan")}, "--detail-scale is nan"),
        ({"extra": ("--model", "some/large", "--detail-scale", "0.5")}, "--detail-scale: only small models"),
        ({"extra": ("--model", "minni")}, "did you mean 'mini'"),
        ({"extra": ("--arm", "consisd")}, "did you mean 'consisid'"),
        ({"extra": ("--arm", "xyz")}, "iad, consisid, id-animator, consisid-cross, entangled"),
        ({"extra": ("--face", "1")}, "--face"),
        ({"extra": ("--cache", "mag")}, "only large models take these; leave them out with a small one"),
        ({"extra": ("--memory", "offload")}, "leave them out with a small one"),
        ({"extra": ("--model", "some/large", "--arm", "entangled")}, "Unknown arm 'entangled'"),
        ({"output": "out.avi"}, "must end in .mp4"),
    ],
)
def test_bad_options_end_in_one_sentence(pipeline, tmp_path, capsys, options, complaint):
    output = tmp_path / options.pop("output", "out.mp4")
    code = _generate(*options.pop("extra", ()), output=output, **options)
    _expect_sentence(code, capsys, complaint)
    assert pipeline.calls == [] and not output.exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["generate", "--prompt", "a"], "required: --reference, --output"),
        (["generate", "--seed", "one"], "invalid int"),
        (["train", "decopler", "--output", "runs"], "did you mean 'decoupler'"),
        (["train", "encoder", "--preset", "mimi", "--output", "runs"], "mini"),
        (["train", "encoder", "--data", "absent", "--output", "runs"], "no folder 'absent'"),
        (["train", "encoder", "--seed", "-1", "--output", "runs"], "--seed is -1"),
        (["train", "encoder", "--steps", "0", "--output", "runs"], "--steps is 0"),
        (["train", "joint", "--arm", "iad", "consisd", "--output", "runs"], "did you mean 'consisid'"),
        (["evaluate", "--suite", "actoin", "--output", "report"], "did you mean 'action'"),
        (["evaluate", "--arms", "iad", "entangld", "--output", "report"], "did you mean 'entangled'"),
        (["evaluate", "--people", "1", "--output", "report"], "--people is 1"),
        (["evaluate", "--seeds", "0", "--output", "report"], "--seeds is 0"),
        (["evaluate", "--detail-scale", "2", "--output", "report"], "--detail-scale is 2"),
        (["evaluate", "--model", "minni", "--output", "report"], "did you mean 'mini'"),
        (
            ["evaluate", "--model", "cogvideox-5b", "--arms", "entangled", "--output", "report"],
            "Unknown arm at full size 'entangled'",
        ),
        (["accept", "--arms", "iadd"], "did you mean 'iad'"),
        (["accept", "--random", "--minutes", "0"], "--minutes is 0"),
        (
            ["train", "joint", "--preset", "cogvideox-5b", "--output", "runs"],
            "a full-size preset has 'iad' alone",
        ),
        (
            ["train", "joint", "--lora-rank", "4", "--output", "runs"],
            "--lora-rank: only training at full size",
        ),
        (["data", "prepare", "absent"], "no folder 'absent'"),
        (["data", "render", "--clips", "0", "--output", "clips"], "--clips is 0"),
        (["demo", "--port", "70000"], "--port is 70000"),
        (["demo", "--device", "tpu"], "Unknown device 'tpu'; choose auto, cpu, cuda or mps"),
        (["decouple", PORTRAIT, "--output", "report.pdf"], "must end in .png or .npz or .json"),
        (["decouple", PORTRAIT, "--prompts", " "], "prompt is empty"),
    ],
)
def test_bad_words_end_in_one_sentence(pipeline, tmp_path, monkeypatch, capsys, words, complaint):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    _expect_sentence(code, capsys, complaint)
    assert pipeline.calls == [] and list(tmp_path.iterdir()) == []


def test_what_is_wrong_with_the_words_is_told_before_anything_is_loaded(tmp_path):
    generate = ["generate", "--reference", PORTRAIT, "--prompt", "nods", "--output", "out.mp4"]
    wrong = [
        ["decouple", PORTRAIT, "--output", "report.xyz"], ["decouple", PORTRAIT, "--prompts", "smiles", ""],
        ["decouple", PORTRAIT, "--prompts", "[5-2s] smiles"], ["decouple", PORTRAIT, "absent.png"],
        ["decouple", PORTRAIT, "--prompts", "a" * 4000], ["decouple", PORTRAIT, "--model", "minni"],
        [*generate, "--device", "tpu"], [*generate, "--adapter", "absent"],
        ["batch", "absent.jsonl", "--output", "out", "--device", "tpu"], ["verify", "absent.mp4"],
        ["evaluate", "--suite", "real", "--tune", "--output", "out"],
    ]  # fmt: skip
    look = f"import sys; from iad import cli; assert {{cli.main(words) for words in {wrong}}} == {{2}}"
    look += "; assert 'torch' not in sys.modules"
    found = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", look], check=True, cwd=tmp_path, env=found, timeout=300)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_files_is_noticed_before_loading(pipeline, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    _expect_sentence(_generate(output=tmp_path / "file" / "out.mp4"), capsys, "takes no files")
    assert pipeline.calls == []


def test_a_full_disk_ends_in_one_sentence_and_leaves_nothing(pipeline, tmp_path, capsys, monkeypatch):
    class FullDisk:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def write(self, data):
            raise OSError(28, "No space left on device")

    opened = Path.open

    def open_part(self, mode="r", *rest):
        file = opened(self, mode, *rest)
        if self.suffix != ".part":
            return file
        file.write(b"half")
        file.close()
        return FullDisk()

    monkeypatch.setattr(Path, "open", open_part)
    _expect_sentence(_generate("--json", output=tmp_path / "out.mp4"), capsys, "No space left")
    assert list(tmp_path.iterdir()) == []


def _expect_sentence(code, capsys, complaint):
    captured = capsys.readouterr()
    lines = captured.err.replace("\r", "\n").strip().splitlines()
    assert code == 2 and complaint in lines[-1] and captured.out == ""
    assert not any("Traceback" in line for line in lines)
    # A progress bar and the pipeline's notes may stand before it.
    assert len([line for line in lines if line.strip() and "it/s" not in line and "using" not in line]) == 1


def test_decouple_compares_faces(pipeline, tmp_path, capsys):
    other = tmp_path / "other-portrait.jpg"
    other.write_bytes(Path(PORTRAIT).read_bytes())
    output = tmp_path / "report.json"
    words = ["decouple", PORTRAIT, str(other), "--prompts", "smiling", "eyes closed", "--output", str(output)]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report == json.loads(output.read_text())
    first = report["faces"][0]
    assert first["file"] == PORTRAIT and first["box"] == [1, 2, 3, 4]
    assert [match["prompt"] for match in first["actions"]] == ["smiling", "eyes closed"]
    face = FakePipeline().decouple(PORTRAIT)
    cosine = np.dot(face.identity, face.action) / np.linalg.norm(face.identity) / np.linalg.norm(face.action)
    assert first["cosine"] == pytest.approx(cosine, abs=1e-6)
    for name in ("identity_cosine", "action_cosine"):
        matrix = np.array(report[name])
        assert matrix.shape == (2, 2) and np.allclose(np.diag(matrix), 1) and abs(matrix[0, 1]) < 0.99
        assert matrix[0, 1] == matrix[1, 0]


def test_decouple_prints_shares_and_matrices(pipeline, capsys):
    assert main(["decouple", PORTRAIT, PORTRAIT]) == 0
    out = capsys.readouterr().out
    assert "identity 60%, action 30%, residual 10%" in out
    assert "identity similarity\n    1.00   1.00" in out and "by the recogniser alone\n    1.00" in out


def test_decouple_writes_embeddings_and_a_picture(pipeline, tmp_path):
    assert main(["decouple", PORTRAIT, "--output", str(tmp_path / "a.npz")]) == 0
    with np.load(tmp_path / "a.npz") as arrays:  # refuses pickled arrays by default
        assert np.allclose(arrays["facial"], arrays["identity"] + arrays["action"] + arrays["residual"])
        assert arrays["facial"].shape == (1, 12) and arrays["files"][0] == PORTRAIT
    assert main(["decouple", PORTRAIT, PORTRAIT, "--output", str(tmp_path / "a.png")]) == 0
    assert Image.open(tmp_path / "a.png").width >= 1000


def test_train_passes_its_words_on(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("iad.training.stages.train", lambda stage, **given: calls.append((stage, given)))
    words = ["train", "joint", "--arm", "iad", "consisid", "--data", str(tmp_path), "--minutes", "2"]
    words += ["--without", "orthogonality", "swap", "--seed", "3", "--steps", "9", "--resume"]
    assert main([*words, "--output", str(tmp_path / "run")]) == 0
    given = {"data": tmp_path, "minutes": 2, "resume": True, "seed": 3, "max_steps": 9}
    given |= {"arms": ("iad", "consisid"), "without": ("orthogonality", "swap")}
    options = Options(output=tmp_path / "run", **given)
    assert calls.pop() == ("joint", {"preset": "mini", "options": options})
    assert main(["train", "encoder", "--output", str(tmp_path / "run")]) == 0  # nothing said
    assert calls == [("encoder", {"preset": "mini", "options": Options(output=tmp_path / "run")})]


def test_evaluate_passes_its_words_on(tmp_path, monkeypatch, capsys):
    calls = []
    import iad.evaluation

    def run(*words, **options):
        calls.append((words, options))
        return {"action": {"iad": 0.7}}

    monkeypatch.setattr(iad.evaluation, "run", run, raising=False)
    words = ["evaluate", "--suite", "action", "--model", "tiny", "--workers", "2", "--people", "4"]
    output = tmp_path / "report"
    assert (
        main([*words, "--seeds", "2", "--arms", "iad", "entangled", "--output", str(output), "--json"]) == 0
    )
    assert calls[0] == (
        ("action",),
        {
            "model": "tiny", "arms": ("iad", "entangled"), "workers": 2, "output": output, "people": 4,
            "seeds": 2,
        },
    )  # fmt: skip
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report == {"suite": "action", "output": str(output), "report": {"action": {"iad": 0.7}}}
    assert main([*words, "--detail-scale", "0", "--output", str(output)]) == 0
    assert calls[1][1]["detail_scale"] == 0
    assert main(["evaluate", "--output", str(output)]) == 0
    assert calls[2][0] == ("all",) and calls[2][1]["arms"] is None
    assert main([*words, "--tune", "--output", str(output)]) == 0 and calls[3][1]["tune"] is True
    assert main(["evaluate", "--suite", "real", "--tune", "--output", str(output)]) == 2
    for suite, folder in (("leakage", tmp_path), ("action", tmp_path / "ablations")):
        (tmp_path / "ablations" / "full").mkdir(parents=True, exist_ok=True)
        (tmp_path / "ablations" / "full" / "manifest.json").write_text("{}")
        words = ["evaluate", "--suite", suite, "--ablations", str(folder), "--output", str(output)]
        assert main(words) == 2
    assert main([*words[:2], "leakage", *words[3:]]) == 0 and calls[4][1]["ablations"] == folder
    assert (*iad.evaluation.SUITES, "all") == SUITES
    assert "report.md" in capsys.readouterr().out


def test_render_passes_on_whose_clips(tmp_path, monkeypatch):
    calls = []
    from iad.portraits import clips

    monkeypatch.setattr(clips, "render_pool", lambda *a, **k: calls.append(k))
    for words in ([], ["--held-out"]):
        assert main(["data", "render", "--output", str(tmp_path), "--clips", "8", *words]) == 0
    assert [call["held_out"] for call in calls] == [False, True]


def test_help_names_every_arm(capsys):
    for command in ("generate", "train", "evaluate"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        words = " ".join(capsys.readouterr().out.split())
        assert ", ".join((*ARMS, *CONTROLS)) in words


def test_a_large_model_finds_faces_its_own_way(pipeline, tmp_path):
    photo = tmp_path / "wall.png"
    draw_wall(photo)
    assert _generate("--model", "some/large", reference=photo, output=tmp_path / "out.mp4") == 0


def test_a_large_model_is_told_where_its_weights_are_and_how_to_fit(pipeline, tmp_path):
    options = ["--arm", "consisid", "--baseline", "twin", "--memory", "fp8", "--width", "96"]
    options += ["--accept-licence", "--device", "cuda:1"]
    assert _generate("--model", "some/large", *options, output=tmp_path / "out.mp4") == 0
    assert pipeline.calls[0][2] == {
        "adapter": None, "device": "cuda:1", "arms": ("consisid",), "baselines": {"consisid": "twin"},
        "memory": "fp8", "cache": None, "compile": False, "accept_licence": True,
    }  # fmt: skip
    assert pipeline.calls[1][1] == Request([PORTRAIT], "a man laughs", arm="consisid", width=96)


COMMANDS = (
    "", "generate", "batch", "decouple", "evaluate", "train", "data", "data render", "data examples", "demo",
)  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS)
def test_help_shows_an_example(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*words.split(), "--help"])
    assert stop.value.code == 0 and "example:\n  python -m iad " in capsys.readouterr().out


def test_help_loads_nothing_heavy():
    program = (
        "import sys\n"
        "from iad.cli import main\n"
        "try:\n    main(['generate', '--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('numpy', 'torch', 'PIL', 'cv2', 'gradio') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
