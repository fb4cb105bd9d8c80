"""Arterial territories: every place of the cerebrum has one, the hindbrain none."""

import numpy as np
import pytest

from monai_transfer.simulation.territories import (
    KINDS,
    TERRITORIES,
    TERRITORY_SHARES,
    territory_mm,
)


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ((-50, -5, 10), "mca"),  # insula and opercula
        ((45, -40, 40), "mca"),  # inferior parietal lobule
        ((-5, 45, 20), "aca"),  # medial frontal
        ((6, -30, 60), "aca"),  # paracentral lobule
        ((8, -85, 5), "pca"),  # calcarine
        ((-25, -35, -12), "pca"),  # parahippocampal
    ],
)
def test_known_places_are_fed_by_their_artery(point: tuple[int, int, int], name: str) -> None:
    at = np.array(point, float).reshape(3, 1)
    assert [t for t in TERRITORIES if territory_mm(t, at)[0] > 0] == [name]


def test_the_cerebellum_is_in_no_cerebral_territory() -> None:
    at = np.array([[30.0], [-65.0], [-40.0]])
    assert all(territory_mm(name, at)[0] < 0 for name in TERRITORIES)


def test_shares_are_shares() -> None:
    assert sum(TERRITORY_SHARES) == pytest.approx(1.0)
    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1.0)
