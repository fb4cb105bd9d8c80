"""Labels of healthy anatomy: tissues, subcortical structures, regions; drawn in template space.

The tissue maps do not tell structures apart. Each structure is a union of ellipsoids in MNI
millimetres, one side mirrored from the other; the subject's own warp carries them, and each fills
only the tissue that it must be in.

Source: shapes fitted (mixtures of axis-aligned ellipsoids) to the FreeSurfer-like label maps of two
subjects of SynthSeg (Billot et al., Med Image Anal 2023;86:102789, Apache-2.0) brought affinely to
the MNI152 template, both sides averaged, rounded to a millimetre; so is the tentorium, a quadratic
in the distance from the midline and in y (residual 2 mm). That no atlas is copied is ours.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from monai_transfer.simulation.anatomy import Anatomy, Mask
from monai_transfer.simulation.fields import Array
from monai_transfer.simulation.pathology import Labels
from monai_transfer.simulation.template import Points, column

TISSUE_VALUES: Mapping[str, int] = MappingProxyType({"csf": 1, "gm": 2, "wm": 3})
"""Tissue → value, as FSL FAST numbers the classes of a T1 image."""

Ellipsoid = tuple[tuple[int, int, int], tuple[int, int, int]]
"""Centre and semi-axes in MNI millimetres."""
NUCLEI: Mapping[str, tuple[Ellipsoid, ...]] = MappingProxyType(
    {
        "thalamus": (((16, -27, 5), (13, 12, 13)), ((9, -13, 6), (10, 13, 13))),
        "caudate": (
            ((17, -11, 22), (5, 21, 5)),
            ((14, 6, 14), (7, 13, 8)),
            ((8, 11, 2), (5, 11, 11)),
            ((15, 18, 2), (6, 8, 12)),
        ),
        "putamen": (((30, -6, 0), (7, 17, 15)), ((22, 9, -4), (10, 11, 14))),
        "pallidum": (((20, -4, -4), (9, 12, 7)),),
        "hippocampus": (
            ((25, -38, -3), (12, 7, 8)),
            ((31, -25, -15), (10, 10, 8)),
            ((25, -14, -23), (12, 8, 9)),
        ),
        "amygdala": (((24, -5, -21), (11, 7, 10)),),
        "accumbens": (((9, 10, -9), (6, 9, 6)),),
    }
)
"""Paired structures of FSL FIRST → their shape on the right side."""

BRAIN_STEM: tuple[Ellipsoid, ...] = (
    ((0, -44, -59), (11, 9, 15)),
    ((0, -36, -40), (14, 12, 19)),
    ((0, -32, -15), (16, 10, 17)),
    ((0, -22, -32), (19, 10, 16)),
)
_FOURTH_VENTRICLE: tuple[Ellipsoid, ...] = (
    ((0, -46, -33), (8, 7, 12)),
    ((0, -39, -18), (3, 6, 13)),
)
_CEREBELLUM_BEHIND_MM = -33.0  # of y; before it lie the petrous bones and the temporal lobes
_GREY = ("caudate", "putamen", "hippocampus", "amygdala", "accumbens")

STRUCTURE_VALUES: Mapping[str, int] = MappingProxyType(
    {
        **{f"left {name}": value for value, name in enumerate(NUCLEI, 1)},
        **{f"right {name}": value for value, name in enumerate(NUCLEI, 8)},
        "brain stem": 15,
        "brain": 16,
    }
)
"""Structure → value; ``brain`` is what is no other structure, for a voxel has one value."""

REGION_VALUES: Mapping[str, int] = MappingProxyType(
    {
        "cerebellum": 1,
        "brain stem": 2,
        "basal ganglia and thalami": 3,
        "ventricular csf": 4,
        "cortical grey matter": 5,
        "white matter": 6,
        "extracerebral csf": 7,
    }
)
"""Region → value; hippocampus and amygdala count as cortical grey matter."""

BASAL_GANGLIA = ("thalamus", "caudate", "putamen", "pallidum", "accumbens")
"""The nuclei of the region ``basal ganglia and thalami``."""


def tissue_label(anatomy: Anatomy) -> Labels:
    """The tissue that fills most of each voxel: `TISSUE_VALUES`, 0 outside the brain.

    Source: FAST (Zhang et al., IEEE TMI 2001;20:45) draws it from intensities; this is the truth.
    """
    fractions = np.stack([anatomy.csf, anatomy.gm, anatomy.wm])
    most = np.argmax(fractions, axis=0).astype(np.uint8) + np.uint8(1)
    return np.where(anatomy.brain, most, np.uint8(0))


def structure_label(anatomy: Anatomy, template_mm: Points) -> Labels:
    """Brain and subcortical structures: `STRUCTURE_VALUES`, 0 outside the brain.

    Args:
        anatomy: the brain.
        template_mm: (3, x, y, z) template position of each of its voxels.

    Source: the structures of FSL FIRST (Patenaude et al., NeuroImage 2011;56:907), as Zoetmulder
        2022, section 4.1.3.
    """
    label = np.where(anatomy.brain, np.uint8(STRUCTURE_VALUES["brain"]), np.uint8(0))
    stem = brain_stem(anatomy, template_mm)
    label[stem] = STRUCTURE_VALUES["brain stem"]
    right = template_mm[0] >= 0
    for name, inside in nuclei(anatomy, template_mm).items():
        for side, here in (("left", inside & ~right), ("right", inside & right)):
            label[here & ~stem] = STRUCTURE_VALUES[f"{side} {name}"]
    return label


def region_label(anatomy: Anatomy, template_mm: Points) -> Labels:
    """Seven regions that fill the brain: `REGION_VALUES`, 0 outside it.

    Args:
        anatomy: the brain.
        template_mm: (3, x, y, z) template position of each of its voxels.

    Source: Zoetmulder 2022 segments 'seven anatomical regions' (4.3.3) of labels 'combined into six
        classes' (3.1) after Moeskops 2016. Read here as seven classes in the brain beside the
        background: those of Moeskops et al., IEEE TMI 2016;35:1252, for adults. Ours where the two
        numbers disagree.
    """
    value, tissue = REGION_VALUES, tissue_label(anatomy)
    names = ("extracerebral csf", "cortical grey matter", "white matter")
    lookup = np.array([0, *(value[name] for name in names)], np.uint8)
    label: Labels = lookup[tissue]
    solid = _solid(anatomy)
    stem = brain_stem(anatomy, template_mm)
    label[solid & below_tentorium(template_mm)] = value["cerebellum"]
    label[stem] = value["brain stem"]
    deep = nuclei(anatomy, template_mm)
    for name in BASAL_GANGLIA:
        label[deep[name] & ~stem] = value["basal ganglia and thalami"]
    fluid = anatomy.brain & (tissue == TISSUE_VALUES["csf"])
    inner = anatomy.ventricle_mm < 2.0
    inner |= in_ellipsoids(_FOURTH_VENTRICLE, template_mm)
    label[fluid & inner] = value["ventricular csf"]
    return label


def nuclei(anatomy: Anatomy, template_mm: Points) -> dict[str, Mask]:
    """Where each of `NUCLEI` is, on both sides; a voxel belongs to the one it is deepest in.

    Caudate, putamen, accumbens, hippocampus and amygdala are grey matter; thalamus and pallidum,
    which the maps hold to be part white matter, may be of either.
    """
    nearness = {name: _nearness(shape, template_mm) for name, shape in NUCLEI.items()}
    nearest = np.min(list(nearness.values()), axis=0)
    solid = _solid(anatomy)
    grey = solid & (anatomy.gm > 0.4)
    return {
        name: (near < 1.0) & (near <= nearest) & (grey if name in _GREY else solid)
        for name, near in nearness.items()
    }


def brain_stem(anatomy: Anatomy, template_mm: Points) -> Mask:
    """Where the brain stem is: its ellipsoids, without fluid."""
    return in_ellipsoids(BRAIN_STEM, template_mm) & _solid(anatomy)


def below_tentorium(template_mm: Points) -> Mask:
    """Whether template positions (3, …) lie below the tentorium, behind the petrous bones.

    Example:
        >>> below_tentorium(np.array([[20.0, 20.0], [-65.0, -65.0], [-30.0, 10.0]])).tolist()
        [True, False]
    """
    x, y, z = template_mm
    u, v = np.abs(x) / 30.0, (y + 60.0) / 30.0
    tentorium = 2.8 - 27.3 * u + 6.7 * v + 7.7 * u**2 - 11.7 * u * v - 7.6 * v**2
    below: Mask = (z < tentorium) & (y < _CEREBELLUM_BEHIND_MM)
    return below


def _solid(anatomy: Anatomy) -> Mask:
    """Where fluid does not fill most of a voxel of the brain."""
    solid: Mask = anatomy.brain & (anatomy.csf < np.maximum(anatomy.gm, anatomy.wm))
    return solid


def in_ellipsoids(shape: tuple[Ellipsoid, ...], template_mm: Points) -> Mask:
    """Whether template positions (3, …) lie in one of some ellipsoids, which are not mirrored."""
    inside: Mask = _nearness(shape, template_mm, fold=False) < 1.0
    return inside


def _nearness(shape: tuple[Ellipsoid, ...], points_mm: Points, *, fold: bool = True) -> Array:
    """How far out points (3, …) lie of the nearest ellipsoid: 0 its centre, 1 its surface."""
    points = np.concatenate([np.abs(points_mm[:1]), points_mm[1:]]) if fold else points_mm
    dims = points.ndim
    each = [
        np.linalg.norm((points - column(c, dims)) / column(axes, dims), axis=0) for c, axes in shape
    ]
    nearest: Array = np.min(each, axis=0).astype(np.float32)
    return nearest
