import numpy as np
import pytest

from monai_transfer.simulation.grid import Grid
from monai_transfer.simulation.head import COMPARTMENTS, draw_head, inner_skull_fraction
from monai_transfer.simulation.head_shape import HeadShape
from monai_transfer.simulation.template import load_template, sample
from monai_transfer.simulation.tissues import tissue

WHOLE = slice(None)
GRID = Grid((60, 76, 70), 3.5, (-105.0, -150.0, -140.0))
SHAPE = HeadShape(fluid_mm=1.5, skull_mm=7.0, fat_mm=6.0, skin_mm=3.0)


@pytest.fixture(scope="module")
def head() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = draw_head(rng, GRID.shape, spacing_mm=GRID.spacing_mm, shape=SHAPE)
    return drawn.fractions(GRID.points_mm().astype(np.float32), WHOLE)


def at(fractions: np.ndarray, *world_mm: float) -> float:
    index = np.rint((np.array(world_mm) - GRID.origin_mm) / GRID.spacing_mm).astype(int)
    return float(fractions[tuple(index)])


def test_the_fractions_and_the_brain_fill_every_voxel(head):
    total = sum(head.values())
    assert min(part.min() for part in head.values()) >= 0
    assert total.max() < 1 + 1e-5
    points = GRID.points_mm().astype(np.float32)
    brain = inner_skull_fraction(points, spacing_mm=GRID.spacing_mm, fluid_mm=0.0)
    np.testing.assert_allclose(total + brain, 1.0, atol=1e-5)


def test_some_planes_of_a_head_are_those_of_the_whole(head):
    rng = np.random.default_rng(0)
    drawn = draw_head(rng, GRID.shape, spacing_mm=GRID.spacing_mm, shape=SHAPE)
    planes = slice(17, 23)
    some = drawn.fractions(GRID.points_mm()[:, planes].astype(np.float32), planes)
    for name, whole in head.items():
        np.testing.assert_allclose(some[name], whole[planes], atol=1e-5)


def test_the_brain_itself_is_left_free(head):
    template = load_template()
    brain = sample(template.brain, GRID.points_mm(), origin_mm=template.origin_mm, step_mm=1.0)
    assert sum(head.values())[brain > 0.999].max() < 0.5


def test_from_the_brain_outwards_come_fluid_skull_fat_skin_and_air():
    row = np.zeros((3, 1, 1, 60), np.float32)
    row[1], row[2, 0, 0] = -20.0, np.arange(60.0) + 65.0  # up from the vertex, every millimetre
    fixed = HeadShape(fluid_mm=3.0, skull_mm=9.0, diploe_fraction=0.4, fat_mm=8.0, skin_mm=3.0)
    drawn = draw_head(np.random.default_rng(0), (1, 1, 60), spacing_mm=1.0, shape=fixed)
    head = drawn.fractions(row, WHOLE)
    largest = [max(head, key=lambda n: head[n][0, 0, i]) for i in range(60)]
    filled = sum(head.values())[0, 0] > 0.5
    order = list(dict.fromkeys(n for n, f in zip(largest, filled, strict=True) if f))
    assert order == ["outer_csf", "bone", "marrow", "fat", "skin", "air"]
    bone = [i for i, name in enumerate(largest) if name == "bone"]
    marrow = [i for i, name in enumerate(largest) if name == "marrow"]
    assert bone[0] < marrow[0] <= marrow[-1] < bone[-1]


@pytest.mark.parametrize(
    ("name", "world_mm"),
    [
        ("eye", (32, 62, -34)),
        ("eye", (-32, 62, -34)),
        ("air", (0, -20, 100)),
        ("air", (0, 58, -62)),
        ("cord", (0, -49, -105)),
    ],
)
def test_things_are_where_they_belong(name, world_mm, head):
    assert at(head[name], *world_mm) > 0.5


def test_every_compartment_is_of_a_tissue_that_a_scanner_knows(head):
    assert list(head) == list(COMPARTMENTS)
    assert all(tissue(name, 3.0).t1_ms > 0 for name in COMPARTMENTS.values())
    assert all(head[name].sum() > 0 for name in head)


def test_more_fat_makes_a_larger_head():
    points = GRID.points_mm().astype(np.float32)

    def head_ml(fat_mm: float) -> float:
        rng, shape = np.random.default_rng(1), HeadShape(fat_mm=fat_mm)
        drawn = draw_head(rng, GRID.shape, spacing_mm=GRID.spacing_mm, shape=shape)
        air = drawn.fractions(points, WHOLE)["air"]
        return float((1.0 - air).sum() * GRID.voxel_mm3 / 1000.0)

    assert head_ml(8.0) > head_ml(2.0) + 200.0
