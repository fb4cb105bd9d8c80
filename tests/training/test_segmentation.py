from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch

from monai_transfer.training import LabelMapd, SaveSegmentationd, save_label_map, to_original_grid
from monai_transfer.training.segmentation import first_file, read_label, spacing_of
from monai_transfer.transforms import k19

LABEL_VALUES = [0, 1, 4]
GEOMETRY = [
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("sform_code", "srow_x", "srow_y", "srow_z"),
]
TURNED = np.array([[0.0, -2, 0, 30], [-1, 0, 0, 12], [0, 0, 3, -7], [0, 0, 0, 1]])
SHEARED = np.array([[1.0, 0.2, 0, 5], [0, 1, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1]])


def image_with(*, sform=None, qform=None, kind=nib.Nifti1Image, shape=(4, 5, 6)):
    """An image with the given forms and codes, as scanners and tools write them."""
    image = kind(np.zeros(shape, np.float32), None)
    image.header.set_zooms((1.5, 2.0, 2.5, 3.0)[: len(shape)])
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"a name that must not travel"
    if qform is not None:
        image.header.set_qform(*qform, strip_shears=True)
    if sform is not None:
        image.header.set_sform(*sform)
    return kind(image.dataobj, None, image.header)


STORED = {
    "both": {"sform": (TURNED, 1), "qform": (TURNED, 1)},
    "sform only": {"sform": (TURNED, 4)},
    "sheared sform only": {"sform": (SHEARED, 2)},
    "qform only": {"qform": (TURNED, 1)},
    "sform differs from qform": {"sform": (SHEARED, 2), "qform": (TURNED, 1)},
    "neither": {},
    "NIfTI-2": {"sform": (TURNED, 3), "qform": (TURNED, 2), "kind": nib.Nifti2Image},
    "4D": {"sform": (TURNED, 1), "qform": (TURNED, 1), "shape": (4, 5, 6, 3)},
}


def labels() -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([0, 1, 4], np.uint8), (4, 5, 6))


@pytest.mark.parametrize("stored", STORED.values(), ids=STORED)
def test_every_reader_finds_the_label_map_where_the_image_is(stored, tmp_path):
    nib.save(image_with(**stored), tmp_path / "like.nii")
    like = nib.load(tmp_path / "like.nii")
    save_label_map(labels(), like, tmp_path / "new" / "label.nii.gz")
    written = nib.load(tmp_path / "new" / "label.nii.gz")
    for field in GEOMETRY:
        theirs = like.header[field].astype(np.float32)  # NIfTI-2 has doubles
        np.testing.assert_array_equal(written.header[field], theirs, err_msg=field)
    np.testing.assert_array_equal(written.header["pixdim"][:4], like.header["pixdim"][:4])
    np.testing.assert_allclose(written.affine, like.affine, atol=1e-6)
    for form in ("get_sform", "get_qform"):
        ours, theirs = (getattr(image, form)(coded=True) for image in (written, like))
        assert ours[1] == theirs[1]
        if ours[0] is not None:
            np.testing.assert_allclose(ours[0], theirs[0], atol=1e-6)


def test_the_file_holds_the_labels_and_nothing_of_the_image_but_its_place(tmp_path):
    like = image_with(**STORED["both"])
    save_label_map(labels(), like, tmp_path / "label.nii.gz")
    written = nib.load(tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), labels())
    assert written.get_data_dtype() == np.uint8
    assert written.header.get_xyzt_units() == ("mm", "unknown")
    assert written.header["descrip"].item() == b""
    assert [path.name for path in tmp_path.iterdir()] == ["label.nii.gz"]


def test_a_big_endian_image_lends_its_place_too(tmp_path):
    like = image_with(**STORED["both"])
    nib.save(
        nib.Nifti1Image(np.zeros((4, 5, 6), ">f4"), None, like.header.as_byteswapped(">")),
        tmp_path / "like.nii",
    )
    like = nib.load(tmp_path / "like.nii")
    assert like.header.endianness == ">"
    save_label_map(labels(), like, tmp_path / "label.nii")
    np.testing.assert_allclose(nib.load(tmp_path / "label.nii").affine, TURNED)


def test_a_label_map_is_read_as_whole_numbers_with_its_spacing(tmp_path):
    image = nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), TURNED)
    image.header.set_slope_inter(0.7, 0)  # 10 · float32(0.7) = 6.9999999
    nib.save(image, tmp_path / "label.nii")
    label, spacing_mm = read_label(tmp_path / "label.nii")
    assert label.dtype == np.int32
    assert label[0, 2, 2] == 7  # the eleventh voxel
    assert spacing_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("value", [200, 40000, 100000])
def test_large_label_values_are_not_wrapped(value, tmp_path):
    nib.save(nib.Nifti1Image(np.full((1, 1, 1), value, np.int32), np.eye(4)), tmp_path / "l.nii")
    assert read_label(tmp_path / "l.nii")[0].item() == value


