"""What every test shares: one thread, no network, and shapes that are checked at every call."""

import os

# Two spinning OpenMP threads on a busy machine are forty times slower than one. Torch, where a test needs it,
# takes its number of threads from here.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
from jaxtyping import install_import_hook

install_import_hook("iad", "shape_checks.check")


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    """Give a visitor's own photo: saved as JPEG, its pixels are no longer the example's."""
    from made_up import ASTRONAUT
    from PIL import Image

    file = tmp_path_factory.mktemp("visitor") / "photo.jpg"
    Image.open(ASTRONAUT).save(file, quality=90)
    return str(file)


# Two processes take file after file, so what takes minutes goes first: neither ends long after the other.
LONGEST = (
    "browser", "full_size_training", "train_whole", "notebooks", "full_size", "demo_full_size", "visitors",
    "app", "leakage", "demo_portrait", "faces", "training", "real", "evaluation", "pipeline", "footage",
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    """Begin with the longest files; leave out what takes hours, unless the command line asks for it."""
    first = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.path.stem, len(first)))
    asked = "soak" in config.option.markexpr
    for item in items:
        if "soak" in item.keywords:
            skip = pytest.mark.skip(reason="takes long; ask for it: pytest -m soak")
            item.add_marker(pytest.mark.timeout(0) if asked else skip)
