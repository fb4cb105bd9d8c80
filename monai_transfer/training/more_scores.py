"""Scores that a test may be asked for beside its table: by slice, and lesion by lesion.

Both are of label maps on RAS+ axes, where slices along z are axial.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.table import Table

from monai_transfer._terminal import console
from monai_transfer.metrics import (
    CONNECTIVITIES,
    LesionOverlaps,
    SliceCounts,
    detection_curve,
    lesion_overlaps,
    slice_counts,
    slice_summary,
    write_csv,
)
from monai_transfer.training.pictures import detection_curves

_SAID: Final = {
    ("slice", "skip"): "slices, those empty in both left out",
    ("slice", "one"): "slices, those empty in both count as 1",
    ("subject", "skip"): "subjects, what is empty in both left out",
    ("subject", "one"): "subjects, what is empty in both counts as 1",
}


class MoreScores(Protocol):
    """What collects one subject after the other, and tells of all of them at the end."""

    def add(
        self,
        prediction: NDArray[Any],
        truth: NDArray[Any],
        *,
        spacing_mm: Sequence[float],
        subject: str,
    ) -> None:
        """Take a subject's label maps, (x, y, z) on RAS+ axes."""

    def finish(self, output_dir: Path) -> None:
        """Write and print what was found."""


class SliceScores:
    """Dice and IoU by axial slice: ``slice_scores.csv``, and printed.

    Args:
        regions: name → label values.

    Source:
        Zoetmulder 2022, section 4.4; see :mod:`monai_transfer.metrics.slices`.

    Example:
        >>> scores = SliceScores({"lesion": [1]})
        >>> truth, prediction = np.array([[[1, 1, 0]]]), np.array([[[1, 0, 0]]])
        >>> scores.add(prediction, truth, spacing_mm=(1, 1, 1), subject="sub-01")
        >>> scores.frame().query("metric == 'iou' and unit == 'slice'")["mean"].round(2).tolist()
        [0.5, 0.67]
    """

    def __init__(self, regions: Mapping[str, Sequence[int]]) -> None:
        self.regions = {name: tuple(values) for name, values in regions.items()}
        self._counts: list[SliceCounts] = []

    def add(
        self,
        prediction: NDArray[Any],
        truth: NDArray[Any],
        *,
        spacing_mm: Sequence[float],
        subject: str,
    ) -> None:
        """Take a subject's label maps, (x, y, z) on RAS+ axes."""
        del spacing_mm
        self._counts.append(slice_counts(prediction, truth, self.regions, subject=subject))

    def frame(self) -> pd.DataFrame:
        """Means so far, see :func:`~monai_transfer.metrics.slice_summary`."""
        return slice_summary(self._counts)

    def finish(self, output_dir: Path) -> None:
        """Write and print the means."""
        frame = self.frame()
        write_csv(frame, output_dir / "slice_scores.csv")
        regions = f", mean of {len(self.regions)} regions" if len(self.regions) > 1 else ""
        table = Table(title=f"By axial slice and by subject{regions}")
        for heading in ("over", "n", "Dice", "IoU"):
            table.add_column(heading, justify="left" if heading == "over" else "right")
        rows = frame.set_index(["unit", "empty", "metric"])
        for place, said in _SAID.items():
            dice, iou = (rows.loc[(*place, metric)] for metric in ("dice", "iou"))
            means = (
                "n/a" if np.isnan(row["mean"]) else f"{row['mean']:.3f}" for row in (dice, iou)
            )
            table.add_row(said, f"{dice['n']:.0f}", *means)
        console.print(table)


class DetectionScores:
    """Lesion detection over the cut-offs: ``detection.csv`` and ``detection.png``.

    A row for each subject, region, connectivity (8: within a slice; 26: in 3D) and pair of
    cut-offs (overlap above 0 and 20 %; lesions of at least 0, 1 and 2 mL), with the lesions that
    are found, missed and false, see :func:`~monai_transfer.metrics.detection_curve`.

    Args:
        regions: name → label values.

    Source:
        Zoetmulder 2022, section 4.4, has 8-connected lesions and counts no false ones; lesions in
        3D and false lesions are ours.

    Example:
        >>> scores = DetectionScores({"lesion": [1]})
        >>> truth, prediction = np.array([[[1, 1, 0]]]), np.array([[[1, 0, 0]]])
        >>> scores.add(prediction, truth, spacing_mm=(10, 10, 10), subject="sub-01")
        >>> frame = scores.frame().query("volume_cutoff_ml == 0 and overlap_cutoff_fraction == 0")
        >>> frame[["connectivity", "truth_lesions", "detected_lesions"]].to_numpy().tolist()
        [[26, 1, 1], [8, 2, 1]]
    """

    def __init__(self, regions: Mapping[str, Sequence[int]]) -> None:
        self.regions = {name: tuple(values) for name, values in regions.items()}
        self._overlaps: dict[tuple[str, int], dict[str, LesionOverlaps]] = {
            (region, connectivity): {} for region in self.regions for connectivity in CONNECTIVITIES
        }

    def add(
        self,
        prediction: NDArray[Any],
        truth: NDArray[Any],
        *,
        spacing_mm: Sequence[float],
        subject: str,
    ) -> None:
        """Take a subject's label maps, (x, y, z) on RAS+ axes."""
        for (region, connectivity), found in self._overlaps.items():
            masks = (np.isin(labels, self.regions[region]) for labels in (prediction, truth))
            found[subject] = lesion_overlaps(
                *masks, spacing_mm=spacing_mm, connectivity=connectivity, subject=subject
            )

    def frame(self) -> pd.DataFrame:
        """The table so far."""
        frames = []
        for (region, connectivity), subjects in self._overlaps.items():
            frame = detection_curve(subjects)
            frame.insert(1, "region", region)
            frame.insert(2, "connectivity", connectivity)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def finish(self, output_dir: Path) -> None:
        """Write the table and draw its curves."""
        frame = self.frame()
        write_csv(frame, output_dir / "detection.csv")
        detection_curves(frame, output_dir / "detection.png")
