"""Whole heads as label maps: deformed from the template, or of real people."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.simulation.anatomy import realise
from monai_transfer.simulation.deformation import draw_warp
from monai_transfer.simulation.fields import smooth_field
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.head import COMPARTMENTS, draw_head, inner_skull_fraction
from monai_transfer.simulation.head_shape import draw_head_shape

LABELS: Mapping[str, str] = MappingProxyType(
    {"air": "air", "wm": "wm", "gm": "gm", "csf": "csf", "vein": "vein"}
    | {name: of for name, of in COMPARTMENTS.items() if name != "air"}
)
"""What a voxel of a head can be → its tissue; a label is the position in this table."""

# What the values around the brain are is ours: told by where they lie in two of the maps.
_REAL_VALUES: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "wm": (2, 41, 7, 46, 16, 28, 60, 77, 85, 251, 252, 253, 254, 255),
        "gm": (
            *(3, 8, 10, 11, 12, 13, 17, 18, 25, 26, 136, 137),
            *(42, 47, 49, 50, 51, 52, 53, 54, 57, 58, 163, 164),
        ),
        "csf": (4, 5, 14, 15, 24, 43, 44, 72),
        "vein": (30, 62, 514),
        "bone": (515,),
        "marrow": (516,),
        "fat": (507,),
        "skin": (511,),
        "eye": (506,),
    }
)
_CEREBELLUM = (7, 8, 46, 47)

_HEAD_GRID = Grid((112, 128, 128), 2.0, (-111.0, -148.0, -152.0))


@dataclass(frozen=True, eq=False)
class HeadLabels:
    """A head as labels.

    Args:
        labels: (x, y, z) positions in ``LABELS``, RAS+.
        target: (x, y, z) what is to be found: all within the inner skull.
        spacing_mm: of the grid.
        centre_mm: middle of the target, from the first voxel.
    """

    labels: npt.NDArray[np.uint8]
    target: npt.NDArray[np.bool_]
    spacing_mm: float
    centre_mm: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        centre = np.argwhere(self.target).mean(axis=0) * self.spacing_mm
        object.__setattr__(self, "centre_mm", centre)


def draw_head_labels(rng: np.random.Generator) -> HeadLabels:
    """A head around a deformed MNI152 brain, at 2 mm.

    Example:
        >>> head = draw_head_labels(np.random.default_rng(0))
        >>> litres = head.target.sum() * head.spacing_mm**3 / 1e6
        >>> bool(0.9 < litres < 1.9)
        True
    """
    grid = _HEAD_GRID
    warp = draw_warp(rng, (0.0, -21.0, 10.5), brain_ml=float(rng.uniform(1050.0, 1600.0)))
    anatomy = realise(rng, warp, grid=grid)
    at = warp.to_template(grid.points_mm())
    shape = replace(draw_head_shape(rng), air_scale=float(rng.uniform(0.5, 1.6)))
    head = draw_head(rng, grid.shape, spacing_mm=grid.spacing_mm, shape=shape)
    fractions = head.fractions(at, slice(None))
    names = list(LABELS)
    order = np.array([names.index(name) for name in fractions], np.uint8)
    labels = order[np.argmax(np.stack(list(fractions.values())), axis=0)]
    brain = np.zeros(grid.shape, bool)
    brain[anatomy.window] = anatomy.brain
    inside = np.stack([anatomy.wm, anatomy.gm, anatomy.csf])[:, anatomy.brain]
    labels[brain] = names.index("wm") + np.argmax(inside, axis=0).astype(np.uint8)
    # Fluid is deep over one gyrus and next to none over another: the average brain's is even.
    uneven = smooth_field(rng, grid.shape, spacing_mm=grid.spacing_mm, scale_mm=16.0)
    fluid_mm = np.float32(shape.fluid_mm) + np.float32(rng.uniform(0.5, 2.0)) * uneven
    within = inner_skull_fraction(at, spacing_mm=grid.spacing_mm, fluid_mm=fluid_mm) > 0.5
    solid = np.isin(labels, [names.index("wm"), names.index("gm")])
    fluid = np.isin(labels, [names.index("csf"), names.index("outer_csf")])
    target = ndimage.binary_closing(within | solid)
    labels[target & ~solid & ~fluid] = names.index("outer_csf")
    labels[fluid & ~target] = names.index("bone")
    return HeadLabels(labels, target, grid.spacing_mm)


def real_head_labels(labels: npt.NDArray[np.integer], *, spacing_mm: float) -> HeadLabels:
    """A head from a label map of a real one.

    Args:
        labels: (x, y, z), RAS+, values of FreeSurfer and, around the brain, of SynthSeg's training
            maps; others are muscle, 0 is air.
        spacing_mm: of the grid.

    Returns:
        The head; below the cerebellum's lowest slice nothing is to be found.
    """
    names = list(LABELS)
    found = np.where(labels > 0, names.index("muscle"), 0).astype(np.uint8)
    for name, values in _REAL_VALUES.items():
        found[np.isin(labels, values)] = names.index(name)
    target = np.isin(found, [names.index(name) for name in ("wm", "gm", "csf", "vein")])
    lowest = np.flatnonzero(np.isin(labels, _CEREBELLUM).any(axis=(0, 1)))[0]
    target[:, :, :lowest] = False
    return HeadLabels(found, target, spacing_mm)
