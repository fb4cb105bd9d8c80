"""Lesion by lesion: which are found, which are false, and how that moves with the cut-offs.

Beside what is connected (see :mod:`monai_transfer.metrics.lesions`), three choices make a count:

- which lesions are counted: those of at least the volume cut-off, in truth and prediction alike.
  It never changes what overlaps: a true lesion below it is not to be found, and a predicted lesion
  on it is not false;
- how much overlap is enough: more than the overlap cut-off; at 0 any shared voxel is;
- what may overlap with what. ``many_to_one``: the overlap of a lesion is the share of its own
  voxels that the other mask covers, by however many lesions, for true and predicted lesions alike.
  A predicted lesion that bridges two true ones finds both. ``one_to_one``: the overlap is the
  intersection over union of a pair, and a lesion is in one pair at most; of all such pairings the
  one with the largest sum of overlaps is taken. The bridge finds one of the two at most.

Both rules treat the masks alike: swapped, recall and precision are swapped. Scores where there is
no lesion are in the table of :mod:`monai_transfer.metrics.masks`.

Source:
    Zoetmulder 2022, section 4.4: 8-connected true lesions, own overlapped share above 0 or 20 %,
    lesions of at least 0, 1 or 2 mL; it counts no false lesions. Any overlap, 26-connected lesions
    and no volume cut-off are the lesion recall and F1 of the WMH Challenge (Kuijf 2019,
    doi:10.1109/TMI.2019.2905770). The least volume that is counted by default, 3 mm³, is that of
    Anima, which scored the MSSEG challenge (Commowick 2018, doi:10.1038/s41598-018-31911-7); its
    rule of overlap is another. Pairing by the sum of overlaps: ours.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from monai_transfer.errors import InputError, choice
from monai_transfer.metrics.lesions import LesionOverlaps

VOLUME_CUTOFF_ML: Final = 0.003
"""Lesions below it are not counted unless asked for. A third of the components of expert masks of
multiple sclerosis are below 0.010 mL: whether they are counted decides the score."""

Found: TypeAlias = tuple[NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True)
class LesionDetection:
    """How many lesions are found and how many are false, under one set of rules.

    Attributes:
        truth_lesions: true lesions that are counted.
        detected_lesions: those of them that are found.
        prediction_lesions: predicted lesions that are counted.
        false_positive_lesions: those of them that are on no true lesion.
    """

    truth_lesions: int
    detected_lesions: int
    prediction_lesions: int
    false_positive_lesions: int

    @property
    def recall(self) -> float:
        """Share of the true lesions that are found; NaN where there is none."""
        return self.detected_lesions / self.truth_lesions if self.truth_lesions else math.nan

    @property
    def precision(self) -> float:
        """Share of the predicted lesions that are true; NaN where there is none."""
        true = self.prediction_lesions - self.false_positive_lesions
        return true / self.prediction_lesions if self.prediction_lesions else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision; 0 where either is, else NaN where either is."""
        if 0 in (self.recall, self.precision):
            return 0.0
        return 2 * self.recall * self.precision / (self.recall + self.precision)


def detect_lesions(
    overlaps: LesionOverlaps,
    *,
    overlap_cutoff_fraction: float = 0.0,
    volume_cutoff_ml: float = VOLUME_CUTOFF_ML,
    matching: str = "many_to_one",
) -> LesionDetection:
    """Count the lesions that are found and those that are false.

    Args:
        overlaps: of a subject.
        overlap_cutoff_fraction: a lesion is found, or true, when its overlap is larger; in [0, 1).
        volume_cutoff_ml: smaller lesions are not counted; 0 counts all.
        matching: a key of :data:`MATCHINGS`; the module says what overlap is in each.

    Returns:
        The counts, with recall, precision and F1.

    Raises:
        InputError: unknown matching, or a cut-off out of range.

    Example:
        >>> from monai_transfer.metrics import lesion_overlaps
        >>> truth, prediction = np.array([[[1, 1, 0, 1]]]), np.array([[[0, 1, 1, 1]]])
        >>> overlaps = lesion_overlaps(prediction, truth, spacing_mm=(1.0, 1.0, 1.0))
        >>> detect_lesions(overlaps, volume_cutoff_ml=0).recall  # bridged, both are found
        1.0
        >>> detect_lesions(overlaps, volume_cutoff_ml=0, matching="one_to_one").recall
        0.5
    """
    if matching not in MATCHINGS:
        raise choice("detect_lesions", "matching", matching, MATCHINGS)
    if not 0 <= overlap_cutoff_fraction < 1:
        rule, got = "be at least 0 and below 1", overlap_cutoff_fraction
        raise InputError("detect_lesions", "overlap_cutoff_fraction", rule, got=got)
    if not 0 <= volume_cutoff_ml < math.inf:
        rule, got = "be a finite number, at least 0", volume_cutoff_ml
        raise InputError("detect_lesions", "volume_cutoff_ml", rule, got=got)
    found, true = MATCHINGS[matching](overlaps, overlap_cutoff_fraction)
    least_ml = volume_cutoff_ml * (1 - 1e-6)  # a spacing from a file is rounded to 32 bits
    counted, counted_predictions = (
        voxels * overlaps.voxel_ml >= least_ml
        for voxels in (overlaps.truth_voxels, overlaps.prediction_voxels)
    )
    return LesionDetection(
        truth_lesions=int(counted.sum()),
        detected_lesions=int((counted & found).sum()),
        prediction_lesions=int(counted_predictions.sum()),
        false_positive_lesions=int((counted_predictions & ~true).sum()),
    )


