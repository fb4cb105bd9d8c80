"""The MNI152 template and what is derived from it once per process."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.simulation.fields import Array

Points: TypeAlias = npt.NDArray[np.floating]

CENTRE_MM = (0.0, -22.0, 9.5)
"""Centre of mass of the template brain."""

# Structures the tissue maps do not tell apart, as ellipsoids on both sides: centre and semi-axes in
# MNI millimetres (right side), weight. After the Harvard-Oxford and Talairach atlases, rounded.
_Ellipsoid = tuple[tuple[float, float, float], tuple[float, float, float], float]
STRUCTURES: Mapping[str, tuple[_Ellipsoid, ...]] = MappingProxyType(
    {
        # grey nuclei by their iron: pallidum, putamen, caudate, red nucleus, substantia nigra
        "iron": (
            ((20.0, -4.0, -1.0), (6.0, 9.0, 6.0), 1.0),
            ((27.0, 3.0, 1.0), (6.0, 13.0, 9.0), 0.45),
            ((13.0, 12.0, 9.0), (5.0, 10.0, 9.0), 0.35),
            ((5.0, -21.0, -8.0), (3.5, 3.5, 3.5), 0.9),
            ((10.0, -18.0, -11.0), (5.0, 5.0, 3.0), 0.9),
        ),
        # cortex that is brighter on FLAIR: insula, cingulate, hippocampus and amygdala
        "limbic": (
            ((38.0, 2.0, 0.0), (7.0, 19.0, 13.0), 1.0),
            ((4.0, 18.0, 28.0), (6.0, 22.0, 12.0), 0.8),
            ((4.0, -40.0, 30.0), (6.0, 16.0, 10.0), 0.6),
            ((26.0, -16.0, -16.0), (9.0, 20.0, 8.0), 1.0),
        ),
        # choroid plexus: floor of the bodies and atria of the lateral ventricles
        "choroid": (
            ((23.0, -42.0, 8.0), (5.0, 7.0, 6.0), 1.0),
            ((12.0, -22.0, 17.0), (4.0, 12.0, 4.0), 0.6),
        ),
        # great veins: of Galen with the straight sinus, superior sagittal and transverse sinus
        "sinus": (
            ((0.0, -44.0, 4.0), (2.5, 9.0, 5.0), 0.9),
            ((0.0, -70.0, 0.0), (2.0, 18.0, 4.0), 0.7),
            ((0.0, -96.0, 12.0), (4.0, 7.0, 22.0), 0.9),
            ((0.0, -72.0, 54.0), (4.0, 14.0, 9.0), 0.8),
            ((40.0, -76.0, -24.0), (18.0, 10.0, 3.5), 0.7),
        ),
        # where hyperintensities cap the ventricles: before the anterior, behind the posterior horns
        "caps": (
            ((19.0, 36.0, 6.0), (8.0, 10.0, 9.0), 1.0),
            ((30.0, -66.0, 14.0), (9.0, 11.0, 10.0), 1.0),
        ),
        # white matter that small vessel disease leaves alone: callosum, brain stem, cerebellum
        "spared": (
            ((0.0, 6.0, 22.0), (7.0, 36.0, 10.0), 1.0),
            ((0.0, 30.0, 8.0), (8.0, 8.0, 12.0), 1.0),
            ((0.0, -40.0, 12.0), (14.0, 9.0, 11.0), 1.0),
            ((0.0, -24.0, -24.0), (20.0, 20.0, 22.0), 1.0),
            ((24.0, -62.0, -36.0), (34.0, 30.0, 22.0), 1.0),
        ),
    }
)
"""Names and shapes of what :func:`structure` draws."""


@dataclass(frozen=True)
class Template:
    """Tissue maps of the MNI152 average brain; arrays x y z, RAS+.

    Args:
        gm, wm: tissue fractions at 1 mm; cerebrospinal fluid is the rest of the brain.
        brain: blurred brain mask at 1 mm; the surface is at one half.
        origin_mm: world position of the first voxel of the maps at 1 mm.
        ventricle_mm: distance to the lateral and third ventricles, at 2 mm.
        growth: (3, x, y, z) unit-peak field pointing into the ventricles, at 4 mm.
    """

    gm: Array
    wm: Array
    brain: Array
    origin_mm: tuple[float, float, float]
    ventricle_mm: Array
    growth: Array


@lru_cache(maxsize=1)
def load_template() -> Template:
    """The template, from files inside nilearn's wheel; no network.

    Source: Fonov et al., NeuroImage 2009;47:S102 (ICBM152 2009a symmetric), as nilearn ships it.
    """
    from nilearn import datasets  # a second of imports: only where a subject is made

    maps = [
        load(resolution=1)
        for load in (
            datasets.load_mni152_gm_template,
            datasets.load_mni152_wm_template,
            datasets.load_mni152_template,
        )
    ]
    gm, wm, t1 = (np.ascontiguousarray(m.get_fdata(dtype=np.float32)) for m in maps)
    origin = tuple(float(v) for v in maps[0].affine[:3, 3])
    mask = t1 > 0
    inside = _ventricles(np.where(mask, 1.0 - gm - wm, 0.0).astype(np.float32), origin)
    halved = inside[::2, ::2, ::2]
    coarse = ndimage.gaussian_filter(halved.astype(np.float32), 2.5)[::2, ::2, ::2]
    growth = np.stack(np.gradient(coarse)).astype(np.float32)
    return Template(
        gm=gm,
        wm=wm,
        brain=ndimage.uniform_filter(mask.astype(np.float32), 3),
        origin_mm=origin,  # type: ignore[arg-type]
        ventricle_mm=ndimage.distance_transform_edt(~halved, sampling=2.0).astype(np.float32),
        growth=growth / np.linalg.norm(growth, axis=0).max(),
    )


def _ventricles(csf: Array, origin_mm: tuple[float, ...]) -> npt.NDArray[np.bool_]:
    """Fluid inside the box of the lateral and third ventricles, less the midline cisterns."""
    x, y, z = (
        np.arange(n, dtype=np.float32).reshape([-1 if i == axis else 1 for i in range(3)]) + o
        for axis, (n, o) in enumerate(zip(csf.shape, origin_mm, strict=True))
    )
    lateral = (np.abs(x) < 38) & (y > -72) & (y < 38) & (z > -4) & (z < 34)
    third = (np.abs(x) < 5) & (y > -28) & (y < 8) & (z > -12) & (z < 10)
    cistern = (np.abs(x) < 11) & (y < -28)
    sylvian = (np.abs(x) > 26) & (y > -32)
    return (csf > 0.5) & ((lateral & ~sylvian & ~cistern) | third)


def column(values: Iterable[float], dims: int) -> npt.NDArray[np.float64]:
    """Three numbers, one per axis, shaped to broadcast with a (3, …) array of `dims` dimensions."""
    return np.reshape(np.fromiter(values, float), (3,) + (1,) * (dims - 1))


def structure(name: str, points_mm: Points) -> Array:
    """How far template positions (3, x, y, z) lie in one of `STRUCTURES`, 0 … 1."""
    total = np.zeros(points_mm.shape[1:], np.float32)
    folded = np.concatenate([np.abs(points_mm[:1]), points_mm[1:]])  # both hemispheres
    for centre, axes, weight in STRUCTURES[name]:
        at = (folded - column(centre, 4)) / column(axes, 4)
        inside = np.clip(1.8 - 1.3 * np.linalg.norm(at, axis=0), 0.0, 1.0)
        total = np.maximum(total, weight * inside.astype(np.float32))
    return total


def sample(
    values: Array, points_mm: Points, *, origin_mm: tuple[float, ...], step_mm: float
) -> Array:
    """Linear interpolation of a template map at (3, …) world positions; 0 outside."""
    index = (points_mm - column(origin_mm, points_mm.ndim)) / step_mm
    out: Array = ndimage.map_coordinates(
        values, index.astype(np.float32), order=1, output=np.float32
    )
    return out
