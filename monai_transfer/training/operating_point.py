"""The operating point of a lesion network, chosen on validation subjects.

The epoch is kept for its area under a curve, which says nothing about any one threshold; and class
weights move the probabilities. So the threshold is chosen afterwards, and folded into the bias of
the network's last layer: whoever uses the weights takes the more probable class, as always.
"""

import math

import ignite.distributed as idist
import torch
from torch import nn

from monai_transfer._terminal import console
from monai_transfer.errors import InputError
from monai_transfer.metrics.thresholds import THRESHOLDS
from monai_transfer.networks import require_parts
from monai_transfer.training.handlers import History
from monai_transfer.transfer import Adaptation


def fold_threshold(network: nn.Module, threshold: float) -> None:
    """Shift the last layer's bias so that lesion is the more probable class above a threshold.

    Args:
        network: of two classes, background and lesion; changed in place.
        threshold: in (0, 1); 0.5 changes nothing.

    Raises:
        InputError: a threshold out of its range, or a network of other than two classes.

    Example:
        >>> from monai_transfer.networks import PathologyUNet
        >>> network = PathologyUNet(1, 2)
        >>> before = network.head.output.bias.tolist()
        >>> fold_threshold(network, 0.25)
        >>> round(network.head.output.bias.tolist()[1] - before[1], 4)  # log(0.75 / 0.25)
        1.0986
    """
    if not 0 < threshold < 1:
        raise InputError("operating point", "threshold", "lie in (0, 1)", got=threshold)
    bias = network.get_submodule(require_parts(network).output_layer).bias
    if not isinstance(bias, torch.Tensor) or bias.shape != (2,):
        got = tuple(bias.shape) if isinstance(bias, torch.Tensor) else None
        raise InputError(type(network).__name__, "last layer", "have a bias of two", got=got)
    with torch.no_grad():
        bias[1] -= math.log(threshold / (1 - threshold))


def set_operating_point(adaptation: Adaptation, history: History) -> None:
    """After the best weights are loaded: fold in that epoch's threshold.

    One at the end of those that are tried is warned of: a better one may lie beyond it.

    Args:
        adaptation: of the trained network.
        history: with the columns that :class:`~monai_transfer.training.selection.LesionAUC` gives.
    """
    threshold = 0.5
    if idist.get_rank() == 0:
        frame = history.frame()
        threshold = float(frame.loc[frame["lesion_auc"].idxmax(), "threshold"])
        console.print(f"Operating point: lesion above {threshold:g}, by validation Dice.")
        if not THRESHOLDS[0] < threshold < THRESHOLDS[-1]:
            tried = f"{THRESHOLDS[0]:g} to {THRESHOLDS[-1]:g}"
            console.print(f"warning: it is at the end of those tried, {tried}.", highlight=False)
    fold_threshold(adaptation.network, float(torch.as_tensor(idist.broadcast(threshold, src=0))))
    adaptation.verify()
