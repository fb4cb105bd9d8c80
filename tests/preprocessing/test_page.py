"""The page to look at, and its pictures."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from monai_transfer.imaging import Image
from monai_transfer.imaging.registration import IDENTITY, LinearTransform
from monai_transfer.preprocessing import Source, preprocess_cohort, preprocess_subject
from monai_transfer.preprocessing.derivatives import Visit
from monai_transfer.preprocessing.page import write_page
from monai_transfer.preprocessing.pictures import pictures, viewer
from monai_transfer.preprocessing.quality import scores
from monai_transfer.preprocessing.work import Job


class Page(HTMLParser):
    """Rows, pictures and links of a page; it must be well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[str] = []
        self.images: list[np.ndarray] = []
        self.links: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "img":
            head, content = given["src"].split(",", 1)
            assert head == "data:image/jpeg;base64"
            file = io.BytesIO(base64.b64decode(content, validate=True))
            self.images.append(matplotlib.image.imread(file, format="jpeg"))
        elif tag not in ("meta", "br"):
            self.open.append(tag)
        if tag == "a":
            self.links.append(given["href"])
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "tr" in self.open:
            self.rows[-1] += data


@pytest.fixture(scope="module")
def cohort(scans, describe, make_recipe, quick, tmp_path_factory) -> Path:
    from monai_transfer.data import read_manifest

    folder = tmp_path_factory.mktemp("cohort")
    (folder / "clinic.json").write_text(json.dumps(describe()))
    masks = "{subject}/{subject}_brain.nii.gz"
    source = Source(read_manifest(folder / "clinic.json"), scans, brain_masks=masks)
    preprocess_cohort(source, make_recipe(), folder / "out", methods=quick)
    return folder / "out"


def test_the_page_holds_every_picture_and_needs_nothing_else(cohort: Path):
    page = Page((cohort / "qc" / "index.html").read_text(encoding="utf-8"))
    assert len(page.rows) == 1 + 3
    assert len(page.images) == 3 * 4
    for image in page.images:
        assert image.shape[0] > 80
        assert image.std() > 10  # something is drawn
    for link in page.links:
        assert "Opacity" in (cohort / "qc" / link).read_text(encoding="utf-8")
    assert len(page.links) == 3


