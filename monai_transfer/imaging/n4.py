"""N4 on tensors: the log bias field of the voxels of one image, fitted by B-splines.

The voxels lie on a grid, so every sum over the 4×4×4 control points around each of them is three
small matrix products, one per axis. The field of a level is added to those of the levels before
it, so no control-point lattice is ever refined. Else this is the algorithm of ITK's
``N4BiasFieldCorrectionImageFilter``, step by step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from torch import Tensor

from monai_transfer.errors import InputError

SPLINE_ORDER = 3
_SUBBINS = 64
"""Parts of a histogram bin in which voxels are counted; their centres stand for them."""


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
        grid_mm: the field is estimated from every n-th voxel of each axis, so that they are about
            so far apart, and never from averages; ``None``: from all. An axis of thick slices is
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
        Tustison et al. 2010, doi:10.1109/TMI.2010.2046908, as ITK 5.4 implements it (fit after
        Lee et al. 1997, doi:10.1109/2945.620490). Ours: voxels are counted in 64 parts of each
        histogram bin, which moves a log intensity by less than 1/128 of a bin.

    Example:
        >>> flat = torch.rand(12, 12, 12) + 1
        >>> inside = torch.ones(12, 12, 12, dtype=torch.bool)
        >>> field = log_bias_field(flat, inside, settings=N4Settings(), steps=(1, 1, 1))
        >>> field.shape, bool(field.abs().max() < 0.3)
        (torch.Size([12, 12, 12]), True)
    """
    thin = _every(steps)
    points = _Points.of(included[thin])
    log = voxels[thin][points.box][points.inside].float().log_()
    matrices = _level_matrices(voxels.shape, settings, device=voxels.device)
    field = torch.zeros(voxels.shape, device=voxels.device)
    for level, most in zip(matrices, settings.iterations, strict=True):
        seen = [
            matrix[part][box] for matrix, part, box in zip(level, thin, points.box, strict=True)
        ]
        lattice = _fit_level(log, _Fit(points, seen), settings=settings, most=most)
        field += _expand(lattice, level)
    return field


