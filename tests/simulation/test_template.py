"""The MNI152 maps and what is derived from them."""

import numpy as np
import pytest

from monai_transfer.simulation.template import STRUCTURES, load_template, sample, structure


def at(*position_mm: float) -> np.ndarray:
    return np.reshape(np.array(position_mm, float), (3, 1, 1, 1))


def look(values: np.ndarray, *position_mm: float, step_mm: float = 1.0) -> float:
    origin = load_template().origin_mm
    return sample(values, at(*position_mm), origin_mm=origin, step_mm=step_mm).item()


def test_the_maps_know_white_matter_and_cortex() -> None:
    template = load_template()
    assert look(template.wm, 26, -20, 30) > 0.9  # corona radiata
    assert look(template.gm, 27, 3, 1) > 0.5  # putamen
    assert look(template.brain, 0, 46, 10) == pytest.approx(1.0)
    assert look(template.brain, 88, 0, 0) == 0.0


@pytest.mark.parametrize(
    ("where", "low", "high"),
    [((8, 8, 14), 0.0, 2.5), ((24, -44, 14), 0.0, 5.0), ((45, -20, 50), 20.0, 60.0)],
    ids=["anterior horn", "atrium", "motor cortex"],
)
def test_distance_to_the_ventricles(where: tuple[int, int, int], low: float, high: float) -> None:
    assert low <= look(load_template().ventricle_mm, *where, step_mm=2.0) <= high


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("iron", (20, -4, -1)),
        ("limbic", (38, 2, 0)),
        ("choroid", (23, -42, 8)),
        ("caps", (19, 36, 6)),
        ("spared", (24, -62, -36)),
    ],
)
def test_structures_lie_on_both_sides(name: str, inside: tuple[int, int, int]) -> None:
    x, y, z = inside
    right, left = (structure(name, at(s * x, y, z)).item() for s in (1, -1))
    assert right == left == pytest.approx(max(weight for _, _, weight in STRUCTURES[name]))
    assert structure(name, at(70, 60, 60)).item() == 0.0
