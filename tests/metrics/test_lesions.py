import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.errors import InputError
from monai_transfer.metrics.lesions import lesion_overlaps, lesion_volumes_ml, lesions

ISOTROPIC = (1.0, 1.0, 1.0)
IN_SLICE = np.zeros((3, 3, 3), bool)
IN_SLICE[:, :, 1] = True
STRUCTURES = {26: np.ones((3, 3, 3)), 8: IN_SLICE}


def mask(*voxels, shape=(5, 5, 5)):
    result = np.zeros(shape, bool)
    for voxel in voxels:
        result[voxel] = True
    return result


@pytest.mark.parametrize(
    ("neighbour", "in_3d", "by_slice"),
    [
        ((2, 2, 3), 1, 2),  # above: another axial slice
        ((3, 3, 2), 1, 1),  # at a corner of the slice
        ((2, 3, 2), 1, 1),
        ((3, 3, 3), 1, 2),  # at a corner of the voxel
        ((4, 2, 2), 2, 2),
        ((2, 2, 4), 2, 2),  # two slices on, where the slices are marked alike
    ],
)
def test_voxels_that_touch_are_one_lesion(neighbour, in_3d, by_slice):
    two = mask((2, 2, 2), neighbour)
    assert lesions(two).max() == in_3d
    assert lesions(two, connectivity=8).max() == by_slice


@pytest.mark.parametrize("connectivity", [26, 8])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(
    "layout", [np.asarray, np.asfortranarray, lambda m: m[::-1, :, ::2], lambda m: m * 7.0]
)
def test_components_are_those_of_scipy(connectivity, density, layout):
    noise = layout(np.random.default_rng(0).random((17, 14, 23)) < density)
    ours = lesions(noise, connectivity=connectivity)
    theirs, count = ndimage.label(noise, STRUCTURES[connectivity])
    assert ours.dtype == np.uint32
    assert ours.max() == count
    np.testing.assert_array_equal(ours > 0, noise > 0)
    # one number of ours for each of theirs: the numbering itself is free
    assert len(np.unique(np.stack([ours[noise > 0], theirs[noise > 0]]), axis=1).T) == count


def test_volumes_are_voxels_times_their_size():
    numbered = lesions(mask((0, 0, 0), (0, 0, 1), (4, 4, 4)))
    assert lesion_volumes_ml(numbered, (1.0, 1.2, 5.0)) == pytest.approx([0.012, 0.006])
    assert lesion_volumes_ml(lesions(mask()), ISOTROPIC).shape == (0,)


def test_what_two_masks_share_is_counted_by_hand():
    # true: a column of 3 and one voxel; predicted: two of the column and the voxel beside it, and
    # a voxel on nothing
    truth = mask((1, 1, 1), (1, 1, 2), (1, 1, 3), (4, 4, 4))
    prediction = mask((1, 1, 2), (1, 1, 3), (2, 1, 3), (4, 1, 1))
    overlaps = lesion_overlaps(prediction, truth, spacing_mm=(1.0, 2.0, 3.0))
    assert overlaps.truth_voxels.tolist() == [3, 1]
    assert sorted(overlaps.prediction_voxels.tolist()) == [1, 3]
    ((true, predicted),) = overlaps.pairs.T
    assert overlaps.truth_voxels[true] == overlaps.prediction_voxels[predicted] == 3
    assert overlaps.shared_voxels.tolist() == [2]
    assert overlaps.voxel_ml == pytest.approx(0.006)


@pytest.mark.parametrize("connectivity", [26, 8])
def test_the_joint_histogram_is_that_of_a_loop_over_lesions(connectivity):
    rng = np.random.default_rng(3)
    truth, prediction = (rng.random((20, 18, 16)) < 0.06 for _ in range(2))
    overlaps = lesion_overlaps(prediction, truth, spacing_mm=ISOTROPIC, connectivity=connectivity)
    true, predicted = (lesions(m, connectivity=connectivity) for m in (truth, prediction))
    by_hand = {
        (t - 1, p - 1): int(((true == t) & (predicted == p)).sum())
        for t in range(1, true.max() + 1)
        for p in np.unique(predicted[true == t])
        if p
    }
    pairs = map(tuple, overlaps.pairs.T.tolist())
    assert dict(zip(pairs, overlaps.shared_voxels.tolist(), strict=True)) == by_hand
    assert len(by_hand) > 10


@pytest.mark.parametrize("truth", [mask(), mask((1, 1, 1))])
@pytest.mark.parametrize("shape", [(5, 5, 5), (0, 0, 0)])
def test_masks_without_lesion_share_nothing(truth, shape):
    truth = truth[: shape[0], : shape[1], : shape[2]]
    for pair in ((np.zeros(shape), truth), (truth, np.zeros(shape))):
        overlaps = lesion_overlaps(*pair, spacing_mm=ISOTROPIC)
        assert overlaps.pairs.shape == (2, 0)
        assert overlaps.truth_voxels.size + overlaps.prediction_voxels.size == truth.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truth": mask(shape=(5, 5, 4))}, r"sub-07: prediction and truth must have the same"),
        ({"spacing_mm": (1.0, 0.0, 1.0)}, r"sub-07: spacing_mm must be three finite"),
        ({"connectivity": 6}, r"lesions: connectivity must be 26 or 8, got 6"),
    ],
)
def test_what_cannot_be_counted_is_refused(options, message):
    usual = {"prediction": mask(), "truth": mask(), "spacing_mm": ISOTROPIC, "subject": "sub-07"}
    with pytest.raises(InputError, match=message):
        lesion_overlaps(**usual | options)


def test_a_mask_with_channels_and_a_spacing_of_two_are_refused():
    with pytest.raises(InputError, match=r"mask must have the shape \(x, y, z\), got \(1, 5, 5, 5"):
        lesions(mask()[None])
    with pytest.raises(InputError, match="lesion_volumes_ml: spacing_mm must be three"):
        lesion_volumes_ml(lesions(mask()), (1.0, 1.0))
