"""Linear transforms as other programs write them."""

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from monai_transfer._types import Affine
from monai_transfer.errors import InputError
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.resampling import Grid
from monai_transfer.imaging.registration.transform import RAS_TO_LPS, LinearTransform, about

_AFFINE = re.compile(r"(AffineTransform|MatrixOffsetTransformBase)_(double|float)_3_3")
_HEADER = "#Insight Transform File V1.0"
_UNREADABLE = (
    MatReadError,
    ValueError,
    TypeError,
    NotImplementedError,
    EOFError,
    IndexError,
)


def read_transform(path: str | os.PathLike[str]) -> LinearTransform:
    """Read one linear ITK transform: text (.txt, .tfm), or ANTs' binary (.mat).

    Args:
        path: of type ``AffineTransform`` or ``MatrixOffsetTransformBase``, which ITK for Python
            cannot read (C3D, ANTs and the open MS set write it); other types are refused.

    Raises:
        InputError: a file that is missing or damaged, or holds something else.
    """
    name = Path(path).name
    try:
        content = Path(path).read_bytes()
    except OSError as fault:
        raise InputError(name, "file", "be an ITK transform", got=fault.strerror) from fault
    if content.startswith(_HEADER.encode()):
        kind, parameters, centre = _text(name, content)
    else:
        kind, parameters, centre = _binary(name, path)
    if not _AFFINE.fullmatch(kind):
        rule = "be AffineTransform_double_3_3 or MatrixOffsetTransformBase_double_3_3"
        raise InputError(name, "transform", rule, got=kind)
    numbers = np.concatenate([parameters, centre])
    if parameters.shape != (12,) or centre.shape != (3,) or not np.isfinite(numbers).all():
        got = f"{parameters.size} and {centre.size}"
        raise InputError(name, "parameters", "be 12 and 3 finite numbers", got=got)
    try:
        return about(parameters[:9].reshape(3, 3), parameters[9:], centre_mm=centre)
    except InputError as fault:
        raise InputError(name, fault.what, fault.rule, got=fault.got) from fault


def _text(name: str, content: bytes) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """Type, parameters and fixed parameters; each exactly once."""
    fields: dict[str, str] = {}
    for line in content.decode("utf-8", errors="replace").splitlines():
        key, colon, value = line.partition(":")
        if line.startswith("#") or not line.strip():
            continue
        if not colon or key in fields:
            raise InputError(name, "file", "hold one ITK transform", got=f"line {line[:60]!r}")
        fields[key] = value.strip()
    if fields.keys() != {"Transform", "Parameters", "FixedParameters"}:
        got = ", ".join(fields) or "none"
        rule = "be Transform, Parameters and FixedParameters"
        raise InputError(name, "fields", rule, got=got)
    return (
        fields["Transform"],
        _numbers(name, fields["Parameters"]),
        _numbers(name, fields["FixedParameters"]),
    )


def _numbers(name: str, text: str) -> NDArray[np.float64]:
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError:
        raise InputError(name, "parameters", "be numbers", got=text[:60]) from None


def _binary(
    name: str, path: str | os.PathLike[str]
) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """The same from MATLAB 4 variables, as ANTs writes ``0GenericAffine.mat``."""
    try:
        variables = loadmat(os.fspath(path), appendmat=False)
    except _UNREADABLE as fault:
        raise InputError(name, "file", "be an ITK transform, text or .mat", got=fault) from fault
    kinds = variables.keys() - {"fixed"}
    if len(kinds) != 1 or "fixed" not in variables:
        raise InputError(name, "variables", "be a transform and fixed", got=sorted(variables))
    (kind,) = kinds
    return kind, *(np.ravel(variables[each]).astype(np.float64) for each in (kind, "fixed"))


def read_matrix(path: str | os.PathLike[str]) -> Affine:
    """Read four rows of four numbers, as FLIRT and greedy write them.

    Raises:
        InputError: a file that is missing or holds something else.
    """
    name, rule = Path(path).name, "hold four rows of four numbers"
    try:
        matrix = np.array(
            [
                [float(word) for word in line.split()]
                for line in Path(path).read_text().splitlines()
                if line.strip()
            ]
        )
    except (OSError, ValueError) as fault:
        raise InputError(name, "file", rule, got=f"{fault}") from fault
    if matrix.shape != (4, 4):
        raise InputError(name, "file", rule, got=f"shape {matrix.shape}")
    return matrix


def from_ras(matrix: Affine) -> LinearTransform:
    """A map fixed → moving in RAS mm, as greedy writes it.

    Example:
        >>> right = np.eye(4)
        >>> right[0, 3] = 5.0
        >>> from_ras(right).points(np.zeros((1, 3)))  # 5 mm to the right is -5 in LPS
        array([[-5.,  0.,  0.]])
    """
    return LinearTransform(RAS_TO_LPS @ matrix @ RAS_TO_LPS)


def from_flirt(matrix: Affine, *, fixed: Grid | Image, moving: Grid | Image) -> LinearTransform:
    """A map of FSL's FLIRT: moving → fixed, between its own scaled voxel coordinates.

    Args:
        matrix: what ``flirt -in moving -ref fixed -omat`` writes.
        fixed: the reference.
        moving: the input.

    Source:
        Jenkinson 2002; FSL's coordinates are voxel index × spacing, x counted from the other end
        where the affine's determinant is positive (FSL's FLIRT FAQ, 'What is the format of the
        matrix used by FLIRT').
    """
    to_moving = moving.affine @ np.linalg.inv(_flirt_scaling(moving))
    from_fixed = _flirt_scaling(fixed) @ np.linalg.inv(fixed.affine)
    return from_ras(to_moving @ np.linalg.inv(matrix) @ from_fixed)


def _flirt_scaling(grid: Grid | Image) -> Affine:
    """Voxel index → FSL's coordinates."""
    spacing_mm = np.linalg.norm(grid.affine[:3, :3], axis=0)
    scaling = np.diag([*spacing_mm, 1.0])
    if np.linalg.det(grid.affine) > 0:
        scaling[0] = -spacing_mm[0], 0, 0, spacing_mm[0] * (grid.shape[0] - 1)
    return scaling
