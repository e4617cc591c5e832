"""The pipeline that a command asks for, and the progress bar that it shows."""

import sys
from typing import Any

from iad.checks import LONGEST


def get_duration(model: str) -> float:
    """Return the seconds of a model's longest clip."""
    from iad.config import PRESETS, is_full_size

    return PRESETS.get(model, PRESETS["cogvideox-5b"]).duration if is_full_size(model) else LONGEST


def load_pipeline(model: str, **sources: Any) -> Any:
    """Load a pipeline, with its own adapters unless others are named."""
    from iad import IaDPipeline

    return IaDPipeline.from_pretrained(model, **sources)


class Progress:
    """A progress bar on stderr, moved by `progress(step, total)`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.bar = None

    def __enter__(self) -> "Progress":
        from tqdm import tqdm

        self.bar = tqdm(desc=self.title, file=sys.stderr, leave=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, step: int, total: int) -> None:
        """Show `step` of `total`."""
        self.bar.total = total
        self.bar.update(step - self.bar.n)

    def tell(self, sentence: str) -> None:
        """Print a sentence above the bar."""
        self.bar.write(sentence, file=sys.stderr)
