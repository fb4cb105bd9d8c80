import csv
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch

from monai_transfer.bundle import bundles_dir, export, list_bundles, standard_scale_file
from monai_transfer.errors import InputError
from monai_transfer.imaging import StandardScale, read_standard_scale, write_standard_scale
from monai_transfer.networks import PatchCNN, PathologyUNet
from monai_transfer.training import RunRecord
from monai_transfer.transfer import adapt

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:parsing config_file"),
]
BRATS, WMH = (bundles_dir() / name for name in ("brats_ft", "wmh_ft"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """What a training of a bundle leaves, without the training; the path of its weights."""

    def run(
        bundle: Path = BRATS,
        *,
        filters: int = 4,
        simulated: bool = True,
        scale: StandardScale | None = None,
        **options: Any,
    ) -> Path:
        folder = tmp_path / "runs" / "first"
        shutil.rmtree(folder, ignore_errors=True)
        config = json.loads((bundle / "configs" / "train.json").read_text()) | options
        modalities, labels = config["modalities"], config["label_values"]
        network = PatchCNN(len(modalities), len(labels))
        if bundle == BRATS:
            network = PathologyUNet(len(modalities), len(labels), filters=filters)
        adapted = adapt(network, strategy="scratch", modalities=modalities)
        name = "simulated_brats" if simulated else "our clinic"
        data: dict[str, Any] = {"name": name, "simulated": simulated, "sha256": "0" * 64}
        if scale is not None:
            data["standard_scale"] = asdict(scale)
        RunRecord(folder, config).write(adapted, data=data)
        torch.save(network.state_dict(), folder / "model.pt")
        rows = [
            ("a", "HGG", "core", 0.5),
            ("a", "HGG", "whole", 0.75),
            ("b", "LGG", "core", 0.25),
            ("b", "LGG", "whole", 0.25),
        ]
        with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("subject", "group", "region", "dice"), *rows])
        return folder / "model.pt"

    return run


def contents(bundle: Path) -> dict[str, bytes]:
    files = (path for path in bundle.rglob("*") if path.is_file())
    return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("bundle", [BRATS, WMH], ids=lambda folder: folder.name)
def test_a_folder_is_a_whole_bundle_without_links(
    bundle: Path, run: Callable[..., Path], tmp_path: Path
):
    made = export(bundle, run(bundle), output=tmp_path / "shared" / "ours")
    assert made == tmp_path / "shared" / "ours"
    assert not [path for path in made.rglob("*") if path.is_symlink()]
    files = contents(made)
    configs = {path.name for path in (bundle / "configs").iterdir()}
    assert set(files) == {
        *(f"configs/{name}" for name in configs),
        *configs,
        *("docs/README.md", "docs/data_license.txt", "LICENSE", "models/model.pt"),
        "models/model.ts",
    }
    assert all(files[name] == files[f"configs/{name}"] for name in configs)
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["ours"]  # nothing aside


def test_an_unpacked_zip_is_loaded_by_monai_with_the_run_s_weights(
    run: Callable[..., Path], tmp_path: Path
):
    weights = run()
    archive = export(BRATS, weights, output=tmp_path / "ours.zip")
    with zipfile.ZipFile(archive) as content:
        assert {name.split("/")[0] for name in content.namelist()} == {"ours"}
        content.extractall(tmp_path / "elsewhere")
    folder = str(tmp_path / "elsewhere")
    network = monai.bundle.load("ours", bundle_dir=folder, workflow_type="inference")
    saved = torch.load(weights, weights_only=True)
    state = network.state_dict()
    assert list(state) == list(saved)
    assert all(torch.equal(state[key], saved[key]) for key in saved)
    script, metadata, _ = monai.bundle.load("ours", bundle_dir=folder, load_ts_module=True)
    image = torch.rand(1, 4, 16, 16, 16)
    with torch.no_grad():
        assert torch.equal(script(image), network.eval()(image))
    assert metadata["transfer"]["strategy"] == "scratch"


