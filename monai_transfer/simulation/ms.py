"""Multiple-sclerosis lesions: how many, how large, where, and of what tissue."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.pathology import Pathology, soft_step, threshold_for_volume
from monai_transfer.simulation.template import column

SIZE_LOG_MEAN, SIZE_LOG_SIGMA = 2.86, 1.69
"""Log-normal distribution of lesion volumes in mm³, 30 consensus masks of Lesjak 2018."""

_LOAD_ML = (0.33, 1.8, 14.1, 28.5, 52.6)  # minimum, quartiles, maximum of the same masks
_COUNTS = (18, 34, 85, 121, 419)
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SMALLEST_MM3 = 5.0  # smaller ones come about by partial volume
_LARGEST_MM3 = 1500.0  # larger ones are the confluent component
_TISSUES = ("faint_plaque", "plaque", "black_hole", "active_plaque")


@dataclass(frozen=True)
class Burden:
    """The lesions of one patient.

    Args:
        sizes_mm3: volume of each separate lesion.
        confluent_mm3: volume of the component that lines the ventricles.
    """

    sizes_mm3: npt.NDArray[np.float64]
    confluent_mm3: float


def draw_burden(rng: np.random.Generator) -> Burden:
    """Number, sizes and total volume of a patient's lesions.

    Count and total follow the quantiles of real consensus masks (and correlate); sizes are
    log-normal; the part of the total that the separate lesions leave is one confluent component.

    Source: quantiles measured on Lesjak et al., Neuroinformatics 2018;16:51; how they are combined
        is ours.

    Example:
        >>> burden = draw_burden(np.random.default_rng(0))
        >>> 18 <= len(burden.sizes_mm3) <= 419
        True
    """
    shared, *own = rng.standard_normal(3)
    count_at, load_at = (float(ndtr(0.8 * shared + 0.6 * z)) for z in own)
    count = round(float(np.exp(np.interp(count_at, _QUANTILES, np.log(_COUNTS)))))
    load_mm3 = 1000.0 * float(np.exp(np.interp(load_at, _QUANTILES, np.log(_LOAD_ML))))
    # Drawn larger: partial volume and patients with a small load shift the sizes back.
    sizes = rng.lognormal(SIZE_LOG_MEAN + 0.3, SIZE_LOG_SIGMA - 0.15, count)
    sizes = np.clip(sizes, _SMALLEST_MM3, min(_LARGEST_MM3, 0.5 * load_mm3))
    sizes *= min(1.0, 0.95 * load_mm3 / float(sizes.sum()))
    return Burden(np.sort(sizes)[::-1], load_mm3 - float(sizes.sum()))


def draw_ms(rng: np.random.Generator, anatomy: Anatomy) -> Pathology:
    """The lesions of one patient with multiple sclerosis.

    Args:
        rng: source of randomness.
        anatomy: the brain they lie in.

    Returns:
        Plaques, from faint to black holes, and active ones as fractions; label 1 where lesion
        fills more than half of a voxel.
    """
    burden = draw_burden(rng)
    canvas = _Canvas(rng, anatomy)
    canvas.paint_confluent(burden.confluent_mm3)
    centres = _draw_centres(rng, anatomy, len(burden.sizes_mm3))
    active = rng.poisson(0.6)
    for size_mm3, centre in zip(burden.sizes_mm3.tolist(), centres, strict=True):
        is_active = active > 0 and 20.0 < size_mm3 < 300.0
        canvas.paint(size_mm3, centre, active=is_active)
        active -= int(is_active)
    return canvas.finish()


def _draw_centres(rng: np.random.Generator, anatomy: Anatomy, count: int) -> npt.NDArray[np.intp]:
    """(count, 3) voxels: periventricular, juxtacortical or deep white matter."""
    wm, near = anatomy.wm, anatomy.ventricle_mm
    inner = wm * wm * (anatomy.gm < 0.5)
    weights = (
        inner * np.exp(-near / 4.0),
        wm * anatomy.gm * (wm > 0.35) * (near > 12.0),
        inner * (near > 5.0) * np.exp(-near / 25.0),
    )
    kinds = rng.choice(3, size=count, p=(0.4, 0.25, 0.35))
    centres = np.zeros((count, 3), np.intp)
    for kind, weight in enumerate(weights):
        cumulative = np.cumsum(weight, dtype=np.float64)
        wanted = np.flatnonzero(kinds == kind)
        at = np.searchsorted(cumulative, rng.uniform(0.0, cumulative[-1], len(wanted)))
        centres[wanted] = np.stack(np.unravel_index(at, wm.shape), axis=1)
    return centres


def _stages(destruction: Array) -> tuple[Array, Array, Array]:
    """Shares of faint plaque, plaque and black hole, from destruction 0 (faint) to 1 (hole).

    Only what T1 shows differs much: faint plaques are bright on FLAIR and hardly dark on T1.
    """
    faint = np.clip(1.0 - 2.0 * destruction, 0.0, 1.0).astype(np.float32)
    hole = np.clip(2.0 * destruction - 1.0, 0.0, 0.95).astype(np.float32)
    return faint, 1.0 - faint - hole, hole


class _Canvas:
    """Lesion fraction under construction, with the share of its tissues."""

    def __init__(self, rng: np.random.Generator, anatomy: Anatomy) -> None:
        self._rng, self._anatomy = rng, anatomy
        shape, spacing = anatomy.grid.shape, anatomy.grid.spacing_mm
        self._rough = smooth_field(rng, shape, spacing_mm=spacing, scale_mm=2.5)
        self._broad = smooth_field(rng, shape, spacing_mm=spacing, scale_mm=9.0)
        self._inside = np.zeros(shape, np.float32)
        self._parts = {name: np.zeros(shape, np.float32) for name in _TISSUES}
        self._severity = float(rng.uniform(0.9, 1.0))
        self._destruction = float(rng.beta(2.0, 2.2))  # this patient's mean, see _stages

    def paint_confluent(self, volume_mm3: float) -> None:
        """Line the ventricles, thickest where a smooth field says so, with a soft outer edge."""
        anatomy, spacing = self._anatomy, self._anatomy.grid.spacing_mm
        near = (anatomy.ventricle_mm < 25.0) & (anatomy.wm > 0.4)
        depth = (
            -anatomy.ventricle_mm[near] + 4.5 * self._broad[near] + 0.7 * self._rough[near]
        ).astype(np.float32)
        limit = threshold_for_volume(depth, volume_mm3 / spacing**3)
        if not np.isfinite(limit):
            return
        inside = soft_step(depth - np.float32(limit), max(2.0, spacing))
        destruction = self._destruction + 0.25 * self._broad[near] + 0.15 * self._rough[near]
        self._inside[near] = inside
        strength = inside * np.float32(self._severity)
        for name, share in zip(_TISSUES[:3], _stages(destruction), strict=True):
            self._parts[name][near] = strength * share

    def paint(self, size_mm3: float, centre: npt.NDArray[np.intp], *, active: bool) -> None:
        """One lesion: a randomly oriented ellipsoid with a rough outline."""
        rng, spacing = self._rng, self._anatomy.grid.spacing_mm
        # A rough outline holds a quarter more than the ellipsoid it is drawn around.
        radius_mm = (3.0 * size_mm3 / 1.25 / (4.0 * np.pi)) ** (1.0 / 3.0)
        long = float(rng.uniform(1.0, 1.9))
        axes_mm = radius_mm * np.array([long, long**-0.5, long**-0.5])
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        reach = int(np.ceil((1.4 * axes_mm[0] + 1.0) / spacing))
        patch = tuple(
            slice(max(0, int(c) - reach), min(n, int(c) + reach + 1))
            for c, n in zip(centre, self._inside.shape, strict=True)
        )
        offsets = np.mgrid[patch] - column(centre + rng.uniform(-0.5, 0.5, 3), 4)
        along = np.tensordot(turn / axes_mm[:, None], offsets * spacing, axes=1)
        distance = np.linalg.norm(along, axis=0) * (1.0 + 0.22 * self._rough[patch])
        edge_mm = max(spacing, min(1.6, 0.8 * radius_mm))
        inside = soft_step(((1.0 - distance) * radius_mm).astype(np.float32), edge_mm)
        np.minimum(inside, size_mm3 / spacing**3, out=inside)
        self._blend(patch, inside, active=active)

    def _blend(self, patch: tuple[slice, ...], inside: Array, *, active: bool) -> None:
        rng = self._rng
        strength = self._severity * float(rng.uniform(0.8, 1.2))
        destruction = np.full(1, rng.normal(self._destruction, 0.3), np.float32)
        none, whole = np.zeros(1, np.float32), np.ones(1, np.float32)
        shares = (none, none, none, whole) if active else (*_stages(destruction), none)
        fresh = inside * min(strength, 1.0)
        kept = 1.0 - inside
        for share, part in zip(shares, self._parts.values(), strict=True):
            part[patch] = part[patch] * kept + fresh * share
        np.maximum(self._inside[patch], inside, out=self._inside[patch])

    def finish(self) -> Pathology:
        """Keep lesions out of fluid, draw the label."""
        tissue = 1.0 - self._anatomy.csf
        inside = self._inside * tissue
        label = ((inside > 0.5) & self._anatomy.brain).astype(np.uint8)
        return Pathology({n: p * tissue for n, p in self._parts.items()}, label)
