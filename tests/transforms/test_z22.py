import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import CacheDataset
from monai.transforms import Invertd

from monai_transfer.errors import InputError
from monai_transfer.imaging.mni152 import SHAPE, template_affine
from monai_transfer.imaging.papers import Z22_DROPPED_SLICES, named_recipe, z22_recipe
from monai_transfer.transforms import SliceDataset, preset, z22

DATASETS = sorted(Z22_DROPPED_SLICES)


@pytest.fixture(scope="module")
def entry(tmp_path_factory) -> dict[str, str]:
    """A head on the template's grid whose brightness tells z; the label is z in millimetres."""
    folder = tmp_path_factory.mktemp("head")
    z = np.broadcast_to(np.arange(float(SHAPE[2])), SHAPE)
    x, y = (np.linspace(-1, 1, n) for n in SHAPE[:2])
    head = (x[:, None] ** 2 + y**2 < 0.9)[..., None]
    volumes = {"image": ((z + 20) * head).astype(np.float32), "label": (z + 1).astype(np.uint8)}
    for name, voxels in volumes.items():
        nib.save(nib.Nifti1Image(voxels, template_affine()), folder / f"{name}.nii.gz")
    return {name: str(folder / f"{name}.nii.gz") for name in volumes}


VALUES = list(range(SHAPE[2] + 1))


@pytest.mark.parametrize("dataset", DATASETS)
def test_at_1_mm_it_is_the_papers_recipe(dataset, entry):
    ours, theirs = (
        chain(entry)
        for chain in (
            z22(dataset, label_values=VALUES),
            preset(f"z22_{dataset}", label_values=VALUES, check=False),
        )
    )
    for key in ("image", "label"):
        assert torch.equal(ours[key], theirs[key])
        assert torch.equal(ours[key].affine, theirs[key].affine)
    assert ours["image"].shape[1:3] == (256, 256)
    bottom, top = Z22_DROPPED_SLICES[dataset]
    # a label of 0 is padding; in the middle every slice is there, from the bottom up
    assert ours["label"][0, 128, 128].tolist() == list(range(bottom + 1, SHAPE[2] - top + 1))


@pytest.mark.parametrize("dataset", DATASETS)
def test_at_2_mm_the_same_millimetres_are_left_in_half_the_slices(dataset, entry):
    fine, coarse = (z22(dataset, spacing_mm=mm, label_values=VALUES)(entry) for mm in (1.0, 2.0))
    assert coarse["image"].shape[1:3] == (128, 128)
    assert 2 * coarse["image"].shape[3] == fine["image"].shape[3]
    ends_mm = []
    for prepared, edge in ((fine, 1.0), (coarse, 2.0)):
        affine, slices = prepared["image"].affine.numpy(), prepared["image"].shape[3]
        np.testing.assert_allclose(np.diag(affine)[:3], edge)
        ends_mm.append(affine[2, 3] + edge * np.array([-0.5, slices - 0.5]))
    np.testing.assert_allclose(ends_mm[0], ends_mm[1])  # the outer faces of the volume
    edges_mm = [p["image"].affine.numpy()[:2, 3] for p in (fine, coarse)]
    assert np.abs(edges_mm[0] - 0.5 - (edges_mm[1] - 1)).max() <= 1  # a voxel of the padding


@pytest.mark.parametrize("spacing_mm", [1.0, 2.0, 6.0])
def test_slices_are_contiguous_and_inverting_puts_the_label_back(spacing_mm, entry):
    chain = z22("stroke", spacing_mm=spacing_mm, label_values=VALUES)
    prepared = chain(entry)
    assert prepared["image"][..., 3].is_contiguous()
    back = Invertd("label", chain, orig_keys="label", nearest_interp=True)(prepared)["label"]
    stored = np.asanyarray(nib.load(entry["label"]).dataobj)
    assert back.shape[1:] == stored.shape
    inside = np.s_[20:-20, 20:-20, 6:150]
    apart = np.abs(back[0].numpy().astype(int) - stored)[inside]
    assert apart.max() <= spacing_mm  # mm: the label is the height


def test_slices_reassembled_are_the_volume(entry):
    chain = z22("ms", spacing_mm=6.0, label_values=VALUES)
    cached = CacheDataset([entry], chain, as_contiguous=False, progress=False)
    slices = SliceDataset(cached)
    batch = slices[np.arange(len(slices))]
    for key in ("image", "label"):
        assert torch.equal(batch[key].movedim(0, -1), torch.as_tensor(cached[0][key]))


@pytest.mark.parametrize("spacing_mm", [0.7, 1.0, 1.5, 3.0, 6.0])
@pytest.mark.parametrize("dataset", DATASETS)
def test_a_slice_stays_when_its_centre_lies_in_the_millimetres_that_do(dataset, spacing_mm):
    loading = z22_recipe(dataset, spacing_mm=spacing_mm).loading
    below, above = loading.dropped_slices
    bottom, top = Z22_DROPPED_SLICES[dataset]
    first_mm = (below + 0.5) * spacing_mm
    last_mm = (loading.size[2] - above - 0.5) * spacing_mm
    assert bottom <= first_mm < bottom + spacing_mm
    assert SHAPE[2] - top - spacing_mm <= last_mm <= SHAPE[2] - top


def test_images_that_were_not_prepared_so_are_noticed(entry, tmp_path):
    image = nib.load(entry["image"])
    nib.save(nib.Nifti1Image(image.dataobj, np.diag([1, 1, 3, 1.0])), tmp_path / "thick.nii")
    thick = {"image": str(tmp_path / "thick.nii"), "subject": "sub-01"}
    z22("bahc", spacing_mm=6.0)(thick)
    with pytest.raises(RuntimeError) as caught:
        z22("bahc", spacing_mm=6.0, prepared=named_recipe("z22_bahc"))(thick)
    assert isinstance(caught.value.__cause__, InputError)
    assert "sub-01: image must be prepared as for z22_bahc" in str(caught.value.__cause__)


def test_an_unknown_data_set_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"z22: data set must be one of .*stroke.*got strokes"):
        z22("strokes")
