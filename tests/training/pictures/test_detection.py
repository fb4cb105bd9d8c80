import numpy as np
import pandas as pd
import pytest

from monai_transfer.errors import InputError
from monai_transfer.metrics import detection_curve, lesion_overlaps
from monai_transfer.training.pictures import detection, detection_curves


def frame(*, connectivity: int = 26) -> pd.DataFrame:
    """One subject with a small lesion that is found and a large one that is not, one false."""
    truth, prediction = np.zeros((2, 6, 6, 6), int)
    truth[0, 0, 0] = truth[3:, 3:, 3:] = 1  # 1 mL and 27 mL
    prediction[0, 0, 0] = prediction[0, 5, 5] = 1
    overlaps = lesion_overlaps(
        prediction, truth, spacing_mm=(10, 10, 10), connectivity=connectivity
    )
    curve = detection_curve({"sub-1": overlaps, "sub-2": overlaps})
    return curve.assign(region="lesion", connectivity=connectivity)


def test_shares_are_of_all_lesions_and_false_ones_by_subject(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(detection, "save", lambda figure, path: drawn.update(figure=figure) or path)
    detection_curves(frame(), tmp_path / "detection.png")
    above, below = drawn["figure"].axes
    assert [line.get_label() for line in above.lines] == ["0 %", "20 %"]
    for line in above.lines:  # one of two, and none of the one that is above 1 mL
        np.testing.assert_allclose(line.get_ydata(), [0.5, 0.5, 0.0])
    for line in below.lines:
        np.testing.assert_allclose(line.get_ydata(), [1, 1, 0])
    assert above.get_title() == "lesion: lesions in 3D"


def test_a_column_for_each_connectivity_is_written(tmp_path):
    both = pd.concat([frame(), frame(connectivity=8)])
    path = detection_curves(both, tmp_path / "new" / "detection.png")
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_without_a_row_nothing_is_drawn(tmp_path):
    with pytest.raises(InputError, match="detection_curves: table must have at least one row"):
        detection_curves(frame().iloc[:0], tmp_path / "detection.png")
