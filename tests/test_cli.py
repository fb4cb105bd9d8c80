import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from monai_transfer import studies
from monai_transfer.bundle import bundles_dir
from monai_transfer.cli import app
from monai_transfer.data import manifest_path
from monai_transfer.errors import InputError
from monai_transfer.imaging import RECIPES

VERBS = (
    ["simulate"],
    ["manifest", "build"],
    ["manifest", "check"],
    ["bundles"],
    ["tune"],
    ["submit"],
    ["bias"],
    ["register"],
    ["preprocess"],
    ["brain"],
    ["layers"],
)


def command(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "200"})
    return runner.invoke(app, [str(argument) for argument in arguments], prog_name="monai-transfer")


@pytest.fixture
def clinic(tmp_path: Path) -> Path:
    """Six subjects of two small images and a label, and the manifest that describes them."""
    draw = np.random.default_rng(0)
    for number in range(6):
        folder = tmp_path / "scans" / f"sub-{number}"
        folder.mkdir(parents=True)
        for name in ("t1", "flair", "lesion"):
            highest = 2 if name == "lesion" else 200
            grid = draw.integers(0, highest, (4, 4, 4)).astype(np.uint8)
            nib.save(nib.Nifti1Image(grid, np.eye(4)), folder / f"sub-{number}_{name}.nii.gz")
    content = {
        "name": "clinic",
        "description": "noise",
        "layout": "{subject}/{subject}_{modality}.nii.gz",
        "modalities": {"t1": "t1", "flair": "flair"},
        "label": "{subject}/{subject}_lesion.nii.gz",
        "labels": {"0": "background", "1": "lesion"},
        "licence": "none",
        "citation": "none",
        "how_to_obtain": "this test",
        "counts": {"subjects": 6},
        "split": {"recipe": "stratified", "validation": 1, "test": 2, "source": "ours"},
    }
    (tmp_path / "clinic.json").write_text(json.dumps(content))
    return tmp_path


def build(clinic: Path, *options: object) -> Result:
    paths = ("--dataset-dir", clinic / "scans", "--output", clinic / "list.json")
    return command("manifest", "build", clinic / "clinic.json", *paths, *options)


def modules_loaded_by(*arguments: str) -> set[str]:
    """Top-level modules in a new interpreter after the command has run in it."""
    script = (
        "import runpy, sys\n"
        "try:\n"
        "    runpy.run_module('monai_transfer', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_says_what_it_does_and_shows_an_example(verb: list[str]):
    shown = command(*verb, "--help")
    assert shown.exit_code == 0
    assert " ".join(["Example: monai-transfer", *verb]) in " ".join(shown.output.split())


def test_help_loads_no_heavy_package():
    loaded = modules_loaded_by("simulate", "--help")
    assert "monai_transfer" in loaded
    assert not loaded & {"monai", "nibabel", "nilearn", "numpy", "scipy", "torch"}


def test_checking_a_datalist_loads_neither_torch_nor_monai_nor_nilearn(clinic: Path):
    assert build(clinic).exit_code == 0
    listed, folder = str(clinic / "list.json"), str(clinic / "scans")
    loaded = modules_loaded_by("manifest", "check", listed, "--dataset-dir", folder)
    assert "nibabel" in loaded
    assert not loaded & {"monai", "nilearn", "torch"}


def test_a_fault_of_the_user_is_one_line_and_status_1(tmp_path: Path):
    shown = command("manifest", "check", tmp_path / "nothing.json")
    assert shown.exit_code == 1
    assert shown.stdout == ""
    assert shown.stderr.startswith("error: nothing.json: file must exist")
    assert shown.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", [["bundles"], ["manifest", "build", "clinic.json"]])
def test_a_reader_that_has_seen_enough_ends_a_verb_without_a_word(verb: list[str], clinic: Path):
    paths = ["--dataset-dir", "scans", "--output", "new.json"] if "build" in verb else []
    seen, written = os.pipe()
    os.close(seen)  # as head does after its ten lines
    line = [sys.executable, "-m", "monai_transfer", *verb, *paths]
    ends = {"stdout": written, "stderr": subprocess.PIPE, "cwd": clinic}
    done = subprocess.run(line, **ends, check=False)
    os.close(written)
    assert (done.returncode, done.stderr) == (1, b"")


def test_debug_shows_where_a_fault_was_found(tmp_path: Path):
    shown = command("--debug", "manifest", "check", tmp_path / "nothing.json")
    assert isinstance(shown.exception, InputError)
    assert shown.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (["simulate", "ms", "--output", "x"], "Missing option '--subjects'"),
        (["simulate", "ms", "--subjects", "0", "--output", "x"], "Invalid value for '--subjects'"),
        (["simulat"], "No such command 'simulat'"),
        (["manifest", "build", "x.json", "--test", "half"], "half is neither a number of patients"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], fragment: str):
    shown = command(*arguments)
    assert shown.exit_code == 2
    assert fragment in " ".join(shown.stderr.replace("│", " ").split())


