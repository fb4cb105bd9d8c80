"""Names of what is written, after BIDS derivatives, and the manifest that describes it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import monai_transfer
from monai_transfer.data import Manifest, Subject
from monai_transfer.data.layout import pattern_fields, pattern_regex
from monai_transfer.data.manifest import Split
from monai_transfer.imaging.recipe import Preparation, Recipe

PARTICIPANTS = "participants.tsv"

MNI152 = "MNI152NLin2009aSym"
"""BIDS's name of the template that nilearn brings."""

_SUFFIXES: Mapping[str, str] = MappingProxyType(
    {"t1": "T1w", "t1c": "ce-gadolinium_T1w", "t2": "T2w", "flair": "FLAIR", "pd": "PDw"}
)


@dataclass(frozen=True)
class Visit:
    """The texts that a manifest's layout has for a subject.

    Args:
        subject: text of ``{subject}``.
        session: of ``{session}``; ``None`` without sessions.
        group: of ``{group}``; ``None`` if the layout has none.
        split: set that a table of participants tells; ``None`` if none does.
    """

    subject: str
    session: str | None = None
    group: str | None = None
    split: str | None = None

    @property
    def id(self) -> str:
        """How the subject is called."""
        return self.subject if self.session is None else f"{self.subject}_{self.session}"

    @property
    def folder(self) -> PurePosixPath:
        """Where it is written, from the output folder."""
        return PurePosixPath(self.subject, *([] if self.session is None else [self.session]))


@dataclass(frozen=True)
class Names:
    """Paths of a prepared subject's files, from its own folder.

    Example:
        >>> names = Names("sub-1", space="FLAIR")
        >>> names.image("t1c")
        'anat/sub-1_ce-gadolinium_space-FLAIR_desc-preproc_T1w.nii.gz'
        >>> names.transform("t1")
        'anat/sub-1_from-T1w_to-FLAIR_mode-image_xfm.txt'
    """

    id: str
    space: str

    def image(self, modality: str) -> str:
        """An image."""
        return f"anat/{self.id}_{entities(modality, self.space)}.nii.gz"

    @property
    def brain(self) -> str:
        """The brain mask."""
        return f"anat/{self.id}_space-{self.space}_desc-brain_mask.nii.gz"

    @property
    def label(self) -> str:
        """The label map."""
        return f"anat/{self.id}_space-{self.space}_dseg.nii.gz"

    def transform(self, modality: str) -> str:
        """ITK's transform that takes a scan to the prepared grid."""
        return f"anat/{self.id}_from-{_plain(modality)}_to-{self.space}_mode-image_xfm.txt"

    @property
    def record(self) -> str:
        """What it was made from, and how."""
        return f"anat/{self.id}_desc-preproc.json"

    def figure(self, name: str) -> str:
        """A picture."""
        return f"figures/{self.id}_{name}"


def space_of(plan: Preparation) -> str:
    """BIDS's name of the space that a recipe prepares in."""
    if plan.space == "mni152":
        return MNI152
    return "individual" if plan.reference is None else _plain(plan.reference)


def entities(modality: str, space: str) -> str:
    """The part of an image's name after the subject."""
    *before, suffix = _SUFFIXES.get(modality, _plain(modality)).split("_")
    return "_".join([*before, f"space-{space}", "desc-preproc", suffix])


def _plain(modality: str) -> str:
    """A label of letters and digits alone, one for each modality."""
    named = _SUFFIXES.get(modality, modality)
    return re.sub("[^A-Za-z0-9]", "", named.replace("ce-gadolinium_T1w", "T1wGd"))


def visit_of(manifest: Manifest, subject: Subject) -> Visit:
    """The texts of a subject's first image under the manifest's layout."""
    choices = {"group": manifest.groups, "modality": tuple(manifest.modalities.values())}
    found = pattern_regex(manifest.layout, choices).fullmatch(subject.images[0])
    assert found is not None, "the subject was found by this layout"
    texts = found.groupdict()
    return Visit(texts["subject"], texts.get("session"), subject.group, subject.split)


def prepared_manifest(manifest: Manifest, recipe: Recipe) -> dict[str, Any]:
    """The manifest of the prepared data set, as it is written.

    Patients, labels, terms and split are those of the raw one.

    Args:
        manifest: of the raw data set.
        recipe: that it is prepared by.
    """
    space = space_of(recipe.preparation)
    session = "session" in pattern_fields(manifest.layout)
    folder = "{subject}/{session}" if session else "{subject}"
    names = Names("{subject}_{session}" if session else "{subject}", space)
    described: dict[str, Any] = {
        "name": f"{manifest.name}_{recipe.name}",
        "description": f"{manifest.description} Prepared by the recipe {recipe.name}: "
        f"{recipe.paper}.",
        "layout": f"{folder}/anat/{names.id}_{{modality}}.nii.gz",
        "modalities": {name: entities(name, space) for name in manifest.modalities},
        "label": None if manifest.label is None else f"{folder}/{names.label}",
        "labels": {str(value): name for value, name in sorted(manifest.labels.items())},
    }
    if manifest.groups:
        described |= {
            "groups": list(manifest.groups),
            "participants": {"file": PARTICIPANTS, "column": "group"},
        }
    return described | {
        "patient": manifest.patient,
        "licence": manifest.licence,
        "citation": manifest.citation,
        "how_to_obtain": f"monai-transfer preprocess, from: {manifest.how_to_obtain}",
        "counts": None,
        "split": _split(manifest.split),
    }


def _split(split: Split) -> dict[str, Any]:
    """The same split as a manifest writes it."""
    plain = {"recipe": split.recipe, "cases": list(split.cases), "source": split.source}
    if split.told is not None:
        return {**plain, "file": PARTICIPANTS, "column": "split"}
    return {**plain, "validation": split.validation, "test": split.test}


def participants_table(visits: Sequence[Visit]) -> str:
    """BIDS's ``participants.tsv`` with the groups and the sets that are told."""
    told = [name for name in ("group", "split") if any(getattr(visit, name) for visit in visits)]
    rows = sorted({(v.subject, *(getattr(v, name) or "n/a" for name in told)) for v in visits})
    return "".join("\t".join(row) + "\n" for row in [("participant_id", *told), *rows])


def dataset_description(manifest: Manifest, recipe: Recipe) -> dict[str, Any]:
    """BIDS's ``dataset_description.json``."""
    return {
        "Name": f"{manifest.name}, prepared by the recipe {recipe.name}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "License": manifest.licence,
        "GeneratedBy": [
            {
                "Name": "monai-transfer",
                "Version": monai_transfer.__version__,
                "Description": recipe.paper,
            }
        ],
    }
