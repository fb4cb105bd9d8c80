import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from monai_transfer.errors import InputError
from monai_transfer.training.pictures import curves, dice_by_region, learning_curve


@pytest.fixture
def figures(monkeypatch):
    """Figures on their way to the disk."""
    kept = []
    write = curves.save
    monkeypatch.setattr(curves, "save", lambda fig, path: kept.append(fig) or write(fig, path))
    return kept


@pytest.fixture
def history():
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3, 4, 5],
            "loss": [2.0, 1.5, 1.0, 0.8, 0.7],
            "dice_mean": [math.nan, 0.3, math.nan, 0.6, 0.6],
            "dice_core": [math.nan, 0.2, math.nan, 0.5, 0.4],
            "dice_whole": [math.nan, 0.4, math.nan, 0.7, 0.8],
        }
    )


def line(axis, index=0):
    return list(zip(*axis.lines[index].get_data(), strict=True))


def test_loss_criterion_and_regions_have_a_panel_each(history, tmp_path, figures):
    metrics = ["dice_mean", "dice_core", "dice_whole"]
    path = learning_curve(history, tmp_path / "curve.png", metrics=metrics)
    assert imread(path).std() > 0.05
    loss, criterion, regions = figures[0].axes
    assert line(loss) == [(1, 2.0), (2, 1.5), (3, 1.0), (4, 0.8), (5, 0.7)]
    assert line(criterion) == [(2, 0.3), (4, 0.6), (5, 0.6)]  # epochs without validation skipped
    assert line(regions, 1) == [(2, 0.4), (4, 0.7), (5, 0.8)]
    names = [text.get_text() for text in regions.get_legend().get_texts()]
    assert names == ["Dice core", "Dice whole"]


def test_the_first_of_equally_good_epochs_is_marked_as_best(history, tmp_path, figures):
    learning_curve(history, tmp_path / "curve.png", metrics=["dice_mean", "dice_whole"])
    axes = figures[0].axes
    assert axes[0].get_title() == "best Dice mean 0.600 at epoch 4"
    assert all(set(axis.lines[-1 - (i == 1)].get_xdata()) == {4} for i, axis in enumerate(axes))
    assert line(axes[1], -1) == [(4, 0.6)]


def test_one_metric_needs_no_third_panel(history, tmp_path, figures):
    learning_curve(history, tmp_path / "curve.png", metrics=["dice_mean"])
    assert len(figures[0].axes) == 2


def test_a_mean_over_one_region_is_drawn_once(history, tmp_path, figures):
    history["dice_lesion"] = history["dice_mean"]
    learning_curve(history, tmp_path / "curve.png", metrics=["dice_mean", "dice_lesion"])
    assert len(figures[0].axes) == 2


def test_a_single_epoch_is_visible(history, tmp_path, figures):
    learning_curve(history.iloc[1:2], tmp_path / "curve.png", metrics=["dice_mean"])
    axis = figures[0].axes[0]
    assert axis.lines[0].get_marker() == "."
    assert axis.get_xlim() == (1.5, 2.5)


def test_a_history_without_any_validation_has_no_best_epoch(history, tmp_path, figures):
    history["dice_mean"] = math.nan
    learning_curve(history, tmp_path / "curve.png", metrics=["dice_mean"])
    assert figures[0].axes[0].get_title() == ""


@pytest.mark.parametrize(
    ("change", "metrics", "message"),
    [
        (lambda h: h, ["dice"], "columns must include epoch, loss, dice, got no dice"),
        (lambda h: h, [], "metrics must name at least one column"),
        (lambda h: h.iloc[:0], ["dice_mean"], "table must have at least one row"),
    ],
)
def test_a_history_that_cannot_be_drawn_is_refused(change, metrics, message, history, tmp_path):
    with pytest.raises(InputError, match=message):
        learning_curve(change(history), tmp_path / "curve.png", metrics=metrics)


