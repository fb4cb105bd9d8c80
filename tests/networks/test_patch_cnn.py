import json
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import pad

from monai_transfer.errors import InputError
from monai_transfer.networks import PartedNetwork, PatchCNN, part_of
from monai_transfer.training import fold_threshold
from monai_transfer.transfer import freeze


def trained(channels: int = 2, **options: object) -> PatchCNN:
    """A network in eval mode whose norms have seen images, so that they are no identity."""
    torch.manual_seed(0)
    network = PatchCNN(channels, **options)
    network.train()
    for _ in range(3):
        network(torch.rand(16, channels, 32, 32))
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.5, 0.5)
    return network.eval()


def patch_by_patch(image: torch.Tensor, network: PatchCNN) -> torch.Tensor:
    """Logits by the rule: zeros around the slice, then 32 × 32 voxels from 16 before each voxel."""
    padded = pad(image, (16, 16, 16, 16))
    x, y = image.shape[2:]
    logits = [network(padded[:, :, i : i + 32, j : j + 32]) for i, j in product(range(x), range(y))]
    return torch.stack(logits, dim=-1).unflatten(-1, (x, y))


def test_parameter_count_equals_the_sum_over_the_papers_layers():
    filters = [16] * 4 + [24] * 4 + [32] * 4
    count = sum(9 * i * o + 2 * o for i, o in pairwise([2, *filters]))
    count += 32 * 8 * 8 * 256 + 2 * 256  # dense without bias, norm
    count += 256 * 128 + 2 * 128
    assert count + 128 * 2 + 2 == 619426
    assert sum(p.numel() for p in PatchCNN(2).parameters()) == 619426


def test_documented_layer_table_agrees_with_the_network():
    image, rows = torch.zeros(2, 2, 32, 32), []
    network = PatchCNN(2)
    for part in network.parts:
        for name, block in getattr(network, part).named_children():
            image = block(image if part == "convolutions" else image.flatten(1))
            size = f"{image.shape[1]}" + (f", {image.shape[2]}²" if image.ndim == 4 else "")
            rows.append((name, size, str(sum(p.numel() for p in block.parameters()))))
    table = (PatchCNN.__doc__ or "").partition("::")[2].partition("Args:")[0].splitlines()[3:]
    lines = [line for line in table if line.strip()]
    assert len(lines) == len(rows) == 15
    for line, (name, size, count) in zip(lines, rows, strict=True):
        cells = line.replace("convolutions", "").replace("dense  ", "").replace("head", "").split()
        assert (cells[0], cells[-1]) == (name, count)
        assert f" {size} " in line


def test_parts_hold_every_tensor_exactly_once():
    network = PatchCNN(3)
    assert isinstance(network, PartedNetwork)
    assert {part_of(network, name) for name in network.state_dict()} == set(network.parts)
    assert [name for name, _ in network.named_children()] == list(network.parts)
    assert [(network.get_submodule(n).in_channels, k) for n, k in network.input_layers.items()] == [
        (3, 0)
    ]
    assert network.get_submodule(network.output_layer).out_features == 2


def test_fifteen_layers_run_in_the_order_of_their_names():
    network = trained()
    names = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    seen = []
    for name in names:
        module = network.get_submodule(name)
        module.register_forward_hook(lambda *_, name=name: seen.append(name))
    network(torch.zeros(1, 2, 32, 32))
    assert seen == names
    assert len(names) == 15


def test_weights_are_drawn_as_he_says():
    torch.manual_seed(0)
    weight = PatchCNN(2).dense[0].linear.weight  # 2048 inputs, 524 288 weights
    assert weight.std().item() == pytest.approx((2 / 2048) ** 0.5, rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-4)


def test_dropout_is_in_the_dense_part_alone_and_only_while_training():
    network = trained(dropout=0.3)
    drops = [(n, m.p) for n, m in network.named_modules() if isinstance(m, nn.Dropout)]
    assert drops == [("dense.0.dropout", 0.3), ("dense.1.dropout", 0.3)]
    patches = torch.rand(4, 2, 32, 32)
    assert torch.equal(network(patches), network(patches))
    network.train()
    assert not torch.equal(network(patches), network(patches))


