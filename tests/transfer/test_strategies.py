import pytest

from monai_transfer.errors import InputError
from monai_transfer.transfer import STRATEGIES, Strategy, read_strategy

PARTS = ("encoder", "decoder", "head")


@pytest.mark.parametrize(
    ("name", "copied", "reset", "frozen"),
    [
        ("scratch", (), PARTS, ()),
        ("direct", PARTS, (), PARTS),
        ("untuned", PARTS, (), PARTS),
        ("all", ("encoder", "decoder"), ("head",), ()),
        ("decoder", ("encoder", "decoder"), ("head",), ("encoder",)),
        ("head", ("encoder", "decoder"), ("head",), ("encoder", "decoder")),
        ("encoder", ("encoder",), ("decoder", "head"), ()),
        ("continue", PARTS, (), ()),
        ("adabn", PARTS, (), PARTS),
    ],
)
def test_named_strategies_mean_what_the_papers_say(
    name: str, copied: tuple[str, ...], reset: tuple[str, ...], frozen: tuple[str, ...]
):
    strategy = STRATEGIES[name].resolve(PARTS)
    assert (strategy.copy, strategy.reset, strategy.freeze) == (copied, reset, frozen)


def test_encoder_latent_takes_the_latent_space_along():
    strategy = STRATEGIES["encoder_latent"].resolve(("encoder", "latent", "decoder"))
    assert (strategy.copy, strategy.reset) == (("encoder", "latent"), ("decoder",))
    assert strategy.freeze == ()
    with pytest.raises(InputError, match="a part in copy must be one of decoder, encoder, head"):
        STRATEGIES["encoder_latent"].resolve(PARTS)


def test_segmentor_copies_both_networks_and_freezes_the_critic():
    strategy = STRATEGIES["segmentor"].resolve(("segmentor", "critic"))
    assert (strategy.copy, strategy.reset) == (("segmentor", "critic"), ())
    assert strategy.freeze == ("critic",)


def test_every_named_strategy_is_tested_above():
    assert len(STRATEGIES) == 11


def test_a_part_named_wins_over_all_of_them():
    copied = read_strategy({"copy": ["*"], "reset": ["head"]}).resolve(PARTS)
    fresh = read_strategy({"copy": ["head"], "reset": ["*"]}).resolve(PARTS)
    assert (copied.copy, copied.reset) == (PARTS[:2], PARTS[2:])
    assert (fresh.copy, fresh.reset) == (PARTS[2:], PARTS[:2])


def test_a_strategy_written_in_a_config_is_read():
    fields = {"copy": ["*"], "freeze": ["encoder"], "rates": {"decoder": 0.1}, "norm": "frozen"}
    strategy = read_strategy(fields).resolve(PARTS)
    assert strategy == Strategy("custom", PARTS, (), ("encoder",), {"decoder": 0.1}, "frozen")
    assert read_strategy(strategy.as_dict()) == strategy


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("al", "strategy must be one of adabn, all, .* Did you mean all"),
        ({"freze": ["head"]}, "Did you mean freeze"),
        ({"copy": ["encodr"]}, "Did you mean encoder"),
        ({"copy": ["encoder"]}, "part decoder must be either copied or reset"),
        ({"copy": ["*", "head"], "reset": ["head"]}, "part head must be either .* got both"),
        ({"copy": ["*"], "reset": ["*"]}, "part encoder must be either .* got both"),
        ({"copy": ["*"], "rates": {"head": -1}}, "rate of head must be at least 0"),
        ({"copy": ["*"], "freeze": ["head"], "rates": {"head": 1}}, "part that is trained"),
        ({"copy": ["*"], "norm": "eval"}, "norm must be one of frozen, re-estimate, train"),
        ({"copy": ["*"], "norm": "re-estimate"}, "freezes every part, got freeze \\[\\]"),
        ({"copy": ["*"], "rate_decay": 0}, "rate_decay must be above 0 and at most 1, got 0"),
        ({"copy": ["*"], "rate_decay": 1.1}, "rate_decay must be above 0 and at most 1"),
        ({"copy": ["*"], "freeze_first": 1, "train_last": 1}, "one of freeze_first and train_last"),
        ("freeze:6", "freeze:6: frozen layers must be 0 to 5, the number .* layers, got 6"),
        ("last:6", "last:6: tuned layers must be 0 to 5, the number .* layers, got 6"),
        ("last:-1", "strategy must be one of .*last:<k>"),
    ],
)
def test_impossible_strategies_are_refused(strategy: object, message: str):
    with pytest.raises(InputError, match=message):
        read_strategy(strategy).resolve(PARTS, layers=5)


@pytest.mark.parametrize(
    ("name", "frozen"), [("freeze:0", 0), ("freeze:5", 5), ("last:0", 5), ("last:2", 3)]
)
def test_a_depth_copies_everything_and_says_how_many_layers_are_frozen(name: str, frozen: int):
    strategy = read_strategy(name).resolve(PARTS, layers=5)
    assert (strategy.copy, strategy.reset, strategy.freeze) == (PARTS, (), ())
    assert (strategy.name, strategy.freeze_first, strategy.train_last) == (name, frozen, None)
    assert strategy.needs_layers
    assert read_strategy(strategy.as_dict()).resolve(PARTS, layers=5) == strategy


def test_depth_and_decay_are_fields_of_a_config_beside_the_parts():
    fields = {"copy": ["*"], "reset": ["head"], "train_last": 2, "rate_decay": 0.9}
    strategy = read_strategy(fields).resolve(PARTS, layers=5)
    assert (strategy.reset, strategy.freeze_first, strategy.rate_decay) == (("head",), 3, 0.9)


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_of_parts_need_no_layers(name: str):
    assert not STRATEGIES[name].needs_layers


@pytest.mark.parametrize(
    ("name", "parts", "fit"),
    [
        ("all", ("encoder", "latent", "decoder"), "scratch, encoder, encoder_latent, continue"),
        ("head", ("encoder", "latent", "classifier"), "scratch, encoder, encoder_latent, continue"),
        ("encoder", ("segmentor", "critic"), "scratch, continue, segmentor"),
        ("segmentor", PARTS, "scratch, all, decoder, head, encoder, continue"),
    ],
)
def test_a_strategy_for_other_parts_is_refused_with_those_that_fit(
    name: str, parts: tuple[str, ...], fit: str
):
    told = f"Strategies for these parts: {fit}, freeze:<i>, last:<k>."
    with pytest.raises(InputError) as refused:
        STRATEGIES[name].resolve(parts)
    assert str(refused.value).endswith(told)
    for fitting in fit.split(", "):
        STRATEGIES[fitting].resolve(parts)
