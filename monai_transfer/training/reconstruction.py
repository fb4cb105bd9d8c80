"""What chooses an auto-encoder's epoch, and how it is scored: by what it restores."""

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from monai_transfer._terminal import console
from monai_transfer.metrics import (
    best_median_worst,
    format_summary,
    metrics_frame,
    score_reconstruction,
    write_csv,
)
from monai_transfer.training.handlers import follow
from monai_transfer.training.pictures import RestoredSubject, restored_strip

BRAIN = "brain"
"""The one region that reconstructions are scored in."""


class ReconstructionSSIM(Metric):
    """Mean over subjects of the structural similarity of reconstruction and image, in the brain.

    Attach it to an evaluator whose outputs hold ``image`` and its reconstruction ``pred``; see
    :func:`~monai_transfer.metrics.score_reconstruction`.

    Source:
        Ours. Zoetmulder 2022 does not say what chose its epochs. The L1 norm that is trained
        forgives blur, which the adversarial loss is there against; structural similarity does not.

    Example:
        >>> metric = ReconstructionSSIM()
        >>> image = torch.rand(1, 16, 16, 2)
        >>> metric.update([{"image": image, "pred": image}])
        >>> metric.compute()
        1.0
    """

    def reset(self) -> None:
        """Forget all subjects."""
        self._scores: list[dict[str, float]] = []

    def update(self, output: Sequence[Mapping[str, Tensor]]) -> None:
        """Add the subjects of one batch."""
        pairs = map(itemgetter("pred", "image"), output)
        self._scores += [score_reconstruction(restored, image) for restored, image in pairs]

    def completed(self, engine: Engine, name: str) -> None:
        """Show the mean absolute difference beside it."""
        super().completed(engine, name)
        engine.state.metrics["l1"] = self._mean("l1")

    def compute(self) -> float:
        """The mean; 0 when no subject has a brain."""
        mean = self._mean("ssim")
        return mean if math.isfinite(mean) else 0.0

    def _mean(self, metric: str) -> float:
        defined = [scores[metric] for scores in self._scores if not math.isnan(scores[metric])]
        return float(np.mean(defined)) if defined else math.nan


class ScoreReconstructions:
    """Score every subject of an evaluator; write ``metrics.csv`` and pictures; print the means.

    The outputs must hold ``image`` and its reconstruction ``pred`` (channels, x, y, z), the data
    ``subject``. Both are on the grid that the network works on.

    ``reconstructions.png`` shows the best, the median and the worst subject by structural
    similarity: original, reconstruction and difference.

    Args:
        entries: of the datalist; their ``group`` goes into the table.
        output_dir: where everything goes.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], *, output_dir: str | Path) -> None:
        self.groups = {entry["subject"]: str(entry.get("group", "")) for entry in entries}
        self.output_dir = Path(output_dir)
        self.frame = pd.DataFrame()

    def attach(self, engine: Engine) -> None:
        """Score after every batch; write and print at the end."""
        follow(engine, self._start, each=self._score, finish=self._finish)

    def _start(self, engine: Engine) -> None:
        del engine
        self._scores: dict[str, dict[tuple[str, str], float]] = {}
        self._slices: dict[str, RestoredSubject] = {}

    def _score(self, engine: Engine) -> None:
        state: Any = engine.state  # decollated by MONAI's evaluator: one dictionary per subject
        for batch, output in zip(state.batch, state.output, strict=True):
            subject = batch["subject"]
            image, restored = (torch.as_tensor(output[key]) for key in ("image", "pred"))
            scores = score_reconstruction(restored, image)
            self._scores[subject] = {(BRAIN, name): score for name, score in scores.items()}
            self._slices[subject] = RestoredSubject.of(
                f"{subject}   SSIM {scores['ssim']:.3f}", image, restored
            )

    def _finish(self, engine: Engine) -> None:
        del engine
        groups = {subject: self.groups[subject] for subject in self._scores}
        self.frame = metrics_frame(self._scores, groups=groups)
        write_csv(self.frame, self.output_dir / "metrics.csv")
        chosen = best_median_worst(self.frame, metric="ssim")
        if chosen:
            pictured = {role: self._slices[subject] for role, subject in chosen.items()}
            restored_strip(pictured, self.output_dir / "reconstructions.png")
        console.print(format_summary(self.frame, title="Test"))
