"""Label values and the class indices that a network gives them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type, convert_to_numpy
from numpy.typing import NDArray

from monai_transfer.errors import InputError
from monai_transfer.transforms.naming import blamed_on, subject_of

Values: TypeAlias = int | Sequence[int]
"""A label value, or several that are one class."""


def class_indices(label: NDArray[Any], label_values: Sequence[Values]) -> NDArray[np.uint8]:
    """Index of each voxel's value among the label values.

    Args:
        label: label map, any shape and number type.
        label_values: label value of each class index, or several of one; at most 255.

    Raises:
        InputError: a value that is none of them, which would pass for another class's index.

    Example:
        >>> class_indices(np.array([0, 4, 1]), [0, 1, 2, 4]).tolist()
        [0, 3, 1]
        >>> class_indices(np.array([0, 4, 1]), [0, [1, 2, 4]]).tolist()
        [0, 1, 1]
    """
    index = np.full(label.shape, len(label_values), np.uint8)
    classes = [v if isinstance(v, Sequence) else [v] for v in label_values]
    for i, values in enumerate(classes):
        for value in values:
            index[label == value] = i
    if strange := np.unique(label[index == len(label_values)]).tolist():
        rule = f"be one of {', '.join(str(value) for values in classes for value in values)}"
        raise InputError("label", "values", rule, got=", ".join(f"{v:g}" for v in strange[:5]))
    return index


class ClassIndexd(MapTransform):
    """:func:`class_indices` as a MONAI transform.

    Args:
        keys: of the labels.
        label_values: see :func:`class_indices`.

    Raises:
        InputError: on use, as :func:`class_indices`, naming the subject.
    """

    def __init__(self, keys: KeysCollection, label_values: Sequence[Values]) -> None:
        super().__init__(keys)
        self.label_values = list(label_values)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the label values; uint8."""
        result = dict(data)
        for key in self.key_iterator(result):
            with blamed_on(f"{subject_of(data, key)}: {key}"):
                index = class_indices(convert_to_numpy(result[key]), self.label_values)
            result[key] = convert_to_dst_type(index, result[key], dtype=torch.uint8)[0]
        return result
