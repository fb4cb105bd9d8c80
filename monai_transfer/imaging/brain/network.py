"""The network of the built-in brain extraction."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

WORKING_MM = 3.0
"""Spacing of the grid that the network looks at."""

DIVISOR = 8
"""Sizes must be multiples of it."""


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.InstanceNorm3d(out_channels, affine=True),
        nn.LeakyReLU(0.1, inplace=True),
    )


class BrainUNet(nn.Module):
    """3D U-Net that finds the inner skull in a head of any contrast at 3 mm.

    Input ``(B, 1, X, Y, Z)``, output logits ``(B, 1, X, Y, Z)``; X, Y, Z multiples of 8. Instance
    norm makes it blind to the scanner's scale. Four resolutions of 8, 16, 32 and 64 filters, two
    3³ convolutions down, one up, trilinear upsampling; 329 137 parameters.

    Source:
        After SynthStrip, Hoopes et al., NeuroImage 2022;260:119474, and much smaller; layers ours.

    Example:
        >>> BrainUNet()(torch.zeros(1, 1, 16, 16, 16)).shape
        torch.Size([1, 1, 16, 16, 16])
    """

    def __init__(self) -> None:
        super().__init__()
        filters = [8, 16, 32, 64]
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(i, o), _convolution(o, o))
            for i, o in pairwise([1, *filters])
        )
        self.up = nn.ModuleList(_convolution(i + o, o) for i, o in pairwise(filters[::-1]))
        self.output = nn.Conv3d(filters[0], 1, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of lying within the inner skull."""
        x, features = image, []
        for step, down in enumerate(self.down):
            x = down(functional.max_pool3d(x, 2) if step else x)
            features.append(x)
        for up, skip in zip(self.up, features[-2::-1], strict=True):
            x = functional.interpolate(x, scale_factor=2.0, mode="trilinear")
            x = up(torch.cat([x, skip], dim=1))
        logits: Tensor = self.output(x)
        return logits
