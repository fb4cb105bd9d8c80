"""The page on which a person looks through a prepared cohort."""

import base64
import html
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monai_transfer._files import written_aside
from monai_transfer.preprocessing.quality import relative_scores
from monai_transfer.preprocessing.work import Job

_PICTURES = {
    "registration.jpg": (
        "Registration",
        "each moved image, and the edges of the one it was aligned to",
        30,
    ),
    "brain.jpg": ("Brain", "outline of the mask on the reference", 22),
    "bias.jpg": ("Bias field", "before; the field, 0.5 black to 1.5 white; after", 17),
    "histograms.jpg": ("Histograms", "of the brain, before (orange) and after (blue)", 16),
}
"""File → title, what it shows, per cent of the window's width."""

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #222; background: #fff }
table { border-collapse: collapse; table-layout: fixed; width: 100% }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top; border-top: 1px solid #ccc }
thead th { position: sticky; top: 0; background: #fff; border: 0 }
th:first-child { width: 15% }
th small { display: block; font-weight: normal; color: #666; max-width: 22rem }
td.score { overflow-wrap: anywhere; font-variant-numeric: tabular-nums }
img { display: block; background: #000; max-width: 100%; height: auto }
.low { color: #b30000; font-weight: bold }
"""
_LOW = 0.98
"""A relative score below this is shown in red: an image that turned by some degrees has less."""


def write_page(
    output: Path,
    records: Mapping[str, Mapping[str, Any]],
    jobs: Mapping[str, Job],
    *,
    failures: Mapping[str, str],
) -> None:
    """Write ``qc/index.html``: a row for each subject, the worst registration first.

    The page holds its pictures and needs no other file; only the viewers are linked.

    Args:
        output: folder of the cohort.
        records: subject → its record.
        jobs: subject → where it is.
        failures: subject → why there is no such subject.
    """
    found = {s: r["quality"]["normalised_mutual_information"] for s, r in records.items()}
    relative = relative_scores(found)
    worst_first = sorted(records, key=lambda subject: (relative[subject], subject))
    shown = [name for name in _PICTURES if any(_has(jobs[s], name) for s in records)]
    rows = "".join(
        _row(s, records[s], jobs[s], relative=relative[s], shown=shown) for s in worst_first
    )
    heads = "".join(
        f'<th style="width: {width}%">{title}<small>{explained}</small></th>'
        for title, explained, width in (_PICTURES[name] for name in shown)
    )
    lost = "".join(f"<li>{html.escape(f'{s}: {reason}')}</li>" for s, reason in failures.items())
    title = f"{len(records)} prepared subject{'s' * (len(records) != 1)}"
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
        "<p>Normalised mutual information in the brain says how much two aligned images tell of "
        "each other. Each is compared with the cohort's median for the same pair; the subject "
        "whose worst pair is lowest comes first.</p>\n"
        + (f"<h2>{len(failures)} failed</h2>\n<ul>{lost}</ul>\n" if lost else "")
        + f"<table>\n<thead><tr><th>Subject</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n"
        "</table>\n</body>\n</html>\n"
    )
    with written_aside(output / "qc" / "index.html") as aside:
        aside.write_text(page, encoding="utf-8")


def _row(
    subject: str,
    record: Mapping[str, Any],
    job: Job,
    *,
    relative: float,
    shown: list[str],
) -> str:
    name = html.escape(subject)
    viewer = html.escape(f"../{job.visit.folder}/{job.names.figure('viewer.html')}")
    pictures = "".join(f"<td>{_img(job, picture, alt=name)}</td>" for picture in shown)
    told = "<br>".join(html.escape(line) for line in _lines(record["quality"]))
    low = ' class="low"' if relative < _LOW else ""
    return (
        f'<tr><td class="score"><b>{name}</b><br><span{low}>{relative:.3f} of the median</span>'
        f'<br>{told}<br><a href="{viewer}">viewer</a></td>{pictures}</tr>\n'
    )


def _lines(quality: Mapping[str, Any]) -> Iterator[str]:
    for pair, score in quality["normalised_mutual_information"].items():
        yield f"{pair}: {score:.3f}"
    yield f"brain {quality['brain_ml']:.0f} mL"


def _has(job: Job, picture: str) -> bool:
    return (job.final / job.names.figure(picture)).is_file()


def _img(job: Job, picture: str, *, alt: str) -> str:
    if not _has(job, picture):
        return ""
    content = base64.b64encode((job.final / job.names.figure(picture)).read_bytes()).decode()
    title = _PICTURES[picture][0]
    return f'<img src="data:image/jpeg;base64,{content}" alt="{title} of {alt}">'
