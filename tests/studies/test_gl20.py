"""Which runs the study makes, without making them; then once in earnest, tiny."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from monai_transfer.errors import InputError
from monai_transfer.simulation.layout import subject_files, subject_folder
from monai_transfer.studies import GL20, gl20
from monai_transfer.training import CollapseError

TABLE = (
    "subject,group,region,dice,precision,sensitivity\n"
    "a,HGG,whole,0.5,0.6,0.4\nb,LGG,whole,0.6,0.7,n/a\n"
)
HISTORY = "epoch,loss,mean_dice\n1,2.0,0.3\n2,1.5,\n3,1.0,0.5\n4,1.0,0.4\n"
FEW = ("segan", "segan-no-dice")
OTHERS = ("t1", "t1c", "t2")
MODALITIES = (*OTHERS, "flair")


def finished(options: dict[str, str]) -> str:
    """What a run leaves."""
    folder = Path(options["output_dir"])
    (folder / "metrics.csv").write_text(TABLE)
    (folder / "model.pt").write_bytes(b"weights")
    return HISTORY


def collapsing(*names: str) -> Callable[[dict[str, str]], str]:
    """The same, but for runs in folders that begin so."""

    def ended(options: dict[str, str]) -> str:
        if Path(options["output_dir"]).name.startswith(names):
            raise CollapseError("training, epoch 1", "the output", "depend on the image")
        return finished(options)

    return ended


def simulated(disease: str, folder: Path, *, subjects: int, **_: Any) -> Path:
    """Subjects of whom nobody reads the files."""
    for index in range(subjects):
        for path in subject_files(disease, index).values():
            file = folder / subject_folder(disease, index) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return folder


@pytest.fixture
def study(tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch) -> GL20:
    monkeypatch.setattr(gl20, "simulate_cohort", simulated)
    runs.history = finished
    return GL20(tmp_path / "out", subjects=20, seeds=(0, 1), models=FEW, epochs=4, patience=2)


@pytest.fixture
def asked(study: GL20, runs: Any) -> dict[str, dict[str, str]]:
    """Options of each run that the study makes, by the name of its folder, in order."""
    study.run()
    return {Path(options["output_dir"]).name: options for options in runs.asked}


def test_models_then_bases_then_their_uses_are_run_once_each(asked: dict[str, Any]):
    seeds = (0, 1)
    assert list(asked) == [
        *(f"kind-{model}_modality-all_seed-{seed}" for seed in seeds for model in FEW),
        *(f"kind-base_modality-{m}_seed-{seed}" for seed in seeds for m in MODALITIES),
        *(
            f"kind-untuned_source-{a}_modality-{b}_seed-{seed}"
            for seed in seeds
            for a in MODALITIES
            for b in MODALITIES
            if a != b
        ),
        *(
            f"kind-{kind}_source-flair_modality-{m}_seed-{seed}"
            for seed in seeds
            for m in OTHERS
            for kind in ("full", "seg")
        ),
    ]


def test_each_is_the_bundle_s_own_command(asked: dict[str, Any], study: GL20):
    weights = str(study.output_dir / "kind-base_modality-flair_seed-1" / "model.pt")
    for name, (config, given) in {
        "kind-segan-no-dice_modality-all_seed-1": (
            "segan_source",
            {"modalities": "['t1', 't1c', 't2', 'flair']", "critic": "masked", "seed": "1"},
        ),
        "kind-base_modality-t2_seed-0": (
            "segan_source",
            {
                "modalities": "['t2']",
                "critic": "concatenated",
                "patience": "2",
                "cases": "$None",
                "domain_randomisation": "0.0",
            },
        ),
        "kind-untuned_source-flair_modality-t1_seed-1": (
            "evaluate.json",
            {"modalities": "['t1']", "weights": weights, "adaptation#strategy": "untuned"},
        ),
        "kind-full_source-flair_modality-t1c_seed-1": (
            "segan_ft",
            {"source": weights, "strategy": "continue", "modality": "t1c", "epochs": "4"},
        ),
        "kind-seg_source-flair_modality-t1c_seed-1": (
            "segan_ft",
            {"source": weights, "strategy": "segmentor", "source_modality": "flair"},
        ),
    }.items():
        options = asked[name]
        assert config in options["config_file"]
        assert options["dataset_dir"] == str(study.output_dir / "brats2015")
        assert options["datalist"] == str(study.output_dir / "datalist.json")
        assert given.items() <= options.items()


def test_the_dice_term_is_left_out_where_the_name_says_so(asked: dict[str, Any]):
    terms = {name: options.get("dice_term") for name, options in asked.items()}
    without = {name for name, term in terms.items() if term == "False"}
    assert without == {f"kind-segan-no-dice_modality-all_seed-{seed}" for seed in (0, 1)}


def test_three_tenths_are_tested_on(asked: dict[str, Any], study: GL20):
    datalist = json.loads((study.output_dir / "datalist.json").read_text())
    assert [datalist[f"num{part}"] for part in ("Training", "Validation", "Test")] == [12, 2, 6]


def test_what_is_finished_is_not_run_again(study: GL20, asked: dict[str, Any], runs: Any):
    before = (study.output_dir / "scores.csv").read_bytes()
    study.run()
    assert len(runs.asked) == len(asked)
    assert (study.output_dir / "scores.csv").read_bytes() == before
    replace(study, seeds=(0, 1, 2)).run()
    assert len(runs.asked) == len(asked) + 2 + 4 + 12 + 6


def test_results_are_by_kind_source_and_modality(study: GL20, asked: dict[str, Any]):
    scores = pd.read_csv(study.output_dir / "scores.csv", na_values="n/a")
    assert len(scores) == 2 * len(asked)  # two test subjects of each run
    runs = pd.read_csv(study.output_dir / "runs.csv", na_values="n/a")
    base = runs[(runs["kind"] == "base") & (runs["modality"] == "t1")].iloc[0]
    assert (base["source"], base["epochs"], base["validation"]) == ("t1", 4, 0.5)
    assert base["unsteadiness"] == pytest.approx((0.2 + 0.1) / 2)
    claims = json.loads((study.output_dir / "claims.json").read_text())
    assert [claim["claim"] for claim in claims] == [
        *("GL20.1a", "GL20.1b", "GL20.2", "GL20.3", "GL20.4"),
    ]


def test_a_training_that_collapses_is_a_result_and_its_uses_are_left_out(study: GL20, runs: Any):
    gone = ("kind-segan-no-dice", "kind-base_modality-flair_seed-0", "kind-full")
    runs.history = collapsing(*gone)
    results = study.run()
    table = results.runs
    collapsed = table[table["collapsed"]]
    counts = collapsed.groupby("kind").size().to_dict()
    assert counts == {"base": 1, "full": 3, "segan-no-dice": 2}
    from_flair = table[(table["source"] == "flair") & (table["kind"] != "base")]
    assert set(from_flair["seed"]) == {1}
    stability = next(v for v in results.verdicts() if v.claim == "GL20.1b")
    assert stability.answer == "supported"
    assert "2 of 2 runs lost (2 collapsed)" in stability.evidence
    before = len(runs.asked)
    study.run()
    assert len(runs.asked) == before


def test_a_run_that_fails_otherwise_ends_the_study(study: GL20, runs: Any):
    def diverge(_: dict[str, str]) -> str:
        raise ArithmeticError("datalist: list test must hold a labelled subject, got none.")

    runs.history = diverge
    with pytest.raises(
        InputError, match=r"kind-segan_modality-all_seed-0: run must finish, got da"
    ):
        study.run()


def test_where_everything_collapses_there_is_nothing_to_judge(study: GL20, runs: Any):
    runs.history = collapsing("kind")
    with pytest.raises(InputError, match="at least one training must come to its end"):
        study.run()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": ()}, "study: seeds must list distinct values"),
        ({"models": ("segan", "segan")}, "models must list distinct values"),
        ({"models": ("segan-cat",)}, "model must be one of segan, segan-io, .* Did you mean segan"),
    ],
)
def test_a_study_that_cannot_be_is_refused(changed: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        GL20(tmp_path, **changed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_command_runs_the_study_and_goes_on_without_what_is_finished(
    study_command: Callable[[str], str], tmp_path: Path
):
    tiny = "gl20 --subjects 12 --spacing-mm 6 --cases 2 --seeds 0 --epochs 1 --filters 4"
    tiny += " --models segan --output-dir out"

    said = study_command(tiny)
    out = tmp_path / "out"
    verdicts = json.loads((out / "claims.json").read_text())
    assert all(verdict["claim"] in said for verdict in verdicts)
    assert "flair, then Seg" in said
    scores = pd.read_csv(out / "scores.csv", na_values="n/a")
    assert set(scores["kind"]) == {"segan", "base", "untuned", "full", "seg"}
    assert scores["dice"].dropna().between(0, 1).all()
    assert (out / "matrix.png").is_file()
    report = out / "kind-seg_source-flair_modality-t1_seed-0" / "transfer.json"
    tensors = json.loads(report.read_text())["tensors"]
    first = {t["name"]: (t["reason"], t["frozen"]) for t in tensors if t["action"] == "adapted"}
    assert first == {
        "segmentor.encoder.0.conv.weight": ("t1 from flair, flair dropped", False),
        "critic.encoder.0.conv.weight": ("t1 from flair, flair dropped", True),
    }
    untuned = out / "kind-untuned_source-flair_modality-t1_seed-0" / "run.json"
    transfer = json.loads(untuned.read_text())["transfer"]
    assert transfer["warnings"][0].startswith("The source never saw t1")
    finished_at = {path: path.stat().st_mtime_ns for path in out.glob("*/status.json")}
    assert len(finished_at) == 1 + 4 + 12 + 6
    assert study_command(tiny).partition("┏")[2] == said.partition("┏")[2]  # the tables
    assert finished_at == {path: path.stat().st_mtime_ns for path in finished_at}
