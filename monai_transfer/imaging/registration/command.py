"""Registration by any program with a command line."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.files import write_image
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.programs import filled, run_program
from monai_transfer.imaging.registration.files import (
    from_flirt,
    from_ras,
    read_matrix,
    read_transform,
)
from monai_transfer.imaging.registration.transform import LinearTransform

_Reader: TypeAlias = Callable[[Path, Image, Image], LinearTransform]

_READERS: Mapping[str, _Reader] = MappingProxyType(
    {
        "itk": lambda path, fixed, moving: read_transform(path),  # noqa: ARG005
        "flirt": lambda path, fixed, moving: from_flirt(
            read_matrix(path), fixed=fixed, moving=moving
        ),
        "ras": lambda path, fixed, moving: from_ras(read_matrix(path)),  # noqa: ARG005
    }
)


@dataclass(frozen=True)
class CommandRegistration:
    """Run a program on two files in a folder of its own, and read the transform it writes.

    Args:
        command: split into words as a shell would, run without a shell, in the folder.
            ``{fixed}``, ``{moving}``, ``{fixed_mask}`` and ``{transform}`` stand for paths; a mask
            that is not asked for is not used, and one that is asked for and not given covers
            everything.
        convention: of the transform: ``itk`` (fixed → moving, LPS mm: ANTs, elastix, FreeSurfer's
            lta_convert --outitk), ``flirt`` (FSL), ``ras`` (fixed → moving, RAS mm: greedy).
        transform: name of the file that the program writes.
        threads: how many the program may use, as far as it goes by OpenMP's or ITK's variables;
            ``None`` leaves it to the program.

    Raises:
        InputError: an unknown convention; when called, a program that is missing, fails, or
            leaves no transform that can be read.

    Example:
        >>> flirt = CommandRegistration(
        ...     "flirt -in {moving} -ref {fixed} -omat {transform}", convention="flirt"
        ... )
    """

    command: str
    convention: str = "itk"
    transform: str = "transform.txt"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.convention not in _READERS:
            raise choice("CommandRegistration", "convention", self.convention, _READERS)
        if "{fixed}" not in self.command or "{moving}" not in self.command:
            rule = "hold {fixed} and {moving}"
            raise InputError("CommandRegistration", "command", rule, got=self.command)

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> LinearTransform:
        """Align the moving image to the fixed one; the mask is on the fixed image's grid."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            mask = fixed_mask or fixed.with_voxels(np.ones(fixed.shape, np.uint8))
            places = {"transform": str(folder / self.transform)}
            for key, image in {"fixed": fixed, "moving": moving, "fixed_mask": mask}.items():
                places[key] = str(folder / f"{key}.nii.gz")
                if "{" + key + "}" in self.command:
                    write_image(image, places[key])
            run_program(filled(self.command, places), folder, threads=self.threads)
            return _READERS[self.convention](Path(places["transform"]), fixed, moving)
