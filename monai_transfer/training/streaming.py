"""How a volume goes through a network of slices: as a stream of those that hold brain."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch import Tensor
from torch.nn.parallel import DataParallel, DistributedDataParallel

from monai_transfer.errors import InputError
from monai_transfer.networks import FullyConvolutionalCNN, PatchCNN
from monai_transfer.networks.patch_cnn import PATCH
from monai_transfer.training.inference import forward

SKIPPED_LOGIT = 20.0
"""Logit of the background where the network was not asked; the other classes have 0 there."""

_Box = tuple[int, int, int, int]
"""First and past-last voxel along x, then along y."""


class FullyConvolutionalInferer(Inferer):
    """MONAI inferer that streams the axial slices of a volume through a network of slices.

    A :class:`~monai_transfer.networks.PatchCNN` is turned into its fully convolutional form anew
    in each call, for its weights may have changed in between; the logits are those that it gives
    for the patch around each voxel, borders included. Slices without brain are skipped, and of the
    others the margins outside the brain's bounding box: with its zeros around it, the box gives
    what the whole slice gives. Other networks of slices get whole slices, for theirs may be
    another border rule.

    Args:
        max_voxels: voxels that go through at once, the network's margins included, unless one
            slice alone has more. The default patch network needs about 1.2 kB for each, measured in
            float32 on a CPU.
        amp: bfloat16 where the hardware has it; otherwise, and without, float32.
        skip: leave out what holds no brain (no voxel other than zero in any channel). Its logits
            are then `skipped_logit` for the background, the first channel, and 0 for the others.
        skipped_logit: 0 for an auto-encoder, which has nothing to restore there.
        fold_norms: see :meth:`~monai_transfer.networks.PatchCNN.to_fully_convolutional`.

    Source:
        Ghafoorian 2017, section 2.3: whole slices at segmentation time. Skipping is ours.

    Example:
        >>> from monai_transfer.networks import PatchCNN
        >>> image = torch.zeros(1, 2, 9, 9, 3)
        >>> image[:, :, 2:7, 3:6, 1] = 0.5
        >>> logits = FullyConvolutionalInferer()(image, PatchCNN(2))
        >>> logits.shape
        torch.Size([1, 2, 9, 9, 3])
        >>> logits[0, :, 4, 4, 0].tolist()  # no brain in this slice
        [20.0, 0.0]
    """

    def __init__(
        self,
        *,
        max_voxels: int = 2**17,
        amp: bool = True,
        skip: bool = True,
        skipped_logit: float = SKIPPED_LOGIT,
        fold_norms: bool = True,
    ) -> None:
        if max_voxels < 1:
            raise InputError(type(self).__name__, "max_voxels", "be at least 1", got=max_voxels)
        self.max_voxels, self.amp, self.skip, self.fold_norms = max_voxels, amp, skip, fold_norms
        self.skipped_logit = skipped_logit

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits (B, classes, X, Y, Z), float32, of an image (B, channels, X, Y, Z).

        No gradient flows through them; they carry the geometry of a MetaTensor image, which MONAI's
        ``Invertd`` needs. Further arguments go to the network.
        """
        volume = torch.as_tensor(inputs).as_subclass(Tensor)
        slices = volume.movedim(-1, 1).flatten(0, 1)  # (B·Z, channels, X, Y)
        layers = self._of_slices(network)

        def logits_of(batch: Tensor) -> Tensor:
            batch = batch.contiguous(memory_format=torch.channels_last)
            return forward(layers, batch, *args, amp=self.amp, **kwargs)

        whole = (0, slices.shape[2], 0, slices.shape[3])
        boxes = _brain_boxes(slices) if self.skip else dict.fromkeys(range(len(slices)), whole)
        if not isinstance(layers, FullyConvolutionalCNN):
            boxes = dict.fromkeys(boxes, whole)
        logits = _stream(
            slices,
            logits_of,
            boxes=boxes,
            max_voxels=self.max_voxels,
            skipped_logit=self.skipped_logit,
        )
        logits = logits.reshape(len(volume), -1, *logits.shape[1:]).movedim(1, -1)
        if isinstance(inputs, MetaTensor):
            logits = convert_to_dst_type(logits, inputs, dtype=torch.float32)[0]
        return logits

    def _of_slices(self, network: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(network, DataParallel | DistributedDataParallel):
            network = network.module
        if not isinstance(network, PatchCNN):
            return network
        converted = network.to_fully_convolutional(fold_norms=self.fold_norms)
        return converted.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _stream(
    slices: Tensor,
    logits_of: Callable[[Tensor], Tensor],
    *,
    boxes: Mapping[int, _Box],
    max_voxels: int,
    skipped_logit: float,
) -> Tensor:
    """Logits (N, classes, X, Y), asked for in the given box of each slice that has one."""
    if not boxes:  # no brain: asked for the number of classes only
        return _skipped(slices, logits_of(slices[:1]).shape[1], skipped_logit)
    logits: Tensor | None = None
    for batch in _batches(boxes, max_voxels):
        x0, x1, y0, y1 = _union(boxes[i] for i in batch)
        asked = logits_of(slices[:, :, x0:x1, y0:y1][batch])
        logits = _skipped(slices, asked.shape[1], skipped_logit) if logits is None else logits
        for i, one in zip(batch, asked, strict=True):
            a, b, c, d = boxes[i]
            logits[i, :, a:b, c:d] = one[:, a - x0 : b - x0, c - y0 : d - y0]
    return cast(Tensor, logits)


def _skipped(slices: Tensor, classes: int, skipped_logit: float) -> Tensor:
    logits = slices.new_zeros((len(slices), classes, *slices.shape[2:]), dtype=torch.float32)
    logits[:, 0] = skipped_logit
    return logits


def _brain_boxes(slices: Tensor) -> dict[int, _Box]:
    """Box around what is not zero in some channel, of each slice that holds any."""
    brain = (slices != 0).any(dim=1)  # (N, X, Y)
    ends = [brain.flatten(1).any(dim=1).int()]
    for other in (2, 1):
        along = brain.any(dim=other).int()  # (N, X), then (N, Y)
        ends += [along.argmax(dim=1), along.shape[1] - along.flip(1).argmax(dim=1)]
    rows = torch.stack(ends, dim=1).tolist()  # one transfer from the device
    return {i: (a, b, c, d) for i, (holds, a, b, c, d) in enumerate(rows) if holds}


def _batches(boxes: Mapping[int, _Box], max_voxels: int) -> Iterator[list[int]]:
    """Slices that go through together, in their order, each batch as one box around theirs."""
    batch: list[int] = []
    for i in boxes:
        a, b, c, d = _union(boxes[k] for k in (*batch, i))
        voxels = (len(batch) + 1) * (b - a + PATCH - 1) * (d - c + PATCH - 1)
        if batch and voxels > max_voxels:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _union(boxes: Iterable[_Box]) -> _Box:
    a, b, c, d = zip(*boxes, strict=True)
    return min(a), max(b), min(c), max(d)
