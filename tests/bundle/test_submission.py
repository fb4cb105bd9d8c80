import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from monai_transfer.bundle import write_submission
from monai_transfer.data import manifest_path
from monai_transfer.errors import InputError

SHAPE = (5, 4, 3)
AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])
SUBJECTS = ("Brats18_A_1", "Brats18_B_1")


def label_map(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([0, 1, 2, 4], SHAPE).astype(np.uint8)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)


@pytest.fixture
def submit(tmp_path: Path) -> Callable[[], Path]:
    """Two unlabelled subjects, a segmentation of each, and a portal for their small grid."""
    for seed, subject in enumerate(SUBJECTS):
        for token in ("t1", "t1ce", "t2", "flair"):
            save(tmp_path / f"scans/{subject}/{subject}_{token}.nii.gz", label_map() * 9)
        save(tmp_path / f"out/{subject}.nii.gz", label_map(seed))
    described = json.loads(manifest_path("brats2018_validation").read_text())
    described["submission"]["shape"] = list(SHAPE)
    (tmp_path / "portal.json").write_text(json.dumps(described))

    def submit() -> Path:
        write_submission(
            tmp_path / "out",
            tmp_path / "ours.zip",
            manifest=tmp_path / "portal.json",
            dataset_dir=tmp_path / "scans",
        )
        return tmp_path / "ours.zip"

    return submit


def refused(submit: Callable[[], Path], folder: Path) -> list[str]:
    with pytest.raises(InputError) as error:
        submit()
    assert not list(folder.glob("*.zip"))
    return [line.strip() for line in str(error.value).splitlines()[1:]]


def test_the_archive_holds_the_portal_s_names_and_each_label_map_on_its_own_grid(
    submit: Callable[[], Path], tmp_path: Path
):
    # as another program may have written it: another type, a free text
    odd = nib.Nifti1Image(label_map(0).astype(np.float32), AFFINE)
    odd.header["descrip"] = b"Ada Lovelace"
    nib.save(odd, tmp_path / f"out/{SUBJECTS[0]}.nii.gz")
    with zipfile.ZipFile(submit()) as archive:
        assert archive.namelist() == [f"{subject}.nii.gz" for subject in SUBJECTS]
        archive.extractall(tmp_path / "unpacked")
    for seed, subject in enumerate(SUBJECTS):
        segmented = nib.load(tmp_path / f"unpacked/{subject}.nii.gz")
        image = nib.load(tmp_path / f"scans/{subject}/{subject}_t1.nii.gz")
        np.testing.assert_array_equal(np.asanyarray(segmented.dataobj), label_map(seed))
        assert segmented.get_data_dtype() == np.uint8
        np.testing.assert_array_equal(segmented.affine, image.affine)
        assert segmented.header["descrip"].item() == b""


def test_the_same_segmentations_give_the_same_archive(submit: Callable[[], Path]):
    first = submit().read_bytes()
    assert submit().read_bytes() == first


def test_the_real_portal_takes_the_labels_and_the_grid_of_brats_2018():
    for name in ("brats2018", "brats2018_validation"):
        described = json.loads(manifest_path(name).read_text())
        assert described["submission"] == {"file": "{subject}.nii.gz", "shape": [240, 240, 155]}
        assert list(described["labels"]) == ["0", "1", "2", "4"]


@pytest.mark.parametrize(
    ("voxels", "affine", "line"),
    [
        (np.full(SHAPE, 3, np.uint8), AFFINE, "G502 error: Brats18_B_1: "),
        (np.full(SHAPE, 0.5, np.float32), AFFINE, "G501 error: Brats18_B_1: "),
        (np.zeros((5, 4, 2), np.uint8), AFFINE, "G303 error: Brats18_B_1: "),
        (np.zeros(SHAPE, np.uint8), np.eye(4), "G304 error: Brats18_B_1: "),
        (np.full(SHAPE, np.nan, np.float32), AFFINE, "G401 error: Brats18_B_1: "),
    ],
)
def test_a_segmentation_that_the_portal_would_misread_is_named_and_nothing_is_written(
    submit: Callable[[], Path], tmp_path: Path, voxels: np.ndarray, affine: np.ndarray, line: str
):
    save(tmp_path / f"out/{SUBJECTS[1]}.nii.gz", voxels, affine)
    (got,) = refused(submit, tmp_path)
    assert got.startswith(line)
    assert f" {SUBJECTS[1]}.nii.gz must" in got


def test_images_that_are_not_as_the_challenge_gave_them_are_refused(
    submit: Callable[[], Path], tmp_path: Path
):
    """A segmentation on the grid of a cropped image fits its image, and not the portal."""
    for path in (tmp_path / "scans" / SUBJECTS[0]).iterdir():
        save(path, label_map()[..., :2])
    save(tmp_path / f"out/{SUBJECTS[0]}.nii.gz", np.ones((5, 4, 2), np.uint8))
    (line,) = refused(submit, tmp_path)
    assert line.startswith("G303 error: Brats18_A_1: Brats18_A_1.nii.gz must have the shape")
    assert "5x4x2 where the portal has 5x4x3" in line


def test_missing_and_foreign_segmentations_are_all_named(
    submit: Callable[[], Path], tmp_path: Path
):
    (tmp_path / f"out/{SUBJECTS[0]}.nii.gz").rename(tmp_path / "out/Brats18_X_1.nii.gz")
    (tmp_path / f"out/{SUBJECTS[1]}.nii.gz").write_bytes(b"\x1f\x8b")
    lines = refused(submit, tmp_path)
    assert len(lines) == 3
    assert lines[0] == "Brats18_A_1: must be segmented, no file Brats18_A_1.nii.gz"
    assert lines[1] == "Brats18_X_1.nii.gz: must belong to a subject of the data set. Take it out."
    assert lines[2].startswith("G203 error: Brats18_B_1: ")


def test_an_archive_that_is_there_stays_when_the_next_is_refused(
    submit: Callable[[], Path], tmp_path: Path
):
    before = submit().read_bytes()
    (tmp_path / f"out/{SUBJECTS[0]}.nii.gz").unlink()
    with pytest.raises(InputError, match="must be segmented"):
        submit()
    assert (tmp_path / "ours.zip").read_bytes() == before


@pytest.mark.parametrize(
    ("manifest", "output", "message"),
    [
        ("openms2017", "a.zip", "openms2017: key submission must be there, got none"),
        ("brats2018_validation", "a.tar", "output must end in .zip, got a.tar"),
    ],
)
def test_a_data_set_without_a_portal_and_another_format_are_refused(
    tmp_path: Path, manifest: str, output: str, message: str
):
    path = manifest_path(manifest)
    with pytest.raises(InputError, match=message):
        write_submission(tmp_path, tmp_path / output, manifest=path, dataset_dir=tmp_path)
