"""What frozen first layers give, computed once: tuning the last layers costs what they cost."""

import tempfile
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Protocol

import ignite.distributed as idist
import numpy as np
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from monai_transfer._terminal import progress_bar
from monai_transfer.training.inference import AutocastInferer
from monai_transfer.transforms import PatchDataset


class SplitNetwork(Protocol):
    """A network that is one chain of layers.

    ``split(i)`` gives its first i layers and the rest, as :meth:`PatchCNN.split
    <monai_transfer.networks.PatchCNN.split>` does.
    """

    def split(self, layers: int) -> tuple[nn.Sequential, nn.Sequential]:
        """The first layers and the rest."""


class KeptPrefix(Dataset[dict[str, Any]]):
    """Patches as what the network's frozen first layers make of them.

    Kept where that cannot change: the patches are the same in every epoch, and the network's first
    layers are frozen. Otherwise, and in a distributed run, patches are passed on as they are. What
    is kept is computed in batches of the loader's size, so that the training is the same to the
    last bit on a CPU.

    Args:
        patches: the data set.
        network: to be trained, frozen already; one that is no :class:`SplitNetwork` keeps nothing.
        batch_size: of the loader.
        amp: bfloat16 where the hardware has it, here and in the rest of the network.
        keep: ``False`` passes the patches on.
        limit_mb: beyond it activations are kept in a temporary file.

    Attributes:
        layers: how many of the network's layers are computed already.

    Source:
        Ours; the paper freezes the first layers and computes them in every step.
    """

    def __init__(
        self,
        patches: PatchDataset,
        network: Any,
        *,
        batch_size: int,
        amp: bool = True,
        keep: bool = True,
        limit_mb: float = 2048,
    ) -> None:
        self.patches, self.amp = patches, amp
        self.collate: Callable[[Any], Any] = patches.collate
        can = keep and patches.fixed and idist.get_world_size() == 1
        self.layers = frozen_layers(network) if can else 0
        self._labels = torch.empty(0)
        self._kept: NDArray[np.float32] = np.empty((0,), np.float32)
        if self.layers:
            first = network.split(self.layers)[0]
            self._compute(first, batch_size=batch_size, limit_mb=limit_mb)

    @property
    def inferer(self) -> Inferer:
        """What takes a batch of this data set through the network."""
        if not self.layers:
            return AutocastInferer(amp=self.amp)
        return RestInferer(self.layers, amp=self.amp)

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: Any) -> dict[str, Any]:
        """A patch or its activations, ``image``, and ``label``; of (epoch, numbers) a batch."""
        if not self.layers:
            return self.patches[index]
        items = index[1] if isinstance(index, tuple) else index  # the same in every epoch
        image = torch.from_numpy(np.array(self._kept[items])).to(self.patches.device)
        return {"image": image, "label": self._labels[items]}

    def _compute(self, first: nn.Sequential, *, batch_size: int, limit_mb: float) -> None:
        count = len(self.patches)
        labels, through = [], AutocastInferer(amp=self.amp)
        with progress_bar() as bar, torch.no_grad():
            task = bar.add_task(f"computing the first {self.layers} layers once", total=count)
            for start in range(0, count, batch_size):
                items = np.arange(start, start + batch_size) % count  # the last batch is whole too
                batch = self.patches[items]
                images = batch["image"].to(next(first.parameters()).device)
                found = through(images, first).cpu().numpy()
                if start == 0:
                    self._kept = self._room((count, *found.shape[1:]), limit_mb)
                end = min(start + batch_size, count)
                self._kept[start:end] = found[: end - start]
                labels.append(batch["label"][: end - start])
                bar.update(task, completed=end)
        self._labels = torch.cat(labels)

    def _room(self, shape: tuple[int, ...], limit_mb: float) -> NDArray[np.float32]:
        if 4 * np.prod(shape) <= limit_mb * 2**20:
            return np.empty(shape, np.float32)
        with tempfile.TemporaryFile() as file:  # without a name: nothing stays, however a run ends
            return np.memmap(file, np.float32, mode="w+", shape=shape)


class RestInferer(AutocastInferer):
    """Takes what a network's first layers gave through the rest of it.

    Args:
        layers: how many are computed already.
        amp: bfloat16 where the hardware has it.
    """

    def __init__(self, layers: int, *, amp: bool = True) -> None:
        super().__init__(amp=amp)
        self.layers = layers

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The network's output, float32."""
        return super().__call__(inputs, network.split(self.layers)[1], *args, **kwargs)


def frozen_layers(network: Any) -> int:
    """How many of a network's first layers are frozen, one after the other.

    Args:
        network: 0 unless it is a :class:`SplitNetwork`.
    """
    if not hasattr(network, "split"):
        return 0
    layers = [layer for layer in network.split(0)[1] if next(layer.parameters(), None) is not None]
    return len(list(takewhile(_is_frozen, layers)))


def _is_frozen(layer: nn.Module) -> bool:
    leaves = (module for module in layer.modules() if not list(module.children()))
    return all(getattr(leaf, "is_frozen", False) for leaf in leaves)
