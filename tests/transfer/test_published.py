import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from monai_transfer.errors import InputError
from monai_transfer.transfer import read_source
from monai_transfer.transfer.published import PUBLISHED, locate_published

STATE = {"weight": torch.arange(3.0)}


@pytest.mark.parametrize(
    ("source", "start", "digits"),
    [
        ("torchvision:resnet50", "resnet50", 8),
        ("taskonomy:segment_semantic", "segment_semantic_encoder", 64),
    ],
)
def test_public_weights_are_read_from_the_folder_of_torch_s_downloads(
    publish: Callable[..., Path], source: str, start: str, digits: int
):
    path = publish(start, STATE, digits=digits)
    publish("resnet500", STATE)  # another network, and a decoder
    publish("segment_semantic_decoder", STATE)
    assert locate_published(source) == path
    found = read_source(source)
    assert found.name == source
    assert found.notes == (f"read from {path.name}",)
    assert found.sha256.startswith(path.stem.rpartition("-")[2])
    assert torch.equal(found.state["weight"], torch.arange(3.0))
    assert found.modalities is None


@pytest.mark.parametrize("source", ["torchvision:resnet50", "taskonomy:autoencoding"])
def test_absent_weights_are_answered_with_their_name_their_folder_and_a_command(
    hub: Path, source: str
):
    with pytest.raises(InputError) as caught:
        read_source(source)
    name = PUBLISHED[source].rpartition("/")[2]
    assert str(caught.value) == (
        f"source {source}: {name} must be in {hub}, torch's hub folder. Get it once: curl -L "
        f"--create-dirs -o '{hub / name}' {PUBLISHED[source]}; or name a file of yours: "
        "--source FILE."
    )


def test_several_files_are_not_chosen_from(hub: Path):
    for name in ("resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth"):
        (hub / name).touch()
    rule = "hold one of them, got resnet50-0676ba61.pth, resnet50-11ad3fa6.pth. Say which: --source"
    with pytest.raises(InputError, match=rule):
        read_source("torchvision:resnet50")


def test_a_file_that_is_not_what_its_name_says_is_refused(publish: Callable[..., Path]):
    path = publish("resnet50", STATE)
    path.write_bytes(path.read_bytes()[:-1])
    rule = f"{path.name}: the file must have the digest {path.stem[-8:]} that its name gives, got"
    with pytest.raises(InputError, match=rule):
        read_source("torchvision:resnet50")


@pytest.mark.parametrize(
    ("source", "close"),
    [
        ("torchvision:resnet5", "torchvision:resnet50"),
        ("taskonomy:segmentsemantic", "taskonomy:segment_semantic"),
    ],
)
def test_an_unknown_name_is_answered_with_a_close_one(source: str, close: str):
    with pytest.raises(InputError, match=f"source must be one of .*Did you mean {close}"):
        read_source(source)


def test_addresses_end_in_the_digest_that_the_file_is_checked_against():
    assert len(PUBLISHED) == 1 + 25
    for name, address in PUBLISHED.items():
        digits = 8 if name.startswith("torchvision") else 64
        assert re.fullmatch(rf"https://\S+/[a-z0-9_]+-[0-9a-f]{{{digits}}}\.pth", address)
