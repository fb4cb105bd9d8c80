"""The bodies that are scanned: a brain with its pathology, at each time it is seen."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from monai_transfer.imaging.image import Image
from monai_transfer.simulation.anatomy import CSF_GAIN, positions_mm, realise, scout
from monai_transfer.simulation.deformation import Warp, draw_warp
from monai_transfer.simulation.glioma import draw_glioma, plan_glioma, with_core_told_apart
from monai_transfer.simulation.grid import MNI152, Grid
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.ms import draw_ms
from monai_transfer.simulation.pathology import Pathology
from monai_transfer.simulation.scanner import MODALITIES
from monai_transfer.simulation.stroke import draw_stroke, stroke_of_mask
from monai_transfer.simulation.structures import region_label, structure_label, tissue_label
from monai_transfer.simulation.tissues import STROKE_TISSUES, TISSUES, WMH_TISSUES
from monai_transfer.simulation.visits import SESSIONS
from monai_transfer.simulation.wmh import draw_volumes, draw_wmh

Seen: TypeAlias = tuple[Mixture, Pathology]

DISEASES = ("ms", "brats", "wmh", "tissue", "stroke", "anatomy", "natural", "brats2015")
"""The cohorts that can be simulated; a seed draws by this order, so new ones come last.

``tissue`` and ``anatomy`` are healthy adults; ``natural`` is no brain but simulated pictures;
``brats2015`` are tumours, other ones than those of ``brats``, in the files and labels of 2015.
"""

RAW = ("ms", "brats", "wmh")
"""Those that can be simulated as the scanner gives them, too."""

SERIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ms": MODALITIES,
        "brats": MODALITIES,
        "wmh": ("t1", "flair"),
        "tissue": ("t1",),
        "stroke": ("t1",),
        "anatomy": ("t1",),
        "natural": ("t1",),  # the channel that the grey values of its pictures go to
        "brats2015": MODALITIES,
    }
)
"""Disease → the modalities that its subjects are scanned with."""

BRAIN_TISSUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ms": TISSUES,
        "brats": TISSUES,
        "wmh": (*TISSUES, *WMH_TISSUES),
        "tissue": TISSUES,
        "stroke": (*TISSUES, *STROKE_TISSUES),
        "anatomy": TISSUES,
        "brats2015": TISSUES,
    }
)
"""Disease → what its brains are made of."""

_MNI = Grid((182, 218, 182), 1.0, (-91.0, -126.0, -72.0))
_SRI = Grid((240, 240, 155), 1.0, (-239.0, 0.0, 0.0))
GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        # MNI152 at 1 mm, and the SRI24 grid of BraTS; RAS+ (files are stored as the real ones are).
        "ms": _MNI,
        "brats": _SRI,
        "wmh": _MNI,
        # The template's own grid, that of ATLAS and of Zoetmulder 2022: nothing is interpolated.
        "tissue": MNI152,
        "stroke": MNI152,
        "anatomy": MNI152,
        "brats2015": _SRI,
    }
)
_MNI_CENTRE_MM, _SRI_CENTRE_MM = (0.0, -21.0, 10.5), (-119.0, 106.0, 74.0)
_AGES = MappingProxyType({"tissue": (18.0, 90.0), "anatomy": (18.0, 90.0), "stroke": (30.0, 90.0)})
_AGED_MM = 6.0  # of the ventricles' walls, from 45 years to 90
_GRADES = MappingProxyType({"brats": (210, 75), "brats2015": (220, 54)})  # of the training sets


def grade_of(disease: str, index: int) -> str | None:
    """Grade of the `index`-th subject of a cohort; ``None`` of one without gliomas.

    210 HGG to 75 LGG of ``brats``, 220 to 54 of ``brats2015``, evenly mixed.

    Example:
        >>> [grade_of("brats", i) for i in range(5)]
        ['HGG', 'LGG', 'HGG', 'HGG', 'HGG']
    """
    if disease not in _GRADES:
        return None
    high, low = _GRADES[disease]
    share = low / (high + low)
    return "LGG" if int((index + 1) * share + 0.5) > int(index * share + 0.5) else "HGG"


def draw_bodies(
    rng: np.random.Generator,
    grid: Grid,
    *,
    disease: str,
    index: int,
    sessions: Sequence[str | None],
    lesion: Image | None = None,
) -> tuple[Warp, dict[str | None, Seen]]:
    """A brain with its pathology mixed in, and the warp from it to the template.

    Args:
        rng: source of randomness.
        grid: field of view and spacing.
        disease: one of ``DISEASES``, but for ``natural``.
        index: position in the cohort.
        sessions: those asked for, of ``visits.SESSIONS``; ``None`` where nobody comes twice.
        lesion: of ``stroke``, a mask in template space that takes the place of drawn lesions.

    Returns:
        The warp, and session → brain and pathology.
    """
    if disease == "wmh":
        return _draw_ageing(rng, grid, sessions=sessions)
    if disease in _AGES:
        warp, mixture, pathology = _draw_adult(rng, grid, disease=disease, lesion=lesion)
        return warp, {None: (mixture, pathology)}
    centre_mm = _MNI_CENTRE_MM if disease == "ms" else _SRI_CENTRE_MM
    warp = draw_warp(rng, centre_mm, brain_ml=_draw_brain_ml(rng))
    if disease == "ms":
        anatomy = realise(rng, warp, grid=grid)
        pathology = draw_ms(rng, anatomy)
    else:
        plan = plan_glioma(rng, scout(warp, grid), grade=str(grade_of(disease, index)))
        anatomy = realise(rng, warp.pushed(plan.push), grid=grid)
        pathology = draw_glioma(rng, anatomy, plan=plan)
        if disease == "brats2015":
            pathology = with_core_told_apart(pathology)
    mixture = Mixture(anatomy, rng)
    mixture.mix_in(pathology.fractions)
    return warp, {None: (mixture, pathology)}


def _draw_adult(
    rng: np.random.Generator, grid: Grid, *, disease: str, lesion: Image | None
) -> tuple[Warp, Mixture, Pathology]:
    """An adult of any age, healthy or after a stroke: fluid takes more room from 45 years on.

    Source: ages of the Brain-Age Healthy Cohort, 18 to 90 years (Cole et al., NeuroImage
        2017;163:115); they are drawn evenly. How sulci and ventricles widen is ours.
    """
    aged = float(np.clip((rng.uniform(*_AGES[disease]) - 45.0) / 45.0, 0.0, 1.0))
    warp = draw_warp(rng, _MNI_CENTRE_MM, brain_ml=_draw_brain_ml(rng), ageing_mm=_AGED_MM * aged)
    low, high = CSF_GAIN
    gain = (low - 0.5 + 1.5 * aged, high - 1.5 + 3.0 * aged)
    anatomy = realise(rng, warp, grid=grid, csf_gain=gain)
    template_mm = positions_mm(warp, anatomy.grid)
    mixture = Mixture(anatomy, rng)
    if disease == "tissue":
        structures = structure_label(anatomy, template_mm)
        return warp, mixture, Pathology({}, tissue_label(anatomy), {"structures": structures})
    if disease == "anatomy":
        return warp, mixture, Pathology({}, region_label(anatomy, template_mm))
    if lesion is None:
        pathology = draw_stroke(rng, anatomy, template_mm=template_mm)
    else:
        pathology = stroke_of_mask(rng, anatomy, template_mm=template_mm, mask=lesion)
    mixture.mix_in(pathology.fractions)
    return warp, mixture, pathology


def _draw_ageing(
    rng: np.random.Generator, grid: Grid, *, sessions: Sequence[str | None]
) -> tuple[Warp, dict[str | None, Seen]]:
    """A patient of 50 to 85 years: wider ventricles, and hyperintensities that grow."""
    brain_ml, ageing_mm = _draw_brain_ml(rng), float(rng.uniform(0.0, 5.0))
    warp = draw_warp(rng, _MNI_CENTRE_MM, brain_ml=brain_ml, ageing_mm=ageing_mm)
    volumes_ml = dict(zip(SESSIONS, draw_volumes(rng), strict=True))
    anatomy = realise(rng, warp, grid=grid)
    seen = draw_wmh(rng, anatomy, volumes_ml=[volumes_ml[str(s)] for s in sessions])
    healthy = Mixture(anatomy, rng)
    return warp, {
        session: (healthy.with_parts(pathology.fractions), pathology)
        for session, pathology in zip(sessions, seen, strict=True)
    }


def _draw_brain_ml(rng: np.random.Generator) -> float:
    return float(np.clip(rng.normal(1260.0, 95.0), 1050.0, 1460.0))
