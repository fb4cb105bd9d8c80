import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser

from monai_transfer._metaimage import load_image
from monai_transfer.data import find_subjects
from monai_transfer.networks import PathologyUNet

CODES = ("sform_code", "qform_code")


@pytest.fixture
def infer(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    """Segments a folder of subjects into ``out``."""

    def infer(name: str, folder: Path, **options: Any) -> str:
        given = {**room.images(name, folder), "amp": False, "output_dir": "out", **options}
        return run(room.bundle(name) / "inference.json", **given)

    return infer


def copied(name: str, room: Any, *, labels: bool) -> Path:
    """The first two subjects of a cohort, without their labels if so asked."""
    source, described = room.cohort(name), room.about(name).described
    for subject in find_subjects(described, source)[:2]:
        for path in (*subject.images, *([str(subject.label)] * labels)):
            Path("scans", path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, Path("scans", path))
    return Path("scans")


def regridded(folder: Path, save: Callable[..., None]) -> None:
    """Store every image with two slices for each, and y the other way round: not RAS+, 6×6×3 mm."""
    for path in (*folder.rglob("*.nii.gz"), *folder.rglob("*.mha")):
        image = load_image(path)
        voxels = np.repeat(np.asanyarray(image.dataobj), 2, axis=2)[:, ::-1]
        affine = image.affine @ np.diag([1, -1, 0.5, 1])
        affine[:3, 3] += image.affine[:3, 1] * (voxels.shape[1] - 1)
        save(voxels, affine, path)


@pytest.mark.usefixtures("segmenting")
def test_an_unlabelled_folder_becomes_label_maps_on_the_original_grids(
    name: str, about: Any, infer: Callable[..., str], room: Any, save: Callable[..., None]
):
    folder = copied(name, room, labels=False)
    regridded(folder, save)
    said = infer(name, folder)
    assert f"Inference: 2 subjects at {about.grid} with " in said
    assert "Everything is in out: " in said
    subjects = find_subjects(about.described.images_alone(), folder)
    names = [f"{s.subject}.nii.gz" for s in subjects]
    assert {path.name for path in Path("out").iterdir()} == {*names, "run.json", "status.json"}
    record = json.loads(Path("out/run.json").read_text())
    assert record["outputs"] == names
    assert record["config"].get("spacing_mm") == about.options.get("spacing_mm")
    assert record["data"]["name"] == about.manifest
    assert record["transfer"]["source_sha256"]
    for subject in subjects:
        result, image = (
            nib.load(f"out/{subject.subject}.nii.gz"),
            load_image(folder / subject.images[0]),
        )
        assert result.shape == image.shape
        np.testing.assert_array_equal(result.affine, image.affine)
        assert [result.header[c] for c in CODES] == [image.header[c] for c in CODES]
        assert set(np.unique(result.dataobj)) <= about.values
        assert result.get_data_dtype() == np.uint8


def test_the_result_does_not_depend_on_the_window_beyond_a_few_voxels(
    infer: Callable[..., str], room: Any
):
    folder = copied("brats_ft", room, labels=True)
    infer("brats_ft", folder)
    infer("brats_ft", folder, window_size=[24, 24, 24], output_dir="cut")
    for path in Path("out").glob("*.nii.gz"):
        whole, cut = (np.asanyarray(nib.load(p).dataobj) for p in (path, Path("cut", path.name)))
        assert (whole == cut).mean() > 0.9


def test_without_a_folder_the_simulated_test_subjects_are_segmented(
    name: str, about: Any, infer: Callable[..., str], room: Any, monkeypatch: pytest.MonkeyPatch
):
    described = about.described
    if described.split.told is None:  # a tenth of five would be none
        described = replace(described, split=replace(described.split, test=0.2))
    monkeypatch.setattr(
        "monai_transfer.bundle.opening.simulated_default",
        lambda *_, **__: (described, room.cohort(name)),
    )
    infer(name, room.cohort(name), dataset_dir="$None")
    kind = "*.nii.gz" if about.segments or about.restores else "*.csv"
    assert len(list(Path("out").glob(kind))) == 1  # a fifth of five, or as a table tells


def test_a_broken_image_is_refused_before_any_is_segmented(
    infer: Callable[..., str], room: Any, refusal: Callable[..., str]
):
    folder = copied("ms_source", room, labels=False)
    broken = sorted(folder.rglob("*T2w.nii.gz"))[1]
    image = nib.load(broken)
    voxels = image.get_fdata(dtype=np.float32)
    voxels[3, 3, 3] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), broken)
    with pytest.raises(RuntimeError) as caught:
        infer("ms_source", folder)
    assert broken.name in refusal(caught.value)
    assert not Path("out").exists()


def test_a_network_for_flair_alone_segments_subjects_that_lack_another_sequence(
    infer: Callable[..., str], room: Any, refusal: Callable[..., str]
):
    folder = copied("ms_source", room, labels=False)
    Path("trained").mkdir()
    torch.save(PathologyUNet(1, 2).state_dict(), "trained/model.pt")
    Path("trained/run.json").write_text(json.dumps({"config": {"modalities": ["flair"]}}))
    alone = {"modalities": ["flair"], "weights": "trained/model.pt"}
    infer("ms_source", folder, output_dir="complete", **alone)
    first = sorted(folder.rglob("*T1w.nii.gz"))[0]
    first.unlink()
    assert "Some subjects lack t1, which is not needed" in infer("ms_source", folder, **alone)
    names = [path.name for path in Path("complete").glob("*.nii.gz")]
    assert len(names) == 2
    for name in names:
        ours, theirs = (nib.load(Path(run, name)).get_fdata() for run in ("out", "complete"))
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(RuntimeError) as caught:
        infer("ms_source", folder, output_dir="all")
    assert f"t1 is missing, no file {first.relative_to(folder).as_posix()}" in refusal(caught.value)


