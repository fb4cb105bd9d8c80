import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet, ResNetClassifier, ResNetSegmenter
from monai_transfer.transfer import Source, adapt, read_source
from monai_transfer.transfer.natural_images import as_encoder

IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
TASKONOMY = torch.full((2, 3), 0.5)
CHANGED = {"encoder.conv1.weight", "encoder.bn1.running_mean"}


def encoder(filters: int = 8, channels: int = 3) -> nn.Module:
    """torchvision's layout, its norms no identities."""
    torch.manual_seed(1)
    network = ResNetSegmenter(channels, 2, filters=filters).encoder
    for name, tensor in network.state_dict().items():
        if "running" in name or "bn" in name:
            tensor.copy_(torch.rand(tensor.shape) + 0.5)
    return network.eval()


def imagenet(filters: int = 8) -> dict[str, Tensor]:
    """As torchvision writes its ResNet-50; with 64 filters, name by name and shape by shape."""
    head = {"fc.weight": torch.rand(1000, 32 * filters), "fc.bias": torch.rand(1000)}
    return encoder(filters).state_dict() | head


def taskonomy(filters: int = 8) -> dict[str, Tensor]:
    """As the PyTorch port of Taskonomy's encoders does."""
    latent = nn.ModuleDict(
        {"compress1": nn.Conv2d(32 * filters, 8, 3, bias=False), "compress_bn": nn.BatchNorm2d(8)}
    )
    return encoder(filters).state_dict() | latent.state_dict()


def source(state: dict[str, Tensor], modalities: tuple[str, ...] | None = None) -> Source:
    return Source("natural", state, modalities, "0" * 64)


def test_every_tensor_of_theirs_is_used_or_skipped_with_its_reason_and_none_of_ours_is_left():
    network, state = ResNetSegmenter(1, 2, filters=8), imagenet()
    fresh = {k: v.clone() for k, v in network.state_dict().items()}
    report = adapt(network, source(state), strategy="encoder", modalities=["t1"]).report
    records = {r.name: r for r in report.tensors}
    assert records.keys() == fresh.keys() | {"fc.weight", "fc.bias"}
    for name, value in network.state_dict().items():
        part, _, theirs = name.partition(".")
        if part != "encoder":
            assert (records[name].action, part) == ("reset", records[name].part)
            assert torch.equal(value, fresh[name])
        elif name not in CHANGED:
            assert (records[name].action, records[name].reason) == ("loaded", "")
            assert torch.equal(value, state[theirs])
    assert {name for name, r in records.items() if r.action == "adapted"} == CHANGED
    assert records["encoder.conv1.weight"].reason == (
        "grey from red, green, blue by ImageNet's mean and SD; t1 from grey"
    )
    skipped = {name: r.reason for name, r in records.items() if r.action == "skipped"}
    why = "head for 1000 classes of ImageNet"
    assert skipped == {"fc.weight": why, "fc.bias": why}


@pytest.mark.parametrize(("state", "statistics"), [(imagenet, IMAGENET), (taskonomy, TASKONOMY)])
@torch.no_grad()
def test_a_grey_image_gives_what_it_gives_in_three_normalised_channels(state, statistics: Tensor):
    theirs, network = encoder(), ResNetSegmenter(1, 2, filters=8).eval()
    adapt(network, source(state()), strategy="encoder", modalities=["t1"])
    grey = torch.rand(2, 1, 64, 96)
    mean, sd = statistics.view(2, 1, 3, 1, 1)
    expected = theirs.bn1(theirs.conv1((grey.expand(-1, 3, -1, -1) - mean) / sd))
    found = network.encoder.bn1(network.encoder.conv1(grey))
    inner = (..., slice(2, -1), slice(2, -1))  # 3 voxels of padding, at stride 2
    torch.testing.assert_close(found[inner], expected[inner], rtol=1e-4, atol=1e-5)
    assert (found - expected).abs()[..., :2, :].max() > 0.01  # black is not the mean colour


@torch.no_grad()
def test_several_modalities_on_the_same_image_give_what_one_gives():
    image, outputs = torch.rand(1, 1, 64, 64), []
    for modalities in (["t1"], ["t1", "flair"], ["t1", "t1c", "t2"]):
        network = ResNetSegmenter(len(modalities), 2, filters=8)
        report = adapt(
            network, source(imagenet()), strategy="encoder", modalities=modalities
        ).report
        outputs.append(network.eval().encoder(image.expand(-1, len(modalities), -1, -1)))
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(outputs[2], outputs[0], rtol=1e-3, atol=1e-4)
    record = next(r for r in report.tensors if r.name == "encoder.conv1.weight")
    assert record.reason.endswith("t1, t1c, t2 from grey / 3")


def test_taskonomy_s_latent_layer_is_skipped_and_its_other_strides_are_said():
    network = ResNetClassifier(1, 3, image_size=(64, 64), filters=8, latent_channels=8)
    given = source(taskonomy())
    report = adapt(network, given, strategy="encoder", modalities=["t1"]).report
    skipped = {r.name: r.reason for r in report.tensors if r.action == "skipped"}
    assert len(skipped) == 6
    assert all(name.startswith("compress") for name in skipped)
    assert {reason.partition(",")[0] for reason in skipped.values()} == {"Taskonomy's latent layer"}
    assert any("ends at 1/16, not 1/32" in note for note in report.notes)
    with pytest.raises(InputError, match=r"strategy encoder_latent .* latent\.conv\.weight is not"):
        adapt(network, given, strategy="encoder_latent", modalities=["t1"])


