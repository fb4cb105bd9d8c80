"""White matter hyperintensities of small vessel disease: how much, where, and how they grow."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from monai_transfer.simulation.anatomy import Anatomy
from monai_transfer.simulation.fields import Array, smooth_field
from monai_transfer.simulation.pathology import Pathology, soft_step, threshold_for_volume
from monai_transfer.simulation.tissues import WMH_TISSUES

_MEDIAN_ML, _LOG_SIGMA = 8.5, 1.05  # of which a label on slices of 6 mm keeps four fifths
_RANGE_ML = (0.3, 150.0)
_DEPTH_MM = 9.0  # of the score, from the edge of a lesion to where its tissue is worst


def draw_volumes(rng: np.random.Generator) -> tuple[float, float]:
    """Volume of a patient's hyperintensities in mL, and five years later.

    Source: set so that labels have a median of 7 and a mean of 12 mL, as in patients of 50 to 85
        years (RUN DMC, van Norden et al., BMC Neurol 2011;11:29). They grow by 1 mL in the median,
        by more where there is more (van Leijsen et al., Neurology 2017;89:1569: 0.54 mL a year in
        the mean of nine). The distributions are ours, and nobody's shrink.

    Example:
        >>> now, later = draw_volumes(np.random.default_rng(0))
        >>> 0.3 <= now < later
        True
    """
    now_ml = float(np.clip(rng.lognormal(np.log(_MEDIAN_ML), _LOG_SIGMA), *_RANGE_ML))
    grown_ml = (0.1 + 0.13 * now_ml) * float(rng.lognormal(0.0, 0.5))
    return now_ml, now_ml + grown_ml


def draw_wmh(
    rng: np.random.Generator, anatomy: Anatomy, *, volumes_ml: Sequence[float]
) -> list[Pathology]:
    """The hyperintensities of one patient at several times.

    One score says how soon white matter falls ill: first the caps and the lining of the lateral
    ventricles, then spots in deep white matter, which grow until they flow together. What exceeds a
    limit is ill, and each volume has its own limit: a larger one holds the smaller, and new spots.

    Args:
        rng: source of randomness.
        anatomy: the brain they lie in.
        volumes_ml: one for each time.

    Returns:
        For each time pale and dense tissue as fractions; label 1 where lesion fills more than half
        of a voxel.

    Source: periventricular caps and bands, deep spots to confluent areas: Fazekas et al., AJR
        1987;149:351; spared callosum, brain stem and fibres under the cortex; the score is ours.
    """
    spacing = anatomy.grid.spacing_mm
    white = (anatomy.wm > 0.5) & anatomy.brain
    score = _score(rng, anatomy)[white]
    severity = float(rng.normal(0.0, 0.15))
    solid = (1.0 - anatomy.csf)[white]
    patient = []
    for volume_ml in volumes_ml:
        limit = threshold_for_volume(score, 1000.0 * volume_ml / anatomy.grid.voxel_mm3)
        depth = score - np.float32(limit)
        inside = soft_step(depth, max(2.0, spacing)) * solid
        dense = np.clip(depth / np.float32(_DEPTH_MM) + severity + 0.25, 0.0, 0.9)
        shares = (1.0 - dense, dense)
        fractions = {
            name: _placed(inside * share, white)
            for name, share in zip(WMH_TISSUES, shares, strict=True)
        }
        label = _placed(inside, white) > 0.5
        patient.append(Pathology(fractions, label.astype(np.uint8)))
    return patient


def _score(rng: np.random.Generator, anatomy: Anatomy) -> Array:
    """How soon a voxel falls ill, about in mm from the surface of a lesion."""
    grid, near = anatomy.grid, anatomy.ventricle_mm

    def field(scale_mm: float) -> Array:
        return smooth_field(rng, grid.shape, spacing_mm=grid.spacing_mm, scale_mm=scale_mm)

    lining = (
        3.0 * field(12.0)
        - np.float32(0.8) * near
        + np.float32(rng.uniform(2.0, 6.0)) * anatomy.structures["caps"]
    )
    # Fibres under the cortex are spared: white matter counts that has white matter around it.
    around = ndimage.uniform_filter(anatomy.wm, max(1, round(9.0 / grid.spacing_mm)))
    spots = 4.0 * field(8.0) + 2.5 * field(3.5) - 12.0 * (1.0 - around) - 0.08 * near
    spots += np.float32(rng.normal(-10.0, 1.5))
    score: Array = np.maximum(lining, spots) + 0.6 * field(2.5)
    score -= 40.0 * anatomy.structures["spared"]
    return score.astype(np.float32)


def _placed(values: Array, where: np.ndarray) -> Array:
    out = np.zeros(where.shape, np.float32)
    out[where] = values
    return out
