import math

import pandas as pd
import pytest
from matplotlib.image import imread

from monai_transfer.errors import InputError
from monai_transfer.training.pictures import heatmap, heatmaps


@pytest.fixture
def figures(monkeypatch):
    """Figures on their way to the disk."""
    kept = []
    write = heatmaps.save
    monkeypatch.setattr(heatmaps, "save", lambda fig, path: kept.append(fig) or write(fig, path))
    return kept


@pytest.fixture
def scores():
    rows = pd.Index([0.01, 0.003], name="learning_rate")
    columns = pd.Index([0.5, 0.8, 1.0], name="class_weight_decay")
    return pd.DataFrame([[0.1, 0.5, math.nan], [0.4, 0.9, 0.3]], rows, columns)


def test_every_cell_says_its_score_and_spread_where_there_is_one(scores, tmp_path, figures):
    spread = scores / 10
    spread.iloc[1, 2] = math.nan
    path = heatmap(scores, tmp_path / "map.png", score="mean_dice", spread=spread)
    assert imread(path).std() > 0.05
    axis = figures[0].axes[0]
    said = {text.get_position(): text.get_text() for text in axis.texts}
    assert said[0, 0] == "0.100\n± 0.010"  # x is the column
    assert said[1, 1] == "0.900\n± 0.090"
    assert (said[2, 0], said[2, 1]) == ("n/a", "0.300")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0.01", "0.003"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("class weight decay", "learning rate")


def test_a_note_stands_below_its_number_and_makes_room(scores, tmp_path, figures):
    notes = scores.astype(object).map(lambda _: "")
    notes.iloc[0, 1] = "+0.100\ngain"
    heatmap(scores, tmp_path / "map.png", score="dice", notes=notes)
    heatmap(scores, tmp_path / "map.png", score="dice")
    said = {text.get_position(): text.get_text() for text in figures[0].axes[0].texts}
    assert (said[1, 0], said[0, 0], said[2, 0]) == ("0.500\n+0.100\ngain", "0.100", "n/a")
    assert figures[0].get_figheight() > figures[1].get_figheight()


def test_the_best_cell_is_framed(scores, tmp_path, figures):
    heatmap(scores, tmp_path / "map.png", score="dice", best=(0.003, 0.8))
    frames = figures[0].axes[0].patches
    assert {frame.get_xy() for frame in frames} == {(1 - 0.47, 1 - 0.46)}
    heatmap(scores, tmp_path / "map.png", score="dice")
    assert not figures[1].axes[0].patches


def test_numbers_can_be_read_on_their_colour(scores, tmp_path, figures):
    heatmap(scores, tmp_path / "map.png", score="dice")
    inks = {text.get_text(): text.get_color() for text in figures[0].axes[0].texts}
    assert (inks["0.100"], inks["0.900"], inks["n/a"]) == ("white", "#000000", "#000000")


def test_an_empty_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="heatmap: table must have at least one cell"):
        heatmap(pd.DataFrame(), tmp_path / "map.png", score="dice")
