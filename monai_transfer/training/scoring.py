"""Scores and pictures of an evaluation, on the subjects' original grids."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from ignite.engine import Engine
from numpy.typing import NDArray

from monai_transfer._metaimage import load_image
from monai_transfer._terminal import console
from monai_transfer.errors import InputError
from monai_transfer.metrics import (
    DEFAULT_METRICS,
    best_median_worst,
    format_summary,
    metrics_frame,
    named_metrics,
    score_regions,
    voxel_auc,
    write_csv,
)
from monai_transfer.training.handlers import follow
from monai_transfer.training.more_scores import DetectionScores, MoreScores, SliceScores
from monai_transfer.training.pictures import PicturedSubject, overlay, overlay_strip
from monai_transfer.training.segmentation import read_label, spacing_of
from monai_transfer.transforms import class_indices
from monai_transfer.transforms.labels import Values
from monai_transfer.transforms.naming import blamed_on


class ScoreSubjects:
    """Score every subject of an evaluator; write ``metrics.csv`` and overlays; print the means.

    The outputs must hold ``pred`` as a label map on the original grid (see
    :func:`~monai_transfer.training.segmentation.to_original_grid`), the data ``subject``. Where
    they hold ``probabilities`` too, each region's area under the ROC curve over the brain's voxels
    (any image not 0) is added as ``auc``.

    Args:
        entries: of the datalist, with absolute paths; truth and pictures are read from them.
        regions: name → label values.
        output_dir: where ``metrics.csv`` and the pictures go.
        labels: label value (text where it is a JSON key) → name, for the pictures' legend.
        classes: label value in the files of each label value from 0 on, or several of one, as
            :func:`~monai_transfer.transforms.class_indices` takes them; ``None``: they are alike.
        modalities: names of each entry's images, in order.
        picture_modality: the one shown; ``None`` shows the last.
        metrics: those of :data:`~monai_transfer.metrics.METRICS` wanted, Dice among them: it orders
            the pictures.
        slices: score axial slices too, see
            :class:`~monai_transfer.training.more_scores.SliceScores`.
        detection: tell lesions apart too, see
            :class:`~monai_transfer.training.more_scores.DetectionScores`.

    Raises:
        InputError: unknown picture modality or metric, or no Dice.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        regions: Mapping[str, Sequence[int]],
        *,
        output_dir: str | Path,
        labels: Mapping[int, str] | Mapping[str, str],
        modalities: Sequence[str],
        classes: Sequence[Values] | None = None,
        picture_modality: str | None = None,
        metrics: Sequence[str] = DEFAULT_METRICS,
        slices: bool = False,
        detection: bool = False,
    ) -> None:
        self.entries = {entry["subject"]: entry for entry in entries}
        self.regions = {name: tuple(values) for name, values in regions.items()}
        self.output_dir = Path(output_dir)
        self.labels = {int(value): name for value, name in labels.items() if int(value)}
        self.classes = classes
        self.modalities = list(modalities)
        self.picture_modality = picture_modality or self.modalities[-1]
        if self.picture_modality not in self.modalities:
            rule = f"be one of {', '.join(self.modalities)}"
            raise InputError("options", "picture modality", rule, got=picture_modality)
        self.metrics = named_metrics(metrics, where="ScoreSubjects")
        if "dice" not in self.metrics:
            got = ", ".join(self.metrics)
            raise InputError("ScoreSubjects", "metrics", "include dice", got=got)
        self._slices, self._detection = slices, detection
        self.frame = pd.DataFrame()

    def attach(self, engine: Engine) -> None:
        """Score after every batch; write and print at the end."""
        follow(engine, self._start, each=self._score, finish=self._finish)

    def _start(self, engine: Engine) -> None:
        del engine
        self._scores: dict[str, dict[tuple[str, str], float]] = {}
        self._predictions: dict[str, bytes] = {}
        self._more: list[MoreScores] = [
            *([SliceScores(self.regions)] if self._slices else []),
            *([DetectionScores(self.regions)] if self._detection else []),
        ]

    def _score(self, engine: Engine) -> None:
        state: Any = engine.state  # decollated by MONAI's evaluator: one dictionary per subject
        for batch, output in zip(state.batch, state.output, strict=True):
            subject = batch["subject"]
            truth, spacing_mm = self._truth(subject)
            predicted = torch.as_tensor(output["pred"])[0].cpu().numpy()
            self._scores[subject] = score_regions(
                predicted,
                truth,
                self.regions,
                spacing_mm=spacing_mm,
                metrics=self.metrics,
                subject=subject,
            )
            if "probabilities" in output:
                self._scores[subject] |= self._areas(output["probabilities"], truth, subject)
            self._add_more(predicted, truth, subject)
            # kept for the pictures: a hundredth of the 9 MB that a BraTS subject takes
            self._predictions[subject] = zlib.compress(predicted.astype(np.uint8).tobytes(), 1)

    def _truth(self, subject: str) -> tuple[NDArray[Any], tuple[float, float, float]]:
        """The subject's label, on its own grid, and its voxel size in mm."""
        truth, spacing_mm = read_label(self.entries[subject]["label"])
        if self.classes is not None:
            with blamed_on(f"{subject}: label"):
                truth = class_indices(truth, self.classes)
        return truth, spacing_mm

    def _add_more(self, predicted: NDArray[Any], truth: NDArray[Any], subject: str) -> None:
        if not self._more:
            return
        affine = load_image(self.entries[subject]["label"]).affine
        kind = np.int32  # NIfTI has no 64-bit whole numbers by default
        upright = [nib.Nifti1Image(labels.astype(kind), affine) for labels in (predicted, truth)]
        spacing_mm = spacing_of(nib.as_closest_canonical(upright[0]))
        for scores in self._more:
            scores.add(*map(_ras, upright), spacing_mm=spacing_mm, subject=subject)

    def _areas(
        self, probabilities: Any, truth: NDArray[Any], subject: str
    ) -> dict[tuple[str, str], float]:
        by_value = torch.as_tensor(probabilities).cpu().numpy()
        entry = self.entries[subject]
        paths = [entry["image"]] if isinstance(entry["image"], str) else entry["image"]
        voxels = (np.asanyarray(load_image(path).dataobj) for path in paths)
        brain = np.any([v.reshape(*truth.shape, -1).any(-1) for v in voxels], axis=0)
        areas = {}
        for region, values in self.regions.items():
            inside = by_value[list(values)].sum(0)[brain], np.isin(truth[brain], values)
            areas[region, "auc"] = voxel_auc(*inside, curve="roc")
        return areas

    def _finish(self, engine: Engine) -> None:
        del engine
        groups = {name: str(self.entries[name].get("group", "")) for name in self._scores}
        self.frame = metrics_frame(self._scores, groups=groups)
        write_csv(self.frame, self.output_dir / "metrics.csv")
        self._draw()
        console.print(format_summary(self.frame, title="Test"))
        for scores in self._more:
            scores.finish(self.output_dir)

    def _draw(self) -> None:
        chosen = best_median_worst(self.frame)
        pictured = {role: self._pictured(subject) for role, subject in chosen.items()}
        folder = self.output_dir / "overlays"
        for role, subject in pictured.items():
            overlay(subject, folder / f"{role}.png", labels=self.labels)
        if pictured:
            overlay_strip(pictured, self.output_dir / "overlays.png", labels=self.labels)

    def _pictured(self, subject: str) -> PicturedSubject:
        entry = self.entries[subject]
        image = self._modality(entry)
        truth = nib.Nifti1Image(self._truth(subject)[0], load_image(entry["label"]).affine)
        labels = np.frombuffer(zlib.decompress(self._predictions[subject]), np.uint8)
        prediction = nib.Nifti1Image(labels.reshape(image.shape), image.affine)
        rows = self.frame[self.frame["subject"] == subject]
        return PicturedSubject(
            subject,
            {self.picture_modality: _ras(image)},
            truth=_ras(truth),
            prediction=_ras(prediction),
            dice=dict(zip(rows["region"], rows["dice"], strict=True)),
            spacing_mm=spacing_of(nib.as_closest_canonical(image)),
        )

    def _modality(self, entry: Mapping[str, Any]) -> Any:
        """The 3D image that is pictured: a file of its own, or a channel of a 4D file."""
        index = self.modalities.index(self.picture_modality)
        if isinstance(entry["image"], str):
            stacked = load_image(entry["image"])
            return stacked.slicer[..., index] if stacked.ndim == 4 else stacked
        return load_image(entry["image"][index])


def _ras(image: Any) -> NDArray[Any]:
    """Voxels reordered to the closest RAS+ axes."""
    closest: Any = nib.as_closest_canonical(image)
    return np.asanyarray(closest.dataobj)
