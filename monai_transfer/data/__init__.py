"""Data sets: manifests, subjects, splits by patient, datalists, and the gate every run passes."""

from monai_transfer.data.datalist import (
    build_datalist,
    empty_splits,
    read_datalist,
    write_datalist,
)
from monai_transfer.data.faults import RULES, Fault
from monai_transfer.data.gate import check_datalist, require_clean
from monai_transfer.data.manifest import Manifest, manifest_names, manifest_path, read_manifest
from monai_transfer.data.splits import nested_subset, patient_folds, split_patients
from monai_transfer.data.subjects import Subject, find_subjects, find_usable

__all__ = [
    "RULES",
    "Fault",
    "Manifest",
    "Subject",
    "build_datalist",
    "check_datalist",
    "empty_splits",
    "find_subjects",
    "find_usable",
    "manifest_names",
    "manifest_path",
    "nested_subset",
    "patient_folds",
    "read_datalist",
    "read_manifest",
    "require_clean",
    "split_patients",
    "write_datalist",
]
