"""The judges of evaluation and how they learn: two recognisers and an action regressor, small.

Nobody's encoder: other networks, other losses, other views of the frame. The recognisers see only the inner
face, in an oval, so that neither hair nor background can tell them who it is. Each of the three trains by
itself, with its own seed. The losses are ArcFace's additive angular margin (arXiv 1801.07698) and
CurricularFace's, whose weight of hard negatives grows with a running mean of the cosines (arXiv 2004.00288).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, SupportsIndex

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize, one_hot, relu, smooth_l1_loss
from torch.utils.data import default_collate

from iad import checkpoint
from iad.config import EXPRESSIONS, LANDMARKS, TRACK, Preset
from iad.models.autoencoder import to_tensor
from iad.models.encoders import POSE_SCALE
from iad.training.augment import degrade, recolour, reframe, roll_of
from iad.training.loop import Stage, fit
from iad.training.pool import Pool, load_pool
from iad.training.timetable import Options

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


@dataclass(frozen=True)
class View:
    """The square of a frame that a judge looks at: upper left corner and side in the unit square; pixels."""

    left: float
    top: float
    side: float
    pixels: int


@dataclass(frozen=True)
class ScorerConfig:
    """Channels at 1/4, 1/8 and 1/16 of what a judge sees, and lengths of what it says."""

    recogniser: tuple[int, ...] = (32, 72, 144)
    regressor: tuple[int, ...] = (32, 64, 112)
    dim: int = 128  # of an embedding, and of the regressor's features


FACE = View(0.22, 0.30, 0.56, 64)  # the inner face, without hair and background
HEAD = View(0.14, 0.20, 0.72, 96)  # the face wherever it turns, about pixel for pixel
SIZES = {"tiny": ScorerConfig((8, 8, 16), (8, 8, 16), 16)}  # any other preset takes the default


def cut(
    frame: UInt8[np.ndarray, "h w 3"], view: View, affine: Float[np.ndarray, "2 3"] | None = None
) -> UInt8[np.ndarray, "y x 3"]:
    """Cut a view out of a square frame, moved before by `affine` (unit-square coordinates)."""
    matrix = np.array(np.eye(2, 3) if affine is None else affine, np.float64)
    scale = view.pixels / view.side
    # from pixel centres of the frame to those of the view
    linear = matrix[:, :2] * scale / frame.shape[0]
    shift = (matrix[:, 2] - (view.left, view.top)) * scale - 0.5 + linear @ (0.5, 0.5)
    moved = np.column_stack([linear, shift])
    size = (view.pixels, view.pixels)
    return cv2.warpAffine(frame, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


class Block(nn.Module):
    """Two 3x3 convolutions, normalised over the batch, around a skip."""

    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add what the convolutions find; the shape stays."""
        return x + self.body(x)


def _create_trunk(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.PixelUnshuffle(4), nn.Conv2d(48, channels[0], 3, padding=1, bias=False)]
    for level, width in enumerate(channels):
        if level:
            layers += [nn.BatchNorm2d(channels[level - 1]), nn.ReLU()]
            layers += [nn.Conv2d(channels[level - 1], width, 3, stride=2, padding=1, bias=False)]
        layers.append(Block(width))
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]), nn.ReLU())


