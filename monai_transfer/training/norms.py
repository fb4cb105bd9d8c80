"""Batch-norm statistics re-estimated on target scans, as a step of a run."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import ignite.distributed as idist
import torch
from monai.inferers import Inferer
from torch import Tensor

from monai_transfer._terminal import console, progress_bar
from monai_transfer.transfer import Adaptation, NormEstimate, re_estimate_norms


def estimate_norms(
    adaptation: Adaptation,
    batches: Iterable[Mapping[str, Any]],
    *,
    inferer: Inferer | None = None,
) -> NormEstimate:
    """Re-estimate a network's batch-norm statistics on scans; say on how many batches.

    What the strategy froze, with ``adabn`` everything else, is proved untouched.

    Args:
        adaptation: of the network.
        batches: a loader; of each batch only ``image`` (B, channels, ...) is used.
        inferer: takes whole volumes, by windows if need be; ``None`` is for batches of patches.

    Returns:
        How many layers and batches it was.

    Raises:
        InputError: see :func:`~monai_transfer.transfer.re_estimate_norms`; or something that was
            frozen changed.
    """
    network = adaptation.network
    device = next(network.parameters()).device
    total = len(batches) if isinstance(batches, Sized) else None

    def images() -> Iterator[Tensor]:
        for batch in batches:
            yield torch.as_tensor(batch["image"]).as_subclass(Tensor).to(device)
            bar.advance(task)

    run = None if inferer is None else lambda image: inferer(image, network)
    with progress_bar(show=idist.get_rank() == 0) as bar:
        task = bar.add_task("re-estimating norms", total=total)
        found = re_estimate_norms(network, images(), run=run)
    adaptation.verify()
    if idist.get_rank() == 0:
        said = f"Statistics of {found.layers} norm layers re-estimated on {found.batches} batches."
        console.print(said, highlight=False)
    return found
