"""Area under the precision–recall or ROC curve over the voxels of a cohort.

Which curve? Kaur 2019 keeps the source network of the best validation AUC, 0.77, and does not say
of which curve. Lesions are about one voxel in a hundred of a brain, and a false positive rate is
counted over the other ninety-nine: the ROC area of any network that has learnt that lesions are
bright is close to 1, and hardly moves from one epoch to the next. Precision is counted over the
voxels that the network marks: the area under precision–recall is the lesion share for a network
that knows nothing and 1 for a perfect one, and what lies between tells epochs apart. It is
therefore the default for choosing the best epoch.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_transfer.errors import InputError, choice

Voxels: TypeAlias = NDArray[Any] | Sequence[NDArray[Any]]

_AREAS: Final[dict[str, Callable[..., float]]] = {
    "precision_recall": average_precision_score,
    "roc": roc_auc_score,
}


def voxel_auc(scores: Voxels, truth: Voxels, *, curve: str = "precision_recall") -> float:
    """Area under a curve over all voxels of all subjects, pooled.

    Args:
        scores: probability of lesion at each brain voxel, any shape; or one array for each
            subject. Select the brain first (``scores[brain]``): the background outside it is easy,
            and flatters the ROC curve.
        truth: the same shape or shapes, true or non-zero at lesion voxels.
        curve: ``precision_recall`` (average precision) or ``roc``.

    Returns:
        The area, in [0, 1]; NaN when all voxels are lesion or none is, as it is then undefined.

    Raises:
        InputError: unknown curve, shapes that differ, or a score that is NaN.

    Source:
        Selection by AUC: Kaur 2019, section 3.3. The choice of curve: ours (see the module). The
        areas are scikit-learn's ``average_precision_score`` and ``roc_auc_score``.

    Example:
        >>> scores, truth = np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0])
        >>> round(voxel_auc(scores, truth), 4), voxel_auc(scores, truth, curve="roc")
        (0.8333, 0.75)
    """
    if curve not in _AREAS:
        raise choice("voxel_auc", "curve", curve, _AREAS)
    pooled, lesion = _pool(scores), _pool(truth).astype(bool)
    if pooled.shape != lesion.shape:
        raise InputError(
            "voxel_auc", "scores and truth", "have as many voxels", got=(pooled.size, lesion.size)
        )
    if np.isnan(pooled).any():
        raise InputError("voxel_auc", "scores", "be numbers", got="NaN", todo="Check the network.")
    if lesion.all() or not lesion.any():
        return math.nan
    level, is_lesion, weight = _tally(pooled[lesion], pooled[~lesion])
    return float(_AREAS[curve](is_lesion, level, sample_weight=weight))


def _pool(voxels: Voxels) -> NDArray[Any]:
    arrays = [voxels] if isinstance(voxels, np.ndarray) else voxels
    return np.concatenate([array.ravel() for array in arrays]) if arrays else np.empty(0)


def _tally(
    lesion: NDArray[Any], background: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.intp]]:
    """Replace voxels by counts, without changing either area.

    Only the order of background against lesion matters. Background voxels that lie between the same
    two lesion scores are interchangeable and become one entry of their number: the i-th lesion
    score has rank 2i + 1, the gap below it rank 2i. What scikit-learn sorts is then as long as the
    lesions, not as the brains.

    Returns:
        Rank, whether it is lesion, and voxel count of each entry.
    """
    levels, at_level = np.unique(lesion, return_counts=True)
    ordered = np.sort(background)
    below = np.searchsorted(ordered, levels, side="left")  # background scores < level i
    up_to = np.searchsorted(ordered, levels, side="right")  # background scores <= level i
    in_gap = np.append(below, ordered.size) - np.insert(up_to, 0, 0)
    odd, even = 2 * np.arange(levels.size) + 1, 2 * np.arange(levels.size + 1)
    rank = np.concatenate([odd, odd, even])
    weight = np.concatenate([at_level, up_to - below, in_gap])
    is_lesion = np.arange(rank.size) < levels.size
    return rank, is_lesion, weight
