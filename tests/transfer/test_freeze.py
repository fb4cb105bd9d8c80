import copy

import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.transfer import (
    digest,
    freeze,
    freeze_norms,
    frozen_tensors,
    parameter_groups,
    verify_frozen,
)


def network() -> nn.Sequential:
    body = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2), nn.Dropout(0.5))
    return nn.Sequential(body, nn.Conv3d(2, 1, 1))


def test_frozen_module_stays_in_eval_mode_across_every_train_call():
    net = network()
    freeze(net[0])
    net.train()
    net[0].train()
    net[0][1].train(True)
    assert [m.training for m in (net[0], *net[0])] == [False] * 4
    assert net[1].training


def test_frozen_batch_norm_normalises_by_its_statistics_and_leaves_them():
    net = network()
    freeze(net[0])
    net.train()
    image = 5 + 3 * torch.randn(2, 1, 6, 6, 6)
    expected = net[0](image)  # dropout off, running statistics: the same every time
    torch.testing.assert_close(net[0](image), expected, rtol=0, atol=0)
    assert net[0][1].running_mean.tolist() == [0.0, 0.0]
    assert int(net[0][1].num_batches_tracked) == 0


def test_clearing_requires_grad_alone_would_not_have_been_enough():
    net = network().requires_grad_(False).train()
    net(5 + torch.randn(2, 1, 6, 6, 6))
    assert net[0][1].running_mean.abs().sum() > 0.1


def test_a_deep_copy_is_frozen_and_independent():
    net = network()
    freeze(net[0])
    twin = copy.deepcopy(net).train()
    assert not twin[0].training
    assert twin[0][0].weight.data_ptr() != net[0][0].weight.data_ptr()
    with torch.no_grad():
        twin[0][0].weight.add_(1)
    verify_frozen(net, digest(frozen_tensors(net)))


def test_freezing_twice_changes_nothing():
    net = network()
    freeze(freeze(net[0]))
    assert [c.__name__ for c in type(net[0]).__mro__].count("FrozenSequential") == 1


def test_frozen_tensors_are_the_parameters_and_buffers_of_frozen_modules():
    net = network()
    freeze(net[0])
    names = [name for name, _ in frozen_tensors(net)]
    assert names == [name for name in net.state_dict() if name.startswith("0.")]
    assert "0.1.running_var" in names


def test_freeze_norms_spares_the_convolutions():
    net = network()
    freeze_norms(net)
    assert {name.rsplit(".", 1)[0] for name, _ in frozen_tensors(net)} == {"0.1"}
    assert net[0][0].weight.requires_grad


@pytest.mark.parametrize("name", ["0.0.weight", "0.1.running_mean", "0.1.num_batches_tracked"])
def test_the_proof_fails_when_a_frozen_tensor_moved(name: str):
    net = network()
    freeze(net[0])
    before = digest(frozen_tensors(net))
    verify_frozen(net, before)
    net.state_dict()[name].add_(1)
    with pytest.raises(InputError, match=f"bit-identical after training, got {name}"):
        verify_frozen(net, before)


def test_the_proof_fails_when_something_was_thawed():
    net = network()
    freeze(net[0])
    before = digest(frozen_tensors(net))
    net[0][0].__class__ = nn.Conv3d
    with pytest.raises(InputError, match=r"0\.0\.bias"):
        verify_frozen(net, before)


def test_digest_sees_bits_that_equality_does_not():
    assert digest([("w", torch.tensor([0.0]))]) != digest([("w", torch.tensor([-0.0]))])


def test_parameter_groups_hold_trained_parameters_at_their_rates():
    net = nn.Sequential(nn.Linear(1, 1), freeze(nn.Linear(1, 1)), nn.Linear(1, 1))
    groups = parameter_groups(net, 0.1, rates={"0": 0.5})
    assert [(g["name"], g["lr"]) for g in groups] == [("0", 0.05), ("2", 0.1)]


def test_nothing_to_train_is_refused():
    with pytest.raises(InputError, match="leave at least one parameter to train"):
        parameter_groups(nn.Sequential(freeze(nn.Linear(1, 1))), 0.1)
