"""What a run refuses before anything is trained, and what it must not refuse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_transfer._metaimage import load_image


@pytest.fixture
def refused(room: Any, run: Callable[..., str], refusal: Callable[..., str]) -> Callable[..., str]:
    """The message of the input error that a run ends with."""

    def refused(*configs: str, name: str = "brats_ft", **options: Any) -> str:
        files = [room.bundle(name) / config for config in configs or ("train.json",)]
        with pytest.raises(RuntimeError) as caught:
            run(*files, **{"output_dir": "out"} | options)
        assert not Path("out", "history.csv").exists()
        return refusal(caught.value)

    return refused


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("epoch", "epochs"),
        ("learning_rates", "learning_rate"),
        ("Strategy", "strategy"),
        ("train#trainer#max_epoch", "train#trainer#max_epochs"),
        ("validate#evaluators", "validate#evaluator"),
        ("network_def#filter", "network_def#filters"),
        ("train#handlers#3#intervals", "train#handlers#3#interval"),
        ("inferer#roi_sizes", "inferer#roi_size"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_one_that_was_meant(
    key: str, meant: str, refused: Callable[..., str]
):
    message = refused(**{key: 2})
    assert message.startswith("options: key must be one of ")
    assert f", got {key}. Did you mean {meant}" in message


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("fixed_patch", "fixed_patches"),
        ("spacing_mm", None),  # each image's own grid: there is no such option
        ("network_def#dropouts", "network_def#dropout"),
        ("train#patches#lesion_fractions", "train#patches#lesion_fraction"),
        ("inferer#max_voxel", "inferer#max_voxels"),
        ("early_stopping#patient", "early_stopping#patience"),
    ],
)
def test_so_it_is_where_patches_are_trained_on(
    key: str, meant: str | None, refused: Callable[..., str]
):
    message = refused(name="wmh_ft", **{key: 2})
    assert message.startswith("options: key must be one of ")
    assert f", got {key}." in message
    assert meant is None or f"Did you mean {meant}" in message


def test_a_key_that_resembles_nothing_is_refused_all_the_same(refused: Callable[..., str]):
    assert refused(xyzzy=1).endswith("got xyzzy.")


@pytest.mark.parametrize(
    ("config", "key", "value", "owner"),
    [
        ("train.json", "weights", "x.pt", "evaluate.json, inference.json"),
        ("train.json", "saving", 1, "inference.json"),
        ("inference.json", "datalist", "list.json", "train.json"),
        ("inference.json", "epochs", 3, "train.json"),
    ],
)
def test_an_option_of_another_config_is_refused_not_ignored(
    config: str, key: str, value: Any, owner: str, refused: Callable[..., str]
):
    message = refused(config, **{key: value})
    assert message.startswith(f"options: {key} must be read by the config that runs")
    assert message.endswith(f"It belongs to {owner}.")


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("epochs", 0, "whole number of at least 1"),
        ("epochs", 2.5, "whole number of at least 1"),
        ("epochs", True, "must be a number, got True"),
        ("cases", 0, "whole number of at least 1"),
        ("cases", -1, "whole number of at least 1"),
        ("cases", "null", "must not be the text 'null'. Write --cases '$None'."),
        ("batch_size", 0, "whole number of at least 1"),
        ("val_interval", 0, "whole number of at least 1"),
        ("num_workers", -1, "whole number of at least 0"),
        ("seed", -3, "whole number of at least 0"),
        ("learning_rate", 1e30, "lie in (0, 1]"),
        ("learning_rate", "fast", "must be a number, got 'fast'"),
        ("learning_rate", float("nan"), "lie in (0, 1]"),
        ("class_weight_decay", 0, "lie in (0, 1]"),
        ("spacing_mm", 0, "lie in [0.1, 10]"),
        ("spacing_mm", 11, "lie in [0.1, 10]"),
        ("domain_randomisation", 3, "lie in [0, 2]"),
        ("patch_size", 48, "must be a list, got 48"),
        ("patch_size", [40, 48], "three multiples of 8, each at least 16"),
        ("patch_size", [40, 48, 44], "three multiples of 8, each at least 16"),
        ("window_size", [8, 48, 48], "three multiples of 8, each at least 16"),
        ("amp", "false", "must not be the text 'false'. Write --amp False."),
        ("amp", 1, "must be True or False, got 1"),
        ("modalities", "flair", "must be a list"),
        ("modalities", ["flair", "flair"], "list distinct names"),
        ("picture_modality", "t3", "must be one of t1, t1c, t2, flair, got t3"),
        ("regions", {"core": [1, 3]}, "region core must hold label values 0, 1, 2, 4 only"),
        ("output_dir", 2024, "output_dir must be a text"),
        ("strategy", "al", "got al. Did you mean all?"),
        ("strategy", {"copy": ["encoder"], "freze": []}, "be one of copy, elsewhere, freeze"),
        ("learning_rate", -0.1, "lie in (0, 1]"),
        ("window_size", [16, 32, 24], "window_size must be at least patch_size, 24, 32, 24"),
        ("device", "cuda:99", "be cpu, or cuda where there is a GPU, got cuda:99"),
        ("resume", "yes", "must be True or False, got 'yes'"),
        ("label_names", {"3": "cyst"}, "name label values 0, 1, 2, 4 only, got 3"),
        ("source", "nobody", "source (or an existing path) must be one of"),
        ("manifest", "brats2019", "brats2018"),
    ],
)
def test_an_option_that_cannot_work_is_refused_before_anything_is_trained(
    option: str, value: Any, rule: str, refused: Callable[..., str], room: Any
):
    given = room.training("brats_ft") | {option: value}
    if option == "manifest":
        del given["datalist"]
    assert rule in refused(**given)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("patience", 0, "whole number of at least 1 or '$None'"),
        ("dropout", 1, "lie in [0, 1)"),
        ("lesion_fraction", 0, "lie in (0, 1]"),
        ("learning_rate_decay", 1.5, "lie in (0, 1]"),
        ("weight_decay", -1e-4, "lie in [0, 1]"),
        ("fixed_patches", 1, "must be True or False, got 1"),
        ("flip", "false", "must not be the text 'false'. Write --flip False."),
        ("metrics", ["hd95_mm"], "list dice and others of "),
        ("strategy", "last:16", "tuned layers must be 0 to 15, the number of the network's layers"),
        ("strategy", "last3", "strategy must be one of "),
        ("strategy", "decoder", "must be one of convolutions, dense, head, got encoder"),
        ("modalities", ["t1", "flair", "t2"], "no t2"),
        ("picture_modality", "t2", "must be one of t1, flair, got t2"),
        (
            "source",
            "ms_source",
            "strategy last:3 must be able to copy every tensor of convolutions",
        ),
        ("cases", 4, "cases must be 1 to 3, the size of the training pool, got 4"),
    ],
)
def test_so_is_one_of_a_patch_network(
    option: str, value: Any, rule: str, refused: Callable[..., str], room: Any
):
    assert rule in refused(name="wmh_ft", **room.training("wmh_ft") | {option: value})
    assert not Path("out", "model.pt").exists()


def test_a_subject_without_one_of_its_modalities_is_named(
    refused: Callable[..., str], room: Any, tmp_path: Path
):
    lacking = sorted(room.cohort("wmh_ft").glob("sub-*/ses-followup"))[0]
    shutil.copytree(room.cohort("wmh_ft"), tmp_path / "scans")
    (gone,) = (tmp_path / "scans" / lacking.parent.name / lacking.name).rglob("*_FLAIR.nii.gz")
    gone.unlink()
    given = {"dataset_dir": "scans", "manifest": "simulated_wmh_followup"}
    for config in ("train.json", "inference.json"):
        message = refused(config, name="wmh_ft", modalities=["t1", "flair"], **given)
        assert message.startswith("simulated_wmh_followup: subjects must")
        assert f"{lacking.parent.name}_{lacking.name}" in message or gone.name in message


@pytest.mark.parametrize(
    ("config", "option", "value", "rule"),
    [
        ("train.json", "strategy", "al", "got al. Did you mean all?"),
        ("train.json", "strategy", {"copy": ["*"], "freeze": ["hed"]}, "Did you mean head?"),
        ("train.json", "source", "nobody", "source (or an existing path) must be one of"),
        ("inference.json", "weights", "nobody.pt", "source must be"),
    ],
)
def test_a_transfer_that_cannot_be_made_is_refused_before_a_cohort_is_simulated(
    config: str, option: str, value: Any, rule: str, refused: Callable[..., str]
):
    assert rule in refused(config, **{option: value})
    assert not Path("cache").exists()


@pytest.mark.parametrize(
    ("strategy", "rule"),
    [
        ("last:0", "must leave at least one parameter to train. Tune a layer at least."),
        ("freeze:15", "must leave at least one parameter to train. Tune a layer at least."),
        ("direct", "must leave at least one parameter to train. Tune a layer at least."),
        ("adabn", "adabn has a config of its own, adabn.json, to lay over train.json."),
        ("last:16", "tuned layers must be 0 to 15, the number of the network's layers, got 16"),
    ],
)
def test_so_is_one_that_leaves_nothing_to_train(
    strategy: str, rule: str, refused: Callable[..., str]
):
    assert rule in refused(name="wmh_ft", strategy=strategy)
    assert not Path("cache").exists()


@pytest.mark.parametrize("name", ["brats_ft", "ms_source", "wmh_ft", "wmh_source"])
@pytest.mark.parametrize("config", ["inference.json", "train.json", "evaluate.json"])
def test_weights_as_they_are_for_other_modalities_are_refused_by_name(
    config: str, name: str, about: Any, room: Any, refused: Callable[..., str]
):
    source, (*dropped, kept) = about.source or name, about.modalities
    if not dropped:
        pytest.skip("has one modality")
    asked: dict[str, Any] = {"modalities": [kept]}
    if config != "inference.json":
        asked["picture_modality"] = kept
    if config == "train.json":
        asked |= {"strategy": "direct", "source": source}
    laid = ("train.json", config) if config == "evaluate.json" else (config,)
    message = refused(*laid, name=name, **asked)
    trained = ", ".join(about.modalities)
    assert f"must be those that its weights were trained on ({trained})" in message
    assert f"got {kept}. Fine-tune them first: --source " in message
    told = f"--strategy all --modalities \"['{kept}']\"; or give {', '.join(dropped)} too."
    assert message.endswith(told)
    weights = message.partition("--source ")[2].partition(" --strategy")[0]
    assert weights == (source if config == "train.json" else f"{room.bundle(name)}/models/model.pt")
    assert not Path("cache").exists()


def test_what_the_refusal_says_helps(
    refused: Callable[..., str], room: Any, run: Callable[..., str]
):
    asked = {"modalities": ["t1", "flair"], "picture_modality": "flair"}
    tuned = room.training("ms_source") | asked | {"output_dir": "tuned", "strategy": "all"}
    source = room.bundle("ms_source") / "models" / "model.pt"
    run(room.bundle("ms_source") / "train.json", source=str(source), **tuned)
    given = {"dataset_dir": str(room.cohort("ms_source")), "manifest": "simulated_ms"}
    options = given | {"spacing_mm": 6.0, "amp": False, "weights": "tuned/model.pt"}
    two = {"modalities": asked["modalities"]}
    run(room.bundle("ms_source") / "inference.json", output_dir="found", **options, **two)
    assert list(Path("found").glob("*.nii.gz"))
    message = refused("inference.json", name="ms_source", **options)
    assert "weights were trained on (t1, flair), got t1, t1c, t2, flair." in message


def test_help_runs_nothing(room: Any, run: Callable[..., str]):
    with pytest.raises(SystemExit) as ended:
        run(room.bundle("brats_ft") / "inference.json", help=True)
    assert ended.value.code == 0
    assert not any(Path().iterdir())


def test_more_cases_than_there_are_is_refused_before_the_transfer(
    refused: Callable[..., str], room: Any
):
    message = refused(**room.training("brats_ft") | {"cases": 4})
    assert "cases must be 1 to 3, the size of the training pool, got 4" in message
    assert not Path("out").exists()


def test_every_fault_of_the_data_is_named_before_the_transfer(
    refused: Callable[..., str], room: Any
):
    datalist = json.loads(room.datalist("brats_ft").read_text())
    datalist["training"][0]["image"][0] = "missing.nii.gz"
    datalist["validation"] = [datalist["training"][1]]
    Path("list.json").write_text(json.dumps(datalist))
    message = refused(**room.training("brats_ft") | {"datalist": "list.json"})
    assert "missing.nii.gz" in message
    assert f"{datalist['training'][1]['subject']}" in message
    assert not Path("out").exists()


def test_overrides_that_do_something_are_taken(room: Any, run: Callable[..., str], tmp_path: Path):
    """New keys that something refers to, arguments that no file gives, plain mappings, tuples."""
    Path("mine.json").write_text(
        json.dumps({"my_rate": 0.5, "optimizer#weight_decay": "$@my_rate / 100"})
    )
    options = room.training("brats_ft") | {
        "output_dir": "out",
        "train#trainer#max_epochs": 1,
        "train#trainer#amp": False,
        "network_def#filters": 2,
        "strategy": "scratch",
        "regions": {"anything": [1, 2, 4]},
        "patch_size": (24, 32, 24),
        "device": "cpu",
        "cases": "$1 + 1",
    }
    del options["epochs"]  # max_epochs decides, and --epochs beside it would do nothing
    run(room.bundle("brats_ft") / "train.json", tmp_path / "mine.json", **options)
    record = json.loads(Path("out/run.json").read_text())
    assert record["config"]["optimizer"]["weight_decay"] == "$@my_rate / 100"
    assert "anything" in Path("out/metrics.csv").read_text()
    assert len(Path("out/history.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("pretrained", [True, False])
def test_monai_label_trains_the_bundle(
    name: str, room: Any, run: Callable[..., str], tmp_path: Path, *, pretrained: bool
):
    """The overrides of its BundleTrainTask: entries of two keys, a loader put before handlers."""
    bundle = room.bundle(name)
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "train.json"))
    handlers = parser.get("train#handlers", [])
    assert not [h for h in handlers if h.get("_target_") == "CheckpointLoader"]
    if pretrained:
        weights = shipped(name, room, tmp_path)
        load = {"load_path": weights, "load_dict": {"model": "$@network"}, "strict": False}
        handlers.insert(0, {"_target_": "CheckpointLoader", **load})
    listed = json.loads(room.datalist(name).read_text())
    there = list(listed["modality"].values())
    channels = [there.index(modality) for modality in room.about(name).modalities]
    for entry in listed["training"]:
        entry["image"] = [entry["image"][channel] for channel in channels]
    entries = [
        {key: stored(entry, key, room.cohort(name), tmp_path) for key in ("image", "label")}
        for entry in listed["training"]
    ]
    overrides = {
        "bundle_root": str(bundle),
        "train#trainer#max_epochs": 1,
        "train#dataset#data": entries[:2],
        "validate#dataset#data": entries[2:],
        "device": "cpu",
        "train#handlers": handlers,
    }
    tiny = {**room.about(name).options, **room.about(name).training, "output_dir": "out"}
    said = run(bundle / "configs" / "train.json", init_id=None, final_id=None, **overrides, **tiny)
    assert f"given by the caller, 2 training, {len(entries) - 2} validation, 0 test sub" in said
    assert Path("out/model.pt").exists()
    assert "simulat" not in said.replace("simulated_", "")
    assert not Path("cache").exists()  # no default cohort was made


def shipped(name: str, room: Any, folder: Path) -> str:
    """A bundle's weights with its source's frozen layers, as a training leaves them."""
    about = room.about(name)
    frozen = {"last:3": "convolutions.", "segmentor": "critic."}
    kept = frozen.get(about.strategy, "nothing")
    own, source = (
        torch.load(room.bundle(bundle) / "models" / "model.pt", weights_only=True)
        for bundle in (name, about.source or name)
    )
    torch.save(own | {k: v for k, v in source.items() if k.startswith(kept)}, folder / "model.pt")
    return str(folder / "model.pt")


def stored(entry: dict[str, Any], key: str, cohort: Path, folder: Path) -> str:
    """One file for each key, as MONAI Label keeps them: the modalities as a 4D image."""
    if key == "label":
        return str(cohort / entry["label"])
    images = [load_image(cohort / path) for path in entry["image"]]
    stacked = np.stack([np.asanyarray(image.dataobj) for image in images], axis=-1)
    path = folder / f"{entry['subject']}.nii.gz"
    nib.save(nib.Nifti1Image(stacked, images[0].affine), path)
    return str(path)
