"""One subject, in memory: from raw scans to what a recipe makes of them, and back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from monai_transfer._types import Mask
from monai_transfer.errors import InputError
from monai_transfer.imaging.bias_field import estimate_bias_field
from monai_transfer.imaging.image import Image
from monai_transfer.imaging.nyul import StandardScale
from monai_transfer.imaging.recipe import Preparation, Recipe
from monai_transfer.imaging.registration import (
    IDENTITY,
    Grid,
    SpatialTransform,
    mni152,
    mni152_focus,
    resample,
)
from monai_transfer.preprocessing.grids import on_one_grid, respaced
from monai_transfer.preprocessing.methods import Methods
from monai_transfer.preprocessing.prepared import Prepared, on_scale


def preprocess_subject(
    images: Mapping[str, Image],
    recipe: Recipe,
    *,
    label: Image | None = None,
    scale: StandardScale | None = None,
    methods: Methods | None = None,
) -> Prepared:
    """Prepare one subject as a recipe says.

    The brain is found in the reference; the other scans are aligned to it, and it to the template;
    bias fields are estimated inside the brain on each scan's own grid. Then every image is
    interpolated once, linearly, straight from its scan.

    Args:
        images: modality → raw scan, at least the recipe's reference. Without a reference the scans
            must lie on one grid already, and the first one stands for them.
        recipe: of which the preparation is done here.
        label: on the grid of one of the scans; it follows that scan, by nearest neighbour.
        scale: learned from a cohort; needed where the recipe brings histograms to one.
        methods: of the steps; ``None``: the built-in ones.

    Raises:
        InputError: a reference that is not there, a label on no scan's grid, scans on several grids
            without a reference, no scale; and what each method refuses.

    Source:
        Order of steps as Kaur 2019, section 3.1, and Ghafoorian 2017, section 2.1. Ours: one
        interpolation for all maps together, and bias fields before it.
    """
    plan, methods = recipe.preparation, methods or Methods.of(recipe.preparation)
    reference = _reference(images, plan)
    if plan.nyul and scale is None:
        todo = "Learn one from a cohort, or read the one of the source bundle."
        raise InputError(recipe.name, "standard scale", "be given", todo=todo)
    with _blaming(f"brain of {reference}"):
        brain = images[reference].with_voxels(methods.brain(images[reference]))
    if not brain.voxels.any():
        raise InputError(reference, "brain mask", "hold at least one voxel", got="an empty mask")
    within = _aligned(images, reference, brain=brain, plan=plan, methods=methods)
    fields = {}
    if plan.bias_field:
        for name, step in within.items():
            with _blaming(f"bias field of {name}"):
                fields[name] = _bias(images[name], brain, step, methods)
        images = {name: _divided(image, fields[name]) for name, image in images.items()}
    to_reference, grid = _target(images[reference], brain, plan=plan, methods=methods)
    maps = {name: to_reference.then(step) for name, step in within.items()}
    inside = resample(_as_float(brain), grid, transform=to_reference).voxels >= 0.5
    moved = {name: resample(image, grid, transform=maps[name]) for name, image in images.items()}
    return Prepared(
        images=_finished(moved, inside, plan=plan, scale=scale),
        brain=Image(inside, grid.affine),
        label=None if label is None else _label(label, images, maps, grid),
        transforms=maps,
        native={name: Grid(image.shape, image.affine) for name, image in images.items()},
        reference=reference,
        bias_fields=fields,
        native_brain=brain,
    )


def _finished(
    images: Mapping[str, Image], inside: Mask, *, plan: Preparation, scale: StandardScale | None
) -> Mapping[str, Image]:
    """What is done to intensities on the final grid."""
    if plan.nyul and scale is not None:
        return on_scale(images, inside, scale)
    if not plan.brain_extraction:
        return images
    return {
        name: image.with_voxels(np.where(inside, image.voxels, np.float32(0)))
        for name, image in images.items()
    }


@contextmanager
def _blaming(where: str) -> Iterator[None]:
    """A fault of a method that knows arrays alone, told with the step and the modality."""
    try:
        yield
    except InputError as fault:
        raise InputError(where, fault.what, fault.rule, got=fault.got, todo=fault.todo) from fault


def _reference(images: Mapping[str, Image], plan: Preparation) -> str:
    if not images:
        raise InputError("subject", "images", "hold at least one modality", got="none")
    first = next(iter(images))
    if plan.reference is not None:
        if plan.reference not in images:
            got = ", ".join(images)
            raise InputError("subject", "images", f"hold {plan.reference}, the reference", got=got)
        return plan.reference
    for name, image in images.items():
        if not on_one_grid(image, images[first]):
            rule = f"lie on the grid of {first}, as the recipe aligns none"
            raise InputError(
                "subject", name, rule, got=f"{image.shape} beside {images[first].shape}"
            )
    return first


def _aligned(
    images: Mapping[str, Image],
    reference: str,
    *,
    brain: Image,
    plan: Preparation,
    methods: Methods,
) -> dict[str, SpatialTransform]:
    """Reference → each scan."""
    maps: dict[str, SpatialTransform] = {}
    for name, image in images.items():
        if name == reference or plan.registration is None:
            maps[name] = IDENTITY
            continue
        with _blaming(f"{name} to {reference}"):
            maps[name] = methods.within(images[reference], image, fixed_mask=brain)
    return maps


def _bias(image: Image, brain: Image, from_brain: SpatialTransform, methods: Methods) -> Image:
    mask = resample(
        brain.with_voxels(brain.voxels.astype(np.uint8)),
        image,
        transform=from_brain.inverse(),
        interpolation="nearest",
    )
    field = estimate_bias_field(
        image.voxels.astype(np.float32),
        mask.voxels.astype(np.float32),
        spacing_mm=image.spacing_mm.tolist(),
        settings=methods.n4,
    )
    return image.with_voxels(field)


def _divided(image: Image, field: Image) -> Image:
    return image.with_voxels((image.voxels / field.voxels).astype(np.float32))


def _target(
    fixed: Image, brain: Image, *, plan: Preparation, methods: Methods
) -> tuple[SpatialTransform, Grid]:
    """Map from the prepared space to the reference's, and the grid of the prepared images."""
    if plan.space == "native":
        return IDENTITY, respaced(Grid(fixed.shape, fixed.affine), plan.spacing_mm)
    stripped = fixed.with_voxels(np.where(brain.voxels, fixed.voxels, 0).astype(np.float32))
    head = mni152()
    with _blaming("reference to MNI152"):
        found = methods.to_template(head, stripped, fixed_mask=mni152_focus())
    return found, respaced(Grid(head.shape, head.affine), plan.spacing_mm)


def _label(
    label: Image, images: Mapping[str, Image], maps: Mapping[str, SpatialTransform], grid: Grid
) -> Image:
    for name, image in images.items():
        if on_one_grid(label, image):
            return resample(label, grid, transform=maps[name], interpolation="nearest")
    shapes = ", ".join(f"{name} {image.shape}" for name, image in images.items())
    rule = f"lie on the grid of one of the scans ({shapes})"
    raise InputError("subject", "label", rule, got=f"shape {label.shape}")


def _as_float(mask: Image) -> Image:
    return mask.with_voxels(mask.voxels.astype(np.float32))
