import pytest

from monai_transfer.errors import InputError
from monai_transfer.transfer import STRATEGIES, Strategy, read_strategy

PARTS = ("encoder", "decoder", "head")


@pytest.mark.parametrize(
    ("name", "copied", "reset", "frozen"),
    [
        ("scratch", (), PARTS, ()),
        ("direct", PARTS, (), PARTS),
        ("all", ("encoder", "decoder"), ("head",), ()),
        ("decoder", ("encoder", "decoder"), ("head",), ("encoder",)),
        ("head", ("encoder", "decoder"), ("head",), ("encoder", "decoder")),
        ("continue", PARTS, (), ()),
    ],
)
def test_named_strategies_mean_what_the_papers_say(
    name: str, copied: tuple[str, ...], reset: tuple[str, ...], frozen: tuple[str, ...]
):
    strategy = STRATEGIES[name].resolve(PARTS)
    assert (strategy.copy, strategy.reset, strategy.freeze) == (copied, reset, frozen)


def test_every_named_strategy_is_tested_above():
    assert len(STRATEGIES) == 6


def test_a_strategy_written_in_a_config_is_read():
    fields = {"copy": ["*"], "freeze": ["encoder"], "rates": {"decoder": 0.1}, "norm": "frozen"}
    strategy = read_strategy(fields).resolve(PARTS)
    assert strategy == Strategy("custom", PARTS, (), ("encoder",), {"decoder": 0.1}, "frozen")
    assert read_strategy(strategy.as_dict()) == strategy


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("al", "strategy must be one of all, .* Did you mean all"),
        ({"freze": ["head"]}, "Did you mean freeze"),
        ({"copy": ["encodr"]}, "Did you mean encoder"),
        ({"copy": ["encoder"]}, "part decoder must be either copied or reset"),
        ({"copy": ["*", "head"], "reset": ["head"]}, "part head must be either .* got both"),
        ({"copy": ["*"], "rates": {"head": -1}}, "rate of head must be at least 0"),
        ({"copy": ["*"], "freeze": ["head"], "rates": {"head": 1}}, "part that is trained"),
        ({"copy": ["*"], "norm": "eval"}, "norm must be one of frozen, train"),
    ],
)
def test_impossible_strategies_are_refused(strategy: object, message: str):
    with pytest.raises(InputError, match=message):
        read_strategy(strategy).resolve(PARTS)
