from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from monai_transfer._palette import GREEN, RED
from monai_transfer.errors import InputError
from monai_transfer.training.pictures import montage, overlay, overlay_strip, overlays

BRATS = {1: "core", 2: "oedema", 4: "enhancing"}


@pytest.fixture
def figures(monkeypatch):
    """Figures on their way to the disk."""
    kept = []
    write = overlays.save
    monkeypatch.setattr(overlays, "save", lambda fig, path: kept.append(fig) or write(fig, path))
    return kept


def pixels_like(path, colour):
    """Where a picture has almost exactly a colour: rows from the top, columns from the left."""
    difference = np.abs(imread(path)[..., :3] - np.array(to_rgb(colour))).max(axis=2)
    return np.argwhere(difference < 0.03)


def images_of(axes):
    return [axis for axis in axes if axis.images]


def test_an_overlay_is_image_truth_and_prediction_in_three_planes(subject, tmp_path, figures):
    path = overlay(subject, tmp_path / "a.png", labels=BRATS)
    assert path == tmp_path / "a.png"
    assert imread(path).std() > 0.05
    (figure,) = figures
    outlines = [len(axis.collections) for axis in figure.axes]
    assert outlines == [0, 0, 0, 3, 3, 3, 3, 3, 3]
    texts = [text.get_text() for text in figure.texts]
    assert texts[0] == "sub-01   Dice: enhancing 0.50, core n/a"
    assert {"axial", "coronal", "sagittal", "image", "truth", "prediction"} <= set(texts)


def test_rows_show_the_same_slices_of_their_own_label_map(subject, tmp_path, figures):
    overlay(subject, tmp_path / "a.png", labels={2: "oedema"})
    truth, prediction = figures[0].axes[3], figures[0].axes[6]  # axial
    tops = [
        max(path.vertices[:, 1].max() for path in axis.collections[0].get_paths())
        for axis in (truth, prediction)
    ]
    assert tops[1] - tops[0] == pytest.approx(2, abs=0.3)  # predicted 2 mm too far in front


def test_a_tumour_on_the_patient_s_left_is_left_in_the_axial_panel(subject, tmp_path, figures):
    path = overlay(subject, tmp_path / "a.png", labels=BRATS)
    legend_top = 0.95 * imread(path).shape[0]
    green = pixels_like(path, GREEN)
    box = figures[0].axes[3].get_position()
    width = imread(path).shape[1]
    in_axial = [
        column
        for row, column in green
        if row < legend_top and box.x0 * width <= column <= box.x1 * width
    ]
    assert len(in_axial) > 20
    assert max(in_axial) < (box.x0 + box.x1) / 2 * width


def test_without_truth_or_prediction_their_row_is_left_out(subject, tmp_path, figures):
    overlay(replace(subject, truth=None), tmp_path / "a.png", labels=BRATS)
    overlay(replace(subject, prediction=None), tmp_path / "b.png", labels=BRATS)
    for figure, kept, gone in zip(
        figures, ("prediction", "truth"), ("truth", "prediction"), strict=True
    ):
        texts = [text.get_text() for text in figure.texts]
        assert len(figure.axes) == 6
        assert kept in texts
        assert gone not in texts


def test_another_modality_can_be_shown(subject, tmp_path):
    paths = [
        overlay(subject, tmp_path / f"{m}.png", labels=BRATS, modality=m) for m in ("flair", "t1")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()  # t1 is flair / 2: the same greys
    with pytest.raises(InputError, match="modality must be one of flair, t1"):
        overlay(subject, tmp_path / "c.png", labels=BRATS, modality="t2")
    assert not (tmp_path / "c.png").exists()


def test_thick_slices_are_as_tall_as_they_are(subject, tmp_path, figures):
    overlay(replace(subject, spacing_mm=(1.0, 1.0, 4.0)), tmp_path / "a.png", labels=BRATS)
    overlay(subject, tmp_path / "b.png", labels=BRATS)
    extents = [figure.axes[1].images[0].get_extent() for figure in figures]  # coronal
    heights = [top - bottom for *_, bottom, top in extents]
    assert heights[0] == pytest.approx(4 * heights[1])


def test_a_strip_has_a_row_for_each_subject_under_its_heading(subject, tmp_path, figures):
    worst = replace(subject, name="sub-02", dice={"core": 0.1})
    overlay_strip({"best": subject, "worst": worst}, tmp_path / "a.png", labels=BRATS)
    (figure,) = figures
    texts = [text.get_text() for text in figure.texts]
    assert "best: sub-01   Dice: enhancing 0.50, core n/a" in texts
    assert "worst: sub-02   Dice: core 0.10" in texts
    assert [len(axis.collections) for axis in figure.axes] == [0, 3, 3, 0, 3, 3]
    assert texts.count("truth") == 1


def test_subjects_of_a_strip_share_one_scale(subject, tmp_path, figures):
    small = replace(
        subject,
        images={"flair": subject.image()[8:32, 8:40, 5:25]},
        truth=subject.truth[8:32, 8:40, 5:25],
        prediction=subject.prediction[8:32, 8:40, 5:25],
    )
    overlay_strip({"best": subject, "worst": small}, tmp_path / "a.png", labels=BRATS)
    limits = {axis.get_xlim() for axis in figures[0].axes}
    assert len(limits) == 1
    widths = [axis.images[0].get_extent()[1] for axis in figures[0].axes]
    assert widths[3] < widths[0]


def test_a_montage_is_subjects_by_modalities_with_outlines_only(subject, tmp_path, figures):
    real = replace(subject, name="real", images={"t1": subject.image("t1")}, truth=None)
    montage([subject, real], tmp_path / "a.png", labels=BRATS, modalities=("t1", "flair"))
    (figure,) = figures
    assert [len(axis.collections) for axis in figure.axes] == [3, 3, 0, 0]
    assert len(images_of(figure.axes)) == 3
    assert figure.axes[3].texts[0].get_text() == "not acquired"
    texts = [text.get_text() for text in figure.texts]
    assert {"t1", "flair", "sub-01", "real"} == set(texts)
    grey = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_the_usual_modalities_come_in_the_usual_order(subject, tmp_path, figures):
    montage([subject], tmp_path / "a.png", labels=BRATS)
    headings = [text.get_text() for text in figures[0].texts if text.get_text() != "sub-01"]
    assert headings == ["t1", "t1c", "t2", "flair"]


def test_a_healthy_subject_can_be_drawn(subject, tmp_path):
    empty = np.zeros_like(subject.truth)
    healthy = replace(subject, truth=empty, prediction=empty, dice={"core": float("nan")})
    path = overlay(healthy, tmp_path / "a.png", labels=BRATS)
    assert imread(path).std() > 0.05
    above_legend = pixels_like(path, RED)[:, 0] < 0.95 * imread(path).shape[0]
    assert not above_legend.any()


@pytest.mark.parametrize("draw", [lambda p: overlay_strip({}, p, labels=BRATS),
                                  lambda p: montage([], p, labels=BRATS)])  # fmt: skip
def test_a_picture_of_nobody_is_refused(draw, tmp_path):
    with pytest.raises(InputError, match="subjects must hold at least one subject"):
        draw(tmp_path / "a.png")
