import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from monai_transfer.errors import InputError
from monai_transfer.networks import PathologyUNet
from monai_transfer.transfer import (
    Layer,
    freeze,
    freeze_layers,
    frozen_tensors,
    layer_rates,
    trace_layers,
)


class Winding(nn.Module):
    """Registered in another order than it runs; a skip, a module used twice, tensors of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(4, 1, 1)
        self.never = nn.Conv2d(1, 1, 1)
        self.down = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.PReLU())
        self.shared = nn.Conv2d(2, 2, 3, padding=1)
        self.scale = nn.Parameter(torch.full((2, 1, 1), 0.5))
        self.up = nn.ConvTranspose2d(2, 2, 1)
        self.relu, self.drop = nn.ReLU(), nn.Dropout(0.5)
        self.register_buffer("offset", torch.ones(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.drop(self.down(image))
        skip = self.relu(self.shared(x))
        deep = self.relu(self.shared(skip)) * self.scale
        deep = self.up(self.drop(deep)) + self.offset
        return self.head(torch.cat([skip, deep], 1))


def summary(layer: Layer) -> tuple:
    return layer.name, layer.kind, layer.norms, layer.activations, layer.tensors, layer.parameters


def test_layers_come_in_the_order_of_their_first_use_with_all_that_follows_them():
    layers = trace_layers(Winding(), (1, 8, 8))
    statistics = ("down.1.running_mean", "down.1.running_var", "down.1.num_batches_tracked")
    own = ("down.0.weight", "down.0.bias", "down.1.weight", "down.1.bias")
    assert [summary(layer) for layer in layers] == [
        # 1·2·9 + 2, and 2 + 2 of the norm, and 1 of the PReLU
        ("down.0", "Conv2d", ("down.1",), ("down.2",), (*own, *statistics, "down.2.weight"), 25),
        # 2·2·9 + 2 once, and the 2 of `scale`, which is used before the next layer
        ("shared", "Conv2d", (), ("relu",), ("scale", "shared.weight", "shared.bias"), 40),
        ("up", "ConvTranspose2d", (), (), ("offset", "up.weight", "up.bias"), 6),
        # 4 + 1, and 1 + 1 of `never`, which is registered after it
        ("head", "Conv2d", (), (), ("head.weight", "head.bias", "never.weight", "never.bias"), 7),
    ]
    assert [layer.index for layer in layers] == [1, 2, 3, 4]
    assert [layer.unused for layer in layers] == [(), (), (), ("never",)]
    assert [layer.output_shape for layer in layers] == [
        *[(1, 2, 8, 8)] * 3,
        (1, 1, 8, 8),
    ]


def test_a_module_without_tensors_belongs_where_it_runs_last():
    layers = trace_layers(Winding(), (1, 8, 8))
    assert [layer.modules for layer in layers] == [
        ("down.0", "down.1", "down.2"),
        ("shared", "relu", "drop"),
        ("up",),
        ("head", "never"),
    ]


def test_tracing_leaves_the_network_as_it_was():
    network = Winding().train()
    freeze(network.shared)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    drawn = torch.get_rng_state()
    trace_layers(network, torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_what_is_frozen_has_the_same_layers():
    network = Winding()
    layers = trace_layers(network, (1, 8, 8))
    freeze_layers(network, layers, 3)
    assert trace_layers(network, (1, 8, 8)) == layers


def test_a_frozen_layer_takes_its_norm_statistics_and_dropout_along():
    network = Winding()
    layers = trace_layers(network, (1, 8, 8))
    freeze_layers(network, layers, 1)
    network.train()
    assert not any(m.training for m in network.down.modules())
    assert network.drop.training  # it still runs among what is trained
    freeze_layers(network, layers, 2)
    network.train()
    assert not network.drop.training
    assert network.training
    frozen = [name for name, _ in frozen_tensors(network)]
    assert set(frozen) == {*layers[0].tensors, *layers[1].tensors}
    assert not network.scale.requires_grad  # held by the network, which goes on training
    assert network.head.weight.requires_grad


def test_freezing_all_layers_freezes_the_network_and_none_nothing():
    network = Winding()
    layers = trace_layers(network, (1, 8, 8))
    freeze_layers(network, layers, 0)
    assert not list(frozen_tensors(network))
    freeze_layers(network, layers, 4)
    assert [name for name, _ in frozen_tensors(network)] == list(network.state_dict())
    assert not network.train().training


def test_weights_used_without_a_call_of_their_module_are_seen():
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(2, 1), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(nn.functional.linear(x, self.first.weight, self.first.bias))

    layers = trace_layers(Functional(), (3,))
    assert [(layer.name, layer.output_shape) for layer in layers] == [
        ("first", None),
        ("last", (1, 1)),
    ]


def test_attention_and_reparametrised_weights_are_one_layer_each():
    block = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    network = nn.Sequential(weight_norm(nn.Linear(4, 4)), block)
    layers = trace_layers(network, (5, 4))
    assert [layer.name for layer in layers] == ["0", "1.self_attn", "1.linear1", "1.linear2"]
    assert [layer.norms for layer in layers] == [(), ("1.norm1",), (), ("1.norm2",)]
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())
    assert "1.self_attn.out_proj.weight" in layers[1].tensors


def test_our_networks_need_no_example():
    assert len(trace_layers(PathologyUNet(4, 2))) == 18
    assert len(trace_layers(PathologyUNet(2, 2, resolution_steps=3))) == 13


def test_rates_fall_by_the_decay_with_the_distance_from_the_last_layer():
    rates = layer_rates(trace_layers(Winding(), (1, 8, 8)), 0.5)
    assert rates["down.1.weight"] == ("down.0", 0.125)
    assert rates["scale"] == ("shared", 0.25)
    assert rates["head.bias"] == ("head", 1.0)


@pytest.mark.parametrize(
    ("network", "example", "message"),
    [
        (nn.Linear(2, 1), None, "Linear: example must be given.*Name the sizes"),
        (nn.Linear(2, 1), (3,), r"Linear: example must be an input that it runs on, got \(1, 3\)"),
        (nn.ReLU(), (3,), "ReLU: network must have a layer"),
    ],
)
def test_what_cannot_be_traced_is_refused(
    network: nn.Module, example: tuple[int, ...] | None, message: str
):
    with pytest.raises(InputError, match=message):
        trace_layers(network, example)


def test_nothing_of_any_network_is_left_out(case):
    network = case.build()
    layers = trace_layers(network, case.example)
    assert len(layers) == case.layers
    assert sum(layer.parameters for layer in layers) == sum(p.numel() for p in network.parameters())
    names = [name for layer in layers for name in layer.tensors]
    assert sorted(names) == sorted(network.state_dict())
    assert len({layer.name for layer in layers}) == len(layers)
