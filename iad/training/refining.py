"""Stage: the refiner, on pairs of what geometry draws and what is there; a critic keeps it sharp."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from iad.config import TRACK, Preset
from iad.geometry.coefficients import mirror_track
from iad.reading import FaceReader
from iad.refining import INSIDE, Refiner, create_refiner
from iad.training.refining_pairs import Pairs
from iad.video import save_picture

WEIGHTS = {"colour": 1.0, "edges": 1.0, "features": 0.15, "kept": 0.3, "fooled": 0.02, "critic": 0.1}
CRITIC_FROM = 300  # steps: until then there is nothing to be sharp about
WITHIN = 0.15  # how far the inside of a mouth counts: whether teeth show there, no photo tells beforehand
KEPT_WITHIN = 0.04  # colours that differ less are right already, and stay
TRACK_NOISE, TRACK_DROPPED = 0.05, 0.3  # fits are not that sure, and must not tell who it is


class Critic(nn.Sequential):
    """Says of each patch of a mouth's colours how real it looks."""

    def __init__(self, width: int = 24):
        super().__init__(
            spectral_norm(nn.Conv2d(3, width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 1, 3, padding=1)),
        )


class RefinerStage:
    """Trains the refiner and its critic; the reader's close look at mouths measures features."""

    name = "refiner"

    def __init__(
        self, preset: Preset, pairs: Pairs, reader: FaceReader, *, batch_size: int = 12, seed: int = 0
    ):
        self.pairs, self.batch_size, self.seed = pairs, batch_size, seed
        self.reader = reader.eval().requires_grad_(False)
        self.model = nn.ModuleDict({"refiner": create_refiner(preset), "critic": Critic()})

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw pairs, in other light, half of them mirrored."""
        rng = np.random.default_rng((self.seed, step))
        return _prepare(self.pairs, rng.integers(len(self.pairs), size=self.batch_size), rng)

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare colours, edges and features with the truth; what was right must stay."""
        device = next(self.model.parameters()).device
        rows = {key: value.to(device) for key, value in batch.items()}
        before, truth = rows["looks"][:, :3], rows["truths"]
        change = run(self.model["refiner"], rows)
        counts = 1 - (1 - WITHIN) * (rows["looks"][:, 3:4] > INSIDE).float()
        wrong = truth - before
        off = (change - wrong) * counts
        features = (self._features(before + x * counts) for x in (change, wrong))
        terms = {
            "colour": off.abs().mean() * 10,
            "edges": (_differ(off, -1) + _differ(off, -2)) * 10,
            "kept": (change.abs() * torch.exp(-(_mean(wrong.abs()) / KEPT_WITHIN).pow(2))).mean() * 10,
            "features": torch.stack([(a - b).abs().mean() for a, b in zip(*features, strict=True)]).sum(),
        }
        if step >= CRITIC_FROM:
            critic, after = self.model["critic"], before + change
            still = {name: value.detach() for name, value in critic.named_parameters()}
            terms["fooled"] = -functional_call(critic, still, after * 2 - 1).mean()
            real, drawn = critic(truth * 2 - 1), critic(after.detach() * 2 - 1)
            terms["critic"] = (1 - real).relu().mean() + (1 + drawn).relu().mean()
        return {"total": sum(WEIGHTS[key] * term for key, term in terms.items())} | terms

    def _features(self, looks: Float[Tensor, "b 3 h w"]) -> Sequence[Tensor]:
        """Return what the reader's close look finds at 1/4 and 1/8."""
        found, x = [], looks * 2 - 1
        for layer in self.reader.to(looks.device).mouth.trunk[:6]:
            x = layer(x)
            found.append(x)
        return found[3], found[5]

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show the photo's mouth, what geometry draws, what the refiner makes of it, and the truth."""
        device = next(model.parameters()).device
        rows = {key: value[:12].to(device) for key, value in self.batch(0).items()}
        after = rows["looks"][:, :3] + run(model["refiner"], rows)
        columns = torch.stack([rows["photos"][:, :3], rows["looks"][:, :3], after, rows["truths"]])
        sheet = rearrange(columns, "k (b two) c h w -> (b h) (two k w) c", two=2).clamp(0, 1) * 255
        save_picture(path, sheet.round().byte().cpu().numpy())

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}


def run(refiner: Refiner, rows: dict[str, Tensor]) -> Float[Tensor, "b 3 h w"]:
    """Return the change that is made to rows of pairs, each beside its own photo."""
    return refiner(rows["looks"], refiner.encode_photo(rows["photos"]), rows["conditions"])


def _mean(x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
    return x.mean(1, keepdim=True)


def _differ(x: Float[Tensor, "b 3 h w"], axis: int) -> Tensor:
    return x.diff(dim=axis).abs().mean()


def _prepare(pairs: Pairs, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
    """Give pairs other light; mirror half of them; make their tracks less sure."""
    pictures = {name: np.array(getattr(pairs, name)[rows]) for name in ("looks", "photos", "truths")}
    conditions, turned = np.array(pairs.conditions[rows]), rng.random(len(rows)) < 0.5
    for picture in pictures.values():
        picture[turned] = picture[turned, :, ::-1]
    both = [mirror_track(part) for part in np.split(conditions[turned], 2, axis=1)]
    conditions[turned] = np.concatenate(both, axis=1)
    conditions += rng.normal(0, TRACK_NOISE, conditions.shape)
    conditions *= rng.random((len(rows), 2 * TRACK)) > TRACK_DROPPED
    gain = np.exp(rng.normal(0, (0.12, 0.05, 0.05, 0.05), (len(rows), 4)))
    gain = torch.from_numpy((gain[:, :1] * gain[:, 1:]).astype(np.float32))[:, :, None, None]
    grey = torch.from_numpy(rng.random(len(rows)) < 0.08)[:, None, None, None]
    lit = {}
    for name, picture in pictures.items():
        pixels = rearrange(torch.from_numpy(picture), "b h w c -> b c h w").float() / 255
        colour = (pixels[:, :3] * gain).clamp(0, 1)
        lit[name] = torch.cat([torch.where(grey, _mean(colour), colour), pixels[:, 3:]], dim=1)
    return lit | {"conditions": torch.from_numpy(conditions).float()}
