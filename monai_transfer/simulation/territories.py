"""Arterial territories and where infarcts of each kind lie, in template space."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from monai_transfer.simulation.fields import Array
from monai_transfer.simulation.structures import below_tentorium
from monai_transfer.simulation.template import Points

TERRITORIES = ("mca", "aca", "pca")
"""Middle, anterior and posterior cerebral artery."""

TERRITORY_SHARES = (0.72, 0.08, 0.20)
"""How often a cortical infarct lies in each; ours, for the middle one is most often hit."""


@dataclass(frozen=True)
class Kind:
    """A kind of infarct.

    Args:
        share: of all lesions.
        median_ml, log_sigma: log-normal distribution of its volume.
    """

    share: float
    median_ml: float
    log_sigma: float


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "cortical": Kind(0.31, 26.0, 1.1),
        "subcortical": Kind(0.52, 1.5, 1.2),
        "cerebellar": Kind(0.09, 2.5, 1.3),
        "brain stem": Kind(0.08, 0.4, 0.8),
    }
)
"""Where infarcts lie and how large they are (see :mod:`monai_transfer.simulation.stroke`)."""

# Right side, MNI millimetres: lenticulostriate (putamen with the internal capsule, corona radiata
# above it), thalamic, and the white matter of the centrum semiovale.
PERFORATED_MM: tuple[tuple[float, float, float], ...] = (
    (25.0, 1.0, 4.0),
    (25.0, -10.0, 20.0),
    (13.0, -20.0, 6.0),
    (27.0, -16.0, 34.0),
)
"""Middle of what perforating arteries feed, by kind of artery."""

PONS_MM = (5.0, -27.0, -32.0)
"""Where paramedian infarcts of the brain stem begin, right side."""


def territory_mm(name: str, points_mm: Points) -> Array:
    """How far inside a territory template positions (3, …) are; negative outside.

    Source: borders rounded after Tatu et al., Neurology 1998;50:1699: the anterior artery feeds
        the medial surface as far as the parieto-occipital sulcus, the posterior one the occipital
        lobe and the inferior medial temporal lobe, the middle one the rest.

    Example:
        >>> lateral = np.array([[50.0], [-10.0], [10.0]])
        >>> [bool(territory_mm(name, lateral)[0] > 0) for name in TERRITORIES]
        [True, False, False]
    """
    x, y, z = np.abs(points_mm[0]), points_mm[1], points_mm[2]
    anterior = np.minimum(np.minimum(18.0 - x, y + 55.0), z + 22.0)
    inferior = np.minimum(np.minimum(38.0 - x, -8.0 - z), -15.0 - y)
    posterior = np.maximum(-62.0 - y - 0.15 * x, inferior)
    middle = -np.maximum(anterior, posterior)
    inside = {"mca": middle, "aca": anterior, "pca": posterior}[name]
    cerebral: Array = np.where(below_tentorium(points_mm), np.float32(-30.0), inside)
    return cerebral.astype(np.float32)
