"""The real ID-Animator, on a tiny twin in its published layout."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import ASTRONAUT
from PIL import Image
from safetensors.torch import load, save_file
from twins_animator import (
    PublishedAttention,
    Resampler,
    write_checkpoint,
    write_id_animator,
    write_safetensors,
    write_space,
)

from iad.full_size import id_animator as files
from iad.full_size.forms import RequestDefaults
from iad.full_size.id_animator import NEGATIVE_PROMPT, TEMPLATE, align, crop_face, load_id_animator
from iad.full_size.id_animator_adapter import list_shapes, read_adapter
from iad.media.photos import load_image
from iad.portraits.collection import load_collection
from iad.request import Request

PROMPT = "a person smiles"
ASKED = Request(
    None, PROMPT, num_frames=3, height=64, width=48, num_inference_steps=2, guidance_scale=8.0, seed=1
)
SHOWN = "a person smiles 8k uhd, high quality, medium shot"  # what their page makes of it


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return write_id_animator(tmp_path_factory.mktemp("twin") / "animator")


@pytest.fixture(scope="module")
def loaded(folder):
    return load_id_animator(folder, memory="full", device="cpu")


@pytest.fixture
def animator(loaded):
    loaded.identity_scale = 1.0
    return loaded


@pytest.fixture(scope="module")
def photos():
    """Give two faces of two people."""
    collection = load_collection()
    return [load_image(ASTRONAUT), collection.crops[collection.find(person=0, action="neutral", take=0)[0]]]


@pytest.fixture
def copy(folder, tmp_path):
    """Give a twin that a test may break."""
    return Path(shutil.copytree(folder, tmp_path / "animator"))


def load_plain(folder):
    from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter

    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "linear", "steps_offset": 1}
    return AnimateDiffPipeline.from_pretrained(
        folder / "base",
        motion_adapter=MotionAdapter.from_pretrained(folder / "motion"),
        scheduler=DDIMScheduler(**schedule, clip_sample=False),
    )


def run_plain(pipeline, **text):
    sizes = {"num_frames": ASKED.num_frames, "height": ASKED.height, "width": ASKED.width}
    made = pipeline(
        **text,
        **sizes,
        num_inference_steps=ASKED.num_inference_steps,
        guidance_scale=ASKED.guidance_scale,
        generator=torch.Generator().manual_seed(ASKED.seed),
        decode_chunk_size=1,
        output_type="np",
    )
    return np.rint(made.frames[0] * 255).astype(np.uint8)


@torch.inference_mode()
def run_published(folder, faces):
    """Do what the published code does: tokens behind the text, its own processor in every cross-attention."""
    from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

    state = read_adapter(folder / "animator.ckpt")
    encoder = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder")
    resampler = Resampler(64, encoder.config.hidden_size)
    resampler.load_state_dict({k[17:]: v for k, v in state.items() if k.startswith("image_proj_model.")})
    pixels = CLIPImageProcessor(size=32, crop_size=32)(faces, return_tensors="pt").pixel_values
    told, untold = (
        resampler(encoder(x, output_hidden_states=True).hidden_states[-2]).mean(dim=0, keepdim=True)
        for x in (pixels, torch.zeros_like(pixels))
    )
    pipeline = load_plain(folder)
    text, negative = pipeline.encode_prompt(SHOWN, "cpu", 1, True, NEGATIVE_PROMPT)
    spatial = [name for name in pipeline.unet.attn_processors if "motion_modules" not in name]
    processors = pipeline.unet.attn_processors
    for index, name in enumerate(spatial):
        if index % 2:
            processors[name] = PublishedAttention(state, index)
    pipeline.unet.set_attn_processor(processors)
    text, negative = torch.cat([text, told], dim=1), torch.cat([negative, untold], dim=1)
    return run_plain(pipeline, prompt_embeds=text, negative_prompt_embeds=negative)


def test_a_clip_has_the_size_asked_for_and_every_step_is_told(animator, photos):
    steps = []
    made = animator.generate(photos[:1], ASKED, callback=lambda *step: steps.append(step))
    assert made.shape == (3, 64, 48, 3)
    assert made.dtype == np.uint8
    assert made.std() > 1
    assert steps == [(1, 2), (2, 2)]
    assert animator.defaults == RequestDefaults(16, 512, 512, 8, num_inference_steps=30, guidance_scale=8)


def test_the_seed_alone_decides(animator, photos):
    first, again = (animator.generate(photos[:1], ASKED) for _ in range(2))
    other = animator.generate(photos[:1], replace(ASKED, seed=2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_another_face_gives_other_frames(animator, photos):
    first, other = (animator.generate([photo], ASKED) for photo in photos)
    assert not np.array_equal(first, other)
    animator.identity_scale = 0.0
    first, other = (animator.generate([photo], ASKED) for photo in photos)
    assert np.array_equal(first, other)


@pytest.mark.parametrize("count", [1, 2])
def test_it_computes_what_the_published_code_computes(animator, folder, photos, count):
    made = animator.generate(photos[:count], ASKED)
    faces = [Image.fromarray(crop_face(photo, animator._landmarker)) for photo in photos[:count]]
    published = run_published(folder, faces)
    assert np.abs(made.astype(int) - published).max() <= 1


def test_an_adapter_without_lora_at_scale_zero_is_animatediff_to_the_bit(copy, photos):
    state = read_adapter(copy / "animator.ckpt")
    write_checkpoint(copy, {k: v * 0 if "lora.up" in k else v for k, v in state.items()})
    animator = load_id_animator(copy, memory="full", device="cpu")
    animator.identity_scale = 0.0
    made = animator.generate(photos[:1], ASKED)
    plain = run_plain(load_plain(copy), prompt=SHOWN, negative_prompt=NEGATIVE_PROMPT)
    assert np.array_equal(made, plain)
    animator.identity_scale = 1.0
    assert not np.array_equal(animator.generate(photos[:1], ASKED), plain)


def test_checkpoint_and_safetensors_give_the_same_frames(animator, copy, photos):
    write_safetensors(copy, read_adapter(copy / "animator.ckpt"))
    (copy / "animator.ckpt").unlink()
    other = load_id_animator(copy, memory="full", device="cpu")
    assert np.array_equal(
        animator.generate(photos[:1], ASKED), other.generate(photos[:1], ASKED)
    )


def test_safetensors_come_before_the_checkpoint(copy):
    write_safetensors(copy, {"image_proj_model.latents": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"animator\.safetensors do not fit"):
        load_id_animator(copy, memory="full", device="cpu")


def test_both_forms_of_the_checkpoint_say_the_same(folder, tmp_path):
    state = read_adapter(folder / "animator.ckpt")
    parts = {"image_proj": "image_proj_model.", "face_adapter": "adapter_modules."}
    nested = {
        part: {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
        for part, start in parts.items()
    }
    torch.save(nested, tmp_path / "animator.ckpt")
    again = read_adapter(tmp_path / "animator.ckpt")
    assert again.keys() == state.keys()
    assert all(torch.equal(again[k], state[k]) for k in state)


def drop(state):
    return {k: v for k, v in state.items() if ".7." not in k}


def cut(state):
    return {k: v[..., :1] if k.endswith("latents") else v for k, v in state.items()}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (drop, r"10 keys are missing, .*\(adapter_modules\.7\.to_k_face\.weight, .*, \.\.\.\)"),
        (cut, r"1 keys are missing, extra or misshapen \(image_proj_model\.latents\)"),
    ],
)
def test_an_adapter_that_does_not_fit_is_named(copy, spoil, said):
    write_checkpoint(copy, spoil(read_adapter(copy / "animator.ckpt")))
    with pytest.raises(ValueError, match=said) as caught:
        load_id_animator(copy, memory="full", device="cpu")
    assert str(caught.value).count("_lora") + str(caught.value).count("_face") <= 5


def test_extra_keys_are_left_out_with_a_warning(animator, copy, photos, capsys):
    extra = {f"adapter_modules.{k}.to_k_face.weight": torch.zeros(1) for k in range(0, 14, 2)}
    write_checkpoint(copy, read_adapter(copy / "animator.ckpt") | extra)
    made = load_id_animator(copy, memory="full", device="cpu").generate(photos[:1], ASKED)
    assert np.array_equal(made, animator.generate(photos[:1], ASKED))
    said = capsys.readouterr().err
    assert "animator.ckpt: 7 keys are extra and left out (adapter_modules.0.to_k_face.weight, " in said
    assert said.count("to_k_face") == 5 and ", ...)." in said


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return self.file.write_text, ("caught",)


def test_a_checkpoint_with_more_than_weights_is_refused_and_not_run(tmp_path):
    sprung = tmp_path / "sprung"
    content = {"state_dict": {"module.latents": torch.zeros(1)}, "callbacks": Trap(sprung)}
    torch.save(content, tmp_path / "animator.ckpt")
    with pytest.raises(ValueError, match="holds more than weights"):
        read_adapter(tmp_path / "animator.ckpt")
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["animator.ckpt", "animator.safetensors"])
def test_a_damaged_adapter_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x02half a file")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        read_adapter(tmp_path / name)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"num_frames": 40}, "num_frames is 40; ID-Animator takes 1 to 32, try 32"),
        ({"height": 500}, "height is 500 pixels; give a multiple of 8, try 496"),
        ({"width": 4}, "width is 4 pixels; give a multiple of 8, try 8"),
        ({"num_inference_steps": 1000}, "1 to 999, try 999"),
    ],
)
def test_sizes_are_checked_before_work_begins(animator, photos, asked, said):
    with pytest.raises(ValueError, match=said):
        animator.generate(photos[:1], replace(ASKED, **asked))


def test_a_photo_with_a_face_is_needed(animator):
    with pytest.raises(ValueError, match="no photo"):
        animator.generate([], ASKED)
    with pytest.raises(ValueError, match="No face found"):
        animator.generate([np.full((80, 80, 3), 128, np.uint8)], ASKED)


@pytest.mark.parametrize("part", ["base", "motion", "image_encoder", "animator.ckpt"])
def test_a_folder_that_lacks_a_part_is_refused(copy, part):
    place = copy / part
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    with pytest.raises(ValueError, match=f"lacks .*{part}"):
        load_id_animator(copy, memory="full", device="cpu")


@pytest.mark.parametrize("part", ["base/unet", "base/text_encoder", "motion", "image_encoder"])
def test_networks_with_missing_weights_are_refused(copy, part):
    file = next((copy / part).glob("*.safetensors"))
    state = load(file.read_bytes())
    lost = sorted(state)[0]
    del state[lost]
    save_file(state, file, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"{part}.* 1 keys are missing"):
        load_id_animator(copy, memory="full", device="cpu")


def test_an_unknown_memory_mode_is_refused_before_anything_is_fetched():
    with pytest.raises(ValueError, match="Unknown memory mode"):
        load_id_animator("nobody/nothing", memory="tiny", device="cpu")


def test_without_the_hub_it_says_what_to_do():
    with pytest.raises(ValueError, match=r"ID-Animator/ID-Animator is not .* give the folder"):
        load_id_animator(None, memory="full", device="cpu")


def test_what_its_authors_use_is_fetched_by_pinned_commits(animator, folder, photos, tmp_path, monkeypatch):
    """The hub's own cache stands in for the hub: these repositories, these commits, these file names."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for repo, commit, part, inner in (
        ("models--guoyww--animatediff-motion-adapter-v1-5-2", files.MOTION_REVISION, "motion", ""),
        ("models--h94--IP-Adapter", files.ENCODER_REVISION, "image_encoder", "models/image_encoder"),
    ):
        shutil.copytree(folder / part, tmp_path / repo / "snapshots" / commit / inner)
    space = tmp_path / "spaces--ID-Animator--ID-Animator"
    with pytest.raises(ValueError, match=r"ID-Animator/ID-Animator is not on this machine"):
        load_id_animator(None, memory="full", device="cpu")
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = space / "snapshots" / commit
    write_space(folder, place)
    (space / "refs").mkdir()
    (space / "refs" / "main").write_text(commit)
    made = load_id_animator(None, memory="full", device="cpu").generate(photos[:1], ASKED)
    assert np.array_equal(made, animator.generate(photos[:1], ASKED))
    weights = place / "realisticVisionV60B1_v51VAE.safetensors"
    state = load(weights.read_bytes())
    for lost in (
        "model.diffusion_model.out.2.bias",
        "first_stage_model.quant_conv.bias",
        "cond_stage_model.transformer.text_model.final_layer_norm.bias",
    ):
        save_file({name: value for name, value in state.items() if name != lost}, weights)
        with pytest.raises(ValueError, match=r"v51VAE\.safetensors (do not fit .* 1 keys|cannot be loaded)"):
            load_id_animator(None, memory="full", device="cpu")


