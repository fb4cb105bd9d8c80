"""ITK's own N4: the reference for :mod:`monai_transfer.imaging.n4`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monai_transfer._types import Mask, Volume, Voxels
from monai_transfer.imaging.n4 import N4Settings


def itk_log_bias_field(voxels: Voxels, included: Mask, *, settings: N4Settings) -> Volume:
    """The natural logarithm of ITK's bias field, on all voxels.

    ITK's lattice lies in units of voxels, so neither spacing nor affine enters. A coarser grid is
    a mask with fewer voxels: both backends then fit the same points.

    Args:
        voxels: (x, y, z) intensities.
        included: voxels that count, all of them above 0.
        settings: of the fit; ``grid_mm`` is not looked at.

    Returns:
        float32.
    """
    import itk

    image_type, mask_type = itk.Image[itk.F, 3], itk.Image[itk.UC, 3]
    n4 = itk.N4BiasFieldCorrectionImageFilter[image_type, mask_type, image_type].New()
    n4.SetInput(_itk_image(voxels, np.float32))
    n4.SetMaskImage(_itk_image(included, np.uint8))
    n4.SetNumberOfFittingLevels(len(settings.iterations))
    n4.SetMaximumNumberOfIterations(settings.iterations)
    n4.SetConvergenceThreshold(settings.convergence_threshold)
    n4.SetNumberOfControlPoints(settings.control_points)
    n4.SetNumberOfHistogramBins(settings.bins)
    n4.SetBiasFieldFullWidthAtHalfMaximum(settings.fwhm)
    n4.SetWienerFilterNoise(settings.wiener_noise)
    n4.Update()
    field = n4.ReconstructBiasField(n4.GetLogBiasFieldControlPointLattice())
    return np.ascontiguousarray(itk.array_from_image(field).T)


def _itk_image(voxels: NDArray[Any], kind: type[np.generic]) -> Any:
    import itk

    return itk.image_from_array(np.ascontiguousarray(voxels.T, dtype=kind))
