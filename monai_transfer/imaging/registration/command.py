"""Registration by any program with a command line."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.image import Image, write_image
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
_THREADS = ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


@dataclass(frozen=True)
class CommandRegistration:
    """Run a program on two files in a folder of its own, and read the transform it writes.

    Args:
        arguments: program and arguments, run without a shell, in the folder. ``{fixed}``,
            ``{moving}``, ``{fixed_mask}`` and ``{transform}`` stand for paths; a mask that is not
            asked for is not used, and one that is asked for and not given covers everything.
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
        ...     ("flirt", "-in", "{moving}", "-ref", "{fixed}", "-omat", "{transform}"),
        ...     convention="flirt",
        ...     transform="moving_to_fixed.mat",
        ... )
    """

    arguments: Sequence[str]
    convention: str = "itk"
    transform: str = "transform.txt"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.convention not in _READERS:
            raise choice("CommandRegistration", "convention", self.convention, _READERS)
        if not self.arguments:
            raise InputError("CommandRegistration", "arguments", "name a program")

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
                if any("{" + key + "}" in argument for argument in self.arguments):
                    write_image(image, places[key])
            self._run(_filled(self.arguments, places), folder)
            return _READERS[self.convention](Path(places["transform"]), fixed, moving)

    def _run(self, command: Sequence[str], folder: Path) -> None:
        limited = dict.fromkeys(_THREADS, str(self.threads)) if self.threads else {}
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **limited},
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except FileNotFoundError:
            todo = "Install it, or put its folder on the PATH."
            raise InputError(command[0], "program", "be installed", todo=todo) from None
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
            got = f"status {done.returncode}: {' | '.join(said)}"
            raise InputError(command[0], "command", "end with status 0", got=got)


def _filled(arguments: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """Only the named places are replaced: other braces are the program's own."""
    filled = []
    for argument in arguments:
        for key, place in places.items():
            argument = argument.replace("{" + key + "}", place)  # noqa: PLW2901
        filled.append(argument)
    return filled
