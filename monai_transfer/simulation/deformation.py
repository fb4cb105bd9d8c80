"""From a subject's millimetres to the template's: affine, smooth diffeomorphism, mass effect."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.template import CENTRE_MM, Points, column, load_template, sample

TEMPLATE_BRAIN_ML = 1886.5
_LATTICE_MM = 5.0
_SQUARINGS = 5


@dataclass(frozen=True)
class Push:
    """Mass effect: tissue displaced radially away from a centre.

    A point at distance r from the centre shows the tissue that lay at
    ``r · (1 − strength · exp(−r² / 2 reach²))``; the map is one to one for strength < 1.

    Args:
        centre_mm: subject position of the centre.
        reach_mm: distance over which the displacement dies out.
        strength: 0 (none) … below 1 (everything at the centre moved out).

    Example:
        >>> push = Push((0.0, 0.0, 0.0), reach_mm=20.0, strength=0.5)
        >>> push.undo(np.array([[20.0], [0.0], [0.0]])).round(2).ravel()
        array([13.93,  0.  ,  0.  ])
    """

    centre_mm: tuple[float, float, float]
    reach_mm: float
    strength: float

    def undo(self, points_mm: Points) -> Points:
        """Where the tissue now at `points_mm` (3, …) was before."""
        offset = points_mm - column(self.centre_mm, points_mm.ndim)
        squared = np.sum(offset**2, axis=0)
        before: Points = points_mm - offset * self.strength * np.exp(
            -squared / (2 * self.reach_mm**2)
        )
        return before


@dataclass(frozen=True)
class Warp:
    """Map from subject to template positions.

    Args:
        matrix: (3, 3) linear part of the affine, about the two brains' centres.
        centre_mm: where the template's centre of mass lies in the subject.
        displacement: (3, x, y, z) template-space displacement on a lattice over the template, mm.
        push: mass effect of a tumour; ``None`` for none.
    """

    matrix: npt.NDArray[np.float64]
    centre_mm: tuple[float, float, float]
    displacement: Array
    push: Push | None = None

    def to_template(self, points_mm: Points) -> Array:
        """Template positions of subject positions, (3, …) → (3, …)."""
        if self.push is not None:
            points_mm = self.push.undo(points_mm)
        centred = points_mm - column(self.centre_mm, points_mm.ndim)
        affine = np.tensordot(self.matrix, centred, axes=1) + column(CENTRE_MM, points_mm.ndim)
        origin = load_template().origin_mm
        moved = [
            sample(u, affine, origin_mm=origin, step_mm=_LATTICE_MM) for u in self.displacement
        ]
        at: Array = (affine + np.stack(moved)).astype(np.float32)
        return at

    def pushed(self, push: Push) -> "Warp":
        """This warp with a mass effect."""
        return replace(self, push=push)


def draw_warp(
    rng: np.random.Generator,
    centre_mm: tuple[float, float, float],
    *,
    brain_ml: float,
    ageing_mm: float = 0.0,
) -> Warp:
    """A random anatomy: size, pose, shape, and width of the ventricles.

    Args:
        rng: source of randomness.
        centre_mm: where the brain's centre goes.
        brain_ml: volume of the brain with its inner and outer fluid.
        ageing_mm: how much farther the walls of the ventricles have moved outwards than in adults
            of any age.

    Returns:
        The map from the subject to the MNI152 template.

    Source: ours. Rigid residuals are those of scans aligned to a template; the ranges of shape and
        of ventricles are set by eye and by the volumes measured on real scans.
    """
    size = (TEMPLATE_BRAIN_ML / brain_ml) ** (1.0 / 3.0)
    # Real brains are flatter than the average template: their height is scaled down more.
    stretch = np.exp(rng.normal(0.0, 0.025, 3)) * np.array([1.0, 1.0, 1.05])
    stretch *= size / np.cbrt(np.prod(stretch))
    angles = np.deg2rad(rng.normal(0.0, [3.0, 1.5, 1.5]))  # pitch, roll, yaw
    shear = np.eye(3) + np.triu(rng.normal(0.0, 0.015, (3, 3)), 1)
    matrix = _rotation(angles) @ shear @ np.diag(stretch)
    x, y, z = (c + float(d) for c, d in zip(centre_mm, rng.normal(0.0, 1.5, 3), strict=True))
    return Warp(matrix, (x, y, z), exponentiate(_velocity(rng, ageing_mm)))


def _rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    return matrix


def _velocity(rng: np.random.Generator, ageing_mm: float) -> Array:
    """Velocity field in mm on the lattice: lobes, gyri, ventricles."""
    template = load_template()
    x, y, z = (int(np.ceil(n / _LATTICE_MM)) + 1 for n in template.gm.shape)
    grid = Grid((x, y, z), _LATTICE_MM, template.origin_mm)
    growth_mm = np.float32(np.clip(rng.lognormal(1.5, 0.75) - 2.0, -1.0, 12.0) + ageing_mm)
    points = grid.points_mm()
    components = []
    for grown in template.growth:
        component = growth_mm * sample(grown, points, origin_mm=template.origin_mm, step_mm=4.0)
        for scale_mm, sigma_mm in ((36.0, 2.2), (18.0, 1.8), (10.0, 1.0)):
            component += np.float32(sigma_mm) * smooth_field(
                rng, grid.shape, spacing_mm=_LATTICE_MM, scale_mm=scale_mm
            )
        components.append(component)
    return np.stack(components)


def exponentiate(velocity: Array) -> Array:
    """Displacement of the flow of a stationary velocity field, by scaling and squaring.

    Args:
        velocity: (3, x, y, z) in mm on the template lattice.

    Returns:
        (3, x, y, z) displacement in mm; the map it describes folds nowhere.

    Source: Arsigny et al., MICCAI 2006; doi:10.1007/11866565_113.
    """
    displacement = velocity / np.float32(2**_SQUARINGS)
    identity = np.indices(velocity.shape[1:], dtype=np.float32) * np.float32(_LATTICE_MM)
    zero = (0.0, 0.0, 0.0)
    for _ in range(_SQUARINGS):
        at = identity + displacement
        displacement = displacement + np.stack(
            [sample(u, at, origin_mm=zero, step_mm=_LATTICE_MM) for u in displacement]
        )
    return displacement
