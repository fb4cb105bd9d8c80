"""What is scored together lies on one grid."""

import math
from collections.abc import Sequence

from monai_transfer.errors import InputError


def check_shapes(prediction: tuple[int, ...], truth: tuple[int, ...], where: str) -> None:
    """Refuse two shapes that differ or are not (x, y, z); the error names `where`."""
    if prediction != truth or len(prediction) != 3:
        raise InputError(
            where,
            "prediction and truth",
            "have the same shape (x, y, z)",
            got=f"{prediction} and {truth}",
            todo="Drop the channel axis, and bring the prediction to the truth's grid.",
        )


def check_spacing(spacing_mm: Sequence[float], where: str) -> None:
    """Refuse a voxel size that is not three numbers above 0; the error names `where`."""
    if len(spacing_mm) != 3 or not all(0 < mm < math.inf for mm in spacing_mm):
        raise InputError(
            where, "spacing_mm", "be three finite numbers above 0", got=tuple(spacing_mm)
        )