def test_label_map_of_logits_keeps_one_channel():
    logits = torch.tensor([[[[0.1, 0.9]]], [[[0.5, 0.2]]], [[[0.2, 1.5]]]])
    result = LabelMapd("pred", LABEL_VALUES)({"pred": logits, "other": 1})
    assert result["pred"].tolist() == [[[[1, 4]]]]
    assert result["pred"].dtype == torch.uint8
    assert result["other"] == 1


def test_the_first_file_of_several_is_the_one_that_counts(entries):
    image = k19()(dict(entries[0]))["image"]
    assert first_file(image) == entries[0]["image"][0]


def segment(entry: dict, seer, *, output_dir=None, **options) -> torch.Tensor:
    """Prepare a subject, batch it, let the network see it, and come back to its own grid."""
    preset = k19(**options)
    (batch,) = DataLoader(Dataset([entry], preset), batch_size=1)
    with torch.no_grad():
        logits = seer(batch["image"].as_tensor())
    (subject,) = decollate_batch({**batch, "pred": MetaTensor(logits)})
    return to_original_grid(preset, LABEL_VALUES, output_dir=output_dir)(subject)["pred"]


@pytest.mark.parametrize("index", [0, 2])
@pytest.mark.parametrize(
    "options", [{}, {"spacing_mm": None, "divisor": 4}, {"size": (24, 32, 24)}]
)
def test_segmentations_come_back_to_the_stored_grid_exactly(
    index, options, entries, seer, tmp_path
):
    entry = {k: v for k, v in entries[index].items() if k != "label"}
    predicted = segment(entry, seer, output_dir=tmp_path, **options)
    in_stored_order, _ = read_label(entries[index]["label"])
    np.testing.assert_array_equal(predicted[0], in_stored_order)
    written = nib.load(tmp_path / f"{entry['subject']}.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), in_stored_order)
    np.testing.assert_array_equal(written.affine, nib.load(entry["image"][0]).affine)


@pytest.mark.parametrize(("spacing_mm", "least"), [(0.8, 0.95), (1.3, 0.8)])
def test_with_another_spacing_they_come_back_but_for_the_border(spacing_mm, least, entries, seer):
    predicted = segment(entries[0], seer, spacing_mm=spacing_mm)[0].numpy() > 0
    truth = read_label(entries[0]["label"])[0] > 0
    assert predicted.shape == truth.shape
    assert 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()) > least


@pytest.mark.parametrize("threshold", [3.2, 3.8])
def test_borders_lie_between_the_networks_voxels(threshold, entries):
    """The logits go back, not the labels: a ramp that crosses 0 between two voxels stays one."""
    preset = k19(spacing_mm=3.0)
    subject = preset({k: v for k, v in entries[1].items() if k != "label"})
    x = torch.arange(subject["image"].shape[1], dtype=torch.float32) - threshold
    logits = torch.zeros(3, *subject["image"].shape[1:])
    logits[1] = x[:, None, None]
    logits[2] = -100
    subject["pred"] = MetaTensor(logits)
    predicted = to_original_grid(preset, LABEL_VALUES, output_dir=None)(subject)["pred"][0]
    stored = nib.load(entries[1]["image"][0])
    to_network = np.linalg.inv(subject["image"].affine.numpy()) @ stored.affine
    inside = np.argwhere(stored.get_fdata() != 0)
    index = (inside @ to_network[:3, :3].T + to_network[:3, 3])[:, 0]
    np.testing.assert_array_equal(predicted.numpy()[tuple(inside.T)], index > threshold)


def test_what_a_smaller_size_cut_off_is_background(entries, seer):
    predicted = segment(entries[0], seer, size=(8, 8, 8))[0].numpy()
    truth = read_label(entries[0]["label"])[0]
    assert predicted.shape == truth.shape
    assert 0 < (predicted > 0).sum() < (truth > 0).sum()
    np.testing.assert_array_equal(predicted[predicted > 0], truth[predicted > 0])


def test_nothing_is_written_without_a_folder(entries, seer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    segment(entries[0], seer)
    assert list(tmp_path.iterdir()) == []


def test_saving_passes_the_data_on_and_names_the_file_by_the_subject(entries, tmp_path):
    path = Path(entries[0]["image"][0])
    image = MetaTensor(torch.zeros(1, 18, 20, 16), meta={"filename_or_obj": str(path)})
    data = {"image": image, "pred": torch.ones(1, 18, 20, 16), "subject": "sub-x"}
    assert SaveSegmentationd("pred", tmp_path / "out")(data) is data
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["sub-x.nii.gz"]
    assert nib.load(tmp_path / "out" / "sub-x.nii.gz").get_fdata().all()


def test_the_spacing_is_that_of_the_affine_whatever_the_header_says_beside_it():
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.diag([-1, 2, 3, 1]))
    image.header["pixdim"][1:4] = 7
    assert spacing_of(image) == (1.0, 2.0, 3.0)
