import numpy as np
import pytest
from nilearn.datasets import load_mni152_template

from monai_transfer.errors import InputError
from monai_transfer.imaging import RECIPES, named_recipe
from monai_transfer.imaging.mni152 import CENTRE_MM, SHAPE, template_affine


def test_g17_is_on_the_flairs_own_grid_without_nyul_and_without_resampling():
    recipe = RECIPES["g17"]
    done = recipe.preparation
    assert (done.reference, done.space, done.spacing_mm) == ("flair", "native", None)
    assert (done.brain_extraction, done.bias_field, done.nyul) == (True, True, False)
    assert recipe.loading.spacing_mm is None
    assert recipe.loading.margin[:2] == (16, 16)  # half of the paper's patch


def test_k19_goes_through_every_step_of_the_paper():
    recipe = RECIPES["k19"]
    done = recipe.preparation
    assert (done.brain_extraction, done.bias_field, done.nyul) == (True, True, True)
    assert (done.space, recipe.loading.size) == ("mni152", (240, 192, 192))
    assert recipe.loading.scaling.method == "standardise"


@pytest.mark.parametrize(
    ("name", "slices"), [("z22_bahc", 128), ("z22_stroke", 160), ("z22_ms", 128), ("z22", 189)]
)
def test_the_slices_zoetmulder_keeps_are_those_of_the_templates_189(name, slices):
    loading = RECIPES[name].loading
    assert loading.size is not None
    assert loading.size[2] - sum(loading.dropped_slices) == slices
    assert loading.size[:2] == (256, 256)


def test_percentiles_are_those_of_the_papers_and_of_all_voxels():
    for name, percents in (("z22_stroke", (1, 99)), ("gl20", (2, 98))):
        scaling = RECIPES[name].loading.scaling
        assert (scaling.percents, scaling.over) == (percents, "all")


def test_an_unknown_name_is_refused_with_the_close_ones():
    with pytest.raises(InputError, match=r"^preset: name must be .*Did you mean z22_ms"):
        named_recipe("z22ms")


def test_the_templates_grid_is_that_of_the_file():
    template = load_mni152_template(resolution=1)
    assert template.shape == SHAPE
    np.testing.assert_array_equal(template.affine, template_affine())
    brain = np.argwhere(template.get_fdata(dtype=np.float32) > 0).mean(axis=0)
    centre = template_affine()[:3, :3] @ brain + template_affine()[:3, 3]
    np.testing.assert_allclose(centre, CENTRE_MM, atol=1.5)
