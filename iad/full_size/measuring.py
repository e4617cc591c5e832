"""What steps, decoding and clips cost, by random weights: seconds and memory, without any download.

In: a scale, the true size on a GPU or a tiny twin of it anywhere, and minutes. Out: one row a measurement.
What fails, for want of memory or of a kernel, becomes a row that says so, and the rest goes on; so does what
no time is left for. Random weights show time and memory, and no pictures: the drift that a cache costs
trained weights is another.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from iad.full_size.caching import CACHES, compile_blocks, measure_ratios, step_cache
from iad.full_size.hub import GB
from iad.full_size.reporting import describe_machine, write_report
from iad.full_size.sizes import LATENT_STRIDE, SYSTEMS, Scale

REPEATS = 3  # of what is timed; the median counts
CLIP_STEPS = 12  # of a clip, enough for every cache to begin
GUIDANCE = 6.0


class TimeOver(Exception):
    """The minutes are over."""


class Meter:
    """Reads time and memory of one measurement after the other, until the minutes are over."""

    def __init__(self, device: torch.device, *, minutes: float):
        self.cuda, self.minutes = device.type == "cuda", minutes
        self.until, self.weights_gb = time.monotonic() + 60 * minutes, None

    def check(self) -> None:
        """Stop what takes too long, between two steps of it."""
        if time.monotonic() > self.until:
            raise TimeOver(f"left out or broken off, the {self.minutes:g} minutes are over")

    def start(self) -> None:
        """Begin a measurement with what memory the earlier ones have given back."""
        self.check()
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        self.weights_gb = None

    def weigh(self) -> None:
        """Say that the weights are there, and nothing else yet."""
        self.weights_gb = round(torch.cuda.memory_allocated() / GB, 2) if self.cuda else None

    def peak_gb(self) -> float | None:
        """Return the most memory since `start`."""
        return round(torch.cuda.max_memory_allocated() / GB, 2) if self.cuda else None

    def time(self, work: Callable[[], Any], *, repeats: int = 1) -> float:
        """Return the median seconds of some work, all of it done."""
        seconds = []
        for _ in range(repeats):
            self.check()
            begun = self._now()
            work()
            seconds.append(self._now() - begun)
        return statistics.median(seconds)

    def _now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


class Measurements:
    """Every measurement of a scale as a function that returns seconds and a note."""

    def __init__(self, scale: Scale, meter: Meter, *, clip_steps: int = CLIP_STEPS):
        self.scale, self.meter, self.clip_steps = scale, meter, clip_steps
        self._truth: Tensor | None = None  # the latents of the clip without a cache

    def plan(self) -> Iterator[tuple[str, Callable[[], tuple[float, str]]]]:
        """Name the measurements in their order; what they share is let go before the next kind."""
        for name in SYSTEMS:
            yield f"{name}, a step", partial(self.time_step, name)
        for way in ("in tiles", "whole"):
            yield f"decoding {way}", partial(self.time_decoding, tiled=way == "in tiles")
        yield "the prompt by T5", self.time_text
        for cache in (None, *CACHES):
            told = f"the cache {cache}" if cache else "no cache"
            yield f"IaD, {self.clip_steps} steps, {told}", partial(self.time_clip, cache)
        vars(self).pop("clip_maker", None)
        yield "IaD, a step, compiled", self.time_compiled

    def time_step(self, name: str) -> tuple[float, str]:
        """Time one denoising step with guidance."""
        from torch.utils.flop_counter import FlopCounterMode

        model, inputs = self.scale.build_system(name)
        self.meter.weigh()
        with FlopCounterMode(display=False) as counter:
            model(**inputs)  # also warms up
        seconds = self.meter.time(lambda: model(**inputs), repeats=REPEATS)
        parameters, flops = sum(p.numel() for p in model.parameters()), counter.get_total_flops()
        each = f"{flops / 1e12:.4g} TFLOP, {flops / 1e12 / seconds:.3g} a second"
        return seconds, f"{parameters / 1e6:.4g} M parameters, {each}"

    def time_decoding(self, *, tiled: bool) -> tuple[float, str]:
        """Time the way from latents to frames."""
        preset, vae = self.scale.preset, self.scale.build("VAE")
        vae.enable_slicing()
        if tiled:
            vae.enable_tiling()
        self.meter.weigh()
        sides = (preset.height // LATENT_STRIDE, preset.width // LATENT_STRIDE)
        shape = (1, vae.config.latent_channels, preset.latent_frames, *sides)
        latents = torch.randn(shape, device=vae.device, dtype=vae.dtype)
        seconds = self.meter.time(lambda: vae.decode(latents), repeats=2)
        return seconds, f"{preset.frames} frames of {preset.width} x {preset.height}"

    def time_text(self) -> tuple[float, str]:
        """Time the text encoder on a prompt and on none."""
        text, tokens = self.scale.build("T5"), self.scale.preset.text.tokens
        self.meter.weigh()
        words = torch.ones(2, tokens, dtype=torch.long, device=text.device)
        return self.meter.time(lambda: text(words), repeats=REPEATS), f"2 prompts of {tokens} tokens"

    @cached_property
    def clip_maker(self) -> tuple[Any, Callable[[], Tensor]]:
        """A pipeline of IaD's transformer alone, and a function that denoises one clip with it."""
        from diffusers import CogVideoXDPMScheduler, CogVideoXPipeline

        model, inputs = self.scale.build_system("IaD")
        scheduler = CogVideoXDPMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
        )
        pipeline, preset = CogVideoXPipeline(None, None, None, model, scheduler), self.scale.preset
        pipeline.set_progress_bar_config(disable=True)

        def check(_pipeline: Any, _step: int, _timestep: Any, kept: dict[str, Any]) -> dict[str, Any]:
            self.meter.check()
            return kept

        states = inputs["encoder_hidden_states"]
        asked = {
            "height": preset.height,
            "width": preset.width,
            "num_frames": preset.frames,
            "num_inference_steps": self.clip_steps,
            "guidance_scale": GUIDANCE,
            "negative_prompt_embeds": states[:1],
            "prompt_embeds": states[1:],
            "attention_kwargs": inputs["attention_kwargs"],
            "callback_on_step_end": check,
            "output_type": "latent",
        }
        return pipeline, lambda: pipeline(**asked, generator=torch.Generator().manual_seed(0)).frames

    def time_clip(self, cache: str | None) -> tuple[float, str]:
        """Time a clip without decoding, and how far a cache makes its latents drift."""
        pipeline, make = self.clip_maker
        self.meter.weigh()
        ratios, made = None, []
        if cache == "mag":  # what a first clip would tell
            with measure_ratios(pipeline.transformer) as ratios:
                make()
        with step_cache(pipeline, cache, steps=self.clip_steps, ratios=ratios):
            seconds = self.meter.time(lambda: made.append(make().float()))
        if cache is None:
            self._truth = made[0]
        if cache is None or self._truth is None:
            return seconds, ""
        drift = float((made[0] - self._truth).norm() / self._truth.norm())
        return seconds, f"drift {drift:.3g} of the latents"

    def time_compiled(self) -> tuple[float, str]:
        """Time a step whose blocks are compiled."""
        model, inputs = self.scale.build_system("IaD")
        if not compile_blocks(model):
            raise ValueError("blocks are compiled on CUDA alone")
        self.meter.weigh()
        first = self.meter.time(lambda: model(**inputs))
        seconds = self.meter.time(lambda: model(**inputs), repeats=REPEATS)
        return seconds, f"{first:.0f} s for the first"


