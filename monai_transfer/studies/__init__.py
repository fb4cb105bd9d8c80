"""Studies: many runs of a bundle as one grid, and what follows from them."""

from monai_transfer.studies.commands import bundle_command
from monai_transfer.studies.grid import Cell, Outcome, run_cells
from monai_transfer.studies.tuning import Tuning, TuningPlan, plan_tuning
from monai_transfer.training import typed

__all__ = [
    "Cell",
    "Outcome",
    "Tuning",
    "TuningPlan",
    "bundle_command",
    "plan_tuning",
    "run_cells",
    "typed",
]
