"""The steps of a run that a bundle's ``run`` list calls between MONAI's engines."""

from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from torch import nn

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
    path = record.output_dir / "transfer.json"
    aside = path.with_name(".transfer.json")
    aside.write_text(adaptation.report.to_json(), "utf-8")
    aside.replace(path)


def load_best(adaptation: Adaptation, path: str | Path) -> None:
    """After training: prove that what was frozen is untouched, then take the best epoch's weights.

    Args:
        adaptation: of the trained network.
        path: weights kept by :class:`~monai_transfer.training.handlers.BestWeights`.

    Raises:
        InputError: a frozen tensor changed, during training or in the weights that were kept.
    """
    adaptation.verify()
    idist.barrier()  # rank 0 may still be writing
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
    frozen = f"{len(adaptation.frozen)} frozen tensors are bit-identical. " if history else ""
    found = sorted(p.name for p in record.output_dir.iterdir() if not p.name.startswith("."))
    console.print(f"{frozen}Everything is in [bold]{record.output_dir}[/]: {', '.join(found)}")
