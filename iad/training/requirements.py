"""Which packages training needs, found before anything is imported: a machine may lack some and a network."""

from importlib.util import find_spec

NEEDED = {  # module: what installs it
    "torch": "torch", "safetensors": "safetensors", "diffusers": "diffusers", "transformers": "transformers",
    "huggingface_hub": "huggingface_hub", "tokenizers": "tokenizers", "numpy": "numpy", "numba": "numba",
    "scipy": "scipy", "cv2": "opencv-python-headless", "PIL": "pillow", "einops": "einops",
    "jaxtyping": "jaxtyping", "tqdm": "tqdm",
}  # fmt: skip
RECOGNISER = {  # of its stage alone, which is left out without them
    "sklearn": "scikit-learn", "skimage": "scikit-image", "dlib": "dlib-bin",
    "face_recognition_models": "face_recognition_models",
}  # fmt: skip


def list_missing(needed: dict[str, str] = NEEDED) -> list[str]:
    """Name the packages that are not installed, as pip knows them."""
    return [package for module, package in needed.items() if find_spec(module) is None]


def check_requirements() -> None:
    """Make sure that all packages of training are installed.

    Raises:
        ValueError: some are not; they are named in one sentence.
    """
    missing = list_missing()
    if missing:
        raise ValueError(
            f"Training needs packages that are not installed: {', '.join(missing)}; "
            f"pip install {' '.join(missing)}, with --no-index --find-links DIR where there is no network."
        )
