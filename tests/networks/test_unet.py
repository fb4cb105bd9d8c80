import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import PartedNetwork, PathologyUNet, part_of


def conv(i: int, o: int, k: int) -> int:
    return i * o * k**3 + o


def test_parameter_count_equals_the_sum_over_the_papers_layers():
    k = 4
    widths = [k, 2 * k, 4 * k, 8 * k]
    encoder = sum(conv(i, o, 3) + conv(o, o, 3) for i, o in pairwise([4, *widths]))
    encoder += sum(2 * w for w in widths[:-1])  # batch norm after each of three poolings
    decoder = 0
    for deep, shallow in ((32, 16), (16, 8), (8, 4)):
        decoder += conv(deep, shallow, 3) + 2 * 2 * shallow  # transposed conv, batch norm
        decoder += conv(2 * shallow, shallow, 3) + conv(shallow, shallow, 3)
    assert encoder + decoder + conv(k, 4, 1) == 101048
    assert sum(p.numel() for p in PathologyUNet(4, 4).parameters()) == 101048


def test_documented_layer_table_agrees_with_the_network():
    network = PathologyUNet(4, 4)
    counts = {}
    for part in network.parts:
        for name, child in getattr(network, part).named_children():
            steps = child.named_children() if isinstance(child, nn.ModuleList) else [("", child)]
            for index, step in steps:
                counts[f"{name}.{index}".rstrip(".")] = sum(p.numel() for p in step.parameters())
    table = [line.split() for line in (PathologyUNet.__doc__ or "").splitlines()]
    for name, count in counts.items():
        if count:
            row = next(cells for cells in table if name in cells and cells[-1].isdigit())
            assert row[-1] == str(count)


@pytest.mark.parametrize(("steps", "size"), [(2, 2), (3, 12), (4, 24), (5, 16)])
def test_output_keeps_the_image_size(steps: int, size: int):
    network = PathologyUNet(2, 3, filters=2, resolution_steps=steps)
    assert network(torch.zeros(2, 2, size, 2 * size, size)).shape == (2, 3, size, 2 * size, size)


def test_parts_hold_every_tensor_exactly_once():
    network = PathologyUNet(4, 4)
    assert isinstance(network, PartedNetwork)
    assert {part_of(network, name) for name in network.state_dict()} == set(network.parts)
    assert [(network.get_submodule(n).in_channels, k) for n, k in network.input_layers.items()] == [
        (4, 0)
    ]


def test_head_is_the_last_three_layers():
    head = PathologyUNet(4, 4).head
    kernels = [m.kernel_size for m in head.modules() if isinstance(m, nn.Conv3d)]
    assert kernels == [(3, 3, 3), (3, 3, 3), (1, 1, 1)]
    assert not any(isinstance(m, nn.BatchNorm3d) for m in head.modules())


def test_size_that_poolings_do_not_divide_is_refused_by_name():
    with pytest.raises(InputError, match="image size must be a multiple of 8"):
        PathologyUNet(1, 2)(torch.zeros(1, 1, 16, 16, 12))


@pytest.mark.parametrize("argument", ["filters", "resolution_steps"])
def test_impossible_counts_are_refused(argument: str):
    with pytest.raises(InputError, match=f"{argument} must be at least"):
        PathologyUNet(1, 2, **{argument: 0})


def test_a_network_without_parts_cannot_be_asked_for_them():
    with pytest.raises(InputError, match="Linear: network must declare `parts`"):
        part_of(nn.Linear(1, 1), "weight")


def test_torchscript_gives_the_same_logits():
    # in a process of its own: the type checker's import hook wraps what TorchScript compiles
    program = """
import torch
from monai_transfer.networks import PathologyUNet
network = PathologyUNet(2, 2).eval()
image = torch.rand(1, 2, 16, 16, 24)
torch.testing.assert_close(torch.jit.script(network)(image), network(image))
print("equal")
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr
