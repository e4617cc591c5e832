"""The judges of evaluation: two recognisers and an action regressor, trained apart from the face encoder.

Other networks, other losses, other views of the frame: the recognisers see only the inner face, in an oval,
so that neither hair nor background can tell them who it is. Each of the three trains by itself, with its own
seed. The losses are ArcFace's additive angular margin (arXiv 1801.07698) and CurricularFace's, whose weight
of hard negatives grows with a running mean of the cosines (arXiv 2004.00288).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, SupportsIndex

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, one_hot, smooth_l1_loss

from iad import checkpoint
from iad.autoencoder import to_tensor
from iad.config import EXPRESSIONS, TRACK, Preset
from iad.encoders import POSE_SCALE
from iad.training.augment import degrade, recolour, reframe
from iad.training.judges import FACE, HEAD, View, create_scorers, cut
from iad.training.loop import fit
from iad.training.pool import Pool, load_pool
from iad.video import save_picture

if TYPE_CHECKING:
    from iad.training.stages import Options

Judge = Literal["arc", "cur", "action"]
JUDGES: tuple[Judge, ...] = ("arc", "cur", "action")
SHARES = {"arc": 0.32, "cur": 0.32, "action": 0.36}  # of the minutes
SEEDS = {"arc": 101, "cur": 202, "action": 303}
MARGIN, SCALE = 0.3, 32.0  # radians; milder than the papers' 0.5 and 64: far fewer persons and pictures
MARGIN_STEPS = 300  # the margin grows from zero over these
MOMENTUM = 0.99  # of CurricularFace's running mean
SOFT = 0.5  # share of frames blurred as generated ones are
FRAMING = 0.5  # how far the framing wanders, against a visitor's photo
SHIFT = 0.02  # of the frame: landmarks are measured in it
QUIET = 0.03  # coefficients that hardly move weigh as if they moved this much


class AngularMargin(nn.Module):
    """One direction a person; the angle to the own one must be smaller by a margin than to all others.

    Args:
        dim: length of an embedding.
        persons: how many there are.
        curricular: weigh hard negatives as CurricularFace does, else leave them as ArcFace does.
    """

    def __init__(self, dim: int, persons: int, *, curricular: bool = False):
        super().__init__()
        self.curricular = curricular
        self.directions = nn.Parameter(torch.randn(persons, dim) * dim**-0.5)
        self.register_buffer("t", torch.zeros(()))

    def forward(
        self, embedding: Float[Tensor, "b e"], person: Int[Tensor, "b"], *, margin: float = MARGIN
    ) -> Float[Tensor, "b n"]:
        """Return logits for a cross-entropy; in training, CurricularFace's `t` moves on."""
        cosine = linear(normalize(embedding), normalize(self.directions)).clamp(-1 + 1e-6, 1 - 1e-6)
        own = one_hot(person, cosine.shape[1]).bool()
        target = cosine[own]
        pushed = torch.cos(target.acos() + margin)
        # beyond pi the cosine would rise again; go on falling, as both papers' code does
        low = float(np.cos(np.pi - margin))
        pushed = torch.where(target > low, pushed, target - float(np.sin(margin)) * margin)
        if self.curricular:
            if self.training:
                self.t.copy_(MOMENTUM * self.t + (1 - MOMENTUM) * target.detach().mean())
            hard = cosine > pushed[:, None]
            cosine = torch.where(hard, cosine * (self.t + cosine), cosine)
        return SCALE * torch.where(own, pushed[:, None], cosine)


