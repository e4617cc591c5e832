"""Every memory mode makes the same clip, every step cache keeps the identity, and what cannot be is said."""

import json
from types import SimpleNamespace

import pytest
import torch
import twins
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from iad.config import get_preset
from iad.full_size import caching, memory
from iad.full_size.caching import CACHES, compile_blocks, compile_parts, measure_ratios, step_cache
from iad.full_size.measuring import Measurements, Meter
from iad.full_size.memory import GB, LADDER, Needs
from iad.full_size.sizes import SYSTEMS, Scale

DRIFTS = {
    "full": 0.0,
    "sequential": 0.0,
    "int8": 0.004,
    "fp8": 0.02,
}  # of the frames; 0.001 and 0.005 measured
FRAMES, LATENT_FRAMES = 9, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return twins.write_cogvideox(tmp_path_factory.mktemp("twin") / "model")


def load(folder):
    """Load the twin with our schedule, and put adapters that matter on it."""
    from diffusers import CogVideoXDPMScheduler, CogVideoXPipeline

    from iad.models.transformer import IaDTransformer3DModel

    pipeline = CogVideoXPipeline.from_pretrained(folder)
    schedule = pipeline.scheduler.config
    pipeline.scheduler = CogVideoXDPMScheduler.from_config(schedule, timestep_spacing="trailing")
    torch.manual_seed(1)
    sizes = {"token_dim": 16, "queries": 4, "action_queries": 4, "adapter_heads": 2, "adapter_head_dim": 16}
    transformer = IaDTransformer3DModel.over(pipeline.transformer, focus=False, **sizes)
    for name, weight in transformer.named_parameters():
        if "_attention.to_out" in name:
            torch.nn.init.normal_(weight, std=0.1)
    pipeline.transformer = transformer
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def told(pipeline, *, scale: float = 1.0, seed: int = 0):
    """Return what the adapters of a clip with guidance are told."""
    random = torch.Generator().manual_seed(seed)
    identity = torch.randn(2, 4, 16, generator=random)
    action = torch.randn(2, LATENT_FRAMES, 4, 16, generator=random)
    scales = {"identity_scale": scale, "action_scale": scale}
    return pipeline.transformer.adapt(identity, action, frames=LATENT_FRAMES, **scales)


@torch.inference_mode()
def generate(pipeline, *, steps: int = 2, **options) -> Float[Tensor, "1 f c y x"]:
    """Make a clip of nine frames."""
    return pipeline(
        "a man nods",
        num_frames=FRAMES,
        height=64,
        width=64,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(0),
        output_type="pt",
        attention_kwargs={"adapter": told(pipeline, **options)},
    ).frames


def drift(frames: Tensor, truth: Tensor) -> float:
    return float((frames - truth).norm() / truth.norm())


@pytest.fixture(scope="module")
def truth(folder):
    """Return the clip without any memory mode."""
    return generate(load(folder))


@pytest.mark.parametrize("mode", memory.CPU_MODES)
def test_every_mode_of_a_cpu_makes_the_same_clip(folder, truth, mode):
    if mode == "int8":
        pytest.importorskip("torchao")
    pipeline = load(folder)
    assert memory.apply_memory(pipeline, mode, device="cpu") == mode
    without = generate(pipeline, scale=0.0)
    assert drift(generate(pipeline), truth) <= DRIFTS[mode]
    assert drift(without, truth) > 0.1  # the adapters are heard in every mode


def test_one_byte_modes_leave_the_adapters_whole(folder):
    pipeline = load(folder)
    before = {n: w.clone() for n, w in pipeline.transformer.named_parameters() if "_attention." in n}
    memory.apply_memory(pipeline, "fp8", device="cpu")
    after = dict(pipeline.transformer.named_parameters())
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    block = pipeline.transformer.transformer_blocks[0]
    assert block.attn1.to_q.weight.dtype == block.ff.net[2].weight.dtype == torch.float8_e4m3fn


