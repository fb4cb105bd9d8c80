"""What can be wrong with a data set: the rules of the gate, with codes that keep their meaning.

G1.. the datalist itself, G2.. the bytes of a file, G3.. geometry, G4.. voxel values, G5.. labels,
G6.. leakage. Codes are only ever added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from monai_transfer.errors import InputError

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """One rule of the gate.

    Args:
        rule: what must hold, after the word "must".
        todo: what the user can do about a fault, a full sentence.
        severity: an error stops every run, a warning does not.
    """

    rule: str
    todo: str
    severity: Severity = "error"


_COPY = "Copy or download the file again."
_REGISTER = "Resample the subject's files to one grid."

RULES: dict[str, Rule] = {
    "G101": Rule("be in the datalist", "Add it, or build from a manifest."),
    "G102": Rule('map "0", "1", … to distinct modality names', "Name the channels in file order."),
    "G103": Rule(
        "map whole numbers, written as texts, to label names", 'Write {"0": "background", …}.'
    ),
    "G104": Rule("be a list of entries", "Write a list, empty if the split is."),
    "G105": Rule("name its image file or files", 'Write "image": "path" or "image": ["path", …].'),
    "G106": Rule("name its label file", 'Write "label": "path", or move the entry to test.'),
    "G107": Rule("have one image per modality, or one file", "List the files in modality order."),
    "G108": Rule("stay inside the data folder", "Write paths relative to it, without '..'."),
    "G109": Rule("hold at least one entry", "Check the split it was built with."),
    "G110": Rule("be a text that is not empty", "Write it in quotes, or leave it out."),
    "G201": Rule("exist", "Restore it, or take the subject out."),
    "G202": Rule("be a file that can be read", "Check the file's permissions."),
    "G203": Rule("unpack to its end with the right checksum", _COPY),
    "G204": Rule(
        "be a NIfTI (.nii, .nii.gz) or MetaImage file (.mha) of real numbers",
        "Convert it, or copy it again.",
    ),
    "G205": Rule("hold exactly the bytes its header declares", _COPY),
    "G301": Rule("be 3D, or 4D with one channel per modality", "Split or crop the file."),
    "G302": Rule("have a finite affine", "Repair the header's qform or sform."),
    "G303": Rule("have the shape of the subject's other files", _REGISTER),
    "G304": Rule("lie where the subject's other files lie, within 0.001 mm", _REGISTER),
    "G401": Rule(
        "hold finite numbers only, as float32", "Repair the voxels or the header's slope."
    ),
    "G501": Rule("hold whole numbers only", "Threshold it, or resample with nearest neighbour."),
    "G502": Rule("hold declared labels only", "Map the value, or declare it under labels."),
    "G601": Rule("be in the datalist once", "Remove the repeated entries."),
    "G602": Rule("have all scans in one split", "Split by patient."),
}


@dataclass(frozen=True)
class Fault:
    """One broken rule; ``str`` gives it on one line.

    Args:
        code: key of `RULES`.
        severity: of the rule.
        subject: subject, patient, entry (``training[3]``) or ``datalist``.
        file: relative path of the file, or the key of the datalist at fault.
        rule: what must hold.
        value: what was found instead.
        todo: what to do.

    Example:
        >>> print(fault("G201", subject="sub-01", file="sub-01/t1.nii.gz", value="no file"))
        G201 error: sub-01: sub-01/t1.nii.gz must exist, got no file. Restore it, or take the \
subject out.
    """

    code: str
    severity: Severity
    subject: str
    file: str
    rule: str
    value: str
    todo: str

    def __str__(self) -> str:
        text = (
            f"{self.code} {self.severity}: {self.subject}: {self.file} must {self.rule}, "
            f"got {self.value}. {self.todo}"
        )
        return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def fault(code: str, *, subject: str, file: str, value: object) -> Fault:
    """A `Fault` of the rule with this code."""
    rule = RULES[code]
    return Fault(code, rule.severity, subject, file, rule.rule, str(value), rule.todo)


def all_at_once(where: str, what: str, lines: Sequence[object], *, todo: str = "") -> InputError:
    """One error for all the faults of one input, each on its own line.

    Args:
        where: file, data set or folder.
        what: what has the faults.
        lines: the faults.
        todo: what to do about all of them.

    Example:
        >>> print(all_at_once("data", "subjects", ["A: t1.nii is missing", "B: t2.nii is missing"]))
        data: subjects must be free of faults, got 2. All of them:
          A: t1.nii is missing
          B: t2.nii is missing
    """
    listed = "".join(f"\n  {line}" for line in lines)
    return InputError(
        where,
        what,
        "be free of faults",
        got=len(lines),
        todo=f"{todo} All of them:{listed}".lstrip(),
    )
