"""The recipes of the four papers whose images are prepared."""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from monai_transfer.errors import InputError, choice
from monai_transfer.imaging.mni152 import SHAPE, template_shape
from monai_transfer.imaging.recipe import Loading, Preparation, Recipe, Scaling

_MILLIMETRE = (1.0, 1.0, 1.0)

G17 = Recipe(
    name="g17",
    paper="Ghafoorian 2017, section 2.1",
    preparation=Preparation(
        reference="flair", registration="affine", brain_extraction=True, bias_field=True
    ),
    loading=Loading(
        Scaling("percentiles", (1.0, 99.5), over="brain"),
        crop_to_brain=True,
        margin=(16, 16, 0),
    ),
)
"""FLAIR and T1 on the FLAIR's own grid, in [0, 1].

As published: T1 linearly registered to FLAIR, brain extraction, bias field correction, intensities
in [0, 1]. Ours: the kind of linear map (affine: scanners' gradients differ by up to 2 %); how
[0, 1] is reached, by percentiles of the brain, because one voxel of a vessel, or of the rim, would
set a plain minimum and maximum, and above the 99.5th only lesions and vessels are left; the box of
the brain with half of a 32×32 patch around it.
"""

K19_SIZE_MM = (240, 192, 192)
"""Extent that Kaur 2019 pads and crops every image to."""

K19 = Recipe(
    name="k19",
    paper="Kaur 2019, section 3.1",
    preparation=Preparation(
        reference="t1",
        registration="affine",
        brain_extraction=True,
        bias_field=True,
        nyul=True,
        space="mni152",
        to_template="rigid",
        spacing_mm=_MILLIMETRE,
    ),
    loading=Loading(Scaling("standardise"), spacing_mm=1.0, crop_to_brain=True, size=K19_SIZE_MM),
)
"""All modalities in MNI space at 1 mm, standardised in the brain, 240×192×192.

As published: brain extraction, bias field correction (there N3), Nyúl, registration to MNI; mean
subtraction, division by SD, [0, 1]; padding and cropping. Ours: N4 for N3; affine maps
within a subject, a rigid one to the template, as brains of the open MS set have it (an affine one
made them 1.6 times as large, and ``ms_source`` worse on them); cropping to the brain first, so
that the size is taken around the brain's centre.
"""

Z22 = Recipe(
    name="z22",
    paper="Zoetmulder 2022, section 3.2",
    preparation=Preparation(space="mni152", spacing_mm=_MILLIMETRE),
    loading=Loading(
        Scaling("percentiles", (1.0, 99.0), over="all"),
        template_grid=True,
        size=(256, 256, 189),
    ),
)
"""T1, whole heads, on the grid of MNI-ICBM 152 padded axially to 256×256. For the slices
that are dropped, see :data:`Z22_DROPPED_SLICES`.

As published: reoriented and resampled to the template, zero-padded, slices dropped, clipped at the
1st and 99th percentile, min–max. Read so by us: 'resampled to the template' is an affine map to it;
the template (its reference is Fonov 2009) has 197×233×189 voxels, of which the dropped slices
leave 128 or 160; the percentiles are of all voxels that are left, as no mask is named.
"""

Z22_DROPPED_SLICES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"bahc": (0, 61), "stroke": (0, 29), "ms": (50, 11), "anatomy": (50, 11)}
)
"""Zoetmulder's data sets → axial slices left out at the bottom and at the top.

The paper calls them empty. On the template's own grid 50 at the bottom and 61 at the top are not:
they are the brain below −22 mm and above 55 mm. The counts are kept as published.
"""


Z22_DIVISOR = 32
"""What the sides of a slice are a multiple of: the network halves them five times."""


