"""Scores of segmentations, by region, lesion, slice or voxel, and of restored images."""

from monai_transfer.metrics.curves import voxel_auc
from monai_transfer.metrics.detection import (
    MATCHINGS,
    VOLUME_CUTOFF_ML,
    LesionDetection,
    detect_lesions,
    detection_curve,
)
from monai_transfer.metrics.lesions import (
    CONNECTIVITIES,
    LesionOverlaps,
    lesion_overlaps,
    lesion_volumes_ml,
    lesions,
)
from monai_transfer.metrics.masks import (
    DEFAULT_METRICS,
    EMPTY_MASKS,
    METRICS,
    named_metrics,
    score_masks,
)
from monai_transfer.metrics.reconstruction import RECONSTRUCTION_METRICS, score_reconstruction
from monai_transfer.metrics.regions import REGIONS, named_regions, region_masks, score_regions
from monai_transfer.metrics.slices import (
    EMPTY_SLICES,
    SliceCounts,
    slice_counts,
    slice_summary,
)
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
    "CONNECTIVITIES",
    "DEFAULT_METRICS",
    "EMPTY_MASKS",
    "EMPTY_SLICES",
    "MATCHINGS",
    "METRICS",
    "RECONSTRUCTION_METRICS",
    "REGIONS",
    "THRESHOLDS",
    "VOLUME_CUTOFF_ML",
    "LesionDetection",
    "LesionOverlaps",
    "SliceCounts",
    "best_median_worst",
    "best_threshold",
    "detect_lesions",
    "detection_curve",
    "format_summary",
    "lesion_overlaps",
    "lesion_volumes_ml",
    "lesions",
    "metrics_frame",
    "named_metrics",
    "named_regions",
    "read_csv",
    "region_masks",
    "score_masks",
    "score_reconstruction",
    "score_regions",
    "slice_counts",
    "slice_summary",
    "summary",
    "voxel_auc",
    "write_csv",
]
