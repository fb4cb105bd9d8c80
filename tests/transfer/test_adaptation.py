import dataclasses
import io
import json
from collections.abc import Callable, Mapping

import pytest
import torch
from rich.console import Console
from torch import nn

from monai_transfer.errors import InputError
from monai_transfer.networks import (
    PatchCNN,
    PathologyUNet,
    ResNetClassifier,
    ResNetSegmenter,
    SegAN,
)
from monai_transfer.transfer import STRATEGIES, Source, adapt

MODALITIES = ["t1", "flair"]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "PathologyUNet": lambda: PathologyUNet(2, 2, filters=2, resolution_steps=3),
    "PatchCNN": lambda: PatchCNN(2, filters=(4, 6, 5), dense=(8, 6)),
    "ResNetSegmenter": lambda: ResNetSegmenter(2, 3, filters=2),
    "ResNetClassifier": lambda: ResNetClassifier(2, 3, image_size=(64, 64), filters=2, hidden=5),
}
IMAGES = {
    "PathologyUNet": (2, 2, 8, 8, 8),
    "PatchCNN": (8, 2, 32, 32),
    "ResNetSegmenter": (4, 2, 64, 64),
    "ResNetClassifier": (4, 2, 64, 64),
}
LACKING = {
    "PathologyUNet": ("encoder_latent", "segmentor"),
    "PatchCNN": ("decoder", "head", "encoder", "encoder_latent", "segmentor"),
    "ResNetSegmenter": ("all", "decoder", "head", "segmentor"),
    "ResNetClassifier": ("all", "decoder", "head", "segmentor"),
}
"""Strategies that name a part which the network does not have."""
WITHOUT_ENCODER = {
    "convolutions kept": {"copy": ["*"], "reset": ["head"], "freeze": ["convolutions"]},
    "only the head": {"copy": ["*"], "reset": ["head"], "freeze": ["convolutions", "dense"]},
}
CASES: list[tuple[str, str | Mapping[str, object]]] = [
    *(
        (network, name)
        for network in NETWORKS
        for name in STRATEGIES
        if name not in LACKING[network]
    ),
    *(("PatchCNN", strategy) for strategy in WITHOUT_ENCODER.values()),
    ("ResNetSegmenter", {"copy": ["encoder"], "reset": ["*"], "freeze": ["encoder"]}),
    ("ResNetClassifier", {"copy": ["encoder", "latent"], "reset": ["*"], "freeze": ["latent"]}),
]


def trained_source(network: nn.Module) -> Source:
    """Weights no fresh network has, batch-norm statistics included."""
    generator = torch.Generator().manual_seed(1)
    state = {
        name: torch.rand(value.shape, generator=generator)
        if value.is_floating_point()
        else value + 7
        for name, value in network.state_dict().items()
    }
    return Source("lesions", state, tuple(MODALITIES), "0" * 64)


def train(network: nn.Module, groups: list[dict], steps: int = 3) -> None:
    optimiser = torch.optim.AdamW(groups, weight_decay=0.1)
    network.train()
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        image = 1 + torch.randn(IMAGES[type(network).__name__], generator=generator)
        optimiser.zero_grad()
        network(image).square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize(("name", "strategy"), CASES)
def test_every_network_and_strategy_keeps_the_transfer_contract(
    name: str, strategy: str | Mapping[str, object]
):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    fresh = {k: v.clone() for k, v in network.state_dict().items()}
    source = trained_source(network)
    adaptation = adapt(network, source, strategy=strategy, modalities=MODALITIES)
    start = {k: v.clone() for k, v in network.state_dict().items()}
    resolved = adaptation.strategy
    for tensor, value in start.items():  # the start is what the strategy promises
        part = tensor.split(".")[0]
        assert torch.equal(value, (source.state if part in resolved.copy else fresh)[tensor]), (
            tensor
        )
    totals = adaptation.report.totals()
    assert sum(totals[a]["tensors"] for a in ("loaded", "adapted", "reset", "re-estimated")) == len(
        start
    )
    if set(resolved.freeze) == set(network.parts):
        moving = totals["re-estimated"]["tensors"]
        assert totals["frozen"]["tensors"] + moving == len(start)
        assert bool(moving) == (strategy == "adabn")
        with pytest.raises(InputError, match="at least one parameter to train"):
            adaptation.parameter_groups(0.01)
        return
    train(network, adaptation.parameter_groups(0.01))
    adaptation.verify()
    for tensor, value in network.state_dict().items():  # frozen stayed, all else moved
        is_frozen = tensor.split(".")[0] in resolved.freeze
        assert torch.equal(value, start[tensor]) == is_frozen, tensor


@pytest.mark.parametrize(
    ("name", "strategy"), [(n, s) for n, all_ in LACKING.items() for s in all_]
)
def test_a_strategy_of_parts_that_a_network_lacks_is_refused(name: str, strategy: str):
    network = NETWORKS[name]()
    parts = ", ".join(sorted(network.parts))
    with pytest.raises(
        InputError, match=f"must be one of {parts}, got (encoder|decoder|latent|head|critic)"
    ):
        adapt(network, trained_source(network), strategy=strategy, modalities=MODALITIES)


