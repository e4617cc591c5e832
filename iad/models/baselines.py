"""The arms beside IaD: ConsisID's and ID-Animator's recipes at mini scale, and two controls.

All arms share autoencoder, face encoder, text encoder and base transformer; each has its own reader of the
facial embedding and its own adapters. What differs is what reaches the denoiser:

    consisid         the crop's latents beside the noisy ones, and entangled local tokens (arXiv 2411.17440)
    id-animator      a few learned queries over the entangled tokens, no crop (arXiv 2404.15275)
    consisid-cross   consisid, trained like iad on references that show another action than the target
    entangled        iad with f in place of i: the same references, the same action channel T, no split

The first two are trained by their own recipe, on references from the target's own clip.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iad.checkpoint import check_fit
from iad.config import Preset
from iad.decoupling import Reader
from iad.models.adapters import is_adapter_key
from iad.models.transformer import IaDTransformer3DModel, create_transformer

QUERIES = 16  # of ID-Animator


@dataclass(frozen=True)
class Recipe:
    """What an arm shows its denoiser of a reference, and which references it is trained on."""

    queries: int | None = None  # None: one a cell of the portrait, as iad
    crop: bool = False  # the face crop's latents enter the patch embedding
    same_clip: bool = True  # trained on references from the target's own clip
    actions: bool = False  # it has iad's action channel


RECIPES: dict[str, Recipe] = {
    "consisid": Recipe(crop=True),
    "id-animator": Recipe(queries=QUERIES),
    "consisid-cross": Recipe(crop=True, same_clip=False),
    "entangled": Recipe(same_clip=False, actions=True),
}


class Baseline(nn.Module):
    """One arm: its reader, and a transformer whose base weights are another transformer's."""

    def __init__(self, preset: Preset, recipe: Recipe, base: IaDTransformer3DModel):
        super().__init__()
        self.recipe = recipe
        self.reader = Reader(preset, queries=recipe.queries)
        self.transformer = create_transformer(
            preset,
            queries=recipe.queries or preset.decoupler.queries,
            action_queries=preset.decoupler.queries if recipe.actions else 0,
            local=recipe.queries is None,
            patch=recipe.actions,
            crop=recipe.crop,
        )
        share_base(self.transformer, base)

    def begin_reading_like(self, reader: Reader) -> None:
        """Take over what fits of a trained reader, so that every arm begins with the same eyes."""
        own = self.reader.state_dict()
        found = {k: v for k, v in reader.state_dict().items() if k in own and own[k].shape == v.shape}
        self.reader.load_state_dict(own | found)

    def own_state(self) -> dict[str, Tensor]:
        """Return what belongs to this arm alone: reader and adapters, not the base."""
        return {k: v for k, v in self.state_dict().items() if k.startswith("reader.") or is_adapter_key(k)}

    def load_own_state(self, state: dict[str, Tensor]) -> None:
        """Fill reader and adapters.

        Raises:
            ValueError: keys are missing, extra or misshapen.
        """
        check_fit(self.own_state(), state, what="weights of this arm")
        self.load_state_dict(state, strict=False)


def share_base(transformer: nn.Module, base: nn.Module) -> None:
    """Replace every base weight of `transformer` by the very parameter of `base`."""
    shared = dict(base.named_parameters())
    for path, module in transformer.named_modules():
        for name in list(module._parameters):
            key = f"{path}.{name}".lstrip(".")
            if key in shared and not is_adapter_key(key):
                module._parameters[name] = shared[key]


def crop_condition(crop: Float[Tensor, "b c y x"], *, frames: int, stack: int) -> Float[Tensor, "b f c2 y x"]:
    """Stack a crop's latents as the first latent frame; zeros follow, as ConsisID pads them."""
    first = crop.repeat(1, stack, 1, 1)[:, None]
    return torch.cat([first, torch.zeros_like(first).expand(-1, frames - 1, -1, -1, -1)], dim=1)


def create_baseline(arm: str, preset: Preset, base: IaDTransformer3DModel) -> Baseline:
    """Build an arm on a base transformer; its adapters change nothing before they are trained."""
    return Baseline(preset, RECIPES[arm], base)