class RecogniserStage:
    """Trains one recogniser on augmented inner faces; only clips whose record names a person."""

    def __init__(
        self, preset: Preset, pool: Pool, *, judge: Literal["arc", "cur"], batch_size: int = 64, seed: int = 0
    ):
        self.name, self.pool, self.batch_size = f"scorers/{judge}", pool, batch_size
        self.seed = seed + SEEDS[judge]
        named = [(i, r["identity"]) for i, r in enumerate(pool.records) if r["identity"]]
        if not named:
            raise ValueError("No clip of the pool names its person; add clips of unchanged people.")
        names = {name: k for k, name in enumerate(sorted({name for _, name in named}))}
        self.clips = np.array([i for i, _ in named])
        self.person = np.array([names[name] for _, name in named])
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            net = create_scorers(preset)[judge]
            margin = AngularMargin(net.dim, len(names), curricular=judge == "cur")
        self.model = nn.ModuleDict({judge: net, "margin": margin})
        self.judge = judge

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw augmented inner faces and who they are."""
        rng = np.random.default_rng((self.seed, step))
        picks = rng.integers(len(self.clips), size=self.batch_size)
        faces = [_sample(self.pool, self.clips[i], FACE, rng)["view"] for i in picks]
        return {"face": torch.from_numpy(np.stack(faces)), "person": torch.from_numpy(self.person[picks])}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Name the person against the margin; `right` (the share named) and `t` are only reported."""
        device = next(self.model.parameters()).device
        face, person = batch["face"].to(device), batch["person"].to(device)
        embedding = self.model[self.judge](to_tensor(face))
        margin = MARGIN * min(1.0, step / MARGIN_STEPS)
        logits = self.model["margin"](embedding, person, margin=margin)
        right = (logits.argmax(dim=1) == person).float().mean()
        return {"total": cross_entropy(logits, person), "right": right, "t": self.model["margin"].t}

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show faces of one batch above the nearest other face of that batch."""
        batch = self.batch(0)
        found = model[self.judge](to_tensor(batch["face"].to(next(model.parameters()).device)))
        near = (found @ found.T).fill_diagonal_(-1).argmax(dim=1).cpu()
        faces = batch["face"].numpy()
        save_picture(path, np.concatenate([_strip(faces[:12]), _strip(faces[near[:12]])]))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}


class ActionStage:
    """Trains the regressor: squared errors in units of each coefficient's spread, and landmarks.

    Coefficients that move much count more than those that hardly do.
    """

    def __init__(self, preset: Preset, pool: Pool, *, batch_size: int = 64, seed: int = 0):
        self.name, self.pool, self.batch_size = "scorers/action", pool, batch_size
        self.seed = seed + SEEDS["action"]
        self.clips = np.array([i for i, r in enumerate(pool.records) if r.get("fitted", True)])
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            net = create_scorers(preset)["action"]
        tracks = pool.tracks[self.clips].reshape(-1, TRACK)
        floor = np.where(np.arange(TRACK) < EXPRESSIONS, QUIET, QUIET * POSE_SCALE)
        net.mean.copy_(torch.from_numpy(tracks.mean(0)))
        net.spread.copy_(torch.from_numpy(np.maximum(tracks.std(0), floor)))
        usual = pool.landmarks[self.clips].mean(axis=(0, 1))
        net.to_landmarks.bias.data.copy_(torch.from_numpy(usual.ravel()))
        self.model = nn.ModuleDict({"action": net})

    def batch(self, step: int) -> dict[str, Tensor]:
        """Draw augmented views, their action and their landmarks."""
        rng = np.random.default_rng((self.seed, step))
        picks = self.clips[rng.integers(len(self.clips), size=self.batch_size)]
        rows = [_sample(self.pool, i, HEAD, rng) for i in picks]
        return {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare with the truth; errors of 1 would be no better than always saying the mean."""
        net = self.model["action"]
        batch = {key: value.to(net.mean.device) for key, value in batch.items()}
        track, landmarks = net(to_tensor(batch["view"]))
        error = ((track - batch["track"]) / net.spread).pow(2)
        weight = net.spread[:EXPRESSIONS] / net.spread[:EXPRESSIONS].mean()
        terms = {
            "expression": (weight * error[:, :EXPRESSIONS]).mean(),
            "pose": error[:, EXPRESSIONS:].mean(),
            "landmarks": smooth_l1_loss(landmarks / SHIFT, batch["landmarks"] / SHIFT),
        }
        return {"total": terms["expression"] + 0.3 * terms["pose"] + 0.3 * terms["landmarks"]} | terms

    def picture(self, model: nn.Module, path: Path) -> None:
        """Show views above bars of their true (upper) and found (lower) coefficients."""
        batch, net = self.batch(0), model["action"]
        found = net.track(to_tensor(batch["view"][:8].to(net.mean.device)))
        bars = [_bars((x.cpu() / net.spread.cpu()).numpy(), HEAD.pixels) for x in (batch["track"][:8], found)]
        save_picture(path, np.concatenate([_strip(batch["view"][:8].numpy()), *bars]))

    def snapshot(self, model: nn.Module) -> dict[str, Tensor]:
        """Keep nothing."""
        return {}


def _sample(pool: Pool, index: SupportsIndex, view: View, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw one frame of a clip as a judge may meet it, with the action and the landmarks that it shows."""
    clip = pool.clip(index)
    k = rng.integers(len(clip))
    affine = reframe(rng, strength=FRAMING)
    picture = cut(clip[k], view, affine)
    if rng.random() < SOFT:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.8))
    picture = recolour(picture, rng) if rng.random() < 0.6 else picture
    track = pool.tracks[index, k].astype(np.float32)
    track[-1] += np.degrees(np.arctan2(affine[1, 0], affine[0, 0]))  # the roll that the picture shows
    landmarks = pool.landmarks[index, k] @ affine[:, :2].T + affine[:, 2]
    picture = np.ascontiguousarray(degrade(picture, rng))
    return {"view": picture, "track": track, "landmarks": landmarks.astype(np.float32)}


def _strip(pictures: np.ndarray) -> np.ndarray:
    return np.concatenate(list(pictures), axis=1)


def _bars(values: np.ndarray, width: int) -> np.ndarray:
    levels = (np.clip(values / 3 + 0.5, 0, 1) * 255).astype(np.uint8)  # (n, 60)
    rows = [cv2.resize(v[None], (width, 12), interpolation=cv2.INTER_NEAREST) for v in levels]
    return np.repeat(np.concatenate(rows, axis=1)[..., None], 3, axis=-1)


def train_scorers(preset: Preset, options: "Options", *, only: Sequence[Judge] = JUDGES) -> Path:
    """Train the judges one after the other, each its share of the minutes; returns the folder of weights.

    Raises:
        FileNotFoundError: there is no pool of clips.
        ValueError: no clip names its person.
    """
    pool, weights = load_pool(options.data), options.output / "weights"
    whole = sum(SHARES[judge] for judge in only)
    for judge in only:
        if judge == "action":
            stage = ActionStage(preset, pool, seed=options.seed)
        else:
            stage = RecogniserStage(preset, pool, judge=judge, seed=options.seed)
        share = SHARES[judge] / whole
        config = options.loop("scorers", part=judge, share=share, weight_decay=0.05, cooldown=0.6)
        trained = fit(stage, config)
        checkpoint.save_part(weights, f"scorers-{judge}", trained[judge].state_dict(), half=True)
    checkpoint.save_preset(weights, preset)
    return weights
