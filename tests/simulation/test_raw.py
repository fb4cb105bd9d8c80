import tracemalloc
from collections.abc import Mapping

import numpy as np
import pytest
from nibabel.affines import voxel_sizes
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.simulation import simulate_subject
from monai_transfer.simulation.raw import simulate_raw
from monai_transfer.simulation.series import RawSeries

SPACING_MM = 3.0


@pytest.fixture(scope="module")
def raw() -> Mapping[str, RawSeries]:
    return simulate_raw("ms", 2, spacing_mm=SPACING_MM, protocol="1.5T-routine-5mm")


def test_every_series_has_thick_oblique_slices_of_its_own(raw):
    assert list(raw) == ["t1", "t1c", "t2", "flair"]
    for series in raw.values():
        np.testing.assert_allclose(voxel_sizes(series.affine), [3.0, 3.0, 6.0])  # 5 mm and 1 mm gap
        assert np.abs(series.affine[:3, 2]).argmax() == 2
        assert np.abs(series.affine[:2, 2]).max() > 0.01
        assert series.voxels.shape == series.lesion.shape == series.brain.shape
    affines = [series.affine.round(3).tobytes() for series in raw.values()]
    assert len(set(affines)) == 4


def test_the_head_is_around_the_brain_and_air_around_the_head(raw):
    for series in raw.values():
        level = np.median(series.voxels[series.brain])
        head = ndimage.binary_fill_holes(series.voxels > 0.25 * level)
        assert head.sum() > 1.4 * series.brain.sum()
        assert np.median(series.voxels[:2]) < 0.2 * level


def test_it_is_the_patient_of_the_prepared_images(raw):
    prepared = simulate_subject("ms", 2, spacing_mm=SPACING_MM, protocol="1.5T-routine-5mm")
    brain_ml = (prepared.image[0] > 0).sum() * SPACING_MM**3 / 1000
    lesion_ml = (prepared.label > 0).sum() * SPACING_MM**3 / 1000
    voxel_ml = 3 * 3 * 6 / 1000
    assert 0.98 < raw["t1"].brain.sum() * voxel_ml / brain_ml < 1.2  # fluid around it, too
    assert raw["t1"].lesion.astype(bool).sum() * voxel_ml == pytest.approx(lesion_ml, rel=0.3)


def test_the_known_poses_bring_the_series_together(raw):
    def middle_mm(series: RawSeries) -> np.ndarray:
        world = series.to_body @ series.affine @ (*ndimage.center_of_mass(series.brain), 1.0)
        return world[:3]

    middles = [middle_mm(series) for series in raw.values()]
    assert np.ptp(middles, axis=0).max() < 1.5
    turns = [series.to_body[:3, :3] for series in raw.values()]
    for turn in turns:
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.abs(turns[0] - np.eye(3)).max() > 0.01


def test_seed_and_index_determine_a_subject():
    first, again, other = (
        simulate_raw("ms", index, spacing_mm=8.0)["flair"].voxels for index in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_a_patient_of_two_sessions_has_slices_and_poses_of_each():
    first, second = (
        simulate_raw("wmh", 0, spacing_mm=2.0, session=session)
        for session in ("baseline", "followup")
    )
    assert list(first) == list(second) == ["t1", "flair"]
    np.testing.assert_allclose(voxel_sizes(first["t1"].affine), [2.0, 2.0, 2.0])
    np.testing.assert_allclose(voxel_sizes(first["flair"].affine), [2.0, 2.0, 6.0])
    np.testing.assert_allclose(voxel_sizes(second["flair"].affine), [2.0, 2.0, 3.5])
    assert np.abs(first["flair"].to_body - second["flair"].to_body).max() > 0.5
    volumes_ml = [
        raw["flair"].lesion.sum() * np.prod(voxel_sizes(raw["flair"].affine)) / 1000.0
        for raw in (first, second)
    ]
    prepared = simulate_subject("wmh", 0, spacing_mm=2.0)
    assert volumes_ml[0] == pytest.approx(
        prepared.label.sum() * prepared.grid.voxel_mm3 / 1000.0, rel=0.4
    )
    brains_ml = [
        raw["flair"].brain.sum() * np.prod(voxel_sizes(raw["flair"].affine)) / 1000.0
        for raw in (first, second)
    ]
    assert brains_ml[0] == pytest.approx(brains_ml[1], rel=0.02)


def test_a_tumour_is_labelled_on_the_grid_of_each_series():
    raw = simulate_raw("brats", 0, spacing_mm=5.0)
    for series in raw.values():
        assert set(np.unique(series.lesion)) <= {0, 1, 2, 4}
        assert (series.lesion > 0).any()
        assert series.brain[series.lesion > 0].all()


def test_the_parts_of_the_head_are_never_all_in_memory():
    simulate_raw("ms", 2, spacing_mm=8.0)  # the template is kept, and not counted
    tracemalloc.start()
    simulate_raw("ms", 2, spacing_mm=2.0, protocol="1.5T-routine-5mm")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one_volume = 4 * 111 * 133 * 137  # bytes of the whole head's grid in single precision
    assert most < 16 * one_volume  # 13; with all ten compartments and their sums it was 47


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [({"disease": "strok"}, "disease must be one of"), ({"index": -1}, "index must be 0 or more")],
)
def test_what_cannot_be_simulated_is_refused(arguments, fragment):
    with pytest.raises(InputError, match=fragment):
        simulate_raw(**({"disease": "ms", "index": 0} | arguments))
