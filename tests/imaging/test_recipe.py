import json
from dataclasses import asdict, replace

import pytest

from monai_transfer.errors import InputError
from monai_transfer.imaging import RECIPES, Loading, Preparation, Recipe, Scaling


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_survives_json(name):
    recipe = RECIPES[name]
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert hash(Recipe.from_json(recipe.to_json())) == hash(recipe)  # tuples, not lists


def test_fields_with_a_default_may_be_left_out():
    record = {
        "name": "mine",
        "paper": "ours",
        "preparation": {"brain_extraction": True},
        "loading": {"scaling": {"method": "standardise"}, "size": [64, 64, 32]},
    }
    recipe = Recipe.from_dict(record)
    assert recipe.preparation == Preparation(brain_extraction=True)
    assert recipe.loading == Loading(Scaling("standardise"), size=(64, 64, 32))


def changed(part: str, **fields: object) -> dict:
    """A recipe in JSON with other fields in a part of it."""
    record = json.loads(RECIPES["g17"].to_json())
    inner = record["loading"]["scaling"] if part == "scaling" else record.get(part, record)
    inner.update(fields)
    return record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (changed("loading", spacing=2), "^card: field must be one of .* got spacing. Did you mean"),
        (changed("recipe", version=2), "^card: field must be one of loading, name"),
        ([], "^card: recipe must be a JSON object"),
        (changed("recipe", loading=3), "^card: loading must be a JSON object, got 3"),
        ({"name": "mine"}, "^card: recipe must have the field paper"),
        (changed("loading", spacing_mm=0), r"spacing_mm must be above 0, got \(0,\)"),
        (changed("loading", spacing_mm="2"), r"spacing_mm must be of type .*float.*, got 2"),
        (changed("loading", size=[64, 0, 64]), "size must be above 0"),
        (changed("loading", size=[64, 64]), r"size must be of type .*tuple\[int, int, int\]"),
        (changed("loading", size=[64, 64, 1.5]), "size must be of type"),
        (changed("loading", margin=[0, -1, 0]), "margin and dropped_slices must be 0 or more"),
        (changed("loading", template_grid=True), "template_grid must go without crop_to_brain"),
        (changed("loading", crop_to_brain="yes"), "crop_to_brain must be of type bool, got yes"),
        (changed("loading", spacing_mm=True), "spacing_mm must be of type"),
        (changed("scaling", method="zscore"), r"method must be .*'standardise'\], got zscore"),
        (changed("scaling", method="standardise"), "scaling must be of the brain, without perc"),
        (changed("scaling", percents=[99, 1]), r"percents must rise within \[0, 100\]"),
        (changed("scaling", percents=None), r"percents must rise within \[0, 100\]"),
        (changed("scaling", over="head"), "over must be .*'brain'.*, got head"),
        (changed("preparation", space="talairach"), "space must be .*'mni152'.*, got talairach"),
        (changed("preparation", spacing_mm=[1, 0, 1]), r"spacing_mm must be above 0, got \(1, 0"),
        (changed("preparation", registration=None), "registration must be given with a reference"),
        (changed("preparation", registration="syn"), "registration must be .*'affine'.*, got syn"),
        (changed("preparation", nyul="no"), "nyul must be of type bool, got no"),
    ],
)
def test_what_is_no_recipe_is_refused_with_the_reason(record, message):
    with pytest.raises(InputError, match=message):
        Recipe.from_dict(record, where="card")


def test_text_that_is_no_json_is_refused_by_name():
    with pytest.raises(InputError, match=r"^metadata\.json: text must be JSON"):
        Recipe.from_json("{", where="metadata.json")


def test_the_same_rules_hold_in_code():
    with pytest.raises(InputError, match="spacing_mm must be above 0"):
        replace(RECIPES["gl20"].preparation, spacing_mm=(1.0, -1.0, 1.0))
    assert asdict(Scaling("percentiles", (1.0, 99.0)))["over"] == "brain"
