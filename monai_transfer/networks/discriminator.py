"""Zoetmulder 2022's discriminator, which tells a restored image from the image itself."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

from monai_transfer.networks.inputs import require_counts, require_image
from monai_transfer.networks.resnet_layers import LEAK, channels_last, initialise

_DIVISOR = 16


class ConditionalDiscriminator(nn.Module):
    """Five convolutions: is this output the truth for this image, patch by patch?

    Input ``(B, in_channels, X, Y)``, an image and an output joined along the channels by the
    caller; output logits ``(B, 1, X/16, Y/16)``, positive for the truth. X and Y must be multiples
    of 16. Each logit sees 121 × 121 voxels.

    Layers for 1 + 1 channels, 64 filters (3 134 401 parameters)::

        layer                                              output      parameters
        0       conv 5², leaky ReLU                        64, X             3264
        1       conv 5² /4, batch norm, leaky ReLU         128, X/4        205056
        2       conv 5² /4, batch norm, leaky ReLU         256, X/16       819712
        3       conv 4², batch norm, leaky ReLU            512, X/16      2098176
        output  conv 4²                                    1, X/16           8193

    Args:
        in_channels: of image and output together.
        filters: of the first layer; each of the next three has twice as many as the one before.

    Raises:
        InputError: a count below 1; in ``forward``, another number of axes or channels, or a size
            that is no multiple of 16, or in training a single image of 16 × 16.

    Source:
        Zoetmulder 2022, section 3.3.3, doi:10.1016/j.cmpb.2021.106539: kernel 5 and stride 1, two
        layers of stride 4, two of kernel 4 and stride 1, leaky ReLU with slope 0.2. Not stated
        there, and taken from the code of Taskonomy (Zamir 2018), on which the paper builds: the
        widths, the kernel of 5 at stride 4, batch norm in all but the first and last layer. Ours:
        padding that keeps the size, logits for a binary cross-entropy, and He initialisation.

    Example:
        >>> discriminator = ConditionalDiscriminator(2, filters=8)
        >>> image, output = torch.zeros(1, 1, 64, 96), torch.zeros(1, 1, 64, 96)
        >>> discriminator(torch.cat([image, output], dim=1)).shape
        torch.Size([1, 1, 4, 6])
    """

    def __init__(self, in_channels: int, *, filters: int = 64) -> None:
        super().__init__()
        require_counts("ConditionalDiscriminator", in_channels=in_channels, filters=filters)
        self.in_channels, self.example_shape = in_channels, (in_channels, 64, 64)
        widths = [filters * 2**n for n in range(4)]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["0"] = nn.Sequential(
            nn.Conv2d(in_channels, filters, kernel_size=5, padding=2),
            nn.LeakyReLU(LEAK, inplace=True),
        )
        for index, (i, o) in enumerate(pairwise(widths), start=1):
            layers[str(index)] = nn.Sequential(
                *(_same_size(i, o) if index == 3 else _quartering(i, o)),
                nn.BatchNorm2d(o),
                nn.LeakyReLU(LEAK, inplace=True),
            )
        layers["output"] = nn.Sequential(*_same_size(widths[-1], 1, bias=True))
        self.layers = nn.Sequential(layers)
        initialise(self)
        channels_last(self)

    def forward(self, image_and_output: Tensor) -> Tensor:
        """Logits of every patch; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(image_and_output)
        logits: Tensor = self.layers(image_and_output)
        return logits

    @torch.jit.unused
    def _check(self, image: Tensor) -> None:
        require_image(
            "ConditionalDiscriminator",
            image,
            channels=self.in_channels,
            divisor=_DIVISOR,
            training=self.training,
        )


def _quartering(i: int, o: int) -> list[nn.Module]:
    return [nn.Conv2d(i, o, kernel_size=5, stride=4, padding=2, bias=False)]


def _same_size(i: int, o: int, *, bias: bool = False) -> list[nn.Module]:
    return [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(i, o, kernel_size=4, bias=bias)]
