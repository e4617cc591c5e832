"""The real ConsisID: its face networks to the published numbers, its pipeline on a tiny twin."""

import importlib.util
import sys
from dataclasses import replace
from types import ModuleType
from zlib import crc32

import cv2
import numpy as np
import pytest
import torch

from iad.full_size import consisid_faces
from iad.full_size.arcface import ArcFace
from iad.full_size.consisid import ConsisID, fetch_consisid, load_consisid, load_pipeline, write_long_prompt
from iad.full_size.consisid_faces import (
    EVA,
    PACK,
    PARSER,
    SURROUND,
    TEMPLATE,
    FaceReader,
    align,
    prepare_face,
    shrink,
)
from iad.full_size.face_networks import EvaConfig, EvaTower, FaceParser, load_eva, load_face_parser
from iad.full_size.forms import RequestDefaults
from iad.full_size.published import check_tokenizer
from iad.request import Request

REQUEST = Request(
    None, "a woman laughs", num_frames=9, height=64, width=64, num_inference_steps=2, guidance_scale=6.0
)


class GivenArcFace(ArcFace):
    """A recogniser without InsightFace: the embedding is a projection of the photo, the points are given."""

    def __init__(self, points=TEMPLATE):
        self.points = np.float32(points)

    def find(self, photo, *, side):
        small = cv2.resize(photo, (8, 8), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() / 255
        weights = np.random.default_rng(0).standard_normal((small.size, 512)).astype(np.float32)
        return small @ weights, self.points


def make_photo(seed):
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_CUBIC)


