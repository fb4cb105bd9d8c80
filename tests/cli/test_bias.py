from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from monai_transfer.cli import app
from monai_transfer.imaging import Image, read_image, write_image
from monai_transfer.imaging.bias_field import estimate_bias_field

AFFINE = np.array([[-0.9, 0, 0.1, 7], [0, 0, 1.1, -3], [0.1, 3.0, 0, 5], [0, 0, 0, 1]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A flair.nii.gz of 16-bit integers, its mask, one a voxel away, and one of another shape."""
    draw = np.random.default_rng(0)
    voxels = draw.integers(80, 120, (24, 12, 26)) * np.linspace(0.8, 1.2, 24)[:, None, None]
    mask = np.zeros(voxels.shape, bool)
    mask[3:-3, 1:-1, 3:-3] = True
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, 0]
    write_image(Image(np.rint(voxels).astype(np.uint16), AFFINE), tmp_path / "flair.nii.gz")
    write_image(Image(mask, AFFINE), tmp_path / "mask.nii.gz")
    write_image(Image(mask, moved), tmp_path / "moved.nii.gz")
    write_image(Image(mask[1:], AFFINE), tmp_path / "cut.nii.gz")
    return tmp_path


def run(folder: Path, *options: str) -> tuple[int, str, str]:
    words = ["bias", "flair.nii.gz", "--output", "out.nii.gz", *options]
    named = [str(folder / word) if word.endswith(".nii.gz") else word for word in words]
    done = CliRunner().invoke(app, named)
    return done.exit_code, done.stdout, done.stderr


def test_the_image_is_divided_by_the_field_that_is_written(folder: Path):
    status, told, _ = run(folder, "--mask", "mask.nii.gz", "--field", "field.nii.gz")
    assert status == 0
    image, mask, out, field = (
        read_image(folder / f"{name}.nii.gz") for name in ("flair", "mask", "out", "field")
    )
    expected = estimate_bias_field(image.voxels, mask.voxels, spacing_mm=image.spacing_mm.tolist())
    np.testing.assert_array_equal(field.voxels, expected)
    np.testing.assert_allclose(out.voxels, image.voxels / expected, rtol=1e-6)
    assert out.voxels.dtype == np.float32
    np.testing.assert_allclose(out.affine, AFFINE, atol=1e-6)
    np.testing.assert_allclose(field.affine, AFFINE, atol=1e-6)
    assert f"a field of {expected.min():.3f} to {expected.max():.3f}" in told


def test_without_a_mask_the_field_is_that_above_otsus_threshold(folder: Path):
    assert run(folder)[0] == 0
    image, out = (read_image(folder / f"{name}.nii.gz") for name in ("flair", "out"))
    spacing_mm = image.spacing_mm.tolist()
    expected = image.voxels / estimate_bias_field(image.voxels, spacing_mm=spacing_mm)
    np.testing.assert_allclose(out.voxels, expected, rtol=1e-6)
    assert not (folder / "field.nii.gz").exists()


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        ("moved.nii.gz", "moved.nii.gz: place must be the image's, got 0.91 mm off"),
        ("cut.nii.gz", "cut.nii.gz: shape must be the image's, (24, 12, 26), got (23, 12, 26)"),
    ],
)
def test_a_mask_elsewhere_is_refused(folder: Path, mask: str, told: str):
    status, _, error = run(folder, "--mask", mask)
    assert status == 1
    assert told in " ".join(error.split())
    assert not (folder / "out.nii.gz").exists()


def test_a_fault_names_the_image(folder: Path):
    write_image(Image(np.zeros((24, 12, 26), np.uint8), AFFINE), folder / "mask.nii.gz")
    status, _, error = run(folder, "--mask", "mask.nii.gz")
    assert status == 1
    assert error.startswith("error: flair.nii.gz: mask must hold a voxel above 0")
