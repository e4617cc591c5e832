"""The full-size pipeline on a tiny twin of CogVideoX, saved in the layout in which it is published."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from iad import IaDPipeline
from iad.checkpoint import preset_from_dict
from iad.config import PRESETS, FullSizePreset
from iad.faces import Face
from iad.full_size.base import load_base, read_preset
from iad.full_size.encoder import score_clip
from iad.full_size.forms import single_out
from iad.media.photos import load_image
from iad.models.adapters import is_adapter_key
from iad.text import parse_prompt
from tests.made_up import ASTRONAUT
from tests.twins import write_cogvideox
from tests.twins_animator import write_id_animator

STEPS = {"num_inference_steps": 2, "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_cogvideox(tmp_path_factory.mktemp("twin") / "cogvideox")


@pytest.fixture(scope="module")
def pipeline(folder):
    return IaDPipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def trained(folder):
    """A pipeline whose adapters do something."""
    pipeline = IaDPipeline.from_pretrained(folder)
    torch.manual_seed(1)
    for key, parameter in pipeline.base.transformer.named_parameters():
        if "to_out" in key and is_adapter_key(key):
            torch.nn.init.normal_(parameter, std=0.3)
    return pipeline


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "pipeline"
    trained.save_pretrained(folder)
    return folder


def test_untrained_adapters_make_what_the_base_makes_to_the_bit(folder, pipeline):
    from diffusers import CogVideoXDPMScheduler, CogVideoXPipeline

    result = pipeline(ASTRONAUT, "she laughs", **STEPS)
    stock = CogVideoXPipeline.from_pretrained(folder)
    stock.scheduler = CogVideoXDPMScheduler.from_config(stock.scheduler.config, timestep_spacing="trailing")
    stock.vae.enable_slicing()
    if pipeline.base.vae.use_tiling:
        stock.vae.enable_tiling()
    frames = stock(
        "she laughs", num_inference_steps=2, guidance_scale=6.0, output_type="pt",
        generator=torch.Generator().manual_seed(3),
    ).frames[0]  # fmt: skip
    expected = (frames.movedim(1, -1).clamp(0, 1) * 255).round().byte().numpy()
    assert np.array_equal(result.frames, expected)
    assert any("No adapter is loaded" in note for note in result.notes)


def test_guidance_grows_over_the_steps_only_where_that_is_asked_for(folder, pipeline):
    growing = IaDPipeline.from_pretrained(folder, dynamic_guidance=True)
    steady, grown = (made(ASTRONAUT, "she laughs", **STEPS).frames for made in (pipeline, growing))
    assert not np.array_equal(steady, grown)


def test_every_part_of_the_base_comes_in_the_precision_that_is_asked_for(folder):
    base = load_base(folder, read_preset(folder, PRESETS["cogvideox-5b"]), dtype=torch.bfloat16)
    assert {base.transformer.dtype, base.vae.dtype, base.text_encoder.dtype} == {torch.bfloat16}


def test_the_base_says_how_large_a_clip_is(pipeline):
    assert (pipeline.preset.height, pipeline.preset.width, pipeline.preset.frames) == (64, 96, 9)
    assert pipeline.preset.base.dim == 64
    result = pipeline(ASTRONAUT, "laughs", **STEPS)
    assert result.frames.shape == (9, 64, 96, 3) and result.frames.dtype == np.uint8
    assert result.settings["arm"] == "iad" and result.settings["steps"] == 2
    assert result.scores["identity"].shape == (9,)


def test_trained_adapters_carry_the_person_and_the_action(trained):
    made = trained(ASTRONAUT, "laughs", **STEPS).frames
    assert np.array_equal(made, trained(ASTRONAUT, "laughs", **STEPS).frames)
    others = [
        trained("examples/person-003.png", "laughs", **STEPS).frames,
        trained(ASTRONAUT, "laughs", identity_scale=0.0, **STEPS).frames,
        trained(ASTRONAUT, "laughs", action_scale=0.0, **STEPS).frames,
        trained(ASTRONAUT, "laughs", action_reference="examples/person-003.png", **STEPS).frames,
    ]
    assert all(not np.array_equal(made, other) for other in others)


def test_words_reach_the_latent_frames_of_their_time(trained):
    nods, laughs = (
        trained.text_codes(parse_prompt(f"[0-0.5s] smiles [0.5-1.1s] {words}", duration=9 / 8), 3)[0]
        for words in ("nods", "laughs")
    )
    changed = (nods - laughs).norm(dim=-1)
    assert changed[2] > 1.4 * changed[0]


def test_a_saved_pipeline_makes_the_same_frames_to_the_bit(trained, saved):
    again = IaDPipeline.from_pretrained(saved)
    assert np.array_equal(
        again(ASTRONAUT, "nods", **STEPS).frames, trained(ASTRONAUT, "nods", **STEPS).frames
    )


def test_a_saved_base_is_stock_cogvideox(folder, saved):
    from diffusers import CogVideoXPipeline

    old, new = (CogVideoXPipeline.from_pretrained(f).transformer.state_dict() for f in (folder, saved))
    assert old.keys() == new.keys() and all(torch.equal(old[k], new[k]) for k in old)


def test_an_adapter_goes_on_a_fresh_base(folder, trained, saved):
    over = IaDPipeline.from_pretrained(folder, adapter=saved / "iad")
    assert np.array_equal(over(ASTRONAUT, "nods", **STEPS).frames, trained(ASTRONAUT, "nods", **STEPS).frames)


def test_an_adapter_of_another_base_is_refused(saved, tmp_path):
    wider = write_cogvideox(tmp_path / "wider", heads=6)
    with pytest.raises(ValueError, match="width 64, 4 blocks .* has width 96, 4 blocks"):
        IaDPipeline.from_pretrained(wider, adapter=saved / "iad")


def test_keys_that_do_not_fit_are_named_and_counted(folder, saved, tmp_path):
    import json
    import shutil

    from iad.checkpoint import _digest

    broken = shutil.copytree(saved / "iad", tmp_path / "iad")
    file = next(broken.glob("adapters-iad*"))
    state = load_file(file)
    for key in [k for k in state if "to_q" in k][:3]:
        del state[key]
    state["transformer_blocks.0.identity_slots"] = torch.zeros(1, 1)
    save_file(state | {"more": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="altered"):
        IaDPipeline.from_pretrained(folder, adapter=broken)
    manifest = json.loads((broken / "manifest.json").read_text())
    manifest["files"][file.name] = _digest(file)
    (broken / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=r"5 keys are missing, extra or misshapen \(more, transformer"):
        IaDPipeline.from_pretrained(folder, adapter=broken)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"num_frames": 10}, "num_frames is 10; this model makes 8k \\+ 1 frames up to 9, try 9"),
        ({"num_frames": 49}, "try 9"),
        ({"height": 70}, "The height is 70 pixels; give a multiple of 16, try 64"),
        ({"width": 8}, "The width is 8 pixels; give a multiple of 16, try 16"),
        ({"arm": "entangled"}, "at full size there are iad, consisid, id-animator"),
        ({"seed": -1}, "seed is -1"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"size": 128, "duration": 1.0}, "duration, size: only small models take these"),
    ],
)
def test_what_cannot_be_made_is_said_before_work_begins(pipeline, request_, sentence):
    called = []
    with pytest.raises(ValueError, match=sentence):
        pipeline(ASTRONAUT, "laughs", **{"seed": 0, **request_}, callback=lambda *step: called.append(step))
    assert not called


def test_every_step_is_reported(pipeline):
    steps = []
    pipeline(ASTRONAUT, "laughs", **STEPS, callback=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_a_face_comes_apart_at_full_size_too(trained):
    face = trained.decouple(ASTRONAUT)
    assert face.identity.shape == (64 * 512,)
    assert np.allclose(face.facial, face.identity + face.action + face.residual, atol=1e-4)
    assert face.identity_share + face.action_share + face.residual_share == pytest.approx(1)
    assert face.crop.shape == (336, 336, 3)
    ranked = trained.match_actions(face, ["smiles", "closes the eyes"])
    assert {prompt for prompt, _ in ranked} == {"smiles", "closes the eyes"}


def test_a_base_that_lacks_weights_is_refused_and_not_filled_with_noise(folder, tmp_path):
    import shutil

    lacking = shutil.copytree(folder, tmp_path / "lacking")
    file = next((lacking / "transformer").glob("*.safetensors"))
    state = load_file(file)
    del state["proj_out.weight"]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"1 keys are missing.*\(proj_out.weight\)"):
        IaDPipeline.from_pretrained(lacking)


def test_an_adapter_with_a_lora_asks_for_peft(folder, saved, tmp_path):
    import shutil
    from importlib.util import find_spec

    if find_spec("peft"):
        pytest.skip("peft is installed")
    with_lora = shutil.copytree(saved / "iad", tmp_path / "iad")
    save_file({"x": torch.zeros(1)}, with_lora / "pytorch_lora_weights.safetensors")
    with pytest.raises(ValueError, match="holds a LoRA, which needs peft"):
        IaDPipeline.from_pretrained(folder, adapter=with_lora)


def test_another_kind_of_pipeline_is_refused(folder, tmp_path):
    import json
    import shutil

    other = shutil.copytree(folder, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(json.dumps(index | {"_class_name": "WanPipeline"}))
    with pytest.raises(ValueError, match="holds a WanPipeline, not a CogVideoXPipeline"):
        IaDPipeline.from_pretrained(other)


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        ({"memory": "ful"}, "Unknown memory mode 'ful'; choose one of auto, full"),
        ({"memory": "offload"}, "'offload' needs a CUDA device; a CPU allows auto, full"),
        ({"cache": "fast"}, "Unknown step cache 'fast'; choose one of first-block"),
        ({"device": "cuda"}, "no CUDA device"),
        ({"cache": "pab", "arms": ("consisid",)}, "consisid has no step caches"),
        ({"baselines": {"id-animator": "nowhere"}, "arms": ("id-animator",)}, "nowhere"),
        ({"adapter": "nowhere"}, "'nowhere' is neither a folder nor a hub id"),
    ],
)
def test_what_cannot_be_set_up_is_said_in_a_sentence(folder, sources, sentence):
    with pytest.raises(ValueError, match=sentence):
        IaDPipeline.from_pretrained(folder, **sources)


def test_a_cached_clip_is_another_and_the_next_is_whole_again(trained):
    whole, first, second, after = (
        trained(ASTRONAUT, "nods", num_inference_steps=8, cache=cache).frames
        for cache in (None, "taylorseer", "taylorseer", None)
    )
    assert np.array_equal(first, second) and np.array_equal(whole, after)  # nothing is left over
    assert 0 < np.abs(first.astype(int) - whole).mean() < 20


def test_rounded_weights_are_not_saved(folder, tmp_path):
    rounded = IaDPipeline.from_pretrained(folder, memory="fp8")
    with pytest.raises(ValueError, match="'fp8' weights are rounded"):
        rounded.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_small_models_take_no_full_size_settings():
    with pytest.raises(ValueError, match="memory: only full-size models"):
        IaDPipeline.from_pretrained("tiny", memory="full")


def test_the_preset_comes_back_from_json():
    import json

    preset = replace(PRESETS["cogvideox-5b"], height=64)
    assert isinstance(preset, FullSizePreset)
    assert preset_from_dict(json.loads(json.dumps(preset.to_dict()))) == preset


def test_a_clip_of_the_photo_itself_is_wholly_like_it(trained):
    photo = load_image(ASTRONAUT)
    clip = np.stack([photo] * 5)
    clip[3] = 0  # between two latent frames, so never looked at
    faces = [trained.find_face(photo)]
    code = trained.text_codes(parse_prompt("nods", duration=1), 2)
    scores = score_clip(trained, clip, faces, code)
    assert scores["detected"] == 1.0
    assert np.isnan(scores["identity"]).tolist() == [False, True, True, True, False]
    assert scores["identity"][[0, 4]] == pytest.approx(1, abs=1e-4)
    assert scores["copied"] == pytest.approx(1, abs=1e-4) and -1 <= scores["action"] <= 1
    assert set(score_clip(trained, clip, faces, None, split=False)) == {"identity", "detected"}


def test_a_clip_without_a_face_has_no_likeness(trained):
    scores = score_clip(trained, np.zeros((5, 64, 64, 3), np.uint8), [trained.find_face(ASTRONAUT)], None)
    assert scores["detected"] == 0.0 and np.isnan(scores["identity"]).all() and "copied" not in scores


@pytest.fixture(scope="module")
def animator(tmp_path_factory):
    return write_id_animator(tmp_path_factory.mktemp("animator") / "twin")


def test_the_real_id_animator_answers_the_same_request(folder, animator):
    pipeline = IaDPipeline.from_pretrained(folder, arms=("id-animator",), baselines={"id-animator": animator})
    request = {"arm": "id-animator", "num_frames": 2, "height": 64, "width": 64, **STEPS}
    result = pipeline(ASTRONAUT, "she laughs", **request)
    assert result.frames.shape == (2, 64, 64, 3) and result.settings["arm"] == "id-animator"
    assert set(result.scores) == {"identity", "detected"}
    assert "base" not in vars(pipeline)  # CogVideoX stays on the disk
    with pytest.raises(ValueError, match="real id-animator follows words alone"):
        pipeline(ASTRONAUT, "she laughs", action_reference=ASTRONAUT, **request)


def test_of_a_group_the_published_systems_get_the_chosen_face():
    photo, both = load_image(ASTRONAUT), load_image(ASTRONAUT)
    photo = np.concatenate([photo, photo[:, ::-1]], axis=1)
    crop, points = np.zeros((8, 8, 3), np.uint8), np.zeros((68, 2), np.float32)
    face = Face(crop, (700, 80, 800, 180), points, np.eye(2, 3), 2, 1)
    cut = single_out(photo, face)
    assert np.array_equal(cut, photo[30:230, 650:850])
    assert single_out(both, replace(face, count=1)) is both