def accept_random(
    scale: Scale,
    *,
    minutes: float,
    output: Path,
    tell: Callable[[dict[str, Any]], None] = lambda row: None,
    clip_steps: int = CLIP_STEPS,
) -> dict[str, Any]:
    """Measure all that the minutes allow; the report grows with every row.

    Args:
        scale: where, and how large.
        minutes: after so many nothing new is begun, and what repeats is broken off.
        output: the folder of the report.
        tell: is told every row at once.
        clip_steps: denoising steps of the clips.
    """
    report = {
        "kind": "random weights",
        "machine": describe_machine(str(scale.device)),
        "rows": [],
        "notes": ["Tiny twins: these numbers say nothing of the true size."] if scale.twin else [],
    }
    output.mkdir(parents=True, exist_ok=True)
    meter = Meter(scale.device, minutes=minutes)
    for what, work in Measurements(scale, meter, clip_steps=clip_steps).plan():
        report["rows"].append(_attempt(what, work, meter))
        write_report(output, report)
        tell(report["rows"][-1])
    return report


@torch.inference_mode()
def _attempt(what: str, work: Callable[[], tuple[float, str]], meter: Meter) -> dict[str, Any]:
    """Measure, or say in a sentence why not; memory is that of the device's allocator."""
    row = {"what": what, "seconds": None, "peak_gb": None, "weights_gb": None, "note": ""}
    try:
        meter.start()
        seconds, note = work()
        row |= {"seconds": round(seconds, 4), "note": note}
    except torch.OutOfMemoryError:
        row["note"] = "out of memory"
    except Exception as error:  # of kernels, compilers and drivers; what follows is measured all the same
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return row | {"note": reason[:200]}
    return row | {"peak_gb": meter.peak_gb(), "weights_gb": meter.weights_gb}
