"""Histograms of the brain before and after."""

import io
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from monai_transfer._palette import BLUE, RED
from monai_transfer.imaging.image import Image

_BEFORE, _AFTER = RED, BLUE
_BINS = 128

Histogram: TypeAlias = Mapping[str, list[float]]
"""``edges`` of the bins, and ``shares`` of the voxels in each."""


def histogram(image: Image, mask: Image) -> Histogram:
    """Of the brain, between its 0.1st and 99.9th percentile.

    Args:
        image: any scale.
        mask: on the same grid.
    """
    inside = image.voxels[mask.voxels]
    low, high = np.percentile(inside, (0.1, 99.9)) if inside.size else (0.0, 1.0)
    counts, bounds = np.histogram(inside, _BINS, (float(low), max(float(high), float(low) + 1e-6)))
    shares = counts / max(1, counts.sum())
    return {"edges": bounds.tolist(), "shares": shares.tolist()}


def histogram_picture(before: Mapping[str, Histogram], after: Mapping[str, Histogram]) -> bytes:
    """JPEG: for each modality the brain's histogram before and after, each on its own scale.

    Args:
        before: of the raw scans.
        after: of the prepared images.
    """
    figure = Figure(figsize=(2.6, 1.25 * len(before)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(len(before), squeeze=False)[:, 0], before, strict=True):
        for found, colour, where in ((before, _BEFORE, "bottom"), (after, _AFTER, "top")):
            drawn = axes if where == "bottom" else axes.twiny()
            drawn.stairs(found[name]["shares"], found[name]["edges"], color=colour)
            drawn.tick_params(axis="x", colors=colour, labelsize=6)
        axes.set_yticks([])
        axes.set_ylabel(name, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": 85})
    return buffer.getvalue()
