"""Which pixels of a face crop are the face: BiSeNet (Yu et al. 2018), as published for face parsing.

A ResNet-18 sees the crop at an eighth, a sixteenth and a thirty-second of its size; the coarse views, weighed
by what is in the whole picture, are added to the finer ones. Parameters are called as in the published file.
"""

from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from iad.full_size.published import fill_module, read_published

CLASSES = 19  # of CelebAMask-HQ
BACKDROP = (0, 7, 8, 9, 14, 15, 16, 18)  # also ears, earrings, neck, necklace, clothes and hat
IMAGE_MEAN = (0.485, 0.456, 0.406)  # ImageNet's
IMAGE_STD = (0.229, 0.224, 0.225)


class NormedConv(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int = 3):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Convolve."""
        return F.relu(self.bn(self.conv(x)))


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """Add what the convolutions see."""
        seen = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(seen + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """The crop at three scales."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        for index, (inputs, outputs) in enumerate(((1, 1), (1, 2), (2, 4), (4, 8)), start=1):
            first = ResidualBlock(inputs * width, outputs * width, stride=min(index, 2))
            second = ResidualBlock(outputs * width, outputs * width, stride=1)
            self.add_module(f"layer{index}", nn.Sequential(first, second))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _ _ _"]]:
        """Return the crop at 1/8, 1/16 and 1/32."""
        x = self.layer1(F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, padding=1))
        eighth = self.layer2(x)
        sixteenth = self.layer3(eighth)
        return [eighth, sixteenth, self.layer4(sixteenth)]


class ChannelAttention(nn.Module):
    """Weigh channels by their mean over the picture."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = NormedConv(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        """Convolve and weigh."""
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(_mean(x))).sigmoid()


class ContextPath(nn.Module):
    """The fine view, and the coarse ones brought to its scale."""

    def __init__(self, width: int):
        super().__init__()
        self.resnet = ResNet18(width)
        self.arm16, self.arm32 = (ChannelAttention(n * width, 2 * width) for n in (4, 8))
        self.conv_head32, self.conv_head16 = (NormedConv(2 * width, 2 * width) for _ in range(2))
        self.conv_avg = NormedConv(8 * width, 2 * width, size=1)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c y x"]:
        """Return both views, one after the other in the channels."""
        eighth, sixteenth, last = self.resnet(x)
        coarse = self.arm32(last) + self.conv_avg(_mean(last))
        middle = self.arm16(sixteenth) + self.conv_head32(F.interpolate(coarse, sixteenth.shape[2:]))
        return torch.cat([eighth, self.conv_head16(F.interpolate(middle, eighth.shape[2:]))], dim=1)


class Fusion(nn.Module):
    """Mix the two views."""

    def __init__(self, width: int):
        super().__init__()
        self.convblk = NormedConv(width, width, size=1)
        self.conv1 = nn.Conv2d(width, width // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(width // 4, width, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Mix, and raise the channels that matter."""
        x = self.convblk(x)
        return x + x * self.conv2(F.relu(self.conv1(_mean(x)))).sigmoid()


class Output(nn.Module):
    """Features -> how well each class fits each pixel."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = NormedConv(width, width)
        self.conv_out = nn.Conv2d(width, CLASSES, 1, bias=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Score the classes."""
        return self.conv_out(self.conv(x))


class FaceParser(nn.Module):
    """BiSeNet with its main output; the two that only helped its training are left out."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.cp = ContextPath(width)
        self.ffm = Fusion(4 * width)
        self.conv_out = Output(4 * width)
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
