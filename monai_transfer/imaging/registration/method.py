"""What a registration method is, and how one is chosen by name."""

from typing import Protocol, runtime_checkable

from monai_transfer.imaging.image import Image
from monai_transfer.imaging.registration.transform import SpatialTransform


@runtime_checkable
class Registration(Protocol):
    """A method that aligns two images: any callable with this signature.

    Args:
        fixed: image whose grid the other is taken to.
        moving: image of the same head, or of another.
        fixed_mask: where in the fixed image the two must agree, such as the brain; ``None`` for
            everywhere.

    Returns:
        The map fixed → moving.
    """

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> SpatialTransform:
        """Align the moving image to the fixed one."""
