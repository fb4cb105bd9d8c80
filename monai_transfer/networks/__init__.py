"""Networks of the papers; each declares the parts that a transfer strategy refers to."""

from monai_transfer.networks.parts import PartedNetwork, example_shape, part_of, require_parts
from monai_transfer.networks.patch_cnn import FullyConvolutionalCNN, PatchCNN
from monai_transfer.networks.unet import PathologyUNet

__all__ = [
    "FullyConvolutionalCNN",
    "PartedNetwork",
    "PatchCNN",
    "PathologyUNet",
    "example_shape",
    "part_of",
    "require_parts",
]