def test_auto_says_what_it_chose(folder, capsys):
    assert memory.apply_memory(load(folder), "auto", device="cpu") == "full"
    assert "without a CUDA device" in capsys.readouterr().err


def test_what_a_cpu_cannot_do_is_said(folder, monkeypatch):
    with pytest.raises(
        ValueError, match="needs a CUDA device; a CPU allows auto, full, sequential, int8, fp8"
    ):
        memory.apply_memory(load(folder), "offload", device="cpu")
    with pytest.raises(ValueError, match="Unknown memory mode 'lots'; choose one of auto"):
        memory.apply_memory(load(folder), "lots", device="cpu")
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install torchao"):
        memory.apply_memory(load(folder), "int8", device="cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA device"):
            memory.find_device("cuda")


LARGE = Needs({"transformer": 11 * GB, "text_encoder": 9 * GB, "vae": GB // 2}, 4 * GB)


def test_modes_need_less_down_the_ladder():
    needs = LARGE.by_mode()
    assert needs["full"] == 24.5 * GB
    assert needs["offload"] == 15 * GB
    assert needs["int8"] == needs["fp8"] == 13 * GB  # now the text encoder is the largest
    assert sorted(needs.values(), reverse=True) == [needs[mode] for mode in LADDER]


@pytest.mark.parametrize(
    ("free", "torchao", "mode"),
    [
        (80, True, "full"),
        (24, True, "offload"),
        (14, True, "int8"),
        (14, False, "fp8"),
        (8, True, "sequential"),
    ],
)
def test_the_fastest_mode_that_fits_is_chosen(monkeypatch, free, torchao, mode):
    monkeypatch.setattr(memory, "free_memory", lambda device: free * GB)
    monkeypatch.setattr(memory, "find_spec", lambda name: torchao or None)
    choice = memory.choose_memory(LARGE, device="cuda")
    assert choice.mode == mode
    assert f"{free:.1f} GB are free" in choice.reason


def test_where_nothing_fits_the_smallest_is_tried_with_a_warning(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda device: GB)
    choice = memory.choose_memory(LARGE, device="cuda")
    assert choice.mode == "sequential"
    assert "may not suffice" in choice.reason


@pytest.mark.parametrize(
    ("card", "weights", "mode", "zero", "whole"),
    [
        (80, 21.4, "full", "", True),
        (48, 21.4, "full", "", True),  # 26.6 are left
        (48, 30, "full", "", False),  # a second system is there, too
        (40, 21.4, "full", "", False),
        (80, 21.4, "offload", "", False),
        (80, 0, "full", "true", False),  # on ZeroGPU the weights come later, and the card is shared
    ],
)
def test_a_clip_is_decoded_whole_only_beside_all_weights(
    folder, monkeypatch, card, weights, mode, zero, whole
):
    monkeypatch.setenv("SPACES_ZERO_GPU", zero)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (0, card * GB))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: round(weights * GB))
    vae = load(folder).vae
    memory._tile(vae, torch.device("cuda"), mode)
    assert vae.use_tiling != whole and vae.use_slicing != whole


def test_running_out_of_memory_is_explained_once(monkeypatch):
    def advise(mode, error=torch.OutOfMemoryError):
        refused = pytest.raises(ValueError, match=f"Out of memory in the memory mode '{mode}'")
        with refused as said, memory.explain_out_of_memory(mode):
            raise error
        return str(said.value)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "fewer frames" in advise("full")  # a CPU has no smaller mode
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with (
        pytest.raises(ValueError, match="Out of memory in the memory mode 'full'; try --memory offload"),
        memory.explain_out_of_memory("full"),
    ):
        torch.empty(10**15)
    assert "fewer frames" in advise("sequential", MemoryError)
    with pytest.raises(RuntimeError, match="tensor size"), memory.explain_out_of_memory("full"):
        torch.zeros(2) @ torch.zeros(3)  # not ours to explain
    for mode in LADDER[:-1]:
        smaller = advise(mode).split("--memory ")[1][:-1]
        assert LADDER.index(smaller) > LADDER.index(mode)


