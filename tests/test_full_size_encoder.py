"""The full-size face encoder: its three kinds, CLIP as it is published, InsightFace and its ways to fail."""

import shutil
import sys
import types
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cosine_similarity
from twins_faces import POINTS, write_antelope, write_clip

from iad.config import DecouplerConfig, FaceConfig, FullSizePreset
from iad.decoupling import Decoupler
from iad.full_size import arcface
from iad.full_size import encoder as room
from iad.full_size.arcface import find_models, five_points, load_arcface
from iad.full_size.encoder import load_clip, load_face_encoder, load_mini_encoder
from iad.models.autoencoder import to_tensor
from iad.portraits.collection import load_collection

needs_insightface = pytest.mark.skipif(
    not (find_spec("insightface") and find_spec("onnx")),
    reason="InsightFace is not installed; pip install --no-deps insightface, and onnx and onnxruntime",
)
PATCH, SIDE, WIDTH, POOLED = 14, 56, 32, 8  # of the small CLIP: a grid of 4 x 4


class SmallClip(FaceConfig):
    """A model that was built for the small CLIP beside mini."""

    vector_dim, token_dim, grid = 316 + POOLED, WIDTH, SIDE // PATCH


class SmallInsight(SmallClip):
    """The same with InsightFace in mini's place."""

    vector_dim = 512 + POOLED


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("small"), width=WIDTH, side=SIDE, pooled=POOLED)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="module")
def clip_encoder(small):
    return load_face_encoder(SmallClip("clip"), clip=small)


@pytest.fixture(scope="module")
def faces():
    return load_collection()


def show(faces, **which):
    return to_tensor(faces.crops[faces.find(**which)])


def check_sizes(face, features, batch):
    assert features.vector.shape == (batch, face.vector_dim)
    assert features.tokens.shape == (batch, face.grid**2, face.token_dim)
    assert torch.allclose(features.embedding.norm(dim=1), torch.ones(batch))
    queries = min(8, face.grid) ** 2
    sizes = DecouplerConfig(queries=queries, dim=16, layers=1, heads=2, code_dim=8, erased=4)
    split = Decoupler(FullSizePreset("small", face=face, decoupler=sizes))(features.vector, features.tokens)
    assert split.identity.shape == (batch, queries, 16)


