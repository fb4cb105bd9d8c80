"""A bundle knows how its scans were prepared: others are noticed, and preprocess makes such."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser

from monai_transfer._metaimage import load_image
from monai_transfer.data import Subject, find_subjects, read_manifest
from monai_transfer.imaging import Image, Recipe, named_recipe, read_image, write_image
from monai_transfer.imaging.mni152 import CENTRE_MM
from monai_transfer.imaging.papers import gl20_recipe, z22_recipe
from monai_transfer.imaging.registration import IDENTITY, from_ras
from monai_transfer.preprocessing import Methods, Source, preprocess_cohort, restore, store
from monai_transfer.simulation import simulate_raw
from monai_transfer.transforms import k19

KAUR = ("brats_ft", "ms_source")
EXTRACTED = (*KAUR, "segan_ft", "segan_source", "wmh_ft", "wmh_source")
"""Those that want the brain alone; the others take whole heads too."""
ROOT = Path(__file__).resolve().parents[2]


def carried(name: str) -> Recipe:
    metadata = json.loads((ROOT / "bundles" / name / "configs" / "metadata.json").read_text())
    return Recipe.from_dict(metadata["preprocessing"])


def test_the_recipe_that_a_bundle_carries_is_what_it_does(name: str, about: Any):
    recipe, paper = carried(name), named_recipe(about.recipe)
    assert (recipe.name, recipe.paper) == (paper.name, paper.paper)
    parser = ConfigParser()
    parser.read_config(ROOT / "bundles" / name / "train.json")
    asked = paper.loading
    if name in KAUR:  # their grid is an option
        asked = replace(asked, spacing_mm=parser["spacing_mm"], size=parser["volume_size"])
    elif paper.name.startswith("z22"):  # likewise
        asked = z22_recipe(paper.name[4:], spacing_mm=parser["spacing_mm"]).loading
    elif paper.name == "gl20":
        asked = gl20_recipe(parser["spacing_mm"]).loading
    assert recipe.loading == asked


def first(name: str, room: Any) -> Subject:
    """Of the bundle's cohort."""
    return find_subjects(room.about(name).described, room.cohort(name))[0]


