"""What chooses the epoch whose weights are kept."""

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from monai_transfer.metrics import best_threshold, score_regions, voxel_auc


def label_map(logits: Tensor, label_values: Sequence[int]) -> Tensor:
    """Label value of the most probable class of each voxel.

    Args:
        logits: (classes, x, y, z).
        label_values: label value of each class index.

    Returns:
        (x, y, z), uint8; of equally probable classes the first.

    Example:
        >>> label_map(torch.tensor([[[[0.0]]], [[[1.0]]]]), [0, 4]).item()
        4
    """
    values = torch.tensor(list(label_values), dtype=torch.uint8, device=logits.device)
    index = torch.as_tensor(logits).max(dim=0).indices  # six times as fast as argmax on a CPU
    return values[index]


class RegionDice(Metric):
    """Mean over regions of the mean Dice over subjects: a third of Kaur 2019's 'best sum'.

    Attach it to an evaluator whose outputs hold logits ``pred`` and class indices ``label``.
    Undefined scores (a region empty in truth and prediction) are left out of a region's mean; a
    region without any score is left out of the mean over regions.

    Args:
        regions: name → label values.
        label_values: label value of each class index of the network.

    Source:
        Kaur 2019, section 3.4.

    Example:
        >>> metric = RegionDice({"core": [1, 4], "whole": [1, 2, 4]}, label_values=[0, 1, 2, 4])
        >>> label = torch.tensor([[[[0, 1, 2, 3]]]])  # class indices: one voxel of each value
        >>> predicted = torch.tensor([[[0, 1, 0, 0]]])
        >>> logits = torch.nn.functional.one_hot(predicted, 4).movedim(-1, 0).float()
        >>> metric.update([{"pred": logits, "label": label}])
        >>> {name: round(dice, 3) for name, dice in metric.by_region().items()}
        {'core': 0.667, 'whole': 0.5}
        >>> round(metric.compute(), 3)
        0.583
    """

    score = "dice"
    """Which of :data:`~monai_transfer.metrics.METRICS` it is."""

    def __init__(self, regions: Mapping[str, Sequence[int]], label_values: Sequence[int]) -> None:
        self.regions = {name: tuple(values) for name, values in regions.items()}
        self.label_values = [int(value) for value in label_values]
        super().__init__()

    def reset(self) -> None:
        """Forget all subjects."""
        self._scores: list[list[float]] = []

    def update(self, output: Sequence[Mapping[str, Tensor]]) -> None:
        """Add the subjects of one batch."""
        lookup = torch.tensor(self.label_values, dtype=torch.uint8)
        for logits, label in map(itemgetter("pred", "label"), output):
            truth = lookup[torch.as_tensor(label)[0].long().cpu()]
            predicted = label_map(logits, self.label_values).cpu()
            scores = score_regions(
                predicted, truth, self.regions, spacing_mm=(1.0,) * 3, metrics=(self.score,)
            )
            self._scores.append([scores[region, self.score] for region in self.regions])

    def by_region(self) -> dict[str, float]:
        """Mean score of each region; NaN where no subject has one."""
        columns = np.array(self._scores).reshape(-1, len(self.regions)).T
        return {
            region: float(np.nanmean(column)) if np.isfinite(column).any() else math.nan
            for region, column in zip(self.regions, columns, strict=True)
        }

    def completed(self, engine: Engine, name: str) -> None:
        """Show the regions' own means beside the mean over them."""
        super().completed(engine, name)
        by_region = self.by_region()
        engine.state.metrics.update({f"{self.score}_{r}": v for r, v in by_region.items()})

    def compute(self) -> float:
        """The mean over regions; 0 when no score is defined."""
        defined = [score for score in self.by_region().values() if math.isfinite(score)]
        return float(np.mean(defined)) if defined else 0.0


class RegionIoU(RegionDice):
    """Mean IoU in the place of :class:`RegionDice`'s Dice: for many classes, each a region.

    Args:
        regions: name → label values.
        label_values: label value of each class index of the network.

    Source:
        Zoetmulder 2022, section 4.4, scores its anatomy by mean IoU; that it chooses the epoch,
        and is of whole subjects here, is ours.

    Example:
        >>> metric = RegionIoU({"grey": [2], "white": [3]}, label_values=[0, 2, 3])
        >>> logits = torch.eye(3)[:, None, None]  # predicted: one voxel of each class
        >>> metric.update([{"pred": logits, "label": torch.tensor([[[[2, 1, 2]]]])}])
        >>> metric.compute()  # of grey 1 of 1, of white 1 of 2
        0.75
    """

    score = "iou"


class LesionAUC(Metric):
    """Area under a curve of the lesion probability over the brain's voxels.

    Attach it to an evaluator whose outputs hold ``image``, logits ``pred`` and class indices
    ``label``; the brain is where the image is not 0.

    Args:
        curve: see :func:`~monai_transfer.metrics.voxel_auc`.

    Raises:
        InputError: unknown curve.

    Source:
        Kaur 2019, section 3.3; see :mod:`monai_transfer.metrics.curves` for the choice of curve.

    Example:
        >>> metric = LesionAUC("roc")
        >>> logits = torch.tensor([[[[0.0, 0.0, 0.0]]], [[[-1.0, 2.0, 1.0]]]])
        >>> label = torch.tensor([[[[0, 0, 1]]]])
        >>> metric.update([{"image": torch.ones(1, 1, 1, 3), "pred": logits, "label": label}])
        >>> metric.compute()  # of the pairs lesion > background, one of two
        0.5
    """

    def __init__(self, curve: str = "precision_recall") -> None:
        voxel_auc([], [], curve=curve)  # refuses an unknown one now, not after the first epoch
        self.curve = curve
        super().__init__()

    def reset(self) -> None:
        """Forget all subjects."""
        self._probabilities: list[Any] = []
        self._truths: list[Any] = []

    def completed(self, engine: Engine, name: str) -> None:
        """Show the threshold of the best Dice, and that Dice, beside the area."""
        super().completed(engine, name)
        threshold, dice = best_threshold(self._probabilities, self._truths)
        engine.state.metrics.update(threshold=threshold, dice_at_threshold=dice)

    def update(self, output: Sequence[Mapping[str, Tensor]]) -> None:
        """Add the subjects of one batch."""
        for image, logits, label in map(itemgetter("image", "pred", "label"), output):
            brain = (torch.as_tensor(image) != 0).any(dim=0).cpu().numpy()
            classes = torch.as_tensor(logits).float().softmax(dim=0)
            lesion = classes[1:].sum(dim=0).cpu().numpy()  # 1 − background would round to ties
            self._probabilities.append(lesion[brain])
            self._truths.append(torch.as_tensor(label)[0].cpu().numpy()[brain] > 0)

    def compute(self) -> float:
        """The area, over all subjects; 0 when it is undefined, as without any lesion."""
        area = voxel_auc(self._probabilities, self._truths, curve=self.curve)
        return area if math.isfinite(area) else 0.0
