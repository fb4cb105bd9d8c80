"""The steps of a run that a bundle's ``run`` list calls between MONAI's engines."""

from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from rich.markup import escape
from torch import nn

from monai_transfer._files import written_aside
from monai_transfer.errors import InputError
from monai_transfer.training.handlers import History, console
from monai_transfer.training.pictures import learning_curve
from monai_transfer.training.provenance import RunRecord
from monai_transfer.transfer import Adaptation


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its weights in channels-last memory."""
    return network.to(device=device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def rank_device() -> torch.device:
    """The device of this process under ``torchrun``: its own GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", idist.get_local_rank())
    return torch.device("cpu")


def prepare(adaptation: Adaptation, record: RunRecord) -> None:
    """Before training: print the transfer report and save it as ``transfer.json``.

    Args:
        adaptation: of the network to be trained.
        record: of the run; its folder exists.
    """
    if idist.get_rank() != 0:
        return
    console.print(adaptation.report.table())
    with written_aside(record.output_dir / "transfer.json") as aside:
        aside.write_text(adaptation.report.to_json(), "utf-8")


def load_best(adaptation: Adaptation, path: str | Path) -> None:
    """After training: prove that what was frozen is untouched, then take the best epoch's weights.

    Args:
        adaptation: of the trained network.
        path: weights kept by :class:`~monai_transfer.training.handlers.BestWeights`.

    Raises:
        InputError: a frozen tensor changed, during training or in the weights that were kept; or
            no epoch was validated.
    """
    adaptation.verify()
    idist.barrier()  # rank 0 may still be writing
    if not Path(path).exists():
        rule, todo = "be validated", "Let --val_interval be at most --epochs."
        raise InputError("training", "at least one epoch", rule, got="none", todo=todo)
    state = torch.load(path, map_location="cpu", weights_only=True)
    adaptation.network.load_state_dict(state)
    adaptation.verify()


def conclude(
    adaptation: Adaptation, record: RunRecord, history: History | None = None, **more: Any
) -> None:
    """After the test: draw the learning curve, write ``run.json``, say where everything is.

    Args:
        adaptation: of the trained network.
        record: of the run.
        history: of the training; ``None`` after an evaluation.
        more: further plain values for ``run.json``.
    """
    if idist.get_rank() != 0:
        return
    if history is not None:
        frame = history.frame()
        metrics = [column for column in frame.columns if column not in ("epoch", "loss")]
        learning_curve(frame, record.output_dir / "learning_curve.png", metrics=metrics)
    record.write(adaptation, **more)
    if record.tracking is not None:
        record.tracking.conclude()
    if history is not None and adaptation.frozen:
        console.print(f"{len(adaptation.frozen)} frozen tensors are bit-identical.")
    found = sorted(p.name for p in record.output_dir.iterdir() if not p.name.startswith("."))
    where, listed = escape(str(record.output_dir)), escape(", ".join(found))
    console.print(f"Everything is in [bold]{where}[/]: {listed}", soft_wrap=True)
