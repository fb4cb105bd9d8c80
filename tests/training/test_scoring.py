import copy
import zlib

import ignite.distributed as idist
import nibabel as nib
import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from sklearn.metrics import roc_auc_score

from monai_transfer.errors import InputError
from monai_transfer.metrics import score_regions
from monai_transfer.metrics.table import read_csv
from monai_transfer.training import ScoreSubjects, VolumeInferer, console, scoring, to_original_grid
from monai_transfer.transforms import k19

LABEL_VALUES = [0, 1, 4]
REGIONS = {"enhancing": [4], "core": [1, 4]}
LABELS = {"0": "background", "1": "necrotic core", "4": "enhancing"}
MODALITIES = ["t1", "flair"]


def scores_of(entries, output_dir, **options) -> ScoreSubjects:
    settings = {"labels": LABELS, "modalities": MODALITIES} | options
    return ScoreSubjects(entries, REGIONS, output_dir=output_dir, **settings)


def evaluate(entries, network, scores: ScoreSubjects, *, batch_size=1, probabilities=False):
    """As a bundle's ``test`` section does."""
    preset = k19()
    images = [{k: v for k, v in entry.items() if k != "label"} for entry in entries]
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(images, preset), batch_size=batch_size),
        network=network,
        inferer=VolumeInferer((32, 32, 32), amp=False),
        postprocessing=to_original_grid(
            preset, LABEL_VALUES, output_dir=None, probabilities=probabilities
        ),
        val_handlers=[scores],
    ).run()


