"""Pictures of a run: curves, heatmaps, overlays, montages.

Everything is drawn on a figure of its own, never through pyplot, so it works without a display, in
threads, and inside a program that has figures open.
"""

from monai_transfer.training.pictures.curves import dice_by_region, learning_curve
from monai_transfer.training.pictures.detection import detection_by_source, detection_curves
from monai_transfer.training.pictures.heatmaps import heatmap
from monai_transfer.training.pictures.overlays import montage, overlay, overlay_strip
from monai_transfer.training.pictures.presence import presence_map
from monai_transfer.training.pictures.restored import RestoredSubject, restored_strip
from monai_transfer.training.pictures.subject import PicturedSubject

__all__ = [
    "PicturedSubject",
    "RestoredSubject",
    "detection_by_source",
    "detection_curves",
    "dice_by_region",
    "heatmap",
    "learning_curve",
    "montage",
    "overlay",
    "overlay_strip",
    "presence_map",
    "restored_strip",
]
