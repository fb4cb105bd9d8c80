from typing import Any

import pytest
from monai.bundle import ComponentLocator

from monai_transfer.bundle.references import (
    changed,
    components,
    is_used,
    normalised,
    parameters,
    reached,
    references,
    unfold,
)


def test_flat_ids_are_unfolded_beside_nested_ones():
    flat = {"train#sampler": 1, "train#dataloader#shuffle": False, "+imports": ["$import a"]}
    assert unfold(flat) == {
        "train": {"sampler": 1, "dataloader": {"shuffle": False}},
        "imports": ["$import a"],
    }


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("@a", {("a",)}),
        ("@a#b#0", {("a", "b", "0")}),
        ("@a::b", {("a", "b")}),
        ("$f(@a, x=@b#c) + @d", {("a",), ("b", "c"), ("d",)}),
        ("$@train#trainer.run()", {("train", "trainer")}),
        ("me@home.org", set()),
        ({"x": ["@a", {"y": "$@b"}]}, {("a",), ("b",)}),
        (3, set()),
    ],
)
def test_references_are_found_as_monai_finds_them(config: Any, expected: set[tuple[str, ...]]):
    assert references(config) == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (("run",), {("train", "trainer"), ("optimizer",), ("rate",)}),
        (("run", "1"), set()),
        (("optimizer",), {("rate",)}),
        (("unused",), {("unused",)}),  # which refers to itself
        (("nothing", "there"), set()),
    ],
)
def test_what_an_entry_comes_to_by_its_references(
    start: tuple[str, ...], expected: set[tuple[str, ...]]
):
    config = {
        "run": ["$@train::trainer.run()", "$print()"],
        "train": {"trainer": {"optimizer": "@optimizer"}, "data": "@unused"},
        "optimizer": {"lr": "@rate"},
        "rate": 0.1,
        "unused": ["@unused"],
    }
    assert reached(config, start) == expected


FILES = [{"seed": 0, "amp": True, "train": {"t": {"_target_": "T", "n": 1}, "h": [1]}}, {"seed": 9}]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"seed": 0}, []),
        ({"seed": 9}, []),  # as another file has it
        ({"seed": 1}, [("seed",)]),
        ({"amp": 1}, [("amp",)]),  # which equals True
        ({"new": None}, [("new",)]),
        ({"train": {"t": {"_target_": "T", "n": 2}, "h": [1]}}, [("train", "t", "n")]),
        ({"train": {"t": {"_target_": "T", "n": 1, "m": 1}}}, [("train", "t", "m")]),
        ({"train": {"h": [1, 2]}}, [("train", "h")]),
        ({"train": 4}, [("train",)]),
        ({"seed": {"a": 1}}, [("seed",)]),
    ],
)
def test_what_no_file_says_is_changed(config: dict[str, Any], expected: list[Any]):
    assert list(changed(config, FILES)) == expected


@pytest.mark.parametrize(
    ("identity", "used"),
    [
        (("train", "trainer"), True),
        (("train",), True),
        (("train", "trainer", "max_epochs"), True),
        (("train", "sampler"), False),
        (("validate",), False),
    ],
)
def test_an_id_is_used_through_what_it_holds_and_what_holds_it(
    identity: tuple[str, ...], *, used: bool
):
    assert is_used(identity, {("train", "trainer")}) is used


def test_components_are_found_around_and_inside_and_in_lists():
    config = {"a": {"_target_": "A", "x": {"y": [0, {"_target_": "B"}]}}, "c": 1}
    assert [where for where, _ in components(config, ("a", "x"))] == [("a",), ("a", "x", "y", "1")]
    assert [where for where, _ in components(config, ("a",))] == [("a",), ("a", "x", "y", "1")]
    assert list(components(config, ("c",))) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("monai_transfer.networks.PathologyUNet", {"in_channels", "out_channels", "filters"}),
        ("LrScheduleHandler", {"lr_scheduler", "print_lr"}),
        ("monai_transfer.bundle.open_cohort", {"disease", "modalities", "required"}),
        ("$@a.b", None),
        ("no.such.thing", None),
        ("DataLoader", None),  # takes any, for torch's own
    ],
)
def test_a_target_tells_its_arguments_where_it_can(target: str, expected: set[str] | None):
    taken = parameters({"_target_": target}, ComponentLocator())
    assert taken is None if expected is None else taken is not None and taken >= expected


def test_both_spellings_of_a_reference_are_one():
    ours = {"a": "@b#c", "d": ("$f(@b#c)", "x#y")}
    theirs = {"a": "@b::c", "d": ["$f(@b::c)", "x#y"]}
    assert normalised(ours) == normalised(theirs) == theirs
