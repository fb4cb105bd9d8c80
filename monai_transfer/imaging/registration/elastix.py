"""Registration by elastix."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.method import check_kind
from monai_transfer.imaging.registration.transform import RAS_TO_LPS, LinearTransform, about

_STAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"rigid": ("rigid",), "affine": ("rigid", "affine")}
)


@dataclass(frozen=True)
class ElastixRegistration:
    """Mattes mutual information, four resolutions, adaptive stochastic gradient descent.

    Elastix's own parameter maps, but for these: an affine map starts from the rigid one; 4096
    samples instead of 2048, which vary less; the start from the centres of both grids, since
    elastix refuses grids that do not overlap; a mask that is not eroded, which would leave nothing
    of it on thick slices.

    Args:
        kind: ``rigid`` (6 parameters) or ``affine`` (12).
        threads: ``None`` for one per core.
        samples: drawn anew at every step.
        iterations: at each resolution.

    Raises:
        InputError: an unknown kind; when called, images that elastix finds no way to align.

    Source:
        Klein 2010 (elastix); Mattes 2003 (the metric); Klein 2009 (the optimiser).
    """

    kind: str = "affine"
    threads: int | None = None
    samples: int = 4096
    iterations: int = 256

    def __post_init__(self) -> None:
        check_kind(self.kind)

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> LinearTransform:
        """Align the moving image to the fixed one; the mask is on the fixed image's grid."""
        import itk  # half a second; elastix itself is loaded when it is first used

        method = itk.ElastixRegistrationMethod.New(
            _itk_image(fixed, np.float32), _itk_image(moving, np.float32)
        )
        method.SetParameterObject(_parameters(self))
        method.SetNumberOfThreads(self.threads or 0)  # 0: one per core
        if fixed_mask is not None:
            inside = fixed_mask.with_voxels(fixed_mask.voxels > 0)
            method.SetFixedMask(_itk_image(inside, np.uint8))
        with tempfile.TemporaryDirectory() as folder:
            method.SetOutputDirectory(folder)
            method.LogToFileOn()
            try:
                method.UpdateLargestPossibleRegion()
            except RuntimeError as fault:
                log = (Path(folder) / "elastix.log").read_text(errors="replace")
                said = re.findall(r"Description: .*?: (.*)", log) or [f"{fault}".splitlines()[-1]]
                raise InputError("elastix", "images", "be alignable", got=said[-1]) from fault
        found = method.GetTransformParameterObject()
        stages = (_linear(found.GetParameterMap(i)) for i in range(len(_STAGES[self.kind])))
        return reduce(LinearTransform.then, stages)


def _itk_image(image: Image, number_type: DTypeLike) -> Any:
    """A copy in ITK's memory. Elastix takes images of one type only: float32."""
    import itk

    converted = itk.image_from_array(np.ascontiguousarray(image.voxels.T, dtype=number_type))
    affine = RAS_TO_LPS @ image.affine
    converted.SetOrigin(affine[:3, 3])
    converted.SetSpacing(image.spacing_mm)
    converted.SetDirection(affine[:3, :3] / image.spacing_mm)
    return converted


def _parameters(method: ElastixRegistration) -> Any:
    import itk

    parameters = itk.ParameterObject.New()
    for stage in _STAGES[method.kind]:
        named = parameters.GetDefaultParameterMap(stage)
        named["AutomaticTransformInitialization"] = ["true" if stage == "rigid" else "false"]
        named["ErodeMask"] = ["false"]
        named["NumberOfSpatialSamples"] = [str(method.samples)]
        named["MaximumNumberOfIterations"] = [str(method.iterations)]
        named["WriteResultImage"] = ["false"]
        parameters.AddParameterMap(named)
    return parameters


def _linear(found: Any) -> LinearTransform:
    numbers = np.array([float(number) for number in found["TransformParameters"]])
    centre_mm = np.array([float(number) for number in found["CenterOfRotationPoint"]])
    if found["Transform"][0] == "AffineTransform":
        return about(numbers[:9].reshape(3, 3), numbers[9:], centre_mm=centre_mm)
    from scipy.spatial.transform import Rotation

    z_x_y = [numbers[2], numbers[0], numbers[1]]  # elastix turns about y first, about z last
    return about(Rotation.from_euler("ZXY", z_x_y).as_matrix(), numbers[3:], centre_mm=centre_mm)
