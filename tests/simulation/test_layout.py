"""Files: names, headers and bytes."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer._metaimage import load_image
from monai_transfer.simulation.body import DISEASES, GRIDS, SERIES
from monai_transfer.simulation.layout import subject_files, write_subject
from monai_transfer.simulation.subject import Subject, simulate_subject


@pytest.fixture(scope="module", params=DISEASES)
def subject(request: pytest.FixtureRequest) -> Subject:
    return simulate_subject(request.param, 1, spacing_mm=8.0)


def test_names_are_those_of_the_real_sets() -> None:
    assert {k: v.as_posix() for k, v in subject_files("brats", 0).items()} == {
        "t1": "Brats18_SIM_0001_1_t1.nii.gz",
        "t1c": "Brats18_SIM_0001_1_t1ce.nii.gz",
        "t2": "Brats18_SIM_0001_1_t2.nii.gz",
        "flair": "Brats18_SIM_0001_1_flair.nii.gz",
        "label": "Brats18_SIM_0001_1_seg.nii.gz",
    }
    name = "VSD.Brain.XX.O.MR_T1c.54514"
    assert subject_files("brats2015", 0)["t1c"].as_posix() == f"{name}/{name}.mha"
    assert {k: v.as_posix() for k, v in subject_files("ms", 11).items()} == {
        "t1": "anat/sub-ms0012_space-MNI_T1w.nii.gz",
        "t1c": "anat/sub-ms0012_space-MNI_ce-gadolinium_T1w.nii.gz",
        "t2": "anat/sub-ms0012_space-MNI_T2w.nii.gz",
        "flair": "anat/sub-ms0012_space-MNI_FLAIR.nii.gz",
        "label": "anat/sub-ms0012_space-MNI_label-lesion_mask.nii.gz",
    }
    assert {k: v.as_posix() for k, v in subject_files("wmh", 0, "followup").items()} == {
        "t1": "ses-followup/anat/sub-wmh0001_ses-followup_space-FLAIR_T1w.nii.gz",
        "flair": "ses-followup/anat/sub-wmh0001_ses-followup_FLAIR.nii.gz",
        "label": "ses-followup/anat/sub-wmh0001_ses-followup_space-FLAIR_label-WMH_mask.nii.gz",
    }
    assert {k: v.as_posix() for k, v in subject_files("tissue", 0).items()} == {
        "t1": "anat/sub-tissue0001_space-MNI_T1w.nii.gz",
        "label": "anat/sub-tissue0001_space-MNI_desc-tissue_dseg.nii.gz",
        "structures": "anat/sub-tissue0001_space-MNI_desc-structures_dseg.nii.gz",
    }
    assert {k: v.as_posix() for k, v in subject_files("natural", 0).items()} == {
        "t1": "pictures/sub-natural0001_grey.nii.gz",
        "label": "pictures/sub-natural0001_desc-objects_dseg.nii.gz",
    }


def test_files_read_back_in_ras_are_the_subject(subject: Subject, tmp_path: Path) -> None:
    write_subject(subject, tmp_path)
    names = list(SERIES[subject.disease])
    files = subject_files(subject.disease, subject.index, subject.session)
    assert list(files) == [*names, "label", *subject.others]
    for content, path in files.items():
        image = load_image(tmp_path / path)
        canonical = nib.as_closest_canonical(image)
        labels = {"label": subject.label, **subject.others}
        expected = labels[content] if content in labels else subject.image[names.index(content)]
        np.testing.assert_array_equal(np.asarray(canonical.dataobj), expected)
        np.testing.assert_allclose(canonical.affine, subject.grid.affine, atol=1e-5)


def test_headers_say_simulated_and_where(subject: Subject, tmp_path: Path) -> None:
    write_subject(subject, tmp_path)
    lps = ("L", "P", "S")
    axes = {"brats": lps, "brats2015": lps, "natural": ("R", "A", "S")}.get(
        subject.disease, ("L", "A", "S")
    )
    for path in subject_files(subject.disease, subject.index, subject.session).values():
        image = load_image(tmp_path / path)
        header = image.header
        said = image.extra.get("texts", {}).get("Comment", header["descrip"].item().decode())
        assert "simulated" in said
        assert header.get_data_dtype() == np.int16
        assert header.get_xyzt_units()[0] == "mm"
        (qform, qcode), (sform, scode) = header.get_qform(coded=True), header.get_sform(coded=True)
        assert qcode > 0
        assert scode > 0
        np.testing.assert_allclose(qform, sform, atol=1e-4)
        assert nib.aff2axcodes(sform) == axes


@pytest.mark.parametrize(
    ("disease", "shape", "affine"),
    [
        (
            "brats",
            (240, 240, 155),
            [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]],
        ),
        (
            "ms",
            (182, 218, 182),
            [[-1, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]],
        ),
    ],
)
def test_at_one_millimetre_the_grid_is_that_of_the_real_set(
    disease: str, shape: tuple[int, int, int], affine: list[list[int]], tmp_path: Path
) -> None:
    assert GRIDS[disease].shape == shape
    empty = Subject(
        disease,
        0,
        None,
        np.zeros((4, *shape), np.int16),
        np.zeros(shape, np.uint8),
        GRIDS[disease],
        simulate_subject(disease, 0, spacing_mm=10.0).scanner,
    )
    write_subject(empty, tmp_path)
    stored = nib.load(tmp_path / subject_files(disease, 0)["label"])
    np.testing.assert_array_equal(stored.affine, affine)
