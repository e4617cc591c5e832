"""ConsisID's two face networks: EVA02-CLIP's picture tower (Sun et al. 2023) and BiSeNet (Yu et al. 2018).

A crop goes in; one vector and five hidden layers come out, and which pixels are the face. Both are written
out because no library can hold them beside ours: transformers has neither, timm (and so open_clip) imports
torchvision, which is not everywhere, and facexlib and consisid_eva_clip bring an opencv-python that
overwrites the headless one. Parameters are called as in the published files; tests hold the numbers.
"""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from iad.full_size.published import fill_module, read_published

HIDDEN_BLOCKS = (4, 8, 12, 16, 20)  # what comes into these blocks is what ConsisID hears of the face
PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)
TRAINED_GRID = 16  # rotary positions count as in its first training, on 16 x 16 patches
ROTARY_BASE = 10000.0
NORM_EPS = 1e-6


@dataclass(frozen=True)
class EvaConfig:
    """The shapes of a tower; the published one's by default."""

    size: int = 336  # pixels, both sides
    patch: int = 14
    width: int = 1024
    layers: int = 24
    head_dim: int = 64
    hidden: int = 2730  # of the gated MLP
    output: int = 768

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.size // self.patch


class EvaAttention(nn.Module):
    """Self-attention; the class token, first, has no position."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        width = config.width
        self.heads = width // config.head_dim
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.q_bias, self.v_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.inner_attn_ln = nn.LayerNorm(width, eps=NORM_EPS)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "b n d"], cos: Float[Tensor, "m c"], sin: Float[Tensor, "m c"]
    ) -> Float[Tensor, "b n d"]:
        """Let every token look at every other."""
        values = (self.q_proj(x) + self.q_bias, self.k_proj(x), self.v_proj(x) + self.v_bias)
        q, k, v = (rearrange(value, "b n (h c) -> b h n c", h=self.heads) for value in values)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        x = rearrange(F.scaled_dot_product_attention(q, k, v), "b h n c -> b n (h c)")
        return self.proj(self.inner_attn_ln(x))


class EvaMlp(nn.Module):
    """A gated MLP (SwiGLU)."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        self.w1, self.w2 = (nn.Linear(config.width, config.hidden) for _ in range(2))
        self.ffn_ln = nn.LayerNorm(config.hidden, eps=NORM_EPS)
        self.w3 = nn.Linear(config.hidden, config.width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Change each token by itself."""
        return self.w3(self.ffn_ln(F.silu(self.w1(x)) * self.w2(x)))


class EvaBlock(nn.Module):
    """One layer of the tower."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(config.width, eps=NORM_EPS) for _ in range(2))
        self.attn, self.mlp = EvaAttention(config), EvaMlp(config)

    def forward(
        self, x: Float[Tensor, "b n d"], cos: Float[Tensor, "m c"], sin: Float[Tensor, "m c"]
    ) -> Float[Tensor, "b n d"]:
        """Attend, then think."""
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class EvaTower(nn.Module):
    """Pictures -> the pooled vector and the hidden layers that ConsisID hears."""

    def __init__(self, config: EvaConfig):
        super().__init__()
        self.config = config
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, config.width, config.patch, config.patch)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, config.grid**2 + 1, config.width))
        self.blocks = nn.ModuleList(EvaBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.head = nn.Linear(config.width, config.output)
        for name, wave in (("cos", torch.cos), ("sin", torch.sin)):
            self.register_buffer(name, wave(_angles(config)), persistent=False)

    def forward(
        self, pictures: Float[Tensor, "b 3 s s"]
    ) -> tuple[Float[Tensor, "b v"], tuple[Float[Tensor, "b n d"], ...]]:
        """Look at pictures of pixels in [0, 1], of any size."""
        x = self.patch_embed["proj"](self._normalise(pictures))
        x = rearrange(x, "b d y x -> b (y x) d")
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        hidden = []
        for index, block in enumerate(self.blocks):
            if index in HIDDEN_BLOCKS:
                hidden.append(x)
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x)[:, 0]), tuple(hidden)

    def _normalise(self, pictures: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 t t"]:
        side = (self.config.size, self.config.size)
        pictures = F.interpolate(pictures.float(), side, mode="bicubic", antialias=True)
        mean, std = (pictures.new_tensor(values)[:, None, None] for values in (PIXEL_MEAN, PIXEL_STD))
        return ((pictures - mean) / std).to(self.pos_embed.dtype)


def _angles(config: EvaConfig) -> Float[Tensor, "m c"]:
    """Compute every patch's rotary angles: half of a head's numbers turn with the row, half the column."""
    half = config.head_dim // 2
    frequencies = 1.0 / ROTARY_BASE ** (torch.arange(0, half, 2).float() / half)
    places = torch.arange(config.grid) / config.grid * TRAINED_GRID
    turns = repeat(torch.outer(places, frequencies), "g c -> g (c pair)", pair=2)
    rows = repeat(turns, "y c -> (y x) c", x=config.grid)
    columns = repeat(turns, "x c -> (y x) c", y=config.grid)
    return torch.cat([rows, columns], dim=1)


def _rotate(
    x: Float[Tensor, "b h n c"], cos: Float[Tensor, "m c"], sin: Float[Tensor, "m c"]
) -> Float[Tensor, "b h n c"]:
    token, patches = x[:, :, :1], x[:, :, 1:]
    even, odd = rearrange(patches, "b h n (c pair) -> pair b h n c", pair=2)
    turned = rearrange([-odd, even], "pair b h n c -> b h n (c pair)")
    return torch.cat([token, patches * cos + turned * sin], dim=2)


def load_eva(file: Path) -> EvaTower:
    """Read the picture tower of a published EVA02-CLIP file; its text tower stays behind.

    Raises:
        ValueError: the file cannot be read, or holds another model.
    """
    published = read_published(file)
    state = {k.removeprefix("visual."): v for k, v in published.items() if k.startswith("visual.")}
    # The angles are computed, and the file repeats them for every block; the mask served its training.
    angles = {k: state.pop(k) for k in list(state) if "rope.freqs_" in k}
    state.pop("mask_token", None)
    if not {"patch_embed.proj.weight", "pos_embed", "head.weight", "blocks.0.mlp.w1.weight"} <= state.keys():
        raise ValueError(f"{file} holds no EVA02-CLIP picture tower; download that file again.")
    tower = EvaTower(_config_of(state, angles))
    fill_module(tower, state, file)
    return tower.eval().requires_grad_(False)


def _config_of(state: dict[str, Tensor], angles: dict[str, Tensor]) -> EvaConfig:
    """Tell a tower's shapes from its weights."""
    width, _, patch, _ = state["patch_embed.proj.weight"].shape
    grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
    turned = next(iter(angles.values()), None)
    return EvaConfig(
        size=grid * patch,
        patch=patch,
        width=width,
        layers=1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks.")),
        head_dim=EvaConfig.head_dim if turned is None else turned.shape[-1],
        hidden=len(state["blocks.0.mlp.w1.weight"]),
        output=len(state["head.weight"]),
    )


CLASSES = 19  # of CelebAMask-HQ
BACKDROP = (0, 7, 8, 9, 14, 15, 16, 18)  # also ears, earrings, neck, necklace, clothes and hat
IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet's
IMAGE_STD = (0.229, 0.224, 0.225)


class FaceParser(nn.Module):
    """Tells a face from its backdrop: BiSeNet without the outputs that only served its training.

    A ResNet-18 sees the crop at an eighth, a sixteenth and a thirty-second of its size; the coarse views,
    weighed by what is in the whole picture, are added to the finer ones.
    """

    def __init__(self, width: int = 64):
        super().__init__()
        self.cp, self.ffm = ContextPath(width), Fusion(4 * width)
        self.conv_out = create_output(4 * width)
        for name, values in (("mean", IMAGE_MEAN), ("std", IMAGE_STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, crops: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b k h w"]:
        """Score the classes of every pixel of crops in [0, 1]."""
        scores = self.conv_out(self.ffm(self.cp((crops - self.mean) / self.std)))
        return F.interpolate(scores, crops.shape[2:], mode="bilinear", align_corners=True)

    def find_backdrop(self, crops: Float[Tensor, "b 3 h w"]) -> Bool[Tensor, "b 1 h w"]:
        """Tell the pixels that are neither face nor hair."""
        classes = self(crops).argmax(dim=1, keepdim=True)
        return torch.isin(classes, torch.tensor(BACKDROP, device=classes.device))


class ContextPath(nn.Module):
    """The fine view, and the coarse ones brought to its scale."""

    def __init__(self, width: int):
        super().__init__()
        self.resnet = _chain(
            conv1=nn.Conv2d(3, width, 7, 2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(),
            maxpool=nn.MaxPool2d(3, 2, padding=1),
            layer1=_stage(width, width, 1),
            layer2=_stage(width, 2 * width, 2),
            layer3=_stage(2 * width, 4 * width, 2),
            layer4=_stage(4 * width, 8 * width, 2),
        )
        self.arm16, self.arm32 = (ChannelAttention(n * width, 2 * width) for n in (4, 8))
        self.conv_head32, self.conv_head16 = (_convolve(2 * width, 2 * width) for _ in range(2))
        self.conv_avg = _convolve(8 * width, 2 * width, size=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """Return both views, one after the other in the channels."""
        eighth = self.resnet[:-2](x)
        sixteenth = self.resnet.layer3(eighth)
        last = self.resnet.layer4(sixteenth)
        coarse = self.arm32(last) + self.conv_avg(_mean(last))
        middle = self.arm16(sixteenth) + self.conv_head32(F.interpolate(coarse, sixteenth.shape[2:]))
        return torch.cat([eighth, self.conv_head16(F.interpolate(middle, eighth.shape[2:]))], dim=1)


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride > 1:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """Add what the convolutions see."""
        seen = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(seen + self.downsample(x))


def _stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Residual(inputs, outputs, stride), Residual(outputs, outputs, 1))


class ChannelAttention(nn.Module):
    """Weigh channels by their mean over the picture."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = _convolve(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Convolve and weigh."""
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(_mean(x))).sigmoid()


class Fusion(nn.Module):
    """Mix the two views."""

    def __init__(self, width: int):
        super().__init__()
        self.convblk = _convolve(width, width, size=1)
        self.conv1 = nn.Conv2d(width, width // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(width // 4, width, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Mix, and raise the channels that matter."""
        x = self.convblk(x)
        return x + x * self.conv2(F.relu(self.conv1(_mean(x)))).sigmoid()


def create_output(width: int) -> nn.Sequential:
    """Build what tells how well each class fits each pixel."""
    return _chain(conv=_convolve(width, width), conv_out=nn.Conv2d(width, CLASSES, 1, bias=False))


def _convolve(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return _chain(conv=conv, bn=nn.BatchNorm2d(outputs), relu=nn.ReLU())


def _chain(**parts: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(parts))


def _mean(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    return x.mean(dim=(2, 3), keepdim=True)


def load_face_parser(file: Path) -> FaceParser:
    """Read a published face parser.

    Raises:
        ValueError: the file cannot be read, or holds another model.
    """
    helpers = ("conv_out16.", "conv_out32.")
    state = {k: v for k, v in read_published(file).items() if not k.startswith(helpers)}
    if "cp.resnet.conv1.weight" not in state:
        raise ValueError(f"{file} holds no face parser; download that file again.")
    parser = FaceParser(len(state["cp.resnet.conv1.weight"]))
    fill_module(parser, state, file)
    return parser.eval().requires_grad_(False)
