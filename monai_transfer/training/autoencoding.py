"""How an auto-encoder is trained: restorer and discriminator on MONAI's adversarial trainer.

The discriminator is shown the image beside its reconstruction, or beside itself.
"""

from typing import Any

import torch
from monai.losses import PatchAdversarialLoss
from monai.losses.adversarial_loss import AdversarialCriterions
from torch import Tensor, nn

from monai_transfer.errors import InputError, choice
from monai_transfer.training.adversarial import constant
from monai_transfer.training.inference import AutocastInferer, forward

GAN_CRITERIA = tuple(str(criterion) for criterion in AdversarialCriterions)
"""What an adversarial loss may be: ``bce``, ``hinge`` or ``least_squares``."""


class GeneratorInferer(AutocastInferer):
    """What the generator makes of the image.

    Args:
        amp: as in :class:`~monai_transfer.training.AutocastInferer`.
    """

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Output of the network for ``kwargs["image"]``, float32; `inputs` is not looked at."""
        del inputs, args
        return forward(network, kwargs["image"], amp=self.amp)


class ConditionalInferer(AutocastInferer):
    """What the discriminator says of a counterpart beside the image.

    Args:
        amp: as in :class:`~monai_transfer.training.AutocastInferer`.

    Source:
        Zoetmulder 2022, section 3.3.3: 'the image and the decoder output were used as input';
        Isola 2017, arXiv:1611.07004 (pix2pix), section 3.2: concatenated.

    Example:
        >>> image = torch.ones(1, 1, 4, 4)
        >>> ConditionalInferer()(image, torch.nn.Conv2d(2, 1, 4), image=image).shape
        torch.Size([1, 1, 1, 1])
    """

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Logits for the image and `inputs`, concatenated along the channels, float32."""
        del args
        judge = constant(network) if inputs.requires_grad else network
        return forward(judge, torch.cat([kwargs["image"], inputs], dim=1), amp=self.amp)


class ReconstructionGANLoss:
    """Weighted sum of the L1 norm and an adversarial loss; the discriminator's own beside it.

    MONAI's trainer takes the three apart: :meth:`reconstruction` and :meth:`generator` make the
    generator's loss, :meth:`discriminator` the discriminator's.

    Args:
        l1_weight: of the mean absolute difference between reconstruction and image.
        gan_weight: of the adversarial loss.
        criterion: of MONAI's ``PatchAdversarialLoss``, one of :data:`GAN_CRITERIA`.

    Raises:
        InputError: a weight below 0, or an unknown criterion.

    Source:
        Zoetmulder 2022, section 3.4.2: 0.996 for the L1 norm, 0.004 for the GAN loss. The criterion
        is not stated there; binary cross entropy, and half of the discriminator's loss, are
        Isola 2017's, arXiv:1611.07004, section 3.3.

    Example:
        >>> loss = ReconstructionGANLoss()
        >>> round(loss.reconstruction(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)).item(), 3)
        0.996
        >>> logits = torch.zeros(1, 1, 2, 2)  # it cannot tell: log 2 each
        >>> (
        ...     round(loss.generator(logits).item(), 5),
        ...     round(loss.discriminator(logits, logits).item(), 3),
        ... )
        (0.00277, 0.693)
    """

    def __init__(
        self, *, l1_weight: float = 0.996, gan_weight: float = 0.004, criterion: str = "bce"
    ) -> None:
        for name, weight in (("l1_weight", l1_weight), ("gan_weight", gan_weight)):
            if weight < 0:
                raise InputError("adversarial loss", name, "be at least 0", got=weight)
        if criterion not in GAN_CRITERIA:
            raise choice("adversarial loss", "criterion", criterion, GAN_CRITERIA)
        self.adversarial = PatchAdversarialLoss(criterion=criterion)
        self.l1_weight, self.gan_weight = l1_weight, gan_weight

    def reconstruction(self, output: Tensor, target: Tensor) -> Tensor:
        """Weighted mean absolute difference; a scalar."""
        return self.l1_weight * nn.functional.l1_loss(output, target)

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Weighted: how far the discriminator is from taking the output for the truth; a scalar."""
        return self.gan_weight * self._mean(fake_logits, is_real=True, for_discriminator=False)

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Mean of what it makes of the truth and of the output; a scalar."""
        real = self._mean(real_logits, is_real=True, for_discriminator=True)
        return (real + self._mean(fake_logits, is_real=False, for_discriminator=True)) / 2

    def _mean(self, logits: Tensor, *, is_real: bool, for_discriminator: bool) -> Tensor:
        loss: Any = self.adversarial(logits, is_real, for_discriminator)
        return torch.as_tensor(loss)
