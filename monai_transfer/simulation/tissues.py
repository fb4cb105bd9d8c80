"""What tissues are to a scanner: relaxation times, proton density, uptake of contrast agent.

Healthy tissue is measured at both field strengths; lesion and tumour tissue vary so much between
patients that one value within the published range is given for each field and a subject's draw and
the texture within a lesion cover the rest.

Sources (of the rows below):

- white and grey matter and cerebrospinal fluid at 1.5 T: T1 656, 1188, 4070 ms, Rooney et al.,
  Magn Reson Med 2007;57:308; T2 72 and 95 ms, Stanisz et al., Magn Reson Med 2005;54:507 (±8;
  93 here, which gives the contrast of real T2 images).
- white and grey matter at 3 T: T1 832, 1331 ms, T2 80 ms (white), Wansapura et al., J Magn
  Reson Imaging 1999;9:531; T2 of grey matter 99 ms, Stanisz 2005
  (±7; 96 here); cerebrospinal fluid: T1 4163 ms, Lin et al., ISMRM 2001.
- T2 of fluid is taken as 2000 ms at both fields: any value in the published 1.5–2.5 s gives the
  same contrast.
- Water content (proton density relative to fluid): Whittall et al., Magn Reson Med 1997;37:34
  (white .71, grey .82).
- Blood, 3 T: Stanisz 2005 (T1 1932, T2 275 ms; 1441 and 290 ms at 1.5 T), of which
  half flows out of the slice before contrast agent (ours).
- Multiple-sclerosis plaques, faint ones to black holes: T1 from near normal to about 2 s, T2
  up to twice that of white matter: Larsson et al., Magn Reson Med 1988;7:43; Vrenken et al.,
  Radiology 2006;240:811.
- Glioma: longer T1 and T2 in tumour, oedema and necrosis: Just and Thelen, Radiology
  1988;169:779; contrast agent shortens T1 of the enhancing part by some 840 ms: Müller et al.,
  J Magn Reson Imaging 2017;46:1669; oedema leaks little: Blystad et al., Sci Rep 2020;10:17860.
- Infarcts weeks old hold more water than grey matter; months old, they are a cavity of little but
  fluid in a gliotic rim. The times are ours: between those of plaques, black holes and fluid, so
  that on T1 a subacute infarct is dark grey and a cavity nearly as dark as fluid.
- White matter hyperintensities hold more water than white matter around them (Anderson et al.,
  Fluids Barriers CNS 2014;11:24), and the more so the more severe they are (Fazekas et al.,
  Neurology 1993;43:1683: from loosened myelin to tissue loss); the times are ours, those of plaques
  that look the same on T1 and FLAIR.
- Fat under the skin: de Bazelaire et al., Radiology 2004;230:652; muscle: Stanisz 2005; cortical
  bone gives no signal at any echo time used here.
- Relaxivity of gadopentetate in plasma at 37 °C: Rohrer et al., Invest Radiol 2005;40:715.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from monai_transfer.errors import choice


@dataclass(frozen=True)
class Tissue:
    """One tissue at one field strength.

    Args:
        t1_ms, t2_ms: relaxation times.
        pd: proton density relative to cerebrospinal fluid.
        gadolinium_mmol: concentration per litre some minutes after a standard dose.
        texture: relative standard deviation of T1 and T2, together, within the tissue.
        t2_texture: that of T2 on its own, from iron and myelin more than from water.
        flow_void: part of the signal that flow takes away before contrast agent.
    """

    t1_ms: float
    t2_ms: float
    pd: float
    gadolinium_mmol: float = 0.0
    texture: float = 0.0
    t2_texture: float = 0.0
    flow_void: float = 0.0

    def scaled(self, factor: float) -> "Tissue":
        """This tissue with more (> 1) or less free water: longer or shorter T1 and T2.

        Water content follows a third as fast and stays at most that of fluid.
        """
        pd = min(1.0, self.pd * (1.0 + (factor - 1.0) / 3.0))
        return replace(self, t1_ms=self.t1_ms * factor, t2_ms=self.t2_ms * factor, pd=pd)

    def decaying(self, factor: float) -> "Tissue":
        """This tissue with a longer (> 1) or shorter T2 alone."""
        return replace(self, t2_ms=self.t2_ms * factor)

    def drawn(self, rng: np.random.Generator) -> "Tissue":
        """The tissue as one patient has it: T1 off by 8 % (SD), T2 by 5, water content by 2.

        About what healthy people differ by, and published means of different groups.
        """
        t1, t2, pd = np.exp(rng.normal(0.0, (0.08, 0.05, 0.02)))
        return replace(
            self,
            t1_ms=self.t1_ms * float(t1),
            t2_ms=self.t2_ms * float(t2),
            pd=min(1.0, self.pd * float(pd)),
        )


RELAXIVITY: Mapping[float, tuple[float, float]] = MappingProxyType(
    {1.5: (4.1, 4.6), 3.0: (3.7, 5.2)}
)
"""r1 and r2 in 1/(s mM) by field strength in tesla."""

#                  T1 1.5 T, 3 T   T2 1.5 T, 3 T    PD  Gd mmol texture T2's own flow void
_ROWS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "wm": (656, 832, 72, 80, 0.71, 0.010, 0.06, 0.00),
        "gm": (1188, 1331, 93, 96, 0.82, 0.030, 0.13, 0.10),
        "csf": (4070, 4163, 2000, 2000, 1.00, 0.000, 0.08, 0.00),
        "iron": (950, 1080, 68, 70, 0.78, 0.020, 0.04, 0.04),
        "choroid": (1700, 1900, 140, 140, 0.90, 0.400, 0.10, 0.10),
        "vein": (1441, 1932, 290, 275, 0.90, 3.000, 0.10, 0.00, 0.5),
        "faint_plaque": (820, 1000, 100, 112, 0.79, 0.010, 0.10, 0.10),
        "plaque": (1150, 1400, 128, 148, 0.85, 0.010, 0.18, 0.12),
        "black_hole": (1700, 1850, 190, 210, 0.91, 0.005, 0.20, 0.15),
        "active_plaque": (1200, 1450, 130, 150, 0.84, 0.250, 0.12, 0.12),
        "oedema": (1200, 1400, 124, 150, 0.85, 0.015, 0.10, 0.05),
        "tumour": (1350, 1600, 130, 155, 0.86, 0.020, 0.12, 0.05),
        "enhancing": (1250, 1500, 115, 135, 0.85, 0.320, 0.12, 0.05),
        "necrosis": (2200, 2500, 230, 230, 0.94, 0.020, 0.12, 0.10),
    }
)

TISSUES = tuple(_ROWS)
"""Names of the tissues of the brain."""

_WMH_ROWS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "pale_wmh": (820, 1000, 98, 109, 0.78, 0.010, 0.10, 0.10),
        "dense_wmh": (1180, 1430, 132, 150, 0.86, 0.010, 0.15, 0.12),
    }
)
WMH_TISSUES = tuple(_WMH_ROWS)
"""Names of the tissues of small vessel disease."""

_STROKE_ROWS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "infarct": (1500, 1750, 150, 165, 0.88, 0.020, 0.14, 0.08),
        "cavity": (3200, 3400, 700, 700, 0.98, 0.000, 0.10, 0.05),
        "gliosis": (1250, 1500, 130, 148, 0.86, 0.010, 0.14, 0.10),
    }
)
STROKE_TISSUES = tuple(_STROKE_ROWS)
"""Names of the tissues of an infarct, weeks and months old."""

_HEAD_ROWS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "fat": (343, 382, 58, 68, 0.90, 0.0, 0.05, 0.05),
        "muscle": (1008, 1412, 44, 50, 0.80, 0.0, 0.10, 0.05),
        "bone": (400, 450, 1, 1, 0.20),
        "air": (1000, 1000, 1, 1, 0.0),
    }
)
HEAD_TISSUES = tuple(_HEAD_ROWS)
"""Names of the tissues around the brain."""


def tissue(name: str, field_tesla: float) -> Tissue:
    """The tissue of a brain, healthy or not, or of the head called `name` at 1.5 or 3 tesla.

    Raises:
        InputError: for an unknown name or field strength.

    Example:
        >>> tissue("wm", 3.0).t1_ms
        832
    """
    rows = {**_ROWS, **_WMH_ROWS, **_STROKE_ROWS, **_HEAD_ROWS}
    if name not in rows:
        raise choice("tissue", "name", name, rows)
    if field_tesla not in RELAXIVITY:
        raise choice("tissue", "field strength", str(field_tesla), map(str, RELAXIVITY))
    t1_low, t1_high, t2_low, t2_high, *rest = rows[name]
    times = (t1_low, t2_low) if field_tesla == 1.5 else (t1_high, t2_high)
    return Tissue(*times, *rest)