@pytest.mark.parametrize("fold_norms", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (7, 3), (19, 9)])
@torch.no_grad()
def test_every_voxel_gets_what_its_patch_gets(shape, fold_norms):
    network = trained()
    image = torch.rand(2, 2, *shape)
    whole = network.to_fully_convolutional(fold_norms=fold_norms)(image)
    assert whole.shape == (2, 2, *shape)
    torch.testing.assert_close(whole, patch_by_patch(image, network), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_voxels_whose_patches_lie_inside_a_larger_slice_get_what_their_patch_gets():
    network = trained()
    image = torch.rand(1, 2, 40, 37)
    whole = network.to_fully_convolutional()(image)
    for i, j in product((16, 20, 24), (16, 19, 21)):  # 16 before and 15 after fit
        patch = image[:, :, i - 16 : i + 16, j - 16 : j + 16]
        torch.testing.assert_close(whole[:, :, i, j], network(patch), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_one_voxel_reaches_the_logits_of_the_patches_that_hold_it_and_no_others():
    network = trained()
    image = torch.zeros(1, 2, 70, 70)
    changed = image.clone()
    changed[0, 0, 35, 30] = 5
    fcn = network.to_fully_convolutional()
    moved = (fcn(changed) - fcn(image)).abs().amax(dim=(0, 1)) > 1e-6
    rows, columns = moved.any(dim=1).nonzero(), moved.any(dim=0).nonzero()
    # the patch of voxel v holds v - 16 … v + 15
    assert (rows.min().item(), rows.max().item()) == (35 - 15, 35 + 16)
    assert (columns.min().item(), columns.max().item()) == (30 - 15, 30 + 16)


@pytest.mark.parametrize("fold_norms", [False, True])
@torch.no_grad()
def test_other_counts_of_layers_and_classes_are_converted_too(fold_norms):
    network = trained(3, out_channels=4, filters=(3, 5, 4), dense=(6,))
    image = torch.rand(1, 3, 3, 4)
    whole = network.to_fully_convolutional(fold_norms=fold_norms)(image)
    torch.testing.assert_close(whole, patch_by_patch(image, network), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_conversion_is_a_copy_in_eval_mode_that_draws_no_random_number():
    network = trained().train()
    generator = torch.get_rng_state()
    image = torch.rand(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    fcn = network.to_fully_convolutional(fold_norms=True)
    assert torch.equal(torch.get_rng_state(), generator)
    assert network.training
    assert not any(module.training for module in fcn.modules())
    before = fcn(image)
    network(torch.rand(8, 2, 32, 32))  # moves the norms
    network.head.output.bias.add_(1)
    assert torch.equal(fcn(image), before)
    again = network.eval().to_fully_convolutional()(image)
    assert not torch.allclose(again, before)
    torch.testing.assert_close(again, patch_by_patch(image, network), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_folding_leaves_no_norm_and_a_frozen_network_is_converted_as_any():
    network = freeze(trained())
    folded, plain = (network.to_fully_convolutional(fold_norms=fold) for fold in (True, False))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in folded.modules()) == 0
    assert sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules()) == 14
    image = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(folded(image), plain(image), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_operating_point_is_folded_into_both_forms():
    network, patch = trained(), torch.rand(1, 2, 32, 32)
    before = network(patch).softmax(1)[0, 1].item()
    fold_threshold(network, before)  # its probability is now the threshold
    assert network(patch).softmax(1)[0, 1].item() == pytest.approx(0.5, abs=1e-5)
    whole = network.to_fully_convolutional()(patch)[0, :, 16, 16]
    assert whole.softmax(0)[1].item() == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 2, 31, 32), (1, 3, 32, 32), (2, 32, 32), (1, 2, 32, 32, 32)])
def test_patches_of_another_shape_are_refused_by_name(shape: tuple[int, ...]):
    rule = r"PatchCNN: patches must have the shape \(batch, 2, 32, 32\), got .*to_fully_conv"
    with pytest.raises(InputError, match=rule):
        trained()(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 3, 9, 9), (2, 9, 9), (1, 2, 9, 9, 9)])
