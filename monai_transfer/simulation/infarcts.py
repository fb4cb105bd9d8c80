"""The shapes of infarcts: wedges of cortex, what perforating arteries feed, the hindbrain."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.fields import Array
from monai_transfer.simulation.structures import BRAIN_STEM, below_tentorium, in_ellipsoids
from monai_transfer.simulation.template import Points
from monai_transfer.simulation.territories import (
    PERFORATED_MM,
    PONS_MM,
    TERRITORIES,
    TERRITORY_SHARES,
    territory_mm,
)

_NEVER = np.float32(-1e6)
_Point = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Place:
    """The voxels that an infarct may take, as flat arrays.

    Args:
        template_mm: (3, n) template positions.
        grey: (n,) fraction of grey matter.
        broad, rough: (n,) smooth fields that make outlines uneven.
    """

    template_mm: Points
    grey: Array
    broad: Array
    rough: Array


def score_infarct(rng: np.random.Generator, place: Place, kind: str, *, volume_ml: float) -> Array:
    """How soon each voxel belongs to a new infarct, about in mm from its surface.

    Args:
        rng: source of randomness, for side and position.
        place: the voxels.
        kind: of ``territories.KINDS``.
        volume_ml: of the lesion; the outline of a small one is less uneven.

    Returns:
        (n,) score; what exceeds a limit is infarct, and what must not be is below -100 000.
    """
    side = 1.0 if rng.uniform() < 0.5 else -1.0
    x = side * place.template_mm[0]
    below, stem = below_tentorium(place.template_mm), in_ellipsoids(BRAIN_STEM, place.template_mm)
    if kind == "brain stem":
        centre = np.array(PONS_MM) * (side, 1.0, 1.0) + rng.normal(0.0, (1.5, 2.0, 7.0))
        score, allowed = _ellipsoid(rng, place, centre), (x > -1.0) & stem
    elif kind == "cerebellar":
        allowed = (x > 0.0) & below & ~stem
        apex = np.array([side * 12.0, -52.0, -34.0])
        score = _wedge(rng, place, apex, allowed=allowed)
    elif kind == "subcortical":
        at = np.array(PERFORATED_MM[int(rng.integers(len(PERFORATED_MM)))])
        centre = at * (side, 1.0, 1.0) + rng.normal(0.0, (3.0, 6.0, 4.0))
        score, allowed = _ellipsoid(rng, place, centre), (x > 2.0) & ~below & ~stem
    else:
        allowed = (x > 0.0) & ~below & ~stem
        score = _cortical(rng, place, side=side, allowed=allowed)
    radius_mm = np.cbrt(3000.0 * volume_ml / (4.0 * np.pi))
    uneven = np.float32(min(1.0, radius_mm / 8.0))
    outline = score + uneven * (2.5 * place.broad + 1.2 * place.rough)
    limited: Array = np.where(allowed, outline, _NEVER).astype(np.float32)
    return limited


def _cortical(
    rng: np.random.Generator, place: Place, *, side: float, allowed: npt.NDArray[np.bool_]
) -> Array:
    """A wedge of one territory, its apex at the lateral ventricle."""
    name = TERRITORIES[int(rng.choice(len(TERRITORIES), p=TERRITORY_SHARES))]
    inside_mm = territory_mm(name, place.template_mm)
    back_mm = -38.0 if name == "pca" else float(rng.uniform(-30.0, 15.0))
    apex = np.array([side * 24.0, back_mm, 12.0])
    wedge = _wedge(rng, place, apex, allowed=allowed & (inside_mm > 3.0))
    score: Array = wedge - np.float32(1.5) * np.clip(-inside_mm, 0.0, None)
    return score


def _wedge(
    rng: np.random.Generator, place: Place, apex: _Point, *, allowed: npt.NDArray[np.bool_]
) -> Array:
    """Minus the distance from the middle of a wedge's base, measured along arcs and inwards.

    The base is a point of cortex; the deeper a voxel, the later it is part of the wedge.
    """
    cortex = np.flatnonzero(allowed & (place.grey > 0.5))
    offset = place.template_mm - apex[:, None]
    reach_mm = np.linalg.norm(offset, axis=0)
    far = cortex[reach_mm[cortex] > np.percentile(reach_mm[cortex], 30.0)]
    base = offset[:, far[int(rng.integers(len(far)))]]
    radius_mm = float(np.linalg.norm(base))
    cosine = (base @ offset) / (radius_mm * np.maximum(reach_mm, 1e-3))
    arc_mm = radius_mm * np.arccos(np.clip(cosine, -1.0, 1.0))
    inwards_mm = np.clip(radius_mm - reach_mm, 0.0, None)
    score: Array = -np.hypot(arc_mm, 0.6 * inwards_mm).astype(np.float32)
    return score


def _ellipsoid(rng: np.random.Generator, place: Place, centre: _Point) -> Array:
    """Minus the distance from a centre, shorter along a perforating artery's upward course."""
    course = np.array([0.35 * np.sign(centre[0]), rng.normal(0.0, 0.4), 1.0])
    course /= np.linalg.norm(course)
    offset = place.template_mm - centre[:, None]
    along = course @ offset
    across = np.linalg.norm(offset - course[:, None] * along, axis=0)
    score: Array = -np.hypot(across, along / float(rng.uniform(1.0, 2.2))).astype(np.float32)
    return score
