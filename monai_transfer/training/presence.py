"""Which structures are in each slice of a volume: how a classifier is run and validated."""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from monai.inferers import Inferer
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from monai_transfer.errors import InputError
from monai_transfer.training.inference import forward
from monai_transfer.training.streaming import SKIPPED_LOGIT
from monai_transfer.transforms import slice_presence, slices_with_image


class SliceClassifierInferer(Inferer):
    """MONAI inferer that asks a classifier of slices about every axial slice of a volume.

    Slices whose image is 0 everywhere are not asked about, as they are in no training: nothing is
    present there.

    Args:
        batch_size: slices that go through at once.
        amp: bfloat16 where the hardware has it.

    Raises:
        InputError: a batch size below 1.

    Example:
        >>> brightest = lambda slices: slices.amax(dim=(2, 3))
        >>> image = torch.zeros(1, 1, 4, 4, 3)
        >>> image[..., 1] = 0.5
        >>> SliceClassifierInferer()(image, brightest).tolist()
        [[[-20.0, 0.5, -20.0]]]
    """

    def __init__(self, *, batch_size: int = 32, amp: bool = True) -> None:
        if batch_size < 1:
            raise InputError(type(self).__name__, "batch_size", "be at least 1", got=batch_size)
        self.batch_size, self.amp = batch_size, amp

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits (B, structures, Z), float32, of an image (B, channels, X, Y, Z)."""
        volumes = torch.as_tensor(inputs).as_subclass(Tensor)
        slices = volumes.movedim(-1, 1).flatten(0, 1)  # (B·Z, channels, X, Y)
        asked = slices.flatten(1).any(dim=1).nonzero().flatten()
        if not len(asked):
            asked = asked.new_zeros(1)  # for the number of structures
        said = [
            forward(network, slices[some], *args, amp=self.amp, **kwargs)
            for some in torch.split(asked, self.batch_size)
        ]
        found = torch.cat(said)
        logits = found.new_full((len(slices), found.shape[1]), -SKIPPED_LOGIT)
        logits[asked] = found
        logits[~slices.flatten(1).any(dim=1)] = -SKIPPED_LOGIT
        return logits.reshape(len(volumes), -1, found.shape[1]).movedim(1, -1)


def presence_of(
    output: Mapping[str, Any], values: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]:
    """Truth and probability of presence in those slices of a volume that hold an image.

    Args:
        output: ``image`` (channels, x, y, z), ``label`` (1, x, y, z), logits ``pred``
            (structures, z).
        values: label value of each structure.

    Returns:
        Indices of the slices (n,); truth (n, structures), boolean; probability, likewise.

    Example:
        >>> image, label = torch.zeros(2, 1, 1, 1, 2).unbind()
        >>> image[..., 1], label[..., 1] = 0.5, 3
        >>> output = {"image": image, "label": label, "pred": torch.zeros(1, 2)}
        >>> [array.tolist() for array in presence_of(output, [3])]
        [[1], [[True]], [[0.5]]]
    """
    image, label, logits = itemgetter("image", "label", "pred")(output)
    z = slices_with_image(image).nonzero().flatten().cpu()
    truth = slice_presence(label, values).cpu()[z].bool().numpy()
    probability = torch.as_tensor(logits).float().sigmoid().cpu().T[z].numpy()
    return z.numpy(), truth, probability


class PresenceAUC(Metric):
    """Mean over structures of the area under the ROC curve, over all slices of all subjects.

    Attach it to an evaluator whose outputs are as :func:`presence_of` takes them. A structure that
    is in all slices or in none has no area and is left out.

    Args:
        values: label value of each structure, in the order of the network's outputs.

    Source:
        Ours: the paper does not say what chose its epochs.

    Example:
        >>> metric = PresenceAUC([1, 2])
        >>> label = torch.tensor([[[[1, 1, 0]]]])  # three slices of one voxel; no structure 2
        >>> logits = torch.tensor([[2.0, -1.0, 0.0], [0.0, 0.0, 0.0]])
        >>> metric.update([{"image": torch.ones(1, 1, 1, 3), "label": label, "pred": logits}])
        >>> metric.compute()  # of the pairs present > absent, one of two
        0.5
    """

    def __init__(self, values: Sequence[int]) -> None:
        self.values = [int(value) for value in values]
        super().__init__()

    def reset(self) -> None:
        """Forget all subjects."""
        self._found: list[tuple[Any, Any]] = []

    def update(self, output: Sequence[Mapping[str, Tensor]]) -> None:
        """Add the subjects of one batch."""
        self._found += [presence_of(one, self.values)[1:] for one in output]

    def compute(self) -> float:
        """The mean of the areas there are; 0 where there is none."""
        truth, probability = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        areas = [area(*columns) for columns in zip(truth.T, probability.T, strict=True)]
        defined = [value for value in areas if math.isfinite(value)]
        return float(np.mean(defined)) if defined else 0.0


def area(truth: NDArray[Any], probability: NDArray[Any]) -> float:
    """Area under the ROC curve; NaN where all slices have the structure, or none has.

    Example:
        >>> area(np.array([True, False]), np.array([0.7, 0.2])), area(np.ones(2), np.ones(2))
        (1.0, nan)
    """
    if truth.all() or not truth.any():
        return math.nan
    return float(roc_auc_score(truth, probability))
