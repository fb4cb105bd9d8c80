import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from monai_transfer.cli import app
from monai_transfer.imaging import Image, read_image, write_image
from monai_transfer.imaging.registration import Grid, from_ras, read_transform, resample
from monai_transfer.simulation import simulate_subject

POSE = np.array([[0.995, -0.0998, 0, 6], [0.0998, 0.995, 0, -8], [0, 0, 1, 5], [0, 0, 0, 1]])
SLICES = Grid((96, 104, 40), POSE @ np.array(
    [[-2, 0, 0, 96], [0, -2, 0, 80], [0, 0, 4, -68], [0, 0, 0, 1.0]]
))  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FLAIR, and the T1 with a label map in another pose."""
    folder = tmp_path_factory.mktemp("scans")
    subject = simulate_subject("ms", 1, spacing_mm=2.0, protocol="3T-volume")
    t1, _, _, flair = (Image(image, subject.grid.affine) for image in subject.image)
    back = from_ras(POSE).inverse()
    write_image(flair, folder / "flair.nii.gz")
    write_image(resample(t1, SLICES, transform=back), folder / "t1.nii.gz")
    brain = t1.with_voxels((t1.voxels > 0).astype(np.uint8) * 3)
    moved = resample(brain, SLICES, transform=back, interpolation="nearest")
    write_image(moved, folder / "label.nii.gz")
    return folder


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["register", *words])
    return done.exit_code, done.output


def test_an_image_and_its_label_come_onto_the_fixed_grid(folder: Path, tmp_path: Path):
    fixed, moving, label = (str(folder / f"{name}.nii.gz") for name in ("flair", "t1", "label"))
    moved, transform, labels = tmp_path / "m.nii.gz", tmp_path / "t.txt", tmp_path / "l.nii.gz"
    options = ["--output", str(moved), "--transform", str(transform), "--kind", "rigid"]
    status, said = run(fixed, moving, *options, "--label", label, "--label-output", str(labels))
    assert status == 0, said
    flair = read_image(fixed)
    assert read_image(moved).shape == flair.shape
    found = read_transform(transform)
    points = np.random.default_rng(0).uniform(-50, 50, (50, 3))
    away_mm = np.linalg.norm(found.points(points) - from_ras(POSE).points(points), axis=1)
    assert away_mm.max() < 1
    brain, put = flair.voxels > 0, read_image(labels).voxels
    assert np.unique(put).tolist() == [0, 3]
    assert 2 * (brain & (put == 3)).sum() / (brain.sum() + (put == 3).sum()) > 0.95
    far_mm, before, after = numbers(said)
    centre_mm = np.argwhere(brain) @ flair.affine[:3, :3].T + flair.affine[:3, 3]
    truth_mm = np.linalg.norm(centre_mm @ (POSE[:3, :3].T - np.eye(3)) + POSE[:3, 3], axis=1)
    assert far_mm == pytest.approx(truth_mm.mean(), abs=0.5)
    assert 1 < before < after - 0.02


def numbers(said: str) -> tuple[float, ...]:
    """How far, and the score before and after."""
    told = (
        r"moved by ([\d.]+) mm on average in the brain; "
        r"normalised mutual information ([\d.]+) before, ([\d.]+) after \(1: nothing in common\)"
    )
    return tuple(map(float, re.search(told, said).groups()))


def test_an_image_that_is_there_already_is_not_moved(folder: Path, tmp_path: Path):
    image = str(folder / "flair.nii.gz")
    options = ["--output", str(tmp_path / "m.nii.gz"), "--kind", "rigid"]
    status, said = run(image, image, *options)
    assert status == 0, said
    far_mm, before, after = numbers(said)
    assert far_mm < 0.1
    assert before == 2
    assert after > 1.9


def test_a_whole_head_beside_the_template_is_told(tmp_path: Path):
    head = np.random.default_rng(0).uniform(1, 2, (48, 56, 48)).astype(np.float32)
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = -96, -120, -80
    write_image(Image(head, affine), tmp_path / "head.nii.gz")
    _, said = run("mni152", str(tmp_path / "head.nii.gz"), "--output", str(tmp_path / "moved.nii"))
    assert "does not look skull-stripped" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--kind", "bspline"], "kind must be one of affine, rigid, got bspline"),
        (["--method", "ants"], "--method must be one of elastix, ours, got ants"),
        (["--label", "x.nii"], "--label and --label-output must be given together"),
        (["--transform", "t.mat"], "t.mat: name must end in .tfm or .txt"),
        (["--mask", "gone.nii"], "gone.nii: file must exist"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    folder: Path, tmp_path: Path, options: list[str], message: str
):
    output = tmp_path / "out.nii.gz"
    images = [str(folder / "flair.nii.gz"), str(folder / "t1.nii.gz")]
    status, said = run(*images, "--output", str(output), *options)
    assert status == 1
    assert message in said
    assert not output.exists()
