"""Scores of a segmentation: by region of a subject, by voxel of a cohort, and their table."""

from monai_transfer.metrics.curves import voxel_auc
from monai_transfer.metrics.masks import EMPTY_MASKS, METRICS, score_masks
from monai_transfer.metrics.regions import REGIONS, named_regions, region_masks, score_regions
from monai_transfer.metrics.table import (
    best_median_worst,
    format_summary,
    metrics_frame,
    read_csv,
    summary,
    write_csv,
)
from monai_transfer.metrics.thresholds import THRESHOLDS, best_threshold

__all__ = [
    "EMPTY_MASKS",
    "METRICS",
    "REGIONS",
    "THRESHOLDS",
    "best_median_worst",
    "best_threshold",
    "format_summary",
    "metrics_frame",
    "named_regions",
    "read_csv",
    "region_masks",
    "score_masks",
    "score_regions",
    "summary",
    "voxel_auc",
    "write_csv",
]
