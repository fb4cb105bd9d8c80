import math

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import StayFinite
from monai_transfer.training.finite import first_wild


def trainer(network: nn.Module, values: list[float], loss: nn.Module, *, rate: float = 0.1):
    """One step for each input value."""
    data = [{"image": torch.tensor([value]), "label": torch.zeros(1)} for value in values]
    return SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=1,
        train_data_loader=DataLoader(Dataset(data), batch_size=1),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), rate),
        loss_function=loss,
        train_handlers=[StayFinite(network)],
        decollate=False,
    )


def weights(network: nn.Module) -> list[float]:
    return [p.item() for p in network.parameters()]


@pytest.mark.parametrize("wild", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_never_reaches_the_weights(wild: float):
    network = nn.Linear(1, 1)
    engine = trainer(network, [1.0, 0.5, wild, 1.0], nn.L1Loss())
    with pytest.raises(InputError, match=r"epoch 1, step 3: loss must stay finite, got (nan|inf)"):
        engine.run()
    assert all(map(math.isfinite, weights(network)))
    assert engine.state.iteration == 3


def test_a_gradient_that_is_not_finite_never_reaches_the_weights():
    class Kink(nn.Module):
        def forward(self, prediction: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return ((prediction - prediction.detach()) * label).sqrt().sum()  # 0, slope infinite

    network = nn.Linear(1, 1)
    before = weights(network)
    with pytest.raises(InputError, match="step 1: gradient must stay finite, got weight"):
        trainer(network, [1.0], Kink()).run()
    assert weights(network) == before


def test_weights_that_overflow_end_the_training_at_that_step():
    network = nn.Linear(1, 1)
    with torch.no_grad():
        network.bias.fill_(-3e38)
    engine = trainer(network, [0.0, 0.0], nn.L1Loss(), rate=3e38)  # the bias has the slope −1
    engine.optimizer.param_groups[0]["maximize"] = True
    with pytest.raises(InputError, match="step 1: weights must stay finite, got bias"):
        engine.run()
    assert engine.state.iteration == 1


def test_a_buffer_counts_as_a_weight():
    network = nn.Sequential(nn.Linear(1, 1), nn.Module())
    network[1].register_buffer("mean", torch.tensor([math.inf]))
    network[1].forward = lambda value: value
    with pytest.raises(InputError, match=r"weights must stay finite, got 1\.mean"):
        trainer(network, [1.0], nn.L1Loss()).run()


def test_a_scaled_gradient_may_overflow():
    network = nn.Linear(1, 1)
    engine = trainer(network, [1.0], nn.L1Loss())
    handler = StayFinite(network)
    network.weight.grad = torch.full((1, 1), math.inf)
    engine.scaler = object()
    handler._gradient(engine)
    engine.scaler = None
    with pytest.raises(InputError, match="gradient must stay finite"):
        handler._gradient(engine)


def test_large_finite_values_are_not_blamed_for_their_overflowing_norm():
    assert first_wild([("large", torch.full((9,), 3e38)), ("whole", torch.tensor([1]))]) is None
    assert first_wild([]) is None
