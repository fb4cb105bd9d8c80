import numpy as np
import pytest

from monai_transfer.training.pictures import PicturedSubject


def ellipsoid(shape, centre, radii):
    grid = np.ogrid[tuple(slice(n) for n in shape)]
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) < 1


@pytest.fixture(scope="session")
def subject():
    """A grey egg with a tumour on the patient's left, in front and above."""
    shape = (40, 50, 30)
    head = ellipsoid(shape, (20, 25, 15), (16, 21, 12))
    flair = np.where(head, 100.0, 0.0)
    truth = np.zeros(shape, np.uint8)
    for value, radius in ((2, 5), (4, 3.5), (1, 2.5)):
        truth[ellipsoid(shape, (13, 31, 17), (radius,) * 3)] = value
    flair[truth > 0] = 180
    return PicturedSubject(
        "sub-01",
        {"flair": flair, "t1": flair / 2},
        truth,
        np.roll(truth, 2, axis=1),
        {"enhancing": 0.5, "core": float("nan")},
    )
