from unittest.mock import patch

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.imaging.bias_field import estimate_bias_field, otsu_mask
from monai_transfer.imaging.n4 import N4Settings
from monai_transfer.simulation import scan, simulate_subject

THICK = (1.0, 1.2, 3.0)
WHOLE = N4Settings(grid_mm=None)


class Head:
    """A ball of two tissues and noise under a smooth field; 40 % of its box is air."""

    shape = (34, 38, 16)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    mask = x**2 + y**2 + z**2 < 0.8
    log_field = 0.2 * x - 0.15 * y**2 + 0.1 * z * y
    tissue = np.where(np.sin(5 * x) * np.cos(4 * y) + 0.5 * np.sin(6 * z) > 0, 100.0, 60.0)
    noise = np.random.default_rng(0).normal(0, 2, shape)
    image = np.where(mask, tissue * np.exp(log_field) + noise, abs(noise)).astype(np.float32)


def log_field(image, mask=Head.mask, *, spacing_mm=THICK, **options) -> np.ndarray:
    return np.log(estimate_bias_field(image, mask, spacing_mm=spacing_mm, **options))


def away(one: np.ndarray, other: np.ndarray, mask=Head.mask) -> float:
    """What two log fields differ by, but for a constant."""
    return float((one - other)[mask].std())


@pytest.mark.parametrize(
    "settings",
    [
        N4Settings(iterations=(2, 1, 1, 1), grid_mm=None),
        N4Settings(iterations=(8, 6), control_points=6, bins=90, fwhm=0.25, wiener_noise=0.05),
        N4Settings(iterations=(50, 50), convergence_threshold=0.002, grid_mm=2.0),
    ],
    ids=["4 levels", "all else", "grid and convergence"],
)
def test_the_field_is_that_of_itk(settings: N4Settings):
    ours, theirs = (
        log_field(Head.image, settings=settings, backend=name) for name in ("torch", "itk")
    )
    assert theirs[Head.mask].std() > 0.01
    assert np.corrcoef(ours[Head.mask], theirs[Head.mask])[0, 1] > 0.999999
    np.testing.assert_allclose(ours, theirs, atol=1e-4)  # outside the mask, too


@pytest.mark.parametrize("settings", [WHOLE, N4Settings()], ids=["whole", "3 mm grid"])
def test_a_known_field_is_found(settings: N4Settings):
    found = log_field(Head.image, settings=settings)
    truth = Head.log_field
    assert away(found, truth) < 0.2 * truth[Head.mask].std()
    assert np.corrcoef(found[Head.mask], truth[Head.mask])[0, 1] > 0.98


@pytest.mark.parametrize(
    ("spacing_mm", "steps"),
    [
        ((0.72, 0.72, 3.0), (4, 4, 1)),
        ((1.0, 1.0, 1.0), (3, 3, 3)),
        ((5.5, 0.75, 0.75), (1, 4, 4)),
        ((4.0, 2.0, 1.4), (1, 2, 2)),
    ],
)
def test_thick_slices_are_left_whole(spacing_mm, steps):
    assert N4Settings().steps(spacing_mm) == steps
    assert WHOLE.steps(spacing_mm) == (1, 1, 1)


def test_only_the_voxels_of_the_grid_are_looked_at():
    changed = np.full_like(Head.image, 50)
    changed[1::3, ::2] = Head.image[1::3, ::2]  # steps of 3, 2 and 1 voxels begin at 1, 0 and 0
    np.testing.assert_array_equal(log_field(changed), log_field(Head.image))
    assert away(log_field(changed, settings=WHOLE), log_field(Head.image, settings=WHOLE)) > 0.01


def test_voxels_without_a_logarithm_have_no_part():
    dirty = Head.image.copy()
    draw = np.random.default_rng(1).random(dirty.shape)
    dirty[draw < 0.03] = 0
    dirty[draw > 0.97] = -5
    dirty[abs(draw - 0.5) < 0.01] = 1e-6  # left by interpolation
    expected = log_field(Head.image, Head.mask & (dirty > 0.1))
    np.testing.assert_array_equal(log_field(dirty), expected)


@pytest.mark.parametrize("backend", ["torch", "itk"])
def test_correcting_leaves_the_brightness_as_it_is(backend: str):
    settings = N4Settings(iterations=(3, 2), grid_mm=None)
    found = log_field(Head.image, settings=settings, backend=backend)
    assert abs(found[Head.mask].mean()) < 1e-5


def test_the_field_knows_no_unit_of_intensity():
    scaled = log_field(Head.image * 1e4)
    np.testing.assert_allclose(scaled, log_field(Head.image), atol=2e-4)


def test_the_field_turns_with_the_image():
    expected = log_field(Head.image, settings=WHOLE)
    turned, mask = (array[::-1].transpose(2, 0, 1) for array in (Head.image, Head.mask))
    found = log_field(turned, mask, spacing_mm=(3.0, 1.0, 1.2), settings=WHOLE)
    np.testing.assert_allclose(found.transpose(1, 2, 0)[::-1], expected, atol=1e-3)


