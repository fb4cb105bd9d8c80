"""Simulated pictures: sixteen classes, any orientation, nothing shared between neighbours."""

import numpy as np
import pytest

from monai_transfer.simulation.pictures import (
    OBJECT_VALUES,
    draw_picture,
    draw_pictures,
    picture_grid,
)
from monai_transfer.simulation.textures import TEXTURES, draw_texture


def test_there_are_sixteen_classes_and_all_occur() -> None:
    assert sorted(OBJECT_VALUES.values()) == list(range(1, 17))
    rng, grid = np.random.default_rng(0), picture_grid(4.0)
    labels = np.concatenate([draw_pictures(rng, grid)[1] for _ in range(4)], axis=-1)
    assert set(np.unique(labels)) == set(range(17))
    present = [len(np.unique(labels[:, :, i])) - 1 for i in range(labels.shape[2])]
    assert np.mean([count >= 1 for count in present]) > 0.95
    assert max(present) <= 3


def test_objects_stand_out_from_their_ground() -> None:
    images, labels = draw_pictures(np.random.default_rng(2), picture_grid(4.0))
    pairs = [(images[..., i], labels[..., i] > 0) for i in range(images.shape[2])]
    seen = [(image, inside) for image, inside in pairs if inside.any() and not inside.all()]
    brighter = [image[inside].mean() > image[~inside].mean() for image, inside in seen]
    assert np.mean(brighter) > 0.95


def test_a_kind_of_thing_has_a_grey_of_its_own() -> None:
    stacks = [draw_pictures(np.random.default_rng(seed), picture_grid(4.0)) for seed in range(4)]
    greys: dict[str, list[float]] = {}
    for images, labels in stacks:
        for kind, value in OBJECT_VALUES.items():
            seen = images[labels == value]
            greys.setdefault(kind.partition(" ")[0], []).append(float(seen.mean()))
    means = [np.mean(greys[shape]) for shape in ("disc", "polygon", "bar", "ring")]
    assert min(np.diff(means)) > 50.0


def test_a_stack_is_grey_values_on_the_lowest_slices_of_the_template() -> None:
    grid = picture_grid(2.0)
    assert grid.origin_mm == (-97.5, -133.5, -71.5)
    images, labels = draw_pictures(np.random.default_rng(1), grid)
    assert images.shape == labels.shape == grid.shape
    assert images.min() >= 1
    assert images.max() <= 1000
    assert all(images[:, :, i].std() > 30.0 for i in range(images.shape[2]))


def test_neighbours_have_nothing_in_common() -> None:
    images, _ = draw_pictures(np.random.default_rng(2), picture_grid(4.0))
    flat = images.reshape(-1, images.shape[2]).astype(float)
    close = [abs(np.corrcoef(flat[:, i], flat[:, i + 1])[0, 1]) for i in range(flat.shape[1] - 1)]
    assert np.mean(close) < 0.35


def test_a_picture_is_sharp_where_its_label_changes() -> None:
    """Objects are seen: grey values step more at their outlines than elsewhere."""
    ratios = []
    for seed in range(12):
        picture, label = draw_picture(np.random.default_rng(seed), 128)
        step = np.abs(np.diff(picture, axis=0))
        edge = np.diff(label.astype(int), axis=0) != 0
        ratios.append(step[edge].mean() / step[~edge].mean())
    assert np.median(ratios) > 1.5


@pytest.mark.parametrize("family", TEXTURES)
def test_textures_are_standardised(family: str) -> None:
    for seed in range(5):
        texture = draw_texture(np.random.default_rng(seed), family, side=48)
        assert abs(float(texture.mean())) < 1e-4
        assert float(texture.std()) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("family", ["stripes", "gradient"])
def test_textures_with_a_direction_turn_every_way(family: str) -> None:
    angles = []
    for seed in range(60):
        texture = draw_texture(np.random.default_rng(seed), family, side=48)
        down, across = np.gradient(texture)
        angles.append(0.5 * np.arctan2(2 * (down * across).mean(), (down**2 - across**2).mean()))
    counts, _ = np.histogram(angles, bins=4, range=(-np.pi / 2, np.pi / 2))
    assert counts.min() >= 2


def test_families_of_textures_look_different() -> None:
    """Stripes vary along one direction only; checks along two; a gradient hardly."""

    def anisotropy(family: str) -> float:
        values = []
        for seed in range(12):
            down, across = np.gradient(draw_texture(np.random.default_rng(seed), family, side=64))
            tensor = np.cov(np.stack([down.ravel(), across.ravel()]))
            low, high = np.linalg.eigvalsh(tensor)
            values.append(low / high)
        return float(np.median(values))

    assert anisotropy("stripes") < 0.1
    assert anisotropy("checks") > 0.5
    rough = {
        family: float(
            np.mean(
                [
                    np.abs(np.diff(draw_texture(np.random.default_rng(s), family, side=64))).mean()
                    for s in range(8)
                ]
            )
        )
        for family in TEXTURES
    }
    assert min(rough, key=rough.__getitem__) == "gradient"
