import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, NibabelReader
from monai.transforms import LoadImage, LoadImaged

from monai_transfer.errors import InputError
from monai_transfer.transforms import OneGridd, OneGridReader


def nudged(affine: np.ndarray, amount: float) -> np.ndarray:
    """An affine whose shear and offset are a little other."""
    other = affine.copy()
    other[0, 1] += amount
    other[2, 3] -= amount
    return other


@pytest.fixture
def store(tmp_path, phantom):
    def write_two(amount: float, *, smaller: bool = False) -> list[str]:
        affine = phantom.affines["oblique"]
        second = phantom.images[1, : -1 if smaller else None]
        return [
            phantom.write(tmp_path / "t1.nii.gz", phantom.images[0], affine=affine),
            phantom.write(tmp_path / "flair.nii.gz", second, affine=nudged(affine, amount)),
        ]

    return write_two


@pytest.mark.parametrize("amount", [0.0, 1e-7, 1e-5, 9e-5])
def test_files_whose_affines_differ_by_rounding_are_stacked(amount, store, phantom):
    image = LoadImage(OneGridReader, image_only=True)(store(amount))
    np.testing.assert_array_equal(image.numpy(), phantom.images[:2])
    np.testing.assert_allclose(image.affine, phantom.affines["oblique"], atol=1e-6)
    assert image.meta["filename_or_obj"].endswith("t1.nii.gz")


def test_monais_own_reader_still_refuses_them(store):
    with pytest.raises(RuntimeError, match="affine matrix of all images should be the same"):
        LoadImage("NibabelReader", image_only=True)(store(1e-5))


@pytest.mark.parametrize(
    ("amount", "smaller", "message"),
    [
        (2e-3, False, r"^flair\.nii\.gz: grid must be that of .*, got one 0\.05004 mm away"),
        (0.0, True, r"^flair\.nii\.gz: grid .* got \(21, 26, 20\) voxels, not \(22, 26, 20\)"),
    ],
)
def test_files_on_other_grids_are_refused_by_name(amount, smaller, message, store):
    with pytest.raises(InputError, match=message):
        LoadImage(OneGridReader, image_only=True)(store(amount, smaller=smaller))


def test_a_single_file_is_read_as_by_monai(tmp_path, phantom):
    path = phantom.write(tmp_path / "t1.nii.gz", phantom.images[0], codes="LIA")
    ours, theirs = (LoadImage(r, image_only=True)(path) for r in (OneGridReader, "NibabelReader"))
    assert torch.equal(ours, theirs)
    assert torch.equal(ours.affine, theirs.affine)
    np.testing.assert_array_equal(ours, nib.load(path).get_fdata())


@pytest.mark.parametrize(("reader", "channels"), [(OneGridReader, 2), (NibabelReader, 1)])
def test_a_reader_shared_by_threads_loses_no_channel_as_monais_does(reader, channels, store):
    shared, files = reader(), store(0.0)
    images = shared.read(files)
    shared.read(files[:1])  # another thread reads a label before this one gets its voxels
    voxels, _ = shared.get_data(images)
    assert voxels.size == channels * np.prod(images[0].shape)


def pair(amount: float, *, shape=(1, 3, 4, 5)) -> dict:
    affine = np.diag([2.0, 2, 2, 1])
    return {
        "image": MetaTensor(torch.rand(2, 3, 4, 5), affine=affine),
        "label": MetaTensor(torch.ones(shape), affine=nudged(affine, amount)),
        "subject": "sub-01",
    }


def test_the_label_takes_the_images_affine_and_the_input_keeps_its_own():
    data = pair(1e-5)
    result = OneGridd(["image", "label"])(data)
    assert torch.equal(result["label"].affine, data["image"].affine)
    assert torch.equal(result["label"], data["label"])
    assert not torch.equal(data["label"].affine, data["image"].affine)
    assert result["image"] is data["image"]


@pytest.mark.parametrize(
    ("amount", "shape", "message"),
    [
        (0.5, (1, 3, 4, 5), "^sub-01: label: grid must be .*, got one 1.581 mm away. Register"),
        (np.nan, (1, 3, 4, 5), "^sub-01: label: grid must be .*, got one nan mm away"),
        (0.0, (1, 3, 4, 6), r"^sub-01: label: grid .* got \(3, 4, 6\) voxels, not \(3, 4, 5\)"),
    ],
)
def test_a_label_on_another_grid_is_refused(amount, shape, message):
    with pytest.raises(InputError, match=message):
        OneGridd(["image", "label"])(pair(amount, shape=shape))


def test_jitter_of_a_direction_adds_up_over_a_large_image_and_is_rounding_all_the_same():
    flipped = np.diag([-1.0, -1, 1, 1])
    flipped[0, 3] = 239
    moved = flipped.copy()
    moved[:3, 0] += 1e-5
    moved[0, 3] -= 239e-5  # as if the image had been turned to RAS+
    data = {
        "image": MetaTensor(torch.zeros(1, 240, 2, 2), affine=flipped),
        "label": MetaTensor(torch.zeros(1, 240, 2, 2), affine=moved),
        "subject": "sub-01",
    }
    result = OneGridd(["image", "label"])(data)
    assert torch.equal(result["label"].affine, result["image"].affine)


def test_metaimages_are_loaded_like_the_nifti_files_of_the_same_images(tmp_path):
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    affine[1, 3] = 239
    voxels = np.random.default_rng(0).integers(1, 900, (2, 5, 6, 4)).astype(np.int16)
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = False\n"
        "Offset = 0 -239 0\nElementSpacing = 1 2 3\nDimSize = 5 6 4\n"
        "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    for i, one in enumerate(voxels):
        nib.save(nib.Nifti1Image(one, affine), tmp_path / f"{i}.nii.gz")
        (tmp_path / f"{i}.mha").write_bytes(header.encode() + one.tobytes(order="F"))
    load = LoadImaged("image", OneGridReader, image_only=True, ensure_channel_first=True)
    ours, nifti = (
        load({"image": [str(tmp_path / f"{i}{ending}") for i in range(2)]})["image"]
        for ending in (".mha", ".nii.gz")
    )
    assert torch.equal(ours.as_tensor(), nifti.as_tensor())
    assert torch.equal(ours.affine, nifti.affine)
    one = load({"image": str(tmp_path / "1.mha")})["image"]
    assert torch.equal(one.as_tensor()[0], ours.as_tensor()[1])
    assert one.meta["filename_or_obj"] == str(tmp_path / "1.mha")
