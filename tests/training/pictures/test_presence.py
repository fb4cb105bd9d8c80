import numpy as np
import pytest

from monai_transfer.errors import InputError
from monai_transfer.training.pictures import presence, presence_map

NAMES = ["thalamus", "brain"]


def test_rows_are_structures_and_slices_lie_where_they_are(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(presence, "save", lambda figure, path: drawn.update(figure=figure) or path)
    truth = np.array([[False, True], [True, True]])
    probability = np.array([[0.25, 0.5], [0.75, 1.0]], np.float32)
    z = np.array([3, 5])  # slice 4 is missing
    presence_map(truth, probability, tmp_path / "p.png", z=z, names=NAMES, title="sub-1")
    first, second = drawn["figure"].axes[:2]
    told, found = (axis.images[0].get_array() for axis in (first, second))
    np.testing.assert_array_equal(told.filled(-1), [[0, -1, 1], [1, -1, 1]])
    np.testing.assert_array_equal(found.filled(-1), [[0.25, -1, 0.75], [0.5, -1, 1]])
    assert first.images[0].get_extent()[:2] == [2.5, 5.5]
    assert [label.get_text() for label in first.get_yticklabels()] == NAMES


def test_a_picture_is_written(tmp_path):
    values = np.zeros((4, 2))
    path = presence_map(values > 0, values, tmp_path / "new" / "p.png", z=np.arange(4), names=NAMES)
    assert path.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("shape", [(0, 2), (3, 1), (4, 2)])
def test_what_does_not_fit_is_refused(shape, tmp_path):
    values = np.zeros(shape)
    z = np.arange(0 if not shape[0] else 3)
    with pytest.raises(InputError, match="truth and probability must have shape"):
        presence_map(values > 0, values, tmp_path / "p.png", z=z, names=NAMES)