def test_encoder_and_latent_space_go_from_a_classifier_to_a_segmenter():
    network, source = NETWORKS["ResNetSegmenter"](), trained_source(NETWORKS["ResNetClassifier"]())
    report = adapt(network, source, strategy="encoder_latent", modalities=MODALITIES).report
    copied = [r.name for r in report.tensors if r.action == "loaded"]
    assert {name.split(".")[0] for name in copied} == {"encoder", "latent"}
    assert all(torch.equal(network.state_dict()[name], source.state[name]) for name in copied)
    skipped = [r for r in report.tensors if r.action == "skipped"]
    assert {(r.name.split(".")[0], r.reason) for r in skipped} == {
        ("classifier", "not in the network")
    }


def test_the_proof_notices_a_weight_that_moved():
    adaptation = adapt(
        network := NETWORKS["PathologyUNet"](),
        trained_source(network),
        strategy="decoder",
        modalities=MODALITIES,
    )
    with torch.no_grad():
        network.encoder.steps[0][0].weight[0, 0, 0, 0, 0] += 1e-6
    with pytest.raises(InputError, match=r"encoder\.steps\.0\.0\.weight"):
        adaptation.verify()


def test_channels_are_matched_by_name_and_the_report_says_so():
    network = PathologyUNet(4, 2, filters=2, resolution_steps=3)
    source = trained_source(NETWORKS["PathologyUNet"]())
    report = adapt(
        network, source, strategy="continue", modalities=["t1", "t1c", "t2", "flair"]
    ).report
    record = next(r for r in report.tensors if r.name == "encoder.steps.0.0.weight")
    assert record.action == "adapted"
    assert record.reason.startswith("t1c from t1, t2 from flair, scaled by")
    assert report.totals()["adapted"]["tensors"] == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ["t2"],
            (
                "be those that its weights were trained on (t1, flair), got t2. Fine-tune them "
                "first: --source lesions --strategy all --modalities \"['t2']\"; or give t1, flair"
            ),
        ),
        (
            ["flair"],
            (
                "source lesions: modalities must be those that its weights were trained on "
                "(t1, flair), got flair. Fine-tune them first: --source lesions --strategy all "
                "--modalities \"['flair']\"; or give t1 too."
            ),
        ),
        (["t2", "flair"], "\"['t2','flair']\"; or give t1 too."),
        (["t1", "flair", "t2"], "or ask for t1, flair alone."),
    ],
)
def test_weights_as_they_are_take_no_other_modalities_than_they_were_trained_on(
    asked: list[str], message: str
):
    source = trained_source(NETWORKS["PathologyUNet"]())
    network = PathologyUNet(len(asked), 2, filters=2, resolution_steps=3)
    with pytest.raises(InputError) as caught:
        adapt(network, source, strategy="direct", modalities=asked)
    assert message in str(caught.value)
    assert adapt(network, source, strategy="all", modalities=asked).report.source == "lesions"


def test_untuned_applies_weights_knowingly_to_modalities_that_they_never_saw():
    source = trained_source(NETWORKS["ResNetSegmenter"]())
    network = ResNetSegmenter(1, 3, filters=2)
    report = adapt(network, source, strategy="untuned", modalities=["t2"]).report
    line = "The source never saw t2: its filters for t1, flair serve. Was that meant?"
    assert report.warnings == (line,)
    assert report.totals()["frozen"]["tensors"] == len(network.state_dict())
    same = adapt(
        ResNetSegmenter(2, 3, filters=2), source, strategy="untuned", modalities=MODALITIES
    )
    assert same.report.totals()["loaded"]["tensors"] == len(network.state_dict())


def test_all_of_segan_is_both_networks_tuned_and_none_of_it_renewed():
    network = SegAN(1, filters=2)
    source = dataclasses.replace(trained_source(network), modalities=("flair",))
    full, ours = (
        adapt(SegAN(1, filters=2), source, strategy=name, modalities=["t1c"])
        for name in ("all", "continue")
    )
    assert (full.strategy.name, full.strategy.reset) == ("all", ())
    assert dataclasses.replace(full.strategy, name="continue") == ours.strategy
    assert full.report.tensors == ours.report.tensors
    assert (
        full.report.totals()["reset"]["tensors"] == full.report.totals()["frozen"]["tensors"] == 0
    )
    assert all(parameter.requires_grad for parameter in full.network.parameters())
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(full.report.table())
    assert "lesions, strategy all" in console.export_text()
    with pytest.raises(InputError, match=r"got head. Strategies for these parts: .*continue, seg"):
        adapt(network, source, strategy="head", modalities=["t1c"])


def test_a_source_that_does_not_say_its_modalities_may_be_told_them():
    network = SegAN(2, filters=2)
    source = dataclasses.replace(trained_source(network), modalities=None)
    options = {"strategy": "segmentor", "modalities": ["t1", "flair"]}
    told = adapt(SegAN(2, filters=2), source, source_modalities=["flair", "t1"], **options)
    names = [r.name for r in told.report.tensors if r.action == "adapted"]
    assert names == [f"{layer}.weight" for layer in network.input_layers]  # reordered
    silent = adapt(SegAN(2, filters=2), source, **options)
    assert not [r for r in silent.report.tensors if r.action == "adapted"]


