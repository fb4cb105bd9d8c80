"""Networks of the papers; each declares the parts that a transfer strategy refers to."""

from monai_transfer.networks.discriminator import ConditionalDiscriminator
from monai_transfer.networks.parts import PartedNetwork, example_shape, part_of, require_parts
from monai_transfer.networks.patch_cnn import FullyConvolutionalCNN, PatchCNN
from monai_transfer.networks.resnet import ResNetClassifier, ResNetSegmenter
from monai_transfer.networks.segan import CRITIC_INPUTS, Critic, SegAN, Segmentor
from monai_transfer.networks.unet import PathologyUNet

__all__ = [
    "CRITIC_INPUTS",
    "ConditionalDiscriminator",
    "Critic",
    "FullyConvolutionalCNN",
    "PartedNetwork",
    "PatchCNN",
    "PathologyUNet",
    "ResNetClassifier",
    "ResNetSegmenter",
    "SegAN",
    "Segmentor",
    "example_shape",
    "part_of",
    "require_parts",
]
