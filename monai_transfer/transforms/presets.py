"""Presets: one named chain per paper, for training, validation and inference alike."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from monai.transforms import (
    Compose,
    CropForegroundd,
    DivisiblePadd,
    EnsureTyped,
    LoadImaged,
    Orientationd,
    ResizeWithPadOrCropd,
    Spacingd,
    SpatialCropd,
    Transform,
)

from monai_transfer.errors import InputError
from monai_transfer.imaging.nyul import StandardScale, read_standard_scale
from monai_transfer.imaging.papers import K19, named_recipe
from monai_transfer.imaging.recipe import Loading, Recipe, Scaling
from monai_transfer.transforms.grid import OneGridd, OneGridReader
from monai_transfer.transforms.intensity import (
    ScalePercentilesd,
    StandardiseBraind,
    ToStandardScaled,
)
from monai_transfer.transforms.labels import ClassIndexd, Values
from monai_transfer.transforms.naming import file_of
from monai_transfer.transforms.prepared import CheckPreparedd
from monai_transfer.transforms.template import ToTemplateGridd

AnyRecipe: TypeAlias = str | Recipe | Mapping[str, Any]
"""A recipe, the name of a paper's, or its JSON object."""


def preset(
    recipe: AnyRecipe,
    *,
    label_values: Sequence[Values] | None = None,
    divisor: int = 1,
    modalities: Sequence[str] = (),
    standard_scale: StandardScale | str | None = None,
    check: bool = True,
) -> Compose:
    """The in-memory part of a recipe, for the images of one subject.

    Load, turn to RAS+, resample, scale, pad and crop. Files on different grids, an image without
    any brain or with values that are not finite, and a label value that is not declared end it
    with an InputError that names the subject or the file.

    Args:
        recipe: or the name of one of :data:`~monai_transfer.imaging.papers.RECIPES`, or its JSON
            object, as a bundle's metadata hold it.
        label_values: label value of each class index of the network, or several that are one
            class; ``None`` leaves out the label.
        divisor: what the network's poolings need the size to be a multiple of, where the recipe
            gives none.
        modalities: name of each channel, which a standard scale needs.
        standard_scale: Nyúl's, of the source's cohort, or its JSON file: images are brought to it
            before they are scaled; those that are on it already are left but for rounding.
        check: refuse images that were not prepared by the recipe, or warn of them, see
            :class:`~monai_transfer.transforms.prepared.CheckPreparedd`.

    Returns:
        A transform from ``{"image": one 4D path or one path per modality, "label": path}`` to
        tensors ``image`` (modalities, x, y, z), float32 in [0, 1], and ``label`` (1, x, y, z),
        class indices, uint8; invertible by MONAI's ``Invertd``.

    Example:
        >>> [type(step).__name__ for step in preset("gl20", check=False).transforms]
        ['LoadImaged', 'Orientationd', 'OneGridd', 'ResizeWithPadOrCropd', 'ScalePercentilesd',
         'EnsureTyped']
    """
    recipe = recipe_of(recipe)
    if isinstance(standard_scale, str):
        standard_scale = read_standard_scale(standard_scale)
    checked = CheckPreparedd("image", recipe, scale=standard_scale, modalities=modalities)
    loading = recipe.loading
    keys = ["image"] if label_values is None else ["image", "label"]
    steps: list[Transform] = [
        LoadImaged(keys, OneGridReader, image_only=True, ensure_channel_first=True),
        *([checked] if check else []),
        Orientationd(keys, axcodes="RAS", labels=None),
        OneGridd(keys),
        *_placed(keys, loading),
    ]
    size, scale = _sized(keys, loading, divisor), [_scaled(loading.scaling)]
    if standard_scale is not None:
        scale.insert(0, ToStandardScaled("image", standard_scale, modalities=modalities))
    if label_values is not None:
        scale.append(ClassIndexd("label", label_values))
    steps += [*size, *scale] if loading.scaling.over == "all" else [*scale, *size]
    return Compose([*steps, EnsureTyped(keys, track_meta=True)])