def test_version_is_that_of_the_package():
    from monai_transfer import __version__

    assert command("--version").output == f"monai-transfer {__version__}\n"


def test_a_simulated_cohort_is_read_by_the_manifest_of_its_kind(tmp_path: Path):
    cohort = tmp_path / "cohort"
    options = ("--subjects", 3, "--spacing-mm", 8, "--seed", 7, "--output", cohort)
    simulated = command("simulate", "brats", *options)
    assert simulated.exit_code == 0
    assert simulated.stdout.endswith(
        f"3 simulated subjects in {cohort}; described by simulated_brats\n"
    )
    paths = ("--dataset-dir", cohort, "--output", cohort / "list.json")
    sizes = ("--validation", 1, "--test", 1)
    built = command("manifest", "build", "simulated_brats", *paths, *sizes)
    assert "1 training, 1 validation, 1 test" in built.stdout
    assert command("manifest", "check", cohort / "list.json").exit_code == 0


@pytest.mark.parametrize(("signum", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_an_interrupted_simulation_says_how_far_it_is_and_leaves_nothing_half_done(
    tmp_path: Path, signum: signal.Signals, workers: int
):
    cohort = tmp_path / "cohort"
    words = f"simulate ms --subjects 500 --spacing-mm 8 --workers {workers} --output {cohort}"
    command = [sys.executable, "-m", "monai_transfer", *words.split()]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not [*cohort.glob("sub-*")]:
        assert running.poll() is None
        time.sleep(0.05)
    to = os.killpg if signum == signal.SIGINT else os.kill  # a terminal's Ctrl-C reaches all
    to(running.pid, signum)
    told = running.communicate(timeout=60)[1]  # returns when its workers are gone too
    assert running.returncode == 128 + signum
    done = len([*cohort.glob("sub-*")])
    assert told == f"{done} of 500 subjects are done; the same command goes on.\n"
    assert 0 < done < 500
    assert not [*cohort.glob(".partial-*")]


def test_an_unknown_disease_is_answered_with_the_known_ones(tmp_path: Path):
    shown = command("simulate", "brat", "--subjects", 1, "--output", tmp_path)
    assert shown.exit_code == 1
    assert "stroke, tissue, wmh, got brat. Did you mean brats or brats2015?" in shown.stderr


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ((), "3 training, 1 validation, 2 test"),  # the manifest's split
        (("--validation", "2", "--test", "1"), "3 training, 2 validation, 1 test"),
        (("--test", "0.5"), "2 training, 1 validation, 3 test"),  # half of 6
    ],
)
def test_build_splits_as_asked_and_says_so(clinic: Path, options: tuple[str, ...], sizes: str):
    shown = build(clinic, *options)
    assert shown.output == f"{clinic / 'list.json'}: {sizes}\n"
    assert json.loads((clinic / "list.json").read_text())["modality"] == {"0": "t1", "1": "flair"}


def test_a_name_that_no_manifest_has_is_answered_with_the_close_ones(tmp_path: Path):
    paths = ("--dataset-dir", tmp_path, "--output", tmp_path / "list.json")
    shown = command("manifest", "build", "brats_2018", *paths)
    assert shown.exit_code == 1
    assert "got brats_2018. Did you mean brats2018" in shown.stderr


def test_a_share_of_so_few_patients_that_it_is_nobody_is_said_on_standard_error(clinic: Path):
    # 0.05 of 6 is 0.3; a number of 0 is what was asked for
    shown = build(clinic, "--validation", "0.05", "--test", "0")
    assert shown.exit_code == 0
    assert shown.stdout.endswith("6 training, 0 validation, 0 test\n")
    (line,) = shown.stderr.splitlines()
    assert line.startswith("warning: validation: a share of 0.05 of 6 patients is rounded to 0.")


def test_build_draws_another_split_for_another_seed(clinic: Path):
    drawn = set()
    for seed in range(8):
        build(clinic, "--seed", seed, "--overwrite")
        listed = json.loads((clinic / "list.json").read_text())
        drawn.add(tuple(entry["subject"] for entry in listed["test"]))
    assert len(drawn) > 1


