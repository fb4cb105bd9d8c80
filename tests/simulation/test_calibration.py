"""Simulated images against the statistics of real ones.

The real figures are of scans of multiple sclerosis at 1.5 and 3 T (Lesjak 2018) and of low-grade
glioma (TCGA-LGG), relative to the mean of white matter. Simulated and real images go through one
estimator: three classes of T1 intensity inside the eroded brain.
"""

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from monai_transfer.simulation.scanner import MODALITIES
from monai_transfer.simulation.subject import simulate_subject

FLUID, GREY, WHITE = 0, 1, 2


@dataclass
class Statistics:
    """Mean and deviation of tissues in each modality, in units of the mean of white matter."""

    mean: dict[str, dict[str, float]]
    deviation: dict[str, dict[str, float]]
    noise: dict[str, float]


def classes_of(t1: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Three-means of T1 inside the brain; −1 outside."""
    values = t1[inside]
    centres = np.percentile(values, [5, 40, 85])
    for _ in range(30):
        index = np.digitize(values, (centres[1:] + centres[:-1]) / 2)
        centres = np.array([np.median(values[index == k]) for k in range(3)])
    classes = np.full(t1.shape, -1)
    classes[inside] = index
    return classes


def statistics(image: np.ndarray, label: np.ndarray, spacing_mm: float) -> Statistics:
    brain = ndimage.binary_fill_holes(image[0] != 0)
    inside = ndimage.binary_erosion(brain, iterations=max(1, round(3 / spacing_mm)))
    classes = classes_of(image[0], inside)
    around = ndimage.binary_dilation(label > 0, iterations=2)
    white = ndimage.binary_erosion((classes == WHITE) & ~around)
    masks = {"gm": (classes == GREY) & ~around, "csf": (classes == FLUID) & ~around}
    masks |= {str(value): label == value for value in (1, 2, 4) if (label == value).any()}
    masks |= {"wm": white}
    found = Statistics({}, {}, {})
    for name, channel in zip(MODALITIES, image.astype(np.float64), strict=True):
        unit = channel[white].mean()
        found.mean[name] = {k: float(channel[m].mean() / unit) for k, m in masks.items()}
        found.deviation[name] = {k: float(channel[m].std() / unit) for k, m in masks.items()}
        rough = np.abs(channel - ndimage.uniform_filter(channel, 3))[white]
        found.noise[name] = float(1.4826 * np.median(rough) / np.median(channel[inside]))
    return found


def cohort(disease: str, count: int, protocol: str | None) -> list[Statistics]:
    subjects = [
        simulate_subject(disease, index, spacing_mm=2.0, seed=100, protocol=protocol)
        for index in range(count)
    ]
    return [statistics(s.image, s.label, 2.0) for s in subjects]


@pytest.fixture(scope="module")
def ms() -> list[Statistics]:
    """Patients on the protocol nearest to that of the real set."""
    return cohort("ms", 4, "3T-inversion-3mm")


@pytest.fixture(scope="module")
def gliomas() -> list[Statistics]:
    return cohort("brats", 6, None)


def mean(found: list[Statistics], modality: str, tissue: str) -> float:
    return float(np.mean([s.mean[modality][tissue] for s in found if tissue in s.mean[modality]]))


def deviation(found: list[Statistics], modality: str, tissue: str) -> float:
    return float(np.mean([s.deviation[modality][tissue] for s in found]))


@pytest.mark.parametrize(
    ("modality", "tissue", "low", "high"),
    [  # the real range, widened by a tenth
        ("flair", "gm", 0.98, 1.27),
        ("flair", "csf", 0.24, 0.80),
        ("flair", "1", 1.24, 1.56),
        ("t1", "gm", 0.60, 0.79),
        ("t1", "csf", 0.12, 0.40),
        ("t1", "1", 0.56, 0.86),
        ("t1c", "gm", 0.67, 0.90),
        ("t1c", "csf", 0.11, 0.55),
        ("t1c", "1", 0.55, 0.90),
        ("t2", "gm", 1.18, 1.58),
        ("t2", "csf", 2.10, 3.85),
        ("t2", "1", 1.46, 2.30),
    ],
)
def test_contrast_is_that_of_real_patients_with_multiple_sclerosis(
    ms: list[Statistics], modality: str, tissue: str, low: float, high: float
) -> None:
    assert low < mean(ms, modality, tissue) < high


@pytest.mark.parametrize(
    ("modality", "low", "high"),
    [("flair", 0.06, 0.12), ("t1", 0.04, 0.09), ("t1c", 0.04, 0.10), ("t2", 0.08, 0.16)],
)
def test_white_matter_varies_as_in_real_scans(
    ms: list[Statistics], modality: str, low: float, high: float
) -> None:
    assert low < deviation(ms, modality, "wm") < high


@pytest.mark.parametrize(("modality", "low"), [("flair", 0.08), ("t1", 0.06), ("t2", 0.18)])
def test_grey_matter_varies_more_than_white(
    ms: list[Statistics], modality: str, low: float
) -> None:
    assert deviation(ms, modality, "gm") > max(low, 0.9 * deviation(ms, modality, "wm"))


@pytest.mark.parametrize(("modality", "low", "high"), [("flair", 3.0, 6.5), ("t2", 4.0, 9.0)])
def test_lesions_stand_out_by_as_many_deviations_as_real_ones(
    ms: list[Statistics], modality: str, low: float, high: float
) -> None:
    contrast = (mean(ms, modality, "1") - 1.0) / deviation(ms, modality, "wm")
    assert low < contrast < high


@pytest.mark.parametrize("modality", MODALITIES)
def test_noise_is_that_of_real_scans(ms: list[Statistics], modality: str) -> None:
    found = float(np.mean([s.noise[modality] for s in ms]))
    assert 0.015 < found < 0.065  # real: 2.2–5.1 % of the brain's median


@pytest.mark.parametrize(
    ("modality", "tissue", "low", "high"),
    [
        ("flair", "gm", 0.86, 1.25),
        ("flair", "2", 1.25, 1.65),
        ("t1", "gm", 0.52, 0.85),
        ("t1", "2", 0.54, 0.90),
        ("t2", "gm", 1.20, 1.60),
        ("t2", "2", 1.45, 2.10),
        ("t1c", "2", 0.51, 1.0),
        ("t1c", "4", 1.25, 1.9),
        ("t1", "4", 0.45, 0.90),
    ],
)
def test_contrast_is_that_of_real_gliomas(
    gliomas: list[Statistics], modality: str, tissue: str, low: float, high: float
) -> None:
    assert low < mean(gliomas, modality, tissue) < high


def test_only_enhancing_tumour_lights_up_after_contrast_agent(gliomas: list[Statistics]) -> None:
    def gain(tissue: str) -> float:
        return mean(gliomas, "t1c", tissue) - mean(gliomas, "t1", tissue)

    assert gain("4") > 0.5
    assert abs(gain("2")) < 0.2
    assert gain("gm") < 0.2


def in_ras(path: Path) -> np.ndarray:
    return np.asarray(nib.as_closest_canonical(nib.load(path)).dataobj, np.float32)


@pytest.mark.parametrize("patient", ["cs07", "cs19"])
def test_a_real_patient_and_simulated_ones_look_alike_to_the_same_estimator(
    ms: list[Statistics], real: Path, patient: str
) -> None:
    folder = real / "openms-cs" / f"sub-{patient}" / "anat"
    stem = f"sub-{patient}_space-MNI_"
    names = ("T1w", "ce-gadolinium_T1w", "T2w", "FLAIR")
    image = np.stack([in_ras(folder / f"{stem}{name}.nii.gz") for name in names])[:, ::2, ::2, ::2]
    label = in_ras(folder / f"{stem}label-lesion_mask.nii.gz")[::2, ::2, ::2]
    found = statistics(image, label, 2.0)
    for modality in MODALITIES:
        order = sorted(("wm", "gm", "csf"), key=lambda t: found.mean[modality][t])
        assert order == sorted(order, key=lambda t: mean(ms, modality, t))
        assert (found.mean[modality]["1"] > 1.0) == (mean(ms, modality, "1") > 1.0)
        # How much a patient's lesions enhance is chance: one patient says nothing about it.
        for tissue in ("gm",) if modality == "t1c" else ("gm", "1"):
            assert mean(ms, modality, tissue) == pytest.approx(
                found.mean[modality][tissue], abs=0.2, rel=0.2
            )


def test_the_estimator_finds_what_was_put_in() -> None:
    """A ball of white in grey in fluid, a lesion in its middle."""
    distance = np.linalg.norm(np.indices((60, 60, 60)) - 29.5, axis=0)
    t1 = np.select([distance < 18, distance < 22, distance < 26], [100.0, 70.0, 20.0], 0.0)
    label = (distance < 3).astype(np.uint8)
    image = np.stack([np.where(label, 60.0, t1), t1, 200.0 - 1.5 * t1, t1])
    found = statistics(image, label, 1.0)
    assert found.mean["t1"]["gm"] == pytest.approx(0.7)
    assert found.mean["t1"]["1"] == pytest.approx(0.6)
    assert found.mean["t2"]["csf"] == pytest.approx(170.0 / 50.0)
    assert found.deviation["t1"]["wm"] == pytest.approx(0.0, abs=1e-9)
