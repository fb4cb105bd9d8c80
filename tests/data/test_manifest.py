import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monai_transfer.data import manifest as manifest_module
from monai_transfer.data import manifest_names, manifest_path, read_manifest
from monai_transfer.data.manifest import Participants
from monai_transfer.errors import InputError
from monai_transfer.simulation.pictures import OBJECT_VALUES
from monai_transfer.simulation.structures import REGION_VALUES, STRUCTURE_VALUES

Raw = dict[str, Any]


@pytest.fixture
def raw() -> Raw:
    content: Raw = json.loads(manifest_path("brats2018").read_text())
    return content


def refused(raw: Raw, folder: Path) -> list[str]:
    """The lines of the one error that a manifest is refused with."""
    path = folder / "mine.json"
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError) as error:
        read_manifest(path)
    first, *lines = str(error.value).splitlines()
    assert first.startswith("mine.json: manifest must be free of faults")
    return lines


@pytest.mark.parametrize("name", manifest_names())
def test_every_manifest_that_is_shipped_reads_and_is_named_like_its_file(name: str) -> None:
    manifest = read_manifest(manifest_path(name))
    assert manifest.name == name
    assert list(manifest.modalities) in (["t1", "t1c", "t2", "flair"], ["t1", "flair"], ["t1"])
    assert manifest.labels[0] == "background"


def test_brats_2018_has_the_papers_counts_and_labels() -> None:
    manifest = read_manifest(manifest_path("brats2018"))
    assert manifest.counts is not None
    assert (manifest.counts.subjects, dict(manifest.counts.groups)) == (
        285,
        {"HGG": 210, "LGG": 75},
    )
    assert sorted(manifest.labels) == [0, 1, 2, 4]
    assert manifest.split.validation == 50
    # what is held out leaves the pool that the largest experiment needs
    assert 285 - 50 - manifest.split.test >= manifest.split.cases[-1] == 150


def test_simulated_brats_is_split_like_the_real_one_when_it_is_as_large() -> None:
    real, simulated = (read_manifest(manifest_path(n)) for n in ("brats2018", "simulated_brats"))
    assert round(simulated.split.validation * 285) == real.split.validation
    assert round(simulated.split.test * 285) == real.split.test
    assert (simulated.layout, simulated.label) == (real.layout, real.label)


def test_no_description_of_real_scans_says_that_there_are_no_patients() -> None:
    simulated = read_manifest(manifest_path("simulated_ms"))
    mine = read_manifest(manifest_path("bids_ms"))
    assert (mine.layout, mine.label) == (simulated.layout, simulated.label)
    for name in manifest_names():
        manifest = read_manifest(manifest_path(name))
        said = f"{manifest.description} {manifest.licence} {manifest.how_to_obtain}"
        assert ("no patient data" in said) == name.startswith("simulated_"), name


def test_scans_of_one_patient_share_it_and_other_ids_are_refused() -> None:
    manifest = read_manifest(manifest_path("brats2018"))
    assert manifest.patient_of("Brats18_CBICA_AAB_1") == manifest.patient_of("Brats18_CBICA_AAB_2")
    with pytest.raises(
        InputError, match=r"brats2018: subject must match .* got Brats18_CBICA_AAB_x"
    ):
        manifest.patient_of("Brats18_CBICA_AAB_x")


