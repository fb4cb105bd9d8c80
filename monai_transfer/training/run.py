"""The steps of a run that a bundle's ``run`` list calls between MONAI's engines."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
import torch
from rich.markup import escape
from torch import nn

from monai_transfer._files import written_aside
from monai_transfer._terminal import console
from monai_transfer.training.best import load_best as load_weights
from monai_transfer.training.files import read_checkpoint, save_atomically
from monai_transfer.training.handlers import History
from monai_transfer.training.identity import identity, require_same
from monai_transfer.training.losses import DecayingWeightCrossEntropy
from monai_transfer.training.pictures import learning_curve
from monai_transfer.training.provenance import RunRecord
from monai_transfer.training.session import CHECKPOINT
from monai_transfer.transfer import Adaptation

_SHOWN = 12
"""Files of a run's folder that its last line names."""

_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory layout of a weight by its number of axes."""


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, its weights in channels-last memory: of slices or of volumes."""
    network.to(device)
    for weight in network.parameters():
        if weight.ndim in _CHANNELS_LAST:
            # contiguous() would leave weights of one channel as they are
            weight.data = weight.data.to(memory_format=_CHANNELS_LAST[weight.ndim])
    return network


def rank_device() -> torch.device:
    """The device of this process under ``torchrun``: its own GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", idist.get_local_rank())
    return torch.device("cpu")


def prepare(adaptation: Adaptation, record: RunRecord) -> None:
    """Before training: take the folder; print the transfer report, save it as ``transfer.json``.

    Args:
        adaptation: of the network to be trained.
        record: of the run.

    Raises:
        InputError: see :meth:`~monai_transfer.training.provenance.RunRecord.begin`; or the run to
            go on with was begun under other conditions.
    """
    record.begin()
    with record.session.running():
        if record.earlier is not None:
            require_same(record.earlier["run"], identity(adaptation, record))
        if idist.get_rank() == 0:
            console.print(adaptation.report.table())
            with written_aside(record.output_dir / "transfer.json") as aside:
                aside.write_text(adaptation.report.to_json(), "utf-8")


def prepare_inference(
    entries: Sequence[Any],
    record: RunRecord,
    *,
    weights: str | os.PathLike[str],
    spacing_mm: float | None,
) -> None:
    """Before an inference: take the folder; say how many subjects, which weights, which grid.

    Args:
        entries: of the subjects.
        record: of the run.
        weights: path of the network's.
        spacing_mm: of the grid the network works on; ``None`` is each image's own.

    Raises:
        InputError: see :meth:`~monai_transfer.training.provenance.RunRecord.begin`.
    """
    record.begin()
    grid = "each image's own grid" if spacing_mm is None else f"{spacing_mm:g} mm"
    said = f"Inference: {len(entries)} subjects at {grid} with {os.fspath(weights)}"
    console.print(said, highlight=False, markup=False, soft_wrap=True)


def load_best(adaptation: Adaptation, record: RunRecord) -> None:
    """After training: prove that what was frozen is untouched, then take the best epoch's weights.

    Args:
        adaptation: of the trained network.
        record: of the run, whose last checkpoint holds them.

    Raises:
        InputError: a frozen tensor changed, during training or in the weights that were kept; or
            no epoch was validated.
    """
    with record.session.running():
        adaptation.verify()
        idist.barrier()  # rank 0 may still be writing
        kept = read_checkpoint(record.output_dir / CHECKPOINT)
        load_weights(adaptation.network, kept["states"]["best"])
        adaptation.verify()


def conclude(
    adaptation: Adaptation,
    record: RunRecord,
    history: History | None = None,
    *,
    loss: DecayingWeightCrossEntropy | None = None,
    adapted: bool = False,
    **more: Any,
) -> None:
    """After the test: publish the weights, write ``run.json``, say where everything is.

    A run's weights are published as ``model.pt`` here and nowhere else, and the checkpoint
    is removed: a run whose ``status.json`` says done is complete, and no other is.

    Args:
        adaptation: of the trained network.
        record: of the run.
        history: of the training; ``None`` after what publishes no weights.
        loss: of the training, to warn when it ended before the class weights came down.
        adapted: publish the weights of a run without a training, such as one that re-estimated
            norms.
        more: further plain values for ``run.json``.
    """
    with record.session.running():
        if idist.get_rank() == 0:
            _publish(adaptation, record, history, adapted=adapted, more=more)
    record.session.end("done")
    if idist.get_rank() != 0:
        return
    if history is not None and adaptation.frozen:
        console.print(f"{len(adaptation.frozen)} frozen tensors are bit-identical.")
    warning = loss.warning(int(history.frame()["epoch"].max())) if loss and history else None
    if warning is not None:
        console.print(warning, style="yellow", highlight=False, soft_wrap=True)
    found = sorted(p.name for p in record.output_dir.iterdir() if not p.name.startswith("."))
    more_files = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    where, listed = escape(str(record.output_dir)), escape(", ".join(found[:_SHOWN]))
    console.print(f"Everything is in [bold]{where}[/]: {listed}{more_files}", soft_wrap=True)


def _publish(
    adaptation: Adaptation,
    record: RunRecord,
    history: History | None,
    *,
    adapted: bool,
    more: Mapping[str, Any],
) -> None:
    record.write(adaptation, **more)
    if history is None and not adapted:
        return
    if history is not None:
        frame = history.frame()
        metrics = [column for column in frame.columns if column not in ("epoch", "loss")]
        learning_curve(frame, record.output_dir / "learning_curve.png", metrics=metrics)
    adaptation.verify()
    save_atomically(adaptation.network.state_dict(), record.output_dir / "model.pt")
    if record.tracking is not None:
        record.tracking.conclude()
