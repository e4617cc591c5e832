"""IaD: video portraits whose identity comes from a photo and whose action comes from the prompt."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iad.pipeline import IaDPipeline
    from iad.text import Action

__all__ = ["Action", "IaDPipeline"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: `import iad` alone costs no torch."""
    if name == "IaDPipeline":
        from iad.installation import check_installed

        check_installed("torch", "diffusers", "transformers")
        from iad.pipeline import IaDPipeline

        return IaDPipeline
    if name == "Action":
        from iad.text import Action

        return Action
    raise AttributeError(f"module 'iad' has no attribute {name!r}")
