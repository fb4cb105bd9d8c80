from collections.abc import Callable
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.training import GradualUnfreezing
from monai_transfer.transfer import Adaptation, Source, adapt

LAYERS = 5


def adapted(strategy: Any = "freeze:1") -> Adaptation:
    """Five layers, each with batch norm but the last."""
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Tanh()) for _ in range(4)]
    network = nn.Sequential(*blocks, nn.Linear(3, 1))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    source = Source("source", state, None, "")
    return adapt(network, source, strategy=strategy, modalities=["t1"], example=(3,))


def trainer_of(
    adaptation: Adaptation, at_epoch: Callable[[Engine], None] | None = None, **options: Any
) -> tuple[Engine, torch.optim.Optimizer]:
    """As MONAI's trainer does it: gradients are zeroed, not removed, before each step."""
    optimiser = torch.optim.AdamW(adaptation.parameter_groups(0.05), weight_decay=0.1)
    network = adaptation.network

    def step(engine: Engine, batch: torch.Tensor) -> float:
        del engine
        network.train()
        optimiser.zero_grad(set_to_none=False)
        loss = (network(batch) - 1).square().mean()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    trainer = Engine(step)
    GradualUnfreezing(adaptation, **options).attach(trainer)
    if at_epoch is not None:
        trainer.add_event_handler(Events.EPOCH_COMPLETED, at_epoch)
    return trainer, optimiser


def batches() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 3, generator=generator) for _ in range(2)]


def moved_by_epoch(adaptation: Adaptation, **options: Any) -> list[list[int]]:
    """Indices of the layers whose every tensor moved in each epoch; of the others none did."""
    network = adaptation.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found: list[list[int]] = []

    def compare(engine: Engine) -> None:
        del engine
        moved = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
        wholly = [i.index for i in adaptation.layers if moved.issuperset(i.tensors)]
        partly = [i.index for i in adaptation.layers if moved.intersection(i.tensors)]
        assert wholly == partly
        found.append(wholly)
        before.update({name: value.clone() for name, value in network.state_dict().items()})

    trainer, _ = trainer_of(adaptation, compare, **options)
    trainer.run(batches(), max_epochs=5)
    return found


def test_one_layer_more_is_trained_each_epoch_but_never_those_the_strategy_freezes():
    adaptation = adapted("freeze:1")
    last = [[5], [4, 5], [3, 4, 5], [2, 3, 4, 5], [2, 3, 4, 5]]
    assert moved_by_epoch(adaptation) == last
    adaptation.verify()
    assert set(adaptation.frozen) == set(adaptation.layers[0].tensors)


def test_start_and_step_are_numbers_of_layers():
    assert moved_by_epoch(adapted("freeze:0"), start=2, per_epoch=2) == [
        [4, 5],
        [2, 3, 4, 5],
        *[[1, 2, 3, 4, 5]] * 3,
    ]


def test_norms_that_a_strategy_freezes_stay_frozen():
    adaptation = adapted({"copy": ["*"], "freeze_first": 0, "norm": "frozen"})
    trainer, _ = trainer_of(adaptation)
    trainer.run(batches(), max_epochs=5)
    adaptation.verify()
    assert adaptation.network[0][0].weight.requires_grad
    assert not adaptation.network[0][1].weight.requires_grad
    assert not adaptation.network.train()[0][1].training


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_run_that_goes_on_comes_to_the_same_bits(done: int):
    whole, part, rest = adapted(), adapted(), adapted()
    trainer_of(whole)[0].run(batches(), max_epochs=4)
    trainer, optimiser = trainer_of(part)
    trainer.run(batches(), max_epochs=done)
    again, new = trainer_of(rest)
    rest.network.load_state_dict(part.network.state_dict())
    new.load_state_dict(optimiser.state_dict())
    again.load_state_dict({"epoch": done, "epoch_length": 2, "max_epochs": 4})
    again.run(batches())
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, rest.network.state_dict()[name]), name
    rest.verify()


@pytest.mark.parametrize("option", ["start", "per_epoch"])
def test_less_than_a_layer_is_refused(option: str):
    with pytest.raises(InputError, match=f"gradual unfreezing: {option} must be at least 1, got 0"):
        GradualUnfreezing(adapted(), **{option: 0})


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    with pytest.raises(InputError, match="must be of one process, got 2 processes"):
        trainer_of(adapted())
