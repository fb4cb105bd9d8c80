"""Giacomello's chain: a crop, padded to what the segmentor takes, and the whole tumour in one."""

import numpy as np
import pytest
import torch
from monai.transforms import Invertd

from monai_transfer._metaimage import load_image
from monai_transfer.errors import InputError
from monai_transfer.imaging.papers import gl20_recipe
from monai_transfer.networks.segan import DIVISOR
from monai_transfer.simulation import simulate_cohort, simulate_subject
from monai_transfer.transforms import gl20, preset

WHOLE = [0, [1, 2, 3, 4]]


@pytest.fixture(scope="module")
def simulated():
    """At 4 mm: 60×60×39 voxels, of which 45×45×32 are left."""
    return simulate_subject("brats2015", 0, spacing_mm=4.0)


@pytest.fixture
def entry(simulated, phantom, tmp_path):
    """FLAIR and label, stored as asked for."""

    def entry(codes: str = "RAS") -> dict:
        grid = {"codes": codes, "affine": simulated.grid.affine}
        images = {"image": simulated.image[3], "label": simulated.label}
        return {
            k: phantom.write(tmp_path / codes / f"{k}.nii", v, **grid) for k, v in images.items()
        }

    return entry


@pytest.mark.parametrize(
    ("spacing_mm", "shape"), [(1.0, (192, 192, 128)), (2.0, (96, 96, 64)), (6.0, (32, 32, 22))]
)
def test_slices_have_sides_that_the_segmentor_takes(spacing_mm, shape, entry):
    image = gl20(spacing_mm=spacing_mm)(entry())["image"]
    assert image.shape == (1, *shape)
    assert not any(side % DIVISOR for side in shape[:2])
    assert image[..., 0].is_contiguous()


def test_padding_is_zeros_around_what_the_recipe_gives(entry):
    recipe = preset(gl20_recipe(4.0), label_values=WHOLE, check=False)(entry())
    padded = gl20(spacing_mm=4.0, label_values=WHOLE)(entry())
    for key in ("image", "label"):
        inside = padded[key][:, 1:46, 1:46]  # 45 to 48 voxels: one before, two after
        assert torch.equal(inside, recipe[key])
        assert padded[key].count_nonzero() == inside.count_nonzero() > 0


def test_the_recipe_at_another_spacing_keeps_the_field_of_view():
    for spacing_mm in (1.0, 2.0, 3.7):
        loading = gl20_recipe(spacing_mm).loading
        assert loading.spacing_mm == spacing_mm
        for size, paper in zip(loading.size, (180, 180, 128), strict=True):
            assert paper <= size * spacing_mm < paper + spacing_mm
    with pytest.raises(InputError, match="gl20: spacing_mm must be above 0, got 0"):
        gl20(spacing_mm=0.0)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PIR"])
def test_the_whole_tumour_is_one_label_and_the_way_back_the_subjects_own_grid(codes, entry):
    chain = gl20(spacing_mm=4.0, label_values=WHOLE)
    subject = chain(entry(codes))
    assert subject["label"].unique().tolist() == [0, 1]
    back = Invertd("label", chain, orig_keys="label", nearest_interp=True)(subject)["label"]
    stored = np.asarray(load_image(entry(codes)["label"]).dataobj)
    np.testing.assert_array_equal(back[0].numpy(), stored > 0)


def test_metaimages_of_brats_2015_are_loaded_with_all_their_labels(tmp_path):
    simulate_cohort("brats2015", tmp_path, subjects=1, spacing_mm=6.0, progress=False)
    (label,) = tmp_path.rglob("*OT*.mha")
    entry = {"image": [str(next(tmp_path.rglob("*Flair*.mha")))], "label": str(label)}
    subject = gl20(spacing_mm=6.0, label_values=WHOLE)(entry)
    values = np.asarray(load_image(label).dataobj)
    assert set(np.unique(values)) == {0, 1, 2, 3, 4}
    assert int(subject["label"].sum()) == (values > 0).sum()
    with pytest.raises(RuntimeError) as caught:
        gl20(spacing_mm=6.0, label_values=[0, [1, 2, 4]])(entry)
    assert "label: values must be one of 0, 1, 2, 4, got 3" in str(caught.value.__cause__)
