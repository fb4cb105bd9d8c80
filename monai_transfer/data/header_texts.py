"""Header fields whose text may tell who a patient is, found without ever showing what they say."""

import re
from collections.abc import Mapping

TEXT_FIELDS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")
"""Free texts of NIfTI-1, some of which NIfTI-2 has too."""

_PATTERNS = (
    r"(?<!\d)(19|20)\d\d[-./]?(0[1-9]|1[0-2])[-./]?(0[1-9]|[12]\d|3[01])(?!\d)",  # 2019-02-28
    r"(?<!\d)\d{1,2}[-./]\d{1,2}[-./](19|20)\d\d(?!\d)",  # 28.2.2019
    r"\d{7}",  # a number of a patient or an examination
    r"[A-Za-z]\^[A-Za-z]",  # DOE^JANE, as DICOM writes it
    r"\b[A-Z][a-z]+,? [A-Z][a-z]+\b",  # Jane Doe
    r"(?i:\b(patient|name|born|birth ?date|dob|mrn|id)\w* ?[:=])",
    r"[\w.]@\w+\.\w",  # an address
    r"(?i:[/\\](home|users|data|mnt|media)[/\\]\w)",  # a folder that may be called after someone
)
_IDENTIFYING = re.compile("|".join(f"({pattern})" for pattern in _PATTERNS))
_DICOM = 2  # code of an extension that holds DICOM attributes


def identifying_fields(fields: Mapping[str, bytes]) -> tuple[str, ...]:
    """Names of the fields that hold a text like a name, a date, a number of an examination.

    Args:
        fields: the header's texts; ``extension`` is all that lies between header and voxels.

    Returns:
        Names, in the order given; never a value.

    Source:
        Ours. A warning, not a proof: a text that looks harmless can be a name.

    Example:
        >>> identifying_fields({"descrip": b"TE=30;sec=60.5", "db_name": b"DOE^JANE"})
        ('db_name',)
    """
    return tuple(
        name
        for name, content in fields.items()
        if _tells(content) or (name == "extension" and _is_dicom(content))
    )


def _tells(content: bytes) -> bool:
    return _IDENTIFYING.search(content.decode("latin-1").replace("\0", "\n")) is not None


def _is_dicom(extension: bytes) -> bool:
    """Whether the first extension is DICOM, in either byte order."""
    code = extension[8:12]
    return extension[:1] not in (b"", b"\0") and _DICOM in (
        int.from_bytes(code, "little"),
        int.from_bytes(code, "big"),
    )
