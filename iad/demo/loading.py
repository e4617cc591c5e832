"""A pipeline that loads in the background, so that the page need not wait for it."""

import logging
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from iad.config import PRESETS, Preset

__all__ = ["BackgroundPipeline"]


class BackgroundPipeline:
    """Stands in for an `IaDPipeline`; whoever calls it first waits until it is loaded.

    Raises:
        ValueError: when it is made, no such model; when it is called, weights that cannot be loaded.
    """

    def __init__(self, name: str):
        self.preset = _find_preset(name)
        self._name = name
        self._lock = threading.Lock()
        self._future: Future[Any] = Future()
        self._started = False

    @property
    def ready(self) -> bool:
        """Whether a call would not have to wait."""
        return self._future.done()

    def start(self) -> None:
        """Begin to load, unless that has begun."""
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._load, daemon=True).start()

    def find_face(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.find_face`."""
        return self._wait().find_face(*args, **kwargs)

    def decouple(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.decouple`."""
        return self._wait().decouple(*args, **kwargs)

    def match_actions(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then call `IaDPipeline.match_actions`."""
        return self._wait().match_actions(*args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Wait, then generate."""
        return self._wait()(*args, **kwargs)

    def _wait(self) -> Any:
        self.start()
        return self._future.result()

    def _load(self) -> None:
        try:
            from iad.pipeline import IaDPipeline

            self._future.set_result(IaDPipeline.from_pretrained(self._name))
        except Exception as error:  # whoever waits gets it
            logging.getLogger(__name__).exception("The model %r could not be loaded.", self._name)
            self._future.set_exception(error)


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
