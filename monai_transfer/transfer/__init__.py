"""The transfer core: strategies as data, sources, depth, freezing with proof, and the report."""

from monai_transfer.transfer.adabn import NormEstimate, re_estimate_norms
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
from monai_transfer.transfer.layers import Layer, freeze_layers, layer_rates, trace_layers
from monai_transfer.transfer.published import PUBLISHED
from monai_transfer.transfer.report import TensorRecord, TransferReport
from monai_transfer.transfer.sources import Source, read_source, trained_modalities
from monai_transfer.transfer.strategies import STRATEGIES, Strategy, read_strategy

__all__ = [
    "PUBLISHED",
    "STRATEGIES",
    "Adaptation",
    "Layer",
    "NormEstimate",
    "Source",
    "Strategy",
    "TensorRecord",
    "TransferReport",
    "adapt",
    "digest",
    "freeze",
    "freeze_layers",
    "freeze_norms",
    "frozen_tensors",
    "layer_rates",
    "match_channels",
    "parameter_groups",
    "re_estimate_norms",
    "read_source",
    "read_strategy",
    "trace_layers",
    "trained_modalities",
    "verify_frozen",
]
