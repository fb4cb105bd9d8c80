"""Ghafoorian's patches as a dataset: an index into volumes that are kept in memory."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from monai_transfer.errors import InputError
from monai_transfer.transforms.naming import blamed_on, subject_of
from monai_transfer.transforms.patch_sampling import (
    Candidates,
    checked,
    draw_centres,
    find_candidates,
    gather_patches,
    lesion_count,
    pad_volumes,
)

T = TypeVar("T")


class PatchDataset(Dataset[dict[str, Any]]):
    """In-plane patches around lesion voxels and healthy voxels, labelled by their central voxel.

    Of each subject a fraction of the lesion voxels is drawn, and as many healthy voxels: those
    where a channel of the image is not 0 and the label is. A subject without lesion contributes
    none. What an item is depends on the seed, the epoch and its number only; items of one epoch are
    all different voxels.

    The images are copied once, and patches of a batch are cut out of them in one step, whatever
    their number. Give the loader the dataset's :meth:`collate`: a batch comes ready. Where the
    volumes are on a GPU, so are the patches, and the loader must have no processes of its own.

    Args:
        subjects: dictionaries with ``image`` (channel, x, y, z) and ``label`` (1, x, y, z), class
            indices, as a ``CacheDataset`` of a preset has them. Sizes may differ. Read once.
        patch_size: voxels along x and y; the label is that of index ``patch_size // 2``.
        lesion_fraction: of each subject's lesion voxels, rounded up.
        flip: mirror along y, one time in two.
        fixed: the same patches in every epoch, as for validation.
        seed: of the draws.
        device: that holds the volumes and cuts the patches; ``None`` is the CPU.

    Items are asked for by number, or by (epoch, number), as
    :class:`~monai_transfer.training.EpochSampler` does; an array of numbers gives a batch. A number
    alone is of the epoch last given to :meth:`set_epoch`, at first 0.

    Raises:
        InputError: a fraction outside (0, 1]; no lesion in any subject; a subject, which is named,
            whose shapes do not fit, or with too little brain to draw from.

    Source:
        Ghafoorian 2017, section 2.2: 32×32 patches, 25 %, flips along y. Drawing anew in each
        epoch, the one-in-two chance, and y as the axis from back to front are ours: not stated in
        the paper.

    Example:
        >>> image, label = torch.rand(2, 40, 40, 3) + 1, torch.zeros(1, 40, 40, 3)
        >>> label[0, 20, 20:28] = 1  # 24 voxels
        >>> dataset = PatchDataset([{"image": image, "label": label, "subject": "sub-01"}])
        >>> loader = torch.utils.data.DataLoader(dataset, 4, collate_fn=dataset.collate)
        >>> for batch in loader:
        ...     print(tuple(batch["image"].shape), batch["label"].tolist())
        (4, 2, 32, 32) [1, 1, 1, 1]
        (4, 2, 32, 32) [1, 1, 0, 0]
        (4, 2, 32, 32) [0, 0, 0, 0]
    """

    def __init__(
        self,
        subjects: Sequence[Mapping[str, Any]] | Dataset[Any],
        *,
        patch_size: int = 32,
        lesion_fraction: float = 0.25,
        flip: bool = True,
        fixed: bool = False,
        seed: int = 0,
        device: torch.device | str | None = None,
    ) -> None:
        if not 0 < lesion_fraction <= 1:
            rule = "be above 0 and at most 1"
            raise InputError("PatchDataset", "lesion_fraction", rule, got=lesion_fraction)
        self.patch_size, self.lesion_fraction, self.flip = patch_size, lesion_fraction, flip
        self.fixed, self.seed, self.epoch, self._count = fixed, seed, 0, 0
        self.device = torch.device("cpu" if device is None else device)
        self.names: list[str] = []
        self._candidates: list[Candidates] = []
        images: list[torch.Tensor] = []
        for index in range(len(subjects)):  # type: ignore[arg-type]
            data: Mapping[Any, Any] = subjects[index]
            self.names.append(subject_of(data, "image"))
            with blamed_on(self.names[-1]):
                image, label = checked(data["image"], data["label"], patch_size=patch_size)
                if images and len(image) != len(images[0]):
                    rule = f"be {len(images[0])}, as in {self.names[0]}"
                    raise InputError("subject", "number of channels", rule, got=len(image))
                found = find_candidates(label, (image != 0).any(0).cpu().numpy())
                self._count += 2 * lesion_count(found, lesion_fraction)
            self._candidates.append(found)
            images.append(image)
        if self._count == 0:
            got = f"none in {len(images)} subjects"
            raise InputError("PatchDataset", "labels", "hold a lesion voxel", got=got)
        self._volumes = pad_volumes(images, margin=patch_size // 2, device=self.device)
        self._drawn_epoch: int | None = None
        self._drawn = np.empty((6, 0), np.int32)

    def __len__(self) -> int:
        return self._count

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the numbers are of that come without one."""
        self.epoch = epoch

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """One patch: ``image`` (channel, x, y), ``label``, int64, and ``subject``, its name."""
        epoch, item = index if isinstance(index, tuple) else (self.epoch, index)
        chosen = self._draws(epoch)[:, np.atleast_1d(item)]
        batch = self._batch(chosen)
        return batch if np.ndim(item) else {key: values[0] for key, values in batch.items()}

    def __getitems__(self, indices: Sequence[Any]) -> dict[str, Any]:
        """One ready batch: ``image`` (patch, channel, x, y), ``label`` (patch,), ``subject``."""
        pairs = [index if isinstance(index, tuple) else (self.epoch, index) for index in indices]
        epochs, items = np.array(pairs).T
        chosen = np.empty((6, len(items)), np.int32)
        for epoch in np.unique(epochs):
            of_it = epochs == epoch
            chosen[:, of_it] = self._draws(int(epoch))[:, items[of_it]]
        return self._batch(chosen)

    @staticmethod
    def collate(batch: T) -> T:
        """Leave a batch as it is: for the loader, which would stack items."""
        return batch

    def _batch(self, chosen: NDArray[np.int32]) -> dict[str, Any]:
        drawn = torch.from_numpy(chosen).to(self.device).long()
        subject, centre, flipped, label = drawn[0], drawn[1:4], drawn[4].bool(), drawn[5]
        image = gather_patches(
            self._volumes, subject, centre, size=self.patch_size, flipped=flipped
        )
        return {"image": image, "label": label, "subject": [self.names[i] for i in chosen[0]]}

    def _draws(self, epoch: int) -> NDArray[np.int32]:
        """All items of an epoch: subject, x, y, z, whether flipped, class; (6, item)."""
        epoch = 0 if self.fixed else epoch
        if epoch != self._drawn_epoch:
            parts = [self._drawn_of(subject, epoch) for subject in range(len(self.names))]
            self._drawn, self._drawn_epoch = np.concatenate(parts, axis=1), epoch
        return self._drawn

    def _drawn_of(self, subject: int, epoch: int) -> NDArray[np.int32]:
        found, rng = self._candidates[subject], np.random.default_rng([self.seed, epoch, subject])
        centres, classes = draw_centres(found, lesion_fraction=self.lesion_fraction, rng=rng)
        flipped = rng.random(classes.size) < (0.5 if self.flip else 0.0)
        rows = [np.full(classes.size, subject), *centres, flipped, classes]
        return np.stack(rows).astype(np.int32)
