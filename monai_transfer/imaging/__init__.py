"""Algorithms on single images: registration, bias field, brain, intensities; without MONAI."""

from monai_transfer.imaging.image import Image, read_image, write_image

__all__ = ["Image", "read_image", "write_image"]
