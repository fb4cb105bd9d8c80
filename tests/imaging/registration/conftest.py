from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from monai_transfer.imaging import Image
from monai_transfer.imaging.registration import (
    RAS_TO_LPS,
    Grid,
    LinearTransform,
    from_ras,
    resample,
)
from monai_transfer.simulation import simulate_subject


@pytest.fixture(scope="session")
def brain() -> dict[str, Image]:
    """T1 and FLAIR of a simulated subject at 2 mm, on one grid."""
    subject = simulate_subject("ms", 3, spacing_mm=2.0, protocol="3T-volume")
    t1, _, _, flair = subject.image.astype(np.float32)
    return {"t1": Image(t1, subject.grid.affine), "flair": Image(flair, subject.grid.affine)}


@pytest.fixture(scope="session")
def elsewhere() -> Callable[[Image, NDArray[np.float64]], tuple[Image, LinearTransform]]:
    """An image as scanned in another pose, on thick slices stored as LPS; and the true map."""

    def scan(image: Image, pose: NDArray[np.float64]) -> tuple[Image, LinearTransform]:
        slices = np.array([[-1.5, 0, 0, 96], [0, -1.5, 0, 80], [0, 0, 4, -68], [0, 0, 0, 1.0]])
        truth = from_ras(pose)
        grid = Grid((128, 136, 40), pose @ slices)
        return resample(image, grid, transform=truth.inverse()), truth

    return scan


@pytest.fixture(scope="session")
def error_mm() -> Callable[[LinearTransform, LinearTransform, Image], NDArray[np.float64]]:
    """Distances between where two maps send the voxels of a brain."""

    def distances(
        found: LinearTransform, truth: LinearTransform, image: Image
    ) -> NDArray[np.float64]:
        affine = RAS_TO_LPS @ image.affine
        points = np.argwhere(image.voxels > 0)[::20] @ affine[:3, :3].T + affine[:3, 3]
        return np.linalg.norm(found.points(points) - truth.points(points), axis=1)

    return distances