def _by_own_share(overlaps: LesionOverlaps, cutoff: float) -> Found:
    covered = (
        np.bincount(index, weights=overlaps.shared_voxels, minlength=voxels.size) / voxels
        for index, voxels in zip(
            overlaps.pairs, (overlaps.truth_voxels, overlaps.prediction_voxels), strict=True
        )
    )
    found, true = (share > cutoff for share in covered)
    return found, true


def _by_pairs(overlaps: LesionOverlaps, cutoff: float) -> Found:
    """Each lesion in one pair at most, the sum of IoU the largest: an assignment problem.

    It is sparse: a true lesion may go to the predicted ones it overlaps, at 2 − IoU, or stay alone,
    at 2, which is a column of its own.
    """
    found, true = (
        np.zeros(v.size, bool) for v in (overlaps.truth_voxels, overlaps.prediction_voxels)
    )
    if not found.size:
        return found, true
    row, column = overlaps.pairs
    union = overlaps.truth_voxels[row] + overlaps.prediction_voxels[column] - overlaps.shared_voxels
    iou = overlaps.shared_voxels / union
    close, alone = iou > cutoff, np.arange(found.size)
    rows = np.concatenate([row[close], alone])
    columns = np.concatenate([column[close], true.size + alone])
    costs = np.concatenate([2 - iou[close], np.full(found.size, 2.0)])
    matched, partner = min_weight_full_bipartite_matching(csr_array((costs, (rows, columns))))
    paired = partner < true.size
    found[matched[paired]] = true[partner[paired]] = True
    return found, true


MATCHINGS: Final = {"many_to_one": _by_own_share, "one_to_one": _by_pairs}
"""What may overlap with what, see the module."""


def detection_curve(
    subjects: Mapping[str, LesionOverlaps],
    *,
    overlap_cutoff_fractions: Sequence[float] = (0.0, 0.2),
    volume_cutoffs_ml: Sequence[float] = (0.0, 1.0, 2.0),
    matching: str = "many_to_one",
) -> pd.DataFrame:
    """Detection at every pair of cut-offs, the figure of Zoetmulder 2022.

    Args:
        subjects: name → what :func:`lesion_overlaps` returns.
        overlap_cutoff_fractions: see :func:`detect_lesions`.
        volume_cutoffs_ml: likewise.
        matching: likewise.

    Returns:
        One row for each subject and pair of cut-offs: ``subject``, ``overlap_cutoff_fraction``,
        ``volume_cutoff_ml``, the counts of :class:`LesionDetection`, ``recall``, ``precision`` and
        ``f1``. Counts add up over subjects: the ratio of sums is over all lesions of a cohort, the
        mean of ratios over its subjects.

    Raises:
        InputError: as :func:`detect_lesions`.

    Source:
        Zoetmulder 2022, figures 3 and 4; whether their accuracy is over lesions or over subjects is
        not stated.

    Example:
        >>> from monai_transfer.metrics import lesion_overlaps
        >>> truth, prediction = np.array([[[1, 1, 0, 1]]]), np.array([[[1, 0, 0, 0]]])
        >>> overlaps = lesion_overlaps(prediction, truth, spacing_mm=(10.0, 10.0, 10.0))
        >>> curve = detection_curve({"a": overlaps, "b": overlaps})
        >>> counts = curve.groupby(["overlap_cutoff_fraction", "volume_cutoff_ml"])
        >>> counts[["detected_lesions", "truth_lesions"]].sum()
                                                  detected_lesions  truth_lesions
        overlap_cutoff_fraction volume_cutoff_ml
        0.0                     0.0                              2              4
                                1.0                              2              4
                                2.0                              2              2
        0.2                     0.0                              2              4
                                1.0                              2              4
                                2.0                              2              2
    """
    rows = []
    for subject, overlaps in subjects.items():
        for fraction in overlap_cutoff_fractions:
            for volume_ml in volume_cutoffs_ml:
                detection = detect_lesions(
                    overlaps,
                    overlap_cutoff_fraction=fraction,
                    volume_cutoff_ml=volume_ml,
                    matching=matching,
                )
                rows.append(
                    {"subject": subject}
                    | {"overlap_cutoff_fraction": fraction, "volume_cutoff_ml": volume_ml}
                    | asdict(detection)
                    | {n: getattr(detection, n) for n in ("recall", "precision", "f1")}
                )
    return pd.DataFrame(rows)
