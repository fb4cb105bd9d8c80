"""Seconds and memory to prepare one raw subject, for each preset, on one core; the slowest step.

    python tests/benchmarks/bench_preprocess_cohort.py [--real ../shared/real] [--spacing-mm 1]

The subjects are simulated raw (T1 and FLAIR) and, with ``--real``, a raw pair of the open MS set.
Each preset is measured in a process of its own that has prepared another subject before, since
loading libraries and the template is done once for a worker. CPU seconds, because the machine may
be busy; "files" is reading, writing, and the pictures of the page.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from monai_transfer.imaging import Image, named_recipe, read_image, write_image
from monai_transfer.imaging.nyul import PERCENTS, StandardScale
from monai_transfer.preprocessing import preprocess_subject, subject, work
from monai_transfer.preprocessing.derivatives import Visit
from monai_transfer.preprocessing.methods import Methods
from monai_transfer.simulation import simulate_raw

PRESETS = ("g17", "k19", "z22", "gl20")
SUFFIXES = {"t1": "T1w", "flair": "FLAIR"}


class Clock:
    """CPU seconds of named steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted."""

        def run(*arguments: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds[step] += time.process_time() - start

        return run


def scans_of(folder: Path, preset: str) -> dict[str, str]:
    """The modalities that the preset takes: those of gl20 lie on one grid, z22's is T1 alone."""
    name = folder.name
    files = {m: f"{name}/{name}_{s}.nii.gz" for m, s in SUFFIXES.items()}
    kept = {"z22": ("t1",), "gl20": ("flair",)}.get(preset, tuple(files))
    return {m: files[m] for m in kept}


def measured(root: Path, preset: str) -> dict[str, Any]:
    """Prepare two subjects of a folder; time the second."""
    import torch

    torch.set_num_threads(1)
    recipe = named_recipe(preset)
    rising = tuple(float(p) for p in PERCENTS)
    scale = StandardScale(dict.fromkeys(SUFFIXES, rising), 1) if recipe.preparation.nyul else None
    clock = Clock()
    subject.estimate_bias_field = clock.timed("bias field", subject.estimate_bias_field)
    subject.resample = clock.timed("resampling", subject.resample)
    built = Methods.of(recipe.preparation)
    methods = replace(
        built,
        brain=clock.timed("brain", built.brain),
        within=clock.timed("within subject", built.within),
        to_template=clock.timed("to template", built.to_template),
    )
    work.preprocess_subject = clock.timed("in memory", preprocess_subject)
    with tempfile.TemporaryDirectory() as output:
        for folder in sorted(path for path in root.iterdir() if path.is_dir())[:2]:
            clock.seconds.clear()
            job = work.Job(
                visit=Visit(folder.name),
                images=scans_of(folder, preset),
                label=None,
                brain=None,
                dataset_dir=root,
                output=Path(output),
                recipe=recipe,
                methods=methods,
                scale=scale,
            )
            start = time.process_time()
            with threadpool_limits(1):
                outcome = work.run(job)
            if outcome.state != "made":
                raise SystemExit(f"{folder.name}, {preset}: {outcome.reason}\n{outcome.trace}")
            total = time.process_time() - start
    steps = dict(clock.seconds)
    within = steps.pop("in memory")
    steps["files and pictures"] = total - within
    steps["rest"] = within - sum(s for name, s in steps.items() if name != "files and pictures")
    return {"total": total, "steps": steps, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Of this process alone: ``getrusage`` tells its parent's, if that was larger."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def simulated(root: Path, spacing_mm: float) -> Path:
    """Two raw subjects."""
    for index in range(2):
        series = simulate_raw("ms", index, spacing_mm=spacing_mm)
        for modality, suffix in SUFFIXES.items():
            scan = Image(series[modality].voxels, series[modality].affine)
            write_image(scan, root / f"sub-{index}" / f"sub-{index}_{suffix}.nii.gz")
    return root


def real(root: Path, shared: Path) -> Path:
    """Two raw visits of the open MS set."""
    for number, visit in enumerate(("sub-lg20/ses-2", "sub-lg12/ses-1")):
        source = shared / "openms-long" / visit / "anat"
        for suffix in SUFFIXES.values():
            scan = read_image(source / f"{visit.replace('/', '_')}_{suffix}.nii.gz")
            write_image(scan, root / f"sub-{number}" / f"sub-{number}_{suffix}.nii.gz")
    return root


def show(title: str, root: Path) -> None:
    """Measure every preset, each in a process of its own."""
    table = Table(title=title)
    for heading in ("preset", "modalities", "CPU s", "peak MiB", "steps, slowest first (CPU s)"):
        table.add_column(heading)
    for preset in PRESETS:
        command = [sys.executable, __file__, "--measure", preset, str(root)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        steps = sorted(found["steps"].items(), key=lambda item: -item[1])
        told = ", ".join(f"{name} {seconds:.1f}" for name, seconds in steps if seconds > 0.05)
        modalities = " ".join(scans_of(root / "sub-0", preset))
        peak, total = f"{found['peak_mib']:.0f}", f"{found['total']:.1f}"
        table.add_row(preset, modalities, total, peak, told)
    Console(width=140).print(table)


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--spacing-mm", type=float, default=1.0)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        preset, root = options.measure
        sys.stdout.write(json.dumps(measured(Path(root), preset)) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        title = f"simulated raw at {options.spacing_mm:g} mm"
        show(title, simulated(Path(folder) / "simulated", options.spacing_mm))
        if options.real is not None:
            show("open MS, raw", real(Path(folder) / "real", options.real))


if __name__ == "__main__":
    main()
