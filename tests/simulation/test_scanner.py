"""Signal equations by hand, image formation by its statistics."""

from typing import Any

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.scanner import (
    MODALITIES,
    Scanner,
    Sequence,
    form_image,
    signal,
    slice_centres_mm,
    slice_profile,
)
from monai_transfer.simulation.tissues import Tissue

STILL = Sequence(tr_ms=500.0, te_ms=10.0, noise_fraction=0.0)


def scanner(sequence: Sequence, **numbers: Any) -> Scanner:
    return Scanner("test", 3.0, dict.fromkeys(MODALITIES, sequence), **numbers)


def image_of(ideal: np.ndarray, sequence: Sequence, *, seed: int = 0, **numbers: Any) -> np.ndarray:
    return form_image(
        np.random.default_rng(seed),
        ideal,
        sequence=sequence,
        scanner=scanner(sequence, **numbers),
        bias=np.ones_like(ideal),
        spacing_mm=1.0,
        reference=1.0,
    )


def test_slices_lie_where_the_profile_says() -> None:
    acquire, _ = slice_profile(60, 0.5, thickness_mm=3.0, pitch_mm=3.5, phase=0.4)
    centres_mm = slice_centres_mm(60, 0.5, pitch_mm=3.5, phase=0.4)
    voxels_mm = 0.5 * (np.arange(60) + 0.5)
    np.testing.assert_allclose(acquire[1:-1] @ voxels_mm, centres_mm[1:-1], atol=1e-5)
    np.testing.assert_allclose(slice_centres_mm(3, 2.0, pitch_mm=1.0, phase=0.4), [1.0, 3.0, 5.0])


def test_spin_echo_by_hand() -> None:
    # 0.7 · (1 − e^(−500/1000)) · e^(−20/100) = 0.7 · 0.393469 · 0.818731
    tissue = Tissue(t1_ms=1000.0, t2_ms=100.0, pd=0.7)
    assert signal(tissue, Sequence(tr_ms=500.0, te_ms=20.0)) == pytest.approx(0.225502, abs=1e-6)


def test_inversion_recovery_by_hand() -> None:
    # 0.8 · (1 − 2 e^(−2) + e^(−8)) · e^(−1) = 0.8 · 0.729665 · 0.367879
    tissue = Tissue(t1_ms=1000.0, t2_ms=100.0, pd=0.8)
    flair = Sequence(tr_ms=8000.0, te_ms=100.0, ti_ms=2000.0)
    assert signal(tissue, flair) == pytest.approx(0.214742, abs=1e-6)


def test_an_inversion_recovery_is_nulled_and_negative_before() -> None:
    # Null where 1 − 2 e^(−TI/T1) + e^(−TR/T1) = 0: TI = T1 · ln(2 / (1 + e^(−TR/T1)))
    fluid = Tissue(t1_ms=4000.0, t2_ms=2000.0, pd=1.0)
    null_ms = 4000.0 * np.log(2.0 / (1.0 + np.exp(-9000.0 / 4000.0)))
    at = [
        signal(fluid, Sequence(tr_ms=9000.0, te_ms=100.0, ti_ms=null_ms + d))
        for d in (-200, 0, 200)
    ]
    assert at[0] < 0.0 < at[2]
    assert at[1] == pytest.approx(0.0, abs=1e-9)


def test_contrast_agent_shortens_both_times_by_its_relaxivity() -> None:
    # r1 = 3.7, r2 = 5.2 L/(s mmol): 1/T1 = 1 + 3.7 · 0.5 = 2.85 /s, 1/T2 = 10 + 2.6 = 12.6 /s
    leaky = Tissue(t1_ms=1000.0, t2_ms=100.0, pd=1.0, gadolinium_mmol=0.5)
    as_if = Tissue(t1_ms=1000.0 / 2.85, t2_ms=1000.0 / 12.6, pd=1.0)
    assert signal(leaky, STILL, contrast_agent=True) == pytest.approx(signal(as_if, STILL))
    assert signal(leaky, STILL) < 0.6 * signal(leaky, STILL, contrast_agent=True)


def test_flow_voids_last_until_contrast_agent_comes() -> None:
    vein, still = (Tissue(1900.0, 275.0, 0.9, flow_void=void) for void in (0.5, 0.0))
    assert signal(vein, STILL) == pytest.approx(0.5 * signal(still, STILL))
    assert signal(vein, STILL, contrast_agent=True) == signal(still, STILL, contrast_agent=True)


def test_thick_slices_average_and_gaps_leave_out() -> None:
    acquire, back = slice_profile(24, 1.0, thickness_mm=5.0, pitch_mm=6.0, phase=0.5)
    assert acquire.shape == (4, 24)
    np.testing.assert_allclose(acquire.sum(axis=1), 1.0, atol=1e-6)
    # first slice: centre 3 mm, 0.5 … 5.5 mm; the gap takes the half voxels at both ends
    np.testing.assert_allclose(acquire[0, :7], [0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.0], atol=1e-6)
    ramp = np.arange(24, dtype=np.float32)
    np.testing.assert_allclose((back @ (acquire @ ramp))[3:20], ramp[3:20], atol=1e-4)


