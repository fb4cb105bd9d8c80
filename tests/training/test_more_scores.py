import numpy as np
import pandas as pd
import pytest

from monai_transfer.metrics import (
    detection_curve,
    lesion_overlaps,
    read_csv,
    slice_counts,
    slice_summary,
)
from monai_transfer.training import ScoreSubjects, console
from monai_transfer.training.more_scores import DetectionScores, SliceScores

from .conftest import REGIONS
from .test_scoring import LABELS, MODALITIES, evaluate

SPACING = (1.0, 1.0, 1.0)
PLACES = ["overlap_cutoff_fraction", "volume_cutoff_ml"]


@pytest.fixture(scope="module")
def evaluation(entries, seer, tmp_path_factory):
    """Subjects stored as LPS, RAS and oblique LIA; what is printed."""
    folder = tmp_path_factory.mktemp("evaluation")
    scores = ScoreSubjects(
        entries, REGIONS, output_dir=folder, labels=LABELS, modalities=MODALITIES,
        slices=True, detection=True,
    )  # fmt: skip
    with console.capture() as printed:
        evaluate(entries, seer, scores)
    return folder, printed.get()


def test_slices_are_axial_and_scored_by_both_conventions(evaluation, subjects):
    table = pd.read_csv(evaluation[0] / "slice_scores.csv")
    expected = slice_summary([slice_counts(s.shown, s.truth, REGIONS) for s in subjects])
    pd.testing.assert_frame_equal(table, expected)
    other = slice_summary(
        [
            slice_counts(s.shown.transpose(0, 2, 1), s.truth.transpose(0, 2, 1), REGIONS)
            for s in subjects
        ]
    )
    assert not np.allclose(table["mean"], other["mean"])  # coronal ones would score otherwise


def test_the_means_of_slices_are_printed_under_both_conventions(evaluation):
    table = pd.read_csv(evaluation[0] / "slice_scores.csv")
    assert "By axial slice and by subject, mean of 2 regions" in evaluation[1]
    for row in table.itertuples():
        assert f"{row.mean:.3f}" in evaluation[1]


def test_lesions_are_told_apart_by_slice_and_in_3d_at_all_cutoffs(evaluation, subjects):
    table = pd.read_csv(evaluation[0] / "detection.csv", na_values="n/a", keep_default_na=False)
    assert len(table) == 3 * 2 * 2 * 6  # subjects, regions, connectivities, pairs of cut-offs
    for (region, connectivity), rows in table.groupby(["region", "connectivity"]):
        overlaps = {
            s.name: lesion_overlaps(
                *(np.isin(v, REGIONS[region]) for v in (s.shown, s.truth)),
                spacing_mm=SPACING, connectivity=connectivity,
            )
            for s in subjects
        }  # fmt: skip
        expected = detection_curve(overlaps)
        pd.testing.assert_frame_equal(rows[list(expected)].reset_index(drop=True), expected)
    assert set(map(tuple, table[PLACES].to_numpy())) == {
        (f, v) for f in (0, 0.2) for v in (0, 1, 2)
    }


def test_they_are_drawn(evaluation):
    assert (evaluation[0] / "detection.png").stat().st_size > 10_000


def test_without_being_asked_for_neither_is_written(entries, seer, tmp_path):
    scores = ScoreSubjects(
        entries[:1], REGIONS, output_dir=tmp_path, labels=LABELS, modalities=MODALITIES
    )
    with console.capture():
        evaluate(entries[:1], seer, scores)
    assert not [*tmp_path.glob("slice_scores*"), *tmp_path.glob("detection*")]
    assert len(read_csv(tmp_path / "metrics.csv")) == 2


def test_a_second_evaluation_begins_anew(entries, subjects, seer, tmp_path):
    scores = ScoreSubjects(
        entries, REGIONS, output_dir=tmp_path, labels=LABELS, modalities=MODALITIES, slices=True
    )
    with console.capture():
        evaluate(entries, seer, scores)
        evaluate(entries[:1], seer, scores)
    table = pd.read_csv(tmp_path / "slice_scores.csv")
    first = subjects[0]
    expected = slice_summary([slice_counts(first.shown, first.truth, REGIONS)])
    pd.testing.assert_frame_equal(table, expected)


@pytest.mark.parametrize("kind", [SliceScores, DetectionScores])
def test_a_false_lesion_and_a_missed_one_are_counted(kind):
    truth, prediction = np.zeros((2, 6, 6, 4), np.int32)
    truth[1, 1, 1], prediction[4, 4, 2] = 1, 1
    scores = kind({"lesion": [1]})
    scores.add(prediction, truth, spacing_mm=SPACING, subject="sub-01")
    frame = scores.frame()
    if kind is SliceScores:
        means = frame.set_index(["metric", "unit", "empty"])["mean"]
        assert (means["dice", "slice", "skip"], means["dice", "slice", "one"]) == (0, 0.5)
    else:
        row = frame.query("connectivity == 26 and volume_cutoff_ml == 0").iloc[0]
        assert (row["detected_lesions"], row["false_positive_lesions"]) == (0, 1)
