"""What only training does to a prepared subject: patches, or slices, and random changes."""

from collections.abc import Sequence

from monai.transforms import (
    Compose,
    RandCropByPosNegLabeld,
    RandFlipd,
    SpatialPadd,
    SplitDimd,
    Transform,
)

from monai_transfer.transforms.randomisation import randomise_domain


def axial_slices(preprocessing: Compose) -> Compose:
    """A preset followed by cutting the subject into its axial slices.

    For the way back nothing is needed: MONAI's ``SliceInferer`` takes a whole prepared volume slice
    by slice, and the preset's inverse puts the prediction, with dropped slices as background, onto
    the subject's own grid.

    Args:
        preprocessing: the preset, with a label.

    Returns:
        One flat chain that gives a list of ``{"image": (c, x, y), "label": (1, x, y), …}`` from
        the bottom up.

    Example:
        >>> from monai_transfer.transforms.presets import preset
        >>> type(axial_slices(preset("gl20", label_values=[0, 1])).transforms[-1]).__name__
        'SplitDimd'
    """
    split = SplitDimd(["image", "label"], dim=3, keepdim=False, list_output=True)
    flat: Compose = Compose([preprocessing, split]).flatten()  # type: ignore[no-untyped-call]
    return flat


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
        >>> from monai_transfer.transforms.presets import k19
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
