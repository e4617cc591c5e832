"""Seconds a step and peak memory of CogVideoX-5B, IaD on it, and ConsisID; what step caches save and cost.

    python -m tests.benchmarks.full_size [--steps 20] [--repeats 5] [--json]

With a CUDA device: random weights at the true size, made on the device in bfloat16; 720x480, 49 frames, with
guidance. Without one: tiny twins, whose times say nothing about the real ones, and the true sizes counted on
the meta device. Every measurement is a line of JSON on stderr. Random weights show time and memory; the drift
that a cache costs trained weights is another.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from iad.config import DecouplerConfig, FullSizePreset, get_preset
from iad.full_size.caching import CACHES, compile_blocks, measure_ratios, step_cache
from iad.full_size.sizes import (
    create_base,
    create_consisid,
    create_iad,
    describe_sizes,
    step_inputs,
    tabulate_sizes,
    tell_consisid,
    tell_iad,
)
from iad.transformer import create_scheduler

GUIDANCE = 6.0
TWIN = {
    "num_attention_heads": 4,
    "attention_head_dim": 16,
    "num_layers": 6,
    "time_embed_dim": 8,
    "text_embed_dim": 32,
    "sample_width": 8,
    "sample_height": 8,
    "sample_frames": 9,
}
CONSISID_TWIN = TWIN | {
    "cross_attn_dim_head": 16,
    "cross_attn_num_heads": 2,
    "LFE_id_dim": 20,
    "LFE_vit_dim": 16,
    "LFE_depth": 5,
    "LFE_dim_head": 8,
    "LFE_num_heads": 2,
    "LFE_num_querie": 8,
    "LFE_output_dim": 42,  # two thirds of the width, as ConsisID wires it
}


@dataclass(frozen=True)
class Scale:
    """Where and how large the benchmark runs."""

    device: str
    preset: FullSizePreset
    changes: dict
    consisid_changes: dict

    @property
    def systems(self) -> dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], dict]]]:
        """Return how each system is built, and what it is told of a person."""
        return {
            "CogVideoX": (partial(create_base, **self.changes), lambda model: {}),
            "IaD": (partial(create_iad, self.preset, **self.changes), partial(tell_iad, preset=self.preset)),
            "ConsisID": (partial(create_consisid, **self.consisid_changes), tell_consisid),
        }


def choose_scale() -> Scale:
    """Take the true size on a CUDA device, a twin elsewhere."""
    preset = get_preset("cogvideox-5b")
    if torch.cuda.is_available():
        return Scale("cuda", preset, {}, {})
    split = DecouplerConfig(queries=4, dim=16, layers=1, heads=2, code_dim=8)
    sizes = replace(preset.adapters, token_dim=16, heads=2, head_dim=16)
    preset = replace(preset, decoupler=split, adapters=sizes, height=64, width=64, frames=9)
    return Scale("cpu", preset, TWIN, CONSISID_TWIN)


def build(scale: Scale, name: str) -> tuple[nn.Module, dict]:
    """Build a system on the device, with adapters that matter, and the inputs of a step."""
    create, tell = scale.systems[name]
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if scale.device == "cuda" else torch.float32)
    try:
        with torch.device(scale.device):
            model = create().requires_grad_(False)
            for key, weight in model.named_parameters():
                if "_attention.to_out" in key:
                    nn.init.normal_(weight, std=0.02)
            return model, step_inputs(model, scale.preset) | tell(model)
    finally:
        torch.set_default_dtype(before)


@torch.inference_mode()
def time_steps(scale: Scale, name: str, *, repeats: int) -> dict:
    """Time one denoising step, after two to warm up."""
    start_peak(scale.device)
    model, inputs = build(scale, name)
    seconds = []
    for _ in range(2 + repeats):
        begun = now(scale.device)
        model(**inputs)
        seconds.append(now(scale.device) - begun)
    return {
        "system": name,
        "seconds a step": round(statistics.median(seconds[2:]), 5),
        "all": [round(s, 5) for s in seconds[2:]],
        "peak GB": read_peak(scale.device),
        "M parameters": round(sum(p.numel() for p in model.parameters()) / 1e6, 1),
    }


@torch.inference_mode()
def denoise(scale: Scale, model: nn.Module, inputs: dict, *, steps: int) -> Tensor:
    """Denoise a clip as the pipeline does, without text encoder and VAE."""
    scheduler = create_scheduler(scale.preset)
    scheduler.set_timesteps(steps)
    latents = inputs["hidden_states"][:1, :, : model.config.out_channels].float()
    if hasattr(model, "_reset_stateful_cache"):
        model._reset_stateful_cache()
    for t in scheduler.timesteps:
        rows = latents.expand(2, -1, -1, -1, -1).to(model.dtype)
        now_inputs = inputs | {"hidden_states": rows, "timestep": t.to(rows.device).expand(2)}
        with model.cache_context("cond_uncond"):
            free, told = model(**now_inputs)[0].float().chunk(2)
        latents = scheduler.step(free + GUIDANCE * (told - free), t, latents).prev_sample
    return latents


def time_caches(scale: Scale, *, steps: int, log: Callable[[dict], None]) -> list[dict]:
    """Time a clip of IaD without and with each cache, and how far its latents drift."""
    model, inputs = build(scale, "IaD")
    with measure_ratios(model) as ratios:
        denoise(scale, model, inputs, steps=steps)  # also warms up
    found, truth = [], torch.zeros(())
    for name in (None, *CACHES):
        start_peak(scale.device)
        begun = now(scale.device)
        with step_cache(model, name, steps=steps, ratios=ratios):
            latents = denoise(scale, model, inputs, steps=steps)
        seconds = now(scale.device) - begun
        truth = latents if name is None else truth
        drift = float((latents - truth).norm() / truth.norm())
        line = {"cache": name or "none", "steps": steps, "seconds a clip": round(seconds, 3)}
        found.append(line | {"drift": round(drift, 4), "peak GB": read_peak(scale.device)})
        log(found[-1])
    return found


def time_compiled(scale: Scale, *, repeats: int) -> dict | None:
    """Time a step of IaD with its blocks compiled; None where they are not."""
    model, inputs = build(scale, "IaD")
    if not compile_blocks(model):
        return None
    with torch.inference_mode():
        seconds = []
        for _ in range(2 + repeats):
            begun = now(scale.device)
            model(**inputs)
            seconds.append(now(scale.device) - begun)
    return {"system": "IaD, compiled", "seconds a step": round(statistics.median(seconds[2:]), 5)}


def now(device: str) -> float:
    """Return the time when all work so far is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def start_peak(device: str) -> None:
    """Begin to measure peak memory."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def read_peak(device: str) -> float | None:
    """Return the peak since `start_peak`, in GB."""
    return round(torch.cuda.max_memory_allocated() / 1e9, 2) if device == "cuda" else None


def run(*, steps: int, repeats: int) -> dict:
    """Measure everything, one system in memory at a time."""
    scale = choose_scale()
    device = torch.cuda.get_device_name() if scale.device == "cuda" else "CPU, tiny twins"

    def log(line: dict) -> None:
        print(json.dumps({"device": device, "torch": torch.__version__} | line), file=sys.stderr, flush=True)

    systems = []
    for name in scale.systems:
        systems.append(time_steps(scale, name, repeats=repeats))
        log(systems[-1])
    base, iad, consisid = (line["seconds a step"] for line in systems)
    caches = time_caches(scale, steps=steps, log=log)
    quickest = min(caches[1:], key=lambda line: line["seconds a clip"])
    ratios = {
        "IaD / CogVideoX, a step": round(iad / base, 3),
        "IaD / ConsisID, a step": round(iad / consisid, 3),
        f"IaD with {quickest['cache']} / ConsisID, a clip": round(
            quickest["seconds a clip"] / (steps * consisid), 3
        ),
    }
    compiled = time_compiled(scale, repeats=repeats)
    if compiled:
        log(compiled)
        systems.append(compiled)
    return {
        "device": device,
        "systems": systems,
        "caches": caches,
        "ratios": ratios,
        "sizes": tabulate_sizes(describe_sizes()),
    }


def show(report: dict) -> None:
    """Print the report as tables."""
    print(f"{report['device']}\n")
    for key in ("systems", "caches"):
        for line in report[key]:
            print("  ".join(f"{k} {v}" for k, v in line.items() if k != "all" and v is not None))
        print()
    for name, ratio in report["ratios"].items():
        print(f"{name}: {ratio}")
    print("\nTrue sizes, counted on the meta device:")
    head, *rows = report["sizes"]
    widths = [max(len(row[k]) for row in report["sizes"]) for k in range(len(head))]
    for row in (head, *rows):
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *cells]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="denoising steps of a clip")
    parser.add_argument("--repeats", type=int, default=5, help="steps that are timed")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report = run(steps=options.steps, repeats=options.repeats)
    print(json.dumps(report)) if options.json else show(report)