def test_a_large_model_is_refused_on_a_cpu_before_it_is_loaded(folder, tmp_path):
    memory.refuse_without_cuda(folder, device="cpu")
    assert memory.read_needs(folder).parts["transformer"] > 0
    header = json.dumps(
        {"w": {"dtype": "BF16", "shape": [1200, 10**6], "data_offsets": [0, 24 * 10**8]}}
    ).encode()
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    file.parent.mkdir()
    with file.open("wb") as sparse:
        sparse.write(len(header).to_bytes(8, "little") + header)
        sparse.truncate(8 + len(header) + 24 * 10**8)  # takes no room
    with pytest.raises(ValueError, match="1.2 billion parameters and there is no CUDA") as refusal:
        memory.refuse_without_cuda(tmp_path, device="cpu")
    assert "mini" in str(refusal.value)
    assert memory.count_parameters(tmp_path) == {"transformer": 12 * 10**8}


STEPS = 8


@pytest.fixture(scope="module")
def pipeline(folder):
    """Return one pipeline for all caches: each must leave it as it was."""
    return load(folder)


@pytest.fixture(scope="module")
def ratios(pipeline):
    with measure_ratios(pipeline.transformer) as found:
        generate(pipeline, steps=STEPS)
    return found


@pytest.fixture(scope="module")
def uncached(pipeline):
    return generate(pipeline, steps=STEPS)


@pytest.mark.parametrize("name", CACHES)
def test_a_cache_skips_work_and_forgets_one_clip_before_the_next(
    pipeline, ratios, uncached, name, monkeypatch
):
    monkeypatch.setattr(caching, "FIRST_BLOCK_THRESHOLD", 0.5)  # random weights resemble themselves less
    monkeypatch.setattr(caching, "MAG_THRESHOLD", 0.01)
    calls = []
    layer = pipeline.transformer.transformer_blocks[1].attn1.to_q
    counter = layer.register_forward_hook(lambda *_: calls.append(1))
    clips = []
    for _ in range(2):
        with step_cache(pipeline, name, steps=STEPS, ratios=ratios):
            clips.append(generate(pipeline, steps=STEPS))
    counter.remove()
    assert 0 < len(calls) / 2 < STEPS
    assert torch.equal(*clips)
    assert 0 < drift(clips[0], uncached) < 0.25
    assert (
        drift(generate(pipeline, steps=STEPS, scale=0.0), uncached) > 0.25
    )  # what forgetting the person costs
    assert torch.equal(generate(pipeline, steps=STEPS), uncached)
    assert not pipeline.transformer._forward_pre_hooks


def test_a_reused_block_still_knows_the_person(pipeline, monkeypatch):
    monkeypatch.setattr(caching, "FIRST_BLOCK_THRESHOLD", 1e9)  # every step after the first is skipped
    transformer, random = pipeline.transformer, torch.Generator().manual_seed(0)
    latents = torch.randn(2, LATENT_FRAMES, 4, 8, 8, generator=random)
    states = torch.randn(2, 226, 32, generator=random)
    rotary = pipeline._prepare_rotary_positional_embeddings(64, 64, LATENT_FRAMES, torch.device("cpu"))

    @torch.inference_mode()
    def step(x, adapter):
        with transformer.cache_context("cond_uncond"):
            return transformer(
                x,
                states,
                torch.tensor([500, 500]),
                image_rotary_emb=rotary,
                attention_kwargs={"adapter": adapter},
            ).sample

    moved = latents + 0.02 * torch.randn(latents.shape, generator=random)
    person, nobody = told(pipeline), told(pipeline, scale=0.0)
    truth = step(moved, person)
    with step_cache(pipeline, "first-block", steps=2):
        first = step(latents, person)
        same, skipped = step(latents, person), step(moved, person)
    assert torch.allclose(same, first, atol=1e-5)
    lost = (truth - step(moved, nobody)).norm()
    assert (skipped - truth).norm() < 0.1 * lost