def test_a_patch_network_s_script_gives_every_voxel_of_whole_slices(
    run: Callable[..., Path], tmp_path: Path
):
    weights = run(WMH, modalities=["flair"], dropout=0.1)
    export(WMH, weights, output=tmp_path / "ours")
    network = monai.bundle.load("ours", bundle_dir=str(tmp_path), workflow_type="inference").eval()
    saved = torch.load(weights, weights_only=True)
    assert all(torch.equal(network.state_dict()[key], saved[key]) for key in saved)
    script, _, _ = monai.bundle.load("ours", bundle_dir=str(tmp_path), load_ts_module=True)
    slices = torch.rand(2, 1, 37, 41)
    with torch.no_grad():
        whole = script(slices)
        assert whole.shape == (2, 2, 37, 41)
        torch.testing.assert_close(whole[:, :, 16, 20], network(slices[..., :32, 4:36]))
    train, inference = (
        json.loads((tmp_path / "ours" / "configs" / f"{name}.json").read_text())
        for name in ("train", "inference")
    )
    assert (train["dropout"], train["network_def"]["dropout"]) == (0.1, "@dropout")
    assert "dropout" not in {*inference, *inference["network_def"]}
    assert (inference["modalities"], inference["prepared"]) == (["flair"], train["prepared"])


def test_nothing_in_it_names_a_folder_of_this_machine(run: Callable[..., Path], tmp_path: Path):
    made = export(
        BRATS, run(dataset_dir="/scans/brats", output_dir="/scans/out"), output=tmp_path / "x"
    )
    places = [str(tmp_path), str(BRATS.parents[1]), str(Path.home()), torch.__path__[0], "/scans/"]
    files = contents(made)
    with zipfile.ZipFile(made / "models" / "model.ts") as archive:
        files |= {name: archive.read(name) for name in archive.namelist()}
    assert len(files) > 50
    for name, content in files.items():
        assert not [place for place in places if place.encode() in content], name


def test_the_metadata_tell_score_source_and_transfer(run: Callable[..., Path], tmp_path: Path):
    export(BRATS, run(cases=4, seed=2), output=tmp_path / "bundles" / "ours")
    (card,) = list_bundles(tmp_path / "bundles")
    # means over the two subjects: core (0.5 + 0.25) / 2, whole (0.75 + 0.25) / 2
    assert card.score == "Dice core 0.38, whole 0.50 on 2 simulated test subjects"
    assert card.task == "Brain tumour segmentation"
    metadata = json.loads((tmp_path / "bundles/ours/configs/metadata.json").read_text())
    told = metadata["transfer"]
    assert (told["source"], told["strategy"], told["cases"], told["seed"]) == (
        *(None, "scratch"),
        *(4, 2),
    )
    assert told["totals"]["reset"]["tensors"] == 66
    assert told["data"]["name"] == "simulated_brats"
    assert metadata["version"] in metadata["changelog"]
    page = (tmp_path / "bundles/ours/docs/README.md").read_text()
    assert page.startswith("# ours\n")
    assert f"- Score: {card.score}\n" in page


@pytest.mark.parametrize(
    ("sentence", "simulated"),
    [
        ("Research only. The weights were trained on simulated images.", True),
        ("Research only.", False),
    ],
)
def test_it_says_whether_the_images_were_simulated(
    sentence: str, run: Callable[..., Path], tmp_path: Path, *, simulated: bool
):
    made = export(BRATS, run(simulated=simulated), output=tmp_path / "ours")
    metadata = json.loads((made / "configs" / "metadata.json").read_text())
    assert metadata["intended_use"] == sentence
    assert ("simulated" in metadata["transfer"]["score"]) is simulated
    assert ("(simulated)" in metadata["description"]) is simulated


def test_the_run_s_options_become_the_bundle_s(run: Callable[..., Path], tmp_path: Path):
    options = {"spacing_mm": 1.0, "window_size": [96, 96, 96], "epochs": 3, "strategy": "head"}
    channels = {"modalities": ["flair", "t1"], "picture_modality": "flair"}
    made = export(BRATS, run(**options, **channels, dataset_dir="brats"), output=tmp_path / "ours")
    train, inference, metadata = (
        json.loads((made / "configs" / f"{name}.json").read_text())
        for name in ("train", "inference", "metadata")
    )
    assert options.items() <= train.items()
    assert (inference["spacing_mm"], inference["window_size"]) == (1.0, [96, 96, 96])
    assert (inference["modalities"], inference["dataset_dir"]) == (["flair", "t1"], None)
    image = metadata["network_data_format"]["inputs"]["image"]
    assert (image["num_channels"], image["channel_def"]) == (2, {"0": "flair", "1": "t1"})
    monai.bundle.verify_net_in_out(
        "network_def",
        meta_file=str(made / "configs" / "metadata.json"),
        config_file=str(made / "configs" / "inference.json"),
        device="cpu",
    )


