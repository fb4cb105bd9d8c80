"""Strategies by depth, on every network, through ``adapt`` and real optimiser steps."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.transfer import Source, adapt

CONSTANT = "relative_position_index"
"""A buffer of window attention that no training changes."""


def source_of(network: nn.Module) -> Source:
    """Weights near a network's own, none of them zero; one tensor is one under all its names."""
    generator = torch.Generator().manual_seed(1)
    state, made = {}, {}
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) not in made:
            noise = 0.02 + 0.01 * torch.rand(value.shape, generator=generator)
            moved = value + noise if value.is_floating_point() else value
            made[id(value)] = moved.detach().clone()
        state[name] = made[id(value)]
    return Source("source", state, None, "0" * 64)


def train(network: nn.Module, groups: list[dict], shape: tuple[int, ...]) -> None:
    """Two steps of AdamW, whose weight decay alone would move a weight that is not frozen."""
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(groups, weight_decay=0.1)
    for _ in range(2):
        network.train()
        optimiser.zero_grad()
        network(torch.randn(2, *shape)).square().mean().backward()
        optimiser.step()


def test_the_first_layers_stay_bit_identical_and_all_else_moves(case):
    network = case.build()
    middle = case.layers // 2
    adapted = adapt(
        network,
        source_of(network),
        strategy=f"freeze:{middle}",
        modalities=["t1"],
        example=case.example,
    )
    start = {name: value.clone() for name, value in network.state_dict().items()}
    shape = case.example or network.example_shape
    train(network, adapted.parameter_groups(0.01), shape)
    adapted.verify()
    same = {name for name, value in network.state_dict().items() if torch.equal(value, start[name])}
    first = {name for layer in adapted.layers[:middle] for name in layer.tensors}
    unused = tuple(name for layer in adapted.layers for name in layer.unused)
    idle = {name for name in start if name.startswith(unused) or CONSTANT in name}
    assert same - idle == first - idle
    assert set(adapted.frozen) == first
    assert {r.name for r in adapted.report.tensors if r.frozen} == first


def test_training_the_last_layers_is_freezing_the_others(case):
    network, twin = case.build(), case.build()
    source = source_of(network)
    options = {"modalities": ["t1"], "example": case.example}
    last = adapt(network, source, strategy="last:3", **options)
    first = adapt(twin, source, strategy=f"freeze:{case.layers - 3}", **options)
    assert last.frozen == first.frozen
    assert len(last.frozen) < len(network.state_dict())
    groups = [[p.shape for p in g["params"]] for g in last.parameter_groups(1.0)]
    assert groups == [[p.shape for p in g["params"]] for g in first.parameter_groups(1.0)]


@pytest.mark.parametrize("strategy", ["scratch", "direct", "freeze:0"])
def test_networks_without_parts_take_strategies_that_name_none(case, strategy: str):
    network = case.build()
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    source = source_of(network)
    example = case.example if strategy == "freeze:0" else None
    adapted = adapt(network, source, strategy=strategy, modalities=["t1"], example=example)
    expected = fresh if strategy == "scratch" else source.state
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert len(adapted.frozen) == (len(fresh) if strategy == "direct" else 0)


def test_each_layer_has_its_own_rate_and_each_parameter_one_group(case):
    network = case.build()
    strategy = {"copy": ["*"], "freeze_first": 2, "rate_decay": 0.9}
    source = source_of(network)
    adapted = adapt(network, source, strategy=strategy, modalities=["t1"], example=case.example)
    groups = adapted.parameter_groups(0.1)
    rates = {group["name"]: group["lr"] for group in groups}
    count = len(adapted.layers)
    expected = {layer.name: 0.1 * 0.9 ** (count - layer.index) for layer in adapted.layers[2:]}
    assert rates == pytest.approx(expected)
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in network.parameters() if p.requires_grad)


def test_decay_multiplies_the_rates_of_parts():
    network = PathologyUNet(1, 2, filters=1, resolution_steps=2)
    strategy = {"copy": ["*"], "rates": {"encoder": 0.5}, "rate_decay": 0.5}
    adapted = adapt(network, source_of(network), strategy=strategy, modalities=["t1"])
    rates = {group["name"]: group["lr"] for group in adapted.parameter_groups(1.0)}
    names = ["encoder.steps.0.0", "encoder.steps.0.2", "encoder.steps.1.0", "encoder.steps.1.2"]
    # eight layers: the last encoder layer is the fourth, four before the last
    assert [rates[name] for name in names] == [0.5 * 0.5**n for n in (7, 6, 5, 4)]
    assert [rates[name] for name in ("decoder.ups.0.up", "head.output")] == [0.5**3, 1.0]


def test_depth_stands_beside_parts():
    network = PathologyUNet(1, 2, filters=1, resolution_steps=2)
    head = network.head.output.weight.clone()
    strategy = {"copy": ["*"], "reset": ["head"], "train_last": 4, "norm": "frozen"}
    adapted = adapt(network, source_of(network), strategy=strategy, modalities=["t1"])
    assert torch.equal(network.head.output.weight, head)
    assert adapted.strategy.freeze_first == 4
    trained = {g["name"] for g in adapted.parameter_groups(1.0)}
    assert trained == {"decoder", "head"}
    assert not network.decoder.ups[0].norm.weight.requires_grad  # of a layer that is trained


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("freeze:3", "frozen layers must be 0 to 2, the number of the network's layers"),
        ("last:3", "last:3: tuned layers must be 0 to 2"),
        ("all", "strategy all must name no parts, for Sequential declares none, got head. .*last:"),
        ("adabn", "Sequential: network must have batch norm"),
        ({"copy": ["*"], "freeze": ["0"]}, "name no parts"),
    ],
)
def test_what_a_network_cannot_do_is_refused(strategy: object, message: str):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    with pytest.raises(InputError, match=message):
        adapt(network, source_of(network), strategy=strategy, modalities=["t1"], example=(2,))


def test_modalities_are_not_moved_where_the_input_layers_are_unknown():
    network = nn.Sequential(nn.Linear(2, 2))
    source = replace(source_of(network), modalities=("t1",))
    adapt(network, source, strategy="continue", modalities=["t1"])
    with pytest.raises(InputError, match="modalities must be the source's, t1: it declares no"):
        adapt(network, source, strategy="continue", modalities=["t2"])
