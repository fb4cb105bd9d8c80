"""Whole cohorts: raw scans prepared as a recipe says, on disk, and looked at."""

from monai_transfer.preprocessing.cohort import preprocess_cohort
from monai_transfer.preprocessing.description import Source, Summary
from monai_transfer.preprocessing.methods import Methods
from monai_transfer.preprocessing.prepared import Prepared
from monai_transfer.preprocessing.quality import normalised_mutual_information
from monai_transfer.preprocessing.restoring import restore
from monai_transfer.preprocessing.subject import preprocess_subject

__all__ = [
    "Methods",
    "Prepared",
    "Source",
    "Summary",
    "normalised_mutual_information",
    "preprocess_cohort",
    "preprocess_subject",
    "restore",
]
