"""Ghafoorian 2017's patch network, which carries WMH across scanners, also for whole slices."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from monai_transfer.errors import InputError
from monai_transfer.networks.inputs import require_counts

PATCH = 32
"""Voxels of a patch on either axis; the voxel that it is about has index 16 on both."""

_BEFORE, _AFTER = PATCH // 2, PATCH // 2 - 1


def _convolution(in_channels: int, out_channels: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(in_channels, out_channels, kernel_size=3, bias=False)
    layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["activation"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def _dense(in_features: int, out_features: int, dropout: float) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["linear"] = nn.Linear(in_features, out_features, bias=False)
    layers["norm"] = nn.BatchNorm1d(out_features)
    layers["activation"] = nn.ReLU(inplace=True)
    layers["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(layers)


class PatchCNN(nn.Module):
    """Convolutions without pooling, then dense layers: what is the patch's central voxel?

    Input ``(B, in_channels, 32, 32)``, output logits ``(B, out_channels)`` of the voxel at index
    (16, 16) of each patch; the softmax belongs to the loss. Whole slices go through
    :meth:`to_fully_convolutional`. The convolutions are 'valid': each takes a voxel off every side,
    32 → 8.

    Layers for 2 channels in and out (619 426 parameters)::

        part          layer                                  output      parameters
        convolutions  0   conv 3², batch norm, ReLU          16, 30²            320
                      1   conv 3², batch norm, ReLU          16, 28²           2336
                      2   conv 3², batch norm, ReLU          16, 26²           2336
                      3   conv 3², batch norm, ReLU          16, 24²           2336
                      4   conv 3², batch norm, ReLU          24, 22²           3504
                      5   conv 3², batch norm, ReLU          24, 20²           5232
                      6   conv 3², batch norm, ReLU          24, 18²           5232
                      7   conv 3², batch norm, ReLU          24, 16²           5232
                      8   conv 3², batch norm, ReLU          32, 14²           6976
                      9   conv 3², batch norm, ReLU          32, 12²           9280
                      10  conv 3², batch norm, ReLU          32, 10²           9280
                      11  conv 3², batch norm, ReLU          32, 8²            9280
        dense         0   dense, batch norm, ReLU, dropout   256             524800
                      1   dense, batch norm, ReLU, dropout   128              33024
        head          output  dense                          2                  258

    Args:
        in_channels: image channels (modalities).
        out_channels: classes, background included.
        filters: of each convolution, in order; 1 to 15 of them.
        dense: neurons of each dense layer before the logits, in order.
        dropout: probability of a neuron of these dense layers to be dropped while training.

    Raises:
        InputError: a count below 1 or out of its range; in ``forward``, a patch of another size or
            with other channels.

    Source:
        Ghafoorian 2017, section 2.3, doi:10.1007/978-3-319-66179-7_59: twelve 3 × 3 convolutions
        without pooling and dense layers of 256, 128 and 2, ReLU, batch norm, He initialisation,
        dropout of 0.3. Not stated in the paper, and ours: the filter counts; that the convolutions
        are 'valid'; that the dropout follows the two hidden dense layers; that the logits have no
        norm, and the normalised layers no bias of their own (their norm has one).

    Example:
        >>> network = PatchCNN(2)
        >>> sum(p.numel() for p in network.parameters())
        619426
        >>> network(torch.zeros(4, 2, 32, 32)).shape
        torch.Size([4, 2])
    """

    parts: ClassVar[tuple[str, ...]] = ("convolutions", "dense", "head")
    input_layers: ClassVar[Mapping[str, int]] = {"convolutions.0.conv": 0}
    output_layer: ClassVar[str] = "head.output"

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 2,
        *,
        filters: Sequence[int] = (16, 16, 16, 16, 24, 24, 24, 24, 32, 32, 32, 32),
        dense: Sequence[int] = (256, 128),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self._require_counts(in_channels, out_channels, filters, dense)
        self.in_channels, self.example_shape = in_channels, (in_channels, PATCH, PATCH)
        size = PATCH - 2 * len(filters)
        widths = [filters[-1] * size**2, *dense]
        self.convolutions = nn.Sequential(
            *(_convolution(i, o) for i, o in pairwise([in_channels, *filters]))
        )
        self.dense = nn.Sequential(*(_dense(i, o, dropout) for i, o in pairwise(widths)))
        output = nn.Linear(widths[-1], out_channels)
        self.head = nn.Sequential(OrderedDict([("output", output)]))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.zeros_(output.bias)

    @staticmethod
    def _require_counts(
        in_channels: int, out_channels: int, filters: Sequence[int], dense: Sequence[int]
    ) -> None:
        most = PATCH // 2 - 1
        if not 1 <= len(filters) <= most:
            rule = f"be 1 to {most}, for each takes 2 of {PATCH} voxels"
            raise InputError("PatchCNN", "number of filters", rule, got=len(filters))
        if not dense:
            raise InputError("PatchCNN", "dense", "name at least one layer")
        require_counts(
            "PatchCNN",
            in_channels=in_channels,
            out_channels=out_channels,
            filters=min(filters),
            dense=min(dense),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Logits of every patch's central voxel; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(patches)
        features = self.convolutions(patches)  # (B, filters[-1], 8, 8)
        logits: Tensor = self.head(self.dense(features.flatten(1)))  # (B, out_channels)
        return logits

    @torch.jit.unused
    def split(self, layers: int) -> tuple[nn.Sequential, nn.Sequential]:
        """The first layers and the rest, which make this network one after the other.

        Args:
            layers: how many come first, 0 to 15 with the default filters.

        Returns:
            Two chains of this network's own modules.

        Raises:
            InputError: more layers than there are, or fewer than none.

        Example:
            >>> network, patches = PatchCNN(2).eval(), torch.rand(3, 2, 32, 32)
            >>> first, rest = network.split(12)
            >>> first(patches).shape, torch.equal(rest(first(patches)), network(patches))
            (torch.Size([3, 32, 8, 8]), True)
        """
        blocks = [*self.convolutions, *self.dense, self.head]
        if not 0 <= layers <= len(blocks):
            raise InputError("PatchCNN", "layers", f"be 0 to {len(blocks)}", got=layers)
        blocks.insert(len(self.convolutions), nn.Flatten())
        cut = layers + (layers > len(self.convolutions))
        return nn.Sequential(*blocks[:cut]), nn.Sequential(*blocks[cut:])

    @torch.jit.unused
    def _check(self, patches: Tensor) -> None:
        if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            return  # sizes are no plain numbers then
        if patches.ndim != 4 or tuple(patches.shape[1:]) != (self.in_channels, PATCH, PATCH):
            raise InputError(
                "PatchCNN",
                "patches",
                f"have the shape (batch, {self.in_channels}, {PATCH}, {PATCH})",
                got=tuple(patches.shape),
                todo="Whole slices go through to_fully_convolutional().",
            )

    def to_fully_convolutional(self, *, fold_norms: bool = False) -> "FullyConvolutionalCNN":
        """The network that gives, at each voxel of a slice, what this one gives for its patch.

        Args:
            fold_norms: multiply the norms into the weights: faster, and equal but for rounding.

        Returns:
            A copy, in eval mode: later training of this network does not reach it.

        Example:
            >>> network = PatchCNN(2).eval()
            >>> image = torch.rand(1, 2, 32, 32)
            >>> whole = network.to_fully_convolutional()(image)
            >>> torch.allclose(whole[:, :, 16, 16], network(image), atol=1e-5)
            True
        """
        return FullyConvolutionalCNN(self, fold_norms=fold_norms)


class FullyConvolutionalCNN(nn.Module):
    """A :class:`PatchCNN` that classifies every voxel of a slice in one go.

    Input ``(B, in_channels, X, Y)``, output logits ``(B, out_channels, X, Y)`` for any X and Y.
    They are those of the patch network for the patch around each voxel, with zeros where a patch
    reaches over the border: the slice is padded once, by 16 voxels before and 15 after on either
    axis (a patch of 32 has its voxel at index 16), and every layer is 'valid'. The first dense
    layer becomes a convolution over the 8 × 8 that the convolutions leave of a patch, the others
    become 1 × 1 convolutions. Dropout, which does nothing outside training, is left out.

    Unless the norms are folded its tensors have the names of the patch network's, and it loads the
    patch network's state, so that MONAI's ``ckpt_export`` and ``onnx_export`` make it from a
    training's weights.

    Args:
        network: whose weights and norm statistics are copied.
        fold_norms: see :meth:`PatchCNN.to_fully_convolutional`.

    Raises:
        InputError: in ``forward``, an image of another number of axes or channels.

    Source:
        Ghafoorian 2017, section 2.3: 'we converted the dense layers to their equivalent
        convolutional counterparts'. The border rule is ours.
    """

    def __init__(self, network: PatchCNN, *, fold_norms: bool = False) -> None:
        super().__init__()
        self.in_channels = network.in_channels
        self.pad = nn.ZeroPad2d((_BEFORE, _AFTER, _BEFORE, _AFTER))
        self.convolutions, self.dense = nn.Sequential(), nn.Sequential()
        channels = network.in_channels
        for blocks, copies in (
            (network.convolutions, self.convolutions),
            (network.dense, self.dense),
        ):
            for block in blocks:
                copies.append(_convolutional(block, channels, fold_norms=fold_norms))
                channels = len(next(block.parameters()))
        self.head = _convolutional(network.head, channels, fold_norms=fold_norms)
        self.register_load_state_dict_pre_hook(_as_convolutions)  # type: ignore[no-untyped-call]
        self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Logits of every voxel; see the class for shapes."""
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self._check(image)
        features = self.convolutions(self.pad(image))  # (B, filters[-1], X + 7, Y + 7)
        logits: Tensor = self.head(self.dense(features))  # (B, out_channels, X, Y)
        return logits

    @torch.jit.unused
    def _check(self, image: Tensor) -> None:
        if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            return
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            rule = f"have the shape (batch, {self.in_channels}, x, y)"
            raise InputError("FullyConvolutionalCNN", "image", rule, got=tuple(image.shape))