def test_every_network_comes_in_half_precision_where_it_is_asked_for(folder):
    pipeline = files.load_pipeline(files.find_places(folder), torch.float16)
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert len(networks) == 4 and {part.dtype for part in networks} == {torch.float16}


def test_the_face_is_framed_as_insightface_frames_it():
    from skimage.transform import estimate_transform

    rng = np.random.default_rng(0)
    points = np.array(TEMPLATE) * 3 + rng.normal(0, 8, (5, 2)) + (200, 90)
    theirs = estimate_transform("similarity", points, np.array(TEMPLATE))
    ours = align(points) * 112
    ours[:, 2] -= 0.5
    assert np.allclose(ours, theirs.params[:2], atol=1e-6)


def test_at_true_size_the_keys_are_those_of_the_published_modules():
    """Sixteen attentions at odd numbers, of SD 1.5's widths; the resampler of the published sizes."""
    from diffusers import UNetMotionModel

    with torch.device("meta"):
        unet = UNetMotionModel(cross_attention_dim=768)
        published = Resampler(768, 1280).state_dict()
    shapes = list_shapes(unet, token_dim=1280)
    numbers = sorted({int(k.split(".")[1]) for k in shapes if k.startswith("adapter_modules.")})
    assert numbers == list(range(1, 32, 2))
    widths = [shapes[f"adapter_modules.{k}.to_k_face.weight"][0] for k in numbers]
    down, up = [320, 320, 640, 640, 1280, 1280], [1280] * 3 + [640] * 3 + [320] * 3
    assert widths == [*down, *up, 1280]  # the middle comes last, as diffusers lists SD 1.5's attentions
    found = {k.removeprefix("image_proj_model."): v for k, v in shapes.items() if k.startswith("image_proj")}
    assert found == {k: tuple(v.shape) for k, v in published.items()}


@pytest.mark.parametrize("mode", ["auto", "sequential", "fp8"])
def test_every_memory_mode_of_a_cpu_makes_a_clip(animator, folder, photos, mode):
    other = load_id_animator(folder, memory=mode, device="cpu")
    made = other.generate(photos[:1], ASKED)
    expected = animator.generate(photos[:1], ASKED)
    assert other.memory == ("full" if mode == "auto" else mode)
    assert np.array_equal(made, expected) == (mode != "fp8")
