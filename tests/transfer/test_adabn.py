from collections.abc import Callable

import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.transfer import Source, adapt, freeze, re_estimate_norms


def two_norms() -> nn.Sequential:
    """x → norm → 3·norm + 1 → dropout → norm."""
    network = nn.Sequential(
        nn.BatchNorm1d(1), nn.Linear(1, 1), nn.Dropout(0.9), nn.BatchNorm1d(1, momentum=0.3)
    )
    with torch.no_grad():
        network[1].weight.fill_(3.0)
        network[1].bias.fill_(1.0)
    for norm in (network[0], network[3]):
        norm.running_mean.fill_(7.0)
        norm.num_batches_tracked.fill_(9)
    return network


BATCHES = [
    torch.tensor([[1.0], [3.0]]),
    torch.tensor([[10.0], [20.0]]),
    torch.tensor([[4.0], [6.0]]),
]


def test_statistics_are_the_means_over_the_batches_with_dropout_off():
    network = two_norms()
    found = re_estimate_norms(network, BATCHES)
    assert (found.layers, found.batches) == (2, 3)
    first, last = network[0], network[3]
    # means 2, 15, 5; unbiased variances 2, 50, 2
    torch.testing.assert_close(first.running_mean, torch.tensor([22 / 3]))
    torch.testing.assert_close(first.running_var, torch.tensor([18.0]))
    # normalised by the batch the two values are ±1 up to eps, so 1 ± 3: mean 1, variance 18
    torch.testing.assert_close(last.running_mean, torch.tensor([1.0]))
    torch.testing.assert_close(last.running_var, torch.tensor([18.0]), rtol=1e-4, atol=0)
    assert [int(n.num_batches_tracked) for n in (first, last)] == [3, 3]


def test_the_network_keeps_its_modes_momenta_and_all_other_tensors():
    network = two_norms().train()
    network[2].eval()
    affine = {n: p.clone() for n, p in network.named_parameters()}
    re_estimate_norms(network, BATCHES)
    assert [m.training for m in network] == [True, True, False, True]
    assert [network[0].momentum, network[3].momentum] == [0.1, 0.3]
    assert all(torch.equal(affine[n], p) for n, p in network.named_parameters())


def test_the_same_batches_give_the_same_bits():
    once, twice = two_norms(), two_norms()
    re_estimate_norms(once, BATCHES)
    re_estimate_norms(twice, BATCHES[::-1])  # what was there before has no weight
    re_estimate_norms(twice, BATCHES)
    for name, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[name]), name


def test_frozen_norms_keep_their_statistics_and_normalise_by_them():
    network = two_norms()
    freeze(network[0])
    assert re_estimate_norms(network, BATCHES).layers == 1
    assert network[0].running_mean.tolist() == [7.0]
    # (x − 7)·3 + 1: means −14, 25, −5
    torch.testing.assert_close(network[3].running_mean, torch.tensor([2.0]), rtol=1e-3, atol=0)


def test_how_the_network_is_run_can_be_given():
    network = nn.BatchNorm1d(1)
    re_estimate_norms(network, BATCHES, run=lambda batch: network(2 * batch))
    torch.testing.assert_close(network.running_mean, torch.tensor([44 / 3]))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return self.norm(x)


@pytest.mark.parametrize(
    ("build", "batches", "message"),
    [
        (lambda: nn.Linear(1, 1), BATCHES, "must have batch norm with statistics .* got none"),
        (lambda: freeze(nn.BatchNorm1d(1)), BATCHES, "not frozen, got 1 frozen layers"),
        (two_norms, [], "batches must be one at least"),
        (two_norms, [BATCHES[0] * torch.inf], "statistics must be finite, got 0.running_mean"),
        (Counting, BATCHES, "all other tensors must be bit-identical .* got count"),
    ],
)
def test_what_cannot_be_estimated_is_refused_and_leaves_the_statistics(
    build: Callable[[], nn.Module], batches: list[torch.Tensor], message: str
):
    network = build()
    before = {n: t.clone() for n, t in network.state_dict().items() if "running" in n}
    with pytest.raises(InputError, match=message):
        re_estimate_norms(network, batches)
    assert all(torch.equal(t, network.state_dict()[n]) for n, t in before.items())


def test_the_strategy_freezes_all_but_the_statistics_and_the_report_says_so():
    network = PathologyUNet(1, 2, filters=1, resolution_steps=2)
    state = {name: value + 0 for name, value in network.state_dict().items()}
    adapted = adapt(network, Source("s", state, ("t1",), ""), strategy="adabn", modalities=["t1"])
    moving = {n for n in state if n.split(".")[-1].startswith(("running_", "num_batches_"))}
    assert set(adapted.frozen) == state.keys() - moving
    records = {r.name: r for r in adapted.report.tensors}
    assert {n for n, r in records.items() if r.action == "re-estimated"} == moving
    assert records[min(moving)].reason == "statistics, on target scans"
    cells = [str(cell) for column in adapted.report.table().columns for cell in column.cells]
    assert "re-estimated: statistics, on target scans" in cells
    with pytest.raises(InputError, match="at least one parameter to train"):
        adapted.parameter_groups(0.1)
    generator = torch.Generator().manual_seed(0)
    scans = [torch.rand(1, 1, 8, 8, 8, generator=generator) for _ in range(2)]
    assert re_estimate_norms(network, scans).layers == 2
    adapted.verify()
    changed = {n for n, t in network.state_dict().items() if not torch.equal(t, state[n])}
    assert changed == moving
    with torch.no_grad():
        network.encoder.pools[1][1].weight.add_(1)  # an affine weight is not a statistic
    with pytest.raises(InputError, match=r"got encoder\.pools\.1\.1\.weight"):
        adapted.verify()
