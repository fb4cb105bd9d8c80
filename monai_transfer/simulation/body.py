"""The bodies that are scanned: a brain with its pathology, at each time it is seen."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from monai_transfer.simulation.anatomy import realise, scout
from monai_transfer.simulation.deformation import Warp, draw_warp
from monai_transfer.simulation.glioma import draw_glioma, plan_glioma
from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.ms import draw_ms
from monai_transfer.simulation.pathology import Pathology
from monai_transfer.simulation.scanner import MODALITIES
from monai_transfer.simulation.tissues import TISSUES, WMH_TISSUES
from monai_transfer.simulation.visits import SESSIONS
from monai_transfer.simulation.wmh import draw_volumes, draw_wmh

Seen: TypeAlias = tuple[Mixture, Pathology]

DISEASES = ("ms", "brats", "wmh")
"""The cohorts that can be simulated."""

SERIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"ms": MODALITIES, "brats": MODALITIES, "wmh": ("t1", "flair")}
)
"""Disease → the modalities that its subjects are scanned with."""

BRAIN_TISSUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"ms": TISSUES, "brats": TISSUES, "wmh": (*TISSUES, *WMH_TISSUES)}
)
"""Disease → what its brains are made of."""

_MNI = Grid((182, 218, 182), 1.0, (-91.0, -126.0, -72.0))
GRIDS: Mapping[str, Grid] = MappingProxyType(
    {
        # MNI152 at 1 mm, and the SRI24 grid of BraTS; RAS+ (files are stored as the real ones are).
        "ms": _MNI,
        "brats": Grid((240, 240, 155), 1.0, (-239.0, 0.0, 0.0)),
        "wmh": _MNI,
    }
)
_CENTRES_MM = MappingProxyType(
    {"ms": (0.0, -21.0, 10.5), "brats": (-119.0, 106.0, 74.0), "wmh": (0.0, -21.0, 10.5)}
)
_HGG, _ALL = 210, 285  # BraTS 2018, training set


def grade_of(index: int) -> str:
    """Grade of the `index`-th subject of a glioma cohort, 210 HGG to 75 LGG, evenly mixed.

    Example:
        >>> [grade_of(i) for i in range(5)]
        ['HGG', 'LGG', 'HGG', 'HGG', 'HGG']
    """
    share = (_ALL - _HGG) / _ALL
    return "LGG" if int((index + 1) * share + 0.5) > int(index * share + 0.5) else "HGG"


def draw_bodies(
    rng: np.random.Generator,
    grid: Grid,
    *,
    disease: str,
    index: int,
    sessions: Sequence[str | None],
) -> tuple[Warp, dict[str | None, Seen]]:
    """A brain with its pathology mixed in, and the warp from it to the template.

    Args:
        rng: source of randomness.
        grid: field of view and spacing.
        disease: one of ``DISEASES``.
        index: position in the cohort.
        sessions: those asked for, of ``visits.SESSIONS``; ``None`` where nobody comes twice.

    Returns:
        The warp, and session → brain and pathology.
    """
    if disease == "wmh":
        return _draw_ageing(rng, grid, sessions=sessions)
    warp = draw_warp(rng, _CENTRES_MM[disease], brain_ml=_draw_brain_ml(rng))
    if disease == "ms":
        anatomy = realise(rng, warp, grid=grid)
        pathology = draw_ms(rng, anatomy)
    else:
        plan = plan_glioma(rng, scout(warp, grid), grade=grade_of(index))
        anatomy = realise(rng, warp.pushed(plan.push), grid=grid)
        pathology = draw_glioma(rng, anatomy, plan=plan)
    mixture = Mixture(anatomy, rng)
    mixture.mix_in(pathology.fractions)
    return warp, {None: (mixture, pathology)}


def _draw_ageing(
    rng: np.random.Generator, grid: Grid, *, sessions: Sequence[str | None]
) -> tuple[Warp, dict[str | None, Seen]]:
    """A patient of 50 to 85 years: wider ventricles, and hyperintensities that grow."""
    brain_ml, ageing_mm = _draw_brain_ml(rng), float(rng.uniform(0.0, 5.0))
    warp = draw_warp(rng, _CENTRES_MM["wmh"], brain_ml=brain_ml, ageing_mm=ageing_mm)
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
