"""SegAN: a segmentor, and a critic that compares segmentations by what it sees in them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from monai_transfer.errors import choice
from monai_transfer.networks.inputs import require_counts, require_image

CRITIC_INPUTS = ("concatenated", "masked")
"""How a critic is shown image and mask: side by side (SegAN-IO), or multiplied (SegAN)."""

LEAK = 0.3
"""Slope of the leaky ReLU below 0."""

DIVISOR = 16
"""What the segmentor's four halvings need a side of the image to be a multiple of."""


def _halving(in_channels: int, out_channels: int, *, first: bool) -> nn.Sequential:
    """Convolution of stride 2; the first has a bias where the others have batch norm."""
    conv = nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=first)
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if not first:
        layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["activation"] = nn.LeakyReLU(LEAK, inplace=True)
    return nn.Sequential(layers)


def _doubling(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["resize"] = nn.Upsample(scale_factor=2, mode="bilinear")
    layers["conv"] = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["activation"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def _encoder(in_channels: int, widths: Sequence[int]) -> nn.ModuleList:
    pairs = pairwise([in_channels, *widths])
    return nn.ModuleList(_halving(i, o, first=n == 0) for n, (i, o) in enumerate(pairs))


def _initialise(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Segmentor(nn.Module):
    """Encoder and decoder of four steps each, with skip connections that are added.

    Input ``(B, in_channels, X, Y)``, output logits ``(B, 2, X, Y)``: 0 for the background, and the
    lesion's, whose softmax is the sigmoid that is published. X and Y must be multiples of 16.

    Layers for 1 channel in, 64 filters (4 305 153 parameters)::

        layer                                                       output     parameters
        encoder.0  conv 4² /2, leaky ReLU                           64, X/2          1088
        encoder.1  conv 4² /2, batch norm, leaky ReLU               128, X/4       131328
        encoder.2  conv 4² /2, batch norm, leaky ReLU               256, X/8       524800
        encoder.3  conv 4² /2, batch norm, leaky ReLU               512, X/16     2098176
        decoder.0  bilinear ×2, conv 3², batch norm, ReLU; + skip   256, X/8      1180160
        decoder.1  bilinear ×2, conv 3², batch norm, ReLU; + skip   128, X/4       295168
        decoder.2  bilinear ×2, conv 3², batch norm, ReLU; + skip   64, X/2         73856
        resize     bilinear ×2                                      64, X               0
        output     conv 3²                                          1, X              577

    Args:
        in_channels: image channels (modalities).
        filters: of the first convolution; each of the next three has twice as many.

    Raises:
        InputError: a count below 1; in ``forward``, another number of axes or channels, or a size
            that is no multiple of 16, or in training a single image of 16 × 16.

    Source:
        Xue 2017, arXiv:1706.01805, section 2.2: convolutions 4×4 of stride 2, image resize and
        convolutions 3×3, skip connections. Not stated there or in Giacomello 2020, and taken from
        the code that goes with the latter (github.com/edoardogiacomello/SegAN-CAT): widths, skips
        added, leaky ReLU of 0.3 going down and ReLU going up, no batch norm in the first and the
        last layer, normal weights of variance 2 / (k²·filters). Ours: two logits in the
        place of a sigmoid, and PyTorch's momentum of batch norm.

    Example:
        >>> Segmentor(1, filters=4)(torch.zeros(1, 1, 32, 48)).shape
        torch.Size([1, 2, 32, 48])
    """

    def __init__(self, in_channels: int, *, filters: int = 64) -> None:
        super().__init__()
        require_counts("Segmentor", in_channels=in_channels, filters=filters)
        self.in_channels = in_channels
        widths = [filters * 2**n for n in range(4)]
        self.encoder = _encoder(in_channels, widths)
        self.decoder = nn.ModuleList(_doubling(i, o) for i, o in pairwise(widths[::-1]))
        self.resize = nn.Upsample(scale_factor=2, mode="bilinear")
        self.output = nn.Conv2d(filters, 1, 3, padding=1)
        _initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of background and lesion of every voxel; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(image)
        skips: list[Tensor] = []
        x = image
        for step in self.encoder:
            x = step(x)  # (B, f·2ⁿ, X/2ⁿ⁺¹, Y/2ⁿ⁺¹)
            skips.append(x)
        for n, step in enumerate(self.decoder):
            x = step(x) + skips[2 - n]
        lesion: Tensor = self.output(self.resize(x))  # (B, 1, X, Y)
        return torch.cat([torch.zeros_like(lesion), lesion], dim=1)

    @torch.jit.unused
    def _check(self, image: Tensor) -> None:
        require_image(
            "Segmentor",
            image,
            channels=self.in_channels,
            divisor=DIVISOR,
            training=self.training,
        )


class Critic(nn.Module):
    """What of an image and a mask is compared: both together, and three levels of features.

    Input an image ``(B, in_channels, X, Y)`` and a mask ``(B, 1, X, Y)`` in [0, 1]; output a list
    of four tensors, the critic's own input first. The structure is that of the segmentor's first
    three encoder steps; for 1 channel, concatenated, 64 filters there are 658 240 parameters.

    Args:
        in_channels: of the image.
        critic_input: one of :data:`CRITIC_INPUTS`.
        filters: as of the segmentor.

    Raises:
        InputError: a count below 1, or an unknown input.

    Source:
        Xue 2017, arXiv:1706.01805, section 2.2, for ``masked``; Giacomello 2020, section III (ii),
        for ``concatenated``. Levels, widths and initialisation as of :class:`Segmentor`.

    Example:
        >>> critic = Critic(1, critic_input="concatenated", filters=4)
        >>> levels = critic(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32))
        >>> [tuple(level.shape) for level in levels]
        [(1, 2, 32, 32), (1, 4, 16, 16), (1, 8, 8, 8), (1, 16, 4, 4)]
    """

    def __init__(
        self, in_channels: int, *, critic_input: str = "concatenated", filters: int = 64
    ) -> None:
        super().__init__()
        require_counts("Critic", in_channels=in_channels, filters=filters)
        if critic_input not in CRITIC_INPUTS:
            raise choice("Critic", "critic_input", critic_input, CRITIC_INPUTS)
        self.concatenates = critic_input == "concatenated"
        widths = [filters * 2**n for n in range(3)]
        self.encoder = _encoder(in_channels + self.concatenates, widths)
        _initialise(self)

    def forward(self, image: Tensor, mask: Tensor) -> list[Tensor]:
        """The levels, from the voxels up; see the class for shapes."""
        x = torch.cat([image, mask], dim=1) if self.concatenates else image * mask
        levels = [x]
        for step in self.encoder:
            x = step(x)
            levels.append(x)
        return levels


class SegAN(nn.Module):
    """A segmentor and its critic as the two parts of one network: they travel together.

    Input ``(B, in_channels, X, Y)``, output the segmentor's logits ``(B, 2, X, Y)``; the critic is
    not asked. A strategy freezes, copies and reports either as it does any part; ``all`` is the
    paper's Full, in which both are tuned and nothing begins anew.

    Args:
        in_channels: image channels (modalities).
        critic_input: see :class:`Critic`.
        filters: of the first convolution of both.

    Raises:
        InputError: see :class:`Segmentor` and :class:`Critic`.

    Source:
        Giacomello 2020, section IV-C: 'we transfer both the segmentation and discriminator
        networks'.

    Example:
        >>> network = SegAN(1)
        >>> sum(p.numel() for p in network.parameters())
        4963393
    """

    parts: ClassVar[tuple[str, ...]] = ("segmentor", "critic")
    output_layer: ClassVar[str] = "segmentor.output"
    strategies: ClassVar[Mapping[str, str]] = {"all": "continue"}  # there is no head to renew

    def __init__(
        self, in_channels: int, *, critic_input: str = "concatenated", filters: int = 64
    ) -> None:
        super().__init__()
        self.example_shape = (in_channels, 2 * DIVISOR, 2 * DIVISOR)
        self.segmentor = Segmentor(in_channels, filters=filters)
        self.critic = Critic(in_channels, critic_input=critic_input, filters=filters)
        masks = int(self.critic.concatenates)
        self.input_layers = {"segmentor.encoder.0.conv": 0, "critic.encoder.0.conv": masks}

    def forward(self, image: Tensor) -> Tensor:
        """The segmentor's logits of every voxel."""
        logits: Tensor = self.segmentor(image)
        return logits
