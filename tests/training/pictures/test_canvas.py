import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from monai_transfer.training.pictures import canvas
from monai_transfer.training.pictures.canvas import colours_of, new_figure, save


def test_tumour_colours_are_the_red_green_and_yellow_of_the_paper():
    red, green, yellow = (to_rgb(c) for c in colours_of(["core", "oedema", "enhancing"]).values())
    assert np.argmax(red) == 0
    assert np.argmax(green) == 1
    assert np.argmin(yellow) == 2
    assert yellow[2] < 0.5 < min(yellow[:2])


# Machado 2009, full severity, on linear RGB
SEEN_BY = {
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


@pytest.mark.parametrize("eye", SEEN_BY)
def test_a_colour_blind_reader_can_tell_the_tumour_colours_apart(eye):
    def seen(colour):
        linear = np.array(SEEN_BY[eye]) @ np.array(to_rgb(colour)) ** 2.2
        return linear.clip(0, 1) ** (1 / 2.2)

    colours = [seen(c) for c in colours_of(["core", "oedema", "enhancing"]).values()]
    for one, other in itertools.combinations(colours, 2):
        assert np.linalg.norm(one - other) > 0.4
    assert np.linalg.norm(seen("lime") - seen("yellow")) < 0.2  # plain colours would not do


def test_unknown_labels_get_colours_of_their_own_in_the_order_given():
    colours = colours_of(["cyst", "core", "bleeding", "oedema"])
    assert list(colours) == ["cyst", "core", "bleeding", "oedema"]
    assert len(set(colours.values())) == 4


def test_more_labels_than_colours_repeat_them():
    assert len(colours_of([f"label {i}" for i in range(20)])) == 20


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_the_suffix_chooses_the_format_and_the_folder_is_made(suffix, magic, tmp_path):
    path = save(new_figure(2, 1), tmp_path / "new" / f"picture.{suffix}")
    assert path.read_bytes().startswith(magic)


def test_a_figure_is_as_large_as_asked_for(tmp_path):
    pixels = imread(save(new_figure(2, 1), tmp_path / "picture.png"))
    assert pixels.shape[:2] == (120, 240)


def test_a_picture_that_fails_leaves_the_old_one_and_nothing_else(tmp_path, monkeypatch):
    path = save(new_figure(2, 1), tmp_path / "picture.png")
    before = path.read_bytes()

    def half(self, target, **_):
        target.write_bytes(b"\x89PN")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="disk full"):
        canvas.save(new_figure(2, 1), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pyplot_knows_nothing_of_our_figures():
    new_figure(2, 1).subplots()
    assert plt.get_fignums() == []
