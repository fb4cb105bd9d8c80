"""Training: loss, inferer, selection, handlers, scoring and the record of a run."""

from monai_transfer.training.files import save_atomically
from monai_transfer.training.handlers import (
    BestWeights,
    EngineProgress,
    History,
    TrainingProgress,
    console,
)
from monai_transfer.training.inference import VolumeInferer, has_bfloat16
from monai_transfer.training.losses import DecayingWeightCrossEntropy, class_weights
from monai_transfer.training.operating_point import fold_threshold, set_operating_point
from monai_transfer.training.provenance import RunRecord
from monai_transfer.training.run import conclude, load_best, on_device, prepare, rank_device
from monai_transfer.training.scoring import ScoreSubjects
from monai_transfer.training.segmentation import (
    LabelMapd,
    SaveSegmentationd,
    save_label_map,
    to_original_grid,
)
from monai_transfer.training.selection import LesionAUC, RegionDice, label_map

__all__ = [
    "BestWeights",
    "DecayingWeightCrossEntropy",
    "EngineProgress",
    "History",
    "LabelMapd",
    "LesionAUC",
    "RegionDice",
    "RunRecord",
    "SaveSegmentationd",
    "ScoreSubjects",
    "TrainingProgress",
    "VolumeInferer",
    "class_weights",
    "conclude",
    "console",
    "fold_threshold",
    "has_bfloat16",
    "label_map",
    "load_best",
    "on_device",
    "prepare",
    "rank_device",
    "save_atomically",
    "save_label_map",
    "set_operating_point",
    "to_original_grid",
]
