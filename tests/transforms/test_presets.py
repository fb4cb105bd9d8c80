import json
import re
from dataclasses import replace
from functools import partial

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Invertd
from nibabel.affines import apply_affine
from nibabel.processing import resample_from_to
from scipy import ndimage
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from monai_transfer.errors import InputError
from monai_transfer.imaging import (
    RECIPES,
    Recipe,
    landmarks,
    learn_standard_scale,
    to_standard_scale,
    write_standard_scale,
)
from monai_transfer.simulation import simulate_subject
from monai_transfer.transforms import K19_SIZE_MM, k19, preset, standardise

BRATS = [0, 1, 2, 4]
STORAGE = [
    (codes, affine)
    for affine in ("upright", "oblique")
    for codes in ("RAS", "LAS", "LPS", "LIA", "PIR")
]


def cause_of(error: BaseException) -> InputError:
    """The input error that MONAI wrapped."""
    while not isinstance(error, InputError):
        assert error.__cause__ is not None
        error = error.__cause__
    return error


def centre_mm(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Centre of mass in the world, by hand."""
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


@pytest.fixture
def entry(tmp_path, phantom):
    return phantom.store(tmp_path)


def test_the_image_is_the_standardised_brain_box_padded_with_zeros(entry, phantom):
    # the brain covers 17×21×15 voxels: padded to 24×24×16 by 4|3, 2|1 and 1|0
    result = k19(label_values=BRATS)(entry)
    box = np.s_[2:19, 3:24, 2:17]
    assert phantom.brain.sum() == phantom.brain[box].sum()
    expected = np.zeros((4, 24, 24, 16), np.float32)
    expected[:, 3:20, 1:22, 0:15] = standardise(phantom.images, phantom.brain)[(slice(None), *box)]
    np.testing.assert_array_equal(result["image"], expected)
    index = np.zeros((1, 24, 24, 16), np.uint8)
    index[0, 3:20, 1:22, 0:15] = np.searchsorted(BRATS, phantom.label[box])
    np.testing.assert_array_equal(result["label"], index)
    assert result["image"].dtype == torch.float32


@pytest.mark.parametrize(("codes", "affine"), STORAGE)
def test_the_storage_order_changes_nothing(codes, affine, tmp_path, phantom):
    affine = phantom.affines[affine]
    plain = k19(label_values=BRATS)(phantom.store(tmp_path / "ras", affine=affine))
    result = k19(label_values=BRATS)(phantom.store(tmp_path / codes, codes=codes, affine=affine))
    for key in ("image", "label"):
        assert torch.equal(result[key], plain[key])
        np.testing.assert_allclose(result[key].affine, plain[key].affine, atol=1e-5)


@pytest.mark.parametrize("spacing_mm", [None, 1.0, 2.0, 0.5])
@pytest.mark.parametrize(("codes", "affine"), [("LPS", "oblique"), ("RAS", "upright")])
def test_the_tumour_stays_where_it_is_in_the_world(codes, affine, spacing_mm, tmp_path, phantom):
    affine = phantom.affines[affine]
    entry = phantom.store(tmp_path, codes=codes, affine=affine)
    label = k19(spacing_mm=spacing_mm, label_values=BRATS)(entry)["label"]
    size_mm = np.linalg.norm(label.affine.numpy()[:3, :3], axis=0)
    np.testing.assert_allclose(size_mm, spacing_mm or 1.0, rtol=1e-5)
    found = centre_mm(label[0].numpy() > 0, label.affine.numpy())
    truth = centre_mm(phantom.label > 0, affine)
    # resampled labels are sampled, not averaged: a quarter of the larger voxel in each direction
    assert np.abs(found - truth).max() < {None: 1e-4, 1.0: 1e-4, 2.0: 0.5, 0.5: 0.25}[spacing_mm]
    volume_ml = float((label > 0).sum()) * (spacing_mm or 1.0) ** 3 / 1000
    assert volume_ml == pytest.approx((phantom.label > 0).sum() / 1000, rel=0.2)


def test_one_4d_file_is_as_good_as_four_files(tmp_path, phantom):
    four, one = (
        k19(label_values=BRATS)(phantom.store(tmp_path / str(s), codes="LAS", stacked=s))
        for s in (False, True)
    )
    assert torch.equal(four["image"], one["image"])
    assert torch.equal(four["image"].affine, one["image"].affine)


def test_a_label_with_a_channel_axis_is_read_like_one_without(tmp_path, phantom, entry):
    other = phantom.store(tmp_path / "4d", label=phantom.label[..., None])
    assert torch.equal(
        k19(label_values=BRATS)(other)["label"], k19(label_values=BRATS)(entry)["label"]
    )


def test_images_that_are_on_the_grid_but_for_rounding_are_not_interpolated(tmp_path, phantom):
    affine = phantom.affines["oblique"] @ np.diag([1.0000004, 0.9999997, 1.0000002, 1])
    image = k19()(phantom.store(tmp_path, affine=affine))["image"]
    values = standardise(phantom.images, phantom.brain)
    assert set(np.unique(image)) == {0, *np.unique(values)}


def test_label_and_image_that_differ_by_rounding_stay_on_one_grid(tmp_path, phantom):
    affine = phantom.affines["oblique"].copy()
    entry = phantom.store(tmp_path, affine=affine)
    affine[:3] += 3e-5
    entry["label"] = phantom.write(tmp_path / "other.nii.gz", phantom.label, affine=affine)
    result = k19(spacing_mm=0.7, label_values=BRATS)(entry)
    assert result["image"].shape[1:] == result["label"].shape[1:]
    assert torch.equal(result["image"].affine, result["label"].affine)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"divisor": 16}, (32, 32, 16)),
        ({"divisor": 1}, (17, 21, 15)),
        ({"spacing_mm": None, "divisor": 1}, (17, 21, 15)),
        ({"size": (24, 16, 20)}, (24, 16, 20)),
        ({"size": K19_SIZE_MM}, (240, 192, 192)),
        ({"spacing_mm": 2.0, "size": [n // 8 for n in K19_SIZE_MM]}, (30, 24, 24)),
    ],
)
def test_the_size_is_the_one_asked_for(options, shape, entry):
    assert k19(**options)(entry)["image"].shape == (4, *shape)


def test_a_smaller_size_is_cropped_around_the_brains_centre(entry):
    whole = k19(divisor=1)(entry)["image"]  # 17×21×15
    middle = k19(size=(9, 11, 7))(entry)["image"]
    assert torch.equal(middle, whole[:, 4:13, 5:16, 4:11])


def test_without_label_values_no_label_is_needed(entry):
    result = k19()({"image": entry["image"], "subject": "sub-01"})
    assert set(result) == {"image", "subject"}


@pytest.mark.parametrize("options", [{}, {"spacing_mm": None}, {"size": (32, 40, 32)}])
@pytest.mark.parametrize(("codes", "affine"), STORAGE[::3])
def test_inverting_restores_the_label_map_exactly(codes, affine, options, tmp_path, phantom):
    entry = phantom.store(tmp_path, codes=codes, affine=phantom.affines[affine])
    preset = k19(**options, label_values=BRATS)
    restored = Invertd("label", preset, orig_keys="label", nearest_interp=True)(preset(entry))
    np.testing.assert_array_equal(restored["label"][0], np.searchsorted(BRATS, stored(entry)))


@pytest.mark.parametrize(("spacing_mm", "least"), [(0.5, 0.999), (0.8, 0.93), (1.5, 0.8)])
def test_inverting_another_spacing_restores_it_but_for_interpolation(
    spacing_mm, least, tmp_path, phantom
):
    entry = phantom.store(tmp_path, codes="LIA", affine=phantom.affines["oblique"])
    preset = k19(spacing_mm=spacing_mm, label_values=BRATS)
    restored = Invertd("label", preset, orig_keys="label", nearest_interp=True)(preset(entry))
    found, truth = restored["label"][0].numpy() > 0, stored(entry) > 0
    assert found.shape == truth.shape
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > least


def stored(entry: dict) -> np.ndarray:
    """The label as it lies in its file."""
    return np.asarray(nib.load(entry["label"]).dataobj)


def zeros(phantom):
    return {f"image{i}": np.zeros_like(phantom.images[0]) for i in range(4)}


def spoilt(phantom, value):
    image = phantom.images[2].copy()
    image[10, 13, 9] = value
    return {"image2": image}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (zeros, "hold a brain, got 0 in every voxel"),
        (lambda p: {"image1": p.brain.astype(np.float32)}, "channel 1 must be finite and vary"),
        (lambda p: spoilt(p, np.nan), "channel 2 must be finite"),
        (lambda p: spoilt(p, np.inf), "channel 2 must be finite"),
        (lambda p: {"label": p.label + 1}, "label: values must be one of 0, 1, 2, 4, got 3, 5"),
        (lambda p: {"image3": p.images[3][1:]}, r"3\.nii\.gz: grid must be that of .* \(21, 26"),
        (lambda p: {"label": p.label[1:]}, r"label: grid must be that of the subject's first"),
    ],
    ids=["no brain", "constant", "NaN", "infinite", "label value", "image shape", "label shape"],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_would_spoil_a_training_in_silence_is_refused(change, message, tmp_path, phantom):
    entry = phantom.store(tmp_path, **change(phantom))
    with pytest.raises(RuntimeError) as caught:
        k19(label_values=BRATS)(entry)
    assert re.search(message, str(cause_of(caught.value)))


MODALITIES = {"g17": [3, 0], "k19": [0, 1, 2, 3], "z22_ms": [0], "gl20": [3]}
COARSE_MM = 2.5


def coarse(name: str) -> Recipe:
    """A paper's recipe for images at 2.5 mm: fewer voxels, nothing else."""
    recipe = RECIPES[name]
    spacing = recipe.preparation.spacing_mm and (COARSE_MM,) * 3
    loading = recipe.loading
    if not loading.template_grid:
        size = loading.size and tuple(round(n / COARSE_MM) for n in loading.size)
        loading = replace(loading, size=size, spacing_mm=loading.spacing_mm and COARSE_MM)
    preparation = replace(recipe.preparation, spacing_mm=spacing)
    return replace(recipe, preparation=preparation, loading=loading)


@pytest.fixture(scope="module")
def simulated():
    """A subject with lesions in MNI space: images (4, x, y, z), label, affine.

    Without the noise, which interpolation would take away.
    """
    subject = simulate_subject("ms", 2, spacing_mm=COARSE_MM)
    images = extracted(
        partial(ndimage.gaussian_filter, sigma=1.2), subject.image, subject.image[0] != 0
    )
    return images, subject.label, subject.grid.affine


def extracted(change, images: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Changed images of a brain, as if it were extracted afterwards: no darker at its rim."""
    weight = change(brain.astype(float))
    changed = [change(image.astype(float)) / weight.clip(0.1) for image in images]
    return np.where(weight > 0.5, changed, 0)


@pytest.fixture(scope="module")
def turned(simulated):
    """The same subject on a grid that lies obliquely in the world."""
    images, label, affine = simulated
    centre = apply_affine(affine, (np.array(label.shape) - 1) / 2)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("zx", [14, 9], degrees=True).as_matrix()
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    grid = label.shape, turn @ affine

    def there(voxels: np.ndarray, order: int = 1) -> np.ndarray:
        return resample_from_to(nib.Nifti1Image(voxels, affine), grid, order=order).get_fdata()

    return extracted(there, images, images[0] != 0), there(label, order=0), grid[1]


def loaded(folder, phantom, subject, *, name: str, codes: str = "RAS", check: bool = True) -> dict:
    """Written in an order of storage, and loaded by a preset."""
    images, label, affine = subject
    grid = {"codes": codes, "affine": affine}
    files = [
        phantom.write(folder / f"{i}.nii.gz", images[i].astype(np.float32), **grid)
        for i in MODALITIES[name]
    ]
    lesions = phantom.write(folder / "l.nii.gz", label.astype(np.uint8), **grid)
    chain = preset(coarse(name), label_values=[0, 1], check=check)
    return chain({"image": files, "label": lesions})


def sampled(image, points_mm: np.ndarray) -> np.ndarray:
    """Values (channel, point) of a prepared image at places in the world; NaN outside of it."""
    index = apply_affine(np.linalg.inv(image.affine.numpy()), points_mm).T
    channels = image.numpy().astype(float)
    return np.stack([map_coordinates(c, index, order=1, cval=np.nan) for c in channels])


@pytest.mark.parametrize("name", MODALITIES)
def test_no_order_of_storage_changes_what_a_preset_gives(name, tmp_path, phantom, simulated):
    plain = loaded(tmp_path / "RAS", phantom, simulated, name=name)
    for codes in ("LAS", "LPS", "PIR"):
        other = loaded(tmp_path / codes, phantom, simulated, name=name, codes=codes)
        for key in ("image", "label"):
            assert torch.equal(other[key].as_tensor(), plain[key].as_tensor()), codes
            np.testing.assert_allclose(other[key].affine, plain[key].affine, atol=1e-4)
    assert plain["image"].shape[0] == len(MODALITIES[name])
    assert 0 <= plain["image"].min() < 0.01
    assert 0.9 < plain["image"].max() <= 1


@pytest.mark.parametrize("name", MODALITIES)
def test_an_oblique_scan_gives_the_same_image_in_the_world(
    name, tmp_path, phantom, simulated, turned
):
    upright = loaded(tmp_path / "u", phantom, simulated, name=name)
    oblique = loaded(tmp_path / "o", phantom, turned, name=name, codes="LPS", check=False)
    where = np.argwhere(ndimage.binary_erosion(simulated[0][0] > 0, iterations=2))
    points_mm = apply_affine(simulated[2], where[::50])
    one, other = sampled(upright["image"], points_mm), sampled(oblique["image"], points_mm)
    common = np.isfinite(one + other).all(axis=0)  # presets that crop do it along the scan's axes
    assert common.mean() > 0.75
    for a, b in zip(one[:, common], other[:, common], strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.99
        assert np.median(np.abs(a - b)) < 0.015
    lesions = [
        apply_affine(found["label"].affine.numpy(), np.argwhere(found["label"][0].numpy()))
        for found in (upright, oblique)
    ]
    assert np.abs(lesions[0].mean(axis=0) - lesions[1].mean(axis=0)).max() < 0.5
    volumes = [
        len(place) * abs(np.linalg.det(found["label"].affine.numpy()))
        for place, found in zip(lesions, (upright, oblique), strict=True)
    ]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.05)


def test_g17_leaves_half_a_patch_around_the_brain(tmp_path, phantom):
    # the brain covers 17×21×15 of 22×26×20 voxels; 16 more at each end of x and y
    image = preset("g17", check=False)(phantom.store(tmp_path))["image"]
    assert image.shape[1:] == (17 + 32, 21 + 32, 15)
    low, high = np.percentile(phantom.images[0][phantom.brain].astype(float), [1, 99.5])
    value = (phantom.images[0, 10, 13, 9] - low) / (high - low)
    assert image[0, 10 - 2 + 16, 13 - 3 + 16, 9 - 2] == pytest.approx(value, abs=1e-6)
    assert image[:, :16].abs().max() == 0


def test_gl20_is_cropped_before_its_percentiles_are_taken(tmp_path):
    rng = np.random.default_rng(5)
    voxels = np.zeros((200, 190, 140), np.float32)
    voxels[10:190, 5:185, 6:134] = rng.gamma(2.0, 50.0, (180, 180, 128))
    voxels[:10] = 1e5  # outside of the crop
    path = tmp_path / "flair.nii.gz"
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)
    image = preset("gl20", check=False)({"image": str(path)})["image"]
    low, high = np.percentile(voxels[10:190, 5:185, 6:134].astype(float), [2, 98])
    expected = ((voxels[10:190, 5:185, 6:134] - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(image[0], expected, atol=1e-5)


def test_z22_gives_the_papers_slices_and_the_way_back_is_the_subjects_own_grid(
    tmp_path, phantom, simulated
):
    images, label, affine = simulated
    codes = {"codes": "LPS", "affine": affine}
    entry = {
        "image": phantom.write(tmp_path / "t1.nii.gz", images[0].astype(np.float32), **codes),
        "label": phantom.write(tmp_path / "l.nii.gz", label, **codes),
    }
    chain = preset("z22_ms", label_values=[0, 1], check=False)
    subject = chain(entry)
    assert subject["image"].shape == (1, 256, 256, 128)
    low_mm, high_mm = subject["image"].affine[2, 3], subject["image"].affine[2, 3] + 127
    assert (low_mm, high_mm) == (-72 + 50, -72 + 188 - 11)
    back = Invertd("label", chain, orig_keys="label", nearest_interp=True)(subject)["label"][0]
    truth = np.asarray(nib.load(entry["label"]).dataobj)
    left = back.numpy() > 0
    assert left.shape == truth.shape
    assert 2 * (left & (truth > 0)).sum() / (left.sum() + truth.sum()) > 0.95


def test_a_standard_scale_is_applied_before_the_images_are_standardised(tmp_path, phantom):
    names = ["t1", "t1c", "t2", "flair"]
    scale = learn_standard_scale([landmarks(phantom.images**2, phantom.brain)], names)
    entry = phantom.store(tmp_path)
    write_standard_scale(scale, tmp_path / "scale.json")
    options = {"modalities": names, "check": False}
    found = preset("k19", standard_scale=scale, **options)(entry)["image"]
    by_file = preset("k19", standard_scale=str(tmp_path / "scale.json"), **options)(entry)["image"]
    assert torch.equal(by_file, found)
    mapped = to_standard_scale(phantom.images, phantom.brain, scale=scale, modalities=names)
    expected = standardise(mapped, phantom.brain)
    assert found.shape[1:] == K19_SIZE_MM
    np.testing.assert_allclose(
        np.sort(found[found > 0]), np.sort(expected[expected > 0]), atol=1e-5
    )
    plain = preset("k19", check=False)(entry)["image"]
    assert (found - plain).abs().max() > 0.01


def test_a_recipe_may_come_by_name_as_a_record_or_as_json(tmp_path, phantom):
    entry = phantom.store(tmp_path)
    recipe = RECIPES["g17"]
    plain = preset(recipe, check=False)(entry)["image"]
    for given in ("g17", json.loads(recipe.to_json())):
        assert torch.equal(preset(given, check=False)(entry)["image"], plain)


def test_k19_looks_at_the_preparation_that_the_sources_card_says(tmp_path, phantom):
    entry = phantom.store(tmp_path) | {"subject": "sub-05"}
    card = json.loads(RECIPES["k19"].to_json())
    plain = k19(spacing_mm=2.0)(entry)["image"]
    assert torch.equal(k19(spacing_mm=2.0, prepared=card)(entry)["image"], plain)
    card["preparation"]["spacing_mm"] = [2, 2, 2]
    with pytest.raises(RuntimeError) as caught:
        k19(spacing_mm=2.0, prepared=card)(entry)
    assert "voxels of 1×1×1 mm, not 2×2×2 mm" in str(cause_of(caught.value))


def test_a_preset_refuses_what_was_not_prepared_by_it(tmp_path, phantom):
    entry = phantom.store(tmp_path) | {"subject": "sub-05"}
    preset("k19")(entry)
    entry["image"] = phantom.write(
        tmp_path / "head.nii.gz", phantom.images[0] + 1, affine=np.diag([0.9, 0.9, 5, 1])
    )
    with pytest.raises(RuntimeError) as caught:
        preset("k19")(entry)
    assert str(cause_of(caught.value)).startswith("sub-05: image must be prepared as for k19")
