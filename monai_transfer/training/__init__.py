"""Training: loss, inferer, selection, handlers, checkpoints, scoring and the record of a run."""

from monai_transfer._terminal import console, progress_bar
from monai_transfer.training.adversarial import (
    AdversarialTrainer,
    PrepareConditionalBatch,
    adversarial_losses,
    data_parallel,
    of_parts,
)
from monai_transfer.training.autocast import bfloat16, has_bfloat16
from monai_transfer.training.autoencoding import (
    GAN_CRITERIA,
    ConditionalInferer,
    GeneratorInferer,
    ReconstructionGANLoss,
)
from monai_transfer.training.best import BestWeights
from monai_transfer.training.checkpoint import Checkpoint, train
from monai_transfer.training.collapse import StayAlive
from monai_transfer.training.commands import is_program, typed
from monai_transfer.training.early_stopping import EarlyStopping
from monai_transfer.training.events import EventLog
from monai_transfer.training.files import read_checkpoint, save_atomically, save_checkpoint
from monai_transfer.training.finite import StayFinite
from monai_transfer.training.handlers import EngineProgress, History, TrainingProgress
from monai_transfer.training.inference import AutocastInferer, VolumeInferer
from monai_transfer.training.losses import DecayingWeightCrossEntropy, class_weights
from monai_transfer.training.norms import estimate_norms
from monai_transfer.training.operating_point import fold_threshold, set_operating_point
from monai_transfer.training.prefix import KeptPrefix, RestInferer
from monai_transfer.training.presence import PresenceAUC, SliceClassifierInferer, presence_of
from monai_transfer.training.presence_scoring import (
    SavePresenced,
    ScorePresence,
    score_presence,
)
from monai_transfer.training.provenance import RunRecord
from monai_transfer.training.randomness import EpochBatches, EpochSampler, SeededCacheDataset
from monai_transfer.training.reconstruction import ReconstructionSSIM, ScoreReconstructions
from monai_transfer.training.run import (
    conclude,
    on_device,
    prepare,
    prepare_inference,
    rank_device,
)
from monai_transfer.training.scoring import ScoreSubjects
from monai_transfer.training.segan import (
    CriticInferer,
    SegANLoss,
    SegmentorInferer,
    WeightClipping,
    multi_scale_l1,
)
from monai_transfer.training.segmentation import (
    LabelMapd,
    SaveRestoredd,
    SaveSegmentationd,
    save_image,
    save_label_map,
    to_original_grid,
)
from monai_transfer.training.selection import LesionAUC, RegionDice, RegionIoU, label_map
from monai_transfer.training.session import Session, Stopped, require_usable
from monai_transfer.training.status import CollapseError, Status, read_status
from monai_transfer.training.streaming import SKIPPED_LOGIT, FullyConvolutionalInferer
from monai_transfer.training.unfreezing import GradualUnfreezing
from monai_transfer.training.voxel_loss import LabelMapCrossEntropy, median_frequency_weights

__all__ = [
    "GAN_CRITERIA",
    "SKIPPED_LOGIT",
    "AdversarialTrainer",
    "AutocastInferer",
    "BestWeights",
    "Checkpoint",
    "CollapseError",
    "ConditionalInferer",
    "CriticInferer",
    "DecayingWeightCrossEntropy",
    "EarlyStopping",
    "EngineProgress",
    "EpochBatches",
    "EpochSampler",
    "EventLog",
    "FullyConvolutionalInferer",
    "GeneratorInferer",
    "GradualUnfreezing",
    "History",
    "KeptPrefix",
    "LabelMapCrossEntropy",
    "LabelMapd",
    "LesionAUC",
    "PrepareConditionalBatch",
    "PresenceAUC",
    "ReconstructionGANLoss",
    "ReconstructionSSIM",
    "RegionDice",
    "RegionIoU",
    "RestInferer",
    "RunRecord",
    "SavePresenced",
    "SaveRestoredd",
    "SaveSegmentationd",
    "ScorePresence",
    "ScoreReconstructions",
    "ScoreSubjects",
    "SeededCacheDataset",
    "SegANLoss",
    "SegmentorInferer",
    "Session",
    "SliceClassifierInferer",
    "Status",
    "StayAlive",
    "StayFinite",
    "Stopped",
    "TrainingProgress",
    "VolumeInferer",
    "WeightClipping",
    "adversarial_losses",
    "bfloat16",
    "class_weights",
    "conclude",
    "console",
    "data_parallel",
    "estimate_norms",
    "fold_threshold",
    "has_bfloat16",
    "is_program",
    "label_map",
    "median_frequency_weights",
    "multi_scale_l1",
    "of_parts",
    "on_device",
    "prepare",
    "prepare_inference",
    "presence_of",
    "progress_bar",
    "rank_device",
    "read_checkpoint",
    "read_status",
    "require_usable",
    "save_atomically",
    "save_checkpoint",
    "save_image",
    "save_label_map",
    "score_presence",
    "set_operating_point",
    "to_original_grid",
    "train",
    "typed",
]
