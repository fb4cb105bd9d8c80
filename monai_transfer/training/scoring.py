"""Scores and pictures of an evaluation, on the subjects' original grids."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from ignite.engine import Engine, Events
from numpy.typing import NDArray

from monai_transfer.errors import InputError
from monai_transfer.metrics import best_median_worst, format_summary, metrics_frame, score_regions
from monai_transfer.metrics import write_csv
from monai_transfer.training.handlers import console
from monai_transfer.training.pictures import PicturedSubject, overlay, overlay_strip


class ScoreSubjects:
    """Score every subject of an evaluator; write ``metrics.csv`` and overlays; print the means.

    The outputs must hold ``pred`` as a label map on the original grid (see
    :func:`~monai_transfer.training.segmentation.to_original_grid`), the data ``subject``.

    Args:
        entries: of the datalist, with absolute paths; truth and pictures are read from them.
        regions: name → label values.
        output_dir: where ``metrics.csv`` and the pictures go.
        labels: label value → name, for the pictures' legend.
        modalities: names of each entry's images, in order.
        picture_modality: the one shown; ``None`` shows the last.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        regions: Mapping[str, Sequence[int]],
        *,
        output_dir: str | Path,
        labels: Mapping[int, str],
        modalities: Sequence[str],
        picture_modality: str | None = None,
    ) -> None:
        self.entries = {entry["subject"]: entry for entry in entries}
        self.regions = {name: tuple(values) for name, values in regions.items()}
        self.output_dir = Path(output_dir)
        self.labels = {int(value): name for value, name in labels.items() if int(value)}
        self.modalities = list(modalities)
        self.picture_modality = picture_modality or self.modalities[-1]
        if self.picture_modality not in self.modalities:
            rule = f"be one of {', '.join(self.modalities)}"
            raise InputError("options", "picture modality", rule, got=picture_modality)
        self.frame = pd.DataFrame()

    def attach(self, engine: Engine) -> None:
        """Score after every batch; write and print at the end."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._score)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _start(self, engine: Engine) -> None:
        del engine
        self._scores: dict[str, dict[tuple[str, str], float]] = {}
        self._predictions: dict[str, NDArray[Any]] = {}

    def _score(self, engine: Engine) -> None:
        for batch, output in zip(engine.state.batch, engine.state.output, strict=True):
            subject = batch["subject"]
            truth, spacing_mm = read_label(self.entries[subject]["label"])
            predicted = torch.as_tensor(output["pred"])[0].cpu().numpy()
            self._scores[subject] = score_regions(
                predicted, truth, self.regions, spacing_mm=spacing_mm, subject=subject
            )
            self._predictions[subject] = predicted

    def _finish(self, engine: Engine) -> None:
        del engine
        groups = {name: str(entry.get("group", "")) for name, entry in self.entries.items()}
        self.frame = metrics_frame(
            self._scores, groups={name: groups[name] for name in self._scores}
        )
        write_csv(self.frame, self.output_dir / "metrics.csv")
        self._draw()
        console.print(format_summary(self.frame, title="Test"))

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
        paths = [entry["image"]] if isinstance(entry["image"], str) else list(entry["image"])
        index = self.modalities.index(self.picture_modality)
        like = nib.load(paths[min(index, len(paths) - 1)])  # type: ignore[attr-defined]
        prediction = nib.Nifti1Image(self._predictions[subject], like.affine)  # type: ignore[attr-defined]
        image = _ras(like)
        rows = self.frame[self.frame["subject"] == subject]
        return PicturedSubject(
            subject,
            {self.picture_modality: image[..., index] if image.ndim == 4 else image},
            truth=_ras(nib.load(entry["label"])),  # type: ignore[attr-defined]
            prediction=_ras(prediction),
            dice=dict(zip(rows["region"], rows["dice"], strict=True)),
            spacing_mm=read_label(entry["label"])[1],
        )


def read_label(path: str | Path) -> tuple[NDArray[Any], tuple[float, float, float]]:
    """A label map on its own grid, (x, y, z), and its voxel size in mm along these axes."""
    image = nib.load(path)  # type: ignore[attr-defined]
    x, y, z = (float(size) for size in image.header.get_zooms()[:3])
    return np.asanyarray(image.dataobj).astype(np.int16), (x, y, z)


def _ras(image: Any) -> NDArray[Any]:
    """Voxels reordered to the closest RAS+ axes."""
    closest: NDArray[Any] = np.asanyarray(nib.as_closest_canonical(image).dataobj)  # type: ignore[attr-defined]
    return closest
