import pytest
import torch
from monai.data import DataLoader, Dataset
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.training import VolumeInferer, console, estimate_norms
from monai_transfer.transfer import Source, adapt, re_estimate_norms


def adapted(strategy: str = "adabn"):
    torch.manual_seed(0)
    network = PathologyUNet(1, 2, filters=1, resolution_steps=2)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    return adapt(network, Source("s", state, ("t1",), ""), strategy=strategy, modalities=["t1"])


def scans(size: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [{"image": torch.rand(1, 8, 8, size, generator=generator)} for _ in range(3)]


def test_batches_of_a_loader_give_what_their_images_give():
    adaptation, twin = adapted(), adapted()
    with console.capture() as said:
        found = estimate_norms(adaptation, DataLoader(Dataset(scans(8)), batch_size=1))
    re_estimate_norms(twin.network, [scan["image"][None] for scan in scans(8)])
    for name, value in adaptation.network.state_dict().items():
        assert torch.equal(value, twin.network.state_dict()[name]), name
    assert (found.layers, found.batches) == (2, 3)
    assert "Statistics of 2 norm layers re-estimated on 3 batches." in said.get()


def test_an_inferer_takes_volumes_by_windows():
    adaptation = adapted()
    inferer = VolumeInferer((8, 8, 8), amp=False, overlap=0.0)
    found = estimate_norms(
        adaptation, DataLoader(Dataset(scans(16)), batch_size=1), inferer=inferer
    )
    assert found.batches == 3
    assert int(adaptation.network.encoder.pools[1][1].num_batches_tracked) == 6  # two windows each


def test_a_frozen_weight_that_moved_is_noticed():
    adaptation = adapted()
    nn.init.zeros_(adaptation.network.head.output.weight)
    with pytest.raises(InputError, match=r"bit-identical after training, got head\.output\.weight"):
        estimate_norms(adaptation, DataLoader(Dataset(scans(8)), batch_size=1))
