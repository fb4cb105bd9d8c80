"""Brain masks from programs that are installed beside this package."""

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from monai_transfer._types import Mask
from monai_transfer.errors import InputError
from monai_transfer.imaging.files import read_image, write_image
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.programs import filled, run_program


@dataclass(frozen=True)
class ExternalExtraction:
    """A program that reads an image file and writes a mask file on its grid.

    Args:
        command: split into words as a shell would, without a shell. ``{image}`` is the file it
            reads, ``{mask}`` the file it writes, both ``.nii.gz``, and ``{device}`` is cuda or
            cpu, whichever is there.
        written: name of the mask where the program makes its own of ``mask.nii.gz``.
        obtain: where the program comes from, a full sentence.

    Raises:
        InputError: on construction, a command without ``{image}`` and ``{mask}``; on use, a program
            that is not installed, fails, or writes no mask of the image's shape.

    Example:
        >>> ExternalExtraction("mri_synthstrip -i {image} -m {mask}").program
        'mri_synthstrip'
    """

    command: str
    written: str = "mask.nii.gz"
    obtain: str = "Install it, or give another method."

    def __post_init__(self) -> None:
        if "{image}" not in self.command or "{mask}" not in self.command:
            rule = "hold {image} and {mask}"
            raise InputError("brain extraction", "command", rule, got=self.command)

    @property
    def program(self) -> str:
        """First word of the command."""
        return shlex.split(self.command)[0]

    def __call__(self, image: Image, /) -> Mask:
        """Run the program in a folder of its own and read what it wrote."""
        with tempfile.TemporaryDirectory() as folder:
            places = {
                "image": f"{folder}/image.nii.gz",
                "mask": f"{folder}/mask.nii.gz",
                "device": "cuda" if torch.cuda.is_available() else "cpu",
            }
            write_image(image, places["image"])
            run_program(filled(self.command, places), Path(folder), obtain=self.obtain)
            return self._mask(Path(folder) / self.written, image)

    def _mask(self, path: Path, image: Image) -> Mask:
        if not path.is_file():
            raise InputError(self.program, "program", f"write {path.name}", got="no such file")
        mask = read_image(path)
        if mask.shape != image.shape:
            rule = f"have the image's shape {image.shape}"
            raise InputError(self.program, "mask", rule, got=mask.shape)
        inside: Mask = np.asarray(mask.voxels > 0)
        return inside


HD_BET = ExternalExtraction(
    "hd-bet -i {image} -o {mask} -device {device} --save_bet_mask --no_bet_image",
    written="mask_bet.nii.gz",
    obtain="HD-BET 2 is at https://github.com/MIC-DKFZ/HD-BET.",
)
"""Isensee et al., Hum Brain Mapp 2019;40:4952."""

SYNTHSTRIP = ExternalExtraction(
    "mri_synthstrip -i {image} -m {mask}",
    obtain="It comes with FreeSurfer 7.3: https://surfer.nmr.mgh.harvard.edu/docs/synthstrip/.",
)
"""Hoopes et al., NeuroImage 2022;260:119474."""
