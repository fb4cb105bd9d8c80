"""Studies: many runs of a bundle as one grid, and what follows from them."""

from monai_transfer.studies.claims import Verdict, answer, verdict_table
from monai_transfer.studies.commands import bundle_command
from monai_transfer.studies.g17 import G17
from monai_transfer.studies.g17_results import G17Results
from monai_transfer.studies.gl20 import GL20
from monai_transfer.studies.gl20_results import GL20Results
from monai_transfer.studies.grid import Cell, Outcome, run_cells
from monai_transfer.studies.statistics import Interval, paired_difference
from monai_transfer.studies.tuning import Tuning, TuningPlan, plan_tuning
from monai_transfer.studies.z22 import Z22
from monai_transfer.studies.z22_results import Z22Results
from monai_transfer.training import typed

__all__ = [
    "G17",
    "GL20",
    "Z22",
    "Cell",
    "G17Results",
    "GL20Results",
    "Interval",
    "Outcome",
    "Tuning",
    "TuningPlan",
    "Verdict",
    "Z22Results",
    "answer",
    "bundle_command",
    "paired_difference",
    "plan_tuning",
    "run_cells",
    "typed",
    "verdict_table",
]
