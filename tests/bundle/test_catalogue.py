import json
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.bundle import BundleCard, bundles_dir, list_bundles


def write(folder: Path, **changes: Any) -> None:
    channels = {"10": "flair", "0": "t1", "2": "t2"}  # ordered by number, not as text
    metadata = {
        "task": "something",
        "network_data_format": {"inputs": {"image": {"channel_def": channels}}},
    }
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata | changes))


def test_bundles_without_weights_are_listed_by_name_from_their_metadata(tmp_path: Path):
    write(tmp_path / "second", transfer={"source": "first", "score": "Dice 0.5", "strategy": "all"})
    write(tmp_path / "first")
    (tmp_path / "not_a_bundle").mkdir()
    channels = ("t1", "t2", "flair")
    assert list_bundles(tmp_path) == [
        BundleCard("first", "something", channels, None, None),
        BundleCard("second", "something", channels, "first", "Dice 0.5"),
    ]


def test_our_own_are_listed_without_being_asked_for_a_folder():
    cards = {card.name: card for card in list_bundles()}
    assert set(cards) == {
        path.parents[1].name for path in bundles_dir().glob("*/configs/train.json")
    }
    assert cards["brats_ft"].source == "ms_source"
    assert cards["ms_source"].source is None
    assert cards["ms_source"].channels == ("t1", "t1c", "t2", "flair")


def test_an_empty_folder_has_no_bundles(tmp_path: Path):
    assert list_bundles(tmp_path) == []


@pytest.mark.parametrize("fault", ["{", "[]"])
def test_metadata_that_cannot_be_read_name_their_bundle(fault: str, tmp_path: Path):
    from monai_transfer.errors import InputError

    write(tmp_path / "broken")
    (tmp_path / "broken" / "configs" / "metadata.json").write_text(fault)
    with pytest.raises(InputError, match=r"^broken: metadata\.json must"):
        list_bundles(tmp_path)
