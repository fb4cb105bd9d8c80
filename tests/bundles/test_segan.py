"""What Giacomello's two bundles do that no other does."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from monai.bundle import ConfigParser

from monai_transfer._metaimage import load_image
from monai_transfer.bundle import export
from monai_transfer.data import find_subjects
from monai_transfer.training import read_status

SOURCE, TARGET = "segan_source", "segan_ft"

pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")


@pytest.fixture
def train(room: Any, run: Callable[..., str]) -> Callable[..., str]:
    """Trains into ``out``; what was printed."""

    def train(name: str = SOURCE, **options: Any) -> str:
        given = {"output_dir": "out"} | room.training(name) | options
        return run(room.bundle(name) / "train.json", **given)

    return train


@pytest.fixture
def refused(refusal: Callable[..., str]) -> Callable[..., str]:
    """The message of the input error that a call ends with."""

    def refused(call: Callable[..., str], **options: Any) -> str:
        with pytest.raises(RuntimeError) as caught:
            call(**options)
        return refusal(caught.value)

    return refused


def record_of(folder: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(folder, "run.json").read_text())
    return content


def reasons_of(folder: str) -> set[str]:
    """How tensors were adapted."""
    tensors = record_of(folder)["transfer"]["tensors"]
    return {t["reason"] for t in tensors if t["action"] == "adapted"}


def weights_of(path: Path | str, part: str = "") -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return {name: value for name, value in state.items() if name.startswith(part)}


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(theirs[name], value) for name, value in ours.items())


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        ({"critic": "masked"}, 1),
        ({"modalities": ["t2", "t1c"], "dice_term": False, "clip": 0.01}, 3),
        ({"modalities": ["t1", "t1c", "t2", "flair"], "critic": "masked"}, 4),
    ],
)
def test_any_modalities_either_critic_with_or_without_the_dice_term(
    options: dict[str, Any], channels: int, train: Callable[..., str]
):
    train(**options)
    kernels = weights_of("out/model.pt", "critic.encoder")
    assert kernels["critic.encoder.0.conv.weight"].shape[1] == channels
    clipped = [value.abs().max() for name, value in kernels.items() if "conv.weight" in name]
    assert max(clipped) <= options.get("clip", 0.05) + 1e-7
    record = record_of("out")
    assert record["data"]["modalities"] == options.get("modalities", ["flair"])


def test_one_seed_begins_all_single_modalities_alike(room: Any):
    def fresh(**options: Any) -> dict[str, torch.Tensor]:
        config = str(room.bundle(SOURCE) / "train.json")
        workflow = monai.bundle.create_workflow(config_file=config, **options)
        state: dict[str, torch.Tensor] = workflow.parser.get_parsed_content("model").state_dict()
        return state

    first = fresh(modalities=["flair"], seed=3)
    assert same(first, fresh(modalities=["t1c"], seed=3))
    assert not same(first, fresh(modalities=["flair"], seed=4))


@pytest.mark.parametrize("finished", [SOURCE], indirect=True)
def test_a_volume_s_scores_are_those_of_its_slices_counts_together(finished: Any, room: Any):
    table = pd.read_csv(finished.folder / "metrics.csv")
    subject = table["subject"][0]
    (label,) = room.cohort(SOURCE).rglob(f"{subject}/*OT*/*.mha")
    truth = np.asanyarray(load_image(label).dataobj) > 0
    found = nib.load(finished.folder / "predictions" / f"{subject}.nii.gz").get_fdata() == 1
    hits, marked, real = (
        sum(int(slices[..., z].sum()) for z in range(truth.shape[2]))
        for slices in (truth & found, found, truth)
    )
    assert real > 0
    row = table.iloc[0]
    assert row["dice"] == pytest.approx(2 * hits / (marked + real))
    assert row["sensitivity"] == pytest.approx(hits / real)
    assert row["precision"] == pytest.approx(hits / marked)


@pytest.mark.parametrize(("strategy", "tuned"), [("segmentor", False), ("all", True)])
def test_the_critic_is_tuned_or_comes_out_bit_identical(
    strategy: str, train: Callable[..., str], room: Any, *, tuned: bool
):
    source = room.bundle(SOURCE) / "models" / "model.pt"
    said = train(TARGET, strategy=strategy, modality="t2")
    assert f"Transfer: segan_source, strategy {strategy}" in said
    assert ("14 frozen tensors are bit-identical." in said) != tuned
    ours = weights_of("out/model.pt")
    assert same(weights_of(source, "critic."), ours) != tuned  # one channel: as it is
    assert not same(weights_of(source, "segmentor."), ours)
    assert record_of("out")["data"]["modalities"] == ["t2"]


def test_a_bare_checkpoint_may_be_told_what_it_was_trained_on(
    train: Callable[..., str], room: Any, refused: Callable[..., str]
):
    bare = shutil.copy(room.bundle(SOURCE) / "models" / "model.pt", "bare.pt")
    said = train(TARGET, source=bare, source_modality="flair", modality="t1")
    assert reasons_of("out") == {"t1 from flair, flair dropped"}
    assert "Was that meant?" not in said
    message = refused(train, name=TARGET, source_modality="t2", output_dir="other")
    assert "modalities of the source must be what its record says, flair, got t2" in message
    assert not Path("other").exists()


def test_a_network_of_all_modalities_is_moved_to_two(train: Callable[..., str]):
    train(modalities=["t1", "t1c", "t2", "flair"], output_dir="four")
    train(TARGET, source="four/model.pt", modalities=["t2", "t1"])
    tensors = {t["name"]: t for t in record_of("out")["transfer"]["tensors"]}
    for layer, channels in (("segmentor.encoder.0.conv", 2), ("critic.encoder.0.conv", 3)):
        assert tensors[f"{layer}.weight"]["shape"][1] == channels
        assert tensors[f"{layer}.weight"]["reason"].startswith("t1c dropped, flair dropped")


def test_inference_takes_what_the_weights_were_trained_on_from_subjects_that_have_more(
    train: Callable[..., str], run: Callable[..., str], room: Any, refused: Callable[..., str]
):
    train(modalities=["t2", "t1"])
    described, source = room.about(SOURCE).described, room.cohort(SOURCE)
    subjects = find_subjects(described, source)[:2]
    for subject in subjects:
        for path in subject.images:
            Path("scans", path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, Path("scans", path))

    def infer(**options: Any) -> str:
        given = {**room.images(SOURCE, Path("scans")), "weights": "out/model.pt", "amp": False}
        return run(room.bundle(SOURCE) / "inference.json", **given, **options)

    infer(output_dir="all")
    named = {path.parts[-2].split(".")[-2]: path for path in Path("scans").rglob("*_1/*/*.mha")}
    named["MR_Flair"].unlink()
    assert "Some subjects lack flair, which is not needed" in infer(output_dir="less")
    assert record_of("less")["data"]["modalities"] == ["t2", "t1"]
    for subject in subjects:
        ours, theirs = (
            nib.load(Path(folder, f"{subject.subject}.nii.gz")).get_fdata()
            for folder in ("all", "less")
        )
        np.testing.assert_array_equal(ours, theirs)
    named["MR_T2"].unlink()
    message = refused(infer, output_dir="neither")
    lacking = named["MR_T2"].parts[2]
    assert f"{lacking}: t2 is missing, no file " in message
    assert not Path("neither").exists()
    told = refused(infer, output_dir="neither", modalities=["flair"])
    assert "be those that its weights were trained on (t2, t1), got flair" in told


def test_weights_are_evaluated_on_their_own_modality_or_knowingly_on_another(
    train: Callable[..., str], run: Callable[..., str], room: Any, refused: Callable[..., str]
):
    train(modalities=["t1c"])
    configs = [room.bundle(SOURCE) / f"{name}.json" for name in ("train", "evaluate")]

    def evaluate(**options: Any) -> str:
        return run(*configs, weights="out/model.pt", amp=False, **room.options(SOURCE), **options)

    evaluate(output_dir="same")
    assert Path("same/metrics.csv").read_text() == Path("out/metrics.csv").read_text()
    message = refused(evaluate, output_dir="other", modalities=["t2"])
    assert "be those that its weights were trained on (t1c), got t2" in message
    evaluate(output_dir="other", modalities=["t2"], **{"adaptation#strategy": "untuned"})
    assert Path("other/metrics.csv").exists()


def test_a_training_that_collapses_is_ended_and_named(
    train: Callable[..., str], refused: Callable[..., str]
):
    wild = {"learning_rate": 1.0, "epochs": 40, "cases": 1, "stay_alive#patience": 2}
    message = refused(train, **wild)
    assert message.startswith("training, epoch ")
    assert "segmentor's" in message or "critic's" in message
    assert "nothing is published" in message.lower()
    status = read_status("out")
    assert status is not None
    assert status.state == "collapsed"
    assert not Path("out/model.pt").exists()


def test_a_training_ends_when_its_validation_no_longer_gets_better(train: Callable[..., str]):
    said = train(epochs=9, patience=2, learning_rate=1e-6, cases=1)
    assert "The training ends early: 2 validations without a better one." in said
    assert len(Path("out/history.csv").read_text().splitlines()) < 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"critic": "both"}, "critic must be one of concatenated, masked, got both"),
        ({"dice_term": 0.5}, "dice_term must be True or False, got 0.5"),
        ({"clip": 0}, "clip must lie in (0, 1], got 0"),
        ({"patience": 0}, "patience must be a whole number of at least 1"),
        ({"tumour_values": [0, 1]}, "list distinct whole numbers other than 0"),
        ({"tumour_values": [1, 2, 4]}, "label: values must be one of 0, 1, 2, 4, got 3"),
        ({"modalities": ["t1", "dwi"]}, "no dwi"),
        ({"modality": "t1"}, "got modality. Did you mean modalities"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    options: dict[str, Any], message: str, train: Callable[..., str], refused: Callable[..., str]
):
    assert message in refused(train, **options)
    assert not Path("out/model.pt").exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_an_exported_model_is_of_its_own_modality_and_can_be_moved_on(
    train: Callable[..., str], run: Callable[..., str], room: Any
):
    train(TARGET, modality="t2")
    ours = export(room.bundle(TARGET), "out/model.pt", output="ours")
    metadata = json.loads((ours / "configs" / "metadata.json").read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    assert (image["num_channels"], image["channel_def"]) == (1, {"0": "t2"})
    parser = ConfigParser()
    parser.read_config(str(ours / "inference.json"))
    parser["bundle_root"] = str(ours)
    assert parser.get_parsed_content("modalities") == ["t2"]
    options = room.training(TARGET) | {"source": str(ours), "modality": "t1"}
    run(ours / "train.json", output_dir="moved", **options)
    assert reasons_of("moved") == {"t1 from t2, t2 dropped"}
