import random

import ignite.distributed as idist
import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import CacheDataset, DataLoader
from monai.engines import SupervisedTrainer
from torch import nn

from monai_transfer.training import EpochBatches, EpochSampler, SeededCacheDataset
from monai_transfer.training.randomness import Draw, random_states, restore_random_states
from monai_transfer.transforms import k19, k19_training


@pytest.fixture(scope="module")
def dataset(entries) -> SeededCacheDataset:
    """With every random transform there is, at full strength."""
    chain = k19_training(k19(label_values=[0, 1, 4]), (16, 16, 16), domain_randomisation=2.0)
    return SeededCacheDataset(entries, chain, seed=5, progress=False)


def drawn(dataset: SeededCacheDataset, epoch: int, item: int) -> torch.Tensor:
    (patch,) = dataset[Draw(epoch, item)]
    return torch.cat([torch.as_tensor(patch[key]).double() for key in ("image", "label")])


def test_a_draw_depends_on_nothing_that_was_drawn_before(dataset, entries):
    first = {(e, i): drawn(dataset, e, i) for e in (1, 2, 3) for i in range(3)}
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    for (epoch, item), patch in reversed(first.items()):
        assert torch.equal(drawn(dataset, epoch, item), patch), (epoch, item)
    again = SeededCacheDataset(entries, dataset.transform, seed=5, progress=False)
    assert torch.equal(drawn(again, 3, 1), first[3, 1])


def test_epoch_subject_and_seed_each_draw_anew(dataset, entries):
    patch = drawn(dataset, 1, 0)
    assert not torch.equal(patch, drawn(dataset, 2, 0))
    assert not torch.equal(patch, drawn(dataset, 1, 1))
    other = SeededCacheDataset(entries, dataset.transform, seed=6, progress=False)
    assert not torch.equal(patch, drawn(other, 1, 0))


def test_everything_before_the_first_random_step_is_done_once(dataset, monkeypatch):
    steps = [type(step).__name__ for step in dataset.transform.transforms]
    before = dataset.transform.transforms[: steps.index("RandCropByPosNegLabeld")]

    def again(*_args, **_more):
        raise AssertionError("not from the cache")

    for step in before:
        monkeypatch.setattr(type(step), "__call__", again)
    assert drawn(dataset, 1, 0).shape == (3, 16, 16, 16)


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_processes_do_not_change_what_is_drawn(dataset, workers):
    def batches(workers: int) -> list[torch.Tensor]:
        sampler = EpochSampler(dataset, seed=5)
        loader = DataLoader(dataset, batch_size=2, sampler=sampler, num_workers=workers)
        seen = []
        for epoch in (1, 2):
            sampler.set_epoch(epoch)
            seen += [torch.as_tensor(batch["image"]) for batch in loader]
        return seen

    alone, shared = batches(0), batches(workers)
    assert len(alone) == 4
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one, other)


def order(sampler: EpochSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return [draw.item for draw in sampler]


def test_the_order_is_another_in_each_epoch_and_the_same_again():
    sampler = EpochSampler(range(20), seed=1)
    orders = [order(sampler, epoch) for epoch in (1, 2, 3)]
    assert len({tuple(o) for o in orders}) == 3
    assert all(sorted(o) == list(range(20)) for o in orders)
    assert order(EpochSampler(range(20), seed=1), 2) == orders[1]
    assert order(EpochSampler(range(20), seed=7), 2) != orders[1]


def test_what_an_interrupted_epoch_had_done_is_left_out_once():
    sampler = EpochSampler(range(6), seed=1)
    whole = order(sampler, 4)
    sampler.skip(4)
    assert order(sampler, 4) == whole[4:]
    assert order(sampler, 4) == whole
    assert len(sampler) == 6


def test_the_processes_of_a_run_share_an_epoch(monkeypatch):
    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(idist, "get_rank", lambda rank=rank: rank)
        shares.append(order(EpochSampler(range(6), seed=1), 1))
        batches = EpochBatches(range(6), 1, seed=1)
        batches.set_epoch(1)
        assert [i for batch in batches for i in batch.items] == shares[-1]
        assert len(batches) == 3
    assert sorted(shares[0] + shares[1]) == list(range(6))


@pytest.mark.parametrize("size", [1, 3, 20, 64])
def test_batches_are_the_samplers_order_cut_into_pieces(size):
    sampler = EpochBatches(range(20), size, seed=1)
    sampler.set_epoch(2)
    batches = list(sampler)
    assert len(batches) == len(sampler) == -(-20 // size)
    assert all(batch.epoch == 2 and len(batch.items) == size for batch in batches[:-1])
    items = np.concatenate([batch.items for batch in batches]).tolist()
    assert items == order(EpochSampler(range(20), seed=1), 2)


@pytest.mark.parametrize(
    ("items", "size", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
def test_one_item_left_over_joins_the_batch_before_it(items: int, size: int, sizes: list[int]):
    sampler = EpochBatches(range(items), size)
    assert [len(batch.items) for batch in sampler] == sizes
    assert len(sampler) == len(sizes)


def test_batches_that_an_interrupted_epoch_had_done_are_left_out_once():
    sampler = EpochBatches(range(20), 6, seed=1)
    whole = [batch.items.tolist() for batch in sampler]
    sampler.skip(2)
    assert [batch.items.tolist() for batch in sampler] == whole[2:]
    assert [batch.items.tolist() for batch in sampler] == whole
    assert len(sampler) == 4


def test_monai_tells_the_sampler_its_trainers_epoch(dataset):
    sampler, seen = EpochSampler(dataset), []
    network = nn.Conv3d(2, 1, 1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=DataLoader(dataset, batch_size=3, sampler=sampler),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.0),
        loss_function=lambda prediction, _label: prediction.mean(),
    )
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _: seen.append(sampler.epoch))
    trainer.run()
    assert seen == [1, 2]


def test_global_generators_go_on_where_they_were():
    def draws() -> tuple:
        return random.random(), np.random.normal(), torch.rand(3).tolist()  # noqa: NPY002

    np.random.normal()  # noqa: NPY002 - keeps the second of a pair
    states = random_states()
    expected = draws()
    assert draws() != expected
    restore_random_states(states)
    assert draws() == expected


def test_a_draw_is_made_with_one_thread_as_in_a_loader_process(dataset, monkeypatch):
    seen = []
    monkeypatch.setattr(
        CacheDataset, "__getitem__", lambda *_: seen.append(torch.get_num_threads())
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        dataset[Draw(1, 0)]
        assert seen == [1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
