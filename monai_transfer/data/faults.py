"""What can be wrong with a data set: the rules of the gate, with codes that keep their meaning.

G1.. the datalist itself, G2.. the bytes of a file, G3.. geometry, G4.. voxel values, G5.. labels,
G6.. leakage and mistaken files, G7.. privacy. Codes are only ever added.
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
    "G111": Rule(
        "begin with no $, @ or %, which a config would run", "Rename it: it is data, not code."
    ),
    "G112": Rule("be the number of entries listed", "Correct it, or complete the list."),
    "G113": Rule("be listed once by an entry", "List the modality's or the label's own file."),
    "G201": Rule("exist", "Restore it, or take the subject out."),
    "G202": Rule("be a file that can be read", "Check the file's permissions."),
    "G203": Rule("unpack to its end with the right checksum", _COPY),
    "G204": Rule(
        "be a NIfTI (.nii, .nii.gz) or MetaImage file (.mha) of real numbers",
        "Convert it, or copy it again.",
    ),
    "G205": Rule("hold exactly the bytes its header declares", _COPY),
    "G206": Rule("unpack to 4 GiB at most, in 100,000 pieces at most", _COPY),
    "G207": Rule(
        "be what it was when it was last checked",
        "Nothing, if you changed it; else restore it.",
        "warning",
    ),
    "G301": Rule("be 3D, or 4D with one channel per modality", "Split or crop the file."),
    "G302": Rule("have a finite affine", "Repair the header's qform or sform."),
    "G303": Rule("have the shape of the subject's other files", _REGISTER),
    "G304": Rule(
        "lie where the subject's other files lie, within 0.001 mm and rounding", _REGISTER
    ),
    "G305": Rule(
        "have a qform and an sform that point the same way",
        "Find out which is right, and write it as both: software differs in which it takes.",
    ),
    "G306": Rule(
        "have a qform, an sform and a pixdim that agree, within 0.1 mm and 1 %",
        "Write the sform, which is what counts here, as all of them.",
        "warning",
    ),
    "G307": Rule(
        "say by a qform or an sform where it lies",
        "Convert it again from the scanner's files: left and right are a guess.",
        "warning",
    ),
    "G308": Rule("have three axes that are independent", "Repair the header's qform or sform."),
    "G309": Rule("have voxels of 0.01 to 100 mm", "Write the spacing in mm."),
    "G310": Rule(
        "give its lengths in mm", "Set the header's unit: the numbers are read as mm.", "warning"
    ),
    "G311": Rule("have two slices or more along every axis", "Stack the slices to a volume."),
    "G312": Rule("begin within 10 m of the world's origin", "Repair the header's qform or sform."),
    "G401": Rule(
        "hold finite numbers only, as float32", "Repair the voxels or the header's slope."
    ),
    "G402": Rule("hold more than one value", "Replace the image, or take the subject out."),
    "G403": Rule(
        "hold values up to 1e12 that differ by more than rounding",
        "Repair the header's slope, or rescale the image.",
    ),
    "G404": Rule(
        "hold no value a hundred times as far from the median as 99 in 100 are",
        "Clip it: it flattens all the others.",
        "warning",
    ),
    "G501": Rule("hold whole numbers only", "Threshold it, or resample with nearest neighbour."),
    "G502": Rule("hold declared labels only", "Map the value, or declare it under labels."),
    "G503": Rule(
        "hold a labelled voxel, unless the subject is healthy",
        "Nothing, if they are; else restore their labels.",
        "warning",
    ),
    "G504": Rule(
        "be in a label of the training entries",
        "Add subjects that have it: it cannot be learnt from these.",
        "warning",
    ),
    "G601": Rule("be in the datalist once", "Remove the repeated entries."),
    "G602": Rule("have all scans in one split", "Split by patient."),
    "G603": Rule("be in one split, under whatever name", "Take one of the two out."),
    "G604": Rule(
        "differ from the files of all other subjects", "Compare them; take one out.", "warning"
    ),
    "G605": Rule(
        "have all sessions in one split, if they are of one patient",
        'Give the entries their "patient", and split by it.',
        "warning",
    ),
    "G606": Rule(
        "differ from the subject's other files", "Check that it is the right modality.", "warning"
    ),
    "G607": Rule(
        "look like the same modality of the other subjects",
        "Look at the two images; if they are swapped, swap their paths.",
        "warning",
    ),
    "G701": Rule(
        "hold no text like a name, a date or a number of a patient",
        "Clear the header field before the files are shared.",
        "warning",
    ),
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
