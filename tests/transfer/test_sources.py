import json
import shutil
from pathlib import Path

import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.transfer import read_source, trained_modalities


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles" / "lesions"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    channels = {str(i): m for i, m in enumerate(["t1", "flair"])}
    metadata = {"network_data_format": {"inputs": {"image": {"channel_def": channels}}}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    torch.save(PathologyUNet(2, 2).state_dict(), folder / "models" / "model.pt")
    return folder


def test_folder_zip_and_name_give_the_same_source(bundle: Path, tmp_path: Path):
    archive = shutil.make_archive(str(tmp_path / "lesions"), "zip", bundle.parent, bundle.name)
    by_folder, by_zip = read_source(bundle), read_source(archive)
    by_name = read_source("lesions", search=[bundle.parent])
    assert by_folder.modalities == by_zip.modalities == by_name.modalities == ("t1", "flair")
    assert by_folder.sha256 == by_zip.sha256 == by_name.sha256
    assert by_folder.name == by_zip.name == by_name.name == "lesions"
    assert by_folder.state.keys() == PathologyUNet(2, 2).state_dict().keys()


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "network", "net"])
def test_a_wrapped_checkpoint_with_module_prefix_is_unwrapped_and_said_so(
    wrapper: str, tmp_path: Path
):
    state = {f"module.{k}": v for k, v in PathologyUNet(2, 2).state_dict().items()}
    torch.save({wrapper: state, "epoch": 3}, tmp_path / "c.pt")
    source = read_source(tmp_path / "c.pt", modalities=["t1", "flair"])
    assert source.state.keys() == PathologyUNet(2, 2).state_dict().keys()
    assert source.notes == (f"weights found below '{wrapper}'", "prefix 'module.' taken off")


def test_a_checkpoint_is_named_after_what_it_lies_in(bundle: Path, tmp_path: Path):
    weights = bundle / "models" / "model.pt"
    assert read_source(weights).modalities == ("t1", "flair")
    assert read_source(weights, modalities=["t2", "flair"]).modalities == ("t2", "flair")
    alone = tmp_path / "run" / "model.pt"
    alone.parent.mkdir()
    shutil.copy(weights, alone)
    assert read_source(alone).modalities is None
    record = alone.with_name("run.json")
    for named, found in ((["t2", "t1"], ("t2", "t1")), ("$names()", None)):
        record.write_text(json.dumps({"config": {"modalities": named}}))
        assert read_source(alone).modalities == found
    record.write_text(
        json.dumps({"config": {"modalities": "$names()"}, "data": {"modalities": ["pd"]}})
    )
    assert read_source(alone).modalities == ("pd",)


def test_what_weights_were_trained_on_is_told_without_reading_them(bundle: Path, tmp_path: Path):
    weights = bundle / "models" / "model.pt"
    archive = shutil.make_archive(str(tmp_path / "lesions"), "zip", bundle.parent, bundle.name)
    for told in (weights, bundle, archive):
        assert trained_modalities(told, default=["t2"]) == ["t1", "flair"]
    weights.write_bytes(b"not weights")
    assert trained_modalities(weights, default=["t2"]) == ["t1", "flair"]
    weights.unlink()  # a bundle that is not trained yet
    assert trained_modalities(weights, default=["t2"]) == ["t1", "flair"]
    assert trained_modalities(tmp_path / "nowhere.pt", default=["t2"]) == ["t2"]
    (tmp_path / "bare.pt").touch()
    with pytest.raises(InputError, match=r"^bare.pt: weights must tell .*--modalities"):
        trained_modalities(tmp_path / "bare.pt", default=["t2"])


def test_an_unknown_name_is_answered_with_the_known_ones(bundle: Path):
    with pytest.raises(InputError, match=r"one of lesions, got lesion\. Did you mean lesions"):
        read_source("lesion", search=[bundle.parent])


def test_a_bundle_without_weights_says_which_file_is_missing(bundle: Path):
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(InputError, match=r"lesions: a source bundle must hold models/model\.pt"):
        read_source(bundle)


class Payload:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), "be a PyTorch file of plain tensors"),
        ({"epoch": 3}, "hold tensors only, got epoch"),
        ([torch.zeros(1)], "be a state dict, got list"),
        ({}, "be a state dict"),
    ],
)
def test_a_file_that_is_no_state_dict_is_refused_without_running_it(
    content: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "bad.pt")
    with pytest.raises(InputError, match=f"bad.pt: .*{message}"):
        read_source(tmp_path / "bad.pt")
    assert not (tmp_path / "executed").exists()
