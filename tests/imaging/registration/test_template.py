import numpy as np
from scipy import ndimage

from monai_transfer.imaging.registration import mni152, mni152_focus


def test_the_template_is_a_brain_of_its_known_size_at_1_mm():
    template = mni152()
    np.testing.assert_array_equal(template.spacing_mm, 1)
    assert template.voxels.dtype == np.float32
    assert 1.7e6 < np.count_nonzero(template.voxels) < 2.0e6  # mm³
    centre = template.affine @ [*ndimage.center_of_mass(template.voxels > 0), 1]
    np.testing.assert_allclose(centre[:3], [0, -22, 9.5], atol=2)


def test_the_focus_is_the_brain_and_6_mm_around():
    brain, focus = mni152().voxels > 0, mni152_focus().voxels
    assert focus[brain].all()
    for axis in range(3):  # beyond the brain's outermost voxel
        last = np.argwhere(brain)[np.argwhere(brain)[:, axis].argmax()]
        step = np.eye(3, dtype=int)[axis]
        assert focus[tuple(last + 6 * step)]
        assert not focus[tuple(last + 7 * step)]
