import io
import math

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from monai_transfer.errors import InputError
from monai_transfer.metrics.masks import DEFAULT_METRICS, METRICS
from monai_transfer.metrics.table import (
    best_median_worst,
    format_summary,
    metrics_frame,
    read_csv,
    summary,
    write_csv,
)


def scores_of(dice_by_region, **others):
    """Scores of a subject: Dice by region, all other metrics alike."""
    usual = dict.fromkeys(DEFAULT_METRICS, 0.25) | others
    return {
        (region, metric): dice if metric == "dice" else value
        for region, dice in dice_by_region.items()
        for metric, value in usual.items()
    }


@pytest.fixture
def frame():
    return metrics_frame(
        {
            "sub-1": scores_of({"core": 0.5, "whole": 0.8}, hd95_mm=4.0),
            "sub-2": scores_of({"core": 0.7, "whole": 0.9}, hd95_mm=8.0),
            "sub-3": scores_of({"core": math.nan, "whole": 0.4}, hd95_mm=math.nan),
        },
        groups={"sub-1": "HGG", "sub-2": "LGG", "sub-3": "LGG"},
    )


def test_there_is_one_row_for_each_subject_and_region(frame):
    assert frame.columns.tolist() == ["subject", "group", "region", *DEFAULT_METRICS]
    assert list(zip(frame["subject"], frame["region"], strict=True)) == [
        (f"sub-{i}", region) for i in (1, 2, 3) for region in ("core", "whole")
    ]
    assert frame["group"].tolist() == ["HGG", "HGG", "LGG", "LGG", "LGG", "LGG"]


def test_a_table_needs_subjects_and_the_group_of_each():
    with pytest.raises(InputError, match="hold at least one subject"):
        metrics_frame({})
    with pytest.raises(InputError, match="sub-2: groups must name every subject"):
        metrics_frame({"sub-1": {}, "sub-2": {}}, groups={"sub-1": "HGG"})


def test_a_table_read_back_is_the_same_to_the_last_bit(frame, tmp_path):
    frame.loc[0, "dice"] = 0.1 + 0.2  # 0.30000000000000004
    frame.loc[1, "dice"] = np.nextafter(1.0, 0.0)
    path = write_csv(frame, tmp_path / "new" / "metrics.csv")
    pd.testing.assert_frame_equal(read_csv(path), frame, check_exact=True)


def test_undefined_scores_are_written_as_such(frame, tmp_path):
    lines = write_csv(frame, tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0].startswith("subject,group,region,dice,iou,hd95_mm")
    assert lines[5] == "sub-3,LGG,core,n/a,0.25,n/a,0.25,0.25,0.25,0.25"


@pytest.mark.parametrize("name", ["001", "NA", "n/a", "None", "1e5", "a,b", "Zoë"])
def test_subjects_keep_their_names_through_a_file(name, tmp_path):
    frame = metrics_frame({name: {("lesion", "dice"): 0.5}})
    read = read_csv(write_csv(frame, tmp_path / "metrics.csv"))
    assert read["subject"].tolist() == [name]
    assert read["group"].tolist() == [""]


def test_a_write_that_fails_leaves_the_old_table_and_nothing_else(frame, tmp_path, monkeypatch):
    path = write_csv(frame, tmp_path / "metrics.csv")
    before = path.read_bytes()

    def half(self, target, **_):
        target.write_text("subject,gro")
        raise OSError("disk full")

    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(OSError, match="disk full"):
        write_csv(frame, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject,region,dice\na,core,1\n", r"columns must include subject, group, region"),
        ("subject,group,region,dice\na,,core,good\n", r"dice: score must be a number.*'good'"),
        ("subject,group,region,dice\na,,core,\n", r"dice: score must be a number or n/a, got ''"),
    ],
)
def test_a_file_that_is_no_metrics_table_is_refused_by_name(text, message, tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"metrics\.csv.*{message}"):
        read_csv(path)


def test_the_summary_is_mean_sample_sd_and_counts(frame):
    rows = summary(frame).set_index(["region", "metric"])
    core = rows.loc["core", "dice"]
    assert core["mean"] == pytest.approx((0.5 + 0.7) / 2)
    assert core["sd"] == pytest.approx(math.sqrt((0.1**2 + 0.1**2) / (2 - 1)))
    assert (core["n"], core["undefined"]) == (2, 1)
    whole = rows.loc["whole", "dice"]
    assert whole["mean"] == pytest.approx(0.7)  # (0.8 + 0.9 + 0.4) / 3
    assert (whole["n"], whole["undefined"]) == (3, 0)
    assert list(rows.index.unique("region")) == ["core", "whole"]


def test_groups_can_be_kept_apart(frame):
    rows = summary(frame, by=("group", "region")).set_index(["group", "region", "metric"])
    assert rows.loc[("HGG", "whole", "dice"), "mean"] == 0.8
    assert rows.loc[("LGG", "whole", "dice"), "mean"] == pytest.approx(0.65)
    assert math.isnan(rows.loc[("HGG", "whole", "dice"), "sd"])


