import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from monai_transfer.studies import Z22Results

SUBJECTS = [f"sub-{i:02d}" for i in range(8)]
SPREAD = np.linspace(-0.1, 0.1, len(SUBJECTS))
AS_PUBLISHED = {
    "scratch": 0.40,
    "mri-segmentation": 0.62,
    "mri-autoencoding": 0.58,
    "mri-classification": 0.45,
    "natural-segmentation": 0.56,
    "natural-autoencoding": 0.57,
    "natural-classification": 0.42,
}
DETECTION = {
    "connectivity": [8, 8, 26],
    "overlap_cutoff_fraction": [0.0, 0.2, 0.0],
    "volume_cutoff_ml": [0.0, 0.0, 0.0],
    "truth_lesions": 10,
    "prediction_lesions": 12,
    "false_positive_lesions": 2,
}


def study(scores: dict[str, float], recalls: dict[str, float] | None = None) -> Z22Results:
    """Every source on every target with two seeds: `scores`, and lesions detected as `recalls`."""
    subjects, slices, detection = [], [], []
    for target, cases in (("stroke", 4), ("stroke", 14), ("ms", 12), ("anatomy", 12)):
        for number, (source, score) in enumerate(scores.items()):
            for seed in (0, 1):
                at = {"target": target, "source": source, "cases": cases, "seed": seed}
                wobble = np.random.default_rng([number, cases, seed]).normal(0, 0.003, 8)
                values = score + SPREAD + wobble
                table = pd.DataFrame({"subject": SUBJECTS, "dice": values, "iou": values - 0.05})
                subjects.append(table.assign(**at))
                slices.append(summary(score).assign(**at))
                if target != "anatomy":
                    recall = (recalls or {}).get(source, 0.5)
                    detection.append(found(recall).assign(**at))
    return Z22Results(
        *(pd.concat(part, ignore_index=True) for part in (subjects, slices, detection))
    )


def summary(score: float) -> pd.DataFrame:
    rows = [
        {"metric": metric, "unit": unit, "empty": empty, "mean": score + shift, "n": 40}
        for metric, shift in (("dice", 0.0), ("iou", -0.1))
        for unit in ("slice", "subject")
        for empty in ("skip", "one")
    ]
    return pd.DataFrame(rows)


def found(recall: float) -> pd.DataFrame:
    """Each subject's lesions: the figure of the paper at `recall`, the others all missed."""
    table = pd.DataFrame(DETECTION)
    detected = [round(10 * recall), 0, 0]
    parts = [
        table.assign(
            subject=name, region="lesion", detected_lesions=detected, recall=[recall, 0, 0]
        )
        for name in SUBJECTS
    ]
    return pd.concat(parts)


def answers(results: Z22Results) -> dict[str, str]:
    return {verdict.claim: verdict.answer for verdict in results.verdicts()}


def test_results_like_the_paper_s_support_all_of_its_claims():
    assert set(answers(study(AS_PUBLISHED)).values()) == {"supported"}


@pytest.mark.parametrize(
    ("changed", "claim", "answer"),
    [
        ({"natural-segmentation": 0.70}, "Z22.1", "not supported"),
        ({"natural-segmentation": 0.624}, "Z22.1", "supported"),  # within the margin of .01
        ({"natural-segmentation": 0.63}, "Z22.1", "undecided"),  # at its end
        ({"mri-classification": 0.60}, "Z22.2", "not supported"),
        ({"natural-classification": 0.30}, "Z22.2", "supported"),
    ],
)
def test_scores_decide(changed: dict[str, float], claim: str, answer: str):
    assert answers(study(AS_PUBLISHED | changed))[claim] == answer


@pytest.mark.parametrize(
    ("recall", "answer"), [(0.55, "supported"), (0.9, "not supported"), (0.1, "not supported")]
)
def test_detection_decides_about_detection_alone(recall: float, answer: str):
    results = study(AS_PUBLISHED, {"natural-autoencoding": recall})
    assert answers(results) == answers(study(AS_PUBLISHED)) | {"Z22.3": answer}


def test_evidence_names_the_extremes():
    verdict = study(AS_PUBLISHED).verdicts()[0]
    assert "lowest of 12: " in verdict.evidence  # six other sources, two targets
    assert "mri-segmentation minus mri-autoencoding +0.0" in verdict.evidence
    assert "mri-segmentation minus scratch +0.2" in verdict.evidence


def test_gains_are_those_of_volumes_at_the_most_cases_with_their_score():
    gains = study(AS_PUBLISHED).gains()
    first = gains[gains["claim"] == "Z22.1"]
    assert set(zip(first["target"], first["cases"], first["score"], strict=True)) == {
        ("stroke", 14, "dice"),
        ("anatomy", 12, "iou"),
    }
    low = gains[gains["claim"] == "Z22.2"]
    assert set(low["than"]) == {"mri-classification", "natural-classification"}
    assert all(low["better"].str.split("-").str[0] == low["than"].str.split("-").str[0])
    row = first[(first["target"] == "stroke") & (first["than"] == "scratch")].iloc[0]
    assert row["mean"] == pytest.approx(0.62 - 0.40, abs=0.01)
    assert row["low"] < row["mean"] < row["high"]
    assert row["n"] == 8


def test_without_a_claim_s_sources_it_is_undecided():
    few = {name: AS_PUBLISHED[name] for name in ("scratch", "natural-segmentation")}
    assert set(answers(study(few)).values()) == {"undecided"}


def test_networks_that_learnt_nothing_are_not_as_good_as_one_another():
    results = study({name: 0.02 + score / 1000 for name, score in AS_PUBLISHED.items()})
    assert set(answers(results).values()) == {"undecided"}
    assert "hardly anything was learnt of stroke (14 cases), anatomy (12 cases)" in (
        results.verdicts()[0].evidence
    )


def test_the_anatomy_is_scored_by_iou_and_lesions_by_dice():
    means = study(AS_PUBLISHED).by_slice().groupby(["target", "source"])["mean"].mean()
    assert means["anatomy", "mri-segmentation"] == pytest.approx(0.52)
    assert means["ms", "mri-segmentation"] == pytest.approx(0.62)


def test_everything_is_written(tmp_path: Path):
    study(AS_PUBLISHED).write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("subjects.csv", "slices.csv", "detection.csv", "gains.csv", "claims.json"),
        *("stroke_dice_by_cases.png", "detection.png"),
    }
    said = json.loads((tmp_path / "claims.json").read_text())
    assert [verdict["claim"] for verdict in said] == ["Z22.1", "Z22.2", "Z22.3"]
    for name in ("stroke_dice_by_cases.png", "detection.png"):
        assert imread(tmp_path / name)[..., :3].std() > 0.05
