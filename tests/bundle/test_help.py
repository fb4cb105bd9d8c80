from pathlib import Path

import pytest

from monai_transfer.bundle import bundles_dir, list_bundles
from monai_transfer.bundle.help import option_rows, show_options

PAGE = """| `not` | an | option |
## Options
| `seed` | 0 | [of] all `draws` |
| `weights` | a | b |
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "README.md").write_text(PAGE)
    return tmp_path


def test_the_options_that_the_config_takes_are_printed_as_the_page_has_them(
    bundle: Path, capsys: pytest.CaptureFixture[str]
):
    show_options(bundle, {"seed": 3, "network": None})
    said = capsys.readouterr().out
    assert f"Options of {bundle.name}" in " ".join(said.split())
    assert said.splitlines()[-1].split() == ["seed", "0", "[of]", "all", "draws"]
    assert "weights" not in said


def test_a_bundle_without_a_page_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    show_options(tmp_path, {"seed": 3})
    assert "no docs/README.md" in capsys.readouterr().out


@pytest.mark.parametrize("name", [card.name for card in list_bundles()])
def test_the_pages_of_our_bundles_are_read(name: str):
    rows = option_rows((bundles_dir() / name / "docs" / "README.md").read_text("utf-8"))
    assert {"dataset_dir", "strategy", "epochs", "weights"} <= {row[0] for row in rows}
    assert all(meaning for _, _, meaning in rows)