def _convolutional(block: nn.Module, channels: int, *, fold_norms: bool) -> nn.Sequential:
    """A copy of a patch network's block that works on whole slices; no random number is drawn."""
    children = dict(block.named_children())
    name = next(iter(children))  # conv, linear or output
    state = {k: v.clone() for k, v in children[name].state_dict().items()}
    filters, size = len(state["weight"]), math.isqrt(state["weight"][0].numel() // channels)
    conv = nn.Conv2d(channels, filters, size, bias="bias" in state, device="meta").eval()
    state["weight"] = state["weight"].reshape(conv.weight.shape)
    conv.load_state_dict(state, assign=True)
    layers: OrderedDict[str, nn.Module] = OrderedDict([(name, conv)])
    if "norm" in children:
        norm = nn.BatchNorm2d(filters).to(conv.weight).eval()
        norm.load_state_dict(children["norm"].state_dict())
        if fold_norms:
            layers[name] = fuse_conv_bn_eval(conv, norm)
        else:
            layers["norm"] = norm
        layers["activation"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


def _as_convolutions(
    network: nn.Module, state: dict[str, Tensor], prefix: str, *_unused: object
) -> None:
    """Before a state is loaded: the dense weights in it take the shape of convolutions."""
    for name, own in network.state_dict(prefix=prefix).items():
        if name in state and state[name].ndim == 2 and state[name].numel() == own.numel():
            state[name] = state[name].reshape(own.shape)