def test_build_takes_a_part_of_a_data_set_only_when_told(clinic: Path):
    for file in (clinic / "scans" / "sub-0").iterdir():
        file.unlink()
    refused = build(clinic)
    assert refused.exit_code == 1
    assert "must be 6 as in the paper, got 5" in refused.stderr
    assert build(clinic, "--partial").exit_code == 0


def test_build_of_a_simulated_folder_names_the_manifests_that_describe_it(tmp_path: Path):
    (tmp_path / "simulation.json").write_text('{"disease": "wmh", "raw": false}')
    output = ("--output", tmp_path / "list.json")
    result = command("manifest", "build", "brats2018", "--dataset-dir", tmp_path, *output)
    assert result.exit_code == 1
    assert "described by simulated_wmh_baseline, simulated_wmh_followup." in result.output


def test_a_clean_datalist_passes_the_check(clinic: Path):
    build(clinic)
    shown = command("manifest", "check", clinic / "list.json", "--dataset-dir", clinic / "scans")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert shown.stderr == f"{clinic / 'list.json'}: 0 errors, 0 warnings\n"


def test_check_prints_each_fault_on_a_line_and_ends_with_status_1(clinic: Path):
    build(clinic)
    wrong = nib.Nifti1Image(np.full((4, 4, 4), 3, np.uint8), np.eye(4))
    nib.save(wrong, clinic / "scans/sub-2/sub-2_lesion.nii.gz")
    (clinic / "scans/sub-4/sub-4_t1.nii.gz").unlink()
    shown = command("manifest", "check", clinic / "list.json", "--dataset-dir", clinic / "scans")
    assert shown.exit_code == 1
    codes = sorted(line[:4] for line in shown.stdout.splitlines())
    assert codes == ["G201", "G502"]
    assert "sub-2: sub-2/sub-2_lesion.nii.gz must hold declared labels only" in shown.stdout
    assert "2 errors, 0 warnings" in shown.stderr


def test_warnings_are_printed_and_counted_and_end_with_status_0(clinic: Path):
    build(clinic)
    for number in range(6):
        empty = nib.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
        nib.save(empty, clinic / f"scans/sub-{number}/sub-{number}_lesion.nii.gz")
    shown = command("manifest", "check", clinic / "list.json", "--dataset-dir", clinic / "scans")
    assert shown.exit_code == 0
    assert [line[:13] for line in shown.stdout.splitlines()] == ["G503 warning:", "G504 warning:"]
    assert shown.stderr.endswith("0 errors, 2 warnings\n")


def test_what_was_read_is_kept_in_the_cache_folder_and_read_again_on_demand(
    clinic: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MONAI_TRANSFER_CACHE", str(clinic / "cache"))
    build(clinic)
    listed, folder = clinic / "list.json", ("--dataset-dir", clinic / "scans")
    assert command("manifest", "check", listed, *folder, "--reread").exit_code == 0
    assert not (clinic / "cache").exists()
    assert command("manifest", "check", listed, *folder).exit_code == 0
    assert len([*(clinic / "cache" / "checked").iterdir()]) == 1


@pytest.mark.parametrize(("debug", "error"), [((), SystemExit), (("--debug",), OSError)])
def test_what_the_system_refuses_is_one_line_and_a_traceback_only_on_demand(
    tmp_path: Path, debug: tuple[str, ...], error: type[BaseException]
):
    (tmp_path / "file").write_text("in the way")
    output = tmp_path / "file" / "cohort"
    shown = command(*debug, "simulate", "ms", "--subjects", 1, "--output", output)
    assert isinstance(shown.exception, error)
    assert shown.exit_code == 1
    if not debug:
        assert shown.stderr.splitlines() == [f"error: {output}: Not a directory"]


def test_check_takes_the_folder_of_the_datalist_where_none_is_named(clinic: Path):
    build(clinic)
    (clinic / "list.json").rename(clinic / "scans" / "list.json")
    assert command("manifest", "check", clinic / "scans" / "list.json").exit_code == 0


def test_bundles_are_listed_with_their_channels_and_source():
    shown = command("bundles")
    assert shown.exit_code == 0
    blocks: dict[str, dict[str, str]] = {}
    for line in shown.stdout.splitlines():
        if line.startswith(" "):
            name, value = line.split(maxsplit=1)
            blocks[[*blocks][-1]][name] = value.strip()
        else:
            blocks[line] = {}
    folders = {path.parents[1].name for path in bundles_dir().glob("*/configs/metadata.json")}
    assert folders
    assert folders == set(blocks)
    assert blocks["brats_ft"]["channels"] == "t1 t1c t2 flair"
    assert blocks["brats_ft"]["source"] == "ms_source"
    assert blocks["ms_source"]["source"] == "–"


def test_in_a_terminal_of_80_columns_a_bundle_is_told_in_a_few_lines():
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["bundles"]).stdout.splitlines()
    assert max(map(len, shown)) <= 80
    folders = [*bundles_dir().glob("*/configs/metadata.json")]
    assert len(shown) <= 7 * len(folders)


