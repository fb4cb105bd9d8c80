"""What a scanner gives of a brain: one prepared image for each of its series."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from monai_transfer.simulation.appearance import draw_appearance, ideal_volume
from monai_transfer.simulation.bias import draw_bias
from monai_transfer.simulation.mixture import Mixture
from monai_transfer.simulation.scanner import Scanner, form_image


def scan(
    rng: np.random.Generator, mixture: Mixture, scanner: Scanner, *, names: Sequence[str]
) -> npt.NDArray[np.int16]:
    """The stored images of a brain on its own grid, each series with a gain and bias of its own.

    Args:
        rng: source of randomness.
        mixture: the brain.
        scanner: protocol.
        names: of the tissues that are drawn, all of the mixture's among them.

    Returns:
        (series, x, y, z), 0 outside the brain and at least 1 inside.
    """
    anatomy = mixture.anatomy
    appearance = draw_appearance(rng, anatomy, names=names, field_tesla=scanner.field_tesla)
    images = np.zeros((len(scanner.sequences), *anatomy.grid.shape), np.int16)
    for stored, (modality, sequence) in zip(images, scanner.sequences.items(), strict=True):
        see = scanner.seeing(modality)
        white = see(appearance.tissues["wm"])
        image = form_image(
            rng,
            ideal_volume(mixture, appearance, see=see),
            sequence=sequence,
            scanner=scanner,
            bias=draw_bias(rng, anatomy, cv=scanner.bias_cv),
            spacing_mm=anatomy.grid.spacing_mm,
            reference=white,
        )
        image *= np.float32(scanner.gain * np.exp(rng.normal(0.0, 0.4)) / white)
        levels = np.clip(np.rint(image), 1, np.iinfo(np.int16).max).astype(np.int16)
        stored[:] = np.where(anatomy.brain, levels, np.int16(0))
    return images