def test_iterations_end_when_the_field_no_longer_changes():
    once = log_field(Head.image, settings=N4Settings(iterations=(1, 1)))
    settled = N4Settings(iterations=(50, 50), convergence_threshold=10.0)
    np.testing.assert_array_equal(log_field(Head.image, settings=settled), once)
    assert away(log_field(Head.image), once) > 0.01


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, ">f4", np.float64])
def test_stored_numbers_of_any_type_and_order_are_taken(dtype):
    whole = np.rint(Head.image)
    stored = np.asfortranarray(whole.astype(dtype))
    stored.flags.writeable = False
    found = estimate_bias_field(stored, Head.mask.astype(np.uint8), spacing_mm=THICK)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.log(found), log_field(whole))
    np.testing.assert_array_equal(stored, whole)


def test_a_tensor_gives_a_tensor():
    image = torch.tensor(Head.image, dtype=torch.float64, requires_grad=True)
    found = estimate_bias_field(image, torch.tensor(Head.mask), spacing_mm=THICK)
    assert isinstance(found, torch.Tensor)
    assert (found.dtype, found.requires_grad) == (torch.float32, False)
    np.testing.assert_allclose(found.log(), log_field(Head.image), atol=1e-6)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives():
    image, mask = (torch.tensor(array, device="cuda") for array in (Head.image, Head.mask))
    found = estimate_bias_field(image, mask, spacing_mm=THICK)
    assert found.device == image.device
    np.testing.assert_allclose(found.cpu().log(), log_field(Head.image), atol=1e-3)


def itk_otsu(image: np.ndarray) -> np.ndarray:
    import itk

    otsu = itk.OtsuThresholdImageFilter[itk.Image[itk.F, 3], itk.Image[itk.UC, 3]].New()
    otsu.SetInput(itk.image_from_array(image))
    otsu.SetNumberOfHistogramBins(200)
    otsu.Update()
    return image > otsu.GetThreshold()


def test_without_a_mask_otsus_is_taken_as_itk_finds_it():
    mask = otsu_mask(torch.tensor(Head.image)).numpy()
    np.testing.assert_array_equal(mask, itk_otsu(Head.image))
    assert (mask == (Head.image > 20)).mean() > 0.99
    np.testing.assert_array_equal(log_field(Head.image, None), log_field(Head.image, mask))


def test_less_of_a_true_bias_is_left():
    fields = []

    def remembered(rng, anatomy, *, cv):
        fields.append((draw_bias(rng, anatomy, cv=cv), anatomy))
        return fields[-1][0]

    draw_bias = scan.draw_bias
    with patch.object(scan, "draw_bias", remembered):
        subject = simulate_subject("ms", 2, spacing_mm=2.0, seed=1)
    for image, (field, anatomy) in zip(subject.image, fields, strict=True):
        truth = np.log(field)
        found = log_field(image, image > 0, spacing_mm=(2, 2, 2))[anatomy.window]
        assert away(found, truth, anatomy.brain) < 0.6 * truth[anatomy.brain].std()


def test_on_a_real_raw_flair_the_grid_costs_little(real):
    stem = real / "openms-long/sub-lg20/ses-2/anat/sub-lg20_ses-2_"
    flair = nib.load(f"{stem}FLAIR.nii.gz")
    image = np.asarray(flair.dataobj)
    mask = np.asarray(nib.load(f"{stem}space-FLAIR_desc-brain_mask.nii.gz").dataobj) > 0
    spacing_mm = [float(edge) for edge in flair.header.get_zooms()]
    thin, whole = (
        log_field(image, mask, spacing_mm=spacing_mm, settings=settings)
        for settings in (N4Settings(), WHOLE)
    )
    assert thin.shape == image.shape
    assert whole[mask].std() > 0.02
    assert away(thin, whole, mask) < 0.003


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"mask": Head.mask[1:]}, r"shape must be that of the 3D image, got \(33, 38, 16\) on"),
        ({"mask": np.zeros_like(Head.mask)}, "hold a voxel above 0"),
        ({"voxels": -Head.image}, "hold a voxel above 0"),
        (
            {"voxels": np.ones_like(Head.image)},
            "voxels in the mask must differ, got 1.0 everywhere",
        ),
        ({"voxels": np.where(Head.x > 0, np.nan, Head.image)}, "be finite"),
        ({"mask": Head.x**2 + Head.y**2 + Head.z**2 < 0.05}, "hold 200 voxels or more .* got 1"),
        ({"spacing_mm": (1, 1, 0)}, r"three lengths above 0 mm, got \(1, 1, 0\)"),
        ({"spacing_mm": (1, 1)}, "three lengths"),
        ({"mask": None, "voxels": np.ones_like(Head.image)}, "hold a voxel above 0"),
        ({"mask": None, "voxels": np.full_like(Head.image, np.nan)}, "hold a finite voxel"),
        ({"backend": "ants"}, "backend must be one of itk, torch, got ants"),
    ],
)
def test_what_cannot_be_estimated_is_refused(changed, told):
    given = {"voxels": Head.image, "mask": Head.mask, "spacing_mm": THICK} | changed
    with pytest.raises(InputError, match=told):
        estimate_bias_field(given.pop("voxels"), given.pop("mask"), **given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", ()),
        ("iterations", (50, 0)),
        ("control_points", 3),
        ("bins", 1),
        ("fwhm", 0.0),
        ("wiener_noise", -1.0),
        ("grid_mm", 0.0),
    ],
)
def test_settings_out_of_range_are_refused(name: str, value: object):
    with pytest.raises(InputError, match=f"N4Settings: {name} must .*got"):
        N4Settings(**{name: value})
