"""The rules between subjects: leakage, mistaken files, classes nobody has, texts in headers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from monai_transfer.data.entries import Entry
from monai_transfer.data.entry_files import files_of
from monai_transfer.data.faults import Fault, fault
from monai_transfer.data.measured import Measured
from monai_transfer.data.swaps import Look, look, swapped_modalities

_NAMED = 5


def leakage_faults(entries: Sequence[Entry]) -> Iterator[Fault]:
    """Subjects that are listed twice, and patients with scans in more than one split."""
    by_subject: dict[str, list[str]] = {}
    by_patient: dict[str, dict[str, str]] = {}
    by_bids: dict[str, dict[str, str]] = {}
    for entry in entries:
        by_subject.setdefault(entry.subject, []).append(entry.place)
        by_patient.setdefault(entry.patient, {}).setdefault(entry.split, entry.place)
        session = re.match(r"(?:.*/)?(sub-[^_/]+)[_/]ses-", entry.subject)
        if session and entry.patient == entry.subject:
            by_bids.setdefault(session[1], {}).setdefault(entry.split, entry.place)
    for subject, places in by_subject.items():
        if len(places) > 1:
            yield fault("G601", subject=subject, file="subject", value=", ".join(places))
    for code, groups in (("G602", by_patient), ("G605", by_bids)):
        for patient, splits in groups.items():
            if len(splits) > 1:
                value = ", ".join(splits.values())
                yield fault(code, subject=patient, file="patient", value=value)


class CohortRules:
    """Collects the little that is kept of each subject, and judges the cohort at the end.

    Args:
        labels: declared label values; ``None``: not known.
        modalities: how messages call the images, in their order.
    """

    def __init__(self, labels: frozenset[int] | None, modalities: Sequence[str]) -> None:
        self._labels, self._modalities = labels or frozenset(), modalities
        self._first: dict[str, tuple[Entry, str]] = {}
        self._repeats: list[Fault] = []
        self._empty: list[str] = []
        self._labelled = 0
        self._training: Counter[float] | None = None
        self._texts: dict[str, list[str]] = {}
        self._looks: dict[str, Look] = {}

    def add(self, entry: Entry, measured: Sequence[Measured]) -> None:
        """Count a subject in.

        Args:
            entry: the subject.
            measured: its files, in the order of :func:`~.entry_files.files_of`.
        """
        files = [file for file, _ in files_of(entry)]
        for file, one in zip(files, measured, strict=True):
            for name in one.identifying:
                self._texts.setdefault(name, []).append(file)
            if one.label is not None:
                self._add_label(entry, one.label.counts, empty=not one.label.digest)
        self._repeats += self._repeated(entry, files, measured)
        channels = [channel for one in measured for channel in one.channels]
        if len(channels) == len(self._modalities) > 1 and (mine := look(channels)) is not None:
            self._looks[entry.subject] = mine

    def faults(self) -> Iterator[Fault]:
        """What is wrong between the subjects."""
        yield from self._repeats
        for subject, one, other in swapped_modalities(self._looks):
            names = [self._modalities[index] for index in (one, other)]
            value = f"{names[0]} like {names[1]}, and {names[1]} like {names[0]}"
            yield fault("G607", subject=subject, file="image", value=value)
        if self._empty:
            value = f"none in {len(self._empty)} of {self._labelled}: {_some(self._empty)}"
            yield fault("G503", subject="datalist", file="labels", value=value)
        if self._training is not None:
            for label in sorted(self._labels - {0} - set(self._training)):
                yield fault("G504", subject="datalist", file=f"label {label}", value="it in none")
        for name, files in self._texts.items():
            value = f"one in {len(files)} files: {_some(files)}"
            yield fault("G701", subject="datalist", file=f"header field {name}", value=value)

    def _add_label(self, entry: Entry, counts: Mapping[float, int], *, empty: bool) -> None:
        self._labelled += 1
        if empty:
            self._empty.append(entry.subject)
        if entry.split == "training":
            self._training = self._training or Counter()
            self._training.update(counts.keys())

    def _repeated(
        self, entry: Entry, files: Sequence[str], measured: Sequence[Measured]
    ) -> Iterator[Fault]:
        """Pictures and labels that were seen before; of another subject's, the first is enough."""
        named = False
        for file, one in zip(files, measured, strict=True):
            digests = [channel.digest for channel in one.channels]
            for digest in filter(None, [*digests, one.label.digest if one.label else ""]):
                first, first_file = self._first.setdefault(digest, (entry, file))
                if first is entry:
                    if first_file != file or digests.count(digest) > 1:
                        got = f"the same as {first_file}"
                        yield fault("G606", subject=entry.subject, file=file, value=got)
                    continue
                told = first.subject == entry.subject or (
                    first.patient == entry.patient and first.split != entry.split
                )
                if not told and not named:
                    named = True
                    leaks = first.split != entry.split and one.label is None
                    got = f"the same in {first.place}, {first_file}"
                    code = "G603" if leaks else "G604"
                    yield fault(code, subject=entry.subject, file=file, value=got)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
