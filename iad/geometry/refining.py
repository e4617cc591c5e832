"""Frames that geometry drew -> the same, repaired around the mouth by a small network.

Geometry moves a photo's pixels and paints what it does not show. The refiner looks at a square around the
mouth, beside the same square of the photo under its own expression, and adds a change to it. Where the mouth
is as in the photo nothing is changed, and untrained it changes nothing at all. Eyes are left to geometry: few
photos tell what lids are like that close.
"""

import cv2
import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle, pixel_unshuffle

from iad.config import EXPRESSIONS, TRACK, Preset, RefinerConfig
from iad.geometry.animation import AnimatedPhoto, Drawn
from iad.geometry.coefficients import POSE_LIMITS
from iad.geometry.curves import ease
from iad.geometry.renderer import FILLED, PAINTED

SIDE = 96  # pixels of a look
REACH = 0.72  # half its side, in eye distances
MOST = 0.35  # that is added to a colour; a network that meets the unknown may add anything
INSIDE = 0.8  # what the channel of lips is more than between them
LOOK = 6  # its channels: colour, lips, painted, filled in
_MOUTH = slice(48, 68)
_CALM, _BUSY = 0.010, 0.030  # eye distances that landmarks move on average: nothing to repair; all of it
# Eye distances between the lips. What photos seldom show is left to geometry: lips rolled in, which overlap,
# and wide mouths; and between lips that hardly part no teeth are made up.
_ROLLED, _MET, _PARTED, _GRIN, _WIDE = -0.02, -0.008, 0.04, 0.10, 0.18
_CHUNK = 16  # frames that go through the network at once: more do not fit the processor's cache