def runs(**dice):
    """Rows for Dice by strategy: {cases: [one value for each run]}."""
    return pd.DataFrame(
        [
            {"strategy": strategy, "cases": cases, "region": region, "dice": value + offset}
            for strategy, by_cases in dice.items()
            for cases, values in by_cases.items()
            for value in values
            for region, offset in (("core", 0.0), ("whole", 0.1))
        ]
    )


def test_points_are_means_and_bars_are_sample_sds_over_runs(tmp_path, figures):
    frame = runs(all={4: [0.2, 0.4], 20: [0.5, 0.7, 0.6]})
    path = dice_by_region(frame, tmp_path / "dice.png")
    assert imread(path).std() > 0.05
    core, whole = figures[0].axes
    assert (core.get_title(), whole.get_title()) == ("core", "whole")
    points, _, (bars,) = core.containers[0]
    np.testing.assert_allclose(np.array(points.get_data(), float), [[4, 20], [0.3, 0.6]])
    halves = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    np.testing.assert_allclose(halves, [math.sqrt(2 * 0.1**2), 0.1])
    np.testing.assert_allclose(whole.containers[0][0].get_ydata().astype(float), [0.4, 0.7])


def test_strategies_stand_beside_each_other_at_ticks_of_the_true_cases(tmp_path, figures):
    dice_by_region(
        runs(scratch={4: [0.1], 20: [0.2]}, all={4: [0.3], 20: [0.4]}), tmp_path / "d.png"
    )
    axis = figures[0].axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["4", "20"]
    np.testing.assert_allclose(axis.get_xticks(), [4, 20])
    left, right = (c[0].get_xdata().astype(float) for c in axis.containers)
    assert (left < right).all()
    np.testing.assert_allclose([left, right], [[4, 20]] * 2, rtol=0.03)


@pytest.mark.parametrize(("dice", "low", "high"), [(0.01, 0.11, 0.13), (0.4, 1.0, 1.0)])
def test_curves_near_zero_fill_their_axis(dice, low, high, tmp_path, figures):
    dice_by_region(runs(all={4: [dice], 20: [dice]}), tmp_path / "dice.png")
    for axis in figures[0].axes:  # the second region's Dice is higher by 0.1
        bottom, top = axis.get_ylim()
        assert bottom == 0
        assert low <= top <= high


def test_a_strategy_without_training_cases_is_a_level_line(tmp_path, figures):
    dice_by_region(runs(direct={0: [0.1, 0.3]}, all={4: [0.5]}), tmp_path / "dice.png")
    axis = figures[0].axes[0]
    assert len(axis.containers) == 1
    level = next(item for item in axis.lines if item.get_label() == "direct")
    np.testing.assert_allclose(level.get_ydata(), 0.2)
    (legend,) = figures[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["direct", "all"]


def test_every_strategy_looks_different_and_the_papers_always_the_same(tmp_path, figures):
    names = ["scratch", "all", "decoder", "head", "freeze:3", "last:2"]
    dice_by_region(runs(**{n: {4: [0.5], 20: [0.6]} for n in names}), tmp_path / "a.png")
    dice_by_region(runs(head={4: [0.5]}, scratch={4: [0.6]}), tmp_path / "b.png")

    def looks(figure):
        return {
            container.get_label(): (container[0].get_color(), container[0].get_marker())
            for container in figure.axes[0].containers
        }

    many, few = map(looks, figures)
    assert len({colour for colour, _ in many.values()}) == len(names)
    assert len({marker for _, marker in many.values()}) == len(names)
    assert few == {name: many[name] for name in ("head", "scratch")}


def test_a_table_without_runs_or_columns_is_refused(tmp_path):
    with pytest.raises(InputError, match="got no region"):
        dice_by_region(runs(all={4: [0.5]}).drop(columns="region"), tmp_path / "dice.png")
    with pytest.raises(InputError, match="at least one row"):
        dice_by_region(runs(all={4: [0.5]}).iloc[:0], tmp_path / "dice.png")
