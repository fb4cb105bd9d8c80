"""The scanner: signal equations, protocols as records of real numbers, and image formation."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import exp
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from monai_transfer.errors import InputError, choice
from monai_transfer.simulation.fields import Array, apply_separable, linear_weights
from monai_transfer.simulation.tissues import RELAXIVITY, Tissue

MODALITIES = ("t1", "t1c", "t2", "flair")
"""The four modalities, in the order used everywhere."""


@dataclass(frozen=True)
class Sequence:
    """Contrast and geometry of one series.

    Args:
        tr_ms, te_ms: repetition and echo time.
        ti_ms: inversion time of an inversion recovery; ``None`` for a spin echo.
        slice_mm, gap_mm: slice thickness and the gap between slices.
        in_plane_mm: spacing within a slice, along the body's first and second axis that it has.
        slice_axis: 0 sagittal, 1 coronal, 2 axial.
        noise_fraction: standard deviation of the noise over the signal of white matter.
    """

    tr_ms: float
    te_ms: float
    ti_ms: float | None = None
    slice_mm: float = 1.0
    gap_mm: float = 0.0
    in_plane_mm: tuple[float, float] = (1.0, 1.0)
    slice_axis: int = 2
    noise_fraction: float = 0.04

    def __post_init__(self) -> None:
        for name in ("tr_ms", "te_ms", "slice_mm", "in_plane_mm"):
            if not np.min(getattr(self, name)) > 0:
                raise InputError("Sequence", name, "be positive", got=getattr(self, name))
        if self.ti_ms is not None and not 0 < self.ti_ms < self.tr_ms:
            raise InputError("Sequence", "ti_ms", "lie between 0 and tr_ms", got=self.ti_ms)
        for name in ("gap_mm", "noise_fraction"):
            if getattr(self, name) < 0:
                raise InputError("Sequence", name, "be 0 or more", got=getattr(self, name))
        if self.slice_axis not in (0, 1, 2):
            raise choice("Sequence", "slice_axis", str(self.slice_axis), "012")

    @property
    def is_volume(self) -> bool:
        """Whether the series is one volume rather than separate slices."""
        return self.slice_mm <= min(self.in_plane_mm) and self.gap_mm == 0

    def profile_mm(self, axis: int) -> tuple[float, float]:
        """What a voxel sees along an axis of the body, and how far the next one is.

        Example:
            >>> flair = Sequence(tr_ms=9000.0, te_ms=84.0, slice_mm=5.0, gap_mm=1.0)
            >>> flair.profile_mm(0), flair.profile_mm(2)
            ((1.0, 1.0), (5.0, 6.0))
        """
        if axis == self.slice_axis:
            return self.slice_mm, self.slice_mm + self.gap_mm
        step_mm = self.in_plane_mm[axis - (axis > self.slice_axis)]
        return step_mm, step_mm


@dataclass(frozen=True)
class Scanner:
    """A protocol on a scanner: everything that turns tissue into images.

    Args:
        name: of the protocol.
        field_tesla: 1.5 or 3.
        sequences: one for each of its modalities, in their order.
        bias_cv: coefficient of variation of the bias field over the head.
        jitter_fraction: standard deviation of the gain between slices, where there are slices.
        gain: mean of white matter in stored units, before each series' own gain.
    """

    name: str
    field_tesla: float
    sequences: Mapping[str, Sequence]
    bias_cv: float = 0.05
    jitter_fraction: float = 0.01
    gain: float = 400.0

    def __post_init__(self) -> None:
        if not self.sequences or list(self.sequences) != [
            modality for modality in MODALITIES if modality in self.sequences
        ]:
            raise InputError(
                self.name,
                "sequences",
                f"be some of {', '.join(MODALITIES)}, in this order",
                got=", ".join(self.sequences),
            )
        object.__setattr__(self, "sequences", MappingProxyType(dict(self.sequences)))

    def only(self, modalities: Iterable[str]) -> "Scanner":
        """This protocol without its other series."""
        return replace(self, sequences={name: self.sequences[name] for name in modalities})

    def seeing(self, modality: str) -> Callable[[Tissue], float]:
        """The :func:`signal` of a tissue in one of its series; only T1C is after injection."""
        return partial(
            signal,
            sequence=self.sequences[modality],
            field_tesla=self.field_tesla,
            contrast_agent=modality == "t1c",
        )


def signal(
    tissue: Tissue, sequence: Sequence, *, field_tesla: float = 3.0, contrast_agent: bool = False
) -> float:
    """Signal of a tissue, relative to fully relaxed fluid at echo time zero.

    Spin echo ``PD (1 − e^(−TR/T1)) e^(−TE/T2)``; inversion recovery
    ``PD (1 − 2 e^(−TI/T1) + e^(−TR/T1)) e^(−TE/T2)``, with its sign, so that tissues within a voxel
    may cancel; the magnitude is taken of the voxel.
    Contrast agent adds ``r · C`` to both rates; without it, flow voids
    lose their part.

    Args:
        tissue: relaxation times, proton density, uptake.
        sequence: times of the series.
        field_tesla: sets the relaxivity.
        contrast_agent: whether the series comes after injection.

    Returns:
        The signal; negative where an inversion recovery has not passed its null.

    Source: standard; e.g. Haacke et al., Magnetic Resonance Imaging, 1999, chapter 8.

    Example:
        >>> white = Tissue(t1_ms=800.0, t2_ms=80.0, pd=0.7)
        >>> round(signal(white, Sequence(tr_ms=500.0, te_ms=15.0)), 4)
        0.2697
    """
    t1_ms, t2_ms = tissue.t1_ms, tissue.t2_ms
    if contrast_agent:
        r1, r2 = RELAXIVITY[field_tesla]
        t1_ms = 1.0 / (1.0 / t1_ms + r1 * tissue.gadolinium_mmol / 1000.0)
        t2_ms = 1.0 / (1.0 / t2_ms + r2 * tissue.gadolinium_mmol / 1000.0)
    visible = 1.0 if contrast_agent else 1.0 - tissue.flow_void
    decay = visible * tissue.pd * exp(-sequence.te_ms / t2_ms)
    recovery = exp(-sequence.tr_ms / t1_ms)
    if sequence.ti_ms is None:
        return decay * (1.0 - recovery)
    return decay * (1.0 - 2.0 * exp(-sequence.ti_ms / t1_ms) + recovery)


def slice_centres_mm(
    count: int, spacing_mm: float, *, pitch_mm: float, phase: float
) -> npt.NDArray[np.float64]:
    """Where the slices of :func:`slice_profile` lie, from the edge of the grid.

    Example:
        >>> slice_centres_mm(6, 1.0, pitch_mm=3.0, phase=0.5)
        array([1.5, 4.5])
    """
    first_mm, step_mm = (phase % 1.0) * pitch_mm, pitch_mm
    if pitch_mm <= spacing_mm:
        first_mm, step_mm = spacing_mm / 2.0, spacing_mm
    centres_mm: npt.NDArray[np.float64] = np.arange(first_mm, count * spacing_mm, step_mm)
    return centres_mm


def slice_profile(
    count: int, spacing_mm: float, *, thickness_mm: float, pitch_mm: float, phase: float
) -> tuple[Array, Array]:
    """Matrices of acquisition along one axis and of resampling back onto the grid.

    Args:
        count: voxels of the grid along the axis.
        spacing_mm: of the grid.
        thickness_mm: width of the box profile of a slice.
        pitch_mm: distance of slice centres (thickness plus gap).
        phase: position of the first centre, in pitches, 0 … 1.

    Returns:
        (slices, count) averages over the profile and (count, slices) linear interpolation; two
        identities where the pitch is no coarser than the grid.

    Example:
        >>> acquire, back = slice_profile(6, 1.0, thickness_mm=2.0, pitch_mm=3.0, phase=0.5)
        >>> acquire
        array([[0.25, 0.5 , 0.25, 0.  , 0.  , 0.  ],
               [0.  , 0.  , 0.  , 0.25, 0.5 , 0.25]], dtype=float32)
    """
    if pitch_mm <= spacing_mm:
        same = np.eye(count, dtype=np.float32)
        return same, same
    centres_mm = slice_centres_mm(count, spacing_mm, pitch_mm=pitch_mm, phase=phase)
    edges_mm = spacing_mm * np.arange(count + 1)
    low, high = (centres_mm + sign * thickness_mm / 2.0 for sign in (-1, 1))
    overlap = np.minimum(high[:, None], edges_mm[None, 1:]) - np.maximum(
        low[:, None], edges_mm[None, :-1]
    )
    acquire = np.clip(overlap, 0.0, None).astype(np.float32)
    acquire /= acquire.sum(axis=1, keepdims=True)
    voxels_mm = spacing_mm * (np.arange(count) + 0.5)
    return acquire, linear_weights((voxels_mm - centres_mm[0]) / pitch_mm, len(centres_mm))


def form_image(
    rng: np.random.Generator,
    ideal: Array,
    *,
    sequence: Sequence,
    scanner: Scanner,
    bias: Array,
    spacing_mm: float,
    reference: float,
) -> Array:
    """Turn ideal signal into the magnitude image that the scanner would store.

    Args:
        rng: source of randomness.
        ideal: (x, y, z) signed signal, bias-free.
        sequence: geometry and noise of the series.
        scanner: jitter between slices.
        bias: (x, y, z) multiplicative field.
        spacing_mm: of the grid.
        reference: signal of white matter, the unit of the noise.

    Returns:
        Image on the same grid, in units of the signal.
    """
    profiles = [sequence.profile_mm(axis) for axis in range(3)]
    x, y, z = (
        slice_profile(
            count,
            spacing_mm,
            thickness_mm=thickness_mm,
            pitch_mm=pitch_mm,
            phase=float(rng.uniform()),
        )
        for count, (thickness_mm, pitch_mm) in zip(ideal.shape, profiles, strict=True)
    )
    slices = acquire(
        rng,
        ideal * bias,
        (x[0], y[0], z[0]),
        sequence=sequence,
        scanner=scanner,
        reference=reference,
    )
    return apply_separable(slices, (x[1], y[1], z[1]))


def acquire(
    rng: np.random.Generator,
    seen: Array,
    matrices: tuple[Array, Array, Array],
    *,
    sequence: Sequence,
    scanner: Scanner,
    reference: float,
) -> Array:
    """The magnitude image on the slices themselves.

    Args:
        rng: source of randomness.
        seen: (x, y, z) signed signal under the bias field.
        matrices: of acquisition along each axis (see :func:`slice_profile`).
        sequence: geometry and noise of the series.
        scanner: jitter between slices.
        reference: signal of white matter, the unit of the noise.

    Returns:
        Image on the grid of the slices, in units of the signal.
    """
    slices = apply_separable(seen, matrices)
    along = [-1 if axis == sequence.slice_axis else 1 for axis in range(3)]
    jitter = rng.standard_normal((slices.shape[sequence.slice_axis],), dtype=np.float32)
    if not sequence.is_volume:
        slices *= 1.0 + np.float32(scanner.jitter_fraction) * jitter.reshape(along)
    sigma = np.float32(sequence.noise_fraction * abs(reference))
    slices += sigma * rng.standard_normal(slices.shape, dtype=np.float32)
    imaginary = sigma * rng.standard_normal(slices.shape, dtype=np.float32)
    magnitude: Array = np.hypot(slices, imaginary)
    return magnitude
