"""A pipeline that loads in the background, so that the page need not wait for it."""

import logging
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from iad.config import PRESETS, Preset

__all__ = ["Background", "BackgroundPipeline"]


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
    """Stands in for an `IaDPipeline`; draws one clip at a time.

    Raises:
        ValueError: when it is made, no such model; when it is called, weights that cannot be loaded.
    """

    def __init__(self, name: str):
        super().__init__(name)
        self.preset = _find_preset(name)
        self._drawing = threading.Lock()

    def find_face(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.find_face`."""
        return self._wait().find_face(*args, **kwargs)

    def decouple(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.decouple`."""
        return self._wait().decouple(*args, **kwargs)

    def live(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.live`."""
        return self._wait().live(*args, **kwargs)

    def match_actions(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.match_actions`."""
        return self._wait().match_actions(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then generate."""
        pipeline = self._wait()
        with self._drawing:
            return pipeline(*args, **kwargs)

    def _load(self) -> Any:
        from iad.pipeline import IaDPipeline

        return IaDPipeline.from_pretrained(self._name)


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
