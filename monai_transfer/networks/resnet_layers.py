"""What Zoetmulder 2022's networks are made of: encoder, latent space, decoder."""

from collections import OrderedDict
from itertools import pairwise

import torch
from monai.networks.nets.resnet import ResNet, ResNetBottleneck
from torch import Tensor, nn

DIVISOR = 32
"""What the encoder's five halvings need a side of the image to be a multiple of."""

LATENT_STRIDE = 16
"""Voxels of the image to one of the latent space, on either axis."""

LEAK = 0.2
"""Slope of the leaky ReLU below 0."""

_LEAST_WIDTH = 8


class ResNetEncoder(ResNet):
    """MONAI's ResNet-50 up to its last block; its tensors have torchvision's names and shapes."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__(
            ResNetBottleneck,
            layers=[3, 4, 6, 3],
            block_inplanes=[filters * 2**n for n in range(4)],
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        del self.avgpool  # comes after what is kept

    def forward(self, image: Tensor) -> Tensor:
        """Features ``(B, 32·filters, X/32, Y/32)`` of the last block."""
        x = self.maxpool(self.act(self.bn1(self.conv1(image))))  # (B, f, X/4, Y/4)
        x = self.layer2(self.layer1(x))  # (B, 8f, X/8, Y/8)
        features: Tensor = self.layer4(self.layer3(x))  # (B, 32f, X/32, Y/32)
        return features


def _normalised(convolution: nn.Module, channels: int, activation: nn.Module) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = convolution
    layers["norm"] = nn.BatchNorm2d(channels)
    layers["activation"] = activation
    return nn.Sequential(layers)


def _doubling(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that gives twice the size."""
    return nn.ConvTranspose2d(
        in_channels, out_channels, kernel_size=3, stride=2, padding=1, output_padding=1, bias=False
    )


def latent(filters: int, latent_channels: int) -> nn.Sequential:
    """Transposed convolution from the encoder's features to 1/16 of the image's size."""
    convolution = _doubling(32 * filters, latent_channels)
    return _normalised(convolution, latent_channels, nn.ReLU(inplace=True))


def decoder(latent_channels: int, out_channels: int, filters: int) -> nn.Sequential:
    """Two convolutions, then a transposed convolution and a convolution four times over."""
    scaled = [4 * filters, 2 * filters, filters, filters, filters // 2, filters // 2]
    scaled += [filters // 4, filters // 2, filters // 4]
    widths = [latent_channels, *(max(width, _LEAST_WIDTH) for width in scaled)]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (i, o) in enumerate(pairwise(widths)):
        doubles = index >= 2 and index % 2 == 0
        convolution = _doubling(i, o) if doubles else nn.Conv2d(i, o, 3, padding=1, bias=False)
        layers[str(index)] = _normalised(convolution, o, nn.LeakyReLU(LEAK, inplace=True))
    layers["output"] = nn.Conv2d(widths[-1], out_channels, kernel_size=3, padding=1)
    return nn.Sequential(layers)


def channels_last(network: nn.Module) -> None:
    """Store the kernels with the channels last, in place; values stay.

    A training step of :class:`~monai_transfer.networks.ResNetSegmenter` with 8 filters takes two
    thirds of the time on a processor. Those of size 1 are stored so as well, or
    DistributedDataParallel would find their gradients in another order.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.to(memory_format=torch.channels_last)


def initialise(module: nn.Module) -> None:
    """He initialisation, in place, of convolutions and dense layers; their biases start at 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, a=LEAK, nonlinearity="leaky_relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
