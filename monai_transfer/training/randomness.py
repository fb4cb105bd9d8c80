"""Randomness that depends on what is drawn, never on when or by which process.

A patch is drawn from the seed, the epoch and the subject's number. So neither the number of loader
processes, nor an interruption, nor what was cached before changes it.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import ignite.distributed as idist
import numpy as np
import torch
from monai.data import CacheDataset
from monai.transforms import Compose
from numpy.typing import NDArray
from torch.utils.data import DistributedSampler

from monai_transfer._threads import one_thread


class Draw(NamedTuple):
    """One subject in one epoch: what a :class:`EpochSampler` asks a dataset for."""

    epoch: int
    item: int


class EpochSampler(DistributedSampler[Any]):
    """Every subject once in each epoch, in an order that the seed and the epoch decide.

    MONAI's trainer tells it the epoch, as it does any ``DistributedSampler``. Each process of a
    distributed run is given its share.

    Args:
        dataset: a :class:`SeededCacheDataset`.
        seed: of the order.

    Example:
        >>> sampler = EpochSampler(range(3), seed=0)
        >>> sampler.set_epoch(2)
        >>> sorted(sampler)
        [Draw(epoch=2, item=0), Draw(epoch=2, item=1), Draw(epoch=2, item=2)]
    """

    def __init__(self, dataset: Any, seed: int = 0) -> None:
        super().__init__(
            dataset, num_replicas=idist.get_world_size(), rank=idist.get_rank(), seed=seed
        )
        self._done = 0

    def skip(self, done: int) -> None:
        """Leave out the first draws of the next epoch: an interrupted one had done them."""
        self._done = done

    def __iter__(self) -> Iterator[Any]:
        """The draws of the epoch."""
        draws = self._draws()
        done, self._done = self._done, 0
        return iter(draws[done:])

    def _draws(self) -> list[Any]:
        return [Draw(self.epoch, index) for index in self._order()]

    def _order(self) -> list[int]:
        return list(super().__iter__())


class Draws(NamedTuple):
    """A batch of one epoch: what :class:`EpochBatches` asks a dataset for."""

    epoch: int
    items: NDArray[np.int64]


class EpochBatches(EpochSampler):
    """The order of an :class:`EpochSampler`, a batch at a time.

    A single item that is left over joins the batch before it: batch norm cannot train on one.

    For a dataset that makes a batch in one step, as
    :class:`~monai_transfer.transforms.PatchDataset`: a million items are then not a million Python
    objects. Give it to a loader as its ``sampler``, with ``batch_size=None``; to the loader, a
    batch is one item.

    Args:
        dataset: takes (epoch, array of item numbers) as an index and returns a batch.
        batch_size: items per batch; the last one may have fewer, or one more.
        seed: of the order.

    Example:
        >>> sampler = EpochBatches(range(7), batch_size=3)
        >>> sampler.set_epoch(2)
        >>> [(batch.epoch, len(batch.items)) for batch in sampler]
        [(2, 3), (2, 4)]
    """

    def __init__(self, dataset: Any, batch_size: int, seed: int = 0) -> None:
        super().__init__(dataset, seed)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return len(self._starts())

    def _draws(self) -> list[Any]:
        items = np.array(self._order(), np.int64)
        return [Draws(self.epoch, batch) for batch in np.split(items, self._starts()[1:])]

    def _starts(self) -> list[int]:
        starts = [*range(0, self.num_samples, self.batch_size)]
        alone = self.batch_size > 1 and len(starts) > 1 and self.num_samples - starts[-1] == 1
        return starts[:-1] if alone else starts


class SeededCacheDataset(CacheDataset):
    """MONAI's ``CacheDataset`` whose random transforms are seeded anew for each draw.

    Args:
        data: entries.
        transform: its steps before the first random one are done once and kept.
        seed: with the epoch and the index it decides what is drawn.
        num_workers: threads that fill the cache.
        progress: show a bar meanwhile.
    """

    def __init__(
        self,
        data: Sequence[Any],
        transform: Compose,
        *,
        seed: int = 0,
        num_workers: int = 1,
        progress: bool = True,
    ) -> None:
        self.seed = seed
        super().__init__(data, transform, num_workers=num_workers, progress=progress)

    def __getitem__(self, index: Any) -> Any:
        """The item of a :class:`Draw`; of a plain index, as any dataset."""
        if not isinstance(index, Draw):
            return super().__getitem__(index)
        state = np.random.SeedSequence([self.seed, *index]).generate_state(1)
        self.transform.set_random_state(seed=int(state[0]))
        with one_thread():  # as in a loader process
            return super().__getitem__(index.item)


def random_states() -> dict[str, Any]:
    """States of the global generators of Python, NumPy and torch; plain values and tensors."""
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002 - MONAI's generator is this one
    return {
        "python": random.getstate(),
        "numpy": (kind, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Set the global generators to what :func:`random_states` returned."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
