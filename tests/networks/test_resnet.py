import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_transfer.errors import InputError
from monai_transfer.networks import PartedNetwork, ResNetClassifier, ResNetSegmenter, part_of

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "ResNetSegmenter": ResNetSegmenter,
    "ResNetClassifier": lambda *channels, **options: ResNetClassifier(
        *channels, **{"image_size": (64, 64)} | options
    ),
}


def trained(network: nn.Module) -> nn.Module:
    """The network in eval mode with norms that are no identity."""
    generator = torch.Generator().manual_seed(0)
    for norm in (m for m in network.modules() if isinstance(m, nn.BatchNorm2d)):
        for tensor, low in ((norm.running_mean, -0.5), (norm.running_var, 0.5), (norm.weight, 0.5)):
            tensor.data.copy_(low + torch.rand(tensor.shape, generator=generator))
    return network.eval()


def resnet50(image: Tensor, state: dict[str, Tensor]) -> Tensor:
    """ResNet-50 as torchvision builds it, up to layer4, from torchvision's tensors alone."""

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return functional.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, weight, bias, eps=1e-5)

    x = functional.relu(norm(conv(image, "conv1", 2), "bn1"))
    x = functional.max_pool2d(x, 3, stride=2, padding=1)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            out = functional.relu(norm(conv(x, f"{name}.conv1"), f"{name}.bn1"))
            out = functional.relu(norm(conv(out, f"{name}.conv2", stride), f"{name}.bn2"))
            out = norm(conv(out, f"{name}.conv3"), f"{name}.bn3")
            if block == 0:
                x = norm(conv(x, f"{name}.downsample.0", stride), f"{name}.downsample.1")
            x = functional.relu(out + x)
    return x


@torch.no_grad()
def test_the_encoder_is_resnet50_written_out_from_torchvision_s_names():
    torch.manual_seed(0)
    encoder = trained(ResNetSegmenter(3, 2, filters=8)).encoder
    image = torch.rand(2, 3, 96, 64)
    features = encoder(image)
    assert features.shape == (2, 256, 3, 2)
    assert features.std() > 0.1
    torch.testing.assert_close(features, resnet50(image, encoder.state_dict()))


def test_the_encoder_of_64_filters_has_the_parameters_of_resnet50_without_its_head():
    encoder = ResNetSegmenter(3, 2).encoder
    assert sum(p.numel() for p in encoder.parameters()) == 25557032 - 1000 * 2049
    assert len(encoder.state_dict()) == 318  # 53 weights, 5 tensors in each of 53 norms


@torch.no_grad()
def test_torchvision_s_own_resnet50_gives_the_same_features(torchvision_models: ModuleType):
    torch.manual_seed(0)
    theirs, features = (
        trained(torchvision_models.resnet50()).to(memory_format=torch.channels_last),
        [],
    )
    theirs.layer4.register_forward_hook(lambda *call: features.append(call[-1]))
    ours = ResNetSegmenter(3, 2).encoder.eval()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
    ours.load_state_dict(state)
    assert list(ours.state_dict()) == list(state)
    image = torch.rand(1, 3, 64, 96)
    theirs(image)
    torch.testing.assert_close(ours(image), features[0])


@pytest.mark.parametrize(
    ("network", "total"),
    [
        (lambda: ResNetSegmenter(1, 4), 24033548),
        (lambda: ResNetSegmenter(1, 4, filters=8), 393460),
        (lambda: ResNetClassifier(1, 16), 25707480),
        (lambda: ResNetClassifier(1, 16, filters=8), 2514576),
    ],
)
def test_documented_parameter_counts_are_true(network: Callable[[], nn.Module], total: int):
    built = network()
    assert sum(p.numel() for p in built.parameters()) == total
    assert f"{total:,}".replace(",", " ") in " ".join((type(built).__doc__ or "").split())


