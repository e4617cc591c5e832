"""The full-size model behind the page: it loads beside `mini`, and draws one clip at a time."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from iad.config import ARMS, PRESETS, FullSizePreset
from iad.demo.hardware import SYSTEMS, Hardware, Settings, gpu
from iad.demo.loading import Background
from iad.demo.runs import Follower
from iad.demo.timing import Duration, write_seconds
from iad.full_size.forms import RequestDefaults
from iad.request import Request
from iad.result import Result

NAMES = {"cogvideox-5b": "CogVideoX-5B"}
FEW_FRAMES, FEW_STEPS = 25, 20  # by default on ZeroGPU
MOST_WAITING = 2
OPTIONS = {"adapter=FOLDER (--adapter)": "IAD_ADAPTER", "--memory ": "IAD_MEMORY="}


class FullSize(Background):
    """Stands for the full-size model and the published systems beside it.

    Args:
        hardware: names the model and the accelerator.

    Raises:
        ValueError: a setting that cannot be.
    """

    def __init__(self, hardware: Hardware):
        super().__init__(hardware.big_model)
        self.hardware, self.settings = hardware, Settings.read(hardware)
        self.arms, self.name = self.settings.arms, NAMES.get(self._name, Path(self._name).name)
        self.memory_reason = ""
        self._waiting, self._turn, self._there = 0, threading.Lock(), {"iad"}
        self._size_up(_find_preset(self._name))
        # One function an arm: on ZeroGPU each has a process of its own, which has what was loaded before it.
        self._draw = {arm: gpu(self._make_draw(), duration=self._count) for arm in ARMS}

    @property
    def failure(self) -> str | None:
        """Say in a sentence why it could not be loaded; None while it loads, and when it is there."""
        error = self._future.exception() if self.ready else None
        if error is None:
            return None
        if isinstance(error, ValueError):
            return str(error)
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{type(error).__name__}: {first}"

    @property
    def is_published(self) -> bool:
        """Whether its weights are the published ones, which have to be downloaded once."""
        return self._name in PRESETS

    @property
    def loaded(self) -> bool:
        """Whether it is really there."""
        return self.ready and self.failure is None

    def estimate(self, request: Request) -> int:
        """Return the seconds that a request will take; ZeroGPU is asked for exactly these."""
        return self.duration(request)

    def draw(self, request: Request, follow: Follower) -> Result:
        """Make a clip, after those that were asked for before.

        Raises:
            ValueError: a bad request, weights that cannot be loaded, or too little memory or time.
            Cancelled: the visitor has cancelled.
        """
        if not self.ready:
            follow.say(f"Loading {self.name}, once")
        pipeline = self._wait_for_model()
        request = self._complete(request)
        with self._take_turn(follow):
            self._load_arm(pipeline, request.arm, follow)
            zero = self.hardware.accelerator == "zerogpu"
            follow.say("Waiting for a GPU" if zero else "Finding the face")
            result = self._draw[request.arm](request, follow)
        self.duration.learn(request, result.seconds)
        return result

    def _complete(self, request: Request) -> Request:
        """Fill in what this page makes by default, and refuse what it does not give."""
        most, own = self.settings.most_seconds, self.defaults[request.arm]
        if request.arm not in self.arms:
            raise ValueError(f"{SYSTEMS[request.arm]} is not offered here at full size.")
        request = replace(
            request,
            num_frames=request.num_frames or own.num_frames,
            num_inference_steps=request.num_inference_steps or own.num_inference_steps,
            guidance_scale=request.guidance_scale or own.guidance_scale,
        )
        if most is not None and self.estimate(request) > most:
            raise ValueError(
                f"This would take about {write_seconds(self.estimate(request))} of a shared GPU; at most "
                f"{most} s are given here, so take fewer steps or frames."
            )
        return request

    def _wait_for_model(self) -> Any:
        try:
            return self._wait()
        except Exception as error:
            raise ValueError(f"{self.name} could not be loaded: {self.failure}") from error

    @contextmanager
    def _take_turn(self, follow: Follower) -> Iterator[None]:
        if self._waiting >= MOST_WAITING:
            raise ValueError(
                f"{MOST_WAITING} clips already wait for {self.name}; try again in a few minutes, or take "
                f"{self.hardware.model}, which answers at once."
            )
        self._waiting += 1
        try:
            while not self._turn.acquire(timeout=0.5):
                follow.say("Waiting for the clip before yours")
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    def _load_arm(self, pipeline: Any, arm: str, follow: Follower) -> None:
        if arm not in self._there:
            follow.say(f"Loading {SYSTEMS[arm]}, once")
            pipeline.baseline(arm)
            self._there.add(arm)

    def _make_draw(self) -> Callable[[Request, Follower], Result]:
        """Make the function that runs on the accelerator."""

        def draw(request: Request, follow: Follower) -> Result:
            try:
                return _generate(self._future.result(), request, follow)
            except ValueError as error:
                raise ValueError(_say_here(str(error))) from error

        return draw

    def _count(self, request: Request, *_: Any) -> int:
        return self.duration(request)

    def _load(self) -> Any:
        from iad.pipeline import IaDPipeline

        settings = self.settings
        chosen = self._foresee_memory()
        pipeline = IaDPipeline.from_pretrained(
            self._name,
            adapter=settings.adapter,
            memory=settings.memory,
            baselines=settings.baselines,
            device=settings.device,
        )
        _ = pipeline.parts, pipeline.landmarker
        if self.hardware.accelerator == "zerogpu":  # what is loaded later would be loaded at every call
            self._load_baselines(pipeline)
        if chosen != pipeline.memory:
            self.memory_reason = f"Memory mode {pipeline.memory}."
        self._size_up(pipeline.preset, memory=pipeline.memory)
        return pipeline

    def _load_baselines(self, pipeline: Any) -> None:
        """Load the published systems; one that cannot be loaded is not offered."""
        for arm in self.arms[1:]:
            try:
                pipeline.baseline(arm)
                self._there.add(arm)
            except ValueError as error:
                logging.getLogger(__name__).warning("%s is not offered: %s", SYSTEMS[arm], error)
                self.arms = tuple(other for other in self.arms if other != arm)

    def _foresee_memory(self) -> str | None:
        """Return what the memory mode "auto" will be, and keep in a sentence why."""
        from iad.full_size.hub import fetch_model
        from iad.full_size.memory import choose_memory, find_device, read_needs

        if self.settings.memory != "auto":
            return None
        base, known = PRESETS["cogvideox-5b"].base, self.is_published
        folder = fetch_model(base.repo if known else self._name, revision=base.revision if known else None)
        device = find_device(self.settings.device)
        choice = choose_memory(read_needs(folder), device=device)
        self.memory_reason = choice.reason.replace(choice.mode, f"{choice.mode}, chosen by itself", 1)
        return choice.mode

    def _size_up(self, preset: FullSizePreset, *, memory: str = "full") -> None:
        """Take over what the model makes, and from it how long it takes."""
        from iad.full_size.consisid import GUIDANCE_SCALE, STEPS
        from iad.full_size.id_animator import IDAnimator

        zero, sampler = self.hardware.accelerator == "zerogpu", preset.sampler
        most_frames, most_steps = (FEW_FRAMES, FEW_STEPS) if zero else (preset.frames, sampler.timesteps)
        side = (preset.height, preset.width, preset.fps)
        self.preset = preset
        self.defaults = {
            "iad": RequestDefaults(
                min(most_frames, preset.frames), *side, min(most_steps, sampler.steps), sampler.guidance_scale
            ),
            "consisid": RequestDefaults(preset.frames, *side, min(most_steps, STEPS), GUIDANCE_SCALE),
            "id-animator": IDAnimator.defaults,
        }
        self.duration = Duration(
            self.hardware.accelerator, self.hardware.rate, preset, self.defaults, memory=memory
        )


def _find_preset(name: str) -> FullSizePreset:
    """Return what a model makes, as far as that is known before it is loaded."""
    from iad.full_size.base import read_preset

    preset = PRESETS.get(name) or replace(PRESETS["cogvideox-5b"], name=Path(name).name)
    if not isinstance(preset, FullSizePreset):
        raise ValueError(f"IAD_BIG_MODEL is {name!r}, which is no full-size model; name cogvideox-5b.")
    return read_preset(Path(name), preset) if Path(name).is_dir() else preset


def _generate(pipeline: Any, request: Request, follow: Follower) -> Result:
    cached = request.cache is None or request.arm == "iad"
    result = pipeline.generate(request if cached else replace(request, cache=None), follow)
    notes = [_say_here(note) for note in result.notes]
    notes += [] if cached else ["The step cache works with IaD alone; this clip was made without."]
    return replace(result, notes=notes)


def _say_here(sentence: str) -> str:
    """Name what is set on a page where a sentence names options of the command line."""
    for option, variable in OPTIONS.items():
        sentence = sentence.replace(option, variable)
    return sentence
