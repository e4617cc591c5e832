"""CurricularFace's IR-101 (arXiv 2004.00288), which judges FaceSim-Cur: aligned face -> who it is.

The network of TFace's `model_irse.py` under the names of ConsisID's file, which holds its weights.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from iad.full_size.published import fill_module, read_published

FILE = "glint360k_curricular_face_r101_backbone.bin"
SIDE = 112  # pixels of a face
WIDTHS = (64, 128, 256, 512)
UNITS = (3, 13, 30, 3)  # residual units of each width


class Unit(nn.Module):
    """A residual unit, whose first convolution normalises what comes in."""

    def __init__(self, width: int, out: int, stride: int):
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if width != out:
            shortcut = nn.Conv2d(width, out, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(shortcut, nn.BatchNorm2d(out))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h2 w2"]:
        """Halve the sides with a stride of 2."""
        return self.res_layer(x) + self.shortcut_layer(x)


class CurricularFace(nn.Module):
    """The recogniser.

    Args:
        units: how many residual units there are of each width.
    """

    def __init__(self, units: tuple[int, ...] = UNITS):
        super().__init__()
        first = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.input_layer = nn.Sequential(first, nn.BatchNorm2d(WIDTHS[0]), nn.PReLU(WIDTHS[0]))
        body, width = [], WIDTHS[0]
        for out, count in zip(WIDTHS, units, strict=True):
            body += [Unit(width, out, 2), *(Unit(out, out, 1) for _ in range(count - 1))]
            width = out
        self.body = nn.Sequential(*body)
        left = SIDE // 2 ** len(WIDTHS)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(width * left**2, 512),
            nn.BatchNorm1d(512, affine=False),
        )

    def forward(self, faces: Float[Tensor, "b 3 112 112"]) -> Float[Tensor, "b 512"]:
        """Embed faces in [-1, 1]; the rows are of no particular length."""
        return self.output_layer(self.body(self.input_layer(faces)))


def load_curricular(file: Path) -> CurricularFace:
    """Read the published weights; nothing in the file is run.

    Raises:
        ValueError: the file is missing, broken or of another network.
    """
    with torch.device("meta"):
        network = CurricularFace()
    network.to_empty(device="cpu")
    fill_module(network, read_published(file), file)
    return network.eval().requires_grad_(False)
