"""Maps between the spaces of two images."""

import os
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from monai_transfer._files import written_aside
from monai_transfer._types import Affine, Points
from monai_transfer.errors import InputError

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""nibabel's world to ITK's, and back."""


@runtime_checkable
class SpatialTransform(Protocol):
    """Where each point of the fixed image's space lies in the moving image's.

    That is the direction resampling needs; points are LPS mm, as ITK has them. Anything with these
    four methods will do: :func:`~monai_transfer.imaging.registration.resample` uses no other.
    """

    def points(self, points_mm: Points, /) -> Points:
        """Points (n, 3) of the moving space for points (n, 3) of the fixed space."""

    def inverse(self) -> "SpatialTransform":
        """The map from the moving space to the fixed one."""

    def then(self, following: "SpatialTransform", /) -> "SpatialTransform":
        """First this map, then another: fixed → moving → the other's moving space."""

    def save(self, path: str | os.PathLike[str], /) -> None:
        """Write an ITK transform file."""


@dataclass(frozen=True, eq=False)
class LinearTransform:
    """A rigid or affine map.

    Args:
        matrix: 4×4, fixed → moving, LPS mm.

    Raises:
        InputError: a matrix that is no invertible affine map.

    Example:
        >>> shift = LinearTransform(
        ...     np.array([[1, 0, 0, 5.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        ... )
        >>> shift.then(shift.inverse()).points(np.array([[1.0, 2.0, 3.0]]))
        array([[1., 2., 3.]])
    """

    matrix: Affine

    def __post_init__(self) -> None:
        matrix = self.matrix
        affine = np.isfinite(matrix).all() and np.array_equal(matrix[3], [0, 0, 0, 1])
        if not affine or abs(np.linalg.det(matrix)) < 1e-9:
            rule = "be finite and invertible, its last row 0 0 0 1"
            raise InputError("transform", "matrix", rule, got=matrix.tolist())

    def points(self, points_mm: Points, /) -> Points:
        """Points (n, 3) of the moving space for points (n, 3) of the fixed space."""
        moved: Points = points_mm @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return moved

    def inverse(self) -> "LinearTransform":
        """The map from the moving space to the fixed one."""
        inverse = np.linalg.inv(self.matrix)
        inverse[3] = 0, 0, 0, 1
        return LinearTransform(inverse)

    def then(self, following: SpatialTransform, /) -> "LinearTransform":
        """First this map, then another, which must be linear too.

        Raises:
            InputError: a transform of another kind.
        """
        if not isinstance(following, LinearTransform):
            raise InputError("transform", "following", "be linear", got=type(following).__name__)
        return LinearTransform(following.matrix @ self.matrix)

    def save(self, path: str | os.PathLike[str], /) -> None:
        """Write an ITK text transform, which ITK, ANTs and Slicer read.

        Raises:
            InputError: a name that ends in neither .tfm nor .txt.
        """
        if not os.fspath(path).endswith((".tfm", ".txt")):
            raise InputError(os.fspath(path), "name", "end in .tfm or .txt")
        numbers = [*self.matrix[:3, :3].ravel(), *self.matrix[:3, 3]]
        text = (
            "#Insight Transform File V1.0\n#Transform 0\n"
            "Transform: AffineTransform_double_3_3\n"
            f"Parameters: {' '.join(f'{number:.17g}' for number in numbers)}\n"
            "FixedParameters: 0 0 0\n"
        )
        with written_aside(path) as aside:
            aside.write_text(text, encoding="ascii")


IDENTITY = LinearTransform(np.eye(4))
"""Both images lie in one space already."""


def about(
    linear: NDArray[np.float64],
    translation_mm: NDArray[np.float64],
    *,
    centre_mm: NDArray[np.float64],
) -> LinearTransform:
    """The affine map ``linear (x − centre) + centre + translation``.

    Args:
        linear: 3×3.
        translation_mm: (3,), of the centre.
        centre_mm: (3,), LPS, as are all lengths here.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre_mm + translation_mm - linear @ centre_mm
    return LinearTransform(matrix)
