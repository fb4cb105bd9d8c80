"""Our own linear registration: mutual information, all samples at every step, several starts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from monai_transfer._types import Affine
from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.head import inside_head
from monai_transfer.imaging.registration.method import check_kind
from monai_transfer.imaging.registration.mutual_information import (
    GRADES,
    MutualInformation,
    Samples,
)
from monai_transfer.imaging.registration.pose import (
    PARAMETERS,
    Centres,
    Numbers,
    pose,
    pose_slopes,
    turns,
)
from monai_transfer.imaging.registration.pyramid import graded, pyramid, reduced, refined
from monai_transfer.imaging.registration.resampling import resample
from monai_transfer.imaging.registration.transform import RAS_TO_LPS, LinearTransform

_SPACINGS_MM = (1.0, 2.0, 4.0, 8.0)
_SAMPLES = (20_000, 60_000, 200_000)
"""At most, from coarse to fine; the search at the coarsest level takes every voxel."""

_SLICES_MM = 1.5
_STARTS = 6
_TURN_DEGREES = 25.0
_BETTER = 1.02


@dataclass(frozen=True)
class LinearRegistration:
    """Align two images of a head by mutual information; the built-in method.

    From 8 mm to 1 mm (or the grid's own spacing), quasi-Newton steps on all samples of a level. The
    first level tries the headers' own alignment, the centres of both grids and of both heads, each
    with turns in all directions, so that tilts of 30° and shifts of some cm are found; the header
    wins where nothing is clearly better. The result is the same in every run.

    Args:
        kind: ``rigid`` (6 parameters) or ``affine`` (12).

    Raises:
        InputError: an unknown kind; when called, a mask off the fixed image, or an image of one
            value.

    Source:
        Ours; the metric is Mattes 2003. Ghafoorian 2017 says 'linearly' for T1 → FLAIR.
    """

    kind: str = "affine"

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> LinearTransform:
        """Align the moving image to the fixed one.

        Args:
            fixed: any contrast.
            moving: likewise.
            fixed_mask: where the two should agree, on any grid in the fixed space, such as the
                brain; ``None`` for the inside of the head, found roughly.
        """
        first, second = (graded(image, grades=GRADES) for image in (fixed, moving))
        for name, image in (("fixed", first), ("moving", second)):
            if not image.voxels.any():
                raise InputError("registration", f"{name} image", "vary", got="one value")
        second = refined(second, spacing_mm=_SLICES_MM)
        pyramids = (pyramid(each, spacings_mm=_SPACINGS_MM) for each in (first, second))
        levels = list(zip(*pyramids, strict=True))
        focus = inside_head(levels[-2][0]) if fixed_mask is None else fixed_mask
        found, centres = _searched(*levels.pop())
        numbers = np.zeros(PARAMETERS[self.kind])
        numbers[: found.size] = found
        for (coarse, other), count in zip(reversed(levels), _SAMPLES, strict=True):
            metric = MutualInformation(_samples(coarse, count=count, mask=focus), other)
            numbers, _ = _climbed(metric, numbers, centres=centres)
        return LinearTransform(pose(numbers, centres))


def shared_information(
    fixed: Image,
    moving: Image,
    *,
    transform: LinearTransform,
    fixed_mask: Image | None = None,
) -> float:
    """How well two images agree under a map: mutual information at 2 mm, in nats.

    It ranks registrations of like pairs, the worst being the lowest; its scale depends on the
    contrasts and the slices.

    Args:
        fixed: any contrast.
        moving: likewise.
        transform: fixed → moving.
        fixed_mask: see :class:`LinearRegistration`; the inside of the head if ``None``.

    Returns:
        0 for nothing in common; less where much of the fixed image lies outside the moving one.
    """
    focus = inside_head(fixed) if fixed_mask is None else fixed_mask
    first, second = (
        reduced(graded(image, grades=GRADES), spacing_mm=_SPACINGS_MM[1])
        for image in (fixed, moving)
    )
    samples = _samples(first, count=_SAMPLES[-1], mask=focus)
    return _score(MutualInformation(samples, second), transform.matrix)


def _searched(fixed: Image, moving: Image) -> tuple[Numbers, Centres]:
    """The best of several rigid alignments of coarse copies, and the centres it goes by."""
    metric = MutualInformation(_samples(fixed, count=fixed.voxels.size), moving)
    heads = [
        _world(image, np.array(ndimage.center_of_mass(image.voxels))) for image in (fixed, moving)
    ]
    grids = [_world(image, (np.array(image.shape) - 1) / 2) for image in (fixed, moving)]
    places = heads[0], heads[0] + grids[1] - grids[0], heads[1]
    starts = [(turn, Centres(heads[0], place)) for place in places for turn in turns(_TURN_DEGREES)]
    header, *others = starts
    others.sort(key=lambda start: -_score(metric, pose(*start)))
    best = (*_climbed(metric, header[0], centres=header[1]), header[1])
    for start, centres in others[:_STARTS]:
        numbers, score = _climbed(metric, start, centres=centres)
        if score > _BETTER * best[1]:
            best = numbers, score, centres
    return best[0], best[2]


def _climbed(
    metric: MutualInformation, numbers: Numbers, *, centres: Centres
) -> tuple[Numbers, float]:
    """Numbers of the pose at the nearest maximum, and its score."""

    def loss(tried: Numbers) -> tuple[float, Numbers]:
        value, gradient, _ = metric(pose(tried, centres))
        return -value, -np.tensordot(pose_slopes(tried, centres), gradient, axes=2)

    found = optimize.minimize(
        loss, numbers, jac=True, method="L-BFGS-B", options={"maxiter": 40, "ftol": 1e-7}
    ).x
    return found, _score(metric, pose(found, centres))


def _score(metric: MutualInformation, matrix: Affine) -> float:
    """Mutual information, less where much of the fixed image lies outside the moving one."""
    value, _, overlap = metric(matrix)
    return value * overlap


def _samples(fixed: Image, *, count: int, mask: Image | None = None) -> Samples:
    """Voxels of the fixed image inside a mask, an even choice of at most so many."""
    inside = np.ones(fixed.shape, bool)
    if mask is not None:
        placed = resample(mask.with_voxels(mask.voxels > 0), fixed, interpolation="nearest")
        inside = placed.voxels
    if not inside.any():
        todo = "Give one that lies in the fixed image's space."
        raise InputError("registration", "mask", "hold voxels of the fixed image", todo=todo)
    voxels = np.argwhere(inside)
    if len(voxels) > count:
        chosen = np.random.default_rng(0).choice(len(voxels), count, replace=False)
        voxels = voxels[np.sort(chosen)]
    grades = np.rint(fixed.voxels[tuple(voxels.T)]).astype(np.intp)
    return Samples(_world(fixed, voxels), grades)


def _world(image: Image, index: NDArray[np.number]) -> Numbers:
    """LPS mm of voxel indices (…, 3)."""
    affine = RAS_TO_LPS @ image.affine
    placed: Numbers = index @ affine[:3, :3].T + affine[:3, 3]
    return placed