def z22_recipe(dataset: str, *, spacing_mm: float = 1.0) -> Recipe:
    """Zoetmulder's recipe for one data set, on a grid of the given spacing.

    The field of view stays: at 2 mm slices have 128×128 voxels, and a slice is dropped when its
    centre lies in the millimetres that are dropped at 1 mm.

    Args:
        dataset: a key of :data:`Z22_DROPPED_SLICES`.
        spacing_mm: of the isotropic grid that the network works on.

    Raises:
        InputError: an unknown data set, or a spacing that is not above 0.

    Source:
        As published at 1 mm; other spacings are ours.

    Example:
        >>> loading = z22_recipe("ms", spacing_mm=2.0).loading
        >>> loading.size, loading.dropped_slices
        ((128, 128, 95), (25, 6))
    """
    if dataset not in Z22_DROPPED_SLICES:
        raise choice("z22", "data set", dataset, Z22_DROPPED_SLICES)
    if not spacing_mm or not spacing_mm > 0:  # a bundle's option may be None
        raise InputError("z22", "spacing_mm", "be above 0", got=spacing_mm)
    dropped = Z22_DROPPED_SLICES[dataset]
    loading = replace(Z22.loading, dropped_slices=dropped)
    if spacing_mm != 1.0:
        loading = _coarser(replace(loading, spacing_mm=spacing_mm))
    return replace(Z22, name=f"z22_{dataset}", loading=loading)


def _coarser(at_1_mm: Loading) -> Loading:
    """Another spacing for the same millimetres."""
    spacing_mm, (bottom, top) = at_1_mm.spacing_mm or 1.0, at_1_mm.dropped_slices
    x, y, z = at_1_mm.size or SHAPE
    slices = template_shape(spacing_mm)[2]
    centres_mm = [(index + 0.5) * spacing_mm for index in range(slices)]
    below = sum(mm < bottom for mm in centres_mm)
    above = sum(mm > z - top for mm in centres_mm)
    side_x, side_y = (Z22_DIVISOR * math.ceil(n / spacing_mm / Z22_DIVISOR) for n in (x, y))
    return replace(at_1_mm, size=(side_x, side_y, slices), dropped_slices=(below, above))


GL20 = Recipe(
    name="gl20",
    paper="Giacomello 2020, section IV-B",
    preparation=Preparation(brain_extraction=True, spacing_mm=_MILLIMETRE),
    loading=Loading(Scaling("percentiles", (2.0, 98.0), over="all"), size=(180, 180, 128)),
)
"""BraTS as it comes, skull-stripped at 1 mm, centre-cropped to 180×180×128, in [0, 1].

As published: crop, then clip at the 2nd and 98th percentile of each volume, then scale. All voxels
of the cropped volume count, as in the authors' published code.
"""

GL20_DIVISOR = 16
"""What the sides of a slice are padded to a multiple of: the segmentor halves them four times."""


def gl20_recipe(spacing_mm: float = 1.0) -> Recipe:
    """Giacomello's recipe, images resampled to a grid of the given spacing.

    The field of view stays: at 2 mm volumes are cropped to 90×90×64.

    Args:
        spacing_mm: of the isotropic grid that the network works on; images that lie on it are not
            interpolated.

    Raises:
        InputError: a spacing that is not above 0.

    Source:
        As published for images of 1 mm; other spacings are ours.

    Example:
        >>> gl20_recipe(2.0).loading.size
        (90, 90, 64)
    """
    if not spacing_mm or not spacing_mm > 0:  # a bundle's option may be None
        raise InputError("gl20", "spacing_mm", "be above 0", got=spacing_mm)
    x, y, z = (math.ceil(n / spacing_mm) for n in GL20.loading.size or ())
    return replace(GL20, loading=replace(GL20.loading, spacing_mm=spacing_mm, size=(x, y, z)))


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (G17, K19, Z22, *map(z22_recipe, Z22_DROPPED_SLICES), GL20)}
)
"""By name: ``g17``, ``k19``, ``z22``, ``z22_bahc``, ``z22_stroke``, ``z22_ms``, ``z22_anatomy``,
``gl20``."""


def named_recipe(name: str) -> Recipe:
    """One of :data:`RECIPES`.

    Raises:
        InputError: an unknown name.

    Example:
        >>> named_recipe("z22_ms").loading.dropped_slices
        (50, 11)
    """
    if name not in RECIPES:
        raise choice("preset", "name", name, RECIPES)
    return RECIPES[name]
