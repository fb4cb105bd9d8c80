"""Zoetmulder's slices as a dataset: views of volumes that are cached once."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from monai.transforms import Compose
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from monai_transfer._threads import one_thread
from monai_transfer.errors import InputError
from monai_transfer.transforms.naming import blamed_on, subject_of
from monai_transfer.transforms.randomisation import randomise_domain
from monai_transfer.transforms.slices import slice_presence, slices_with_image

T = TypeVar("T")

_LEFT_RIGHT = 2
"""Axis of x in a batch (slice, channel, x, y)."""

_Slices: TypeAlias = dict[str, Tensor]
"""``image`` (z, channel, x, y), and ``label`` likewise, or what is present (z, values)."""


class SliceDataset(Dataset[dict[str, Any]]):
    """All axial slices of prepared volumes, with their label map or with what is present in them.

    Slices whose image is 0 in every voxel are left out: padding, and what is above and below an
    extracted brain. Those that a preset drops are not there at all. A subject's slices are those
    of its volume, so that a split by subject is a split of slices.

    Nothing is copied, unless domains are randomised: the dataset holds views of the volumes it is
    given, and a batch is stacked from them in one step. They are copied fastest where slices are
    contiguous in memory, see :class:`~monai_transfer.transforms.ContiguousSlicesd`. What an item is
    depends on the seed, the epoch and its number only. Give the loader the dataset's
    :meth:`collate`: a batch comes ready.

    Args:
        subjects: dictionaries with ``image`` (channel, x, y, z) and ``label`` (1, x, y, z), class
            indices, as a ``CacheDataset`` of a preset has them; slices of one size, any number of
            them. Read once.
        seed: of the flips.
        flip: mirror left and right, one time in two, image and label together. Not for labels that
            tell left from right.
        presence_values: ``label`` then says which of these class indices occur in the slice;
            ``None``: it is the slice of the label map.
        labelled: ``False`` for an auto-encoder: labels are not looked at, and batches have none.
        domain_randomisation: strength of :func:`~monai_transfer.transforms.randomise_domain`, by
            which each subject of each epoch is another scanner's and in another pose, all of its
            slices alike; 0 leaves it out. Images must lie in [0, 1] then, their background at 0.
            Which slices there are stays; one may come empty that the pose has moved off the brain.

    Items are asked for by number, or by (epoch, number), as
    :class:`~monai_transfer.training.EpochBatches` does; an array of numbers gives a batch. A number
    alone is of the epoch last given to :meth:`set_epoch`, at first 0.

    Raises:
        InputError: no subject, or none with a slice that is not empty; a subject, which is named,
            whose shapes do not fit; a strength not in [0, 2].

    Source:
        Zoetmulder 2022, sections 3.2 and 4.1: networks are trained on axial slices. Leaving out
        empty ones is ours, and so are flips and other scanners: the paper names no augmentation.

    Example:
        >>> image, label = torch.rand(1, 32, 32, 5), torch.zeros(1, 32, 32, 5)
        >>> image[..., 4] = 0  # padding
        >>> label[0, 8:12, 8:12, 2] = 1
        >>> dataset = SliceDataset([{"image": image, "label": label}], presence_values=[1])
        >>> loader = torch.utils.data.DataLoader(dataset, 3, collate_fn=dataset.collate)
        >>> for batch in loader:
        ...     print(tuple(batch["image"].shape), batch["label"].tolist())
        (3, 1, 32, 32) [[0.0], [0.0], [1.0]]
        (1, 1, 32, 32) [[0.0]]
    """

    def __init__(
        self,
        subjects: Sequence[Mapping[str, Any]] | Dataset[Any],
        *,
        seed: int = 0,
        flip: bool = False,
        presence_values: Sequence[int] | None = None,
        labelled: bool = True,
        domain_randomisation: float = 0.0,
    ) -> None:
        self.seed, self.flip, self.epoch = seed, flip, 0
        self.presence_values = None if presence_values is None else list(presence_values)
        self.names: list[str] = []
        self._volumes: list[_Slices] = []  # labels as maps
        self._plain: list[_Slices] = []
        self._scanner = randomise_domain(domain_randomisation) if domain_randomisation else None
        self._drawn: dict[int, tuple[int, _Slices]] = {}  # subject → epoch, slices
        places: list[NDArray[np.int32]] = [np.empty((2, 0), np.int32)]
        for number in range(len(subjects)):  # type: ignore[arg-type]
            data: Mapping[Any, Any] = subjects[number]
            self.names.append(subject_of(data, "image"))
            with blamed_on(self.names[-1]):
                found = self._add(data["image"], data["label"] if labelled else None)
            places.append(np.stack([np.full_like(found, number), found]))
        self._places = np.concatenate(places, axis=1)  # subject and z of each item
        if not len(self):
            got = f"none in {len(self.names)} subjects"
            raise InputError("SliceDataset", "images", "hold a slice that is not empty", got=got)
        self._flips_epoch: int | None = None
        self._flips: NDArray[np.bool_] = np.zeros(len(self), bool)

    def __len__(self) -> int:
        return int(self._places.shape[1])

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the numbers are of that come without one."""
        self.epoch = epoch

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """One slice: ``image`` (channel, x, y), ``label`` (1, x, y) or (values,), ``subject``."""
        epoch, item = index if isinstance(index, tuple) else (self.epoch, index)
        items = np.atleast_1d(item)
        batch = self._batch(items, [epoch] * len(items))
        return batch if np.ndim(item) else {key: values[0] for key, values in batch.items()}

    def __getitems__(self, indices: Sequence[Any]) -> dict[str, Any]:
        """One ready batch: ``image`` (slice, channel, x, y), ``label``, ``subject``."""
        pairs = [index if isinstance(index, tuple) else (self.epoch, index) for index in indices]
        epochs, items = zip(*pairs, strict=True)
        return self._batch(np.array(items), epochs)

    @staticmethod
    def collate(batch: T) -> T:
        """Leave a batch as it is: for the loader, which would stack items."""
        return batch

    def _add(self, image: Any, label: Any) -> NDArray[np.int32]:
        """Take the views of a subject; z of the slices that hold something."""
        image = convert_to_tensor(image, track_meta=False)
        if image.ndim != 4:
            rule, got = "be (channel, x, y, z)", tuple(image.shape)
            raise InputError("subject", "image shape", rule, got=got)
        volume = {"image": image.movedim(-1, 0)}
        size = volume["image"].shape[1:]
        if self._volumes and size != (wanted := self._volumes[0]["image"].shape[1:]):
            rule = f"be {tuple(wanted)}, (channel, x, y) as in {self.names[0]}"
            raise InputError("subject", "shape of a slice", rule, got=tuple(size))
        if label is not None:
            label = convert_to_tensor(label, track_meta=False)
            if label.shape != (shape := (1, *image.shape[1:])):
                rule = f"be {shape}, one channel on the grid of the image"
                raise InputError("subject", "label shape", rule, got=tuple(label.shape))
            volume["label"] = label.movedim(-1, 0)
        self._volumes.append(volume)
        self._plain.append(self._said(volume))
        return slices_with_image(image).nonzero().flatten().cpu().numpy().astype(np.int32)

    def _said(self, volume: _Slices) -> _Slices:
        """What is said of a volume's slices: their label maps, or what is present in them."""
        if self.presence_values is None or "label" not in volume:
            return volume
        present = slice_presence(volume["label"].movedim(0, -1), self.presence_values)
        return {**volume, "label": present}

    def _batch(self, items: NDArray[np.intp], epochs: Sequence[int]) -> dict[str, Any]:
        subject, z = self._places[:, items].tolist()
        seen = [self._slices(s, int(epoch)) for s, epoch in zip(subject, epochs, strict=True)]
        places = list(zip(seen, z, strict=True))
        batch: dict[str, Any] = {
            key: torch.stack([slices[key][k] for slices, k in places]) for key in seen[0]
        }
        flipped = np.array([self._flipped(int(e))[i] for e, i in zip(epochs, items, strict=True)])
        if flipped.any():
            mirrored = torch.from_numpy(flipped).to(batch["image"].device)
            maps = [key for key in batch if key == "image" or self.presence_values is None]
            for key in maps:
                batch[key][mirrored] = batch[key][mirrored].flip(_LEFT_RIGHT)
        return {**batch, "subject": [self.names[s] for s in subject]}

    def _slices(self, subject: int, epoch: int) -> _Slices:
        """A subject's slices as they are in an epoch."""
        if self._scanner is None:
            return self._plain[subject]
        if subject not in self._drawn or self._drawn[subject][0] != epoch:
            self._drawn[subject] = epoch, self._draw(self._scanner, subject, epoch)
        return self._drawn[subject][1]

    def _draw(self, scanner: Compose, subject: int, epoch: int) -> _Slices:
        """Them in another pose, as another scanner sees them."""
        volume = self._volumes[subject]
        state = np.random.SeedSequence([self.seed, epoch, subject]).generate_state(1)
        scanner.set_random_state(seed=int(state[0]))
        with one_thread():  # as in a loader process
            seen: Any = scanner({key: slices.movedim(0, -1) for key, slices in volume.items()})
        drawn = {
            key: convert_to_tensor(seen[key], track_meta=False).to(slices.dtype).movedim(-1, 0)
            for key, slices in volume.items()
        }
        return self._said({key: slices.contiguous() for key, slices in drawn.items()})

    def _flipped(self, epoch: int) -> NDArray[np.bool_]:
        """Whether each item of an epoch is mirrored."""
        if self.flip and epoch != self._flips_epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._flips, self._flips_epoch = rng.random(len(self)) < 0.5, epoch
        return self._flips