@pytest.fixture
def without_insightface(monkeypatch):
    for name in ("insightface", "insightface.app", "insightface.utils", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.parametrize("name", ["mini", "clip"])
@pytest.mark.usefixtures("without_insightface")
def test_a_kind_gives_what_the_decoupler_reads_without_insightface(name, wide, faces):
    face = FaceConfig(name)
    features = load_face_encoder(face, clip=wide)(show(faces, person=0, take=0)[:2])
    check_sizes(face, features, 2)
    assert 0.5 < features.vector[:, :316].pow(2).mean() < 2
    if name == "clip":
        assert torch.allclose(features.vector[:, 316:].pow(2).mean(1), torch.ones(2), atol=1e-3)
    assert 0.5 < features.tokens.pow(2).mean() < 2


def test_the_mini_kind_says_what_minis_encoder_says(faces):
    encoder, crops = load_face_encoder(FaceConfig("mini")), show(faces, person=3, take=0)
    own, features = encoder.mini(crops), encoder(crops)
    assert torch.equal(features.tokens, own.tokens)
    assert torch.equal(features.vector, own.vector)
    assert cosine_similarity(features.embedding, own.embedding).min() > 0.9999
    larger = encoder(torch.nn.functional.interpolate(crops, scale_factor=3, mode="bicubic"))
    assert cosine_similarity(features.vector, larger.vector).min() > 0.99
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_people_differ_more_than_a_persons_actions_do(faces):
    rows = faces.find(person=range(8), take=0)
    found = load_face_encoder(FaceConfig("mini"))(to_tensor(faces.crops[rows])).embedding
    cosine, person = found @ found.T, torch.as_tensor(faces.person[rows])
    same = person[:, None] == person[None]
    assert cosine[same].mean() > 0.8
    assert cosine[~same].mean() < 0.4


def test_a_batch_says_what_its_crops_say_alone_and_says_it_again(clip_encoder, faces):
    crops = show(faces, person=[0, 1], take=1)[: room.BATCH + 2]
    together, again = clip_encoder(crops), clip_encoder(crops)
    alone = [clip_encoder(crop[None]) for crop in crops]
    for name in ("vector", "tokens", "embedding"):
        assert torch.equal(getattr(together, name), getattr(again, name))
        each = torch.cat([getattr(one, name) for one in alone])
        assert torch.allclose(getattr(together, name), each, atol=1e-4)


def test_nothing_of_the_encoder_stays_behind_when_it_moves(small, faces):
    crops = show(faces, person=5, take=0)[:2]
    encoder = load_face_encoder(SmallClip("clip"), clip=small)
    before = encoder(crops)
    half = encoder.to(torch.bfloat16)(crops.bfloat16())
    assert half.tokens.dtype == half.vector.dtype == torch.float32
    assert cosine_similarity(before.vector, half.vector).min() > 0.98
    moved = encoder.to("meta")(crops)
    assert moved.tokens.device.type == moved.vector.device.type == "meta"


def test_pictures_reach_clip_as_its_training_prepared_them(small, photo):
    picture = Image.open(photo).convert("RGB").crop((40, 0, 440, 400))
    clip = load_clip(small)
    found = clip.prepare(to_tensor(np.array(picture))[None])[0]
    resized = np.array(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    mean, std = np.array([0.481, 0.458, 0.408]), np.array([0.269, 0.261, 0.276])
    error = np.abs(found.movedim(0, -1).numpy() - (resized - mean) / std)
    assert error.mean() < 0.01  # a bilinear filter would be off by 0.04


def test_a_token_tells_of_its_own_place(clip_encoder):
    grey = torch.full((1, 3, SIDE, SIDE), 0.5)
    painted = grey.clone()
    row, column = 2, 1
    painted[..., row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH] = 1.0
    change = (clip_encoder(painted).tokens - clip_encoder(grey).tokens).norm(dim=-1)[0]
    assert change.argmax() == row * SIDE // PATCH + column


def test_tokens_come_from_the_last_layer_but_one(small, faces):
    crops = show(faces, person=2, take=0)[:1]
    encoder = load_face_encoder(SmallClip("clip"), clip=small)
    before = encoder(crops)
    layers = encoder.clip.model.vision_model.encoder.layers
    layers[-1].mlp.fc2.weight.mul_(-9.0)
    after = encoder(crops)
    assert torch.equal(before.tokens, after.tokens)
    assert not torch.allclose(before.vector, after.vector)
    layers[-2].mlp.fc2.weight.mul_(-9.0)
    assert not torch.allclose(before.tokens, encoder(crops).tokens)


@pytest.mark.parametrize("name", ["mini", "clip"])
def test_the_mouths_tokens_show_that_it_opened(name, clip_encoder, faces):
    encoder = clip_encoder if name == "clip" else load_face_encoder(FaceConfig("mini"))
    calm, wide_open = (
        encoder(show(faces, person=range(10), action=action, take=0)).tokens
        for action in ("neutral", "mouth open")
    )
    side = round(calm.shape[1] ** 0.5)
    change = (wide_open - calm).norm(dim=-1).mean(0).view(side, side)
    mouth = change[side * 5 // 8 : side * 7 // 8, side * 3 // 8 : side * 5 // 8]
    assert mouth.mean() > 1.2 * change[: side // 4].mean()


# CLIP's folder


def test_clip_is_read_from_the_published_file_and_from_a_converted_one(small, tmp_path, faces):
    from safetensors.torch import save_file

    crops = show(faces, person=0, take=0)[:1]
    published = load_clip(small)
    state = torch.load(small / "pytorch_model.bin", weights_only=True)
    kept = state["vision_model.encoder.layers.0.mlp.fc1.weight"]
    assert torch.equal(published.model.vision_model.encoder.layers[0].mlp.fc1.weight, kept)
    assert not any("text" in name for name, _ in published.named_parameters())
    shutil.copy(small / "config.json", tmp_path)
    save_file(state, tmp_path / "model.safetensors")
    for one, other in zip(published(crops), load_clip(tmp_path)(crops), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def spoil(folder, change):
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    change(state)
    torch.save(state, folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda f: (f / "pytorch_model.bin").unlink(), "pytorch_model.bin"),
        (lambda f: (f / "config.json").unlink(), r"incomplete \(config.json\)"),
        (lambda f: (f / "config.json").write_text("{half"), "config.json"),
        (lambda f: (f / "pytorch_model.bin").write_bytes(b"PK half"), "cannot be loaded"),
        (
            lambda f: spoil(f, lambda s: s.pop("visual_projection.weight")),
            r"1 .*visual_projection.weight",
        ),
        (
            lambda f: spoil(f, lambda s: s.update({"visual_projection.weight": torch.zeros(9, WIDTH)})),
            r"1 .*visual_projection.weight",
        ),
    ],
)
def test_a_spoilt_clip_folder_is_explained(fault, said, small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "clip")
    fault(folder)
    with pytest.raises(ValueError, match=said):
        load_clip(folder)


def test_a_clip_of_other_sizes_is_refused(small):
    with pytest.raises(ValueError, match=r"\(324, 32, 4\).*built for \(1084, 1024, 24\)"):
        load_face_encoder(FaceConfig("clip"), clip=small)


def test_without_a_hub_the_published_clip_is_asked_for_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="clip-vit-large-patch14-336 is not on this machine"):
        load_face_encoder(FaceConfig("clip"))


# InsightFace, absent or present


@pytest.mark.usefixtures("without_insightface")
def test_an_absent_insightface_is_explained():
    with pytest.raises(ValueError, match=r"pip install .*'clip' does without") as caught:
        load_face_encoder(FaceConfig("insightface"))
    assert "opencv-python-headless" in str(caught.value)


def test_an_insightface_that_does_not_start_is_explained(monkeypatch):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise ImportError("libGL.so.1: cannot open shared object file")

    stand_in(monkeypatch, app=Broken("insightface.app"))
    with pytest.raises(ValueError, match=r"does not start \(libGL.so.1.*'clip'"):
        load_arcface()


def stand_in(monkeypatch, *, app=None, fetch=None):
    """Put a stand-in for InsightFace where the real one would be imported from."""
    utils = types.SimpleNamespace(ensure_available=fetch)
    modules = {"insightface": types.SimpleNamespace(), "insightface.app": app, "insightface.utils": utils}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


class Analysis:
    """InsightFace as far as loading goes: it runs where the test says, whatever it was asked for."""

    runs_on = "CPUExecutionProvider"

    def __init__(self, *, name, allowed_modules, providers):
        self.name, self.providers = name, providers
        session = types.SimpleNamespace(get_providers=lambda: [self.runs_on])
        model = types.SimpleNamespace(session=session, output_shape=[1, 512])
        self.models = dict.fromkeys(allowed_modules, model)

    def prepare(self, ctx_id, det_size):
        pass


APP = types.SimpleNamespace(FaceAnalysis=Analysis)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Give an InsightFace folder that is still empty, and an environment that accepts nothing."""
    monkeypatch.setattr(arcface, "PACKS", tmp_path / "home")
    monkeypatch.delenv(arcface.ACCEPT, raising=False)
    return tmp_path / "home"


@pytest.mark.parametrize("value", [None, "0", "no"])
def test_nothing_is_fetched_before_the_licence_is_accepted(value, home, monkeypatch):
    stand_in(monkeypatch, app=APP, fetch=lambda *a, **k: pytest.fail("it was fetched"))
    if value:
        monkeypatch.setenv(arcface.ACCEPT, value)
    with pytest.raises(ValueError, match=r"non-commercial research only.*IAD_ACCEPT_INSIGHTFACE=1"):
        load_arcface()
    assert not home.exists()


@pytest.mark.parametrize("by_flag", [True, False])
def test_an_accepted_licence_is_shown_and_the_nested_archive_is_used(by_flag, home, monkeypatch, capsys):
    def fetch(kind, name, root):
        print("download_path: somewhere")
        inner = home / kind / name / name
        inner.mkdir(parents=True)
        (inner / "glintr100.onnx").touch()
        assert root == str(home)

    stand_in(monkeypatch, app=APP, fetch=fetch)
    if not by_flag:
        monkeypatch.setenv(arcface.ACCEPT, "1")
    assert load_arcface(accept_licence=by_flag).dim == 512
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.index("non-commercial research only") < said.err.index("download_path")
    stand_in(monkeypatch, app=APP, fetch=lambda *a, **k: pytest.fail("it was fetched twice"))
    assert load_arcface().dim == 512


def test_a_failed_download_is_explained(home, monkeypatch):
    def fetch(*_, **__):
        raise ConnectionError("no route")

    stand_in(monkeypatch, app=APP, fetch=fetch)
    with pytest.raises(ValueError, match=r"could not fetch antelopev2 \(ConnectionError\).*antelopev2.zip"):
        load_arcface(accept_licence=True)


def test_a_gpu_is_never_silently_a_cpu(home, monkeypatch, tmp_path):
    (tmp_path / "a.onnx").touch()
    stand_in(monkeypatch, app=APP)
    load_arcface(tmp_path, device="cpu")
    with pytest.raises(ValueError, match=r"did not load; install onnxruntime-gpu"):
        load_arcface(tmp_path, device="cuda:1")
    monkeypatch.setattr(Analysis, "runs_on", "CUDAExecutionProvider")
    load_arcface(tmp_path, device="cuda:1")
    assert arcface.choose_providers("cuda:1")[0] == ("CUDAExecutionProvider", {"device_id": 1})


def test_a_pack_is_found_flat_or_nested_and_an_empty_one_explained(tmp_path):
    with pytest.raises(ValueError, match=r"is no folder; unpack antelopev2.zip"):
        find_models(tmp_path / "antelopev2")
    inner = tmp_path / "antelopev2" / "antelopev2"
    inner.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds no .onnx files; unpack antelopev2.zip"):
        find_models(inner.parent)
    (inner / "glintr100.onnx").touch()
    assert find_models(inner.parent) == inner
    assert find_models(inner) == inner


def test_arcfaces_five_points_come_out_of_our_landmarks(faces):
    landmarks = load_mini_encoder()(show(faces, action="neutral", take=0)[:8]).landmarks
    for marks in landmarks.numpy():
        left, right, nose, mouth_left, mouth_right = five_points(marks)
        assert left[0] < nose[0] < right[0]
        assert mouth_left[0] < nose[0] < mouth_right[0]
        assert max(left[1], right[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    write_antelope(folder / "antelopev2")
    return folder


@needs_insightface
def test_insightface_takes_minis_place(small, pack, faces):
    face, crops = SmallInsight("insightface"), show(faces, person=[0, 1], action="neutral", take=0)
    encoder = load_face_encoder(face, clip=small, pack=pack)
    features = encoder(crops)
    check_sizes(face, features, 2)
    assert torch.allclose(features.vector[:, :512].pow(2).mean(1), torch.ones(2), atol=1e-3)
    direction = features.vector[:, :512] / features.vector[:, :512].norm(dim=1, keepdim=True)
    assert torch.allclose(direction, features.embedding, atol=1e-5)
    assert features.embedding[0] @ features.embedding[1] < 0.999
    assert torch.equal(encoder(crops[1:]).embedding[0], features.embedding[1])
    clip = load_face_encoder(SmallClip("clip"), clip=small)(crops)
    assert torch.equal(features.tokens, clip.tokens)
    assert torch.equal(features.vector[:, 512:], clip.vector[:, 316:])


def paint(points, size=336):
    """Paint a red disc at every point of the unit square, on blue."""
    import cv2

    picture = np.full((size, size, 3), (0, 0, 255), np.uint8)
    for point in np.asarray(points) * size - 0.5:
        cv2.circle(picture, np.rint(point).astype(int).tolist(), 8, (255, 0, 0), -1)
    return picture


@needs_insightface
@pytest.mark.parametrize("score", [0.9, 0.1])
def test_the_chip_lies_as_arcface_wants_it(score, tmp_path, monkeypatch):
    """The detector's points decide; where it sees nothing, our landmarks do."""
    from insightface.utils.face_align import arcface_dst

    marks = np.full((1, 68, 2), 0.1, np.float32)
    own = np.array(POINTS, np.float32) + np.float32([0.06, -0.04])
    for place, point in zip((slice(36, 42), slice(42, 48), 30, 48, 54), own, strict=True):
        marks[0, place] = point
    loaded = load_arcface(write_antelope(tmp_path, score=score))
    chips = []
    monkeypatch.setattr(
        loaded.arcface, "get_feat", lambda given: chips.extend(given) or np.zeros((1, 512), "f")
    )
    loaded.embed(paint(POINTS if score > 0.5 else own)[None], marks)
    blue, _, red = np.moveaxis(chips[0], -1, 0)
    assert chips[0].shape == (112, 112, 3)
    for x, y in arcface_dst.round().astype(int):
        assert red[y, x] > 200 > 50 > blue[y, x]


@needs_insightface
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda f: (f / "scrfd_10g_bnkps.onnx").unlink(), "no face detector in it"),
        (lambda f: (f / "glintr100.onnx").unlink(), "holds no recogniser"),
        (lambda f: (f / "glintr100.onnx").write_bytes(b"half"), "cannot be read"),
    ],
)
def test_a_spoilt_pack_is_explained(fault, said, tmp_path):
    folder = write_antelope(tmp_path)
    fault(folder)
    with pytest.raises(ValueError, match=said):
        load_arcface(folder)


@needs_insightface
def test_the_real_runtime_admits_that_it_has_no_gpu(pack):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has a GPU provider")
    with pytest.raises(ValueError, match="install onnxruntime-gpu"):
        load_arcface(pack, device="cuda")
