"""One named chain per paper: the single definition that training, validation and inference use."""

from collections.abc import Sequence

import torch
from monai.transforms import (
    Compose,
    CropForegroundd,
    DivisiblePadd,
    EnsureTyped,
    LoadImaged,
    Orientationd,
    RandCropByPosNegLabeld,
    RandFlipd,
    ResizeWithPadOrCropd,
    Spacingd,
    SpatialPadd,
    Transform,
)

from monai_transfer.errors import InputError
from monai_transfer.transforms.grid import OneGridd, OneGridReader
from monai_transfer.transforms.intensity import StandardiseBraind
from monai_transfer.transforms.labels import ClassIndexd
from monai_transfer.transforms.naming import file_of
from monai_transfer.transforms.randomisation import randomise_domain

K19_SIZE_MM = (240, 192, 192)
"""Extent that Kaur 2019 pads and crops every image to."""


def k19(
    *,
    spacing_mm: float | None = 1.0,
    size: Sequence[int] | None = None,
    divisor: int = 8,
    label_values: Sequence[int] | None = None,
) -> Compose:
    """Kaur 2019's chain for skull-stripped, co-registered images of one subject.

    Load, turn to RAS+, crop to the brain, resample, standardise (see
    :func:`~monai_transfer.transforms.intensity.standardise`), pad. Brain extraction, N4, Nyúl and
    registration come before it, on disk. Files on different grids, an image without any brain or
    with values that are not finite, and a label value that is not declared end it with an
    InputError that names the subject or the file.

    Args:
        spacing_mm: of the isotropic grid the network works on; images that are already on it are
            not interpolated. ``None`` keeps each image's own grid, to train on several at once.
        size: voxels that every image is padded and cropped to, around the brain's centre; for the
            paper's 240×192×192 mm divide :data:`K19_SIZE_MM` by `spacing_mm`. ``None`` keeps the
            brain's own box, padded to a multiple of `divisor`: the same result from a third of
            the voxels.
        divisor: what the network's poolings need the size to be a multiple of.
        label_values: label value of each class index of the network; ``None`` leaves out the
            label.

    Returns:
        A transform from ``{"image": one 4D path or one path per modality, "label": path}`` to
        tensors ``image`` (modalities, x, y, z), float32 in [0, 1], background exactly 0, and
        ``label`` (1, x, y, z), class indices, uint8; invertible by MONAI's ``Invertd``.

    Source:
        Kaur 2019, section 3.1. Cropping to the brain is ours.

    Example:
        >>> [type(step).__name__ for step in k19(spacing_mm=None, size=K19_SIZE_MM).transforms]
        ['LoadImaged', 'Orientationd', 'OneGridd', 'CropForegroundd', 'StandardiseBraind',
         'ResizeWithPadOrCropd', 'EnsureTyped']
    """
    keys = ["image"] if label_values is None else ["image", "label"]
    modes = ["bilinear", "nearest"][: len(keys)]
    steps: list[Transform] = [
        LoadImaged(keys, OneGridReader, image_only=True, ensure_channel_first=True),
        Orientationd(keys, axcodes="RAS", labels=None),
        OneGridd(keys),
        CropForegroundd(
            keys,
            source_key="image",
            select_fn=_not_background,
            allow_smaller=True,
            start_coord_key=None,
            end_coord_key=None,
        ),
    ]
    if spacing_mm is not None:
        steps.append(Spacingd(keys, pixdim=[spacing_mm] * 3, mode=modes))
    steps.append(StandardiseBraind("image"))
    if label_values is not None:
        steps.append(ClassIndexd("label", label_values))
    if size is None:
        steps.append(DivisiblePadd(keys, k=divisor))
    else:
        steps.append(ResizeWithPadOrCropd(keys, spatial_size=tuple(size)))
    steps.append(EnsureTyped(keys, track_meta=True))
    return Compose(steps)


def k19_training(
    preprocessing: Compose,
    patch_size: Sequence[int],
    *,
    flip: bool = True,
    domain_randomisation: float = 0.0,
) -> Compose:
    """A preset followed by what only training does: a patch, a flip, another scanner.

    Args:
        preprocessing: the preset, with a label.
        patch_size: voxels per axis. Half of the patches are centred on a labelled voxel, half on
            another voxel of the brain; a smaller image is padded. As large as the brain, it is
            Kaur's whole-volume training.
        flip: mirror left and right, one time in two.
        domain_randomisation: strength of
            :func:`~monai_transfer.transforms.randomisation.randomise_domain`; 0 leaves it out.

    Returns:
        One flat chain, so that a ``CacheDataset`` keeps everything before the first random step.

    Source:
        Whole volumes: Kaur 2019, section 3.1; it names no augmentation. Patches, flips and domain
        randomisation are ours.

    Example:
        >>> chain = k19_training(k19(label_values=[0, 1]), (64, 64, 64), flip=False)
        >>> [type(step).__name__ for step in chain.transforms[-3:]]
        ['EnsureTyped', 'SpatialPadd', 'RandCropByPosNegLabeld']
    """
    keys = ["image", "label"]
    steps: list[Transform] = [
        SpatialPadd(keys, spatial_size=tuple(patch_size)),
        RandCropByPosNegLabeld(
            keys, "label", tuple(patch_size), image_key="image", image_threshold=0.0
        ),
    ]
    if flip:
        steps.append(RandFlipd(keys, prob=0.5, spatial_axis=0))
    if domain_randomisation > 0:
        steps.append(randomise_domain(domain_randomisation))
    flat: Compose = Compose([preprocessing, *steps]).flatten()  # type: ignore[no-untyped-call]
    return flat


def _not_background(image: torch.Tensor) -> torch.Tensor:
    inside = image != 0
    if not inside.any():
        raise InputError(file_of(image), "image", "hold a brain", got="0 in every voxel")
    return inside
