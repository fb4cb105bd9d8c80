"""N4 on tensors: the log bias field of the voxels of one image, fitted by B-splines.

The algorithm is that of ITK's ``N4BiasFieldCorrectionImageFilter``, step by step, but for two
things that leave the field as it is: B-splines on a grid are matrix products (see
:mod:`~monai_transfer.imaging.bsplines`), and the field of a level is added to those of the levels
before it, so that no lattice of control points is ever refined.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from monai_transfer.errors import InputError
from monai_transfer.imaging.bsplines import (
    SPLINE_ORDER,
    Approximation,
    Points,
    expanded,
    spline_weights,
)
from monai_transfer.imaging.sharpening import blur_residual


@dataclass(frozen=True)
class N4Settings:
    """How N4 fits; the defaults are ITK's, but for the levels and the grid.

    Args:
        iterations: at most so many at each level; their number is that of the levels. Each level
            has twice the spline spans of the one before. SimpleITK and ANTs have four levels,
            whose 23 mm of a brain's box fit anatomy too: on simulated brains they left more
            variation than there had been, and three levels the least (see the benchmark).
        convergence_threshold: a level ends when the coefficient of variation of the ratio between
            two successive fields is no larger.
        control_points: along each axis at the first level; 4 are one cubic span.
        bins: of the histogram of log intensities.
        fwhm: full width at half maximum of the field's distribution, in log intensity.
        wiener_noise: of the deconvolution.
        grid_mm: the field is estimated from every n-th voxel of each axis, about so far
            apart; ``None``: from all. An axis of thick slices is
            thus left whole. The field is always evaluated on all voxels.

    Raises:
        InputError: a number out of range.
    """

    iterations: tuple[int, ...] = (50, 50, 50)
    convergence_threshold: float = 0.001
    control_points: int = 4
    bins: int = 200
    fwhm: float = 0.15
    wiener_noise: float = 0.01
    grid_mm: float | None = 3.0

    def __post_init__(self) -> None:
        rules = {
            "iterations": ("be one number of 1 or more per level", min(self.iterations, default=0)),
            "control_points": (
                f"be {SPLINE_ORDER + 1} or more",
                self.control_points - SPLINE_ORDER,
            ),
            "bins": ("be 2 or more", self.bins - 1),
            "fwhm": ("be above 0", self.fwhm),
            "wiener_noise": ("be above 0", self.wiener_noise),
            "grid_mm": ("be above 0", 1.0 if self.grid_mm is None else self.grid_mm),
        }
        for name, (rule, least) in rules.items():
            if not least > 0:
                raise InputError("N4Settings", name, rule, got=getattr(self, name))

    def steps(self, spacing_mm: Sequence[float]) -> tuple[int, ...]:
        """Every how many voxels one is taken, along each axis.

        Example:
            >>> N4Settings().steps((0.72, 0.72, 3.0))
            (4, 4, 1)
        """
        if self.grid_mm is None:
            return (1,) * len(spacing_mm)
        return tuple(max(1, round(self.grid_mm / float(spacing))) for spacing in spacing_mm)


def sampled(included: Tensor, steps: Sequence[int]) -> Tensor:
    """The included voxels that the field is estimated from: every n-th of each axis.

    Example:
        >>> sampled(torch.ones(4, 1, 1, dtype=torch.bool), (3, 1, 1)).flatten().tolist()
        [False, True, False, False]
    """
    taken = torch.zeros_like(included)
    thin = _every(steps)
    taken[thin] = included[thin]
    return taken


def log_bias_field(
    voxels: Tensor, included: Tensor, *, settings: N4Settings, steps: Sequence[int]
) -> Tensor:
    """The natural logarithm of the bias field, on all voxels.

    Args:
        voxels: (x, y, z) intensities, on any device.
        included: (x, y, z) voxels that count, all of them above 0.
        settings: of the fit.
        steps: every how many voxels one is taken, along each axis.

    Returns:
        (x, y, z) float32; it goes to 0 where no control point reaches an included voxel.

    Source:
        Tustison et al. 2010, doi:10.1109/TMI.2010.2046908, as ITK 5.4 implements it.

    Example:
        >>> flat = torch.rand(12, 12, 12) + 1
        >>> inside = torch.ones(12, 12, 12, dtype=torch.bool)
        >>> field = log_bias_field(flat, inside, settings=N4Settings(), steps=(1, 1, 1))
        >>> field.shape, bool(field.abs().max() < 0.3)
        (torch.Size([12, 12, 12]), True)
    """
    thin = _every(steps)
    points = Points.of(included[thin])
    log = voxels[thin][points.box][points.inside].float().log_()
    matrices = _level_matrices(voxels.shape, settings, device=voxels.device)
    field = torch.zeros(voxels.shape, device=voxels.device)
    for level, most in zip(matrices, settings.iterations, strict=True):
        seen = [
            matrix[part][box] for matrix, part, box in zip(level, thin, points.box, strict=True)
        ]
        lattice = _fit_level(log, Approximation(points, seen), settings=settings, most=most)
        field += expanded(lattice, level)
    return field


def _every(steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice((step - 1) // 2, None, step) for step in steps)


def _level_matrices(
    shape: Sequence[int], settings: N4Settings, *, device: torch.device
) -> list[list[Tensor]]:
    """For each level and axis the (voxel, control point) weights of a uniform cubic B-spline."""
    spans = settings.control_points - SPLINE_ORDER
    return [
        [torch.as_tensor(spline_weights(size, spans * 2**level), device=device) for size in shape]
        for level in range(len(settings.iterations))
    ]


def _fit_level(log: Tensor, fit: Approximation, *, settings: N4Settings, most: int) -> Tensor:
    """The control points that a level adds; takes its field from the log intensities, in place."""
    total = torch.zeros_like(fit.omega)
    for _ in range(most):
        lattice = fit.lattice(
            blur_residual(
                log, bins=settings.bins, fwhm=settings.fwhm, wiener_noise=settings.wiener_noise
            )
        )
        total += lattice
        change = fit.values(lattice)
        log -= change
        if _variation(change) <= settings.convergence_threshold:
            break
    return total


def _variation(change: Tensor) -> float:
    """Coefficient of variation of exp(change)."""
    ratio = change.expm1()  # about 0: no precision is lost in the squares
    count, total = len(ratio), float(ratio.sum())
    variance = (float(ratio @ ratio) - total**2 / count) / (count - 1)
    return float(np.sqrt(max(variance, 0.0))) / (1.0 + total / count)