def test_the_worst_comes_first_and_names_are_escaped(
    cohort: Path, make_recipe, quick, tmp_path: Path
):
    out = tmp_path / "out"
    shutil.copytree(cohort, out)
    records = {}
    for name in ("sub-0", "sub-1", "sub-2"):
        records[name] = json.loads((out / name / f"anat/{name}_desc-preproc.json").read_text())
    records["sub-1"]["quality"]["normalised_mutual_information"] = {"t1 to flair": 1.001}
    rest = {"images": {}, "label": None, "brain": None, "dataset_dir": out, "output": out}
    rest |= {"recipe": make_recipe(), "methods": quick}
    jobs = {name: Job(visit=Visit(name), **rest) for name in records}
    write_page(out, records, jobs, failures={"sub-<b>": "no & such file"})
    text = (out / "qc" / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.rows[1].startswith("sub-1")
    assert "sub-&lt;b&gt;: no &amp; such file" in text


def test_the_patients_left_is_on_the_left_and_the_front_is_up(make_recipe, quick):
    """A bright block in front on the left, in an image stored as LPS."""
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    affine[:3, 3] = 40, 40, -40
    voxels = np.zeros((41, 41, 41), np.float32)
    at = np.moveaxis(np.indices(voxels.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    brain = np.linalg.norm(at, axis=-1) < 35
    voxels[brain] = 50
    voxels[brain & (at[..., 0] < -8) & (at[..., 1] > 8)] = 200
    plan = make_recipe(reference=None, registration=None, bias_field=False)
    scan = {"flair": Image(voxels, affine)}
    methods = replace(quick, brain=lambda image: brain)
    prepared = preprocess_subject(scan, plan, methods=methods)
    ((name, content),) = pictures(prepared, scan, plan.preparation)
    assert name == "brain.jpg"
    axial = matplotlib.image.imread(io.BytesIO(content), format="jpeg")[:, :, 0].astype(float)
    size = axial.shape[0] - 4
    half = size // 2
    quarters = {
        "front left": axial[:half, :half],
        "front right": axial[:half, half:size],
        "back left": axial[half:size, :half],
        "back right": axial[half:size, half:size],
    }
    brightest = max(quarters, key=lambda quarter: quarters[quarter].mean())
    assert brightest == "front left"


def test_a_registration_that_is_off_scores_lower(raw, make_recipe, scans: Path, quick):
    from monai_transfer.imaging import read_image
    from monai_transfer.imaging.brain import GivenMask
    from monai_transfer.imaging.registration import LinearRegistration

    mask = read_image(scans / "sub-0" / "sub-0_brain.nii.gz")
    plan = make_recipe(bias_field=False)

    def scored(within) -> float:
        methods = replace(quick, brain=GivenMask(mask), within=within)
        prepared = preprocess_subject(raw, plan, methods=methods)
        return scores(prepared, plan.preparation)["t1 to flair"]

    off = np.eye(4)
    off[:3, 3] = 8.0, 8.0, 0.0
    good = scored(LinearRegistration("rigid"))
    assert good > scored(lambda *_, **__: LinearTransform(off)) + 0.01
    assert good >= scored(lambda *_, **__: IDENTITY) - 0.002


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
with_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to draw the page")


def browse(page: Path, folder: Path, *options: str) -> str:
    """What the browser prints of a page."""
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command = [CHROMIUM, *quiet, *options, page.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def drawn(page: Path, folder: Path, *, width: int, height: int, **more: str) -> np.ndarray:
    shot = folder / "shot.png"
    options = [f"--{name}={value}" for name, value in more.items()]
    browse(page, folder, f"--window-size={width},{height}", f"--screenshot={shot}", *options)
    picture = matplotlib.image.imread(shot)[..., :3]
    assert picture.shape[:2] == (height, width)
    return picture


@with_a_browser
def test_a_browser_draws_it(cohort: Path, tmp_path: Path):
    shown = drawn(cohort / "qc" / "index.html", tmp_path, width=1600, height=700)
    black = (shown < 0.1).all(axis=-1).mean()  # the background of the slices
    assert black > 0.05
    assert (shown > 0.95).all(axis=-1).mean() > 0.1  # the page's own


@with_a_browser
@pytest.mark.parametrize("width", [1280, 1600])
def test_nothing_of_it_lies_beyond_the_window(cohort: Path, tmp_path: Path, width: int):
    """Measured by a script that is added to a copy."""
    page = tmp_path / "index.html"
    text = (cohort / "qc" / "index.html").read_text(encoding="utf-8")
    asked = (
        "const root = document.documentElement, cells = [...document.querySelectorAll('td')];"
        "const over = cells.filter(cell => cell.scrollWidth > cell.clientWidth).length;"
        "document.title = [root.scrollWidth, root.clientWidth, cells.length, over].join(' ')"
    )
    page.write_text(text.replace("</body>", f"<script>{asked}</script></body>"), encoding="utf-8")
    told = browse(page, tmp_path, f"--window-size={width},900", "--dump-dom")
    (title,) = re.findall("<title>(.*?)</title>", told)
    needed, there, cells, over = map(int, title.split())
    assert there > width - 30  # a scroll bar's width less
    assert needed <= there
    assert (cells, over) == (3 * 5, 0)


def test_the_viewer_is_a_page_of_its_own(raw, make_recipe, quick, scans: Path):
    from monai_transfer.imaging import read_image
    from monai_transfer.imaging.brain import GivenMask

    mask = read_image(scans / "sub-0" / "sub-0_brain.nii.gz")
    plan = make_recipe(bias_field=False)
    prepared = preprocess_subject(raw, plan, methods=replace(quick, brain=GivenMask(mask)))
    text = viewer(prepared, plan.preparation)
    assert "flair, edges of t1" in text
    assert 'src="http' not in text


@with_a_browser
def test_in_the_viewer_the_brain_is_bright_beside_a_vessel_that_is_brighter(
    make_recipe, quick, tmp_path: Path
):
    """A brain of 100 with a spot of 1000: shown from 0, it is white."""
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -60
    at = np.moveaxis(np.indices((31, 31, 31)), 0, -1) * 4 - 60
    brain = np.linalg.norm(at, axis=-1) < 50
    voxels = np.where(brain, 100, 0).astype(np.float32)
    voxels[12:14, 15, 15] = 1000
    plan = make_recipe(reference=None, registration=None, bias_field=False)
    methods = replace(quick, brain=lambda image: brain)
    prepared = preprocess_subject({"flair": Image(voxels, affine)}, plan, methods=methods)
    page = tmp_path / "viewer.html"
    page.write_text(viewer(prepared, plan.preparation), encoding="utf-8")
    size = {"width": 1280, "height": 500}
    shown = drawn(page, tmp_path, **size, **{"virtual-time-budget": "10000"})
    slices = shown[60:400, 20:1260]
    assert (slices.min(axis=-1) > 0.9).mean() > 0.2  # the brain
    assert (slices.max(axis=-1) < 0.1).mean() > 0.2  # around it