def test_ratios_are_those_that_diffusers_measures(pipeline, ratios, capsys):
    from diffusers.hooks import MagCacheConfig

    pipeline.transformer.enable_cache(MagCacheConfig(num_inference_steps=STEPS, calibrate=True))
    generate(pipeline, steps=STEPS)
    pipeline.transformer.disable_cache()
    printed = capsys.readouterr().out
    assert len(ratios) == STEPS
    assert ratios == pytest.approx(json.loads(printed[printed.index("\n[", 2) + 1 :]), rel=1e-4)


def test_mag_measures_what_it_needs_on_the_first_clip(folder, uncached, capsys):
    pipeline = load(folder)
    clips = []
    for _ in range(2):
        with step_cache(pipeline, "mag", steps=STEPS):
            clips.append(generate(pipeline, steps=STEPS))
    assert torch.equal(clips[0], uncached)
    assert not torch.equal(clips[1], uncached)
    assert capsys.readouterr().err.count("measures its ratios") == 1


def test_caches_work_while_layers_are_offloaded(folder, pipeline):
    with step_cache(pipeline, "first-block", steps=4):
        expected = generate(pipeline, steps=4)
    small = load(folder)
    memory.apply_memory(small, "sequential", device="cpu")
    with step_cache(small, "first-block", steps=4):
        assert torch.equal(generate(small, steps=4), expected)


@pytest.mark.slow
def test_compiled_parts_are_compiled_once_for_all_blocks(folder, pipeline):
    """A backend that computes nothing anew tells how often there was something to compile."""
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    with step_cache(pipeline, "pab", steps=4):
        cached = generate(pipeline, steps=4)
    compiled = load(folder)
    compile_parts(compiled.transformer, backend=count)
    assert torch.equal(generate(compiled, steps=4), generate(pipeline, steps=4))
    assert len(graphs) == len(caching.COMPILED_PARTS)
    with step_cache(compiled, "pab", steps=4):
        assert torch.equal(generate(compiled, steps=4), cached)


def test_what_cannot_be_cached_is_said(pipeline):
    def cache(transformer, name):
        with step_cache(SimpleNamespace(transformer=transformer), name, steps=2):
            pass

    with pytest.raises(ValueError, match="Unknown cache 'all'; choose one of first-block"):
        cache(pipeline.transformer, "all")
    for name in ("pab", "mag"):
        with pytest.raises(ValueError, match="Linear has no step caches in diffusers"):
            cache(torch.nn.Linear(1, 1), name)
    if not torch.cuda.is_available():
        assert not compile_blocks(pipeline.transformer)


@pytest.mark.slow
def test_true_sizes_keep_the_promises():
    """On the meta device: parameters as published, adapters of a few percent, a step hardly dearer."""
    scale = Scale(torch.device("meta"), get_preset("cogvideox-5b"))
    parameters, flops = {}, {}
    for name in SYSTEMS:
        model, inputs = scale.build_system(name)
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            model(**inputs)
        parameters[name] = sum(weight.numel() for weight in model.parameters())
        flops[name] = counter.get_total_flops()
    base = parameters["CogVideoX"]
    assert round(base / 1e6) == 5570 and 1.10 < parameters["ConsisID"] / base < 1.11
    assert 1.01 < parameters["IaD"] / base <= 1.05
    assert flops["IaD"] <= 1.03 * flops["CogVideoX"] and flops["IaD"] < flops["ConsisID"]
    others = {"text_encoder": scale.build("T5"), "vae": scale.build("VAE")}
    sizes = {name: 2 * sum(w.numel() for w in part.parameters()) for name, part in others.items()}
    needs = Needs({"transformer": 2 * parameters["IaD"]} | sizes, memory.WORKING).by_mode()
    assert round(needs["full"] / GB) == 26
    seconds, _ = Measurements(scale, Meter(scale.device, minutes=9)).time_decoding(tiled=False)
    assert seconds > 0