def test_it_carries_the_scale_that_the_data_were_brought_to_or_else_its_source_s(
    run: Callable[..., Path], tmp_path: Path
):
    theirs = StandardScale({"t1": (1.0, 2.0)}, 7, percents=(1.0, 99.0), origin="our clinic's")
    made = export(BRATS, run(scale=theirs), output=tmp_path / "ours")
    assert read_standard_scale(standard_scale_file(made)) == theirs
    metadata = json.loads((made / "configs" / "metadata.json").read_text())
    assert "standard_scale" not in metadata["transfer"]["data"]
    source = shutil.copytree(BRATS, tmp_path / "source")
    write_standard_scale(theirs, source / "configs" / "standard_scale.json")
    with pytest.raises(InputError, match=r"hold standard_scale\.json"):
        standard_scale_file(export(BRATS, run(), output=tmp_path / "none"))
    kept = export(source, run(), output=tmp_path / "kept")
    assert read_standard_scale(standard_scale_file(kept)) == theirs


def test_an_override_that_inference_would_not_repeat_is_refused(run: Callable[..., Path]):
    chain = {"_target_": "monai_transfer.transforms.k19", "spacing_mm": "@spacing_mm"}
    weights = run(preprocessing=chain | {"label_values": "@label_values", "divisor": 32})
    with pytest.raises(InputError, match="preprocessing#divisor must be what the bundle's files"):
        export(BRATS, weights, output="nowhere")


def test_weights_of_another_network_are_refused_and_nothing_is_left(
    run: Callable[..., Path], tmp_path: Path
):
    with pytest.raises(InputError, match="must be able to copy every tensor"):
        export(BRATS, run(filters=2), output=tmp_path / "shared" / "ours.zip")
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.parametrize(("missing", "rule"), [("model.pt", "exist"), ("run.json", "lie beside")])
def test_weights_without_their_run_are_refused(
    missing: str, rule: str, run: Callable[..., Path], tmp_path: Path
):
    weights = run()
    (weights.parent / missing).unlink()
    with pytest.raises(InputError, match=rf"^export: {missing} must {rule}"):
        export(BRATS, weights, output=tmp_path / "ours")


def test_what_is_there_is_not_overwritten(run: Callable[..., Path], tmp_path: Path):
    (tmp_path / "ours.zip").write_text("precious")
    with pytest.raises(InputError, match=r"output must be new, got ours\.zip"):
        export(BRATS, run(), output=tmp_path / "ours.zip")
    assert (tmp_path / "ours.zip").read_text() == "precious"


def test_a_run_without_a_test_has_no_score(run: Callable[..., Path], tmp_path: Path):
    weights = run()
    (weights.parent / "metrics.csv").unlink()
    made = export(BRATS, weights, output=tmp_path / "ours")
    metadata = json.loads((made / "configs" / "metadata.json").read_text())
    assert metadata["transfer"]["score"] is None
    assert "- Score: not tested\n" in (made / "docs" / "README.md").read_text()


@pytest.mark.parametrize(
    ("regions", "told"),
    [
        ({"thalamus": "0.75", "brain": "n/a"}, "AUC thalamus 0.75 on 1 simulated test subject"),
        ({"brain": "n/a"}, "AUC undefined on 1 simulated test subject"),
        (
            {f"structure {n}": f"{n / 10}" for n in range(10)} | {"brain": "n/a"},
            "AUC 0.45, mean over 10 regions, on 1 simulated test subject",
        ),
    ],
)
def test_the_score_of_what_is_present_leaves_out_what_has_none(
    regions: dict[str, str], told: str, run: Callable[..., Path], tmp_path: Path
):
    weights = run()
    rows = "".join(f"a,,{region},{auc}\n" for region, auc in regions.items())
    (weights.parent / "metrics.csv").write_text("subject,group,region,auc\n" + rows)
    made = export(BRATS, weights, output=tmp_path / "ours")
    assert f"- Score: {told}\n" in (made / "docs" / "README.md").read_text()
