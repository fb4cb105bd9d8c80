"""The named regions of a label map, and their scores.

A region is a set of label values: of BraTS's labels, the tumour core is 1 and 4. Regions are scored
inside the bounding box of all labels, outside which nothing can change a score. What a score is
when a region is empty, :mod:`monai_transfer.metrics.masks` defines.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeAlias, overload

import numpy as np
import torch
from numpy.typing import NDArray

from monai_transfer.errors import InputError, choice
from monai_transfer.metrics.grids import check_shapes, check_spacing
from monai_transfer.metrics.masks import DEFAULT_METRICS, score_masks

Regions: TypeAlias = Mapping[str, Collection[int]]
Labels: TypeAlias = "NDArray[Any] | torch.Tensor"
Scores: TypeAlias = dict[tuple[str, str], float]

REGIONS: Final[Mapping[str, Mapping[str, tuple[int, ...]]]] = MappingProxyType(
    {
        "brats": MappingProxyType({"enhancing": (4,), "core": (1, 4), "whole": (1, 2, 4)}),
        "ms": MappingProxyType({"lesion": (1,)}),
    }
)
"""Regions by data set: name → label values. K19 section 3.1 (BraTS 2018), Lesjak 2017 (MS)."""


def named_regions(regions: str | Regions) -> dict[str, tuple[int, ...]]:
    """Check regions given by data set name or spelt out, as a bundle's JSON does.

    Args:
        regions: a key of :data:`REGIONS`, or region name → label values.

    Returns:
        Region name → label values, in the order given.

    Raises:
        InputError: unknown name, no region, or values that are not whole numbers above 0.

    Example:
        >>> named_regions("ms")
        {'lesion': (1,)}
        >>> named_regions({"core": [1, 4]})
        {'core': (1, 4)}
    """
    if isinstance(regions, str):
        if regions not in REGIONS:
            raise choice("regions", "name", regions, REGIONS)
        return dict(REGIONS[regions])
    if not regions:
        raise InputError("regions", "mapping", "name at least one region", got=regions)
    for name, values in regions.items():
        if not values or not all(type(value) is int and value > 0 for value in values):
            rule = "list label values that are whole numbers above 0"
            raise InputError("regions", repr(name), rule, got=values)
    return {name: tuple(values) for name, values in regions.items()}


@overload
def region_masks(labels: torch.Tensor, regions: str | Regions) -> torch.Tensor: ...
@overload
def region_masks(labels: NDArray[Any], regions: str | Regions) -> NDArray[np.bool_]: ...
def region_masks(labels: Labels, regions: str | Regions) -> Labels:
    """Masks of the regions of a label map.

    Args:
        labels: label map, shape (x, y, z); the masks are of the same library and device.
        regions: as in :func:`named_regions`.

    Returns:
        Boolean masks, shape (R, x, y, z), in the order of the regions.

    Example:
        >>> region_masks(np.array([[[0, 1, 2, 4]]]), "brats").astype(int)[:, 0, 0]
        array([[0, 0, 0, 1],
               [0, 1, 0, 1],
               [0, 1, 1, 1]])
    """
    values = named_regions(regions).values()
    if isinstance(labels, torch.Tensor):
        return torch.stack([torch.isin(labels, labels.new_tensor(v)) for v in values])
    return np.stack([np.isin(labels, v) for v in values])


def score_regions(
    prediction: Labels,
    truth: Labels,
    regions: str | Regions,
    *,
    spacing_mm: Sequence[float],
    metrics: Collection[str] = DEFAULT_METRICS,
    subject: str = "score_regions",
) -> Scores:
    """Score every region of one subject's predicted label map against the truth.

    Args:
        prediction: predicted label map, shape (x, y, z); an array or a tensor on any device.
        truth: label map of the same grid.
        regions: as in :func:`named_regions`.
        spacing_mm: voxel size along x, y and z.
        metrics: those of :data:`~monai_transfer.metrics.masks.METRICS` wanted.
        subject: whom error messages name.

    Returns:
        (region, metric) → score. Fractions are in [0, 1]; NaN is undefined.

    Raises:
        InputError: other shapes than (x, y, z), different grids, a label in no region, a spacing
            that is not three numbers above 0, an unknown metric.

    Source:
        Regions and Dice: Kaur 2019, section 3. The other metrics and the empty cases: ours.

    Example:
        >>> truth, prediction = np.zeros((2, 4, 4, 4), int)
        >>> truth[1, 1, 1:3] = 1
        >>> prediction[1, 1, 2:4] = 1
        >>> scores = score_regions(prediction, truth, "ms", spacing_mm=(1.0, 1.0, 2.0))
        >>> round(scores["lesion", "dice"], 3), round(scores["lesion", "hd95_mm"], 3)
        (0.5, 1.9)
    """
    values = named_regions(regions)
    arrays = _array(prediction), _array(truth)
    check_shapes(arrays[0].shape, arrays[1].shape, subject)
    check_spacing(spacing_mm, subject)
    box = _union_box(*arrays)
    crops = arrays[0][box], arrays[1][box]
    for what, crop in zip(("prediction", "truth"), crops, strict=True):
        check_labels(crop, values, f"{subject}: {what}")
    masks = [torch.from_numpy(region_masks(crop, values)) for crop in crops]
    diagonal_mm = math.dist(
        (0, 0, 0), [n * mm for n, mm in zip(arrays[0].shape, spacing_mm, strict=True)]
    )
    return {
        (region, metric): score
        for region, *pair in zip(values, *masks, strict=True)
        for metric, score in score_masks(
            *pair, spacing_mm=spacing_mm, diagonal_mm=diagonal_mm, metrics=metrics
        ).items()
    }


def _array(labels: Labels) -> NDArray[Any]:
    """The labels in main memory: finding the box takes numpy 3 ms where torch takes 50."""
    if isinstance(labels, torch.Tensor):
        return np.asarray(labels.detach().cpu())
    return np.asarray(labels)


def _union_box(prediction: NDArray[Any], truth: NDArray[Any]) -> tuple[slice, slice, slice]:
    """Bounding box of all labels, one voxel wider; empty where there are none."""
    occupied = (prediction != 0) | (truth != 0)
    columns = occupied.any(axis=2)
    x, y, z = (_span(line) for line in (columns.any(1), columns.any(0), occupied.any((0, 1))))
    return x, y, z


def _span(line: NDArray[np.bool_]) -> slice:
    """From one before the first to one after the last true element."""
    hits = np.flatnonzero(line)
    return slice(max(int(hits[0]) - 1, 0), int(hits[-1]) + 2) if hits.size else slice(0, 0)


def check_labels(labels: NDArray[Any], regions: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Refuse a label that is in no region; the error names `where` and the label."""
    declared = sorted({0}.union(*regions.values()))
    known = np.isin(labels, declared)
    if not known.all():
        strange = np.unique(labels[~known])[:5].tolist()
        raise InputError(
            where,
            "labels",
            f"be one of {', '.join(map(str, declared))}",
            got=", ".join(map(str, strange)),
            todo="Map these values to 0 or to a region's, or name them in a region.",
        )
