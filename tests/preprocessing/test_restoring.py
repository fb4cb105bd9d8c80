"""A segmentation on the raw scan's grid again, and the verb ``restore``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from monai_transfer.cli import app
from monai_transfer.errors import InputError
from monai_transfer.imaging import Image, read_image, write_image
from monai_transfer.imaging.brain import GivenMask
from monai_transfer.imaging.registration import from_ras
from monai_transfer.preprocessing import Methods, Prepared, preprocess_subject, restore, store
from monai_transfer.preprocessing.derivatives import Names, space_of

TURN = np.array([[0.98, -0.199, 0, 4], [0.199, 0.98, 0, -9], [0, 0, 1, 6], [0, 0, 0, 1.0]])


@dataclass(frozen=True)
class Turned:
    """A registration that is not the identity: its direction can be told."""

    def __call__(self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None):
        del fixed, moving, fixed_mask
        return from_ras(TURN)


@pytest.fixture(scope="module")
def native(scans: Path) -> Mapping[str, Image]:
    """A subject's scans, and its brain mask."""
    files = {"t1": "T1w", "flair": "FLAIR", "brain": "brain"}
    return {m: read_image(scans / "sub-0" / f"sub-0_{token}.nii.gz") for m, token in files.items()}


@pytest.fixture(scope="module")
def in_memory(native: Mapping[str, Image], make_recipe) -> Prepared:
    images = {name: native[name] for name in ("t1", "flair")}
    methods = Methods(within=Turned(), brain=GivenMask(native["brain"]))
    return preprocess_subject(images, make_recipe(bias_field=False), methods=methods)


@pytest.fixture(scope="module")
def prepared(
    native: Mapping[str, Image],
    in_memory: Prepared,
    make_recipe,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The same subject's folder, as ``preprocess`` writes it."""
    folder = tmp_path_factory.mktemp("out") / "sub-0"
    recipe = make_recipe(bias_field=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "viewer", lambda prepared, plan: "<html></html>")
        patch.setattr(store, "pictures", lambda prepared, raw, plan: [])
        raw = {name: native[name] for name in ("t1", "flair")}
        made = store.Made("sub-0", recipe, methods={}, versions={}, inputs={})
        names = Names("sub-0", space_of(recipe.preparation))
        store.write_subject(in_memory, raw, folder, names=names, made=made, scale=None)
    return folder


def found_in(folder: Path) -> Image:
    """A segmentation of the prepared subject, with several labels."""
    brain = read_image(folder / "anat" / f"{folder.name}_space-FLAIR_desc-brain_mask.nii.gz")
    labels = brain.voxels.astype(np.uint8)
    labels[: labels.shape[0] // 3] *= 4
    return brain.with_voxels(labels)


@pytest.mark.parametrize("modality", ["t1", "flair", None])
def test_it_is_what_the_subject_in_memory_would_give(prepared, in_memory, modality):
    found = found_in(prepared)
    ours = restore(found, prepared, modality=modality)
    theirs = in_memory.to_native(found, modality=modality)
    assert set(np.unique(ours.voxels)) == {0, 1, 4}
    np.testing.assert_array_equal(ours.voxels, theirs.voxels)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5)


def test_what_lies_in_the_scan_at_a_point_comes_back_to_it(prepared: Path, native):
    at_mm = np.array([3.0, -20.0, 15.0])  # in the prepared space
    found = found_in(prepared)
    world = np.einsum("ij,...j->...i", found.affine[:3, :3], np.indices(found.shape).T)
    near = np.linalg.norm(world + found.affine[:3, 3] - at_mm, axis=-1).T < 20
    ball = restore(found.with_voxels(near.astype(np.uint8)), prepared, modality="t1")
    centre = ball.affine[:3, :3] @ np.argwhere(ball.voxels).mean(axis=0) + ball.affine[:3, 3]
    expected = TURN[:3, :3] @ at_mm + TURN[:3, 3]
    assert np.linalg.norm(centre - expected) < 2.0  # voxels of 6 mm
    assert ball.shape == native["t1"].shape


def test_a_folder_of_no_subject_and_an_unknown_modality_are_refused(prepared: Path):
    found = found_in(prepared)
    with pytest.raises(InputError, match=r"folder must be of one prepared subject.*got 0 of them"):
        restore(found, prepared.parent)
    with pytest.raises(InputError, match="sub-0: modality must be one of flair, t1, got t2"):
        restore(found, prepared, modality="t2")


def test_the_verb_writes_it(prepared: Path, tmp_path: Path):
    found, output = tmp_path / "found.nii.gz", tmp_path / "native.nii.gz"
    write_image(found_in(prepared), found)
    options = ["--prepared", prepared, "--output", output, "--modality", "t1"]
    done = CliRunner().invoke(app, [*map(str, ["restore", found, *options])])
    assert done.exit_code == 0, done.output
    expected = restore(read_image(found), prepared, modality="t1")
    np.testing.assert_array_equal(read_image(output).voxels, expected.voxels)