def test_a_folder_with_finished_segmentations_is_refused(
    infer: Callable[..., str], room: Any, refusal: Callable[..., str]
):
    folder = copied("ms_source", room, labels=False)
    infer("ms_source", folder)
    before = {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    with pytest.raises(RuntimeError) as caught:
        infer("ms_source", folder)
    assert "hold no run that is done. Choose another --output_dir." in refusal(caught.value)
    assert {path.name: path.stat().st_mtime_ns for path in Path("out").iterdir()} == before


@pytest.mark.parametrize("name", ["ms_source", "wmh_ft"])
def test_weights_of_a_training_are_taken(
    name: str, infer: Callable[..., str], run: Callable[..., str], room: Any
):
    """Another head, other results: the default weights are not silently used."""
    folder = copied(name, room, labels=True)
    infer(name, folder)
    other = room.training(name) | {"cases": 1, "learning_rate": 0.5}
    run(room.bundle(name) / "train.json", output_dir="trained", **other)
    infer(name, folder, weights="trained/model.pt", output_dir="second")
    first, second = (
        np.concatenate([nib.load(p).get_fdata().ravel() for p in sorted(Path(d).glob("*.nii.gz"))])
        for d in ("out", "second")
    )
    assert (first != second).any()


def test_an_unlabelled_folder_becomes_tables_of_what_each_slice_shows(
    infer: Callable[..., str], room: Any
):
    name, folder = "structures_source", copied("structures_source", room, labels=False)
    said = infer(name, folder)
    assert "Inference: 2 subjects at 2 mm with " in said
    subjects = find_subjects(room.about(name).described.images_alone(), folder)
    names = [f"{s.subject}.csv" for s in subjects]
    assert {path.name for path in Path("out").iterdir()} == {*names, "run.json", "status.json"}
    assert json.loads(Path("out/run.json").read_text())["outputs"] == names
    for subject in subjects:
        table = pd.read_csv(Path("out", f"{subject.subject}.csv"))
        assert list(table) == ["slice", "z_mm", *room.about(name).regions]
        assert table["slice"].is_monotonic_increasing
        np.testing.assert_allclose(table["z_mm"], 2 * table["slice"] - 71.5)  # the template's grid
        assert table.iloc[:, 2:].min().min() >= 0
        assert table.iloc[:, 2:].max().max() <= 1
        image = nib.load(folder / subject.images[0])
        brain = np.flatnonzero(np.asanyarray(image.dataobj).any((0, 1)))
        places_mm = image.affine[2, 2] * brain + image.affine[2, 3]
        assert abs(table["z_mm"].min() - places_mm.min()) <= 6  # no more than its voxels


def test_an_unlabelled_folder_becomes_restored_images_on_the_original_grids(
    infer: Callable[..., str], room: Any, save: Callable[..., None]
):
    name, folder = "autoencoder_source", copied("autoencoder_source", room, labels=False)
    regridded(folder, save)
    infer(name, folder)
    subjects = find_subjects(room.about(name).described.images_alone(), folder)
    names = [f"{s.subject}.nii.gz" for s in subjects]
    assert {path.name for path in Path("out").iterdir()} == {*names, "run.json", "status.json"}
    assert json.loads(Path("out/run.json").read_text())["outputs"] == names
    for subject in subjects:
        result = nib.load(f"out/{subject.subject}.nii.gz")
        image = nib.load(folder / subject.images[0])
        assert result.shape == image.shape
        np.testing.assert_array_equal(result.affine, image.affine)
        assert [result.header[c] for c in CODES] == [image.header[c] for c in CODES]
        assert result.get_data_dtype() == np.float32
        voxels, brain = result.get_fdata(), image.get_fdata() != 0
        assert len(np.unique(voxels[brain])) > 100
        assert (voxels[:, :, ~brain.any((0, 1))] == 0).mean() > 0.5  # but next to the brain


@pytest.mark.usefixtures("segmenting")
def test_what_monai_label_takes_from_the_config_segments_one_4d_image(
    name: str, about: Any, room: Any
):
    """As its BundleInferTask does: a bare parser, ``bundle_root`` set, no saving of ours."""
    subject = find_subjects(about.described, room.cohort(name))[0]
    chosen = dict(zip(about.described.modalities, subject.images, strict=True))
    images = [load_image(room.cohort(name) / chosen[channel]) for channel in about.modalities]
    stacked = np.stack([np.asanyarray(image.dataobj) for image in images], axis=-1)
    nib.save(nib.Nifti1Image(stacked, images[0].affine), "four.nii.gz")
    parser = ConfigParser()
    parser.read_config(str(room.bundle(name) / "configs" / "inference.json"))
    parser.config.update({"bundle_root": "anywhere", "device": "cpu", **about.options})
    data = parser.get_parsed_content("preprocessing")({"image": "four.nii.gz"})
    network = parser.get_parsed_content("network_def").eval()
    with torch.no_grad():
        data["pred"] = parser.get_parsed_content("inferer")(data["image"][None], network)[0]
    result = parser.get_parsed_content("postprocessing")(data)
    assert result["pred"].shape == (1, *images[0].shape)
    assert set(torch.unique(result["pred"]).tolist()) <= about.values
    assert {path.name for path in Path().iterdir()} == {"four.nii.gz"}
