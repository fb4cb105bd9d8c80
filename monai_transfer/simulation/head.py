"""A simple head around the brain: fluid, skull, scalp, eyes, air, face and neck.

Enough of a head for what looks for the brain in it: bright fat and dark bone beside the brain, air,
eyes, and tissue as bright as brain where none is. It is not anatomy to be measured.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.simulation.fields import Array, Shape, SmoothField, draw_smooth_field
from monai_transfer.simulation.head_shape import HeadShape
from monai_transfer.simulation.template import Points, column, load_template, sample

COMPARTMENTS: Mapping[str, str] = MappingProxyType(
    {
        "outer_csf": "csf",
        "cord": "wm",
        "canal": "csf",
        "bone": "bone",
        "marrow": "fat",
        "skin": "muscle",
        "fat": "fat",
        "muscle": "muscle",
        "eye": "csf",
        "air": "air",
    }
)
"""What a head is made of → its tissue (see ``tissues``)."""

_Triple: TypeAlias = tuple[float, float, float]

# MNI millimetres, right side where there are two: centre and semi-axes. By eye, on Colin27.
_FACE: tuple[_Triple, _Triple] = ((0.0, 35.0, -62.0), (66.0, 60.0, 78.0))
_ORBIT: tuple[_Triple, _Triple] = ((31.0, 52.0, -34.0), (19.0, 26.0, 17.0))
_EYE: tuple[_Triple, _Triple] = ((32.0, 62.0, -34.0), (12.0, 12.0, 12.0))
_AIR: tuple[tuple[_Triple, _Triple], ...] = (
    ((0.0, 78.0, -6.0), (16.0, 5.0, 9.0)),  # frontal sinus
    ((0.0, 50.0, -38.0), (11.0, 22.0, 11.0)),  # ethmoid cells
    ((0.0, 20.0, -38.0), (12.0, 9.0, 8.0)),  # sphenoid sinus
    ((27.0, 48.0, -62.0), (12.0, 14.0, 15.0)),  # maxillary sinus
    ((0.0, 58.0, -62.0), (12.0, 28.0, 16.0)),  # nose
    ((0.0, 12.0, -95.0), (12.0, 9.0, 45.0)),  # pharynx
    ((54.0, -32.0, -46.0), (7.0, 12.0, 10.0)),  # mastoid cells
)
_UNEVEN_MM = (30.0, 40.0, *(8.0 for _ in _AIR), 10.0, 10.0, 9.0, 9.0)
_ORIGIN_MM, _END_MM, _STEP_MM = (-130.0, -170.0, -190.0), (130.0, 150.0, 130.0), 2.0
_FORAMEN_MM = (0.0, -45.0, -66.0)
_CLOSING_MM = 2.5
_FAR_MM = np.float32(100.0)


@dataclass(frozen=True, eq=False)
class Head:
    """A head on a grid, drawn but not evaluated: all its compartments at once are large.

    Args:
        shape: sizes.
        spacing_mm: of the voxels.
        fields: what makes skull, scalp, cavities, spine and face uneven, in the order of use.
    """

    shape: HeadShape
    spacing_mm: float
    fields: tuple[SmoothField, ...]

    def fractions(self, template_mm: Points, planes: slice) -> dict[str, Array]:
        """Fractions of the compartments on some planes across the first axis.

        Args:
            template_mm: (3, x, y, z) template position of each voxel of the planes.
            planes: of the head's grid.

        Returns:
            Name of ``COMPARTMENTS`` → (x, y, z) fraction; they sum to one outside the inner skull
            and, with the brain, everywhere: inside it the sum is that part of a voxel the brain
            leaves.
        """
        left = np.ones(template_mm.shape[1:], np.float32)
        fractions: dict[str, Array] = {}
        brain_mm = _distance_mm(template_mm)
        fields = (field.on(planes) for field in self.fields)
        left -= _inside(brain_mm, self.spacing_mm)
        for name, distance_mm in _solids(fields, template_mm, brain_mm=brain_mm, shape=self.shape):
            part = left * _inside(distance_mm, self.spacing_mm)
            fractions[name] = fractions[name] + part if name in fractions else part
            left = left - part
        fractions["air"] = fractions["air"] + left
        return {name: fractions[name] for name in COMPARTMENTS}


def draw_head(
    rng: np.random.Generator, grid: Shape, *, spacing_mm: float, shape: HeadShape
) -> Head:
    """A random head of given sizes.

    Args:
        rng: source of randomness: where the skull is thick, and muscle, fat and bone of the face.
        grid: its voxels.
        spacing_mm: of the voxels.
        shape: sizes.

    Source:
        Ours. Thickness of skull and scalp: Oh et al., 3D Printing in Medicine 2017;3:4 and
        Todd and Kuenzel, J Lab Clin Med 1924, rounded; places of eyes and sinuses by eye on
        Colin27 (Holmes et al., J Comput Assist Tomogr 1998;22:324).

    Example:
        >>> above = np.reshape([0.0, -20.0, 95.0], (3, 1, 1, 1)).astype(np.float32)
        >>> fat = HeadShape(fat_mm=30.0)
        >>> head = draw_head(np.random.default_rng(0), (1, 1, 1), spacing_mm=1.0, shape=fat)
        >>> fractions = head.fractions(above, slice(None))
        >>> max(fractions, key=lambda name: fractions[name].item())
        'fat'
    """
    return Head(
        shape,
        spacing_mm,
        tuple(
            draw_smooth_field(rng, grid, spacing_mm=spacing_mm, scale_mm=scale_mm)
            for scale_mm in _UNEVEN_MM
        ),
    )


def inner_skull_fraction(
    template_mm: Points, *, spacing_mm: float, fluid_mm: float | Array
) -> Array:
    """Part of each voxel within the inner skull: the brain with all fluid around it.

    Args:
        template_mm: (3, x, y, z) template position of each voxel.
        spacing_mm: of the voxels.
        fluid_mm: as of the head's shape; or (x, y, z), where it is uneven.
    """
    return _inside(_distance_mm(template_mm) - np.float32(fluid_mm), spacing_mm)


def _solids(
    fields: Iterator[Array], at: Points, *, brain_mm: Array, shape: HeadShape
) -> Iterator[tuple[str, Array]]:
    """Name and signed distance (negative inside) of what fills the head; the earlier one wins.

    Args:
        fields: of ``_UNEVEN_MM``, each used once.
        at: template positions.
        brain_mm: signed distance to the brain.
        shape: sizes.
    """
    skull = np.float32(shape.skull_mm) * np.clip(1.0 + 0.25 * next(fields), 0.5, 1.8)
    skull += np.float32(shape.fluid_mm)
    scalp = np.float32(shape.fat_mm) * np.clip(1.0 + 0.3 * next(fields), 0.3, 2.0)
    cranium = brain_mm - skull - scalp - np.float32(shape.skin_mm)
    neck, axis_mm = _neck(at, shape.neck_mm)
    surface = np.minimum(np.minimum(cranium, _ellipsoid(at, *_FACE)), neck)

    yield "cord", axis_mm - 6.0
    yield "canal", axis_mm - 10.0
    yield "outer_csf", brain_mm - np.float32(shape.fluid_mm)
    yield "air", -surface
    yield "skin", -surface - np.float32(shape.skin_mm)
    middle = 0.5 * (skull + shape.fluid_mm)
    half = 0.5 * np.float32(shape.diploe_fraction) * (skull - shape.fluid_mm)
    yield "marrow", np.abs(brain_mm - middle) - half
    yield "bone", brain_mm - skull
    folded = np.concatenate([np.abs(at[:1]), at[1:]])
    for centre, axes in _AIR:
        a, b, c = (shape.air_scale * axis for axis in axes)
        walls = _ellipsoid(folded, centre, (a, b, c))
        cells: Array = np.abs(next(fields))
        yield "air", walls + np.float32(2.0) * cells
        yield "bone", walls - 1.5
    yield "eye", _ellipsoid(folded, *_EYE)
    yield "fat", _ellipsoid(folded, *_ORBIT)
    yield "marrow", axis_mm - np.float32(20.0) + np.float32(4.0) * next(fields)
    yield "bone", axis_mm - np.float32(22.0) + np.float32(4.0) * next(fields)
    yield "fat", -surface - np.float32(shape.skin_mm) - scalp
    yield "bone", np.float32(6.0) * (np.float32(1.2) - next(fields))
    yield "fat", np.float32(6.0) * (np.float32(0.7) - next(fields))
    yield "muscle", surface


def _inside(distance_mm: Array, spacing_mm: float) -> Array:
    """Part of a voxel on the negative side of a surface."""
    part: Array = np.clip(0.5 - distance_mm / np.float32(spacing_mm), 0.0, 1.0)
    return part


def _ellipsoid(at: Points, centre_mm: _Triple, axes_mm: _Triple) -> Array:
    """About the signed distance to an ellipsoid."""
    scaled = (at - column(centre_mm, at.ndim)) / column(axes_mm, at.ndim)
    radius = np.linalg.norm(scaled, axis=0)
    distance: Array = ((radius - 1.0) * min(axes_mm)).astype(np.float32)
    return distance


def _neck(at: Points, radius_mm: float) -> tuple[Array, Array]:
    """Signed distance to the neck, and distance to the axis of the spinal canal below the skull."""
    below = _FORAMEN_MM[2] - at[2]
    back = at[1] - (_FORAMEN_MM[1] - 0.1 * below)
    axis = np.hypot(at[0], back)
    neck = np.hypot(at[0], 0.9 * (back - 30.0)) - radius_mm
    above = np.clip(-below, 0.0, None)
    return (
        np.maximum(neck, -below - 40.0).astype(np.float32),
        np.hypot(axis, 3.0 * above).astype(np.float32),
    )


def _distance_mm(at: Points) -> Array:
    """Signed distance to the surface of the template's brain, its folds and base closed."""
    nearer: Array = sample(_nearness(), at, origin_mm=_ORIGIN_MM, step_mm=_STEP_MM)
    return _FAR_MM - nearer


@lru_cache(maxsize=1)
def _nearness() -> Array:
    """How much nearer than far the surface is; 0, like all beyond the lattice, is far."""
    template = load_template()
    axes = [
        np.arange(start, end + 1.0, _STEP_MM)
        for start, end in zip(_ORIGIN_MM, _END_MM, strict=True)
    ]
    lattice: npt.NDArray[np.float64] = np.stack(np.meshgrid(*axes, indexing="ij"))
    brain = sample(template.brain, lattice, origin_mm=template.origin_mm, step_mm=1.0) > 0.5
    near = ndimage.distance_transform_edt(~brain, sampling=_STEP_MM) <= _CLOSING_MM
    closed = ndimage.distance_transform_edt(near, sampling=_STEP_MM) > _CLOSING_MM
    closed |= brain
    outside = ndimage.distance_transform_edt(~closed, sampling=_STEP_MM)
    inside = ndimage.distance_transform_edt(closed, sampling=_STEP_MM)
    nearness: Array = np.clip(_FAR_MM - outside + inside, 0.0, None).astype(np.float32)
    return nearness
