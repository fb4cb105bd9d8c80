"""A subject's brain: the MNI152 tissue maps through a random warp, on the subject's grid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.deformation import Warp
from monai_transfer.simulation.fields import Array, apply_separable, linear_weights, smooth_field
from monai_transfer.simulation.grid import Grid, Window
from monai_transfer.simulation.template import choroid, iron, load_template, sample

Mask = npt.NDArray[np.bool_]

_SCOUT_MM = 4.0


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
        iron: iron content of grey matter, 0 … 1.
        choroid: fraction of ventricular fluid taken by choroid plexus.
        ventricle_mm: distance to the ventricles.
    """

    grid: Grid
    window: Window
    brain: Mask
    gm: Array
    wm: Array
    csf: Array
    iron: Array
    choroid: Array
    ventricle_mm: Array


def scout(warp: Warp, grid: Grid) -> Scout:
    """Evaluate the warped template on a 4 mm grid over the field of view of `grid`."""
    coarse = grid.respaced(_SCOUT_MM, pad=1)
    points = np.stack(np.meshgrid(*coarse.axes_mm(), indexing="ij"))
    at = warp.to_template(points)
    template = load_template()
    brain, wm = (
        sample(m, at, origin_mm=template.origin_mm, step_mm=1.0)
        for m in (template.brain, template.wm)
    )
    ventricle = sample(template.ventricle_mm, at, origin_mm=template.origin_mm, step_mm=2.0)
    return Scout(coarse, brain, wm, ventricle, at)


def realise(rng: np.random.Generator, warp: Warp, *, grid: Grid) -> Anatomy:
    """The anatomy on the grid.

    The averaged template maps are sharpened (squared and renormalised) with a random gain on
    fluid, which opens the sulci to a subject's own width, and a random field on each class, which
    makes the folds of one subject differ from the average.

    Args:
        rng: source of randomness.
        warp: from the subject to the template.
        grid: field of view and spacing.

    Returns:
        Tissue fractions on the brain's bounding box.
    """
    look = scout(warp, grid)
    window = _window(look, grid)
    part = grid.crop(window)
    weights = _upsampling(look.grid, part)
    template_mm = np.stack([apply_separable(c, weights) for c in look.template_mm])
    template = load_template()

    inside = apply_separable((look.brain > 0).astype(np.float32), weights) > 0
    at = template_mm[:, inside]
    surface = sample(template.brain, at, origin_mm=template.origin_mm, step_mm=1.0)
    extraction = smooth_field(rng, part.shape, spacing_mm=part.spacing_mm, scale_mm=15.0)[inside]
    brain = np.zeros(part.shape, bool)
    brain[inside] = surface > np.clip(0.5 + 0.2 * extraction, 0.1, 0.95)

    at = at[:, brain[inside]]
    gm, wm = (
        sample(m, at, origin_mm=template.origin_mm, step_mm=1.0)
        for m in (template.gm, template.wm)
    )
    tissues = _individualise(rng, gm, wm, brain=brain, spacing_mm=part.spacing_mm)
    coarse = (iron(look.template_mm), choroid(look.template_mm), look.ventricle_mm)
    smooth = [np.where(brain, apply_separable(c, weights), 0).astype(np.float32) for c in coarse]
    return Anatomy(part, window, brain, *(_scatter(t, brain) for t in tissues), *smooth)


def _individualise(
    rng: np.random.Generator, gm: Array, wm: Array, *, brain: Mask, spacing_mm: float
) -> tuple[Array, Array, Array]:
    csf_gain = rng.uniform(1.2, 2.6)
    csf = np.clip(1.0 - gm - wm, 0.0, 1.0)
    shape: tuple[int, int, int] = brain.shape  # type: ignore[assignment]
    sharp = []
    for fraction, gain, spread in ((gm, 1.0, 0.25), (wm, 1.25, 0.25), (csf, csf_gain, 0.5)):
        folds = smooth_field(rng, shape, spacing_mm=spacing_mm, scale_mm=5.0)[brain]
        sharp.append((gain * fraction * np.clip(1.0 + spread * folds, 0.2, None)) ** 2)
    total = sharp[0] + sharp[1] + sharp[2] + np.float32(1e-6)
    gm, wm = sharp[0] / total, sharp[1] / total
    return gm, wm, np.clip(1.0 - gm - wm, 0.0, 1.0)


def _window(look: Scout, grid: Grid) -> Window:
    """Bounds of the brain in voxels of `grid`, on the lattice of the scout."""
    bounds = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hit = np.flatnonzero((look.brain > 0).any(axis=others))
        step = look.grid.spacing_mm / grid.spacing_mm
        first, last = int(hit[0] * step), int(np.ceil((hit[-1] + 1) * step))
        bounds.append(slice(max(first, 0), min(last, grid.shape[axis])))
    return tuple(bounds)  # type: ignore[return-value]


def _upsampling(coarse: Grid, fine: Grid) -> tuple[Array, Array, Array]:
    """Matrices that interpolate values on `coarse` at the voxels of `fine`."""
    return tuple(  # type: ignore[return-value]
        linear_weights((axis - origin) / coarse.spacing_mm, count)
        for axis, origin, count in zip(fine.axes_mm(), coarse.origin_mm, coarse.shape, strict=True)
    )


def _scatter(values: Array, mask: Mask) -> Array:
    out = np.zeros(mask.shape, np.float32)
    out[mask] = values
    return out