def test_every_recipe_is_a_line_of_the_help():
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["preprocess", "--help"]).output
    lines = re.findall(r"^ *• (\w+): .+$", shown, re.MULTILINE)
    assert lines == [*RECIPES]
    dropped = {
        name: re.search(rf"• {name}: (.*)", shown).group(1)
        for name in ("z22_bahc", "z22_stroke", "z22_ms")
    }
    for name, told in dropped.items():
        numbers = [*map(int, re.findall(r"(\d+) (?:lowest|uppermost)", told))]
        assert numbers == [n for n in RECIPES[name].loading.dropped_slices if n]
    assert RECIPES["z22_anatomy"].loading == RECIPES["z22_ms"].loading


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """What the verb ``tune`` asks for; nothing is planned."""
    asked: list[dict[str, object]] = []

    def plan(bundle: str, output_dir: Path, **request: object) -> object:
        asked.append({"bundle": bundle, "output_dir": output_dir, **request})
        commands = [studies.bundle_command(["train.json"], {"fold": fold}) for fold in (1, 2)]
        return type("Plan", (), {"commands": lambda _: commands})()

    monkeypatch.setattr(studies, "plan_tuning", plan)
    return asked


def test_tune_takes_values_one_after_the_other_and_the_bundle_s_own_options(
    planned: list[dict[str, object]],
):
    grid = "--learning-rate 0.01 0.003 --class-weight-decay 0.5 --folds 3 --cases 20"
    others = "-- --epochs 2 --patch_size [80,96,80] --strategy all --amp False --seed $None"
    done = command("tune", "brats_ft", *f"{grid} --output-dir out --dry-run {others}".split())
    assert done.exit_code == 0, done.output
    assert planned == [
        {
            "bundle": "brats_ft",
            "output_dir": Path("out"),
            "grid": {"learning_rate": [0.01, 0.003], "class_weight_decay": [0.5]},
            "folds": 3,
            "options": {
                "cases": 20,
                "epochs": 2,
                "patch_size": [80, 96, 80],
                "strategy": "all",
                "amp": False,
                "seed": "$None",
            },
            "overlays": [],
        }
    ]
    line = "python -m monai.bundle run --config_file train.json --fold"
    assert done.output.splitlines() == [f"{line} 1", f"{line} 2"]


def test_tune_refuses_further_options_that_are_no_pairs(planned: list[dict[str, object]]):
    for words in (["--epochs"], ["epochs", "2"], ["--epochs", "2", "--amp"]):
        done = command("tune", "brats_ft", "--output-dir", "out", "--", *words)
        assert done.exit_code == 1
        assert "options after -- must be pairs of --name and value" in done.output
    assert not planned


def test_tune_refuses_an_empty_grid_in_one_line(tmp_path: Path):
    done = command("tune", "brats_ft", "--output-dir", tmp_path)
    assert (done.exit_code, done.output.count("\n")) == (1, 1)
    assert "grid must hold a value on every axis" in done.output


def test_submit_names_the_portal_s_data_set_and_counts_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[object] = []

    def write(*places: Path, **options: object) -> list[str]:
        asked.extend([*places, options])
        return ["A.nii.gz", "B.nii.gz"]

    monkeypatch.setattr("monai_transfer.bundle.submission.write_submission", write)
    options = ("--manifest", "brats2018_validation", "--dataset-dir", "scans")
    done = command("submit", "out", *options, "--output", "ours.zip")
    assert (done.exit_code, done.output) == (0, "ours.zip: 2 segmentations\n")
    described = manifest_path("brats2018_validation")
    places = {"manifest": described, "dataset_dir": Path("scans")}
    assert asked == [Path("out"), Path("ours.zip"), places]
    assert command("submit", "out", "--manifest", "brats_2018", *options[2:]).exit_code != 0
