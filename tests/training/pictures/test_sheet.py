import numpy as np
import pytest
from matplotlib.colors import to_rgb

from monai_transfer.training.pictures.canvas import colours_of
from monai_transfer.training.pictures.sheet import draw_slice, grey, mark_sides, new_sheet
from monai_transfer.training.pictures.subject import best_views

BRATS = {1: "core", 2: "oedema", 4: "enhancing"}


def new(**settings):
    usual = {"height_mm": 50.0, "labels": BRATS}
    return new_sheet({"axial": 40.0, "sagittal": 80.0}, ["image", "truth"], **usual | settings)


def inches(axis):
    box = axis.get_position()
    width, height = axis.figure.get_size_inches()
    return box.width * width, box.height * height


@pytest.mark.parametrize("headings_above", [False, True])
def test_every_place_of_a_sheet_has_the_same_scale(headings_above):
    sheet = new(headings_above=headings_above, title="sub-01")
    per_mm = []
    for row in sheet.axes:
        for axis, width_mm in zip(row, (40, 80), strict=True):
            assert axis.get_xlim() == (-width_mm / 2, width_mm / 2)
            assert axis.get_ylim() == (-25, 25)
            width, height = inches(axis)
            per_mm += [width / width_mm, height / 50]
    assert per_mm == pytest.approx([per_mm[0]] * 8)


def test_places_do_not_overlap_and_stay_on_the_sheet():
    boxes = [axis.get_position() for row in new(title="sub-01").axes for axis in row]
    assert all(0 <= b.x0 < b.x1 <= 1 and 0 <= b.y0 < b.y1 <= 1 for b in boxes)
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert not one.overlaps(other)


def test_headings_title_and_legend_are_written_on_the_sheet():
    figure = new(title="sub-01   Dice: core 0.5").figure
    texts = [text.get_text() for text in figure.texts]
    assert texts == ["sub-01   Dice: core 0.5", "image", "axial", "sagittal", "truth"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["core", "oedema", "enhancing"]
    colours = [patch.get_facecolor()[:3] for patch in legend.get_patches()]
    assert colours == [to_rgb(c) for c in colours_of(BRATS.values()).values()]
    assert new(labels={}).figure.legends == []


def test_however_much_is_said_nothing_leaves_the_sheet_or_covers_a_slice():
    regions = ["cerebellum", "brain stem", "basal ganglia and thalami", "ventricular csf"]
    regions += ["cortical grey matter", "white matter", "extracerebral csf"]
    said = "best: sub-01   Dice: " + ", ".join(f"{region} 0.50" for region in regions)
    sheet = new_sheet(
        dict.fromkeys(("image", "truth", "prediction"), 180.0),
        [said, said],
        height_mm=200.0,
        labels=dict(enumerate(regions, start=1)),
        title=said,
        headings_above=True,
    )
    figure = sheet.figure
    figure.canvas.draw()
    written = [text.get_window_extent() for text in [*figure.texts, *figure.legends]]
    slices = [axis.get_window_extent() for row in sheet.axes for axis in row]
    for box in written:
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1
    for i, box in enumerate(written):
        assert not any(box.overlaps(other) for other in [*slices, *written[:i]])


def drawn(subject, *, fill=0.5, label_map=None, labels=BRATS, plane="axial"):
    view = best_views(subject)[plane]
    (axis,) = new_sheet({plane: 50.0}, ["row"], height_mm=60.0, labels=labels).axes[0]
    image = subject.image()
    draw_slice(axis, image, view, label_map=label_map, labels=labels, fill=fill)
    return axis, np.asarray(axis.images[0].get_array()), view


def test_labels_tint_their_own_voxels_and_no_others(subject):
    _, bare, view = drawn(subject)
    _, tinted, _ = drawn(subject, label_map=subject.truth)
    cut = view.cut(subject.truth)
    np.testing.assert_array_equal(tinted[cut == 0], bare[cut == 0])
    for value, name in BRATS.items():
        expected = 0.5 * bare[cut == value] + 0.5 * np.array(
            to_rgb(colours_of(BRATS.values())[name])
        )
        assert (cut == value).any()
        np.testing.assert_allclose(tinted[cut == value], expected)


def test_without_fill_labels_are_outlines_alone(subject):
    axis, picture, _ = drawn(subject, fill=0, label_map=subject.truth)
    _, bare, _ = drawn(subject)
    np.testing.assert_array_equal(picture, bare)
    assert len(axis.collections) == 3


def test_inner_labels_are_outlined_over_outer_ones_whatever_their_order(subject):
    outer_to_inner = [
        to_rgb(colours_of(BRATS.values())[n]) for n in ("oedema", "enhancing", "core")
    ]
    for values in ((1, 2, 4), (4, 1, 2)):
        labels = {value: BRATS[value] for value in values}
        axis, *_ = drawn(subject, label_map=subject.truth, labels=labels)
        lines = [tuple(c.get_edgecolor()[0][:3]) for c in axis.collections]
        assert lines == outer_to_inner


def test_outlines_lie_on_the_voxels_they_surround(subject):
    axis, _, view = drawn(subject, label_map=subject.truth, labels={2: "oedema"})
    vertices = np.concatenate([p.vertices for p in axis.collections[0].get_paths()])
    _, columns = np.nonzero(view.cut(subject.truth) == 2)
    left = -view.size_mm[0] / 2
    # pixel i spans i to i + 1 mm from the left edge; the line runs within half a pixel of its edge
    assert vertices[:, 0].min() == pytest.approx(left + columns.min(), abs=0.51)
    assert vertices[:, 0].max() == pytest.approx(left + columns.max() + 1, abs=0.51)


def test_a_label_absent_from_the_slice_draws_nothing(subject):
    axis, *_ = drawn(subject, label_map=np.zeros_like(subject.truth))
    assert len(axis.collections) == 0


def test_the_background_is_black_and_the_head_is_not(subject):
    shifted = {"flair": subject.image() - 60}  # background −60, head 40: as after normalisation
    _, picture, view = drawn(type(subject)("shifted", shifted))
    head = view.cut(subject.image()) > 0
    assert (picture[~head] == 0).all()
    assert picture[head].min() > 0.3


def test_grey_ignores_a_few_extreme_voxels():
    image = np.pad(np.linspace(50, 100, 20**3).reshape(20, 20, 20), 4)
    image[12, 12, 12] = 1e6
    low, high = grey(image)
    assert low == 0
    assert 95 < high < 101


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_grey_of_a_constant_image_is_still_an_interval(value):
    low, high = grey(np.full((4, 4, 4), value))
    assert low <= value
    assert low < high


@pytest.mark.parametrize(
    ("plane", "letters"), [("axial", "LR"), ("coronal", "LR"), ("sagittal", "PA")]
)
def test_sides_are_marked_as_the_slice_shows_them(plane, letters, subject):
    axis, _, view = drawn(subject, plane=plane)
    mark_sides(axis, view)
    texts = sorted(axis.texts, key=lambda text: text.get_position()[0])
    assert "".join(text.get_text() for text in texts) == letters
