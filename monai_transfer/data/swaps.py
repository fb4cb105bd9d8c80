"""Images that look like another modality of the cohort than the one they are listed as."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monai_transfer.data.glance import seen
from monai_transfer.data.measured import QUANTILES, Channel

FEWEST_SUBJECTS = 12
"""Fewer do not tell what a modality looks like."""

_MIDDLE = QUANTILES.index(0.5)
_FEWEST_PLACES = 32
_CORRELATION_FLOOR, _SHAPE_FLOOR = 0.05, 0.01  # spread of a feature that all subjects share
_CAP = 20.0  # no single feature decides
_UNUSUAL = 6.0
_RATIO = 3.0


class Look(NamedTuple):
    """What tells the images of one subject apart, whatever their scale and offset.

    Args:
        correlations: of the ranks of their values at the same places, by Fisher's z, (K, K).
        shapes: of their histograms: quantiles, less the median, in units of the middle nine
            tenths, (K, 8).
    """

    correlations: NDArray[np.float64]
    shapes: NDArray[np.float64]


def look(channels: Sequence[Channel]) -> Look | None:
    """The look of one subject; ``None`` if one of its images is no picture.

    Args:
        channels: its images on one grid, in the order of the modalities.
    """
    if not all(channel.quantiles and channel.glance for channel in channels):
        return None
    quantiles = np.array([channel.quantiles for channel in channels])
    width = quantiles[:, -2] - quantiles[:, 1]
    ranks = [seen(channel.glance) for channel in channels]
    if len({each.size for each in ranks}) > 1 or not (width > 0).all():
        return None
    together = np.array(ranks, np.float64)
    together = together[:, (together > 0).all(axis=0)]
    if together.shape[1] < _FEWEST_PLACES or not together.std(axis=1).all():
        return None
    shapes = (np.delete(quantiles, _MIDDLE, axis=1) - quantiles[:, [_MIDDLE]]) / width[:, None]
    return Look(np.arctanh(np.corrcoef(together).clip(-0.98, 0.98)), shapes)


def swapped_modalities(looks: Mapping[str, Look]) -> Iterator[tuple[str, int, int]]:
    """Subjects of which two images would fit much better the other way round.

    The subject must be unusual as it is, and three times less so with the two exchanged: images of
    another scanner, or of a child, are unusual either way and not named. The whole cohort listed
    in a wrong order is not noticed: it is itself what a subject is compared with.

    Args:
        looks: subject → look, of the same modalities in the same order.

    Yields:
        Subject, and the indices of its two images.

    Source:
        Ours. On 160 simulated subjects of mixed protocols nobody was named; with two images of one
        exchanged, T2 was told from T1, T1c and FLAIR nearly always, FLAIR from T1 and T1c mostly,
        and T1 from T1c never.
    """
    if len(looks) < FEWEST_SUBJECTS:
        return
    cohort = Look(*map(np.array, zip(*looks.values(), strict=True)))
    centre = Look(*(np.median(part, axis=0) for part in cohort))
    floors = _CORRELATION_FLOOR, _SHAPE_FLOOR
    spread = Look(
        *(
            1.4826 * np.median(np.abs(part - middle), axis=0) + floor
            for part, middle, floor in zip(cohort, centre, floors, strict=True)
        )
    )
    order = np.arange(cohort.shapes.shape[1])
    for subject, mine in looks.items():
        listed = _unusual(mine, centre, spread, order)
        if listed <= _UNUSUAL:
            continue
        exchanged = {}
        for one, other in itertools.combinations(order.tolist(), 2):
            turned = order.copy()
            turned[[one, other]] = other, one
            exchanged[one, other] = _unusual(mine, centre, spread, turned)
        pair = min(exchanged, key=exchanged.__getitem__)
        if listed > _RATIO * exchanged[pair]:
            yield subject, *pair


def _unusual(mine: Look, centre: Look, spread: Look, order: NDArray[np.intp]) -> float:
    """Mean square of the distances from the cohort, its modalities taken in an order."""
    pairs = np.triu_indices(len(order), 1)
    square = np.ix_(order, order)
    apart = (
        ((mine.correlations - centre.correlations[square]) / spread.correlations[square])[pairs],
        (mine.shapes - centre.shapes[order]) / spread.shapes[order],
    )
    return float(sum(np.mean(part.clip(-_CAP, _CAP) ** 2) for part in apart))
