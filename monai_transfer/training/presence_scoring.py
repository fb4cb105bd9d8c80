"""Scores and pictures of a classifier of slices: which structures it finds in which slices."""

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from ignite.engine import Engine
from monai.config import KeysCollection
from monai.transforms import MapTransform
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from monai_transfer._files import written_aside
from monai_transfer._terminal import console
from monai_transfer.metrics import best_median_worst, format_summary, metrics_frame, write_csv
from monai_transfer.training.handlers import follow
from monai_transfer.training.pictures import presence_map
from monai_transfer.training.presence import area, presence_of
from monai_transfer.transforms import slices_with_image

_PRESENT = 0.5
"""Probability above which a structure counts as found."""


def score_presence(
    truth: NDArray[np.bool_], probability: NDArray[np.floating[Any]]
) -> dict[str, float]:
    """How well the presence of one structure is told over the slices of a subject.

    Args:
        truth: whether it is there, (slices,).
        probability: that it is there, (slices,); found above 0.5.

    Returns:
        ``auc`` (ROC), ``f1``, ``precision`` and ``sensitivity``; NaN is undefined: the area where
        it is in all slices or in none, sensitivity where in none, precision where it is found in
        none, F1 where both.

    Source:
        scikit-learn's ``roc_auc_score`` and ``precision_recall_fscore_support``. Ours: the paper
        does not score its classifier.

    Example:
        >>> score_presence(np.array([True, True, False]), np.array([0.9, 0.4, 0.1]))
        {'auc': 1.0, 'f1': 0.6666666666666666, 'precision': 1.0, 'sensitivity': 0.5}
    """
    precision, sensitivity, f1, _ = precision_recall_fscore_support(
        truth, probability > _PRESENT, average=None, labels=[True], zero_division=math.nan
    )
    return {
        "auc": area(truth, probability),
        "f1": float(f1[0]),
        "precision": float(precision[0]),
        "sensitivity": float(sensitivity[0]),
    }


class ScorePresence:
    """Score every subject of an evaluator; write tables and pictures; print the means.

    ``metrics.csv`` has a row for each subject and structure (its ``region``), see
    :func:`score_presence`; ``presence.csv`` a row for each slice of a subject and structure;
    ``presence/`` a picture of the best, the median and the worst subject by F1. The outputs must
    be as :func:`~monai_transfer.training.presence.presence_of` takes them, the data ``subject``.
    Slices are those of the grid the network works on, counted from the bottom of its volume.

    Args:
        entries: of the datalist.
        structures: label value (text where it is a JSON key) → name, in the order of the network's
            outputs.
        output_dir: where everything goes.
    """

    def __init__(
        self,
        entries: Sequence[Mapping[str, Any]],
        structures: Mapping[int, str] | Mapping[str, str],
        *,
        output_dir: str | Path,
    ) -> None:
        self.entries = {entry["subject"]: entry for entry in entries}
        self.structures = {int(value): name for value, name in structures.items() if int(value)}
        self.output_dir = Path(output_dir)
        self.frame = pd.DataFrame()

    def attach(self, engine: Engine) -> None:
        """Score after every batch; write and print at the end."""
        follow(engine, self._start, each=self._score, finish=self._finish)

    def _start(self, engine: Engine) -> None:
        del engine
        self._found: dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = {}

    def _score(self, engine: Engine) -> None:
        state: Any = engine.state  # decollated by MONAI's evaluator: one dictionary per subject
        for batch, output in zip(state.batch, state.output, strict=True):
            self._found[batch["subject"]] = presence_of(output, list(self.structures))

    def _finish(self, engine: Engine) -> None:
        del engine
        scores = {
            subject: {
                (name, metric): score
                for name, *columns in zip(
                    self.structures.values(), truth.T, probability.T, strict=True
                )
                for metric, score in score_presence(*columns).items()
            }
            for subject, (_, truth, probability) in self._found.items()
        }
        groups = {name: str(self.entries[name].get("group", "")) for name in scores}
        self.frame = metrics_frame(scores, groups=groups)
        write_csv(self.frame, self.output_dir / "metrics.csv")
        with written_aside(self.output_dir / "presence.csv") as aside:
            presence_frame(self._found, self.structures.values()).to_csv(aside, index=False)
        names = list(self.structures.values())
        for role, subject in best_median_worst(self.frame, metric="f1").items():
            z, truth, probability = self._found[subject]
            path = self.output_dir / "presence" / f"{role}.png"
            presence_map(truth, probability, path, z=z, names=names, title=subject)
        console.print(format_summary(self.frame, title="Test"))


class SavePresenced(MapTransform):
    """Write what is present in each slice as ``<subject>.csv``.

    Columns ``slice`` (counted from the bottom of the prepared volume), ``z_mm`` (its centre in the
    world), then the probability of each structure; slices without an image have no row.

    Args:
        keys: of the probabilities (structures, z), beside ``image`` (c, x, y, z) and ``subject``.
        structures: label value (text where it is a JSON key) → name, in the order of the network's
            outputs.
        output_dir: folder, made when the first file is written.

    Attributes:
        written: names of the files so far.
    """

    def __init__(
        self,
        keys: KeysCollection,
        structures: Mapping[int, str] | Mapping[str, str],
        *,
        output_dir: str | Path,
    ) -> None:
        super().__init__(keys)
        self.names = [name for value, name in structures.items() if int(value)]
        self.output_dir = Path(output_dir)
        self.written: list[str] = []

    def __call__(self, data: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """Write the file; the data pass through unchanged."""
        for key in self.key_iterator(dict(data)):
            image, found = data["image"], torch.as_tensor(data[key]).cpu().numpy()
            z = slices_with_image(image).nonzero().flatten().cpu().numpy()
            affine = image.affine.cpu().numpy()
            frame = pd.DataFrame(found[:, z].T, columns=self.names)
            frame.insert(0, "slice", z)
            frame.insert(1, "z_mm", affine[2, 2] * z + affine[2, 3])
            self.written.append(f"{data['subject']}.csv")
            with written_aside(self.output_dir / self.written[-1]) as aside:
                frame.to_csv(aside, index=False, lineterminator="\n")
        return data


def presence_frame(
    found: Mapping[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]], names: Any
) -> pd.DataFrame:
    """Truth and probability as a table.

    Args:
        found: subject → what :func:`~monai_transfer.training.presence.presence_of` returns.
        names: of the structures.

    Returns:
        One row for each subject, slice and structure: ``subject``, ``slice``, ``structure``,
        ``present`` (0 or 1), ``probability``.

    Example:
        >>> one = np.array([4]), np.array([[True]]), np.array([[0.75]])
        >>> presence_frame({"sub-01": one}, ["brain"]).to_dict("records")
        [{'subject': 'sub-01', 'slice': 4, 'structure': 'brain', 'present': 1, 'probability': 0.75}]
    """
    names = list(names)
    frames = [
        pd.DataFrame(
            {
                "subject": subject,
                "slice": np.repeat(z, len(names)),
                "structure": names * len(z),
                "present": truth.ravel().astype(int),
                "probability": probability.ravel(),
            }
        )
        for subject, (z, truth, probability) in found.items()
    ]
    return pd.concat(frames, ignore_index=True)
