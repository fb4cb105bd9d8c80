"""What a registration method is."""

from typing import Protocol, runtime_checkable

from monai_transfer.errors import choice
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.transform import SpatialTransform

KINDS = ("rigid", "affine")
"""Linear maps: with 6 and with 12 parameters."""


@runtime_checkable
class Registration(Protocol):
    """A method that aligns two images: any callable with this signature.

    Args:
        fixed: image whose grid the other is taken to.
        moving: image of the same head, or of another.
        fixed_mask: where in the fixed image the two should agree, such as the brain, on its grid;
            ``None`` for everywhere.

    Returns:
        The map fixed → moving.
    """

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> SpatialTransform:
        """Align the moving image to the fixed one."""


def check_kind(kind: str) -> None:
    """Refuse a kind of map that is none of :data:`KINDS`."""
    if kind not in KINDS:
        raise choice("registration", "kind", kind, KINDS)
