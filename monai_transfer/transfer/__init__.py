"""The transfer core: strategies as data, sources, freezing with proof, and the report."""

from monai_transfer.transfer.adaptation import Adaptation, adapt
from monai_transfer.transfer.channels import match_channels
from monai_transfer.transfer.freeze import (
    digest,
    freeze,
    freeze_norms,
    frozen_tensors,
    parameter_groups,
    verify_frozen,
)
from monai_transfer.transfer.report import TensorRecord, TransferReport
from monai_transfer.transfer.sources import Source, read_source
from monai_transfer.transfer.strategies import STRATEGIES, Strategy, read_strategy

__all__ = [
    "STRATEGIES",
    "Adaptation",
    "Source",
    "Strategy",
    "TensorRecord",
    "TransferReport",
    "adapt",
    "digest",
    "freeze",
    "freeze_norms",
    "frozen_tensors",
    "match_channels",
    "parameter_groups",
    "read_source",
    "read_strategy",
    "verify_frozen",
]
