"""The data sets around Kaur 2019, from their folders to what leaves the house."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from monai_transfer._metaimage import load_image
from monai_transfer.bundle import write_submission
from monai_transfer.data import manifest_path


def test_brats_2015_trains_scores_and_predicts_where_its_files_are(
    room: Any, run: Callable[..., str]
):
    """MetaImages in folders, the core in two labels."""
    brats2015 = room.cohort("segan_source")
    tiny = room.training("brats_ft")
    del tiny["datalist"]
    described = json.loads(manifest_path("brats2015").read_text()) | {"counts": None}
    described["split"] |= {"validation": 1, "test": 1}
    Path("five.json").write_text(json.dumps(described))
    given = {
        "dataset_dir": str(brats2015),
        "manifest": "five.json",
        "label_values": [0, 1, 2, 3, 4],
        "label_names": {name: text for name, text in described["labels"].items() if name != "0"},
        "regions": {"enhancing": [4], "core": [1, 3, 4], "whole": [1, 2, 3, 4]},
    }
    train = room.bundle("brats_ft") / "train.json"
    run(train, output_dir="out", **(tiny | given))
    (prediction,) = Path("out/predictions").iterdir()
    assert prediction.name.startswith("brats_sim_pat00")
    image = nib.load(prediction)
    whole = load_image(next(brats2015.rglob("*.MR_T1.*.mha")))
    np.testing.assert_allclose(image.affine, whole.affine, atol=1e-4)
    assert image.shape == whole.shape
    assert "enhancing" in Path("out/metrics.csv").read_text()


def test_what_inference_writes_is_what_the_portal_takes(
    room: Any, run: Callable[..., str], tmp_path: Path
):
    folder = room.cohort("brats_ft")
    given = {"dataset_dir": str(folder), "manifest": "simulated_brats", "spacing_mm": 6.0}
    inference = room.bundle("brats_ft") / "inference.json"
    run(inference, amp=False, output_dir="predictions", **given)
    described = json.loads(manifest_path("simulated_brats").read_text())
    shape = nib.load(next(folder.rglob("*_t1.nii.gz"))).shape
    described["submission"] = {"file": "{subject}.nii.gz", "shape": list(shape)}
    Path("portal.json").write_text(json.dumps(described))
    names = write_submission(
        "predictions", tmp_path / "ours.zip", manifest="portal.json", dataset_dir=folder
    )
    with zipfile.ZipFile(tmp_path / "ours.zip") as archive:
        assert sorted(archive.namelist()) == sorted(names)
        archive.extractall("unpacked")
    for name in names:
        sent, written = nib.load(f"unpacked/{name}"), nib.load(f"predictions/{name}")
        np.testing.assert_array_equal(np.asanyarray(sent.dataobj), np.asanyarray(written.dataobj))
        np.testing.assert_array_equal(sent.affine, written.affine)
