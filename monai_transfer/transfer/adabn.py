"""Adaptive batch norm: a model's statistics, re-estimated on target scans without labels."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from monai_transfer.errors import InputError
from monai_transfer.transfer.freeze import digest, freeze, freeze_own, own_tensors

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class NormEstimate:
    """What was re-estimated, and on how much.

    Args:
        layers: batch-norm layers.
        batches: that the network was run on.
    """

    layers: int
    batches: int


def re_estimate_norms(
    network: nn.Module,
    batches: Iterable[Tensor],
    *,
    run: Callable[[Tensor], Any] | None = None,
) -> NormEstimate:
    """Re-estimate the statistics of a network's batch norm, in place, and nothing else.

    Each layer normalises by the batch, as in training, and keeps the mean over the batches of their
    means and variances (``momentum=None``); everything else is in evaluation mode. The same batches
    give the same bits. All parameters and all other buffers are proved untouched; on an error the
    statistics are what they were.

    Args:
        network: with batch norm; such layers that are frozen keep their statistics.
        batches: images (B, channels, ...) of the target, without labels, on the network's device.
        run: how the network is run on one of them, such as by windows; ``None`` calls it.

    Returns:
        How many layers and batches it was.

    Raises:
        InputError: no batch norm that is not frozen, no batch, statistics that are not finite, or
            a network that changes other buffers when it runs.

    Source:
        Li 2018, arXiv:1603.04779, section 3.3: statistics of the target domain for each neuron,
        and the source's weights. They pool mean and variance over all samples; here batches count
        alike, whatever their size, and the variance is within batches (unbiased), which is what
        the layer saw in training.

    Example:
        >>> norm = nn.BatchNorm1d(1)
        >>> re_estimate_norms(norm, [torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [8.0]])])
        NormEstimate(layers=1, batches=2)
        >>> norm.running_mean, norm.running_var  # of 1 and 6, of 2 and 8
        (tensor([3.5000]), tensor([5.]))
    """
    norms, where = _estimated(network), type(network).__name__
    moving, before = statistics(network), network.state_dict()
    proof = digest((name, tensor) for name, tensor in before.items() if name not in moving)
    kept = {name: before[name].clone() for name in moving}
    count = 0
    try:
        with torch.no_grad(), _estimating(network, norms):
            for batch in batches:
                (run or network)(batch)
                count += 1
        if not count:
            raise InputError(where, "batches", "be one at least, to estimate statistics from")
        after = network.state_dict()
        infinite = [n for n, t in after.items() if n in moving and not bool(t.isfinite().all())]
        if infinite:
            raise InputError(where, "statistics", "be finite", got=", ".join(infinite[:5]))
        others = digest((name, tensor) for name, tensor in after.items() if name not in moving)
        changed = [name for name in proof if others[name] != proof[name]]
        if changed:
            rule = "be bit-identical after statistics were re-estimated"
            raise InputError(where, "all other tensors", rule, got=", ".join(changed[:5]))
    except BaseException:
        for name, tensor in network.state_dict().items():
            if name in kept:
                tensor.copy_(kept[name])
        raise
    return NormEstimate(len(norms), count)


def statistics(network: nn.Module) -> set[str]:
    """State-dict names of the batch-norm statistics that are not frozen."""
    moving = {id(getattr(norm, name)) for norm in _estimated(network) for name in _STATISTICS}
    tensors = network.state_dict(keep_vars=True).items()
    return {name for name, tensor in tensors if id(tensor) in moving}


def freeze_all_but_statistics(network: nn.Module) -> None:
    """Freeze a network in place but for its batch-norm statistics.

    Raises:
        InputError: it has none.
    """
    norms = set(_estimated(network))
    for module in list(network.modules()):
        own = [name for name, _ in own_tensors(module)]
        if module in norms:
            freeze_own(module, [name for name in own if name not in _STATISTICS])
        elif norms.isdisjoint(module.modules()):
            freeze(module)
        else:
            freeze_own(module, own)


def _estimated(network: nn.Module) -> list[_BatchNorm]:
    found = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    trained = [norm for norm in found if not getattr(norm, "is_frozen", False)]
    if not trained:
        rule = "have batch norm with statistics that are not frozen"
        got = f"{len(found)} frozen layers" if found else "none"
        raise InputError(type(network).__name__, "network", rule, got=got)
    return trained


@contextmanager
def _estimating(network: nn.Module, norms: list[_BatchNorm]) -> Iterator[None]:
    """Within it these layers gather statistics from nothing; all else is in evaluation mode."""
    modes = {module: module.training for module in network.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum in momenta.items():
            norm.momentum = momentum