@pytest.fixture(scope="module")
def evaluation(entries, seer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    scores = scores_of(entries, folder, picture_modality="t1")
    with console.capture() as printed:
        evaluate(entries, seer, scores)
    return folder, scores, printed.get()


def test_every_subject_is_scored_on_its_own_grid(evaluation, subjects):
    folder, scores, _ = evaluation
    table = read_csv(folder / "metrics.csv")
    assert table[["subject", "group", "region"]].to_numpy().tolist() == [
        ["sub-a", "HGG", "enhancing"],
        ["sub-a", "HGG", "core"],
        ["sub-bb", "HGG", "enhancing"],
        ["sub-bb", "HGG", "core"],
        ["sub-ccc", "LGG", "enhancing"],
        ["sub-ccc", "LGG", "core"],
    ]
    rows = iter(table.itertuples())
    for subject in subjects:  # predicted is what the images show; volumes and distances in mm
        expected = score_regions(subject.shown, subject.truth, REGIONS, spacing_mm=(1, 1, 1))
        for region in REGIONS:
            row = next(rows)
            for metric in ("dice", "iou", "hd95_mm", "sensitivity", "precision"):
                np.testing.assert_allclose(
                    getattr(row, metric), expected[region, metric], rtol=1e-6, err_msg=metric
                )
    dice = table["dice"].tolist()
    assert dice[:2] == [1.0, 1.0]
    assert 0 < dice[3] < 1
    assert np.isnan(dice[4])
    assert scores.frame.equals(table)


def test_probabilities_add_the_area_under_the_roc_curve_within_the_brain(
    entries, subjects, seer, tmp_path
):
    scores = scores_of(entries, tmp_path)
    with console.capture():
        evaluate(entries, seer, scores, probabilities=True)
    areas = scores.frame.set_index(["subject", "region"])["auc"]
    for subject, entry in zip(subjects, entries, strict=True):
        images = [nib.as_closest_canonical(nib.load(path)).get_fdata() for path in entry["image"]]
        brain = np.any([image != 0 for image in images], axis=0)
        for region, values in REGIONS.items():
            # the network marks what the images show about as surely everywhere
            truth, shown = (np.isin(v[brain], values) for v in (subject.truth, subject.shown))
            if truth.any():
                expected = roc_auc_score(truth, shown)
                assert areas[subject.name, region] == pytest.approx(expected, abs=0.02)
            else:
                assert np.isnan(areas[subject.name, region])
    assert 0 < areas.min() < 1


def test_the_means_are_printed(evaluation):
    _, scores, printed = evaluation
    assert "Test: 3 subjects" in printed
    core = scores.frame[scores.frame["region"] == "core"]["dice"]
    assert f"{core.mean():.3f} ± {core.std():.3f}" in printed
    assert "(1 n/a)" in printed


def test_best_median_and_worst_are_drawn(evaluation):
    folder, _, _ = evaluation
    pictures = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert pictures == {
        "overlays.png",
        "overlays/best.png",
        "overlays/median.png",
        "overlays/worst.png",
    }
    for picture in pictures:
        pixels = imread(folder / picture)[..., :3]
        coloured = np.ptp(pixels, axis=-1) > 0.2
        assert coloured.sum() > 100, picture


def test_pictures_show_truth_prediction_and_modality_in_one_orientation(
    entries, subjects, seer, tmp_path, monkeypatch
):
    drawn = {}
    monkeypatch.setattr(
        scoring, "overlay", lambda subject, path, **options: drawn.update({path.stem: subject})
    )
    monkeypatch.setattr(scoring, "overlay_strip", lambda pictured, path, **options: None)
    scores = scores_of(entries, tmp_path, picture_modality="t1")
    evaluate(entries, seer, scores)
    assert {role: subject.name for role, subject in drawn.items()} == {
        "best": "sub-a",
        "median": "sub-ccc",
        "worst": "sub-bb",
    }
    for subject in subjects:  # stored as LPS, RAS and oblique LIA
        (picture,) = (p for p in drawn.values() if p.name == subject.name)
        np.testing.assert_array_equal(picture.truth, subject.truth)
        np.testing.assert_array_equal(picture.prediction, subject.shown)
        np.testing.assert_array_equal(picture.images["t1"] > 500, subject.shown == 1)
        assert picture.spacing_mm == pytest.approx((1, 1, 1))
    assert drawn["best"].dice == {"enhancing": 1.0, "core": 1.0}


def test_label_values_that_are_one_class_are_scored_and_drawn_as_one(
    entries, subjects, seer, tmp_path, monkeypatch
):
    drawn = {}
    monkeypatch.setattr(
        scoring, "overlay", lambda subject, path, **options: drawn.update({subject.name: subject})
    )
    monkeypatch.setattr(scoring, "overlay_strip", lambda pictured, path, **options: None)
    scores = scores_of(entries, tmp_path, classes=[0, [1, 2, 3, 4]])
    scores.regions = {"whole": (1, 4)}
    evaluate(entries, seer, scores)
    dice = scores.frame.set_index("subject")["dice"]
    for subject in subjects:
        np.testing.assert_array_equal(drawn[subject.name].truth, subject.truth > 0)
        expected = score_regions(
            subject.shown, subject.truth > 0, {"whole": (1, 4)}, spacing_mm=(1, 1, 1)
        )
        assert dice[subject.name] == pytest.approx(expected["whole", "dice"], nan_ok=True)


def test_a_label_value_of_no_class_is_named_with_its_subject(entries, seer, tmp_path):
    scores = scores_of(entries, tmp_path, classes=[0, 1])
    with pytest.raises(InputError, match=r"^sub-a: label: values must be one of 0, 1, got 4"):
        evaluate(entries, seer, scores)


def test_batches_of_several_subjects_score_the_same(
    evaluation, entries, seer, tmp_path, monkeypatch
):
    monkeypatch.setattr(ScoreSubjects, "_draw", lambda self: None)
    scores = scores_of(entries[:2], tmp_path)
    evaluate(entries[:2], seer, scores, batch_size=2)
    expected = evaluation[1].frame.query("subject != 'sub-ccc'")
    assert scores.frame.equals(expected)


@pytest.mark.parametrize("modality", [None, "t1"])
def test_the_modality_is_found_in_a_4d_file_as_in_files(modality, entries, tmp_path):
    files = entries[2]["image"]
    stacked = np.stack([nib.load(path).get_fdata(dtype=np.float32) for path in files], -1)
    nib.save(nib.Nifti1Image(stacked, nib.load(files[0]).affine), tmp_path / "4d.nii.gz")
    images = []
    for image in (files, str(tmp_path / "4d.nii.gz")):
        scores = scores_of([{**entries[2], "image": image}], tmp_path, picture_modality=modality)
        scores._predictions = {"sub-ccc": zlib.compress(bytes(18 * 20 * 16))}
        scores.frame = scores.frame.reindex(columns=["subject", "region", "dice"])
        images.append(scores._pictured("sub-ccc").images)
    name = modality or "flair"
    np.testing.assert_array_equal(images[0][name], images[1][name])
    shown = nib.as_closest_canonical(nib.load(files[MODALITIES.index(name)]))
    np.testing.assert_array_equal(images[0][name], shown.get_fdata())


def test_predictions_are_kept_small(evaluation):
    sizes = [len(kept) for kept in evaluation[1]._predictions.values()]
    assert len(sizes) == 3
    assert max(sizes) < 18 * 20 * 16 / 10


def test_a_second_evaluation_replaces_the_first(entries, seer, tmp_path, monkeypatch):
    monkeypatch.setattr(ScoreSubjects, "_draw", lambda self: None)
    scores = scores_of(entries, tmp_path)
    evaluate(entries[1:], seer, scores)
    evaluate(entries[:1], seer, scores)
    assert set(read_csv(tmp_path / "metrics.csv")["subject"]) == {"sub-a"}


def test_a_missing_group_is_empty(entries, seer, tmp_path, monkeypatch):
    monkeypatch.setattr(ScoreSubjects, "_draw", lambda self: None)
    entry = {k: v for k, v in entries[0].items() if k != "group"}
    evaluate([entry], seer, scores_of([entry], tmp_path))
    assert set(read_csv(tmp_path / "metrics.csv")["group"]) == {""}


def test_entries_are_not_changed(entries, seer, tmp_path, monkeypatch):
    monkeypatch.setattr(ScoreSubjects, "_draw", lambda self: None)
    before = copy.deepcopy(entries)
    evaluate(entries, seer, scores_of(entries, tmp_path))
    assert entries == before


def test_an_unknown_picture_modality_is_refused_before_the_evaluation(entries, tmp_path):
    with pytest.raises(InputError, match="picture modality must be one of t1, flair, got t2"):
        scores_of(entries, tmp_path, picture_modality="t2")


def test_lesion_scores_are_written_and_printed_when_asked_for(
    entries, subjects, seer, tmp_path, monkeypatch
):
    monkeypatch.setattr(ScoreSubjects, "_draw", lambda self: None)
    wanted = ["dice", "absolute_volume_difference_fraction", "lesion_precision", "lesion_f1"]
    with console.capture() as printed:
        evaluate(entries, seer, scores_of(entries, tmp_path, metrics=wanted))
    table = read_csv(tmp_path / "metrics.csv")
    assert table.columns.tolist() == ["subject", "group", "region", *wanted]
    for subject, rows in zip(subjects, np.array_split(table[wanted].to_numpy(), 3), strict=True):
        expected = score_regions(
            subject.shown, subject.truth, REGIONS, spacing_mm=(1, 1, 1), metrics=wanted
        )
        np.testing.assert_allclose(rows.ravel(), list(expected.values()), rtol=1e-6)
    assert table["lesion_f1"].notna().any()
    assert "precision" in printed.get()
    assert "Sensitivity" not in printed.get()


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["dice", "lesion_f2"], "ScoreSubjects: metric must be .*got lesion_f2.*lesion_f1"),
        (["lesion_f1"], "ScoreSubjects: metrics must include dice, got lesion_f1"),
    ],
)
def test_impossible_metrics_are_refused_before_the_evaluation(metrics, message, entries, tmp_path):
    with pytest.raises(InputError, match=message):
        scores_of(entries, tmp_path, metrics=metrics)


def test_only_the_first_of_several_processes_scores(entries, seer, tmp_path, monkeypatch):
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    evaluate(entries[:1], seer, scores_of(entries[:1], tmp_path))
    assert list(tmp_path.iterdir()) == []