def change(*keys: str, to: Any) -> Callable[[Raw], None]:
    def apply(raw: Raw) -> None:
        for key in keys[:-1]:
            raw = raw[key]
        raw[keys[-1]] = to

    return apply


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (change("layuot", to="x"), "key layuot is unknown. Did you mean layout?"),
        (change("split", "tset", to=1), "key split.tset is unknown. Did you mean split.test?"),
        (lambda raw: raw.pop("licence"), "key licence is missing"),
        (lambda raw: raw["split"].pop("recipe"), "key split.recipe is missing"),
        (lambda raw: raw["counts"].pop("subjects"), "key counts.subjects is missing"),
        (change("name", to=" "), "key name must be a text that is not empty, got ' '"),
        (change("modalities", to={}), "key modalities must map each modality to its own text"),
        (change("modalities", "t2", to="t1"), "key modalities must map each modality to its own"),
        (change("labels", to={"1": "x"}), 'key labels must map whole numbers, "0" among them'),
        (change("labels", "1.5", to="x"), "key labels must map whole numbers"),
        (change("label", to=3), "key label must be a path pattern or null, got 3"),
        (change("groups", to=["HGG", "HGG"]), "key groups must list distinct names"),
        (change("patient", to="("), "key patient must be a regular expression with one group"),
        (change("patient", to="no group"), "key patient must be a regular expression with one"),
        (change("counts", to=285), "key counts must be an object or null, got 285"),
        (change("counts", "subjects", to=True), "key counts.subjects must be a number of subjects"),
        (
            change("counts", "groups", to={"HGG": -1}),
            "key counts.groups must map groups to numbers",
        ),
        (change("split", to=None), "key split must be an object, got None"),
        (change("split", "recipe", to="by hand"), "key split.recipe must be one of stratified"),
        (
            change("split", "validation", to=1.5),
            "key split.validation must be a number of patients",
        ),
        (change("split", "test", to=-1), "key split.test must be a number of patients, or a share"),
        (
            change("split", "cases", to=[50, 20]),
            "key split.cases must list rising numbers of cases",
        ),
        (change("split", "cases", to=[0]), "key split.cases must list rising numbers of cases"),
        (change("layout", to="{group}/{modality"), "key layout must be a path with fields"),
        (change("layout", to="{group}/{modality}.nii"), "key layout must hold the field {subject}"),
        (change("layout", to="{group}/{subject}.nii"), "key layout must hold the field {modality}"),
        (change("label", to="{subject}.nii"), "key label must hold the field {group}"),
        (
            change("label", to="{group}/{subject}_{modality}.nii"),
            "key label must hold no field but {group}, {subject}, got {modality} in",
        ),
        (
            change("layout", to="{group}/{subject}/{visit}_{modality}.nii"),
            "key layout must hold no field but {group}, {modality}, {session}, {subject}, got {vi",
        ),
        (
            change("layout", to="../{group}/{subject}_{modality}.nii"),
            "key layout must stay inside the data folder",
        ),
        (
            change("layout", to="$x/{group}/{subject}_{modality}.nii"),
            "key layout must begin with no",
        ),
        (change("labels", "4", to="@x"), "key labels must begin with no $, @ or %, got '@x'"),
        (change("modalities", "%t9", to="t9"), "key modalities must begin with no $, @ or %"),
        (
            change("layout", to="{group}/{subject}/{session}_{modality}.nii"),
            "key label must hold the field {session}",
        ),
        (
            change("label", to="{group}/{subject}/{session}.nii"),
            "key label must hold no field but {group}, {subject}, got {session}",
        ),
        (
            change("participants", to={"file": "p.tsv", "colunm": "x", "column": "grade"}),
            "key participants.colunm is unknown. Did you mean participants.column?",
        ),
        (change("participants", to="p.tsv"), "key participants must be an object or null"),
        (change("submission", to=[]), "key submission must be an object or null"),
        (
            change("submission", "shape", to=[240, 240]),
            "key submission.shape must be three",
        ),
        (
            change("submission", "file", to="{subject}/{modality}.nii.gz"),
            "key submission.file must hold no field but {subject}, got {modality}",
        ),
        (change("groups", to=["HGG"]), "key counts.groups must count the groups ['HGG'], got"),
        (
            change("counts", "subjects", to=284),
            "key counts.subjects must be 285, the sum of groups",
        ),
    ],
)
def test_a_fault_in_a_manifest_is_one_line_that_names_key_rule_and_value(
    raw: Raw, tmp_path: Path, fault: Callable[[Raw], None], line: str
) -> None:
    fault(raw)
    (got,) = refused(raw, tmp_path)
    assert got.strip().startswith(line)


def test_all_faults_of_a_manifest_are_reported_together(raw: Raw, tmp_path: Path) -> None:
    del raw["licence"]
    raw["colour"], raw["split"]["test"] = "red", "many"
    lines = refused(raw, tmp_path)
    assert [line.split()[1] for line in lines] == ["colour", "licence", "split.test"]


def test_groups_need_their_field_and_no_groups_forbid_it(raw: Raw, tmp_path: Path) -> None:
    del raw["groups"]
    raw["counts"] = None
    lines = refused(raw, tmp_path)
    assert len(lines) == 2
    assert all("{group}" in line for line in lines)


def test_a_table_of_participants_takes_the_place_of_the_group_field(
    raw: Raw, tmp_path: Path
) -> None:
    raw["participants"] = {"file": "../participants.tsv", "column": "grade"}
    del raw["groups"]
    raw["counts"] = None
    lines = [line.strip() for line in refused(raw, tmp_path)]
    assert [line.partition(", got")[0] for line in lines] == [
        "key layout must hold no field but {modality}, {session}, {subject}",
        "key label must hold no field but {subject}",
        "key groups must list the texts of the column 'grade'",
        "key participants.file must stay inside the data folder",
    ]