def _every(steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice((step - 1) // 2, None, step) for step in steps)


def _level_matrices(
    shape: Sequence[int], settings: N4Settings, *, device: torch.device
) -> list[list[Tensor]]:
    """For each level and axis the (voxel, control point) weights of a uniform cubic B-spline."""
    spans = settings.control_points - SPLINE_ORDER
    return [
        [torch.as_tensor(_spline_weights(size, spans * 2**level), device=device) for size in shape]
        for level in range(len(settings.iterations))
    ]


def _spline_weights(size: int, spans: int) -> NDArray[np.float32]:
    """The first voxel is where the first span begins, the last where the last one ends."""
    knots = np.arange(-SPLINE_ORDER, spans + SPLINE_ORDER + 1.0)
    positions = np.linspace(0.0, spans, size)
    weights: NDArray[np.float32] = (
        BSpline.design_matrix(positions, knots, SPLINE_ORDER).toarray().astype(np.float32)
    )
    return weights


@dataclass(frozen=True)
class _Points:
    """The included voxels, and the smallest box around them.

    Args:
        box: one slice per axis.
        inside: the included voxels of the box.
        where: their flat indices in it.
    """

    box: tuple[slice, ...]
    inside: Tensor
    where: Tensor

    @classmethod
    def of(cls, included: Tensor) -> "_Points":
        box = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            taken = included.any(dim=others).nonzero()
            box.append(slice(int(taken[0]), int(taken[-1]) + 1))
        inside = included[tuple(box)].contiguous()
        return cls(tuple(box), inside, inside.flatten().nonzero()[:, 0])


class _Fit:
    """Multilevel B-spline approximation at one level: the weights do not change, the data do.

    Args:
        points: of the data.
        matrices: one per axis, (voxel of the box, control point).
    """

    def __init__(self, points: _Points, matrices: list[Tensor]) -> None:
        self.points, self.matrices = points, matrices
        squared = [matrix**2 for matrix in matrices]
        self.cubed = [m**3 / s.sum(1, keepdim=True) for m, s in zip(matrices, squared, strict=True)]
        self.omega = _reduce(points.inside.float(), squared)
        self.data = torch.zeros(points.inside.shape, device=points.inside.device)

    def lattice(self, values: Tensor) -> Tensor:
        """Control points for a value at each point; 0 where none is near."""
        self.data.view(-1).index_copy_(0, self.points.where, values)
        return torch.where(self.omega > 0, _reduce(self.data, self.cubed) / self.omega, 0.0)

    def values(self, lattice: Tensor) -> Tensor:
        """The spline at each point."""
        return _expand(lattice, self.matrices).view(-1).index_select(0, self.points.where)


def _reduce(volume: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Sum over the voxels: (x, y, z) with (x, a), (y, b), (z, c) to (a, b, c)."""
    along_x, along_y, along_z = matrices
    lattice: Tensor = torch.tensordot(along_x.T, along_y.T @ (volume @ along_z), dims=1)
    return lattice


def _expand(lattice: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Sum over the control points: (a, b, c) with (x, a), (y, b), (z, c) to (x, y, z)."""
    along_x, along_y, along_z = matrices
    volume: Tensor = (along_y @ torch.tensordot(along_x, lattice, dims=1)) @ along_z.T
    return volume


def _fit_level(log: Tensor, fit: _Fit, *, settings: N4Settings, most: int) -> Tensor:
    """The control points that a level adds; takes its field from the log intensities, in place."""
    total = torch.zeros_like(fit.omega)
    for _ in range(most):
        lattice = fit.lattice(_residual(log, settings))
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


def _residual(log: Tensor, settings: N4Settings) -> Tensor:
    """Log intensities less what they are once the histogram is sharpened."""
    low, high = (float(end) for end in log.aminmax())
    width = (high - low) / (settings.bins - 1)
    codes = (settings.bins - 1) * _SUBBINS
    code = ((log - low) * (_SUBBINS / width)).int().clamp_(max=codes - 1)
    counts = torch.bincount(code, minlength=codes).cpu().numpy()
    centres = (np.arange(codes) + 0.5) / _SUBBINS
    expected = _expected(_histogram(counts), low=low, width=width, settings=settings)
    table = low + centres * width - np.interp(centres, np.arange(settings.bins), expected)
    return torch.as_tensor(table, dtype=log.dtype, device=log.device).index_select(0, code)


def _histogram(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Triangular Parzen windows: a voxel counts in both bins it lies between."""
    parts = counts.reshape(-1, _SUBBINS)
    upper = parts @ ((np.arange(_SUBBINS) + 0.5) / _SUBBINS)
    lower = parts.sum(axis=1) - upper
    histogram: NDArray[np.float64] = np.append(lower, 0.0) + np.append(0.0, upper)
    return histogram


def _expected(
    histogram: NDArray[np.float64], *, low: float, width: float, settings: N4Settings
) -> NDArray[np.float64]:
    """Expected true log intensity for an observed one, at each bin.

    The histogram is deconvolved by the field's distribution, a Gaussian, with a Wiener filter.
    """
    bins = settings.bins
    size = 2 ** (int(np.ceil(np.log2(bins))) + 1)
    offset = (size - bins) // 2
    padded = np.zeros(size)
    padded[offset : offset + bins] = histogram
    distance = np.minimum(np.arange(size), size - np.arange(size))
    fwhm = settings.fwhm / width
    gauss = np.exp(-4 * np.log(2) * (distance / fwhm) ** 2) * 2 * np.sqrt(np.log(2) / np.pi) / fwhm
    blur = np.fft.rfft(gauss)
    wiener = (blur.conj() / (blur.conj() * blur + settings.wiener_noise)).real
    sharp = np.fft.irfft(np.fft.rfft(padded) * wiener, size).clip(min=0.0)
    level = low + (np.arange(size) - offset) * width
    above, below = (np.fft.irfft(np.fft.rfft(part) * blur, size) for part in (level * sharp, sharp))
    known = below > 1e-12 * below.max()  # elsewhere both are rounding errors
    expected: NDArray[np.float64] = np.divide(above, below, out=level, where=known)
    return expected[offset : offset + bins]