def test_a_metric_defined_for_nobody_has_no_mean():
    frame = metrics_frame({"a": {("core", "dice"): math.nan}, "b": {("core", "dice"): math.nan}})
    (row,) = summary(frame).to_dict("records")
    assert math.isnan(row["mean"])
    assert (row["n"], row["undefined"]) == (0, 2)


def printed(table):
    console = Console(width=80, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


def test_the_printed_table_shows_means_spread_and_undefined_counts(frame):
    text = printed(format_summary(frame, title="Held-out subjects"))
    assert "Held-out subjects: 3 subjects" in text
    lines = text.splitlines()
    core = next(i for i, line in enumerate(lines) if "core" in line)
    assert [cell.strip() for cell in lines[core].split("│")[1:4]] == [
        "core",
        "0.600 ± 0.141",
        "0.250",
    ]
    assert [cell.strip() for cell in lines[core + 1].split("│")[1:5]] == [
        "",
        "(1 n/a)",
        "",
        "(1 n/a)",
    ]
    assert "0.700 ± 0.265" in lines[core + 2]
    assert "n/a" not in lines[core + 2]
    assert max(map(len, text.splitlines())) <= 80
    for heading in ("Dice", "IoU", "HD95 mm", "Sensitivity", "Precision"):
        assert heading in text


LESION_WISE = [m for m in METRICS if m.startswith("lesion_")]
WMH_CHALLENGE = ["dice", "hd95_mm", "absolute_volume_difference_fraction", *LESION_WISE]


def three_subjects(metrics):
    values = {"a": 0.25, "b": 0.75, "c": math.nan}
    return metrics_frame({s: {("lesion", m): v for m in metrics} for s, v in values.items()})


@pytest.mark.parametrize(
    ("metrics", "columns", "others"),
    [
        (DEFAULT_METRICS, ["Dice", "IoU", "HD95 mm", "Sensitivity", "Precision"], ""),
        (METRICS, ["Dice", "HD95 mm", "AVD", *["Lesion"] * 3], "iou, sensitivity, precision"),
        (WMH_CHALLENGE, ["Dice", "HD95 mm", "AVD", *["Lesion"] * 3], ""),
        (LESION_WISE, ["Lesion"] * 3, ""),
        (["dice", "iou", *LESION_WISE], ["Dice", "IoU", *["Lesion"] * 3], ""),
        (
            [m for m in METRICS if m not in ("hd95_mm", "lesion_recall")],
            ["Dice", "Sensitivity", "Precision", "AVD", "Lesion", "Lesion"],
            "iou",
        ),
    ],
)
def test_the_printed_table_has_the_metrics_that_fit_and_names_the_others(metrics, columns, others):
    table = format_summary(three_subjects(metrics))
    assert [str(column.header).split("\n")[0] for column in table.columns] == ["Region", *columns]
    text = printed(table)
    assert max(map(len, text.splitlines())) <= 80
    said = " ".join(text.split())
    assert (f"Also scored: {others}" in said) if others else ("Also scored" not in said)


def test_mean_and_spread_of_dice_stay_on_one_line_beside_the_lesion_scores():
    assert "0.500 ± 0.354" in printed(format_summary(three_subjects(WMH_CHALLENGE)))


def test_the_printed_table_says_when_nothing_is_defined_and_leaves_out_the_sd_of_one():
    frame = metrics_frame({"a": {("core", "dice"): math.nan, ("whole", "dice"): 0.5}})
    text = printed(format_summary(frame))
    assert "n/a (1)" in text
    assert "0.500" in text
    assert "±" not in text.split("whole")[1]


@pytest.mark.parametrize(
    ("truth_ml", "prediction_ml", "said"),
    [(2.0, 0.0, True), (0.0, 2.0, True), (2.0, 1.0, False), (0.0, 0.0, False)],
)
def test_the_printed_table_says_where_hd95_is_the_diagonal(truth_ml, prediction_ml, said):
    volumes = {"truth_volume_ml": truth_ml, "prediction_volume_ml": prediction_ml}
    scores = {("core", name): value for name, value in {"hd95_mm": 9.0, **volumes}.items()}
    text = " ".join(printed(format_summary(metrics_frame({"a": scores, "b": scores}))).split())
    assert ("only truth or prediction is empty: core 2" in text) is said


def test_best_median_and_worst_go_by_the_mean_over_regions():
    dice = {"a": (0.9, 0.1), "b": (0.6, 0.7), "c": (0.2, math.nan), "d": (math.nan, math.nan)}
    frame = metrics_frame(
        {s: {("core", "dice"): core, ("whole", "dice"): whole} for s, (core, whole) in dice.items()}
    )
    # means: a 0.5, b 0.65, c 0.2 over its one defined region, d none
    assert best_median_worst(frame) == {"best": "b", "median": "a", "worst": "c"}


@pytest.mark.parametrize(
    ("dice", "expected"),
    [
        ([0.4], {"best": "0"}),
        ([0.4, 0.6], {"best": "1", "worst": "0"}),
        ([0.4, 0.6, 0.1, 0.3], {"best": "1", "median": "0", "worst": "2"}),
        ([math.nan], {}),
    ],
)
def test_few_subjects_fill_fewer_places(dice, expected):
    frame = metrics_frame({str(i): {("core", "dice"): d} for i, d in enumerate(dice)})
    assert best_median_worst(frame) == expected
