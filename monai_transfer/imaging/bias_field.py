"""The bias field: smooth changes of intensity that come from the coils, not from the tissue."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.n4 import N4Settings, log_bias_field, sampled
from monai_transfer.imaging.n4_itk import itk_log_bias_field

BACKENDS = ("torch", "itk")
ArrayT = TypeVar("ArrayT", bound=NDArray[Any] | Tensor)

FAINTEST_FRACTION = 1e-3
"""Of the median in the mask: what is darker has no part in the fit."""

OTSU_BINS = 200


def estimate_bias_field(
    voxels: ArrayT,
    mask: ArrayT | None = None,
    *,
    spacing_mm: Sequence[float],
    settings: N4Settings | None = None,
    backend: str = "torch",
) -> ArrayT:
    """Estimate the bias field of an image with N4; divide the image by it to correct it.

    Divide all voxels, as ITK does, not only those in the mask: the field is as smooth outside, and
    a step at the edge of a mask would outlast it. The field's scale cannot be known from the image;
    here its geometric mean in the mask is 1, so that correcting leaves the brightness as it is.

    Zeros, negative voxels and those below a thousandth of the median (interpolation leaves all
    three) have no part in the fit, though they lie in the mask: their logarithm does not exist or
    would stretch the histogram. ITK itself takes 0 for 1, and −5 for e⁻⁵.

    Args:
        voxels: (x, y, z) of any number type; a tensor may be on any device.
        mask: (x, y, z) voxels to estimate from, not 0: best the brain; ``None``: those above
            Otsu's threshold (:func:`otsu_mask`).
        spacing_mm: voxel edges along x, y and z.
        settings: of N4; ``None``: the defaults.
        backend: ``torch``, or ``itk`` for ITK's own N4, the reference: the same field at several
            hundred times the cost.

    Returns:
        (x, y, z) float32 above 0, an array or a tensor on the same device, as `voxels`.

    Raises:
        InputError: shapes that differ, a spacing that is not above 0, non-finite or too few or
            constant voxels in the mask.

    Source:
        Tustison et al. 2010, N4ITK, doi:10.1109/TMI.2010.2046908. Kaur 2019 names N3 (Sled 1998),
        Ghafoorian 2017 'bias field correction' (FSL's FAST). N4 stands in for both: it is N3 with
        a multilevel B-spline fit in place of N3's smoothing spline, iterates on the corrected
        image, and needs neither N3's MINC tools nor FAST's tissue classes, which lesions mislead.

    Example:
        >>> image = np.random.default_rng(0).uniform(90, 110, (20, 20, 20))
        >>> image *= np.linspace(0.8, 1.2, 20)[:, None, None]
        >>> field = estimate_bias_field(image, image > 0, spacing_mm=(3, 3, 3))
        >>> bool(field[-1].mean() / field[0].mean() > 1.4)
        True
    """
    settings = settings or N4Settings()
    if backend not in BACKENDS:
        raise choice("bias field", "backend", backend, BACKENDS)
    if len(spacing_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_mm):
        raise InputError("image", "spacing", "be three lengths above 0 mm", got=tuple(spacing_mm))
    image = _tensor(voxels).float()
    inside = otsu_mask(image) if mask is None else _tensor(mask).to(image.device) != 0
    steps = settings.steps(spacing_mm)
    points = sampled(_usable(image, inside), steps)
    _check_contrast(image[points], settings)
    if backend == "torch":
        log = log_bias_field(image, points, settings=settings, steps=steps)
    else:
        arrays = image.cpu().numpy(), points.cpu().numpy()
        log = torch.as_tensor(itk_log_bias_field(*arrays, settings=settings), device=image.device)
    field = log.sub_(log[points].mean()).exp_()
    return cast(ArrayT, field if isinstance(voxels, Tensor) else field.numpy())


def _tensor(array: NDArray[Any] | Tensor) -> Tensor:
    if isinstance(array, Tensor):
        return array.detach()
    return torch.from_numpy(np.array(array, dtype=np.float32, order="C"))


def otsu_mask(image: Tensor) -> Tensor:
    """Head against air: the voxels above the threshold that parts intensities best in two.

    Args:
        image: intensities, any shape; non-finite ones are not looked at.

    Returns:
        The mask, with its holes: dark fluid and bone are left out.

    Raises:
        InputError: no finite voxel.

    Source:
        Otsu 1979, doi:10.1109/TSMC.1979.4310076, with the 200 bins of ITK's N4 examples. ITK's own
        filter finds the same threshold; to load it takes longer than all of N4.

    Example:
        >>> otsu_mask(torch.tensor([0.0, 1, 2, 70, 80, 90])).tolist()
        [False, False, False, True, True, True]
    """
    finite = image[image.isfinite()]
    if len(finite) == 0:
        raise InputError("image", "image", "hold a finite voxel", got="none")
    low, high = (float(end) for end in finite.aminmax())
    counts = torch.histc(finite, bins=OTSU_BINS, min=low, max=high).double().cpu()
    bins = torch.arange(OTSU_BINS, dtype=torch.float64)
    below, sums = counts.cumsum(0), (counts * bins).cumsum(0)
    between = (sums[-1] * below - sums * below[-1]) ** 2 / (below * (below[-1] - below))
    highest_below = int(between[:-1].argmax())
    return image > low + (highest_below + 1) * (high - low) / OTSU_BINS


def _usable(image: Tensor, inside: Tensor) -> Tensor:
    """The voxels of the mask that are bright enough to have a logarithm worth fitting."""
    if inside.shape != image.shape or image.ndim != 3:
        shapes = f"{tuple(inside.shape)} on {tuple(image.shape)}"
        raise InputError("mask", "shape", "be that of the 3D image", got=shapes)
    values = image[inside]
    if not bool(values.isfinite().all()):
        raise InputError("image", "voxels in the mask", "be finite", got="NaN or infinity")
    above = values[values > 0].float()
    if len(above) == 0:
        raise InputError("image", "mask", "hold a voxel above 0", got="none")
    return inside & (image > FAINTEST_FRACTION * float(above.median()))


def _check_contrast(values: Tensor, settings: N4Settings) -> None:
    todo = "Look at the mask, or set grid_mm to None."
    if len(values) < settings.bins:
        rule = f"hold {settings.bins} voxels or more of the grid that is fitted"
        raise InputError("image", "mask", rule, got=len(values), todo=todo)
    if bool(values.min() == values.max()):
        raise InputError("image", "voxels in the mask", "differ", got=f"{values[0]} everywhere")