@pytest.fixture
def scans(room: Any, save: Callable[..., None]) -> Callable[..., Path]:
    """The first subject of a bundle's cohort, its voxels changed."""

    def scans(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Path:
        for path in first(name, room).images:
            image = load_image(room.cohort(name) / path)
            changed = change(np.asarray(image.dataobj, np.float32))
            save(changed, image.affine, Path("scans", path))
        return Path("scans")

    return scans


def noisy(brain: np.ndarray) -> np.ndarray:
    """No voxel is 0, as in a head around which the scanner saw air."""
    return brain + np.random.default_rng(0).rayleigh(5, brain.shape).astype(np.float32)


def standardised(brain: np.ndarray) -> np.ndarray:
    inside = brain != 0
    return np.where(inside, (brain - brain[inside].mean()) / brain[inside].std(), 0)


@pytest.fixture
def infer(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    def infer(name: str, folder: Path, **options: Any) -> str:
        given = {**room.images(name, folder), "amp": False, "output_dir": "out", **options}
        return run(room.bundle(name) / "inference.json", **given)

    return infer


@pytest.mark.parametrize("name", EXTRACTED)
def test_a_whole_head_is_refused_by_name_and_taken_when_asked(
    name: str,
    room: Any,
    scans: Callable[..., Path],
    infer: Callable[..., str],
    refusal: Callable[..., str],
):
    folder = scans(name, noisy)
    with pytest.raises(RuntimeError) as caught:
        infer(name, folder)
    recipe = carried(name)
    assert refusal(caught.value) == (
        f"{first(name, room).subject}: image must be prepared as for {recipe.name} "
        f"({recipe.paper}), got 0 % of the voxels are 0: the brain is not extracted. "
        f"Run monai-transfer preprocess with --preset {recipe.name}; to take images as they are, "
        "give a bundle --prepared '$None'."
    )
    assert list(Path("out").glob("*.nii.gz")) == []
    infer(name, folder, prepared="$None", output_dir="asked")
    assert len(list(Path("asked").glob("*.nii.gz"))) == 1


@pytest.mark.parametrize("name", EXTRACTED)
def test_of_what_is_only_likely_a_warning_tells(
    name: str, about: Any, scans: Callable[..., Path], infer: Callable[..., str]
):
    folder = scans(name, standardised)
    told = f"image must be prepared as for {about.recipe}.*are below 0"
    with pytest.warns(UserWarning, match=told):
        infer(name, folder)
    assert len(list(Path("out").glob("*.nii.gz"))) == 1


def real_files(name: str, real: Path) -> list[list[Path]]:
    if name == "ms_source":
        folders = [real / f"openms-cs/sub-{subject}/anat" for subject in ("cs07", "cs19")]
    else:
        folders = [real / "tcga-lgg/sub-DU7294/anat"]
    tokens = ("*[IG]_T1w", "*ce-gadolinium_T1w", "*_T2w", "*_FLAIR")
    found = [[next(folder.glob(f"{token}.nii.gz")) for token in tokens] for folder in folders]
    assert all(len(set(files)) == 4 for files in found)
    return found


@pytest.mark.parametrize("name", KAUR)
def test_real_scans_that_were_prepared_pass_without_a_word(name: str, real: Path):
    load = k19(prepared=carried(name), spacing_mm=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for files in real_files(name, real):
            assert load({"image": list(map(str, files)), "subject": "s"})["image"].shape[0] == 4


def test_a_real_raw_scan_is_refused(real: Path):
    file = real / "openms-long/sub-lg12/ses-1/anat/sub-lg12_ses-1_FLAIR.nii.gz"
    for name in KAUR:
        with pytest.raises(RuntimeError) as caught:
            k19(prepared=carried(name))({"image": str(file), "subject": "sub-lg12"})
        assert "sub-lg12: image must be prepared as for k19" in str(caught.value.__cause__)


@dataclass(frozen=True)
class Still:
    """A registration without its time: the series of one head lie within some mm."""

    def __call__(self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None):
        del fixed, moving, fixed_mask
        return IDENTITY


@dataclass(frozen=True)
class Centred:
    """Likewise: a shift alone, from the template's brain to the subject's."""

    def __call__(self, fixed: Image, moving: Image, *, fixed_mask: Image | None = None):
        del fixed, fixed_mask
        inside = np.argwhere(moving.voxels > 0).mean(axis=0)
        shift = np.eye(4)
        shift[:3, 3] = moving.affine[:3, :3] @ inside + moving.affine[:3, 3] - CENTRE_MM
        return from_ras(shift)


def raw_cohort(about: Any, folder: Path) -> Source:
    """Two simulated subjects as the scanner gives them, coarse, with brain masks."""
    thick = {"session": "followup"} if about.disease == "wmh" else {"protocol": "1.5T-clinic-3mm"}
    reference = named_recipe(about.recipe).preparation.reference or "t1"
    for index in range(2):
        series = simulate_raw(about.disease, index, spacing_mm=6.0, **thick)
        name, seen = f"sub-{index}", series[reference]
        images = {modality: Image(s.voxels, s.affine) for modality, s in series.items()}
        images["brain"] = Image(seen.brain.astype(np.uint8), seen.affine)
        images["label"] = Image(seen.lesion, seen.affine)
        for what, image in images.items():
            write_image(image, folder / name / f"{name}_{what}.nii.gz")
    described = {
        "name": "clinic",
        "description": "Simulated, raw.",
        "layout": "{subject}/{subject}_{modality}.nii.gz",
        "modalities": {modality: modality for modality in about.modalities},
        "label": "{subject}/{subject}_label.nii.gz",
        "labels": {str(value): text for value, text in about.described.labels.items()},
        "licence": "none",
        "citation": "none",
        "how_to_obtain": "these tests",
        "counts": None,
        "split": {"recipe": "stratified", "validation": 0, "test": 1, "source": "ours"},
    }
    (folder / "clinic.json").write_text(json.dumps(described))
    masks = "{subject}/{subject}_brain.nii.gz"
    return Source(read_manifest(folder / "clinic.json"), folder, brain_masks=masks)


@pytest.mark.parametrize("name", ["brats_ft", "ms_source", "wmh_ft"])
def test_what_preprocess_makes_of_raw_scans_is_trained_on_segmented_and_brought_back(
    name: str, about: Any, room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "viewer", lambda prepared, plan: "<html></html>")  # slow
    coarse = named_recipe(about.recipe)
    if coarse.preparation.spacing_mm is not None:  # of the template's space
        plan = replace(coarse.preparation, spacing_mm=(4.0, 4.0, 4.0))
        coarse = replace(coarse, preparation=plan)
    source = raw_cohort(about, Path("raw"))
    quick = replace(Methods(), within=Still(), to_template=Centred())
    assert not preprocess_cohort(source, coarse, "prepared", methods=quick).failures
    tiny = {**about.options, "amp": False, "dataset_dir": "prepared"}
    training = {**tiny, **about.training, "datalist": "prepared/datalist.json"}
    said = run(room.bundle(name) / "train.json", output_dir="run", epochs=1, cases=1, **training)
    assert "1 training" in said
    assert "sub-" in Path("run/metrics.csv").read_text()
    inference = tiny | {"manifest": "prepared/manifest.json", "weights": "run/model.pt"}
    run(room.bundle(name) / "inference.json", output_dir="found", **inference)
    for index in range(2):
        found = read_image(f"found/sub-{index}.nii.gz")
        for modality in about.modalities:
            scan = read_image(f"raw/sub-{index}/sub-{index}_{modality}.nii.gz")
            native = restore(found, Path("prepared", f"sub-{index}"), modality=modality)
            assert native.shape == scan.shape
            np.testing.assert_allclose(native.affine, scan.affine, atol=1e-4)
            assert native.voxels.any() == found.voxels.any()
