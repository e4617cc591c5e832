"""A pipeline that loads in the background, so that the page need not wait for it."""

import logging
import math
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from iad.config import PRESETS, Preset
from iad.demo.examples import Example, load_examples
from iad.demo.hardware import gpu, is_zero_gpu
from iad.demo.understanding import Understanding
from iad.media.safety import check_pictures
from iad.request import DURATION, LONGEST, Request

__all__ = ["Background", "BackgroundPipeline"]

# Seconds that ZeroGPU is asked for: to begin with, then a second of a clip, and of a driving video. Networks
# take the least of them; geometry draws on the CPU.
BEGINNING, DRAWING, READING = 6.0, 1.5, 1.5


class Background(ABC):
    """Something that loads in a thread of its own, once; whoever needs it first waits."""

    def __init__(self, name: str):
        self._name = name
        self._lock = threading.Lock()
        self._future: Future[Any] = Future()
        self._started = False

    @property
    def started(self) -> bool:
        """Whether it has begun to load."""
        return self._started

    @property
    def ready(self) -> bool:
        """Whether a call would not have to wait."""
        return self._future.done()

    def start(self, *, here: bool = False) -> None:
        """Begin to load, unless that has begun; `here`, not in a thread, returns when it is loaded."""
        with self._lock:
            if self._started:
                return
            self._started = True
        if here:
            self._fill()
        else:
            threading.Thread(target=self._fill, daemon=True).start()

    @abstractmethod
    def _load(self) -> Any:
        """Load it."""

    def _wait(self) -> Any:
        self.start()
        return self._future.result()

    def _fill(self) -> None:
        try:
            self._future.set_result(self._load())
        except Exception as error:  # whoever waits gets it
            logging.getLogger(__name__).exception("The model %r could not be loaded.", self._name)
            self._future.set_exception(error)


class BackgroundPipeline(Background):
    """Stands in for an `IaDPipeline`; draws one clip at a time, on ZeroGPU with a GPU of its own.

    Args:
        name: a preset or a folder.
        device: where it runs; on ZeroGPU where a clip is drawn, for faces and live pictures are never queued.

    Raises:
        ValueError: when it is made, no such model; when it is called, weights that cannot be loaded.
    """

    def __init__(self, name: str, device: str = "cpu"):
        super().__init__(name)
        self.preset = _find_preset(name)
        self._device, self._drawing = device, threading.Lock()
        self._draw = gpu(self._generate, duration=count_seconds)

    def find_face(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.find_face`."""
        return self._wait().find_face(*args, **kwargs)

    def decouple(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.decouple`."""
        return self._wait().decouple(*args, **kwargs)

    def live(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.live`."""
        return self._wait().live(*args, **kwargs)

    def perform(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.perform`."""
        return self._wait().perform(*args, **kwargs)

    def match_actions(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.match_actions`."""
        return self._wait().match_actions(*args, **kwargs)

    def generate(self, request: Request, callback: Any = None) -> Any:
        """Wait, then call `IaDPipeline.generate`."""
        self._wait()
        with self._drawing:
            return self._draw(request, callback)

    def _generate(self, request: Request, callback: Any) -> Any:
        pipeline = self._future.result()
        if is_zero_gpu():
            pipeline.to(self._device)
        return pipeline.generate(request, callback)

    def _load(self) -> Any:
        from iad.pipeline import IaDPipeline

        device, examples = "cpu" if is_zero_gpu() else self._device, load_examples()
        pipeline = IaDPipeline.from_pretrained(self._name, device=device)
        pipeline.keep([example.picture for example in examples])  # visitors' own photos are never kept
        if examples and not is_zero_gpu():  # which draws in processes of its own
            _warm_up(pipeline, examples[0])
        return pipeline


def _warm_up(pipeline: Any, example: Example) -> None:
    """Do once what every clip needs, to its scores, so that no visitor waits for what loads meanwhile."""
    result = pipeline.generate(Request([example.picture], example.prompt, duration=0.5))
    check_pictures(result.frames, what="clip")
    dict(result.scores)
    Understanding(pipeline).describe(example.prompt)
    if pipeline.geometry is not None:
        pipeline.live(example.picture).frame(mouth=0.5)


def count_seconds(request: Request, *_: Any) -> int:
    """Say for how many seconds of a GPU a clip asks.

    Raises:
        ValueError: a time in the prompt that cannot be read.
    """
    from iad.geometry.driving import is_video
    from iad.text import split_prompt

    if request.action_reference is not None and is_video(request.action_reference):
        return math.ceil(BEGINNING + (DRAWING + READING) * (request.duration or LONGEST))
    ends = (action.end for action in split_prompt(request.prompt)[1])
    seconds = request.duration or max([DURATION, *ends])
    return math.ceil(BEGINNING + DRAWING * seconds)


def _find_preset(name: str) -> Preset:
    if name == "tiny":
        return PRESETS[name]
    from iad import checkpoint

    shipped = checkpoint.WEIGHTS / name
    folder = shipped if shipped.is_dir() else Path(name)
    if not folder.is_dir() and name in PRESETS:
        raise ValueError(
            f"No weights of {name!r} are installed; train them, or set IAD_MODEL to their folder."
        )
    return checkpoint.load_preset(folder)
