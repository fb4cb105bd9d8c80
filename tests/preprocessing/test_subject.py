"""One subject in memory: geometry, order of steps, the way back."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, StandardScale, named_recipe
from monai_transfer.imaging.brain import GivenMask
from monai_transfer.imaging.nyul import PERCENTS
from monai_transfer.imaging.registration import (
    RAS_TO_LPS,
    Grid,
    LinearTransform,
    SpatialTransform,
    mni152,
)
from monai_transfer.preprocessing import Methods, preprocess_subject
from monai_transfer.preprocessing.grids import respaced

SHIFT_MM = np.array([6.0, -4.0, 3.0])
"""Where a point of the FLAIR's space lies in the T1's, RAS."""

RADII_MM = np.array([40.0, 50.0, 35.0])
LESION_MM = np.array([12.0, 8.0, -6.0])


def centred(shape, affine) -> np.ndarray:
    """An affine with the world's origin in the middle of the grid."""
    affine = np.array(affine, float)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def grid_of(kind: str) -> Grid:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("zx", [12, 8], degrees=True).as_matrix()
    kinds = {
        "ras": ((44, 52, 27), np.diag([2.5, 2.5, 4.0, 1])),
        "lps": ((44, 52, 27), np.diag([-2.5, -2.5, 4.0, 1])),
        "oblique": ((48, 56, 31), turn @ np.diag([2.5, 2.5, 4.0, 1])),
        "t1": ((58, 66, 48), turn @ np.diag([2.0, 2.0, 2.2, 1])),
    }
    shape, affine = kinds[kind]
    return Grid(shape, centred(shape, affine))


