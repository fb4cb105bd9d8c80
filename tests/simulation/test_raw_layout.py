"""Raw subjects on disk, read as a stranger would."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.data import find_subjects, manifest_path, read_manifest
from monai_transfer.errors import InputError
from monai_transfer.imaging.files import read_image
from monai_transfer.imaging.registration import LinearRegistration, read_transform
from monai_transfer.simulation import simulate_cohort, simulate_raw, simulate_subject
from monai_transfer.simulation.raw_layout import is_complete_raw, raw_folder, write_raw

SPACING_MM = 4.0


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    return simulate_cohort(
        "ms", folder, subjects=2, spacing_mm=SPACING_MM, raw=True, progress=False
    )


def images_of(folder: Path, pattern: str) -> dict[str, Path]:
    return {path.name.removeprefix("sub-ms0001_"): path for path in folder.glob(pattern)}


@pytest.mark.parametrize("disease", ["ms", "brats"])
def test_the_manifest_of_raw_subjects_finds_them(tmp_path: Path, disease: str):
    simulate_cohort(disease, tmp_path, subjects=2, spacing_mm=8.0, raw=True, progress=False)
    manifest = read_manifest(manifest_path(f"simulated_{disease}_raw"))
    found = find_subjects(manifest, tmp_path)
    assert [subject.subject for subject in found] == [f"sub-{disease}0001", f"sub-{disease}0002"]
    assert [subject.group for subject in found] == (
        ["HGG", "LGG"] if disease == "brats" else [None, None]
    )
    for subject in found:
        flair = nib.load(tmp_path / subject.images[3])
        label = nib.load(tmp_path / str(subject.label))
        np.testing.assert_array_equal(label.affine, flair.affine)
        assert label.shape == flair.shape
        assert set(np.unique(label.dataobj)) <= set(manifest.labels)


def test_the_files_hold_what_was_simulated(cohort: Path):
    series = simulate_raw("ms", 0, spacing_mm=SPACING_MM)
    folder = cohort / "sub-ms0001"
    for name, stem in (("t1", "T1w"), ("t1c", "ce-gadolinium_T1w"), ("flair", "FLAIR")):
        image = read_image(folder / f"anat/sub-ms0001_{stem}.nii.gz")
        np.testing.assert_array_equal(image.voxels, series[name].voxels)
        np.testing.assert_allclose(image.affine, series[name].affine, atol=1e-4)
    brain = read_image(folder / "truth/sub-ms0001_space-T1wGd_desc-brain_mask.nii.gz")
    np.testing.assert_array_equal(brain.voxels > 0, series["t1c"].brain)
    assert b"simulated" in nib.load(folder / "anat/sub-ms0001_T2w.nii.gz").header["descrip"].item()


def test_the_true_transform_is_what_registration_looks_for(cohort: Path):
    folder = cohort / "sub-ms0001"
    flair, t1, brain = (
        read_image(folder / f"{name}.nii.gz")
        for name in (
            "anat/sub-ms0001_FLAIR",
            "anat/sub-ms0001_T1w",
            "truth/sub-ms0001_space-FLAIR_desc-brain_mask",
        )
    )
    truth = read_transform(folder / "truth/sub-ms0001_from-T1w_to-FLAIR_mode-image_xfm.txt")
    found = LinearRegistration("rigid")(flair, t1)
    points = np.argwhere(brain.voxels) @ flair.affine[:3, :3].T + flair.affine[:3, 3]
    lps = points * (-1, -1, 1)
    assert np.linalg.norm(found.points(lps) - truth.points(lps), axis=1).mean() < 1.0


def test_the_pose_takes_the_prepared_brain_to_the_scan(cohort: Path):
    folder = cohort / "sub-ms0001/truth"
    pose = read_transform(folder / "sub-ms0001_from-FLAIR_to-body_mode-image_xfm.txt")
    prepared = simulate_subject("ms", 0, spacing_mm=SPACING_MM)
    inside = np.argwhere(prepared.image[3] > 0)
    body = inside @ prepared.grid.affine[:3, :3].T + prepared.grid.affine[:3, 3]
    scanned = pose.points(body * (-1, -1, 1)) * (-1, -1, 1)
    mask = read_image(folder / "sub-ms0001_space-FLAIR_desc-brain_mask.nii.gz")
    there = np.argwhere(mask.voxels) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    assert np.linalg.norm(scanned.mean(axis=0) - there.mean(axis=0)) < 4.0


@pytest.mark.parametrize(
    "file",
    [
        "anat/sub-ms0001_T2w.nii.gz",
        "truth/sub-ms0001_space-T2w_desc-brain_mask.nii.gz",
        "truth/sub-ms0001_from-T2w_to-FLAIR_mode-image_xfm.txt",
    ],
)
def test_a_subject_without_one_of_its_files_whole_is_not_complete(tmp_path: Path, file: str):
    write_raw(simulate_raw("ms", 0, spacing_mm=8.0), tmp_path, disease="ms", index=0)
    assert is_complete_raw(tmp_path, "ms", 0)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    assert not is_complete_raw(tmp_path, "ms", 0)


def test_both_sessions_of_a_patient_must_be_whole(tmp_path: Path):
    made = simulate_cohort("wmh", tmp_path, subjects=1, spacing_mm=8.0, raw=True, progress=False)
    patient = made / raw_folder("wmh", 0)
    assert is_complete_raw(patient, "wmh", 0)
    label = nib.load(patient / "ses-followup/anat/sub-wmh0001_ses-followup_space-FLAIR_dseg.nii.gz")
    flair = nib.load(patient / "ses-followup/anat/sub-wmh0001_ses-followup_FLAIR.nii.gz")
    np.testing.assert_array_equal(label.affine, flair.affine)
    truth = patient / "ses-followup/truth"
    (truth / "sub-wmh0001_ses-followup_from-T1w_to-FLAIR_mode-image_xfm.txt").unlink()
    assert not is_complete_raw(patient, "wmh", 0)


def test_raw_and_prepared_folders_never_mix(tmp_path: Path, cohort: Path):
    with pytest.raises(InputError, match="raw must be False as asked for, got True"):
        simulate_cohort("ms", cohort, subjects=2, spacing_mm=SPACING_MM, progress=False)
    assert (cohort / raw_folder("ms", 1)).is_dir()
