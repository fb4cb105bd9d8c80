"""What is present in each slice, in truth and to a classifier."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from monai_transfer.errors import InputError
from monai_transfer.training.pictures.canvas import new_figure, save

_COLOURS = "cividis"  # the same to every eye, and in grey


def presence_map(
    truth: NDArray[np.bool_],
    probability: NDArray[np.floating[Any]],
    path: str | os.PathLike[str],
    *,
    z: NDArray[np.integer[Any]],
    names: Sequence[str],
    title: str = "",
) -> Path:
    """Draw presence along z: a panel for the truth, one for the probability, a row a structure.

    Args:
        truth: (slices, structures).
        probability: likewise, in [0, 1].
        path: the picture.
        z: index of each slice, rising.
        names: of the structures.
        title: above the picture.

    Returns:
        The path.

    Raises:
        InputError: there is no slice, or the shapes do not fit.
    """
    shape = (len(z), len(names))
    if not len(z) or np.shape(truth) != shape or np.shape(probability) != shape:
        got = f"{np.shape(truth)} and {np.shape(probability)}"
        raise InputError("presence_map", "truth and probability", f"have shape {shape}", got=got)
    figure = new_figure(9.5, 1.2 + 0.24 * len(names), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    extent = (z[0] - 0.5, z[-1] + 0.5, len(names) - 0.5, -0.5)
    for axis, values, heading in zip(
        axes, (truth, probability), ("truth", "probability"), strict=True
    ):
        filled = np.full((len(names), int(z[-1] - z[0]) + 1), np.nan)
        filled[:, z - z[0]] = np.asarray(values, float).T
        shown = axis.imshow(
            np.ma.masked_invalid(filled),
            cmap=_COLOURS,
            vmin=0,
            vmax=1,
            aspect="auto",
            interpolation="nearest",
            extent=extent,
        )
        axis.set_title(heading, fontsize=11)
        axis.set_xlabel("slice, from the bottom up")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(length=0)
    axes[0].set_yticks(range(len(names)), list(names))
    figure.colorbar(shown, ax=axes, label="present", fraction=0.04)
    figure.suptitle(title, fontsize=11)
    return save(figure, path)