def test_slices_of_other_channels_or_axes_are_refused_by_name(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"FullyConvolutionalCNN: image must .*2, x, y\), got"):
        trained().to_fully_convolutional()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"out_channels": 0}, "out_channels must be at least 1, got 0"),
        ({"filters": ()}, "number of filters must be 1 to 15, .* got 0"),
        ({"filters": [4] * 16}, "number of filters must be 1 to 15, .* got 16"),
        ({"filters": [4, 0]}, "filters must be at least 1, got 0"),
        ({"dense": ()}, "dense must name at least one layer"),
        ({"dense": [0]}, "dense must be at least 1, got 0"),
    ],
)
def test_impossible_counts_are_refused(options: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        PatchCNN(**{"in_channels": 2} | options)


@pytest.mark.parametrize("prefix", ["", "inner."])
@torch.no_grad()
def test_the_whole_slice_form_loads_a_state_of_the_patch_network(prefix: str):
    network, image = trained(), torch.rand(1, 2, 4, 4)
    fresh = PatchCNN(2).to_fully_convolutional()
    assert list(fresh.state_dict()) == list(network.state_dict())
    state = {prefix + name: value for name, value in network.state_dict().items()}
    (nn.ModuleDict({"inner": fresh}) if prefix else fresh).load_state_dict(state)
    assert torch.equal(fresh(image), network.to_fully_convolutional()(image))
    assert state[prefix + "dense.0.linear.weight"].ndim == 2
    fresh.load_state_dict(fresh.state_dict())  # its own fits as well
    other = PatchCNN(2, dense=(16, 128)).state_dict()
    with pytest.raises(RuntimeError, match=r"size mismatch for dense\.0\.linear\.weight"):
        fresh.load_state_dict(other)
    with pytest.raises(RuntimeError, match=r"Missing key.*convolutions\.0\.conv\.bias"):
        network.to_fully_convolutional(fold_norms=True).load_state_dict(network.state_dict())


FORMS = """
import torch
from monai_transfer.networks import PatchCNN
torch.manual_seed(0)
network = PatchCNN(2).eval()
patches, image = torch.rand(3, 2, 32, 32), torch.rand(2, 2, 21, 18)
forms = [(network, patches, torch.rand(5, 2, 32, 32))]
for fold_norms in (False, True):
    fcn = network.to_fully_convolutional(fold_norms=fold_norms)
    forms.append((fcn, image, torch.rand(1, 2, 9, 40)))
"""
"""Each form, an example to export it with, and another input for what was exported."""


def run(program: str, *options: str) -> None:
    """In a process of its own: the type checker's import hook wraps what is compiled."""
    command = [sys.executable, *options, "-c", FORMS + program + "\nprint('equal')"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("equal\n"), done.stdout + done.stderr


def test_torchscript_and_a_trace_give_the_same_logits():
    program = """
from monai.networks.utils import convert_to_torchscript
for form, example, other in forms:
    for use_trace in (False, True):
        exported = convert_to_torchscript(form, inputs=[example], use_trace=use_trace, verify=True)
        torch.testing.assert_close(exported(other), form(other))
"""
    run(program, "-W", "error", "-W", "ignore::DeprecationWarning")


def test_onnx_gives_the_same_logits_for_other_sizes():
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if find_spec(package) is None:
            pytest.skip(f"MONAI's export to ONNX needs {package}")
    program = """
import onnxruntime
from monai.networks.utils import convert_to_onnx
for form, example, other in forms:
    axes = [0] if example.shape[2:] == (32, 32) else [0, 2, 3]
    exported = convert_to_onnx(
        form,
        [example],
        input_names=["image"],
        output_names=["pred"],
        dynamic_axes={"image": axes, "pred": axes},
    )
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    for image in (example, other):
        pred = torch.from_numpy(session.run(["pred"], {"image": image.numpy()})[0])
        torch.testing.assert_close(pred, form(image).detach(), rtol=1e-4, atol=1e-5)
"""
    run(program, "-W", "ignore")


def test_monai_exports_the_whole_slice_form_from_the_weights_of_a_run(tmp_path: Path):
    network = trained()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    config = {
        "patches": {"_target_": "monai_transfer.networks.PatchCNN", "in_channels": 2},
        "network_def": "$@patches.to_fully_convolutional()",
    }
    (tmp_path / "inference.json").write_text(json.dumps(config), "utf-8")
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "ckpt_export", "network_def"]
    for name, file in (
        ("filepath", "model.ts"),
        ("ckpt_file", "model.pt"),
        ("config_file", "inference.json"),
    ):
        command += [f"--{name}", str(tmp_path / file)]
    subprocess.run([*command, "--input_shape", "[1,2,9,9]"], check=True, capture_output=True)
    image = torch.rand(2, 2, 7, 11)
    with torch.no_grad():
        logits = torch.jit.load(tmp_path / "model.ts")(image)
        torch.testing.assert_close(logits, network.to_fully_convolutional()(image))
