"""Cross entropy of label maps with weights by median frequency, as Zoetmulder 2022 trains."""

from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from monai_transfer._metaimage import load_image
from monai_transfer.transforms.labels import class_indices
from monai_transfer.transforms.naming import blamed_on


class LabelMapCrossEntropy(nn.CrossEntropyLoss):
    """torch's cross entropy for label maps as MONAI has them: with a channel axis, of any type.

    Args:
        class_weights: of each class; ``None``: 1 for all.

    Source:
        Zoetmulder 2022, sections 4.1.1 and 4.3: weighted cross entropy, 'calculated voxel wise'.

    Example:
        >>> loss = LabelMapCrossEntropy([1.0, 3.0])
        >>> logits, label = torch.zeros(1, 2, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.uint8)
        >>> round(float(loss(logits, label)), 4)  # log 2
        0.6931
    """

    def __init__(self, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(None if class_weights is None else torch.tensor(list(class_weights)))

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean loss over the voxels, normalised by the sum of their weights.

        Args:
            logits: (B, classes, X, Y) or (B, classes, X, Y, Z).
            label: class index of each voxel, (B, 1, X, Y) or (B, 1, X, Y, Z), any type.
        """
        target = label.as_subclass(Tensor).squeeze(1).long()
        weight = None if self.weight is None else self.weight.to(logits.device)
        return nn.functional.cross_entropy(logits.as_subclass(Tensor).float(), target, weight)


def median_frequency_weights(
    entries: Sequence[Mapping[str, Any]], label_values: Sequence[int]
) -> list[float]:
    """Median of the classes' frequencies over a class's own, in the training labels.

    The frequency of a class is its voxels over all voxels of those images that hold it. Images are
    the axial slices of the label files, whole: as they are stored, none padded and none dropped.
    Over volumes instead, a lesion of one voxel in two thousand would weigh ten to fifty times as
    much as by the slices it is in, which are what the network sees.

    Args:
        entries: training entries with the path of a ``label`` file.
        label_values: label value of each class index.

    Returns:
        One weight per class index; 1 for a class that no entry holds, which is not in the median.

    Raises:
        InputError: a label that holds another value, naming its file.

    Source:
        Zoetmulder 2022, section 4.1.1, weighs by Badrinarayanan 2017 (SegNet, section 4;
        doi:10.1109/TPAMI.2016.2644615). That slices are the images is ours: it is not stated.

    Example:
        >>> import tempfile
        >>> label = np.zeros((4, 1, 2), np.uint8)
        >>> label[0, 0, 0] = 1  # in one of two slices: 1 of 4, and 7 of 8 are background
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nib.save(nib.Nifti1Image(label, np.eye(4)), f"{folder}/label.nii")
        ...     median_frequency_weights([{"label": f"{folder}/label.nii"}], [0, 1])
        [0.6428571428571429, 2.25]
    """
    voxels, around = np.zeros((2, len(label_values)))
    for entry in entries:
        by_slice = _counts(entry["label"], label_values)
        voxels += by_slice.sum(axis=0)
        around += ((by_slice > 0) * by_slice.sum(axis=1, keepdims=True)).sum(axis=0)
    there = voxels > 0
    if not there.any():
        return [1.0] * len(label_values)
    frequency = voxels[there] / around[there]
    weights = np.ones(len(label_values))
    weights[there] = np.median(frequency) / frequency
    return [float(weight) for weight in weights]


def _counts(path: str, label_values: Sequence[int]) -> NDArray[np.intp]:
    """Voxels of each class in each axial slice of a label file, (z, classes)."""
    image: Any = nib.as_closest_canonical(load_image(path))
    label = np.asanyarray(image.dataobj)
    with blamed_on(path):
        index = class_indices(np.rint(label) if label.dtype.kind == "f" else label, label_values)
    shape = index.shape[2], len(label_values)
    flat = index.astype(np.intp) + shape[1] * np.arange(shape[0])
    return np.bincount(flat.ravel(), minlength=shape[0] * shape[1]).reshape(shape)
