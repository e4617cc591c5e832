"""Frames that the denoiser made + the photo -> the same frames with the photo's detail.

Ours, not the paper's. Mini's latents keep 24 numbers of a patch of 16x16 pixels, so what comes out of them is
soft. The finisher says for every pixel of a frame where in the photo it comes from (a motion field) and how
far to believe that (a mask); what the photo does not show, an open mouth say, stays as the denoiser drew it.
It hears both action codes: what the photo does is known only to be undone. The denoiser never sees the photo,
and without the finisher the frames show what the identity and the action embedding alone carry.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate, pixel_shuffle, pixel_unshuffle, silu

from iad.autoencoder import ResidualBlock, Upsample
from iad.config import Preset

COARSE, FINE = 4, 2  # pixels of a cell of the two motion fields
REACH, SHIFT, TOUCH = 0.1, 0.02, 0.1  # what an output of 1 means: coarse and fine motion, colour
TRUST = 1.0  # where the mask begins


class Finisher(nn.Module):
    """A coarse motion field, a finer one on top, a mask, a little colour; untrained it changes nothing."""

    def __init__(self, preset: Preset):
        super().__init__()
        fine, middle, deep = preset.finisher.channels
        code = preset.decoupler.code_dim
        self.stem = nn.Conv2d(2 * 3 * COARSE**2, middle, 3, padding=1)
        self.down = nn.Conv2d(middle, deep, 3, stride=2, padding=1)
        self.hear = nn.Sequential(nn.Linear(2 * code, 2 * code), nn.SiLU(), nn.Linear(2 * code, 2 * deep))
        self.deep = nn.Sequential(*(ResidualBlock(deep) for _ in range(3)))
        self.up = Upsample(deep, middle)
        self.middle = nn.Sequential(*(ResidualBlock(middle) for _ in range(2)))
        self.to_motion = nn.Conv2d(middle, 2, 3, padding=1)
        extra = fine - fine // 4
        self.up_fine = Upsample(middle, extra)
        self.join = nn.Conv2d(2 * 3 * FINE**2 + extra, fine, 3, padding=1)
        self.refine = nn.Sequential(
            *(ResidualBlock(fine) for _ in range(2)), nn.GroupNorm(8, fine), nn.SiLU()
        )
        self.to_finish = nn.Conv2d(fine, 2 + 4 * FINE**2, 3, padding=1)
        self.gate = nn.Parameter(torch.zeros(1))
        for last in (self.to_motion, self.to_finish):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(
        self,
        frames: Float[Tensor, "n 3 h w"],
        photo: Float[Tensor, "n 3 h w"],
        code: Float[Tensor, "n c"],
        photo_code: Float[Tensor, "n c"],
    ) -> Float[Tensor, "n 3 h w"]:
        """Return frames in about [0, 1]; the codes are those of the frames' action and of the photo's own."""
        return self.compose(frames, photo, self.look(frames, photo, code, photo_code))

    def look(self, frames: Tensor, photo: Tensor, code: Tensor, photo_code: Tensor) -> "Change":
        """Find out what becomes of every pixel."""
        x = self.stem(torch.cat([pixel_unshuffle(y, COARSE) for y in (frames, photo)], dim=1) * 2 - 1)
        scale, shift = self.hear(torch.cat([code, photo_code], dim=1))[:, :, None, None].chunk(2, dim=1)
        deep = self.deep(self.down(silu(x)) * (1 + scale) + shift)
        x = self.middle(x + self.up(deep))
        coarse = interpolate(REACH * self.to_motion(x), scale_factor=COARSE, mode="bilinear")
        pictures = [pixel_unshuffle(y, FINE) * 2 - 1 for y in (frames, warp(photo, coarse))]
        found = self.to_finish(self.refine(self.join(torch.cat([*pictures, self.up_fine(x)], dim=1))))
        step, mask, colour = found.split([2, FINE**2, 3 * FINE**2], dim=1)
        motion = coarse + interpolate(SHIFT * step, scale_factor=FINE, mode="bilinear")
        mask = torch.sigmoid(pixel_shuffle(mask, FINE) + TRUST)
        return Change(coarse, motion, mask, TOUCH * pixel_shuffle(colour, FINE))

    def compose(
        self, frames: Float[Tensor, "n 3 h w"], photo: Float[Tensor, "n 3 s s"], change: "Change"
    ) -> Float[Tensor, "n 3 s s"]:
        """Carry a change out in the size of `photo`, which may be larger than the frames."""
        frames, motion, mask, colour = (
            resize(x, photo.shape[-1]) for x in (frames, change.motion, change.mask, change.colour)
        )
        return frames + self.gate * (mask * (warp(photo, motion) - frames) + colour)


@dataclass(frozen=True)
class Change:
    """What the finisher found, in the size of the frames."""

    coarse: Float[Tensor, "n 2 h w"]  # motion, in units of half a picture: x, then y
    motion: Float[Tensor, "n 2 h w"]  # the same, refined
    mask: Float[Tensor, "n 1 h w"]  # how far the photo is believed, 0 to 1
    colour: Float[Tensor, "n 3 h w"]  # added


def warp(photo: Float[Tensor, "n 3 h w"], motion: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Look every pixel up in `photo`, `motion` away from its own place, in units of half a picture."""
    still = torch.eye(2, 3, device=photo.device).expand(len(motion), 2, 3)
    grid = affine_grid(still, [len(motion), 1, *motion.shape[2:]], align_corners=False)
    grid = grid + rearrange(motion, "n xy h w -> n h w xy")
    return grid_sample(photo, grid, padding_mode="border", align_corners=False)


def create_finisher(preset: Preset) -> Finisher:
    """Build the finisher with random weights and a closed gate."""
    return Finisher(preset)


def finish(
    finisher: Finisher,
    frames: Float[Tensor, "f 3 h w"],
    photo: Float[Tensor, "3 s s"],
    code: Float[Tensor, "t c"] | None,
    photo_code: Float[Tensor, " c"],
    *,
    scale: float = 1.0,
) -> Float[Tensor, "f 3 s s"]:
    """Finish a whole clip.

    Args:
        finisher: trained, or it changes nothing.
        frames: what the denoiser made, in [0, 1].
        photo: the aligned crop of the reference, in [0, 1]; the clip comes out in its size, at least that of
            the frames.
        code: action codes of the latent frames; None where an arm has none, and then no code is heard.
        photo_code: action code of the photo itself.
        scale: how much of the change counts; 0 leaves the frames as they are.
    """
    count, size = len(frames), photo.shape[-1]
    plain = resize(frames, size).clamp(0, 1)
    if scale == 0:
        return plain
    if code is None:
        code, photo_code = torch.zeros_like(photo_code)[None], torch.zeros_like(photo_code)
    codes, own = code.repeat_interleave(count // len(code), dim=0), photo_code.expand(count, -1)
    photos = photo.expand(count, -1, -1, -1)
    change = finisher.look(frames, resize(photos, frames.shape[-1]), codes, own)
    return (plain + scale * (finisher.compose(frames, photos, change) - plain)).clamp(0, 1)


def resize(x: Float[Tensor, "n c h w"], size: int) -> Float[Tensor, "n c s s"]:
    """Enlarge or shrink pictures, smoothly."""
    if x.shape[-1] == size:
        return x
    return interpolate(x, size=(size, size), mode="bicubic", antialias=x.shape[-1] > size)