def test_batches_that_an_older_file_does_not_count_are_counted_from_0():
    state = {k: v for k, v in imagenet().items() if not k.endswith("num_batches_tracked")}
    network = ResNetSegmenter(1, 2, filters=8)
    network.encoder.bn1.num_batches_tracked += 3
    report = adapt(network, source(state), strategy="encoder", modalities=["t1"]).report
    assert network.encoder.bn1.num_batches_tracked == 0
    counted = [r for r in report.tensors if r.reason.endswith("counted from 0")]
    assert len(counted) == 53
    assert {r.action for r in counted} == {"adapted"}


@pytest.mark.parametrize(
    ("modalities", "action", "reason"),
    [
        (["t1", "t2", "flair"], "loaded", ""),
        (["flair", "t1", "t2"], "adapted", "reordered"),
    ],
)
def test_three_channels_that_are_named_are_no_colours(
    tmp_path: Path, modalities: list[str], action: str, reason: str
):
    torch.save(imagenet(), tmp_path / "model.pt")
    named = {"config": {"modalities": ["t1", "t2", "flair"]}}
    (tmp_path / "run.json").write_text(json.dumps(named), "utf-8")
    network = ResNetSegmenter(3, 2, filters=8)
    report = adapt(network, tmp_path / "model.pt", strategy="encoder", modalities=modalities).report
    record = next(r for r in report.tensors if r.name == "encoder.conv1.weight")
    assert (record.action, record.reason) == (action, reason)


def test_three_channels_that_nothing_names_are_refused():
    state = imagenet() | {"fc.weight": torch.rand(2, 256), "fc.bias": torch.rand(2)}
    for given in (state, {k: v for k, v in state.items() if not k.startswith("fc.")}):
        rule = "its three channels are must show: in a head, ImageNet's .* run.json beside it names"
        with pytest.raises(InputError, match=rule):
            adapt(
                ResNetSegmenter(1, 2, filters=8),
                source(given),
                strategy="encoder",
                modalities=["t1"],
            )


def test_one_channel_without_a_name_is_copied_as_it_is():
    state, network = encoder(channels=1).state_dict(), ResNetSegmenter(1, 2, filters=8)
    report = adapt(network, source(state), strategy="encoder", modalities=["t1"]).report
    assert report.totals()["loaded"]["tensors"] == 318
    assert torch.equal(network.encoder.conv1.weight, state["conv1.weight"])


def test_an_encoder_of_another_width_says_which_network_it_is_for():
    rule = "filters of the first layer must be the network's, 4, got 8. .* filters=8"
    with pytest.raises(InputError, match=rule):
        adapt(
            ResNetSegmenter(1, 2, filters=4),
            source(imagenet()),
            strategy="encoder",
            modalities=["t1"],
        )


@pytest.mark.parametrize("strategy", ["direct", "continue", "adabn"])
def test_a_strategy_that_copies_more_than_an_encoder_is_refused(strategy: str):
    network = ResNetSegmenter(1, 2, filters=8)
    with pytest.raises(InputError, match=r"latent\.conv\.weight is not in the source"):
        adapt(network, source(imagenet()), strategy=strategy, modalities=["t1"])


@pytest.mark.parametrize(
    ("state", "network"),
    [
        (imagenet(), encoder()),  # declares no parts, and has these very names
        (imagenet(), PathologyUNet(1, 2)),
        (ResNetSegmenter(3, 2, filters=8).state_dict(), ResNetSegmenter(3, 2, filters=8)),
        ({k: v for k, v in imagenet().items() if "layer4" not in k}, ResNetSegmenter(1, 2)),
    ],
)
def test_all_else_is_left_as_it_is(state: dict[str, Tensor], network: nn.Module):
    given = source(state)
    assert as_encoder(given, network) is given


def test_a_config_adapts_torchvision_s_file_of_full_width_from_the_hub_folder(
    publish: Callable[..., Path],
):
    path = publish("resnet50", imagenet(filters=64))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    network = {"_target_": "monai_transfer.networks.ResNetSegmenter", "in_channels": 1}
    adaptation = {"_target_": "monai_transfer.transfer.adapt", "network": "@network_def"}
    for given in ("torchvision:resnet50", str(path)):
        options = {"source": given, "strategy": "encoder", "modalities": ["t1"]}
        parser = ConfigParser(
            {"network_def": network | {"out_channels": 2}, "adaptation": adaptation | options}
        )
        report = parser.get_parsed_content("adaptation").report
        totals = report.totals()
        assert (report.source, report.source_sha256) == (
            "torchvision:resnet50" if given != str(path) else path.name,
            digest,
        )
        assert (totals["loaded"]["tensors"], totals["adapted"]["tensors"]) == (316, 2)
    shapes = {name: tuple(value.shape) for name, value in read_source(path).state.items()}
    assert len(shapes) == 320
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert shapes["fc.weight"] == (1000, 2048)
