"""Kaur 2019's loss: cross entropy with class weights that decay towards 1."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from monai_transfer._terminal import console
from monai_transfer.errors import InputError
from monai_transfer.training.segmentation import read_label

_DOWN = 2.0
"""A class weight that has come down: at most two voxels of another class count as much as one."""


class DecayingWeightCrossEntropy(nn.Module):
    """Weighted cross entropy; at epoch e the weight of a class is ``1 + (w − 1)·decay^e``.

    Attach it to the trainer as a handler, and it follows the trainer's epochs; when these are too
    few, it says so at the start.

    Args:
        class_weights: w of each class at epoch 0, see :func:`class_weights`.
        decay: factor per epoch, in (0, 1]; 1 never decays.

    Raises:
        InputError: a weight below 0, or a decay out of its range.

    Source:
        Kaur 2019, section 3.2: 'the class weights are scheduled to decay with a decay rate lower
        than 1 … the weight for each class converges to 1'. The rate and the exponential form are
        not stated in the paper; ours.

    Example:
        >>> loss = DecayingWeightCrossEntropy([1.0, 101.0], decay=0.5)
        >>> loss.weights(epoch=1).tolist()
        [1.0, 51.0]
    """

    initial: Tensor

    def __init__(self, class_weights: Sequence[float], decay: float) -> None:
        super().__init__()
        if not 0 < decay <= 1:
            raise InputError("loss", "decay", "lie in (0, 1]", got=decay)
        if min(class_weights) < 0:
            raise InputError("loss", "class weights", "be at least 0", got=list(class_weights))
        self.register_buffer("initial", torch.tensor(list(class_weights), dtype=torch.float32))
        self.decay = decay
        self.epoch = 0

    def weights(self, epoch: int) -> Tensor:
        """Class weights, shape (classes,), at an epoch counted from 0."""
        return 1 + (self.initial - 1) * self.decay**epoch

    def warning(self, epochs: int) -> str | None:
        """What to say of a training that ends before its weights come down; ``None``: they do.

        Args:
            epochs: how many it has.

        Example:
            >>> DecayingWeightCrossEntropy([1.0, 101.0], decay=0.5).warning(epochs=2)
            'Class weights come down to 51.0 only, not to 1: far too much will be marked. Train for
            8 epochs or more, or lower --class_weight_decay.'
        """
        reached = float(self.weights(epochs - 1).max())
        if reached <= _DOWN:
            return None
        said = (
            f"Class weights come down to {reached:.1f} only, not to 1: far too much will be marked."
        )
        if self.decay == 1:
            return f"{said} Lower --class_weight_decay."
        excess = (float(self.initial.max()) - 1) / (_DOWN - 1)
        enough = 1 + math.ceil(math.log(excess) / -math.log(self.decay))
        return f"{said} Train for {enough} epochs or more, or lower --class_weight_decay."

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Mean loss over the voxels, normalised by the sum of their weights.

        Args:
            logits: (B, classes, X, Y, Z).
            label: class index of each voxel, (B, 1, X, Y, Z), any dtype.
        """
        weights = self.weights(self.epoch).to(logits.device)
        target = label.as_subclass(Tensor).squeeze(1).long()
        return nn.functional.cross_entropy(logits.as_subclass(Tensor).float(), target, weights)

    def attach(self, engine: Engine) -> None:
        """Follow the epochs of a trainer."""
        if idist.get_rank() == 0:
            engine.add_event_handler(Events.STARTED, self._warn)
        engine.add_event_handler(Events.EPOCH_STARTED, self._follow)

    def _warn(self, engine: Engine) -> None:
        warning = self.warning(engine.state.max_epochs or 1)
        if warning is not None:
            console.print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)

    def _follow(self, engine: Engine) -> None:
        self.epoch = engine.state.epoch - 1


def loss_of(engine: Engine) -> float:
    """Loss of a trainer's last step."""
    output: Any = engine.state.output
    first = output[0] if isinstance(output, list) else output
    return float(first["loss"].detach())


def class_weights(entries: Sequence[Mapping[str, Any]], label_values: Sequence[int]) -> list[float]:
    """Total voxels over a class's voxels, in the training labels.

    Args:
        entries: training entries with the path of a ``label`` file.
        label_values: label value of each class index.

    Returns:
        One weight per class index; 1 for a class that no entry holds.

    Raises:
        InputError: a label that holds another value.

    Source:
        Kaur 2019, section 3.2. The weight of an absent class is ours: it never enters the loss.
    """
    index = {int(value): i for i, value in enumerate(label_values)}
    counts = np.zeros(len(index))
    for entry in entries:
        for value, count in _tally(entry["label"]).items():
            if value not in index:
                rule = f"be one of {', '.join(map(str, index))}"
                raise InputError(entry["label"], "label values", rule, got=value)
            counts[index[value]] += count
    total = counts.sum()
    return [float(total / count) if count else 1.0 for count in counts]


def _tally(path: str) -> dict[int, int]:
    """Number of voxels of each value in a label file."""
    label, _ = read_label(path)
    labelled = label[label != 0]  # few: sorting all voxels takes half a second
    values, found = np.unique(labelled, return_counts=True)
    background = {0: label.size - labelled.size} if labelled.size < label.size else {}
    return background | dict(zip(values.tolist(), found.tolist(), strict=True))