def test_what_a_source_says_of_itself_is_not_overruled():
    source = dataclasses.replace(trained_source(SegAN(1, filters=2)), modalities=("flair",))
    options = {"strategy": "segmentor", "modalities": ["t1c"]}
    said = adapt(SegAN(1, filters=2), source, source_modalities=["flair"], **options)
    silent = adapt(SegAN(1, filters=2), source, **options).report
    assert said.report == dataclasses.replace(silent, warnings=())
    assert silent.warnings
    with pytest.raises(InputError, match=r"source must be what its record says, flair, got t2\."):
        adapt(SegAN(1, filters=2), source, source_modalities=["t2"], **options)


def test_a_network_without_a_head_is_told_to_go_on_instead():
    network = ResNetSegmenter(1, 3, filters=2)
    source = trained_source(NETWORKS["ResNetSegmenter"]())
    with pytest.raises(InputError, match="--strategy continue --modalities"):
        adapt(network, source, strategy="direct", modalities=["flair"])
    adapt(network, source, strategy="continue", modalities=["flair"])


def test_a_source_of_other_widths_is_refused_with_both():
    source = trained_source(NETWORKS["ResNetSegmenter"]())
    told = r"encoder.conv1.weight has shape \(2, 2, 7, 7\), not \(4, 2, 7, 7\); .* same widths too"
    network = ResNetSegmenter(2, 3, filters=4)
    with pytest.raises(InputError, match=told):
        adapt(network, source, strategy="encoder_latent", modalities=MODALITIES)


def test_weights_as_they_are_give_the_same_for_channels_in_another_order():
    source = trained_source(NETWORKS["PathologyUNet"]())
    image = torch.rand(1, 2, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    outputs = []
    for names, channels in ((["t1", "flair"], image), (["flair", "t1"], image.flip(1))):
        network = NETWORKS["PathologyUNet"]()
        adapt(network, source, strategy="direct", modalities=names)
        with torch.no_grad():
            outputs.append(network.eval()(channels))
    torch.testing.assert_close(*outputs)


def test_less_than_promised_is_an_error_that_names_the_tensors():
    source = trained_source(NETWORKS["PathologyUNet"]())
    partial = {k: v for k, v in source.state.items() if not k.startswith("decoder.ups.0")}
    poorer = Source("half", partial, tuple(MODALITIES), "")
    with pytest.raises(
        InputError, match=r"source half: strategy all .* decoder.ups.0.up.weight is"
    ):
        adapt(NETWORKS["PathologyUNet"](), poorer, strategy="all", modalities=MODALITIES)
    four_classes = PathologyUNet(2, 4, filters=2, resolution_steps=3)
    with pytest.raises(InputError, match=r"head.output.weight has shape \(2, 2, 1, 1, 1\), not"):
        adapt(four_classes, source, strategy="direct", modalities=MODALITIES)


def test_tensors_only_the_source_has_are_listed_as_skipped():
    network = NETWORKS["PathologyUNet"]()
    state = {**trained_source(network).state, "aux.weight": torch.zeros(3)}
    source = Source("more", state, tuple(MODALITIES), "")
    report = adapt(network, source, strategy="continue", modalities=MODALITIES).report
    assert [(r.name, r.reason) for r in report.tensors if r.action == "skipped"] == [
        ("aux.weight", "not in the network")
    ]


def test_scratch_needs_no_source_and_the_others_do():
    report = adapt(NETWORKS["PathologyUNet"](), strategy="scratch", modalities=MODALITIES).report
    assert report.source is None
    with pytest.raises(InputError, match="strategy all must name a source"):
        adapt(NETWORKS["PathologyUNet"](), strategy="all", modalities=MODALITIES)


def test_norm_frozen_freezes_norms_inside_trained_parts():
    network = NETWORKS["PathologyUNet"]()
    strategy = {"copy": ["*"], "norm": "frozen"}
    adaptation = adapt(network, trained_source(network), strategy=strategy, modalities=MODALITIES)
    train(network, adaptation.parameter_groups(0.01))
    adaptation.verify()
    assert {name.split(".")[-1] for name in adaptation.frozen} >= {"running_mean", "running_var"}
    assert network.encoder.steps[0][0].weight.requires_grad


def test_the_report_is_json_and_its_table_names_every_part():
    network = NETWORKS["PathologyUNet"]()
    report = adapt(network, trained_source(network), strategy="head", modalities=MODALITIES).report
    content = json.loads(report.to_json())
    assert content["totals"] == report.totals()
    assert content["tensors"][0] == {
        "name": "encoder.steps.0.0.weight",
        "part": "encoder",
        "action": "loaded",
        "reason": "",
        "shape": [2, 2, 3, 3, 3],
        "frozen": True,
    }
    cells = [str(cell) for column in report.table().columns for cell in column.cells]
    assert {"encoder", "decoder", "head", "frozen", "trained"} <= set(cells)
