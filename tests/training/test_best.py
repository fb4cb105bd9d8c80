import math

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import BestWeights
from monai_transfer.training.best import load_best


@pytest.fixture
def network() -> nn.Module:
    return nn.Linear(1, 1)


def train(network: nn.Module, validator: Engine, epochs: range) -> None:
    """Write the epoch into the weights, then validate."""
    for epoch in epochs:
        with torch.no_grad():
            network.weight.fill_(epoch)
        validator.run(epoch)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.1, 0.7, 0.3], 2),
        ([0.5, 0.5, 0.5], 1),
        ([0.1, 0.2, 0.3], 3),
        ([0.0, 0.0], 1),
        ([-0.2, -0.1, -0.3], 2),
        ([math.nan, 0.1, math.nan], 2),
        ([0.2, math.inf, 0.1], 1),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(scores, best, network, scripted_validator):
    kept = BestWeights(network)
    train(network, scripted_validator(scores, kept), range(1, len(scores) + 1))
    assert kept.weights is not None
    assert kept.weights["weight"].item() == best
    assert (kept.epoch, kept.metric) == (best, scores[best - 1])


def test_a_score_that_is_not_a_number_leaves_nothing_to_publish(network, scripted_validator):
    kept = BestWeights(network)
    train(network, scripted_validator([math.nan, math.nan], kept), range(1, 3))
    with pytest.raises(InputError, match="must be validated with a finite score, got none"):
        load_best(network, kept.state_dict())


def test_what_is_kept_is_a_copy(network, scripted_validator):
    kept = BestWeights(network)
    train(network, scripted_validator([1.0], kept), range(1, 2))
    with torch.no_grad():
        network.weight.fill_(7)
    load_best(network, kept.state_dict())
    assert network.weight.item() == 1


def test_weights_below_a_wrapper_are_kept_under_their_own_names(network, scripted_validator):
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = network

    kept = BestWeights(Wrapper())
    scripted_validator([1.0], kept).run(1)
    assert set(kept.weights or ()) == {"weight", "bias"}


def test_weights_that_are_not_finite_are_never_the_best(network, scripted_validator):
    kept = BestWeights(network)
    validator = scripted_validator([0.1, 0.2], kept)
    train(network, validator, range(1, 2))
    with torch.no_grad():
        network.bias.fill_(math.nan)
    with pytest.raises(InputError, match=r"weights must stay finite, got bias\. Lower the"):
        validator.run(2)
    assert kept.epoch == 1


def test_a_validator_that_goes_on_knows_the_best_score_before(network, scripted_validator):
    before, after = BestWeights(network), BestWeights(network)
    train(network, scripted_validator([0.1, 0.7], before), range(1, 3))
    validator = scripted_validator([0.6, 0.8], after)
    after.load_state_dict(before.state_dict())
    train(network, validator, range(3, 4))
    assert after.epoch == 2
    train(network, validator, range(4, 5))
    assert after.epoch == 4
