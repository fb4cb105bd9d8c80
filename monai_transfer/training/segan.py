"""How SegAN is trained: segmentor and critic on MONAI's adversarial trainer.

The trainer's generator is the segmentor, its discriminator the critic. The critic gives no verdict
on one mask: what it says of a mask is how far it is from the truth, over all levels.
"""

from collections.abc import Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.losses import DiceLoss
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.training.adversarial import constant, trained_parameters, unwrapped
from monai_transfer.training.autocast import bfloat16
from monai_transfer.training.inference import AutocastInferer, forward

CLIP = 0.05
"""Largest weight of a critic's convolutions, either way: Xue 2017's and Giacomello 2020's."""

_EPSILON = 2e-6


def multi_scale_l1(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of the features of two masks, over all levels together.

    Args:
        ours: levels (B, channels, x, y), as a :class:`~monai_transfer.networks.Critic` gives them.
        theirs: likewise.

    Returns:
        (B,).

    Source:
        Xue 2017, arXiv:1706.01805, equations 1 and 2, averages over levels; in the code of both
        papers, and here, each level counts by its size.

    Example:
        >>> levels = [torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 1, 1)]
        >>> others = [torch.ones(1, 1, 2, 2), torch.full((1, 2, 1, 1), -2.5)]
        >>> multi_scale_l1(levels, others)  # (4 · 1 + 2 · 2.5) / 6
        tensor([1.5000])
    """
    pairs = zip(ours, theirs, strict=True)
    sums = [(a - b).float().abs().sum(dim=(1, 2, 3)) for a, b in pairs]  # in any memory format
    return torch.stack(sums).sum(dim=0) / sum(level[0].numel() for level in ours)


class SegmentorInferer(AutocastInferer):
    """Probability of a lesion in every voxel of the image, (B, 1, X, Y): what the critic is shown.

    Args:
        amp: as in :class:`~monai_transfer.training.AutocastInferer`.
    """

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Probabilities for ``kwargs["image"]``, float32; `inputs` is not looked at."""
        del inputs, args
        return forward(network, kwargs["image"], amp=self.amp).softmax(dim=1)[:, 1:]


class CriticInferer(AutocastInferer):
    """How far a mask is from the truth, by :func:`multi_scale_l1` of what the critic sees.

    The truth is 0 from itself, without the critic being asked. Nor is it when there is nothing to
    learn: the critic frozen, and the mask no segmentor's. While the segmentor learns through the
    critic, the critic's weights take no gradient; MONAI's trainer would throw it away.

    Args:
        amp: as in :class:`~monai_transfer.training.AutocastInferer`.
    """

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Distances (B,) of the masks `inputs` from ``kwargs["real"]`` on ``kwargs["image"]``."""
        del args
        image, real = kwargs["image"], kwargs["real"]
        learns = inputs.requires_grad or bool(trained_parameters(network))
        if not learns or torch.equal(inputs, real):
            return inputs.new_zeros(len(inputs))
        with bfloat16(image.device, wanted=self.amp):
            critic = constant(network) if inputs.requires_grad else network
            ours, theirs = critic(image, inputs), critic(image, real)
        return multi_scale_l1(ours, theirs)


class SegANLoss:
    """The segmentor's loss, in two terms, and the critic's, which is the first of them negated.

    Args:
        dice_weight: of the Dice term of the segmentor's loss; 0 leaves it out.

    Raises:
        InputError: a weight below 0.

    Source:
        Xue 2017, arXiv:1706.01805, equation 1; Giacomello 2020, section III (i), for the Dice term,
        with squares in the denominator as in Milletari 2016 and a smoothing of 2e-6 as in the
        authors' code. It is MONAI's.

    Example:
        >>> loss = SegANLoss()
        >>> round(
        ...     loss.reconstruction(torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 1, 2, 2)).item(), 3
        ... )
        0.2
        >>> distance = torch.tensor([0.1, 0.3])
        >>> round(loss.generator(distance).item(), 3)
        0.2
        >>> round(loss.discriminator(torch.zeros(2), distance).item(), 3)
        -0.2
    """

    def __init__(self, *, dice_weight: float = 1.0) -> None:
        if dice_weight < 0:
            raise InputError("SegAN's loss", "dice_weight", "be at least 0", got=dice_weight)
        self.dice_weight = dice_weight
        self.dice = DiceLoss(squared_pred=True, smooth_nr=_EPSILON, smooth_dr=_EPSILON)

    def reconstruction(self, probability: Tensor, truth: Tensor) -> Tensor:
        """The weighted Dice term; a scalar."""
        if self.dice_weight == 0:
            return probability.new_zeros(())
        term: Tensor = self.dice_weight * self.dice(probability, truth)
        return term

    def generator(self, distance: Tensor) -> Tensor:
        """Mean distance of the segmentor's masks from the truth; a scalar."""
        return distance.mean()

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """How much nearer the truth is to itself; a scalar. Of a frozen critic, one to no end."""
        loss = real.mean() - fake.mean()
        return loss if loss.requires_grad else loss.detach().requires_grad_()


class WeightClipping:
    """Keep the weights of a critic's convolutions small, after each step of its optimiser.

    Biases and batch norm are left alone; so is what is frozen.

    Args:
        limit: largest weight, either way.

    Raises:
        InputError: a limit that is not above 0.

    Source:
        Xue 2017, arXiv:1706.01805, section 2.1, after Arjovsky 2017 (WGAN). That it is the kernels
        alone is Giacomello 2020's code; Xue's clips every parameter.
    """

    def __init__(self, limit: float = CLIP) -> None:
        if limit <= 0:
            raise InputError("weight clipping", "limit", "be above 0", got=limit)
        self.limit = limit
        self._watched: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Clip after each step of the trainer's second optimiser."""
        engine.add_event_handler(Events.STARTED, self._watch)

    def _watch(self, engine: Engine) -> None:
        if self._watched is engine:
            return  # run a second time
        self._watched = engine
        state: Any = engine.state
        critic = unwrapped(state.d_network)
        state.d_optimizer.register_step_post_hook(lambda *_: self.clip(critic))

    @torch.no_grad()
    def clip(self, critic: nn.Module) -> None:
        """Clip now."""
        for layer in critic.modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
                layer.weight.clamp_(-self.limit, self.limit)