def rows(network: nn.Module, image: Tensor) -> list[tuple[str, str, str, str]]:
    """Part, layer, channels and parameters of each layer that has some, from the network."""
    found: list[tuple[str, str, str, str]] = []
    for part in network.parts:
        for name, layer in getattr(network, part).named_children():
            if part == "latent" and name == "activation":
                continue
            image = layer(image)
            if count := sum(p.numel() for p in layer.parameters()):
                found.append((part, name, str(image.shape[1]), str(count)))
    return found


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "documented"),
    [(ResNetSegmenter(1, 4), 18), (ResNetClassifier(1, 16), 2)],
    ids=lambda value: type(value).__name__,
)
def test_documented_layer_table_agrees_with_the_network(network: nn.Module, documented: int):
    text = (type(network).__doc__ or "").partition("::")[2].partition("Args:")[0]
    lines = [line for line in text.splitlines() if line.strip() and line.split()[-1].isdigit()]
    expected = rows(network.eval(), torch.zeros(1, 1, 256, 256))[-documented:]
    assert len(lines) == documented
    for line, (_, name, channels, count) in zip(lines, expected, strict=True):
        cells = line.split()
        assert name in cells[:2]
        assert cells[-1] == count
        assert channels in [cell.rstrip(",") for cell in cells[2:-1]]


def test_the_decoder_is_the_paper_s_ten_layers():
    decoder = ResNetSegmenter(1, 4).decoder
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    convolutions = [m for m in decoder.modules() if isinstance(m, kinds)]
    assert [type(m) is nn.ConvTranspose2d for m in convolutions] == [
        False,
        False,
        *[True, False] * 4,
    ]
    assert [m.stride[0] for m in convolutions] == [1, 1, *[2, 1] * 4]
    assert {m.kernel_size for m in convolutions} == {(3, 3)}
    slopes = [m.negative_slope for m in decoder.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 9
    assert decoder.output is convolutions[-1]


@torch.no_grad()
@pytest.mark.parametrize("latent_channels", [4, 8])
def test_the_latent_space_lies_at_a_sixteenth_with_the_channels_asked_for(latent_channels: int):
    network = ResNetSegmenter(1, 2, filters=4, latent_channels=latent_channels).eval()
    image = torch.rand(1, 1, 256, 256)
    assert network.latent(network.encoder(image)).shape == (1, latent_channels, 16, 16)


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (96, 64), (256, 32)])
def test_the_segmenter_keeps_the_image_size(size: tuple[int, int]):
    network = ResNetSegmenter(2, 5, filters=4).eval()
    assert network(torch.zeros(2, 2, *size)).shape == (2, 5, *size)


@torch.no_grad()
def test_encoder_and_latent_space_are_the_same_tensors_in_both_networks():
    shared = [
        {k: v.shape for k, v in network.state_dict().items() if part_of(network, k) in parts}
        for parts in [("encoder", "latent")]
        for network in (ResNetSegmenter(1, 4, filters=8), ResNetClassifier(1, 16, filters=8))
    ]
    assert shared[0] == shared[1]
    assert len(shared[0]) == 318 + 6


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_hold_every_tensor_exactly_once(name: str):
    network = NETWORKS[name](3, 7, filters=4)
    assert isinstance(network, PartedNetwork)
    assert {part_of(network, key) for key in network.state_dict()} == set(network.parts)
    assert [key for key, _ in network.named_children()] == list(network.parts)
    assert [(network.get_submodule(n).in_channels, k) for n, k in network.input_layers.items()] == [
        (3, 0)
    ]
    assert len(network.get_submodule(network.output_layer).weight) == 7
    assert network.eval()(torch.zeros(1, *network.example_shape)).shape[:2] == (1, 7)


def test_weights_are_drawn_as_he_says_and_biases_start_at_0():
    torch.manual_seed(0)
    network = ResNetClassifier(1, 16)
    hidden, conv = network.classifier.hidden, network.encoder.layer1[0].conv2
    gain = 2 / (1 + 0.2**2)
    assert hidden.weight.std().item() == pytest.approx((gain / 1024) ** 0.5, rel=0.01)
    assert conv.weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert not hidden.bias.any()
    assert not ResNetSegmenter(1, 2, filters=4).decoder.output.bias.any()


