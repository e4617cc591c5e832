"""Which packages training needs, found before anything is imported: a machine may lack some and a network."""

from importlib.util import find_spec

NEEDED = {  # module: what installs it
    "torch": "torch", "safetensors": "safetensors", "diffusers": "diffusers", "transformers": "transformers",
    "huggingface_hub": "huggingface_hub", "tokenizers": "tokenizers", "numpy": "numpy", "numba": "numba",
    "scipy": "scipy", "sklearn": "scikit-learn", "skimage": "scikit-image", "cv2": "opencv-python-headless",
    "PIL": "pillow", "einops": "einops", "jaxtyping": "jaxtyping", "tqdm": "tqdm",
}  # fmt: skip


def check_requirements() -> None:
    """Make sure that all packages of training are installed.

    Raises:
        ValueError: some are not; they are named in one sentence.
    """
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if missing:
        raise ValueError(
            f"Training needs packages that are not installed: {', '.join(missing)}; "
            f"pip install {' '.join(missing)}, with --no-index --find-links DIR where there is no network."
        )
