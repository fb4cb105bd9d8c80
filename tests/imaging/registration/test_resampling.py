import itk
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image
from monai_transfer.imaging.registration import (
    INTERPOLATIONS,
    RAS_TO_LPS,
    Grid,
    LinearTransform,
    resample,
)

OBLIQUE = np.array(
    [[-0.9, 0.1, 0.3, 12], [0.12, 0.88, 0.2, -9], [-0.1, -0.15, 2.9, -20], [0, 0, 0, 1.0]]
)
FIXED = Grid((24, 30, 14), OBLIQUE)
TRANSFORM = LinearTransform(
    np.array([[0.98, 0.2, 0, 1], [-0.2, 0.99, 0.1, -2], [0, -0.1, 1.01, 3], [0, 0, 0, 1.0]])
)


@pytest.fixture(scope="module")
def moving() -> Image:
    noise = np.random.default_rng(0).normal(size=(31, 26, 22))
    affine = np.array([[1.0, 0, 0, -15], [0, 1.1, 0, -14], [0, 0, 1.6, -18], [0, 0, 0, 1]])
    return Image(ndimage.gaussian_filter(noise, 1).astype(np.float32), affine)


def stored(image: Image, axes: str) -> Image:
    """The same image with its axes in another order and direction."""
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(axes))
    affine = image.affine @ inv_ornt_aff(turn, image.shape)
    return Image(apply_orientation(image.voxels, turn), affine)


def by_itk(moving: Image, grid: Grid, kind: str) -> np.ndarray:
    """ITK's own resampling."""
    source = itk.image_from_array(np.ascontiguousarray(moving.voxels.T))
    filter_ = itk.ResampleImageFilter.New(source)
    directions = {}
    for name, affine in (("moving", moving.affine), ("grid", grid.affine)):
        lps = RAS_TO_LPS @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        directions[name] = (lps[:3, 3], spacing, lps[:3, :3] / spacing)
    for setter, value in zip(("Origin", "Spacing", "Direction"), directions["moving"], strict=True):
        getattr(source, f"Set{setter}")(value)
    for setter, value in zip(("Origin", "Spacing"), directions["grid"][:2], strict=True):
        getattr(filter_, f"SetOutput{setter}")(value.tolist())
    filter_.SetOutputDirection(itk.matrix_from_array(directions["grid"][2]))
    filter_.SetSize(grid.shape)
    affine = itk.AffineTransform[itk.D, 3].New()
    affine.SetMatrix(itk.matrix_from_array(TRANSFORM.matrix[:3, :3].copy()))
    affine.SetTranslation(TRANSFORM.matrix[:3, 3].tolist())
    filter_.SetTransform(affine)
    classes = {
        "linear": itk.LinearInterpolateImageFunction,
        "nearest": itk.NearestNeighborInterpolateImageFunction,
        "bspline": itk.BSplineInterpolateImageFunction,
    }
    filter_.SetInterpolator(classes[kind].New(source))
    filter_.Update()
    return itk.array_from_image(filter_.GetOutput()).T


@pytest.mark.parametrize("kind", INTERPOLATIONS)
def test_values_are_those_of_itk_on_an_oblique_grid(moving: Image, kind: str):
    found = resample(moving, FIXED, transform=TRANSFORM, interpolation=kind).voxels
    expected = by_itk(moving, FIXED, kind)
    assert 0.3 < (expected != 0).mean() < 0.95  # part of the grid is outside
    same = np.isclose(found, expected, atol=2e-5)
    assert same.mean() > 0.9995  # halfway between two voxels, rounding decides on the nearest
    assert same.all() or kind == "nearest"


@pytest.mark.parametrize("axes", ["LAS", "LPS", "LIA", "PIR"])
def test_how_the_moving_image_is_stored_makes_no_difference(moving: Image, axes: str):
    expected = resample(moving, FIXED, transform=TRANSFORM).voxels
    found = resample(stored(moving, axes), FIXED, transform=TRANSFORM).voxels
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("axes", ["LAS", "LPS", "LIA", "PIR"])
def test_how_the_grid_is_stored_only_turns_the_result(moving: Image, axes: str):
    expected = resample(moving, FIXED, transform=TRANSFORM)
    grid = stored(expected, axes)
    found = resample(moving, grid, transform=TRANSFORM)
    np.testing.assert_allclose(found.voxels, grid.voxels, atol=1e-5)
    np.testing.assert_array_equal(found.affine, grid.affine)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int32])
def test_labels_keep_their_values_and_type(moving: Image, dtype: type):
    labels = moving.with_voxels((moving.voxels > 0.1).astype(dtype))
    found = resample(labels, FIXED, transform=TRANSFORM, interpolation="nearest").voxels
    assert found.dtype == dtype
    assert np.unique(found).tolist() == [0, 1]


def test_an_image_on_its_own_grid_is_the_same(moving: Image):
    for kind in INTERPOLATIONS:
        np.testing.assert_allclose(
            resample(moving, moving, interpolation=kind).voxels, moving.voxels, atol=1e-5
        )


def test_outside_has_the_value_asked_for(moving: Image):
    far = Grid((3, 3, 3), np.array([[1.0, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))
    assert (resample(moving, far, outside=-7.0).voxels == -7).all()


def test_a_map_of_any_kind_is_applied_point_by_point(moving: Image):
    class Bend:
        def points(self, points_mm: np.ndarray, /) -> np.ndarray:
            return TRANSFORM.points(points_mm)

        inverse = then = save = points

    found = resample(moving, FIXED, transform=Bend()).voxels
    np.testing.assert_allclose(
        found, resample(moving, FIXED, transform=TRANSFORM).voxels, atol=1e-4
    )


def test_a_single_slice_is_half_a_voxel_thick_on_either_side():
    slice_ = Image(np.full((4, 4, 1), 5.0), np.diag([1.0, 1, 2, 1]))
    grid = Grid((4, 4, 5), np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, -2], [0, 0, 0, 1.0]]))
    # slices at -2, -1, 0, 1, 2 mm; the image reaches from -1 to 1
    assert resample(slice_, grid).voxels[1, 1].tolist() == [0, 5, 5, 5, 0]


def test_an_unknown_interpolation_is_refused(moving: Image):
    with pytest.raises(InputError, match="Did you mean linear"):
        resample(moving, moving, interpolation="liner")
