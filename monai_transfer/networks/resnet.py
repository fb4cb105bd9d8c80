"""Zoetmulder 2022's networks on a ResNet-50: one segments or restores its input, one classifies."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.networks.inputs import require_counts, require_image, require_statistics
from monai_transfer.networks.resnet_layers import (
    DIVISOR,
    LATENT_STRIDE,
    ResNetEncoder,
    channels_last,
    decoder,
    initialise,
    latent,
)


class ResNetSegmenter(nn.Module):
    """ResNet-50 encoder, narrow latent space, decoder of ten layers without skip connections.

    Input ``(B, in_channels, X, Y)``, output ``(B, out_channels, X, Y)``: logits of every voxel, or,
    with as many channels out as in, the image that an auto-encoder restores; nothing follows the
    last convolution. X and Y must be multiples of 32. The latent space is ``(B, latent_channels,
    X/16, Y/16)``.

    Layers for 1 channel in, 4 out, 64 filters (24 033 548 parameters)::

        part     layer                                       output        parameters
        encoder  conv1   conv 7² /2                          64, X/2             3136
                 bn1     batch norm, ReLU, max pool 3² /2    64, X/4              128
                 layer1  3 bottlenecks                       256, X/4          215808
                 layer2  4 bottlenecks, the first /2         512, X/8         1219584
                 layer3  6 bottlenecks, the first /2         1024, X/16       7098368
                 layer4  3 bottlenecks, the first /2         2048, X/32      14964736
        latent   conv    transposed conv 3² ×2               4, X/16            73728
                 norm    batch norm, ReLU                    4, X/16                8
        decoder  0       conv 3²                             256, X/16           9728
                 1       conv 3²                             128, X/16         295168
                 2       transposed conv 3² ×2               64, X/8            73856
                 3       conv 3²                             64, X/8            36992
                 4       transposed conv 3² ×2               32, X/4            18496
                 5       conv 3²                             32, X/4             9280
                 6       transposed conv 3² ×2               16, X/2             4640
                 7       conv 3²                             32, X/2             4672
                 8       transposed conv 3² ×2               16, X               4640
                 output  conv 3²                             4, X                 580

    Batch norm and leaky ReLU (0.2) follow each layer of the decoder but the output. With 8 filters
    there are 393 460 parameters.

    Args:
        in_channels: image channels (modalities).
        out_channels: classes, background included; of an auto-encoder, `in_channels`.
        filters: width of the encoder's first stage, to which all others are in proportion; 64 in
            ResNet-50. No layer of the decoder is narrower than 8.
        latent_channels: of the latent space.

    Raises:
        InputError: a count below 1; in ``forward``, another number of axes or channels, or a size
            that is no multiple of 32, or in training a single image of 32 × 32.

    Source:
        Zoetmulder 2022, sections 3.3.1 and 3.3.2, doi:10.1016/j.cmpb.2021.106539: the encoder, a
        latent space of 16 × 16 × 4 for 256 × 256 by a transposed convolution of stride 2, the
        decoder's kinds of layers, kernels, strides and activations. Not stated there, and taken
        from the code of Taskonomy (Zamir 2018), on which the paper builds and of whose decoder
        these are the last ten layers: widths, and batch norm after every layer but the last, the
        latent one included. Ours: the kernel of 3 of the latent layer, narrower networks, and He
        initialisation (the encoder's by MONAI, over what a layer gives out, as in He 2016).

    Example:
        >>> network = ResNetSegmenter(1, 4, filters=8)
        >>> sum(p.numel() for p in network.parameters())
        393460
        >>> network.eval()(torch.zeros(1, 1, 64, 96)).shape
        torch.Size([1, 4, 64, 96])
    """

    parts: ClassVar[tuple[str, ...]] = ("encoder", "latent", "decoder")
    input_layers: ClassVar[Mapping[str, int]] = {"encoder.conv1": 0}
    output_layer: ClassVar[str] = "decoder.output"

    def __init__(
        self, in_channels: int, out_channels: int, *, filters: int = 64, latent_channels: int = 4
    ) -> None:
        super().__init__()
        require_counts(
            "ResNetSegmenter",
            in_channels=in_channels,
            out_channels=out_channels,
            filters=filters,
            latent_channels=latent_channels,
        )
        self.in_channels, self.example_shape = in_channels, (in_channels, 2 * DIVISOR, 2 * DIVISOR)
        self.encoder = ResNetEncoder(in_channels, filters)
        self.latent = latent(filters, latent_channels)
        self.decoder = decoder(latent_channels, out_channels, filters)
        initialise(self.latent)
        initialise(self.decoder)
        channels_last(self)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every voxel, or the restored image; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(image)
        output: Tensor = self.decoder(self.latent(self.encoder(image)))
        return output

    @torch.jit.unused
    def _check(self, image: Tensor) -> None:
        require_image(
            "ResNetSegmenter",
            image,
            channels=self.in_channels,
            divisor=DIVISOR,
            training=self.training,
        )


class ResNetClassifier(nn.Module):
    """ResNet-50 encoder, narrow latent space, two fully connected layers: what is in the slice?

    Input ``(B, in_channels, *image_size)``, output logits ``(B, out_channels)``, one for each thing
    that a slice may show. Encoder and latent space are those of :class:`ResNetSegmenter`, names and
    shapes included.

    Layers after these for 16 channels out, 256 × 256 (25 707 480 parameters; with 8 filters
    2 514 576)::

        part        layer                              output    parameters
        classifier  hidden  fully connected, ReLU      2048         2099200
                    output  fully connected            16             32784

    Args:
        in_channels: image channels (modalities).
        out_channels: things to be told, each by its own logit.
        image_size: X and Y of every image, multiples of 32.
        filters: see :class:`ResNetSegmenter`.
        latent_channels: of the latent space.
        hidden: neurons of the first fully connected layer.

    Raises:
        InputError: a count below 1, a size that is no multiple of 32; in ``forward``, an image of
            another shape, or in training a single one of 32 × 32.

    Source:
        Zoetmulder 2022, section 3.3.4, doi:10.1016/j.cmpb.2021.106539: 2048 neurons with ReLU, then
        16. The paper ends in a soft-max and trains by binary cross-entropy class by class, of which
        several may be present; logits for that loss are ours, and so is He initialisation.

    Example:
        >>> network = ResNetClassifier(1, 16, image_size=(64, 64), filters=8)
        >>> network.eval()(torch.zeros(2, 1, 64, 64)).shape
        torch.Size([2, 16])
    """

    parts: ClassVar[tuple[str, ...]] = ("encoder", "latent", "classifier")
    input_layers: ClassVar[Mapping[str, int]] = {"encoder.conv1": 0}
    output_layer: ClassVar[str] = "classifier.output"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        image_size: Sequence[int] = (256, 256),
        filters: int = 64,
        latent_channels: int = 4,
        hidden: int = 2048,
    ) -> None:
        super().__init__()
        require_counts(
            "ResNetClassifier",
            in_channels=in_channels,
            out_channels=out_channels,
            filters=filters,
            latent_channels=latent_channels,
            hidden=hidden,
        )
        if len(image_size) != 2 or any(n < 1 or n % DIVISOR for n in image_size):
            rule = f"be two multiples of {DIVISOR}"
            raise InputError("ResNetClassifier", "image_size", rule, got=tuple(image_size))
        self.example_shape = (in_channels, *image_size)
        self.encoder = ResNetEncoder(in_channels, filters)
        self.latent = latent(filters, latent_channels)
        x, y = (n // LATENT_STRIDE for n in image_size)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["flatten"] = nn.Flatten()
        layers["hidden"] = nn.Linear(latent_channels * x * y, hidden)
        layers["activation"] = nn.ReLU(inplace=True)
        layers["output"] = nn.Linear(hidden, out_channels)
        self.classifier = nn.Sequential(layers)
        initialise(self.latent)
        initialise(self.classifier)
        channels_last(self)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every image; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(image)
        logits: Tensor = self.classifier(self.latent(self.encoder(image)))
        return logits

    @torch.jit.unused
    def _check(self, image: Tensor) -> None:
        if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            return
        if image.ndim != 4 or tuple(image.shape[1:]) != self.example_shape:
            rule = f"have the shape (batch, {', '.join(map(str, self.example_shape))})"
            raise InputError("ResNetClassifier", "image", rule, got=tuple(image.shape))
        if self.training:
            require_statistics("ResNetClassifier", image, divisor=DIVISOR)