class Encoder(nn.Module):
    """Looks at 1/2, 1/4 and 1/8 of their size."""

    def __init__(self, channels: tuple[int, int, int]):
        super().__init__()
        first, second, third = channels
        self.stem = nn.Conv2d(4 * LOOK, first, 3, padding=1)
        self.down = nn.Conv2d(first, second, 3, stride=2, padding=1)
        self.further = nn.Conv2d(second, third, 3, stride=2, padding=1)

    def forward(self, looks: Float[Tensor, "b 6 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return what is found at the three sizes."""
        levels = [self.stem(pixel_unshuffle(looks * 2 - 1, 2))]
        levels.append(self.down(levels[-1].relu()))
        return [*levels, self.further(levels[-1].relu())]


class Block(nn.Module):
    """Two 3x3 convolutions around a skip; at the beginning it changes nothing."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Add what the convolutions find; the shape stays."""
        return x + self.second(self.first(x.relu()).relu())


class Refiner(nn.Module):
    """Looks and tracks -> changes; what it makes of the photo is reckoned once for a whole clip."""

    def __init__(self, config: RefinerConfig):
        super().__init__()
        first, second, third = config.channels
        self.encode_photo, self.encode = Encoder(config.channels), Encoder(config.channels)
        self.to_style = nn.Sequential(
            nn.Linear(2 * TRACK + third, config.hidden), nn.ReLU(), nn.Linear(config.hidden, third)
        )
        self.middle, self.deep = Block(second), Block(third)
        self.up = nn.Conv2d(third, second, 1)
        self.join = nn.Conv2d(second, second, 3, padding=1)
        self.last_up = nn.Conv2d(second, first, 1)
        self.to_change = nn.Conv2d(first, 16, 3, padding=1)
        self.register_buffer("fade", fade_out(), persistent=False)
        nn.init.zeros_(self.to_change.weight)
        nn.init.zeros_(self.to_change.bias)

    @property
    def idle(self) -> bool:
        """It is not trained, and leaves everything as it is."""
        return not bool(self.to_change.weight.any() or self.to_change.bias.any())

    def forward(
        self,
        looks: Float[Tensor, "b 6 h w"],
        photo: list[Float[Tensor, "_ _ _ _"]],
        tracks: Float[Tensor, "b 120"],
    ) -> Float[Tensor, "b 3 h w"]:
        """Return what to add to the colours.

        Args:
            looks: of drawn frames.
            photo: what `encode_photo` found, of one photo or one a look.
            tracks: the frame's and the photo's own, poses over `POSE_LIMITS`.
        """
        fine, half, deep = (a + b for a, b in zip(self.encode(looks), photo, strict=True))
        half = self.middle(half)
        style = photo[-1].mean((2, 3)).expand(len(looks), -1)
        deep = self.deep(deep + self.to_style(torch.cat([tracks, style], 1))[:, :, None, None])
        half = self.join((half + interpolate(self.up(deep.relu()), scale_factor=2.0)).relu())
        fine = fine + interpolate(self.last_up(half.relu()), scale_factor=2.0)
        change, mask = pixel_shuffle(self.to_change(fine.relu()), 2).split((3, 1), dim=1)
        inside = looks[:, 3:4] > INSIDE
        change = torch.where(inside, change.mean(1, keepdim=True), change)  # teeth take on no colour
        return MOST * (change / MOST).tanh() * mask.sigmoid() * self.fade


def create_refiner(preset: Preset) -> Refiner:
    """Build the refiner of a preset; it changes nothing yet."""
    return Refiner(preset.refiner)


class Repair:
    """A refiner at work on one photo; a photo without colour stays without."""

    def __init__(self, refiner: Refiner, photo: AnimatedPhoto):
        self.refiner = refiner.to(memory_format=torch.channels_last)  # a quarter faster on a processor
        self.photo, self.own = photo, photo.own_track
        self.marks = photo.landmarks(self.own[None])[0]
        self._known: dict[tuple[int, torch.device], tuple[list[Tensor], bool]] = {}

    @torch.inference_mode()
    def __call__(self, drawn: Drawn, track: Float[np.ndarray, "f 60"]) -> UInt8[np.ndarray, "f s s 3"]:
        """Repair the frames that the photo drew of `track`."""
        gains = self.measure_change(track)
        chosen = np.flatnonzero(gains)
        if self.refiner.idle or not len(chosen):
            return drawn.frames
        frames, size = drawn.frames.copy(), drawn.frames.shape[1]
        known, grey = self._look_at_photo(size)
        marks = self.photo.landmarks(track[chosen]) * size
        places = [place(points, self._length * size) for points in marks]
        for at in range(0, len(chosen), _CHUNK):
            part = list(zip(chosen, marks, places, strict=True))[at : at + _CHUNK]
            looks = [cut_look(frames[k], drawn.source[k], points, there) for k, points, there in part]
            tracks = to_conditions(track[[k for k, _, _ in part]], self.own)
            tracks = torch.from_numpy(tracks).to(known[0].device)
            change = self.refiner(_to_tensor(looks, known[0]), known, tracks)
            change = rearrange(change.float(), "b c h w -> b h w c").cpu().numpy() * 255
            for (k, points, there), look, added in zip(part, looks, change, strict=True):
                gap = measure_gap(points)
                added[look[..., 3] > 255 * INSIDE] *= _share(gap, 0, _PARTED) * _share(gap, _WIDE, _GRIN)
                _add(frames[k], added * gains[k] * _share(gap, _ROLLED, _MET), there, grey=grey)
        return frames

    @property
    def _length(self) -> float:
        return eye_distance(self.marks)

    def _look_at_photo(self, size: int) -> tuple[list[Tensor], bool]:
        like = next(self.refiner.parameters())
        at = size, like.device  # the network may have been moved
        if at not in self._known:
            itself = self.photo.render(self.own[None], size=size)
            marks = self.marks * size
            look = cut_look(itself.frames[0], itself.source[0], marks, place(marks, self._length * size))
            known = self.refiner.encode_photo(_to_tensor([look], like))
            self._known[at] = known, not np.ptp(itself.frames, axis=-1).any()
        return self._known[at]

    def measure_change(self, track: Float[np.ndarray, "f 60"]) -> Float[np.ndarray, " f"]:
        """Tell how much there is to repair: 0 where the mouth is as in the photo, to 1.

        How the head turns counts nothing, nor does a covered mouth, which does not move.
        """
        still = track.astype(np.float32)
        still[:, EXPRESSIONS:] = self.own[EXPRESSIONS:]
        away = (self.photo.landmarks(still) - self.marks)[:, _MOUTH] / self._length
        change = np.linalg.norm(away - away.mean(1, keepdims=True), axis=2).mean(1)
        return ease(change, _CALM, _BUSY).astype(np.float32)


def eye_distance(marks: Float[np.ndarray, "68 2"]) -> float:
    """Return how far the middles of the eyes lie apart."""
    return float(np.linalg.norm(marks[36:42].mean(0) - marks[42:48].mean(0)))


def measure_gap(marks: Float[np.ndarray, "68 2"]) -> float:
    """Return how far the lips are apart, in eye distances; below 0 where they overlap."""
    down = marks[33] - marks[27]
    between = (marks[[65, 66, 67]] - marks[[63, 62, 61]]).mean(0)
    return float(between @ down / max(np.linalg.norm(down), 1e-6) / eye_distance(marks))


def _share(value: float, none: float, whole: float) -> float:
    return float(np.clip((value - none) / (whole - none), 0, 1))


def place(marks: Float[np.ndarray, "68 2"], length: float) -> Float[np.ndarray, "2 3"]:
    """Return the affine map from pixels of a look to pixels of the frame.

    Args:
        marks: pixels of the frame; the first pixel reaches from 0 to 1.
        length: the eye distance that the look's size follows; the photo's, lest a turn changes it.
    """
    x, y = marks[42:48].mean(0) - marks[36:42].mean(0)
    across = np.array([x, y]) / max(np.hypot(x, y), 1e-6)
    turn = np.array([[across[0], -across[1]], [across[1], across[0]]]) * (2 * REACH * length / SIDE)
    middle = marks[_MOUTH].mean(0) - 0.5
    return np.column_stack([turn, middle + turn @ np.full(2, 0.5 - SIDE / 2)]).astype(np.float32)


def cut_look(
    frame: UInt8[np.ndarray, "s s 3"],
    source: UInt8[np.ndarray, "s s"],
    marks: Float[np.ndarray, "68 2"],
    there: Float[np.ndarray, "2 3"],
) -> UInt8[np.ndarray, "k k 6"]:
    """Cut a look out of a frame: its colours, its lips by the landmarks, and what was made up."""
    back = cv2.invertAffineTransform(there)
    points = marks[_MOUTH] - 0.5
    points = np.round((points @ back[:, :2].T + back[:, 2]) * 16).astype(np.int32)
    shape = np.zeros((SIDE, SIDE), np.uint8)
    for outline, value in ((points[:12], 128), (points[12:], 255)):
        cv2.fillPoly(shape, [outline], value, cv2.LINE_8, 4)
    made_up = np.dstack([source == PAINTED, source == FILLED]).astype(np.uint8) * 255
    return np.dstack([cut(frame, there), shape, cut(made_up, there)])


def cut(picture: UInt8[np.ndarray, "s s c"], there: Float[np.ndarray, "2 3"]) -> UInt8[np.ndarray, "k k c"]:
    """Cut a look's square out of a picture, averaging where the picture is finer."""
    finer = max(1, int(np.ceil(np.linalg.norm(there[:, 0]) - 0.2)))
    matrix = np.column_stack(
        [there[:, :2] / finer, there[:, 2] + there[:, :2] @ np.full(2, 0.5 / finer - 0.5)]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wide = (SIDE * finer, SIDE * finer)
    taken = cv2.warpAffine(picture, matrix, wide, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return taken if finer == 1 else cv2.resize(taken, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def to_conditions(
    track: Float[np.ndarray, "f 60"], own: Float[np.ndarray, " 60"]
) -> Float[np.ndarray, "f 120"]:
    """Put frames' tracks and the photo's own side by side, as the network wants them."""
    both = np.concatenate([track, np.repeat(own[None], len(track), axis=0)])
    both[:, EXPRESSIONS:] /= POSE_LIMITS
    return rearrange(both.astype(np.float32), "(two f) k -> f (two k)", two=2)


def fade_out() -> Float[Tensor, "s s"]:
    """Fade out towards a look's border, so that no seam shows."""
    edge = torch.minimum(torch.arange(SIDE) + 0.5, SIDE - 0.5 - torch.arange(SIDE)) / (0.12 * SIDE)
    edge = edge.clamp(0, 1)
    edge = edge * edge * (3 - 2 * edge)
    return edge[:, None] * edge


def _add(
    frame: UInt8[np.ndarray, "s s 3"],
    change: Float[np.ndarray, "k k 3"],
    there: Float[np.ndarray, "2 3"],
    *,
    grey: bool,
) -> None:
    """Add a look's change to its place in the frame, in place."""
    if grey:
        change = np.repeat(change @ np.float32([[0.299], [0.587], [0.114]]), 3, axis=2)
    corners = np.float32([[0, 0, 1], [0, SIDE, 1], [SIDE, 0, 1], [SIDE, SIDE, 1]]) @ there.T
    low = np.floor(corners.min(0)).astype(int).clip(0, len(frame))
    high = np.ceil(corners.max(0)).astype(int).clip(0, len(frame)) + 1
    window = frame[low[1] : high[1], low[0] : high[0]]
    if not window.size:
        return
    matrix = there - np.array([[0, 0, low[0]], [0, 0, low[1]]], np.float32)
    moved = cv2.warpAffine(change, matrix, window.shape[1::-1], flags=cv2.INTER_LINEAR)
    window[:] = np.round(np.clip(window + moved.reshape(window.shape), 0, 255)).astype(np.uint8)


def _to_tensor(looks: list[UInt8[np.ndarray, "h w c"]], like: Tensor) -> Float[Tensor, "b c h w"]:
    pictures = torch.from_numpy(np.stack(looks)).to(like.device, like.dtype)
    return rearrange(pictures, "b h w c -> b c h w") / 255
