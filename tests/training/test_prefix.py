import numpy as np
import pytest
import torch
from monai.data import DataLoader
from torch import nn

from monai_transfer.networks import PatchCNN, PathologyUNet
from monai_transfer.training import EpochBatches, KeptPrefix, console
from monai_transfer.training.prefix import frozen_layers
from monai_transfer.transfer import freeze
from monai_transfer.transforms import PatchDataset

BATCH = 16


@pytest.fixture(scope="module")
def subjects() -> list[dict]:
    rng = torch.Generator().manual_seed(0)
    made = []
    for index in range(2):
        image = torch.rand((2, 40, 44, 3), generator=rng) + 0.1
        label = torch.zeros(1, 40, 44, 3)
        label[0, 10:18, 12:20, 1] = 1  # 64 voxels, of which 16 are drawn, and 16 others
        made.append({"image": image + label, "label": label, "subject": f"sub-{index}"})
    made[1]["label"][0, 20:23, 20:23, 2] = 1  # 9 more, so that the last batch is not whole
    return made


def network(frozen: int) -> PatchCNN:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = PatchCNN(2, filters=[4] * 12, dense=(8, 8))
        with torch.no_grad():  # statistics and weights that are not those of the beginning
            made(torch.rand(32, 2, 32, 32))
    for layer in [*made.convolutions, *made.dense][:frozen]:
        freeze(layer)
    return made


def patches(subjects: list[dict], *, fixed: bool = True) -> PatchDataset:
    return PatchDataset(subjects, fixed=fixed, seed=3)


def tuned(subjects: list[dict], frozen: int, *, keep: bool, amp: bool) -> dict:
    """The weights after some epochs of Adam with dropout."""
    made = network(frozen)
    with console.capture():
        data = KeptPrefix(patches(subjects), made, batch_size=BATCH, keep=keep, amp=amp)
    assert data.layers == (frozen if keep else 0)
    sampler = EpochBatches(data, batch_size=BATCH, seed=5)
    loader = DataLoader(data, batch_size=None, sampler=sampler, collate_fn=data.collate)
    optimizer = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], 0.01)
    torch.manual_seed(2)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            logits = data.inferer(batch["image"], made.train())
            nn.functional.cross_entropy(logits, batch["label"]).backward()
            optimizer.step()
    return made.state_dict()


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "amp"])
@pytest.mark.parametrize("frozen", [3, 11, 12, 13, 14])
def test_training_on_what_is_kept_ends_in_the_same_bits(
    subjects: list[dict], frozen: int, *, amp: bool
):
    kept, plain = (tuned(subjects, frozen, keep=keep, amp=amp) for keep in (True, False))
    before = network(frozen).state_dict()
    assert all(torch.equal(kept[name], plain[name]) for name in plain)
    assert not torch.equal(kept["head.output.weight"], before["head.output.weight"])


def test_what_is_kept_is_what_the_first_layers_give(subjects: list[dict]):
    made, data = network(5), patches(subjects)
    with console.capture():
        kept = KeptPrefix(data, made, batch_size=BATCH, amp=False)
    items = (4, np.array([7, 0, len(data) - 1]))
    batch, whole = kept[items], data[items]
    first = made.eval().split(5)[0]
    torch.testing.assert_close(batch["image"], first(whole["image"]))
    assert torch.equal(batch["label"], whole["label"])
    assert torch.equal(kept[7]["image"], batch["image"][0])
    assert len(kept) == len(data)


def test_beyond_the_limit_it_lies_in_a_file(subjects: list[dict]):
    with console.capture():
        in_memory, on_disk = (
            KeptPrefix(patches(subjects), network(12), batch_size=BATCH, limit_mb=limit)
            for limit in (2048, 0.001)
        )
    assert isinstance(on_disk._kept, np.memmap)
    assert not isinstance(in_memory._kept, np.memmap)
    assert np.array_equal(on_disk._kept, in_memory._kept)


@pytest.mark.parametrize(
    ("frozen", "options", "fixed"),
    [(0, {}, True), (12, {"keep": False}, True), (12, {}, False)],
    ids=["nothing frozen", "not wanted", "patches drawn anew"],
)
def test_where_nothing_can_be_kept_patches_are_passed_on(
    subjects: list[dict], frozen: int, options: dict, *, fixed: bool
):
    made, data = network(frozen).eval(), patches(subjects, fixed=fixed)
    passed = KeptPrefix(data, made, batch_size=BATCH, amp=False, **options)
    assert passed.layers == 0
    items = (1, np.array([0, 5]))
    ours, theirs = passed[items], data[items]
    assert torch.equal(ours["image"], theirs["image"])
    assert torch.equal(passed[3]["image"], data[3]["image"])
    assert torch.equal(passed.inferer(ours["image"], made), made(ours["image"]))


def test_only_layers_frozen_from_the_first_on_count():
    made = network(4)
    freeze(made.convolutions[7])
    assert frozen_layers(made) == 4
    assert frozen_layers(freeze(PathologyUNet(1, 2))) == 0  # no chain