@torch.no_grad()
def test_channels_last_is_an_order_of_memory_and_changes_nothing_else():
    torch.manual_seed(0)
    network = trained(ResNetSegmenter(2, 3, filters=8)).double()  # so that no rounding is seen
    weight = network.encoder.layer1[0].conv2.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    image = torch.rand(1, 2, 64, 64).double()
    before = network(image)
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.contiguous()
    torch.testing.assert_close(network(image), before)


@pytest.mark.parametrize("size", [(48, 64), (64, 33), (0, 32)])
def test_a_size_that_is_no_multiple_of_32_is_refused_by_name(size: tuple[int, int]):
    with pytest.raises(InputError, match="image size must be a multiple of 32 on either axis, got"):
        ResNetSegmenter(1, 2, filters=4)(torch.zeros(1, 1, *size))


@pytest.mark.parametrize("shape", [(1, 2, 64, 64), (1, 64, 64), (1, 1, 64, 64, 64)])
def test_other_channels_or_axes_are_refused_by_name(shape: tuple[int, ...]):
    rule = r"ResNetSegmenter: image must have the shape \(batch, 1, x, y\), got"
    with pytest.raises(InputError, match=rule):
        ResNetSegmenter(1, 2, filters=4)(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(1, 1, 64, 96), (1, 2, 64, 64), (1, 64, 64)])
def test_the_classifier_takes_one_size_of_image(shape: tuple[int, ...]):
    rule = r"ResNetClassifier: image must have the shape \(batch, 1, 64, 64\), got"
    with pytest.raises(InputError, match=rule):
        NETWORKS["ResNetClassifier"](1, 2, filters=4)(torch.zeros(shape))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        ((0, 2), {}, "in_channels must be at least 1, got 0"),
        ((1, 0), {}, "out_channels must be at least 1, got 0"),
        ((1, 2), {"filters": 0}, "filters must be at least 1, got 0"),
        ((1, 2), {"latent_channels": 0}, "latent_channels must be at least 1, got 0"),
    ],
)
def test_impossible_counts_are_refused(
    name: str, channels: tuple[int, int], options: dict[str, int], message: str
):
    with pytest.raises(InputError, match=f"{name}: {message}"):
        NETWORKS[name](*channels, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"image_size": (256, 250)}, r"image_size must be two multiples of 32, got \(256, 250\)"),
        ({"image_size": (0, 32)}, "image_size must be two multiples of 32"),
        ({"image_size": [64]}, "image_size must be two multiples of 32"),
    ],
)
def test_impossible_classifiers_are_refused(options: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        ResNetClassifier(1, 2, filters=4, **options)


def test_torchscript_and_a_trace_give_the_same_logits():
    # in a process of its own: the type checker's import hook wraps what TorchScript compiles
    program = """
import torch
from monai_transfer.networks import ConditionalDiscriminator, ResNetClassifier, ResNetSegmenter
torch.manual_seed(0)
example = torch.rand(2, 2, 64, 96)
for network, other in (
    (ResNetSegmenter(2, 3, filters=4), torch.rand(1, 2, 32, 64)),
    (ResNetClassifier(2, 3, filters=4, image_size=(64, 96)), torch.rand(5, 2, 64, 96)),
    (ConditionalDiscriminator(2, filters=4), torch.rand(1, 2, 32, 48)),
):
    with torch.no_grad():
        network.eval()
        for exported in (torch.jit.script(network), torch.jit.trace(network, example)):
            for image in (example, other):
                torch.testing.assert_close(exported(image), network(image))
print("equal")
"""
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("equal\n"), done.stdout + done.stderr


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_that_batch_norm_cannot_train_on_is_refused(name: str):
    options = {"image_size": (32, 32)} if name == "ResNetClassifier" else {}
    network = NETWORKS[name](1, 2, filters=4, **options)
    told = r"hold two slices, .+, got 1 of 32×32\. Raise --batch_size, or lower --spacing_mm\."
    with pytest.raises(InputError, match=told):
        network(torch.zeros(1, 1, 32, 32))
    network(torch.zeros(2, 1, 32, 32))
    network.eval()(torch.zeros(1, 1, 32, 32))
