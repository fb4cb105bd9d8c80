"""Patches of scans without labels: from anywhere in the brain."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from monai.utils import convert_to_tensor
from torch.utils.data import Dataset

from monai_transfer.errors import InputError
from monai_transfer.transforms.naming import subject_of
from monai_transfer.transforms.patch_sampling import gather_patches, pad_volumes

T = TypeVar("T")


class BrainPatches(Dataset[dict[str, Any]]):
    """In-plane patches around voxels drawn from the brain, with no label read.

    For what needs no labels, such as
    :func:`~monai_transfer.training.estimate_norms`. The order is drawn too: a batch holds patches
    of many subjects.

    Args:
        subjects: dictionaries with ``image`` (channel, x, y, z); the brain is where a channel is
            not 0.
        per_subject: how many of each; fewer where its brain has fewer voxels.
        patch_size: voxels along x and y.
        seed: of the draw.

    Raises:
        InputError: a count below 1, or an image without brain, naming its subject.

    Source:
        Ours. The patches that a network of :class:`~monai_transfer.transforms.PatchDataset` was
        trained on were half lesion; without labels that cannot be repeated.

    Example:
        >>> image = torch.zeros(2, 40, 40, 3)
        >>> image[:, 10:20, 10:20, 1] = 1.0
        >>> patches = BrainPatches([{"image": image}], per_subject=8)
        >>> len(patches), patches.__getitems__([0, 3, 7])["image"].shape
        (8, torch.Size([3, 2, 32, 32]))
    """

    def __init__(
        self,
        subjects: Sequence[Mapping[str, Any]] | Dataset[Any],
        *,
        per_subject: int = 1024,
        patch_size: int = 32,
        seed: int = 0,
    ) -> None:
        if per_subject < 1:
            raise InputError("BrainPatches", "per_subject", "be at least 1", got=per_subject)
        self.patch_size = patch_size
        images, drawn = [], []
        for index in range(len(subjects)):  # type: ignore[arg-type]
            data: Mapping[Any, Any] = subjects[index]
            image = convert_to_tensor(data["image"], track_meta=False)
            brain = (image != 0).any(0).cpu().numpy()
            if not brain.any():
                raise InputError(subject_of(data, "image"), "image", "hold a brain", got="0 alone")
            voxels = np.flatnonzero(brain)
            rng = np.random.default_rng([seed, index])
            chosen = rng.choice(voxels, min(per_subject, voxels.size), replace=False)
            centres = np.unravel_index(chosen, brain.shape)
            drawn.append(np.stack([np.full(chosen.size, index), *centres]))
            images.append(image)
        order = np.random.default_rng(seed).permutation(sum(d.shape[1] for d in drawn))
        self._drawn = torch.from_numpy(np.concatenate(drawn, axis=1)[:, order])
        margin, device = patch_size // 2, images[0].device
        self._volumes = pad_volumes(images, margin=margin, device=device)

    def __len__(self) -> int:
        return self._drawn.shape[1]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One patch, ``image`` (channel, x, y)."""
        return {"image": self.__getitems__([index])["image"][0]}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """One ready batch, ``image`` (patch, channel, x, y)."""
        subject, *centre = self._drawn[:, list(indices)]
        flipped = torch.zeros_like(subject, dtype=torch.bool)
        where = (self._volumes, subject, torch.stack(centre))
        return {"image": gather_patches(*where, size=self.patch_size, flipped=flipped)}

    @staticmethod
    def collate(batch: T) -> T:
        """Leave a batch as it is: for the loader, which would stack items."""
        return batch