def points_mm(grid: Grid) -> np.ndarray:
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def seen(at: np.ndarray, *, slope: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, brain and lesion at points of the body: a smooth brain in a bright scalp."""
    radius = np.linalg.norm(at / RADII_MM, axis=-1)
    brain = radius < 1
    image = np.where(brain, 100 + slope * at[..., 0] + 20 * np.cos(at[..., 1] / 9), 0.0)
    image += 400.0 * ((radius > 1.15) & (radius < 1.3))
    lesion = np.linalg.norm(at - LESION_MM, axis=-1) < 9
    return image.astype(np.float32), brain, lesion


class Known:
    """A registration that knows."""

    def __call__(
        self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None
    ) -> SpatialTransform:
        matrix = np.eye(4)
        matrix[:3, 3] = RAS_TO_LPS[:3, :3] @ SHIFT_MM
        return LinearTransform(matrix)


def scanned(kind: str = "ras") -> tuple[dict[str, Image], Image, Methods]:
    """FLAIR of the kind and oblique T1 of one body, the label on the FLAIR, and the methods."""
    flair, t1 = grid_of(kind), grid_of("t1")
    image, brain, lesion = seen(points_mm(flair), slope=0.5)
    other, _, _ = seen(points_mm(t1) - SHIFT_MM, slope=-0.5)
    images = {"t1": Image(other, t1.affine), "flair": Image(image, flair.affine)}
    label = Image(lesion.astype(np.uint8), flair.affine)
    mask = Image(brain, flair.affine)
    return images, label, Methods(brain=GivenMask(mask), within=Known(), to_template=Known())


@pytest.mark.parametrize("kind", ["ras", "lps", "oblique"])
def test_modalities_are_brought_to_the_reference_whatever_its_orientation(make_recipe, kind):
    images, label, methods = scanned(kind)
    plan = make_recipe(bias_field=False)
    prepared = preprocess_subject(images, plan, label=label, methods=methods)
    expected, brain, _ = seen(points_mm(prepared.grid), slope=-0.5)
    inner = np.linalg.norm(points_mm(prepared.grid) / RADII_MM, axis=-1) < 0.9
    error = np.abs(prepared.images["t1"].voxels - expected)[inner]
    assert error.mean() < 1.0  # of 100; the interpolation's
    np.testing.assert_array_equal(
        prepared.images["flair"].voxels[brain], images["flair"].voxels[brain]
    )
    assert not prepared.images["flair"].voxels[~brain].any()
    np.testing.assert_array_equal(prepared.label.voxels, label.voxels)


def test_a_prediction_goes_back_to_every_scan(make_recipe):
    images, label, methods = scanned("oblique")
    prepared = preprocess_subject(
        images, make_recipe(bias_field=False), label=label, methods=methods
    )
    on_flair = prepared.to_native(prepared.label)
    np.testing.assert_array_equal(on_flair.voxels, label.voxels)
    on_t1 = prepared.to_native(prepared.label, modality="t1")
    assert on_t1.shape == images["t1"].shape
    truth = seen(points_mm(grid_of("t1")) - SHIFT_MM, slope=0)[2]
    found = points_mm(grid_of("t1"))[on_t1.voxels > 0]
    np.testing.assert_allclose(found.mean(axis=0), LESION_MM + SHIFT_MM, atol=0.5)
    overlap = 2 * (truth & (on_t1.voxels > 0)).sum() / (truth.sum() + len(found))
    assert overlap > 0.85  # the label's slices are 4 mm


def test_into_mni_space_both_maps_are_applied_at_once(make_recipe):
    images, label, methods = scanned("oblique")
    plan = make_recipe(bias_field=False, space="mni152", spacing_mm=(2.0, 2.0, 2.0))
    prepared = preprocess_subject(images, plan, label=label, methods=methods)
    assert prepared.grid.shape == (99, 117, 95)
    np.testing.assert_allclose(np.abs(np.diag(prepared.grid.affine)), [2, 2, 2, 1])
    at = points_mm(prepared.grid) + SHIFT_MM  # template → FLAIR is the same shift
    expected = seen(at, slope=-0.5)[0]
    inner = np.linalg.norm(at / RADII_MM, axis=-1) < 0.9
    assert np.abs(prepared.images["t1"].voxels - expected)[inner].mean() < 1.5
    back = prepared.to_native(prepared.label)
    overlap = 2 * (label.voxels * back.voxels).sum() / (label.voxels.sum() + back.voxels.sum())
    assert overlap > 0.9


def test_the_prepared_grid_covers_the_template(make_recipe):
    images, label, methods = scanned()
    plan = make_recipe(bias_field=False, space="mni152", spacing_mm=(1.0, 1.0, 1.0))
    prepared = preprocess_subject(images, plan, label=label, methods=methods)
    assert prepared.grid.shape == mni152().shape
    np.testing.assert_array_equal(prepared.grid.affine, mni152().affine)


def test_a_bias_field_is_divided_out_on_the_scans_own_grid(make_recipe):
    images, _, methods = scanned()
    along = points_mm(grid_of("t1"))[..., 0] / 60
    bent = {**images, "t1": images["t1"].with_voxels(images["t1"].voxels * np.exp(0.4 * along))}
    bent = {name: i.with_voxels(i.voxels.astype(np.float32)) for name, i in bent.items()}
    prepared = preprocess_subject(bent, make_recipe(), methods=methods)
    field = prepared.bias_fields["t1"]
    assert field.shape == images["t1"].shape
    inner = np.linalg.norm((points_mm(grid_of("t1")) - SHIFT_MM) / RADII_MM, axis=-1) < 0.9
    assert np.corrcoef(np.log(field.voxels[inner]), along[inner])[0, 1] > 0.9


def test_whole_heads_stay_whole_where_the_recipe_extracts_no_brain(make_recipe):
    images, _, methods = scanned()
    plan = make_recipe(bias_field=False, brain_extraction=False)
    prepared = preprocess_subject(images, plan, methods=methods)
    np.testing.assert_array_equal(prepared.images["flair"].voxels, images["flair"].voxels)


def test_histograms_come_to_the_given_scale(make_recipe):
    images, _, methods = scanned()
    rising = tuple(float(value) for value in np.linspace(30, 130, len(PERCENTS)))
    scale = StandardScale({"t1": rising, "flair": rising}, 5)
    plan = make_recipe(bias_field=False, nyul=True)
    prepared = preprocess_subject(images, plan, methods=methods, scale=scale)
    inside = prepared.brain.voxels
    for image in prepared.images.values():
        found = np.percentile(image.voxels[inside], PERCENTS)
        np.testing.assert_allclose(found, rising, atol=0.5)
        assert not image.voxels[~inside].any()
    with pytest.raises(InputError, match="small: standard scale must be given"):
        preprocess_subject(images, plan, methods=methods)


def test_isotropic_voxels_are_made_in_native_space(make_recipe):
    images, _, methods = scanned()
    plan = make_recipe(bias_field=False, spacing_mm=(2.0, 2.0, 2.0))
    prepared = preprocess_subject(images, plan, methods=methods)
    np.testing.assert_allclose(prepared.images["flair"].spacing_mm, 2)
    assert prepared.grid.shape == (55, 65, 54)


def test_a_grid_with_other_voxels_begins_at_the_same_corner():
    grid = grid_of("oblique")
    fine = respaced(grid, (1.25, 1.25, 1.0))
    corners = [g.affine @ [-0.5, -0.5, -0.5, 1] for g in (grid, fine)]
    np.testing.assert_allclose(*corners)
    assert fine.shape == (96, 112, 124)


def test_what_does_not_fit_is_refused(make_recipe):
    images, label, methods = scanned()
    plan = make_recipe(bias_field=False)
    off = Image(label.voxels[:-1], label.affine)
    with pytest.raises(InputError, match=r"label must lie on the grid of one of the scans \(t1"):
        preprocess_subject(images, plan, label=off, methods=methods)
    with pytest.raises(InputError, match="images must hold flair, the reference, got t1"):
        preprocess_subject({"t1": images["t1"]}, plan, methods=methods)
    aligned = make_recipe(bias_field=False, reference=None, registration=None)
    with pytest.raises(InputError, match="flair must lie on the grid of t1"):
        preprocess_subject(images, aligned, methods=methods)
    dark = {**images, "t1": images["t1"].with_voxels(0 * images["t1"].voxels)}
    with pytest.raises(InputError, match="bias field of t1: mask must hold a voxel above 0"):
        preprocess_subject(dark, make_recipe(), methods=methods)
    nothing = replace(methods, brain=lambda image: np.zeros(image.shape, bool))
    with pytest.raises(InputError, match="flair: brain mask must hold at least one voxel"):
        preprocess_subject(images, plan, methods=nothing)


@pytest.mark.parametrize("name", ["g17", "gl20", "z22"])
def test_the_papers_recipes_prepare_what_they_promise(name: str):
    recipe = named_recipe(name)
    images, _, methods = scanned()
    if recipe.preparation.reference is None:
        images = {"flair": images["flair"]}
    prepared = preprocess_subject(images, recipe, methods=methods)
    wanted = recipe.preparation
    if wanted.spacing_mm is not None:
        np.testing.assert_allclose(prepared.brain.spacing_mm, wanted.spacing_mm)
    empty = [(i.voxels[~prepared.brain.voxels] == 0).all() for i in prepared.images.values()]
    assert all(empty) == wanted.brain_extraction


def on_the_template(flair: Image, mask: Image) -> Image:
    """A head as z22 prepares it, the way to the template known."""
    methods = Methods(brain=GivenMask(mask), to_template=Known())
    prepared = preprocess_subject({"t1": flair}, named_recipe("z22"), methods=methods)
    return prepared.images["t1"]


@pytest.mark.parametrize("codes", ["LAS", "LPS", "PIR"])
def test_the_order_of_storage_does_not_change_a_whole_head_on_the_template(codes: str):
    images, _, methods = scanned("ras")
    upright = [images["flair"], methods.brain.mask]
    turned = [stored(image, codes) for image in upright]
    plain, other = (on_the_template(*head) for head in (upright, turned))
    np.testing.assert_array_equal(other.affine, plain.affine)
    np.testing.assert_allclose(other.voxels, plain.voxels, rtol=0, atol=0.01)  # of 400


def stored(image: Image, codes: str) -> Image:
    """The same image, its voxels in another order."""
    order = nib.orientations.ornt_transform(
        nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes)
    )
    affine = image.affine @ nib.orientations.inv_ornt_aff(order, image.shape)
    return Image(nib.orientations.apply_orientation(image.voxels, order), affine)


def test_an_oblique_head_lies_on_the_template_as_an_upright_one_does():
    heads = {}
    for kind in ("ras", "oblique"):
        images, _, methods = scanned(kind)
        heads[kind] = on_the_template(images["flair"], methods.brain.mask)
    at = points_mm(Grid(heads["ras"].shape, heads["ras"].affine)) + SHIFT_MM
    radius = np.linalg.norm(at / RADII_MM, axis=-1)
    expected = seen(at, slope=0.5)[0]
    for head in heads.values():
        assert np.corrcoef(head.voxels[radius < 0.9], expected[radius < 0.9])[0, 1] > 0.99
        assert head.voxels[(radius > 1.18) & (radius < 1.27)].mean() > 250  # the scalp of 400
    inner = [head.voxels[radius < 0.9] for head in heads.values()]
    assert np.corrcoef(*inner)[0, 1] > 0.99
