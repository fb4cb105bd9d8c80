"""A T1 from a label map."""

from pathlib import Path

import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image
from monai_transfer.simulation import simulate_from_labels
from monai_transfer.simulation.structures import REGION_VALUES


def nested_balls(affine: np.ndarray | None = None) -> Image:
    """A ventricle in white matter in cortex in fluid, with a thalamus and an unknown value."""
    at = np.indices((48, 48, 48)) - 23.5
    distance = np.linalg.norm(at, axis=0)
    layers = [distance < 4, distance < 14, distance < 19, distance < 22]
    volume = np.select(layers, [4, 2, 3, 24], 0)
    volume[(np.abs(at[0] - 9) < 2) & (distance < 13)] = 10
    volume[30, 24, 24] = 999
    return Image(volume.astype(np.int32), np.eye(4) if affine is None else affine)


def test_tissues_have_the_order_of_t1_and_regions_are_those_of_the_labels() -> None:
    scan = simulate_from_labels(nested_balls(), seed=1)
    means = [scan.t1[scan.tissue == value].mean() for value in (1, 2, 3)]
    assert means[0] < 0.5 * means[1] < means[1] < means[2]
    np.testing.assert_array_equal(scan.t1 > 0, scan.regions > 0)
    assert scan.t1.shape == scan.tissue.shape == scan.regions.shape
    found = {name for name, value in REGION_VALUES.items() if (scan.regions == value).any()}
    assert found == {
        "ventricular csf",
        "white matter",
        "cortical grey matter",
        "extracerebral csf",
        "basal ganglia and thalami",
    }


def test_the_scan_is_cut_to_the_brain_and_stays_where_it_was() -> None:
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = (40.0, -10.0, 5.0)
    labels = nested_balls(affine)
    scan = simulate_from_labels(labels)
    assert max(scan.t1.shape) < 48
    cortex = np.argwhere(scan.regions == REGION_VALUES["cortical grey matter"]).mean(axis=0)
    expected = np.argwhere(labels.voxels == 3).mean(axis=0)
    to_world = scan.affine[:3, :3] @ cortex + scan.affine[:3, 3]
    np.testing.assert_allclose(to_world, affine[:3, :3] @ expected + affine[:3, 3], atol=0.3)


def test_the_seed_determines_the_scan_and_the_protocol_its_contrast() -> None:
    first, again, other = (simulate_from_labels(nested_balls(), seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.t1, again.t1)
    assert (first.t1 != other.t1).any()
    named = simulate_from_labels(nested_balls(), protocol="3T-volume")
    assert named.scanner.name == "3T-volume"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Image(np.zeros((4, 4, 4), np.int32), np.eye(4)), "hold white and grey matter"),
        (nested_balls(np.diag([1.0, 1.0, 2.0, 1.0])), "equal spacing"),
    ],
)
def test_what_is_no_label_map_is_refused(labels: Image, message: str) -> None:
    with pytest.raises(InputError, match=message):
        simulate_from_labels(labels)


def test_real_anatomy_gives_a_plausible_t1(real: Path) -> None:
    whole = read_image(real / "synthseg" / "sub-ss09_dseg.nii.gz")
    affine = whole.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    scan = simulate_from_labels(Image(whole.voxels[::2, ::2, ::2], affine))
    white = scan.t1[scan.tissue == 3].mean()
    # the real range that the calibration holds the cohorts to
    assert 0.55 < scan.t1[scan.tissue == 2].mean() / white < 0.82
    assert 0.1 < scan.t1[scan.tissue == 1].mean() / white < 0.4
    assert set(np.unique(scan.regions)) == set(range(8))
