"""A small library of named protocols, and how a subject of a multi-centre cohort draws one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from monai_transfer.errors import choice
from monai_transfer.simulation.scanner import Scanner, Sequence


def _thick(slice_mm: float, gap_mm: float) -> Callable[..., Sequence]:
    """Axial slices of a given thickness and gap."""
    return partial(Sequence, slice_mm=slice_mm, gap_mm=gap_mm)


_FIVE, _FOUR, _THREE = _thick(5.0, 1.0), _thick(4.0, 0.5), _thick(3.0, 0.5)
_CUBE = partial(Sequence, slice_axis=0)  # a volume of 1 mm, sagittal


def _protocol(
    name: str,
    field_tesla: float,
    *,
    t1: Sequence,
    t2: Sequence,
    flair: Sequence,
    t1c: Sequence | None = None,
) -> Scanner:
    """A protocol; the series after contrast agent is that before, unless given."""
    return Scanner(name, field_tesla, {"t1": t1, "t1c": t1c or t1, "t2": t2, "flair": flair})


_LIBRARY = (
    # Routine with thick slices; the FLAIR of Ghafoorian 2017's first scanner, 5.0 + 1.0 mm.
    _protocol(
        "1.5T-routine-5mm",
        1.5,
        t1=_FIVE(tr_ms=550, te_ms=14, noise_fraction=0.03),
        t2=_FIVE(tr_ms=4500, te_ms=90),
        flair=_FIVE(tr_ms=9000, te_ms=105, ti_ms=2490, noise_fraction=0.045),
    ),
    # Slices of 3.0 + 0.5 mm, Ghafoorian 2017's second FLAIR.
    _protocol(
        "1.5T-clinic-3mm",
        1.5,
        t1=_THREE(tr_ms=500, te_ms=11, noise_fraction=0.035),
        t2=_THREE(tr_ms=4500, te_ms=85),
        flair=_THREE(tr_ms=8500, te_ms=105, ti_ms=2440, noise_fraction=0.05),
    ),
    # Inversion-prepared volumes before and after contrast agent.
    _protocol(
        "1.5T-volume",
        1.5,
        t1=_CUBE(tr_ms=1900, te_ms=4, ti_ms=900, noise_fraction=0.035),
        t2=_THREE(tr_ms=4500, te_ms=85),
        flair=_CUBE(tr_ms=7500, te_ms=105, ti_ms=2290, noise_fraction=0.05),
    ),
    # After the open multiple-sclerosis set (Lesjak 2018): inversion-recovery T1 and T2 of 3.3 mm,
    # volume FLAIR. Inversion and echo times are the effective ones that give its contrast.
    _protocol(
        "3T-inversion-3mm",
        3.0,
        t1=_thick(3.3, 0.0)(tr_ms=2000, te_ms=12, ti_ms=980, noise_fraction=0.03),
        t2=_thick(3.3, 0.0)(tr_ms=6000, te_ms=100, noise_fraction=0.045),
        flair=_CUBE(tr_ms=6700, te_ms=115, ti_ms=2180, noise_fraction=0.045),
    ),
    _protocol(
        "3T-volume",
        3.0,
        t1=_CUBE(tr_ms=2100, te_ms=3, ti_ms=1020, noise_fraction=0.03),
        t2=_CUBE(tr_ms=5500, te_ms=98, noise_fraction=0.045),
        flair=_CUBE(tr_ms=7500, te_ms=115, ti_ms=2310, noise_fraction=0.045),
    ),
    # Common in the glioma centres: spin-echo T1 before, inversion-prepared volume after.
    _protocol(
        "3T-clinic-mixed",
        3.0,
        t1=_FOUR(tr_ms=600, te_ms=10, noise_fraction=0.03),
        t1c=_CUBE(tr_ms=2000, te_ms=4, ti_ms=950, noise_fraction=0.035),
        t2=_FOUR(tr_ms=5000, te_ms=96),
        flair=_FOUR(tr_ms=9000, te_ms=110, ti_ms=2540, noise_fraction=0.035),
    ),
)

PROTOCOLS: Mapping[str, Scanner] = MappingProxyType({p.name: p for p in _LIBRARY})
"""The named protocols."""

VOLUMES = ("1.5T-volume", "3T-volume")
"""Those whose T1 is an inversion-prepared volume of 1 mm, as of research cohorts of T1 alone."""

# The two scanners of Ghafoorian 2017's cohort, RUN DMC, both of 1.5 T. Repetition and echo times
# are those of its FLAIR and MPRAGE in 2006 (van Norden et al., BMC Neurol 2011;11:29) and 2011 (van
# Leijsen et al., Neurology 2017;89:1569). Inversion times are effective ones, ours: those that
# leave of fluid, whose T1 is 4.07 s here, what real FLAIR shows, and that give the T1 contrast of a
# readout by small flip angles. Geometry is the paper's, which writes '3.0 mm, including a slice gap
# of 0.5 mm' of the later FLAIR: read here as a gap beside it, as in the earlier one. Noise, ours:
# of the signal a thinner slice loses, a newer head coil makes good some. Gain, ours.
_PLANE_MM = (1.0, 1.2)
_MPRAGE = partial(_CUBE, tr_ms=2250, ti_ms=1100, noise_fraction=0.035)

VISITS: Mapping[str, Scanner] = MappingProxyType(
    {
        "baseline": Scanner(
            "RUNDMC-2006",
            1.5,
            {
                "t1": _MPRAGE(te_ms=3.68),
                "flair": _FIVE(
                    tr_ms=9000, te_ms=84, ti_ms=2450, in_plane_mm=_PLANE_MM, noise_fraction=0.03
                ),
            },
            gain=250.0,
        ),
        "followup": Scanner(
            "RUNDMC-2011",
            1.5,
            {
                "t1": _MPRAGE(te_ms=2.95),
                "flair": _THREE(
                    tr_ms=14240, te_ms=89, ti_ms=2740, in_plane_mm=_PLANE_MM, noise_fraction=0.04
                ),
            },
            gain=450.0,
        ),
    }
)
"""Scan session → the protocol of all patients then."""


def draw_visit(rng: np.random.Generator, session: str) -> Scanner:
    """The scanner of one patient's session: one machine for all, as it was on that day.

    Args:
        rng: source of randomness.
        session: one of ``VISITS``.

    Returns:
        The protocol, its times as they are, with the noise, bias field and gain of the day.

    Example:
        >>> draw_visit(np.random.default_rng(0), "baseline").sequences["flair"].te_ms
        84
    """
    nominal = VISITS[session]
    noise = float(rng.uniform(0.85, 1.2))
    return replace(
        nominal,
        sequences={
            modality: replace(sequence, noise_fraction=sequence.noise_fraction * noise)
            for modality, sequence in nominal.sequences.items()
        },
        bias_cv=float(rng.uniform(0.02, 0.06)),
        jitter_fraction=float(rng.uniform(0.004, 0.02)),
        gain=nominal.gain * float(np.exp(rng.normal(0.0, 0.1))),
    )


def draw_scanner(
    rng: np.random.Generator, protocol: str | None = None, *, among: Iterable[str] = PROTOCOLS
) -> Scanner:
    """The scanner of one subject: a named protocol, slightly off its nominal numbers.

    Args:
        rng: source of randomness.
        protocol: name of the protocol; ``None`` draws one, as in a multi-centre cohort.
        among: the names that are drawn from.

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
    names = list(among)
    drawn = names[int(rng.integers(len(names)))]
    nominal = PROTOCOLS[protocol or drawn]
    noise = float(rng.uniform(0.75, 1.3))
    return replace(
        nominal,
        sequences={m: _off_nominal(rng, s, noise) for m, s in nominal.sequences.items()},
        bias_cv=float(rng.uniform(0.02, 0.08)),
        jitter_fraction=float(rng.uniform(0.004, 0.02)),
        gain=float(np.exp(rng.uniform(np.log(150.0), np.log(800.0)))),
    )


def _off_nominal(rng: np.random.Generator, sequence: Sequence, noise: float) -> Sequence:
    tr, te, ti = (float(f) for f in rng.normal(1.0, [0.03, 0.03, 0.008]))
    ti_ms = None if sequence.ti_ms is None else sequence.ti_ms * ti
    # TR and TI of an inversion recovery are set together, to keep fluid near its null.
    tr_ms = sequence.tr_ms * (ti if sequence.ti_ms is not None else tr)
    return replace(
        sequence,
        tr_ms=tr_ms,
        te_ms=sequence.te_ms * te,
        ti_ms=ti_ms,
        noise_fraction=sequence.noise_fraction * noise,
    )
