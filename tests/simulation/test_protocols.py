"""The library of protocols."""

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.protocols import PROTOCOLS, VISITS, draw_scanner, draw_visit
from monai_transfer.simulation.scanner import Scanner, signal
from monai_transfer.simulation.tissues import tissue


def relative(scanner: Scanner, modality: str) -> dict[str, float]:
    """Signals of tissues over that of white matter."""
    names = ("wm", "gm", "csf", "plaque", "oedema", "enhancing", "necrosis", "vein")
    values = [
        signal(
            tissue(name, scanner.field_tesla),
            scanner.sequences[modality],
            field_tesla=scanner.field_tesla,
            contrast_agent=modality == "t1c",
        )
        for name in names
    ]
    return dict(zip(names, np.array(values) / values[0], strict=True))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_has_the_contrast_of_its_modalities(name: str) -> None:
    scanner = PROTOCOLS[name]
    t1, t1c, t2, flair = (relative(scanner, m) for m in scanner.sequences)
    assert 1.0 > t1["gm"] > t1["csf"] > 0.0
    assert t1["necrosis"] < t1["enhancing"] < 1.0
    assert t1c["enhancing"] > 1.35
    assert t1c["vein"] > 1.8
    assert 1.0 < t2["gm"] < t2["plaque"] < t2["csf"]
    assert 2.5 < t2["csf"] < 4.0
    assert 1.0 < flair["gm"] < flair["plaque"]
    assert flair["oedema"] > flair["gm"]
    assert abs(flair["csf"]) < 0.4


def test_the_library_covers_both_fields_thick_slices_and_volumes() -> None:
    fields = {p.field_tesla for p in PROTOCOLS.values()}
    flairs = {(s.slice_mm, s.gap_mm) for s in (p.sequences["flair"] for p in PROTOCOLS.values())}
    assert fields == {1.5, 3.0}
    assert {(5.0, 1.0), (3.0, 0.5), (1.0, 0.0)} <= flairs


def test_a_cohort_draws_all_protocols() -> None:
    drawn = {draw_scanner(np.random.default_rng(seed)).name for seed in range(60)}
    assert drawn == set(PROTOCOLS)


def test_a_drawn_scanner_is_near_its_protocol_and_no_two_are_alike() -> None:
    name = "1.5T-clinic-3mm"
    first, second = (draw_scanner(np.random.default_rng(seed), name) for seed in (0, 1))
    assert first.name == second.name == name
    assert first.gain != second.gain
    for modality, sequence in first.sequences.items():
        nominal = PROTOCOLS[name].sequences[modality]
        assert sequence.te_ms == pytest.approx(nominal.te_ms, rel=0.15)
        assert sequence.te_ms != second.sequences[modality].te_ms
        assert (sequence.slice_mm, sequence.gap_mm) == (nominal.slice_mm, nominal.gap_mm)


def test_fluid_stays_near_its_null_on_every_drawn_flair() -> None:
    dark = [
        relative(draw_scanner(np.random.default_rng(seed)), "flair")["csf"] for seed in range(100)
    ]
    assert max(np.abs(dark)) < 0.6
    assert np.mean(dark) == pytest.approx(0.2, abs=0.1)


def test_the_two_visits_are_one_machine_each_with_the_slices_of_the_paper() -> None:
    for session, slices in (("baseline", (5.0, 1.0)), ("followup", (3.0, 0.5))):
        drawn = [draw_visit(np.random.default_rng(seed), session) for seed in range(20)]
        flair = VISITS[session].sequences["flair"]
        assert (flair.slice_mm, flair.gap_mm, flair.in_plane_mm) == (*slices, (1.0, 1.2))
        assert VISITS[session].sequences["t1"].is_volume
        for scanner in drawn:
            got = scanner.sequences["flair"]
            assert (got.tr_ms, got.te_ms, got.ti_ms) == (flair.tr_ms, flair.te_ms, flair.ti_ms)
            assert scanner.gain == pytest.approx(VISITS[session].gain, rel=0.4)
        assert len({scanner.sequences["flair"].noise_fraction for scanner in drawn}) == 20


@pytest.mark.parametrize("session", VISITS)
def test_hyperintensities_stand_out_of_both_visits(session: str) -> None:
    scanner = VISITS[session]
    levels = {
        modality: {name: scanner.seeing(modality)(tissue(name, 1.5))
                   for name in ("wm", "gm", "csf", "pale_wmh", "dense_wmh")}
        for modality in ("t1", "flair")
    }  # fmt: skip
    t1, flair = levels["t1"], levels["flair"]
    assert flair["wm"] < flair["gm"] < flair["pale_wmh"] < flair["dense_wmh"]
    assert abs(flair["csf"]) < 0.3 * flair["wm"]
    assert t1["csf"] < t1["gm"] < t1["dense_wmh"] + 0.1 * t1["wm"] < t1["pale_wmh"] < t1["wm"]


def test_an_unknown_protocol_is_refused_with_the_closest() -> None:
    with pytest.raises(InputError, match=r"Did you mean .*3T-volume"):
        draw_scanner(np.random.default_rng(0), "3T-volum")
