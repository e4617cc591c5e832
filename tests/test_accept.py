"""The acceptance, rehearsed on twins from end to end: what a GPU's owner runs once, runs here every time."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_up import ASTRONAUT
from skimage.transform import estimate_transform
from test_consisid import fill_by_rule, make_gradient
from twins import write_cogvideox
from twins_animator import _tokenizer, write_id_animator
from twins_faces import write_clip

from iad.cli import main
from iad.config import ARMS
from iad.full_size import acceptance, arcface, hub, measuring
from iad.full_size.acceptance import accept, evaluate_full_size
from iad.full_size.arcface import ArcFace
from iad.full_size.caching import CACHES
from iad.full_size.id_animator import TEMPLATE
from iad.full_size.judging import CUR, Judges, create_curricular, cut_chip, load_curricular, load_judges
from iad.full_size.measuring import Measurements, Meter, accept_random
from iad.full_size.sizes import Scale
from iad.media.photos import load_image
from iad.request import Request

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
NOBODY = {"FaceSim-Arc": "InsightFace is not installed.", "CLIPScore": "CLIP is not here."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_cogvideox(tmp_path_factory.mktemp("twin") / "cogvideox")


def read(output):
    text = (output / "report.md").read_text()
    return json.loads((output / "report.json").read_text()), text


def test_a_rehearsal_measures_everything_and_names_what_fails(tmp_path, monkeypatch, capsys):
    def create(**changes):
        raise torch.OutOfMemoryError("more than there is")

    monkeypatch.setattr("diffusers.ConsisIDTransformer3DModel", create)
    output = tmp_path / "new"
    words = ["accept", "--tiny", "--device", "cpu", "--steps", "8", "--output", str(output), "--json"]
    assert main(words) == 0
    report, text = read(output)
    assert json.loads(capsys.readouterr().out)["report"] == report
    rows = {row["what"]: row for row in report["rows"]}
    clips = [f"IaD, 8 steps, {told}" for told in ("no cache", *(f"the cache {name}" for name in CACHES))]
    assert list(rows) == [
        "CogVideoX, a step", "IaD, a step", "ConsisID, a step", "decoding in tiles", "decoding whole",
        "the prompt by T5", *clips, "IaD, a step, compiled",
    ]  # fmt: skip
    failed = {what: row["note"] for what, row in rows.items() if row["seconds"] is None}
    assert failed.pop("IaD, a step, compiled") == "blocks are compiled on CUDA alone"
    assert failed == {"ConsisID, a step": "out of memory"}
    assert "TFLOP" in rows["IaD, a step"]["note"] and "drift" in rows[clips[1]]["note"]
    assert float(rows[clips[3]]["note"].split()[1]) > 0  # a cache that does nothing does not drift
    assert text.count("\n|") == len(rows) + 2 and "say nothing of the true size" in text and "torch" in text


def test_a_step_of_consisid_is_measured_too():
    scale = Scale.tiny("cpu")
    with torch.inference_mode():
        seconds, note = Measurements(scale, Meter(scale.device, minutes=1)).time_step("ConsisID")
    assert seconds > 0 and note.endswith("a second")


def test_tiles_are_smaller_than_the_clip():
    """Else decoding in tiles would measure nothing."""
    scale = Scale.tiny("cpu")
    vae = scale.build("VAE")
    assert vae.tile_latent_min_height < scale.preset.height // 8


def test_what_no_time_is_left_for_becomes_a_row(tmp_path):
    report = accept_random(Scale.tiny("cpu"), minutes=1e-9, output=tmp_path)
    assert len(report["rows"]) == 12 and {row["seconds"] for row in report["rows"]} == {None}
    assert all("minutes are over" in row["note"] for row in report["rows"])


def test_a_clip_is_broken_off_between_two_steps(monkeypatch):
    scale = Scale.tiny("cpu")
    meter = Meter(scale.device, minutes=5)
    measurements = Measurements(scale, meter, clip_steps=900)
    _, make = measurements.clip_maker
    meter.until = 0
    monkeypatch.setattr(meter, "start", lambda: None)  # it has begun
    row = measuring._attempt("a clip", make, meter)
    assert "minutes are over" in row["note"]


@without_cuda
@pytest.mark.parametrize(
    ("words", "said"),
    [([], "no CUDA device here; --tiny rehearses"), (["--random"], "device here; rehearse it by --tiny")],
)
def test_without_a_gpu_it_says_so_in_a_sentence(tmp_path, capsys, words, said):
    assert main(["accept", *words, "--output", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "report.md").exists()


def test_every_arm_makes_a_clip_or_says_why_not(folder, tmp_path):
    animator = write_id_animator(tmp_path / "animator")
    told = []
    accept(
        Request(ASTRONAUT, "nods", num_inference_steps=3, num_frames=9, height=64, width=64),
        str(folder),
        arms=ARMS,
        output=tmp_path / "out",
        tell=told.append,
        load=lambda **_: Judges(missing=NOBODY),
        baselines={"id-animator": animator, "consisid": tmp_path},
        device="cpu",
        memory="full",
    )
    report, text = read(tmp_path / "out")
    iad, consisid, ours = report["rows"]
    assert [row["arm"] for row in told] == ["iad", "consisid", "id-animator"]
    for row in (iad, ours):
        assert row["clip"] == "9 x 64 x 64" and row["steps"] == 3 and row["memory"] == "full"
        assert row["step_s"] > 0 and row["clip_s"] >= 0 and "detected" in row
        assert (tmp_path / "out" / f"{row['arm']}.mp4").stat().st_size > 500
    assert "No adapter is loaded" in iad["note"]
    assert consisid.keys() == {"arm", "note"} and "ConsisID" in consisid["note"]
    assert "FaceSim-Arc: InsightFace is not installed." in text and "| consisid | – |" in text


class Detector:
    """Sees two faces, the larger one in the whole picture; none in a black one, whatever is around it."""

    def detect(self, picture, *, input_size):
        high, wide = picture.shape[:2]
        if picture[high // 2, wide // 2].max() == 0:
            return np.zeros((0, 5)), np.zeros((0, 5, 2))
        box = np.array([[0, 0, wide, high, 0.9], [0, 0, 4, 4, 0.99]], np.float32)
        return box, np.float32([np.array(TEMPLATE) * wide / 112, np.ones((5, 2))])


class Arcface:
    """Embeds the mean colour."""

    output_shape = (1, 3)

    def get(self, picture, face):
        assert face.kps[0, 0] > 2  # of the larger face
        return picture.reshape(-1, 3).mean(0) - 100


def paint(*colour):
    return np.full((112, 112, 3), colour, np.uint8)


def test_faces_are_compared_as_consisid_compares_them():
    models = {"detection": Detector(), "recognition": Arcface()}
    judges = Judges(faces=ArcFace(SimpleNamespace(models=models)), missing={})
    clip = np.stack([paint(200, 100, 100)] * 16 + [paint(100, 200, 100)] * 8 + [paint(0, 0, 0)] * 8)
    said = judges.judge(clip, paint(250, 100, 100), "nods")
    assert said == {"faces": 0.75, "facesim_arc": pytest.approx(8 / 12)}  # 8, 4 and 4 of sixteen frames
    opposite = judges.judge(np.stack([paint(50, 100, 100)] * 16), paint(250, 100, 100), "nods")
    assert opposite["facesim_arc"] == 0  # not -1
    assert np.isnan(judges.judge(clip[-8:], paint(250, 100, 100), "nods")["facesim_arc"])
    rows = judges.embed(clip[[0, -1]])  # as the suites ask for them; the network's channels are BGR
    assert rows[0].tolist() == [0, 0, 1] and np.isnan(rows[1]).all()


def test_suites_take_only_what_is_here(monkeypatch, tmp_path):
    def fetch(*words, **named):
        raise AssertionError("something was fetched")

    create = SimpleNamespace(FaceAnalysis=fetch)
    monkeypatch.setitem(sys.modules, "insightface", SimpleNamespace(app=create))
    monkeypatch.setitem(sys.modules, "insightface.app", create)
    monkeypatch.setitem(sys.modules, "insightface.utils", SimpleNamespace(ensure_available=fetch))
    monkeypatch.setattr(arcface, "PACKS", tmp_path)
    monkeypatch.setenv(arcface.ACCEPT, "1")
    monkeypatch.setattr(hub, "_check_connection", fetch)
    judges = load_judges(fetch=False)
    assert judges.faces is None and judges.clip is None
    assert "is no folder" in judges.missing["FaceSim-Arc"] and "hf download" in judges.missing["CLIPScore"]
    with pytest.raises(ValueError, match="hf download"):
        load_curricular(fetch=False)
    with pytest.raises(AssertionError, match="fetched"):
        load_judges()


def test_the_second_recogniser_sees_the_face_where_insightface_puts_it():
    points = np.array(TEMPLATE) * 2.5 @ [[0.96, 0.28], [-0.28, 0.96]] + [60, 20]
    theirs = estimate_transform("similarity", points, np.array(TEMPLATE) * 2).params  # of norm_crop at 224
    picture = np.zeros((400, 400, 3), np.uint8)
    eye = np.linalg.inv(theirs) @ [100, 120, 1]
    x, y = np.rint(eye[:2]).astype(int)
    picture[y - 4 : y + 5, x - 4 : x + 5] = (0, 0, 255)
    chip = cut_chip(picture, points)[0]
    assert chip.shape == (3, 112, 112) and chip[2, 60, 50] == 1 and chip[0, 60, 50] == -1
    rows, columns = torch.nonzero(chip[2] > 0, as_tuple=True)
    assert abs(rows.float().mean() - 59.75) < 0.5 and abs(columns.float().mean() - 49.75) < 0.5


def test_curricularface_says_what_the_published_code_says(tmp_path):
    # These numbers are of TFace's model_irse.py (IR-18), its weights filled by the same rule.
    network = fill_by_rule(create_curricular((2, 2, 2, 2)))
    with torch.no_grad():
        said = network(make_gradient(112) * 2 - 1)[0]
    assert said[:5].tolist() == pytest.approx([0.2264, 0.5547, 0.3956, -0.0524, -0.3493], abs=1e-3)
    assert said.norm().item() == pytest.approx(7.5416, abs=1e-3)
    with torch.device("meta"):
        whole = create_curricular()
    assert round(sum(p.numel() for p in whole.parameters()) / 1e6, 1) == 65.2
    (tmp_path / CUR).parent.mkdir()
    torch.save(network.state_dict(), tmp_path / CUR)
    with pytest.raises(ValueError, match="keys are missing"):
        load_curricular(tmp_path)


def test_clipscore_is_that_of_the_frames_and_the_words(tmp_path):
    from transformers import CLIPImageProcessor, CLIPModel, CLIPProcessor

    folder = write_clip(tmp_path / "clip", width=32, side=28, pooled=16)
    CLIPProcessor(CLIPImageProcessor(size=28, crop_size=28), _tokenizer()).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] = len(_tokenizer())
    (folder / "config.json").write_text(json.dumps(config))
    model = CLIPModel(CLIPModel.config_class.from_pretrained(folder))
    model.save_pretrained(folder)
    judges = load_judges(clip=folder)
    assert judges.missing.keys() == {"FaceSim-Arc", "FaceSim-Cur"}
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 255, (9, 40, 40, 3), np.uint8)
    score = judges.judge(clip, clip[0], "a man nods")["clipscore"]
    processor = CLIPProcessor.from_pretrained(folder)
    swapped = [frame[..., ::-1] for frame in clip]
    inputs = processor(text="a man nods", images=swapped, return_tensors="pt")
    with torch.no_grad():
        each = model.eval()(**inputs).logits_per_image[:, 0]
    weights = np.bincount(np.arange(16) * 9 // 16, minlength=9) / 16  # which of nine frames are looked at
    assert score == pytest.approx(float(each @ torch.from_numpy(weights).float()), abs=1e-3)


def test_the_arms_are_compared_over_people(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(acceptance, "PROMPTS", ("smiles", "nods"))
    seen = []

    class Brightness(Judges):
        def judge(self, frames, photo, prompt):
            seen.append((frames.shape, prompt))
            return {"facesim_arc": photo.mean() / 100, "clipscore": 20.0 if prompt == "nods" else np.nan}

    photo = load_image(ASTRONAUT)
    brighter = np.clip(photo.astype(int) + 10, 0, 255).astype(np.uint8)
    report = evaluate_full_size(
        str(folder),
        arms=("iad",),
        photos=[photo, brighter],
        seeds=1,
        output=tmp_path,
        load=lambda: Brightness(clip=True, missing={"FaceSim-Cur": "not here"}),
        device="cpu",
        settings={"num_inference_steps": 1},
    )
    one, other = photo.mean() / 100, brighter.mean() / 100
    half = 1.96 * abs(other - one) / 2  # of two people: the deviation is the difference by root two
    (row,) = report["rows"]
    assert row == {
        "arm": "iad",
        "facesim_arc": f"{(one + other) / 2:.3f} ± {half:.3f}",
        "clipscore": "20.000 ± 0.000",
    }
    assert len(seen) == 4 and {shape for shape, _ in seen} == {(9, 64, 96, 3)}
    assert "2 people, 2 prompts, 1 seeds" in (tmp_path / "report.md").read_text()
    with pytest.raises(ValueError, match=r"No judge .* CLIP is not here\."):
        evaluate_full_size(
            str(folder), arms=("iad",), photos=[photo], seeds=1, output=tmp_path,
            load=lambda: Judges(missing=NOBODY),
        )  # fmt: skip


@pytest.mark.gpu
@pytest.mark.slow
def test_random_weights_at_the_true_size(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert main(["accept", "--random", "--minutes", "9", "--output", str(tmp_path)]) == 0
    rows = {row["what"]: row for row in read(tmp_path)[0]["rows"]}
    steps = [rows[f"{name}, a step"]["seconds"] for name in measuring.SYSTEMS]
    assert all(steps) and steps[1] < 1.1 * steps[0]
    tiles, whole = rows["decoding in tiles"], rows["decoding whole"]
    assert tiles["peak_gb"] < whole["peak_gb"]
    clips = [row["seconds"] for what, row in rows.items() if "steps" in what and row["seconds"]]
    assert len(clips) > 1 and min(clips[1:]) < clips[0]
    assert all(one["weights_gb"] <= one["peak_gb"] for one in rows.values() if one["weights_gb"])
