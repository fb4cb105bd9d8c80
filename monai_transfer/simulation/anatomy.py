"""A subject's brain: the MNI152 tissue maps through a random warp, on the subject's grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.deformation import Warp
from monai_transfer.simulation.fields import Array, apply_separable, linear_weights, smooth_field
from monai_transfer.simulation.grid import Grid, Window
from monai_transfer.simulation.template import STRUCTURES, load_template, sample, structure

Mask = npt.NDArray[np.bool_]

_SCOUT_MM = 4.0
_WM_GAIN = 1.25
CSF_GAIN = (2.5, 5.0)
"""Range of the gain on fluid in adults of any age."""


@dataclass(frozen=True)
class Scout:
    """A coarse look at the anatomy, to find the brain and to place a tumour.

    Args:
        grid: 4 mm, over the field of view.
        brain: fraction of each voxel inside the brain.
        wm: white-matter fraction.
        ventricle_mm: distance to the ventricles.
        template_mm: (3, x, y, z) template position of each voxel.
    """

    grid: Grid
    brain: Array
    wm: Array
    ventricle_mm: Array
    template_mm: Array


@dataclass(frozen=True)
class Anatomy:
    """Tissue fractions on the part of the grid that holds the brain; arrays x y z.

    In the brain ``gm + wm + csf`` is one; outside, all are zero.

    Args:
        grid: the part.
        window: where it lies in the whole grid.
        brain: the brain mask.
        gm, wm, csf: tissue fractions.
        ventricle_mm: distance to the ventricles.
        structures: name → how far a voxel lies in it, 0 … 1 (see ``template.STRUCTURES``).
    """

    grid: Grid
    window: Window
    brain: Mask
    gm: Array
    wm: Array
    csf: Array
    ventricle_mm: Array
    structures: Mapping[str, Array]


def scout(warp: Warp, grid: Grid) -> Scout:
    """Evaluate the warped template on a 4 mm grid over the field of view of `grid`."""
    coarse = grid.respaced(_SCOUT_MM, pad=1)
    at = warp.to_template(coarse.points_mm())
    template = load_template()
    brain, wm = (
        sample(m, at, origin_mm=template.origin_mm, step_mm=1.0)
        for m in (template.brain, template.wm)
    )
    ventricle = sample(template.ventricle_mm, at, origin_mm=template.origin_mm, step_mm=2.0)
    return Scout(coarse, brain, wm, ventricle, at)


def positions_mm(warp: Warp, grid: Grid) -> Array:
    """(3, x, y, z) template position of each voxel, interpolated linearly from every 4 mm."""
    coarse = grid.respaced(_SCOUT_MM, pad=1)
    weights = upsampling(coarse, grid)
    return np.stack([apply_separable(c, weights) for c in warp.to_template(coarse.points_mm())])


def realise(
    rng: np.random.Generator,
    warp: Warp,
    *,
    grid: Grid,
    csf_gain: tuple[float, float] = CSF_GAIN,
) -> Anatomy:
    """The anatomy on the grid.

    The averaged template maps are sharpened (squared and renormalised) with a random gain on
    fluid, which opens the sulci to a subject's own width, and a random field on each class, which
    makes the folds of one subject differ from the average.

    Args:
        rng: source of randomness.
        warp: from the subject to the template.
        grid: field of view and spacing.
        csf_gain: range that the gain on fluid is drawn from; the more, the wider the sulci.

    Returns:
        Tissue fractions on the brain's bounding box.
    """
    look = scout(warp, grid)
    window = _window(look, grid)
    part = grid.crop(window)
    weights = upsampling(look.grid, part)
    template_mm = np.stack([apply_separable(c, weights) for c in look.template_mm])
    template = load_template()

    inside = apply_separable((look.brain > 0).astype(np.float32), weights) > 0
    at = template_mm[:, inside]
    surface = sample(template.brain, at, origin_mm=template.origin_mm, step_mm=1.0)
    extraction = smooth_field(rng, part.shape, spacing_mm=part.spacing_mm, scale_mm=15.0)[inside]
    brain = np.zeros(part.shape, bool)
    brain[inside] = surface > np.clip(0.65 + 0.2 * extraction, 0.2, 0.95)

    at = at[:, brain[inside]]
    gm, wm = (
        sample(m, at, origin_mm=template.origin_mm, step_mm=1.0) for m in (template.gm, template.wm)
    )
    tissues = _individualise(rng, gm, wm, brain=brain, grid=part, csf_gain=csf_gain)
    gm, wm, csf = (_scatter(t, brain) for t in tissues)
    ventricle = apply_separable(look.ventricle_mm, weights)
    structures = {
        name: apply_separable(structure(name, look.template_mm), weights) for name in STRUCTURES
    }
    return Anatomy(part, window, brain, gm, wm, csf, ventricle, structures)


def _individualise(
    rng: np.random.Generator,
    gm: Array,
    wm: Array,
    *,
    brain: Mask,
    grid: Grid,
    csf_gain: tuple[float, float],
) -> tuple[Array, Array, Array]:
    """Sharpen the averaged maps and give them a subject's own folds."""

    def fold(spread: float) -> Array:
        field = smooth_field(rng, grid.shape, spacing_mm=grid.spacing_mm, scale_mm=4.0)[brain]
        gain: Array = np.clip(1.0 + np.float32(spread) * field, 0.2, None)
        return gain

    white = _sharpen(_WM_GAIN * wm * fold(0.25), gm, 4)
    solid = gm + wm
    gain = np.float32(rng.uniform(*csf_gain))
    fluid = _sharpen(gain * np.clip(1.0 - solid, 0.0, 1.0) * fold(0.45), solid, 5)
    white *= 1.0 - fluid
    return 1.0 - fluid - white, white, fluid


def _sharpen(one: Array, other: Array, power: int) -> Array:
    """Fraction of the first of two classes after both are raised to a power."""
    high = one**power
    out: Array = high / (high + other**power + np.float32(1e-6))
    return out


def _window(look: Scout, grid: Grid) -> Window:
    """Bounds of the brain in voxels of `grid`, on the lattice of the scout."""
    step = look.grid.spacing_mm / grid.spacing_mm

    def bounds(axis: int) -> slice:
        others = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero((look.brain > 0).any(axis=others))
        first, last = int(hit[0] * step), int(np.ceil((hit[-1] + 1) * step))
        return slice(max(first, 0), min(last, grid.shape[axis]))

    return bounds(0), bounds(1), bounds(2)


def upsampling(coarse: Grid, fine: Grid) -> tuple[Array, Array, Array]:
    """Matrices that interpolate values on `coarse` at the voxels of `fine`."""
    x, y, z = (
        linear_weights((axis - origin) / coarse.spacing_mm, count)
        for axis, origin, count in zip(fine.axes_mm(), coarse.origin_mm, coarse.shape, strict=True)
    )
    return x, y, z


def _scatter(values: Array, mask: Mask) -> Array:
    out = np.zeros(mask.shape, np.float32)
    out[mask] = values
    return out
