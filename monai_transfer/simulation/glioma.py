"""Gliomas: necrosis inside an enhancing rim inside oedema (HGG), or a non-enhancing mass (LGG)."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from monai_transfer.errors import choice
from monai_transfer.simulation.anatomy import Anatomy, Scout
from monai_transfer.simulation.deformation import Push
from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.grid import Window
from monai_transfer.simulation.pathology import Labels, Pathology, soft_step, threshold_for_volume

GRADES = ("HGG", "LGG")
CORE, OEDEMA, ENHANCING = 1, 2, 4
"""Labels of BraTS: necrotic or non-enhancing core, oedema, enhancing tumour."""

NON_ENHANCING = 3
"""What of the core is not dead, in the labels of BraTS until 2016."""

_WHOLE_ML = (10.0, 200.0)
_CONTEXT_MM = 60.0  # how far beyond the core oedema may reach
_EDGE_MM = 2.0
_RIM_MM = np.float32(3.0)  # thinnest enhancing rim


@dataclass(frozen=True)
class GliomaPlan:
    """One tumour before it is drawn.

    Args:
        grade: ``HGG`` or ``LGG``.
        push: where it lies, and its mass effect.
        core_ml, oedema_ml: volumes aimed at.
        necrotic_fraction: part of the core that is dead (HGG).
        enhancing_ml: volume of the enhancing nodule (LGG; 0 for none).
    """

    grade: str
    push: Push
    core_ml: float
    oedema_ml: float
    necrotic_fraction: float
    enhancing_ml: float


def plan_glioma(rng: np.random.Generator, look: Scout, *, grade: str) -> GliomaPlan:
    """Draw size, place and mass effect of a tumour.

    Args:
        rng: source of randomness.
        look: coarse anatomy without the tumour.
        grade: ``HGG`` or ``LGG``.

    Returns:
        A plan; its `push` belongs into the warp before the anatomy is realised.

    Raises:
        InputError: for another grade.

    Source: volumes and the share of subjects without enhancement are set after those of the BraTS
        2018 training set (whole 10–200 mL); the distributions are ours.
    """
    if grade not in GRADES:
        raise choice("glioma", "grade", grade, GRADES)
    high = grade == "HGG"
    core_ml = float(np.clip(rng.lognormal(np.log(38.0 if high else 34.0), 0.65), 6.0, 110.0))
    oedema_ml = float(np.clip(rng.lognormal(np.log(52.0 if high else 22.0), 0.65), 4.0, 130.0))
    excess = min(1.0, (_WHOLE_ML[1] - core_ml) / oedema_ml)
    radius_mm = 10.0 * (3.0 * core_ml / (4.0 * np.pi)) ** (1.0 / 3.0)
    strength = float(rng.uniform(0.2, 0.55) if high else rng.uniform(0.05, 0.35))
    nodule_ml = float(rng.uniform(0.3, 0.12 * core_ml)) if rng.uniform() < 0.55 else 0.0
    return GliomaPlan(
        grade,
        Push(_draw_centre(rng, look, radius_mm), 1.2 * radius_mm + 5.0, strength),
        core_ml,
        oedema_ml * excess,
        float(rng.uniform(0.25, 0.7)) if high else 0.0,
        0.0 if high else nodule_ml,
    )


def _draw_centre(
    rng: np.random.Generator, look: Scout, radius_mm: float
) -> tuple[float, float, float]:
    """Supratentorial white matter, at least half a radius deep."""
    spacing = look.grid.spacing_mm
    depth = ndimage.distance_transform_edt(look.brain > 0.5, sampling=spacing)
    above = (look.template_mm[2] > -8.0) | (look.template_mm[1] > -25.0)
    above &= (look.template_mm[2] > -25.0) & (np.abs(look.template_mm[0]) > 10.0)
    deep = np.clip(depth, 0.0, 30.0) > max(10.0, 0.6 * radius_mm)
    weight = np.where(above & deep, look.wm + 0.1, 0.0)
    at = np.searchsorted(np.cumsum(weight), rng.uniform(0.0, float(weight.sum())))
    voxel = np.array(np.unravel_index(at, weight.shape)) + rng.uniform(-0.5, 0.5, 3)
    x, y, z = (float(o + spacing * v) for o, v in zip(look.grid.origin_mm, voxel, strict=True))
    return x, y, z


def draw_glioma(rng: np.random.Generator, anatomy: Anatomy, *, plan: GliomaPlan) -> Pathology:
    """Draw a planned tumour into a brain already deformed by it.

    Args:
        rng: source of randomness.
        anatomy: the brain, its warp carrying the plan's push.
        plan: size and place.

    Returns:
        Oedema, tumour, enhancing tissue and necrosis as fractions; labels 0, 1, 2, 4.
    """
    return _Tumour(rng, anatomy, plan).draw()


def with_core_told_apart(glioma: Pathology) -> Pathology:
    """A glioma with the labels of BraTS until 2016: of its core 1 is dead, 3 is not.

    Args:
        glioma: with the labels of :func:`draw_glioma`.

    Example:
        >>> core = np.ones((1, 1, 2), np.uint8)
        >>> parts = {"tumour": np.float32([[[0.9, 0.2]]]), "necrosis": np.float32([[[0.1, 0.7]]])}
        >>> with_core_told_apart(Pathology(parts, core)).label.ravel()
        array([3, 1], dtype=uint8)
    """
    alive = glioma.fractions["tumour"] > glioma.fractions["necrosis"]
    label = np.where((glioma.label == CORE) & alive, np.uint8(NON_ENHANCING), glioma.label)
    return replace(glioma, label=label)


class _Tumour:
    """The region around one tumour, and the fields that shape it."""

    def __init__(self, rng: np.random.Generator, anatomy: Anatomy, plan: GliomaPlan) -> None:
        self._rng, self._plan, self._whole = rng, plan, anatomy
        self._spacing = anatomy.grid.spacing_mm
        self._radius_mm = 10.0 * (3.0 * plan.core_ml / (4.0 * np.pi)) ** (1.0 / 3.0)
        self._window = self._around(1.6 * self._radius_mm + _CONTEXT_MM)
        self._brain = anatomy.brain[self._window]
        self._wm = anatomy.wm[self._window]
        self._tissue = np.where(self._brain, 1.0 - anatomy.csf[self._window], 0.0)
        self._grid = anatomy.grid.crop(self._window)
        self._shape = self._grid.shape

    def draw(self) -> Pathology:
        depth = self._depth_in_core()
        core = soft_step(depth, _EDGE_MM) * np.clip(2.0 * self._tissue, 0.0, 1.0)
        oedema = self._oedema(depth)
        if self._plan.grade == "HGG":
            enhancing, dead = self._rim(depth, core)
            solid = core - enhancing - dead
        else:
            enhancing, dead = self._nodule(core), np.zeros_like(core)
            solid = core - enhancing
        label = np.zeros(self._shape, np.uint8)
        label[oedema > 0.5] = OEDEMA
        label[core > 0.5] = CORE
        label[(core > 0.5) & (enhancing > 0.5 * core)] = ENHANCING
        strength = float(self._rng.uniform(0.8, 1.0))
        fractions = {
            "oedema": oedema * (1.0 - core) * strength,
            "tumour": solid,
            "enhancing": enhancing,
            "necrosis": dead,
        }
        return self._paste(fractions, label)

    def _around(self, reach_mm: float) -> Window:
        grid, where = self._whole.grid, self._plan.push.centre_mm
        reach = reach_mm / grid.spacing_mm

        def bounds(axis: int) -> slice:
            centre = (where[axis] - grid.origin_mm[axis]) / grid.spacing_mm
            return slice(
                max(0, int(centre - reach)), min(grid.shape[axis], int(centre + reach) + 1)
            )

        return bounds(0), bounds(1), bounds(2)

    def _field(self, scale_mm: float) -> Array:
        return smooth_field(self._rng, self._shape, spacing_mm=self._spacing, scale_mm=scale_mm)

    def _lowest(self, score: Array, where: npt.NDArray[np.bool_], volume_ml: float) -> float:
        """Score below which `volume_ml` of the voxels in `where` lie."""
        return -threshold_for_volume(-score[where], 1000.0 * volume_ml / self._spacing**3)

    def _depth_in_core(self) -> Array:
        """Distance inside the core's surface, about in mm; negative outside."""
        rng, plan = self._rng, self._plan
        axes = np.exp(rng.normal(0.0, 0.2, 3))
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0] / axes[:, None]
        points = [
            (axis - c).astype(np.float32)
            for axis, c in zip(self._grid.axes_mm(), plan.push.centre_mm, strict=True)
        ]
        x, y, z = (p.reshape([-1 if i == a else 1 for i in range(3)]) for a, p in enumerate(points))
        squares = [(row[0] * x + row[1] * y + row[2] * z) ** 2 for row in turn.astype(np.float32)]
        radial = np.sqrt(squares[0] + squares[1] + squares[2])
        lumps = 1.0 + 0.2 * self._field(0.7 * self._radius_mm + 4.0) + 0.09 * self._field(5.0)
        radial *= np.clip(lumps, 0.5, None)
        # The falx holds a tumour back: across the midline every millimetre counts double.
        side = np.sign(plan.push.centre_mm[0] - self._midline_mm())
        beyond = -side * (x + np.float32(plan.push.centre_mm[0] - self._midline_mm()))
        radial = (radial + np.clip(beyond, 0.0, None)).astype(np.float32)
        limit = self._lowest(radial, self._tissue > 0.5, plan.core_ml)
        depth: Array = np.float32(limit) - radial
        return depth

    def _midline_mm(self) -> float:
        x = self._whole.grid.axes_mm()[0]
        return float(np.average(x, weights=self._whole.brain.sum(axis=(1, 2))))

    def _oedema(self, depth: Array) -> Array:
        """Around the core, far along white matter and little into cortex; outside included."""
        outside_mm = np.clip(-depth, 0.0, None)
        score = outside_mm * (1.0 + 2.5 * (1.0 - self._wm)) + 5.0 * (1.0 - self._wm)
        score += 4.5 * self._field(9.0) + 1.5 * self._field(4.0)
        free = (self._tissue > 0.5) & (depth < 0.0) & (outside_mm < _CONTEXT_MM)
        limit = self._lowest(score, free, self._plan.oedema_ml)
        inside = soft_step(np.float32(limit) - score, 2.0 * _EDGE_MM) * self._tissue
        inside = np.where(depth > 0.0, np.maximum(inside, self._tissue), inside)
        regions, _ = ndimage.label(inside > 0.25)
        touching = np.unique(regions[(depth > -self._spacing) & (inside > 0.25)])
        kept = np.isin(regions, touching[touching > 0])
        return np.where(kept, inside, 0.0).astype(np.float32)

    def _rim(self, depth: Array, core: Array) -> tuple[Array, Array]:
        """Enhancing rim of uneven thickness around the dead centre (HGG)."""
        uneven = depth + 0.22 * self._radius_mm * self._field(0.5 * self._radius_mm + 3.0)
        dead_ml = self._plan.necrotic_fraction * self._plan.core_ml
        limit = -self._lowest(-uneven, depth > _RIM_MM, dead_ml)
        dead = soft_step(uneven - np.float32(limit), _EDGE_MM) * soft_step(depth - _RIM_MM, 1.0)
        quiet = np.clip(2.0 * self._field(8.0) - 2.6, 0.0, 1.0)  # solid parts that do not enhance
        dead = dead * core
        return ((core - dead) * (1.0 - quiet)).astype(np.float32), dead.astype(np.float32)

    def _nodule(self, core: Array) -> Array:
        """A small enhancing part of a low-grade tumour, or none."""
        if self._plan.enhancing_ml == 0.0:
            return np.zeros_like(core)
        score = self._field(7.0)
        limit = self._lowest(score, core > 0.9, self._plan.enhancing_ml)
        return (soft_step((np.float32(limit) - score) * 6.0, _EDGE_MM) * core).astype(np.float32)

    def _paste(self, fractions: dict[str, Array], label: Labels) -> Pathology:
        shape = self._whole.brain.shape
        whole = {name: np.zeros(shape, np.float32) for name in fractions}
        for name, part in fractions.items():
            whole[name][self._window] = np.clip(part, 0.0, 1.0)
        labels = np.zeros(shape, np.uint8)
        labels[self._window] = label
        return Pathology(whole, labels)
