"""The 3D U-Net of Kaur 2019, which carries MS lesions over to brain tumours."""

from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.networks.inputs import require_counts


def _two_convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel_size=3, padding=1),
        nn.LeakyReLU(inplace=True),
        nn.Conv3d(out_channels, out_channels, kernel_size=3, padding=1),
        nn.LeakyReLU(inplace=True),
    )


class _Encoder(nn.Module):
    """Resolution steps of two convolutions, with average pooling and batch norm in between."""

    def __init__(self, in_channels: int, filters: list[int]) -> None:
        super().__init__()
        inputs = [in_channels, *filters[:-1]]
        self.steps = nn.ModuleList(
            _two_convolutions(i, o) for i, o in zip(inputs, filters, strict=True)
        )
        poolings: list[nn.Module] = [
            nn.Sequential(nn.AvgPool3d(kernel_size=2, stride=2), nn.BatchNorm3d(f))
            for f in filters[:-1]
        ]
        self.pools = nn.ModuleList([nn.Identity(), *poolings])

    def forward(self, image: Tensor) -> list[Tensor]:
        features: list[Tensor] = []
        x = image
        for pool, step in zip(self.pools, self.steps):  # noqa: B905 - TorchScript's zip
            x = step(pool(x))  # (B, k·2ⁿ, X/2ⁿ, Y/2ⁿ, Z/2ⁿ)
            features.append(x)
        return features


class _UpStep(nn.Module):
    """Transposed convolution, concatenation with the skip, batch norm."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(
            in_channels, out_channels, kernel_size=3, stride=2, padding=1, output_padding=1
        )
        self.norm = nn.BatchNorm3d(2 * out_channels)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.norm(torch.cat([skip, self.up(deep)], dim=1))
        return joined


class _Decoder(nn.Module):
    """Every decoder step but the two convolutions of the last one, which the head holds."""

    def __init__(self, filters: list[int]) -> None:
        super().__init__()
        deep_to_shallow = filters[::-1]
        pairs = list(pairwise(deep_to_shallow))
        self.ups = nn.ModuleList(_UpStep(i, o) for i, o in pairs)
        convolutions: list[nn.Module] = [_two_convolutions(2 * o, o) for _, o in pairs[:-1]]
        self.convs = nn.ModuleList([*convolutions, nn.Identity()])

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        depth = len(features) - 1
        for i, (up, conv) in enumerate(zip(self.ups, self.convs)):  # noqa: B905 - TorchScript's zip
            x = conv(up(x, features[depth - 1 - i]))
        return x  # (B, 2k, X, Y, Z)


class _Head(nn.Module):
    """Kaur's 'last three layers': two 3³ convolutions and the 1³ convolution."""

    def __init__(self, filters: int, out_channels: int) -> None:
        super().__init__()
        self.convs = _two_convolutions(2 * filters, filters)
        self.output = nn.Conv3d(filters, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.output(self.convs(x))
        return logits


class PathologyUNet(nn.Module):
    """3D U-Net with average pooling and batch norm after pooling and after concatenation.

    Input ``(B, in_channels, X, Y, Z)``, output logits ``(B, out_channels, X, Y, Z)``; the softmax
    belongs to the loss and to the post-processing. X, Y, Z must be multiples of
    ``2 ** (resolution_steps - 1)``. The image is expected as the K19 preset makes it: the brain in
    (0, 1] around 0.5, the background 0. Before the first layer the brain is centred to mean 0 and
    SD 1, so that background and padding stand for the mean.

    Layers for 4 channels in and out, 4 filters, 4 steps (101 048 parameters)::

        part     layer                            output        parameters
        encoder  steps.0  2 × conv 3³, leaky ReLU    4, X             872
                 pools.1  average 2³, batch norm     4, X/2             8
                 steps.1  2 × conv 3³, leaky ReLU    8, X/2          2608
                 pools.2  average 2³, batch norm     8, X/4            16
                 steps.2  2 × conv 3³, leaky ReLU   16, X/4         10400
                 pools.3  average 2³, batch norm    16, X/8            32
                 steps.3  2 × conv 3³, leaky ReLU   32, X/8         41536
        decoder  ups.0    transposed conv 3³ /2,    32, X/4         13904
                          concatenation, batch norm
                 convs.0  2 × conv 3³, leaky ReLU   16, X/4         20768
                 ups.1    as ups.0                  16, X/2          3496
                 convs.1  2 × conv 3³, leaky ReLU    8, X/2          5200
                 ups.2    as ups.0                   8, X             884
        head     convs    2 × conv 3³, leaky ReLU    4, X            1304
                 output   conv 1³                    4, X              20

    Args:
        in_channels: image channels (modalities).
        out_channels: classes, background included.
        filters: k, the filters of the first step; step n has ``k·2^(n−1)``.
        resolution_steps: number of resolutions; 4 means three poolings.
        input_mean: of the brain's voxels, as they come in.
        input_sd: likewise.

    Raises:
        InputError: a count below 1, fewer than two steps, or (in ``forward``) a size that the
            poolings do not divide.

    Source:
        Kaur 2019, section 3.2, doi:10.1007/978-3-030-33391-1_11. '4 resolution steps' is read as
        in Çiçek 2016 (three poolings; the deepest step belongs to the encoder). Padding, bias,
        leaky slope (0.01) and initialisation are not stated in the paper: PyTorch's defaults. The
        centring is ours: in one run each (12 simulated tumours, 12 epochs) validation Dice of
        enhancing, core and whole was .67, .76, .77 with it and .67, .60, .71 without.

    Example:
        >>> network = PathologyUNet(4, 4)
        >>> sum(p.numel() for p in network.parameters())
        101048
        >>> network(torch.zeros(1, 4, 16, 16, 16)).shape
        torch.Size([1, 4, 16, 16, 16])
    """

    parts: ClassVar[tuple[str, ...]] = ("encoder", "decoder", "head")
    input_layers: ClassVar[Mapping[str, int]] = {"encoder.steps.0.0": 0}
    output_layer: ClassVar[str] = "head.output"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        filters: int = 4,
        resolution_steps: int = 4,
        input_mean: float = 0.5,
        input_sd: float = 0.125,
    ) -> None:
        super().__init__()
        require_counts(
            "PathologyUNet", in_channels=in_channels, out_channels=out_channels, filters=filters
        )
        if resolution_steps < 2:
            rule = "be at least 2"
            raise InputError("PathologyUNet", "resolution_steps", rule, got=resolution_steps)
        self.input_mean, self.input_sd = input_mean, input_sd
        self.divisor = 2 ** (resolution_steps - 1)
        self.example_shape = (in_channels, *[2 * self.divisor] * 3)
        widths = [filters * 2**n for n in range(resolution_steps)]
        self.encoder = _Encoder(in_channels, widths)
        self.decoder = _Decoder(widths)
        self.head = _Head(filters, out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every voxel; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(image)
        centred = (image - self.input_mean) / self.input_sd
        centred = centred.masked_fill(image == 0, 0.0)
        logits: Tensor = self.head(self.decoder(self.encoder(centred)))
        return logits

    @torch.jit.unused
    def _check(self, image: Tensor) -> None:
        if any(size % self.divisor for size in image.shape[2:]):
            raise InputError(
                "PathologyUNet",
                "image size",
                f"be a multiple of {self.divisor} on every axis",
                got=tuple(image.shape[2:]),
                todo="Pad the image, or use a sliding window of such a size.",
            )
