"""Simulated cohorts: MNI152 anatomy, random pathology, MR physics. Not real data.

A subject is the MNI152 tissue maps through a random smooth deformation, with lesions or a tumour
mixed in as tissue fractions, seen by a scanner whose protocol is a record of real numbers.
"""

from monai_transfer.simulation.body import DISEASES
from monai_transfer.simulation.cohort import count_simulated, simulate_cohort
from monai_transfer.simulation.from_labels import LabelledScan, simulate_from_labels
from monai_transfer.simulation.protocols import PROTOCOLS
from monai_transfer.simulation.raw import simulate_raw
from monai_transfer.simulation.scanner import MODALITIES, Scanner, Sequence, signal
from monai_transfer.simulation.series import RawSeries
from monai_transfer.simulation.subject import (
    Subject,
    simulate_stroke,
    simulate_subject,
    simulate_visits,
)
from monai_transfer.simulation.tissues import TISSUES, Tissue, tissue
from monai_transfer.simulation.visits import manifests_of

__all__ = [
    "DISEASES",
    "MODALITIES",
    "PROTOCOLS",
    "TISSUES",
    "LabelledScan",
    "RawSeries",
    "Scanner",
    "Sequence",
    "Subject",
    "Tissue",
    "count_simulated",
    "manifests_of",
    "signal",
    "simulate_cohort",
    "simulate_from_labels",
    "simulate_raw",
    "simulate_stroke",
    "simulate_subject",
    "simulate_visits",
    "tissue",
]
