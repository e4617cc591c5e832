"""Principal components of square picture patches: the linear code that autoencoder and face encoder share."""

import torch
from jaxtyping import Float
from torch import Tensor

PATCH = 16  # pixels that a code stands for, both ways


def principal_components(
    patches: Float[Tensor, "n 3 p p"], count: int
) -> tuple[Float[Tensor, "c 3 p p"], Float[Tensor, "c 1 1 1"], Float[Tensor, "3 p p"]]:
    """Return the `count` strongest axes of patches, the spread along each, and the mean patch."""
    flat = patches.flatten(1)
    mean = flat.mean(0)
    _, spread, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    scale = spread[:count] / len(flat) ** 0.5
    shape = patches.shape[1:]
    return axes[:count].unflatten(1, shape), scale[:, None, None, None], mean.unflatten(0, shape)
