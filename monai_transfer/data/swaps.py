"""Images that look like another modality of the cohort than the one they are listed as."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monai_transfer.data.measured import QUANTILES, Channel

FEWEST_SUBJECTS = 12
"""Fewer do not tell what a modality looks like."""

_MIDDLE = QUANTILES.index(0.5)
_FLOOR = 0.01  # spread of a feature that is the same in all subjects
_FAR = 4.0  # spreads away from its own modality
_NEAR = 2.0  # and from the other's


def histogram_shape(channel: Channel) -> tuple[float, ...] | None:
    """How the values of an image are distributed, whatever their scale and offset.

    Args:
        channel: the image.

    Returns:
        Its quantiles, less the median, in units of the middle nine tenths; ``None`` if it has none.
    """
    if not channel.quantiles:
        return None
    at = np.array(channel.quantiles)
    width = at[-2] - at[1]
    if width <= 0:
        return None
    shape = (np.delete(at, _MIDDLE) - at[_MIDDLE]) / width
    return tuple(shape.tolist())


def swapped_modalities(
    shapes: Mapping[str, Sequence[tuple[float, ...]]],
) -> Iterator[tuple[str, int, int]]:
    """Subjects of which two images would fit better the other way round.

    Both must be far from their own modality, as the cohort shows it by medians, and near the
    other's: images that are merely unusual, of another scanner or of a child, are not named.

    Args:
        shapes: subject → :func:`histogram_shape` of each modality, in the same order.

    Yields:
        Subject, and the indices of its two images.

    Source:
        Ours.
    """
    if len(shapes) < FEWEST_SUBJECTS:
        return
    cohort = np.array([*shapes.values()])  # subjects, modalities, features
    centre = np.median(cohort, axis=0)
    spread = 1.4826 * np.median(np.abs(cohort - centre), axis=0) + _FLOOR
    for subject, mine in zip(shapes, cohort, strict=True):
        for one, other in itertools.combinations(range(len(mine)), 2):
            kept = [_away(mine[i], centre[i], spread[i]) for i in (one, other)]
            turned = [
                _away(mine[i], centre[j], spread[j]) for i, j in ((one, other), (other, one))
            ]
            if min(kept) > _FAR and max(turned) < _NEAR:
                yield subject, one, other


def _away(
    shape: NDArray[np.float64], centre: NDArray[np.float64], spread: NDArray[np.float64]
) -> float:
    return float(np.sqrt(np.mean(((shape - centre) / spread) ** 2)))