class Recogniser(nn.Module):
    """The inner face, in a soft oval, to a unit embedding of the person."""

    def __init__(self, config: ScorerConfig):
        super().__init__()
        self.dim = config.dim
        self.trunk = _create_trunk(config.recogniser)
        grid = FACE.pixels // 16
        flat = config.recogniser[-1] * grid * grid
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(flat, config.dim), nn.BatchNorm1d(config.dim))
        self.register_buffer("oval", _create_oval(FACE.pixels), persistent=False)

    def forward(self, faces: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b e"]:
        """Embed inner faces in [0, 1]; rows have length one."""
        return normalize(self.head(self.trunk((faces * 2 - 1) * self.oval)))


class ActionRegressor(nn.Module):
    """The face with its surroundings to its action: 57 coefficients, then pitch, yaw and roll in degrees.

    Landmarks are learned beside it: they say far more of where lids and lips are than the coefficients do.
    The coefficients' mean and spread over the training clips are kept beside the weights.
    """

    def __init__(self, config: ScorerConfig):
        super().__init__()
        self.trunk = _create_trunk(config.regressor)
        flat = 32 * (HEAD.pixels // 16) ** 2
        self.squeeze = nn.Sequential(nn.Conv2d(config.regressor[-1], 32, 1), nn.Flatten())
        self.to_landmarks = nn.Linear(flat, LANDMARKS * 2)
        self.to_features = nn.Linear(flat, config.dim)
        self.to_track = nn.Linear(config.dim, TRACK)
        self.register_buffer("mean", torch.zeros(TRACK))
        self.register_buffer("spread", torch.ones(TRACK))

    def forward(
        self, faces: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b 60"], Float[Tensor, "b 68 2"]]:
        """Read action and landmarks (unit square of the frame) off views in [0, 1]."""
        flat = self.squeeze(self.trunk(faces * 2 - 1))
        track = self.mean + self.spread * self.to_track(relu(self.to_features(flat)))
        return track, rearrange(self.to_landmarks(flat), "b (k two) -> b k two", two=2)

    def track(self, faces: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 60"]:
        """Read the action alone."""
        return self(faces)[0]

    def features(self, faces: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Describe views in [0, 1] by what the last layer reads."""
        return relu(self.to_features(self.squeeze(self.trunk(faces * 2 - 1))))


def _create_oval(size: int) -> Float[Tensor, "h w"]:
    line = (torch.arange(size) + 0.5) / size * 2 - 1
    radius = torch.hypot(line[None] / 0.95, (line[:, None] + 0.02) / 1.05)
    return ((1 - radius) * 8 + 0.5).clamp(0, 1)


def create_scorers(preset: Preset) -> nn.ModuleDict:
    """Build the judges of a preset with random weights: "arc", "cur" and "action"."""
    config = SIZES.get(preset.name, ScorerConfig())
    judges = {"arc": Recogniser(config), "cur": Recogniser(config), "action": ActionRegressor(config)}
    return nn.ModuleDict(judges)


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


class RecogniserStage(Stage):
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
        person = batch["person"]
        embedding = self.model[self.judge](to_tensor(batch["face"]))
        margin = MARGIN * min(1.0, step / MARGIN_STEPS)
        logits = self.model["margin"](embedding, person, margin=margin)
        right = (logits.argmax(dim=1) == person).float().mean()
        return {"total": cross_entropy(logits, person), "right": right, "t": self.model["margin"].t}

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show faces of one batch above the nearest other face of that batch."""
        batch = self.batch(0)
        found = model[self.judge](to_tensor(batch["face"].to(self.device)))
        near = (found @ found.T).fill_diagonal_(-1).argmax(dim=1).cpu()
        faces = batch["face"].numpy()
        return faces[:12], faces[near[:12]]


class ActionStage(Stage):
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
        return default_collate([_sample(self.pool, i, HEAD, rng) for i in picks])

    def losses(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Compare with the truth; errors of 1 would be no better than always saying the mean."""
        net = self.model["action"]
        track, landmarks = net(to_tensor(batch["view"]))
        error = ((track - batch["track"]) / net.spread).pow(2)
        weight = net.spread[:EXPRESSIONS] / net.spread[:EXPRESSIONS].mean()
        terms = {
            "expression": (weight * error[:, :EXPRESSIONS]).mean(),
            "pose": error[:, EXPRESSIONS:].mean(),
            "landmarks": smooth_l1_loss(landmarks / SHIFT, batch["landmarks"] / SHIFT),
        }
        return {"total": terms["expression"] + 0.3 * terms["pose"] + 0.3 * terms["landmarks"]} | terms

    def picture(self, model: nn.Module) -> Sequence[Iterable[np.ndarray]]:
        """Show views above bars of their true (upper) and found (lower) coefficients."""
        batch, net = self.batch(0), model["action"]
        found = net.track(to_tensor(batch["view"][:8].to(net.mean.device)))
        bars = [_bars(x.cpu() / net.spread.cpu(), HEAD.pixels) for x in (batch["track"][:8], found)]
        return batch["view"][:8].numpy(), *bars


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
    track[-1] += roll_of(affine)  # the roll that the picture shows
    landmarks = pool.landmarks[index, k] @ affine[:, :2].T + affine[:, 2]
    picture = np.ascontiguousarray(degrade(picture, rng))
    return {"view": picture, "track": track, "landmarks": landmarks.astype(np.float32)}


def _bars(values: Float[Tensor, "n 60"], width: int) -> list[np.ndarray]:
    levels = ((values / 3 + 0.5).clip(0, 1) * 255).byte().numpy()
    bars = [cv2.resize(v[None], (width, 12), interpolation=cv2.INTER_NEAREST) for v in levels]
    return [np.repeat(bar[..., None], 3, axis=-1) for bar in bars]


def train_scorers(preset: Preset, options: Options) -> Path:
    """Train the judges one after the other, each its share of the minutes; returns the folder of weights.

    Raises:
        FileNotFoundError: there is no pool of clips.
        ValueError: no clip names its person.
    """
    pool = load_pool(options.clips)
    for judge in JUDGES:
        if judge == "action":
            stage = ActionStage(preset, pool, seed=options.seed)
        else:
            stage = RecogniserStage(preset, pool, judge=judge, seed=options.seed)
        config = options.loop("scorers", part=judge, share=SHARES[judge], weight_decay=0.05, cooldown=0.6)
        trained = fit(stage, config)
        checkpoint.save_part(options.weights, f"scorers-{judge}", trained[judge].state_dict(), half=True)
    checkpoint.save_preset(options.weights, preset)
    return options.weights
