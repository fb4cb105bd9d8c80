import numpy as np

from monai_transfer.imaging import Image
from monai_transfer.imaging.registration.head import inside_head
from monai_transfer.imaging.registration.resampling import resample


def head(cut_mm: float = 0.0) -> tuple[Image, np.ndarray]:
    """A ball of 90 mm with a bright scalp, dark skull and a brain of 76 mm, and the depth in it."""
    affine = np.array([[-2.0, 0, 0, 100], [0, -2, 0, 100], [0, 0, 4, -100 + cut_mm], [0, 0, 0, 1]])
    index = np.moveaxis(np.indices((101, 101, 51)), 0, -1)
    radius = np.linalg.norm(index @ affine[:3, :3].T + affine[:3, 3], axis=-1)
    voxels = np.select([radius < 76, radius < 82, radius < 90], [100.0, 5.0, 160.0], 0)
    noise = np.random.default_rng(0).rayleigh(4, voxels.shape)
    return Image((voxels + noise).astype(np.float32), affine), 90 - radius


def test_the_mask_is_what_lies_deeper_than_scalp_and_skull():
    image, depth_mm = head()
    mask = resample(inside_head(image), image, interpolation="nearest").voxels
    assert not mask[depth_mm < 10].any()
    assert mask[depth_mm > 22].all()


def test_a_head_that_is_cut_off_goes_on_beyond_the_field_of_view():
    image, depth_mm = head(cut_mm=60.0)  # the lowest slice goes through the brain
    mask = resample(inside_head(image), image, interpolation="nearest").voxels
    assert mask[:, :, 0][depth_mm[:, :, 0] > 22].all()


def test_everything_serves_where_nothing_lies_deep():
    small = Image(np.ones((6, 6, 6), np.float32), np.eye(4))
    assert inside_head(small).voxels.all()
    assert inside_head(small.with_voxels(np.zeros((6, 6, 6)))).voxels.all()
