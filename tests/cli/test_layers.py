import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monai_transfer.cli import app


def command(*words: object, columns: int = 200) -> Result:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["layers", *map(str, words)])


def foreign(folder: Path, network: dict) -> Path:
    (folder / "configs").mkdir()
    (folder / "configs" / "train.json").write_text(json.dumps({"network_def": network}))
    image = {"num_channels": 1, "spatial_shape": ["*", "*"]}
    metadata = {"network_data_format": {"inputs": {"image": image}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return folder


@pytest.fixture
def unet(tmp_path: Path) -> Path:
    network = {"_target_": "UNet", "spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    return foreign(tmp_path, network | {"channels": [2, 4], "strides": [2]})


def test_the_layers_of_a_bundle_are_numbered_with_what_belongs_to_them():
    done = command("brats_ft")
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "brats_ft: PathologyUNet"
    assert lines[2] == "1 encoder.steps.0.0 Conv3d LeakyReLU 4×16×16×16 436 0.4 %"
    assert lines[3] == "2 encoder.steps.0.2 Conv3d BatchNorm3d LeakyReLU 4×16×16×16 444 0.9 %"
    assert lines[19] == "18 head.output Conv3d 4×16×16×16 20 100.0 %"
    assert lines[20] == "total 101,048"


@pytest.mark.parametrize("bundle", ["brats_ft", "wmh_ft"])
def test_in_80_columns_every_name_is_whole(bundle: str):
    wide, narrow = command(bundle).stdout, command(bundle, columns=80).stdout
    assert max(map(len, narrow.splitlines())) <= 80
    assert sorted(set(narrow.split())) == sorted(set(wide.split()) - {"norm", "activation"})


def test_a_foreign_network_is_run_on_an_image_of_the_size_asked_for(unet: Path):
    lines = command(unet, "--size", 8).stdout.splitlines()
    # stride 2 on 8 × 8; 1·2·9 + 2 parameters, and 1 of the PReLU
    assert " ".join(lines[2].split()[:6]) == "1 model.0.conv Conv2d InstanceNorm2d PReLU 2×4×4"
    assert lines[2].split()[6] == "21"


def test_an_image_that_does_not_fit_is_an_error_in_one_line(unet: Path):
    done = command(unet, "--size", 1)  # instance norm of a single pixel
    assert done.exit_code == 1
    assert done.stderr.startswith("error: UNet: example must be an input that it runs on, got (1, ")
    assert len(done.stderr.splitlines()) == 1


def test_code_of_a_bundle_is_run_only_when_it_is_trusted(tmp_path: Path):
    network = {"_target_": "torch.nn.Conv2d", "in_channels": "$2 - 1", "out_channels": 1}
    bundle = foreign(tmp_path, network | {"kernel_size": 3})
    refused = command(bundle)
    assert refused.exit_code == 1
    assert "got $2 - 1. It would run code of the bundle: --trust allows that." in refused.stderr
    done = command(bundle, "--trust", "--size", 8)
    assert done.exit_code == 0, done.output
    assert "1×6×6" in done.stdout


def test_what_is_never_used_is_named(tmp_path: Path):
    pytest.importorskip("einops", reason="MONAI's transformers need einops")
    network = {"_target_": "UNETR", "in_channels": 1, "out_channels": 2, "img_size": [32, 32]}
    small = {"feature_size": 2, "hidden_size": 12, "mlp_dim": 8, "num_heads": 2}
    done = command(foreign(tmp_path, network | small | {"spatial_dims": 2}), "--size", 32)
    assert "vit.blocks.0.norm_cross_attn was not used; it counts to layer 3." in done.stdout
