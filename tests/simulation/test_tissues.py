"""Tissue records."""

from functools import partial

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.protocols import PROTOCOLS
from monai_transfer.simulation.scanner import signal
from monai_transfer.simulation.tissues import TISSUES, tissue


@pytest.mark.parametrize("field_tesla", [1.5, 3.0])
def test_relaxation_times_are_ordered_as_in_every_brain(field_tesla: float) -> None:
    wm, gm, csf, plaque, hole = (
        tissue(name, field_tesla) for name in ("wm", "gm", "csf", "plaque", "black_hole")
    )
    assert wm.t1_ms < gm.t1_ms < csf.t1_ms
    assert wm.t2_ms < gm.t2_ms < plaque.t2_ms < hole.t2_ms < csf.t2_ms
    assert wm.pd < gm.pd < csf.pd == 1.0


@pytest.mark.parametrize("name", TISSUES)
def test_t1_grows_with_the_field_and_exceeds_t2(name: str) -> None:
    low, high = tissue(name, 1.5), tissue(name, 3.0)
    assert low.t1_ms < high.t1_ms
    assert high.t2_ms < high.t1_ms


@pytest.mark.parametrize(
    ("name", "low", "high"), [("faint_plaque", 0.85, 1.0), ("plaque", 0.5, 0.8)]
)
def test_faint_plaques_are_bright_on_flair_and_hardly_dark_on_t1(
    name: str, low: float, high: float
) -> None:
    def contrast(modality: str) -> float:
        scanner = PROTOCOLS["3T-volume"]
        see = partial(signal, sequence=scanner.sequences[modality], field_tesla=3.0)
        return see(tissue(name, 3.0)) / see(tissue("wm", 3.0))

    assert low < contrast("t1") < high
    assert contrast("flair") > 1.3


def test_more_free_water_lengthens_the_times() -> None:
    wet = tissue("wm", 3.0).scaled(1.3)
    assert wet.t1_ms == pytest.approx(1.3 * 832)
    assert wet.t2_ms == pytest.approx(1.3 * 80)
    assert wet.pd == pytest.approx(0.71 * 1.1)
    assert tissue("csf", 3.0).scaled(1.3).pd == 1.0  # nothing holds more water than fluid


@pytest.mark.parametrize(
    ("name", "field_tesla", "message"),
    [
        ("wmm", 3.0, "name must be one of .* got wmm. Did you mean wm"),
        ("wm", 7.0, "field strength must be one of 1.5, 3.0, got 7.0"),
    ],
)
def test_unknown_tissues_are_refused(name: str, field_tesla: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tissue(name, field_tesla)


def test_patients_differ_around_the_nominal_tissue() -> None:
    rng = np.random.default_rng(0)
    nominal = tissue("gm", 3.0)
    drawn = [nominal.drawn(rng) for _ in range(400)]
    for name, spread in (("t1_ms", 0.08), ("t2_ms", 0.05), ("pd", 0.02)):
        ratios = np.array([getattr(one, name) for one in drawn]) / getattr(nominal, name)
        assert ratios.mean() == pytest.approx(1.0, abs=3 * spread / 20)  # SD / √400, three times
        assert ratios.std() == pytest.approx(spread, rel=0.15)
    assert tissue("csf", 3.0).drawn(rng).pd <= 1.0
