"""A small library of named protocols, and how a subject of a multi-centre cohort draws one."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from monai_transfer.errors import choice
from monai_transfer.simulation.scanner import MODALITIES, Scanner, Sequence


def _protocol(name: str, field_tesla: float, *sequences: Sequence, **numbers: float) -> Scanner:
    return Scanner(name, field_tesla, dict(zip(MODALITIES, sequences, strict=True)), **numbers)


_THICK = {"slice_mm": 5.0, "gap_mm": 1.0}
_MEDIUM = {"slice_mm": 3.0, "gap_mm": 0.5}
_THIN = {"slice_mm": 3.0, "gap_mm": 0.3}
_CUBE = {"slice_mm": 1.0, "slice_axis": 0}

_LIBRARY = (
    # Routine spin echo with thick slices; the FLAIR of Ghafoorian 2017's first scanner, 5.0 + 1.0 mm.
    _protocol(
        "1.5T-routine-5mm",
        1.5,
        Sequence(tr_ms=550, te_ms=14, **_THICK),
        Sequence(tr_ms=550, te_ms=14, **_THICK),
        Sequence(tr_ms=4500, te_ms=100, **_THICK),
        Sequence(tr_ms=9000, te_ms=110, ti_ms=2360, **_THICK),
        noise_fraction=0.045,
    ),
    # Spin echo with 3.0 + 0.5 mm, Ghafoorian 2017's second FLAIR.
    _protocol(
        "1.5T-clinic-3mm",
        1.5,
        Sequence(tr_ms=500, te_ms=11, **_MEDIUM),
        Sequence(tr_ms=500, te_ms=11, **_MEDIUM),
        Sequence(tr_ms=4000, te_ms=95, **_MEDIUM),
        Sequence(tr_ms=8500, te_ms=105, ti_ms=2310, **_MEDIUM),
        noise_fraction=0.045,
    ),
    # Inversion-prepared volumes before and after contrast agent.
    _protocol(
        "1.5T-volume",
        1.5,
        Sequence(tr_ms=1900, te_ms=4, ti_ms=900, **_CUBE),
        Sequence(tr_ms=1900, te_ms=4, ti_ms=900, **_CUBE),
        Sequence(tr_ms=4000, te_ms=95, **_MEDIUM),
        Sequence(tr_ms=6000, te_ms=110, ti_ms=2110, **_CUBE),
        noise_fraction=0.05,
    ),
    # After the open multiple-sclerosis set (Lesjak 2018): inversion-recovery T1 and T2 of 3.3 mm,
    # volume FLAIR. The T1 inversion time is the effective one that gives its measured contrast.
    _protocol(
        "3T-inversion-3mm",
        3.0,
        Sequence(tr_ms=2000, te_ms=12, ti_ms=980, **_THIN),
        Sequence(tr_ms=2000, te_ms=12, ti_ms=980, **_THIN),
        Sequence(tr_ms=6000, te_ms=105, **_THIN),
        Sequence(tr_ms=5000, te_ms=120, ti_ms=1910, **_CUBE),
        noise_fraction=0.035,
    ),
    _protocol(
        "3T-volume",
        3.0,
        Sequence(tr_ms=2100, te_ms=3, ti_ms=1020, **_CUBE),
        Sequence(tr_ms=2100, te_ms=3, ti_ms=1020, **_CUBE),
        Sequence(tr_ms=5500, te_ms=100, **_CUBE),
        Sequence(tr_ms=6000, te_ms=120, ti_ms=2130, **_CUBE),
        noise_fraction=0.035,
    ),
    # The commonest set of the glioma centres: spin-echo T1 before, inversion-prepared volume after.
    _protocol(
        "3T-clinic-mixed",
        3.0,
        Sequence(tr_ms=700, te_ms=10, slice_mm=4.0, gap_mm=0.5),
        Sequence(tr_ms=2000, te_ms=4, ti_ms=950, **_CUBE),
        Sequence(tr_ms=5000, te_ms=95, slice_mm=4.0, gap_mm=0.5),
        Sequence(tr_ms=9000, te_ms=115, ti_ms=2430, slice_mm=4.0, gap_mm=0.5),
        noise_fraction=0.03,
    ),
)

PROTOCOLS: Mapping[str, Scanner] = MappingProxyType({p.name: p for p in _LIBRARY})
"""The named protocols."""


def draw_scanner(rng: np.random.Generator, protocol: str | None = None) -> Scanner:
    """The scanner of one subject: a named protocol, slightly off its nominal numbers.

    Args:
        rng: source of randomness.
        protocol: name of the protocol; ``None`` draws one, as in a multi-centre cohort.

    Returns:
        The protocol with its times within a few percent, and this site's noise, bias and gain.

    Raises:
        InputError: if there is no protocol of this name.

    Example:
        >>> draw_scanner(np.random.default_rng(0), "3T-volume").field_tesla
        3.0
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise choice("simulation", "protocol", protocol, PROTOCOLS)
    drawn = list(PROTOCOLS)[int(rng.integers(len(PROTOCOLS)))]
    nominal = PROTOCOLS[protocol or drawn]
    return replace(
        nominal,
        sequences={m: _off_nominal(rng, s) for m, s in nominal.sequences.items()},
        noise_fraction=nominal.noise_fraction * float(rng.uniform(0.75, 1.25)),
        bias_cv=float(rng.uniform(0.02, 0.08)),
        jitter_fraction=float(rng.uniform(0.004, 0.02)),
        gain=float(np.exp(rng.uniform(np.log(150.0), np.log(800.0)))),
    )


def _off_nominal(rng: np.random.Generator, sequence: Sequence) -> Sequence:
    tr, te, ti = (float(f) for f in rng.normal(1.0, [0.03, 0.03, 0.008]))
    ti_ms = None if sequence.ti_ms is None else sequence.ti_ms * ti
    # TR and TI of an inversion recovery are set together, to keep fluid near its null.
    tr_ms = sequence.tr_ms * (ti if sequence.ti_ms is not None else tr)
    return replace(sequence, tr_ms=tr_ms, te_ms=sequence.te_ms * te, ti_ms=ti_ms)