def fill_by_rule(network):
    """Give every weight a number that any machine computes alike."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            places = torch.arange(parameter.numel(), dtype=torch.float64)
            waves = torch.sin(places * (0.3 + crc32(name.encode()) % 997 / 997))
            parameter.copy_(
                waves.view_as(parameter) * 0.2 + (parameter.ndim == 1 and name.endswith("weight"))
            )
    return network.eval()


def make_gradient(side=128):
    places = torch.linspace(0, 1, side)
    rows, columns = places[:, None].expand(side, side), places[None].expand(side, side)
    return torch.stack([rows, columns, rows * columns])[None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from twins_consisid import write_consisid

    return write_consisid(tmp_path_factory.mktemp("published") / "ConsisID-preview")


@pytest.fixture(scope="module")
def reader(folder):
    home = folder / "face_encoder"
    return FaceReader(GivenArcFace(), load_eva(home / EVA), load_face_parser(home / PARSER))


@pytest.fixture(scope="module")
def consisid(folder, reader):
    return ConsisID(load_pipeline(folder), reader)


@pytest.fixture(scope="module")
def face(reader):
    return reader.read(make_photo(0))


@pytest.fixture(scope="module")
def clip(consisid, face):
    return consisid.generate_from(face, REQUEST)


def test_the_tower_says_what_the_published_code_says():
    # These numbers are of consisid-eva-clip 1.0.2, its weights filled by the same rule.
    tower = fill_by_rule(EvaTower(EvaConfig(size=56, width=32, head_dim=16, hidden=85, output=4)))
    with torch.no_grad():
        pooled, hidden = tower(make_gradient())
    assert pooled[0].tolist() == pytest.approx([-0.7589, -0.5336, 0.4434, 1.0426], abs=2e-4)
    assert [layer[0, 7, 3].item() for layer in hidden] == pytest.approx(
        [1.6342, 1.5935, 6.0719, 5.5313, 6.0224], abs=1e-3
    )


def test_the_face_parser_says_what_the_published_code_says():
    # These numbers are of facexlib 0.3.0, its weights filled by the same rule.
    parser = fill_by_rule(FaceParser())
    with torch.no_grad():
        scores, backdrop = parser(make_gradient()), parser.find_backdrop(make_gradient())
    assert scores[0, :5, 40, 90].tolist() == pytest.approx(
        [1.9695, -1.8638, 0.4227, 1.3213, -2.1186], abs=1e-3
    )
    assert backdrop.sum() == pytest.approx(11796, abs=5)


def test_weights_files_of_another_model_are_refused(folder, tmp_path):
    home = folder / "face_encoder"
    with pytest.raises(ValueError, match="no EVA02-CLIP picture tower"):
        load_eva(home / PARSER)
    with pytest.raises(ValueError, match="no face parser"):
        load_face_parser(home / EVA)
    state = torch.load(home / EVA, weights_only=True)
    del state["visual.blocks.3.attn.q_bias"]
    torch.save(state, tmp_path / "short.pt")
    with pytest.raises(ValueError, match=r"1 keys are missing.*blocks\.3\.attn\.q_bias"):
        load_eva(tmp_path / "short.pt")
    (tmp_path / "cut.pt").write_bytes((home / EVA).read_bytes()[:5000])
    with pytest.raises(ValueError, match="cut short"):
        load_eva(tmp_path / "cut.pt")


def test_a_weights_file_cannot_run_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    torch.save({"visual.pos_embed": Harm()}, tmp_path / "harm.pt")
    with pytest.raises(ValueError, match="more than weights"):
        load_eva(tmp_path / "harm.pt")
    assert not (tmp_path / "harmed").exists()


def test_a_face_is_aligned_to_its_places():
    photo = np.full((400, 500, 3), 90, np.uint8)
    points = np.float32(TEMPLATE) * 0.4 @ np.float32([[0.96, 0.28], [-0.28, 0.96]]) + np.float32([20, 80])
    for x, y in points:
        cv2.circle(photo, (round(float(x)), round(float(y))), 3, (255, 0, 0), -1)
    crop = align(photo, points)
    for x, y in np.round(TEMPLATE).astype(int):
        assert crop[y, x, 0] > 200 and crop[y, x, 1] < 60
    assert tuple(crop[511, 0]) == SURROUND  # far beyond the photo


def test_a_large_photo_is_brought_to_1024_pixels():
    assert shrink(np.zeros((3000, 1500, 3), np.uint8)).shape == (1024, 512, 3)
    assert shrink(np.zeros((300, 150, 3), np.uint8)).shape == (300, 150, 3)


def test_the_backdrop_turns_white_and_the_tower_sees_no_colour(folder, face):
    home = folder / "face_encoder"
    parser, photo = load_face_parser(home / PARSER), make_photo(0)
    crop = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255
    backdrop = parser.find_backdrop(crop)[0, 0].numpy()
    assert 0.02 < backdrop.mean() < 0.98
    assert (face.image[backdrop] == 255).all()
    assert np.abs(face.image[~backdrop].astype(int) - photo[~backdrop]).max() <= 1
    turned = FaceReader(GivenArcFace(), load_eva(home / EVA), parser)
    seen = []
    turned.tower.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    turned.read(photo)
    assert torch.equal(seen[0][:, 0], seen[0][:, 1]) and (seen[0][0, 0].numpy()[backdrop] == 1).all()


def test_a_prepared_face_holds_both_embeddings(face):
    who, pooled = face.id_cond[:, :512], face.id_cond[:, 512:]
    assert who.norm() > 5  # not brought to length one
    assert pooled.norm().item() == pytest.approx(1)
    assert [layer.shape for layer in face.id_vit_hidden] == [(1, 17, 32)] * 5


def test_of_several_photos_the_embeddings_are_averaged(reader):
    one, other = (reader.read(make_photo(seed)) for seed in (0, 1))
    both = prepare_face(reader, [make_photo(0), make_photo(1)])
    assert torch.allclose(both.id_cond[:, :512], (one.id_cond + other.id_cond)[:, :512] / 2)
    assert both.id_cond[:, 512:].norm().item() == pytest.approx(1)
    assert (both.image == one.image).all() and not torch.equal(both.id_cond, one.id_cond)
    assert prepare_face(reader, [make_photo(0)]).id_cond.equal(one.id_cond)
    with pytest.raises(ValueError, match="at least one photo"):
        prepare_face(reader, [])


def test_a_photo_without_a_face_is_named(reader):
    class SeesNone(GivenArcFace):
        def find(self, photo, *, side):
            return None if photo.mean() < 1 else super().find(photo, side=side)

    blind = FaceReader(SeesNone(), reader.tower, reader.parser)
    with pytest.raises(ValueError, match="Photo 2 of 2: No face found"):
        prepare_face(blind, [make_photo(0), np.zeros((64, 64, 3), np.uint8)])


def test_a_request_gives_the_same_clip_again(consisid, clip):
    calls = []
    again = consisid.generate([make_photo(0)], REQUEST, callback=lambda *at: calls.append(at))
    assert again.shape == (9, 64, 64, 3) and again.dtype == np.uint8
    assert (again == clip).all() and clip.std() > 5
    assert calls == [(1, 2), (2, 2)]
    other = consisid.generate([make_photo(0)], replace(REQUEST, seed=1))
    assert (other != clip).mean() > 0.2


def test_everything_that_it_is_told_reaches_the_frames(consisid, face, clip):
    changed = {
        "embedding": replace(face, id_cond=face.id_cond.roll(1, dims=1)),
        "layers": replace(face, id_vit_hidden=tuple(-layer for layer in face.id_vit_hidden)),
        "picture": replace(face, image=255 - face.image),
    }
    for what, told in changed.items():
        assert (consisid.generate_from(told, REQUEST) != clip).mean() > 0.2, what
    assert (consisid.generate([make_photo(1)], REQUEST) != clip).mean() > 0.2
    assert (consisid.generate_from(face, replace(REQUEST, prompt="a man nods")) != clip).mean() > 0.2


def test_it_is_asked_what_it_was_trained_for(consisid):
    own = consisid.pipeline.transformer.config
    assert consisid.defaults == RequestDefaults(9, 64, 64, 8, 50, 6.0)
    consisid.pipeline.transformer.register_to_config(sample_height=60, sample_width=90, sample_frames=49)
    published = consisid.defaults
    consisid.pipeline.transformer.register_to_config(
        sample_height=own.sample_height, sample_width=own.sample_width, sample_frames=own.sample_frames
    )
    assert published == RequestDefaults(49, 480, 720, fps=8, num_inference_steps=50, guidance_scale=6.0)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"num_frames": 1}, "for 9 frames of 64 x 64 pixels and makes no others; 1 of 64 x 64"),
        ({"num_frames": 17}, "no others; 17 of 64 x 64"),
        ({"width": 96}, "no others; 9 of 96 x 64"),
    ],
)
def test_sizes_are_refused_before_any_photo_is_read(consisid, asked, said):
    with pytest.raises(ValueError, match=said):
        consisid.generate([], replace(REQUEST, **asked))


def test_a_short_prompt_is_written_out_as_its_authors_ask_for(consisid, face, clip):
    long = write_long_prompt(f"{REQUEST.prompt}.")
    assert f": {REQUEST.prompt}. The face" in long and 60 < len(long.split()) < 150  # of T5's 226 tokens
    assert write_long_prompt(long) == long
    assert (consisid.generate_from(face, replace(REQUEST, prompt=long)) == clip).all()


def test_every_network_comes_in_the_precision_that_is_asked_for(folder):
    pipeline = load_pipeline(folder, dtype=torch.bfloat16)
    networks = [pipeline.transformer, pipeline.vae, pipeline.text_encoder]
    assert {network.dtype for network in networks} == {torch.bfloat16}


@pytest.mark.parametrize("mode", ["sequential", "fp8"])
def test_memory_modes_make_the_same_clip(folder, reader, face, clip, mode):
    from iad.full_size.memory import apply_memory

    pipeline = load_pipeline(folder)
    small = ConsisID(pipeline, reader, memory=apply_memory(pipeline, mode, device="cpu"))
    drift = np.abs(small.generate_from(face, REQUEST).astype(int) - clip).mean()
    assert drift < (1e-9 if mode == "sequential" else 3)


def test_its_transformer_has_no_step_caches(consisid):
    from iad.full_size.caching import step_cache

    refused = pytest.raises(ValueError, match="has no step caches")
    with refused, step_cache(consisid.pipeline, "first-block", steps=2):
        pass


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is neither a folder nor a hub id"):
        fetch_consisid(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"model_index\.json is missing or unreadable"):
        fetch_consisid(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "CogVideoXPipeline"}')
    with pytest.raises(ValueError, match="holds a CogVideoXPipeline, not a ConsisIDPipeline"):
        fetch_consisid(tmp_path)


def test_what_a_folder_lacks_is_named(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(ValueError, match=r"incomplete \(face_encoder/models/antelopev2/scrfd_10g"):
        fetch_consisid(folder)  # the twin has no InsightFace pack
    for place in folder.rglob("*"):
        if place.is_file():
            copy = tmp_path / place.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(place.read_bytes())
    weights = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    del state["perceiver_cross_attention.0.to_q.weight"]
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"perceiver_cross_attention\.0\.to_q\.weight"):
        load_pipeline(tmp_path)
    (tmp_path / "face_encoder" / EVA).unlink()
    with pytest.raises(ValueError, match="EVA02_CLIP_L_336_psz14_s6B.pt"):
        fetch_consisid(tmp_path)


@pytest.mark.parametrize("absent", ["sentencepiece", "google.protobuf"])
def test_a_published_tokenizer_asks_for_its_packages(tmp_path, monkeypatch, absent):
    for name in ("google", "google.protobuf", "sentencepiece"):
        monkeypatch.setitem(sys.modules, name, None if name == absent else ModuleType(name))
    check_tokenizer(tmp_path)  # nothing there that needs them
    (tmp_path / "spiece.model").touch()
    with pytest.raises(ValueError, match="pip install sentencepiece protobuf"):
        check_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").touch()
    check_tokenizer(tmp_path)


def test_insightface_has_no_stand_in(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(ValueError, match="pip install.*insightface.*non-commercial research only"):
        load_consisid(folder)


def test_the_licence_is_accepted_before_the_download(monkeypatch):
    monkeypatch.delenv("IAD_ACCEPT_INSIGHTFACE", raising=False)
    with pytest.raises(ValueError, match="non-commercial research only.*IAD_ACCEPT_INSIGHTFACE=1"):
        fetch_consisid("somebody/ConsisID")
    with pytest.raises(ValueError, match="somebody/ConsisID is not on this machine"):
        fetch_consisid("somebody/ConsisID", accept_licence=True)


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("insightface", "onnx", "onnxruntime"))),
    reason="InsightFace, onnx or onnxruntime is not installed here, so no photo is read with them.",
)
def test_the_whole_system_runs_from_a_photo(tmp_path, photo, monkeypatch):
    import twins_faces
    from twins_consisid import write_consisid

    from iad.media.photos import load_image

    folder = write_consisid(tmp_path / "ConsisID-preview")
    monkeypatch.setattr(twins_faces, "SIDE", consisid_faces.DETECTION_SIDE)
    twins_faces.write_antelope(folder / "face_encoder" / PACK)
    system, pixels = load_consisid(folder, memory="full", device="cpu"), load_image(photo)
    made = system.generate([pixels], REQUEST)
    assert made.shape == (9, 64, 64, 3)
    assert (system.generate([pixels[:, ::-1]], REQUEST) != made).mean() > 0.2