def test_a_table_may_tell_the_sets_instead_of_numbers(raw: Raw, tmp_path: Path) -> None:
    told = {"recipe": "participants", "file": "../p.tsv", "column": "split", "source": "ours"}
    raw["split"] = {**told, "validation": 2, "colum": "x"}
    assert [line.strip().partition(". Did")[0] for line in refused(raw, tmp_path)] == [
        "key split.validation is unknown",
        "key split.colum is unknown",
    ]
    raw["split"] = told
    (line,) = refused(raw, tmp_path)
    assert "key split.file must stay inside the data folder, got '../p.tsv'" in line
    raw["split"] = {**told, "file": "p.tsv"}
    (tmp_path / "told.json").write_text(json.dumps(raw))
    split = read_manifest(tmp_path / "told.json").split
    assert split.told == Participants("p.tsv", "split")
    assert split.validation is split.test is None


def test_drawn_sets_need_no_table(raw: Raw, tmp_path: Path) -> None:
    raw["split"]["column"] = "split"
    (line,) = refused(raw, tmp_path)
    assert "key split.column is unknown" in line


@pytest.mark.parametrize(
    ("session", "subjects", "cases"), [("baseline", 280, ()), ("followup", 159, (2, 3, 100))]
)
def test_run_dmc_has_the_papers_counts_and_one_split_for_both_domains(
    session: str, subjects: int, cases: tuple[int, ...]
) -> None:
    manifest = read_manifest(manifest_path(f"rundmc_{session}"))
    assert manifest.counts is not None
    assert manifest.counts.subjects == subjects
    assert manifest.split.told == Participants("participants.tsv", "split")
    assert set(cases) <= set(manifest.split.cases)
    simulated = read_manifest(manifest_path(f"simulated_wmh_{session}"))
    assert simulated.split.told == manifest.split.told


def test_zoetmulders_sets_have_the_papers_counts_and_splits() -> None:
    stroke, anatomy = (read_manifest(manifest_path(n)) for n in ("atlas_r1_2", "oasis_miccai2012"))
    assert stroke.counts is not None
    assert anatomy.counts is not None
    assert (stroke.counts.subjects, stroke.split.test) == (304, 104)
    assert stroke.split.cases == tuple(range(10, 101, 10))
    assert stroke.patient_of("c0001s0004t01") == "c0001s0004"
    assert anatomy.counts.subjects == 35
    assert anatomy.split.told == Participants("participants.tsv", "split")
    assert anatomy.patient_of("1000_3") == "1000"


@pytest.mark.parametrize(
    ("simulated", "real", "values"),
    [
        ("simulated_tissue", "bids_t1_tissue", 4),
        ("simulated_structures", "bids_t1_structures", 17),
        ("simulated_stroke", "atlas_r1_2", 2),
        ("simulated_anatomy", "oasis_miccai2012", 8),
    ],
)
def test_a_simulated_cohort_has_the_labels_of_the_real_one(
    simulated: str, real: str, values: int
) -> None:
    labels = [dict(read_manifest(manifest_path(name)).labels) for name in (simulated, real)]
    assert labels[0] == labels[1]
    assert sorted(labels[0]) == list(range(values))


def test_labels_of_the_simulated_cohorts_are_what_is_simulated() -> None:
    def named(name: str) -> dict[str, int]:
        labels = read_manifest(manifest_path(name)).labels
        return {text: value for value, text in labels.items() if value > 0}

    assert named("simulated_structures") == STRUCTURE_VALUES
    assert named("simulated_natural") == OBJECT_VALUES
    regions = {
        text.replace("cerebrospinal fluid", "csf"): v
        for text, v in named("simulated_anatomy").items()
    }
    assert regions == REGION_VALUES


def test_a_path_of_a_manifest_is_taken_as_it_is() -> None:
    assert manifest_path("mine/brats2018.json") == Path("mine/brats2018.json")


def test_an_unknown_name_of_a_manifest_shows_the_close_one() -> None:
    with pytest.raises(InputError, match="Did you mean brats2018"):
        manifest_path("brats_2018")


def test_an_installed_package_finds_the_manifests_inside_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "monai_transfer"
    (package / "data_manifests").mkdir(parents=True)
    (package / "data_manifests" / "mine.json").write_text("{}")
    monkeypatch.setattr(manifest_module, "__file__", str(package / "data" / "manifest.py"))
    assert manifest_names() == ["mine"]
    assert manifest_path("mine") == package / "data_manifests" / "mine.json"