def k19(
    *,
    spacing_mm: float | None = 1.0,
    size: Sequence[int] | None = None,
    divisor: int = 8,
    label_values: Sequence[int] | None = None,
    prepared: AnyRecipe | None = None,
) -> Compose:
    """Kaur 2019's chain for skull-stripped, co-registered images of one subject.

    The preset ``k19`` with another grid. Brain extraction, N4, Nyúl and registration come before
    it, on disk.

    Args:
        spacing_mm: of the isotropic grid the network works on; images that are already on it are
            not interpolated. ``None`` keeps each image's own grid, to train on several at once.
        size: voxels that every image is padded and cropped to, around the brain's centre; for the
            paper's 240×192×192 mm divide
            :data:`~monai_transfer.imaging.papers.K19_SIZE_MM` by `spacing_mm`. ``None`` keeps the
            brain's own box, padded to a multiple of `divisor`: the same result from a third of
            the voxels.
        divisor: what the network's poolings need the size to be a multiple of.
        label_values: label value of each class index of the network; ``None`` leaves out the
            label.
        prepared: recipe that images must have been prepared by, as the source's card says it;
            ``None`` takes any.

    Returns:
        See :func:`preset`; the background is exactly 0.

    Source:
        Kaur 2019, section 3.1. Cropping to the brain is ours.

    Example:
        >>> from monai_transfer.imaging.papers import K19_SIZE_MM
        >>> [type(step).__name__ for step in k19(spacing_mm=None, size=K19_SIZE_MM).transforms]
        ['LoadImaged', 'Orientationd', 'OneGridd', 'CropForegroundd', 'StandardiseBraind',
         'ResizeWithPadOrCropd', 'EnsureTyped']
    """
    extent = None if size is None else (int(size[0]), int(size[1]), int(size[2]))
    loading = replace(K19.loading, spacing_mm=spacing_mm, size=extent)
    recipe = replace(K19 if prepared is None else recipe_of(prepared), loading=loading)
    check = prepared is not None
    return preset(recipe, label_values=label_values, divisor=divisor, check=check)


def recipe_of(given: AnyRecipe) -> Recipe:
    """The recipe that is meant."""
    if isinstance(given, str):
        return named_recipe(given)
    return given if isinstance(given, Recipe) else Recipe.from_dict(given)


def _placed(keys: list[str], loading: Loading) -> list[Transform]:
    """Where the voxels are."""
    modes = ["bilinear", "nearest"][: len(keys)]
    steps: list[Transform] = []
    if loading.template_grid:
        steps.append(ToTemplateGridd(keys, modes, spacing_mm=loading.spacing_mm or 1.0))
    if loading.crop_to_brain:
        steps.append(
            CropForegroundd(
                keys,
                source_key="image",
                select_fn=_not_background,
                margin=loading.margin,
                allow_smaller=not any(loading.margin),
                start_coord_key=None,
                end_coord_key=None,
            )
        )
    if loading.spacing_mm is not None and not loading.template_grid:
        steps.append(Spacingd(keys, pixdim=[loading.spacing_mm] * 3, mode=modes))
    return steps


def _sized(keys: list[str], loading: Loading, divisor: int) -> list[Transform]:
    """How many voxels there are."""
    steps: list[Transform] = []
    if loading.size is not None:
        steps.append(ResizeWithPadOrCropd(keys, spatial_size=loading.size))
    elif divisor > 1:
        steps.append(DivisiblePadd(keys, k=divisor))
    bottom, top = loading.dropped_slices
    if bottom or top:
        kept = [slice(None), slice(None), slice(bottom, -top if top else None)]
        steps.append(SpatialCropd(keys, roi_slices=kept))
    return steps


def _scaled(scaling: Scaling) -> Transform:
    if scaling.percents is None:
        return StandardiseBraind("image")
    return ScalePercentilesd("image", *scaling.percents, over=scaling.over)


def _not_background(image: torch.Tensor) -> torch.Tensor:
    inside = image != 0
    if not inside.any():
        raise InputError(file_of(image), "image", "hold a brain", got="0 in every voxel")
    return inside
