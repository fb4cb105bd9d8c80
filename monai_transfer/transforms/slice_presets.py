"""Presets of the papers whose networks see axial slices."""

from collections.abc import Sequence
from dataclasses import replace

from monai.transforms import Compose, DivisiblePadd

from monai_transfer.imaging.papers import GL20_DIVISOR, gl20_recipe, z22_recipe
from monai_transfer.imaging.recipe import Recipe
from monai_transfer.transforms.labels import Values
from monai_transfer.transforms.presets import AnyRecipe, preset, recipe_of
from monai_transfer.transforms.slices import ContiguousSlicesd


def z22(
    dataset: str,
    *,
    spacing_mm: float = 1.0,
    label_values: Sequence[int] | None = None,
    prepared: AnyRecipe | None = None,
) -> Compose:
    """Zoetmulder 2022's chain for T1 images in MNI space, cut slice by slice afterwards.

    The recipe ``z22_<dataset>`` on a grid of another spacing: at 1 mm slices of 256×256, at 2 mm
    the same field of view in 128×128, and the same millimetres at the bottom and the top without
    slices. Axial slices lie contiguous in memory, so that
    :class:`~monai_transfer.transforms.SliceDataset` can draw them without a copy of the volume:
    let a ``CacheDataset`` keep that by ``as_contiguous=False``.

    Args:
        dataset: ``bahc``, ``stroke``, ``ms`` or ``anatomy``, which differ in the slices dropped.
        spacing_mm: of the isotropic grid the network works on.
        label_values: label value of each class index of the network; ``None`` leaves out the
            label.
        prepared: recipe that images must have been prepared by, as the source's card says it;
            ``None`` takes any.

    Returns:
        See :func:`preset`; sides of a slice are multiples of 32.

    Raises:
        InputError: an unknown data set.

    Source:
        Zoetmulder 2022, section 3.2; see :func:`~monai_transfer.imaging.papers.z22_recipe`.

    Example:
        >>> [type(step).__name__ for step in z22("stroke", spacing_mm=2.0).transforms]
        ['LoadImaged', 'Orientationd', 'OneGridd', 'ToTemplateGridd', 'ResizeWithPadOrCropd',
         'SpatialCropd', 'ScalePercentilesd', 'EnsureTyped', 'ContiguousSlicesd']
    """
    return _sliced(z22_recipe(dataset, spacing_mm=spacing_mm), label_values, prepared)


def gl20(
    *,
    spacing_mm: float = 1.0,
    label_values: Sequence[Values] | None = None,
    prepared: AnyRecipe | None = None,
) -> Compose:
    """Giacomello 2020's chain for skull-stripped, co-registered images, cut slice by slice later.

    The recipe ``gl20`` on a grid of another spacing. Slices of 180×180 are then padded by zeros, on
    both sides alike, to the next multiple of 16, which is 192×192: SegAN's segmentor takes no
    others. At 2 mm it is 90×90 and 96×96. Of the memory the same is true as of :func:`z22`.

    Args:
        spacing_mm: of the isotropic grid the network works on.
        label_values: label value of each class index of the network, or several that are one class:
            ``[0, [1, 2, 3, 4]]`` is the whole tumour. ``None`` leaves out the label.
        prepared: recipe that images must have been prepared by, as the source's card says it;
            ``None`` takes any.

    Returns:
        See :func:`preset`; sides of a slice are multiples of 16.

    Source:
        Giacomello 2020, section IV-B. That the sides do not fit is not mentioned there; the
        authors' code trains on random windows of 160×160 and tests on the one in the middle, which
        leaves out what lies around it. Padding is ours, and leaves out nothing.

    Example:
        >>> [type(step).__name__ for step in gl20(spacing_mm=2.0).transforms]
        ['LoadImaged', 'Orientationd', 'OneGridd', 'Spacingd', 'ResizeWithPadOrCropd',
         'ScalePercentilesd', 'EnsureTyped', 'DivisiblePadd', 'ContiguousSlicesd']
    """
    divisor = (GL20_DIVISOR, GL20_DIVISOR, 1)
    return _sliced(gl20_recipe(spacing_mm), label_values, prepared, divisor=divisor)


def _sliced(
    recipe: Recipe,
    label_values: Sequence[Values] | None,
    prepared: AnyRecipe | None,
    *,
    divisor: tuple[int, int, int] | None = None,
) -> Compose:
    """A recipe's chain, padded, slices contiguous in memory."""
    if prepared is not None:
        recipe = replace(recipe_of(prepared), loading=recipe.loading)
    chain = preset(recipe, label_values=label_values, check=prepared is not None)
    keys = ["image"] if label_values is None else ["image", "label"]
    padded = [] if divisor is None else [DivisiblePadd(keys, k=divisor)]
    return Compose([*chain.transforms, *padded, ContiguousSlicesd(keys)])