def test_slices_no_thicker_than_the_grid_change_nothing() -> None:
    for matrix in slice_profile(7, 2.0, thickness_mm=1.0, pitch_mm=2.0, phase=0.3):
        np.testing.assert_array_equal(matrix, np.eye(7))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_resolution_is_lost_along_the_slice_axis_only(axis: int) -> None:
    stripes = np.indices((24, 24, 24))
    sequence = Sequence(
        tr_ms=500.0, te_ms=10.0, slice_mm=4.0, gap_mm=0.0, slice_axis=axis, noise_fraction=0.0
    )
    for across in range(3):
        ideal = (stripes[across] % 2).astype(np.float32)
        inner = image_of(ideal, sequence, jitter_fraction=0.0)[4:-4, 4:-4, 4:-4]
        contrast = inner.std()  # slices that stick out of the grid apart
        assert contrast == pytest.approx(0.0 if across == axis else 0.5, abs=0.03)


def test_noise_is_rician() -> None:
    sequence = Sequence(tr_ms=500.0, te_ms=10.0, noise_fraction=0.05)
    bright = image_of(np.ones((40, 40, 40), np.float32), sequence)
    assert bright.std() == pytest.approx(0.05, rel=0.02)
    dark = image_of(np.zeros((40, 40, 40), np.float32), sequence)
    # magnitude of two Gaussians: Rayleigh, mean σ √(π/2), deviation σ √(2 − π/2)
    assert dark.mean() == pytest.approx(0.05 * np.sqrt(np.pi / 2), rel=0.02)
    assert dark.std() == pytest.approx(0.05 * np.sqrt(2 - np.pi / 2), rel=0.02)


def test_the_magnitude_is_taken_of_the_voxel_not_of_its_tissues() -> None:
    ideal = np.zeros((8, 8, 8), np.float32)
    ideal[..., ::2], ideal[..., 1::2] = 1.0, -1.0
    sequence = Sequence(tr_ms=500.0, te_ms=10.0, slice_mm=2.0, noise_fraction=0.0)
    mixed = image_of(ideal, sequence, jitter_fraction=0.0)
    assert mixed[..., 2:-2].max() < 1e-5


def test_slices_jitter_but_volumes_do_not() -> None:
    flat = np.ones((16, 16, 160), np.float32)
    slices = Sequence(tr_ms=500.0, te_ms=10.0, slice_mm=2.0, gap_mm=0.0, noise_fraction=0.0)
    jittered = image_of(flat, slices, jitter_fraction=0.03)
    gains = jittered[0, 0]
    np.testing.assert_allclose(jittered, np.broadcast_to(gains, flat.shape), rtol=1e-5)
    assert 0.01 < gains.std() < 0.04
    assert image_of(flat, STILL, jitter_fraction=0.03).std() < 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tr_ms": 0.0}, "tr_ms must be positive, got 0.0"),
        ({"ti_ms": 600.0}, "ti_ms must lie between 0 and tr_ms, got 600.0"),
        ({"in_plane_mm": (1.0, 0.0)}, "in_plane_mm must be positive"),
        ({"gap_mm": -1.0}, "gap_mm must be 0 or more, got -1.0"),
        ({"noise_fraction": -0.1}, "noise_fraction must be 0 or more"),
        ({"slice_axis": 3}, "slice_axis must be one of 0, 1, 2, got 3"),
    ],
)
def test_impossible_sequences_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sequence(**{"tr_ms": 500.0, "te_ms": 10.0, **change})


@pytest.mark.parametrize(
    ("slice_axis", "profiles"),
    [
        (0, ((5.0, 6.0), (1.0, 1.0), (1.2, 1.2))),
        (1, ((1.0, 1.0), (5.0, 6.0), (1.2, 1.2))),
        (2, ((1.0, 1.0), (1.2, 1.2), (5.0, 6.0))),
    ],
)
def test_in_plane_spacing_is_that_of_the_two_axes_in_the_slice(
    slice_axis: int, profiles: tuple[tuple[float, float], ...]
) -> None:
    sequence = Sequence(
        tr_ms=9000.0, te_ms=84.0, slice_mm=5.0, gap_mm=1.0, in_plane_mm=(1.0, 1.2),
        slice_axis=slice_axis,
    )  # fmt: skip
    assert tuple(sequence.profile_mm(axis) for axis in range(3)) == profiles
    assert not sequence.is_volume


@pytest.mark.parametrize("sequences", [{"flair": STILL, "t1": STILL}, {}, {"pd": STILL}])
def test_a_scanner_needs_its_series_in_order(sequences: dict[str, Sequence]) -> None:
    with pytest.raises(
        InputError, match="sequences must be some of t1, t1c, t2, flair, in this order"
    ):
        Scanner("test", 3.0, sequences)
