"""One real raw subject from files to files: our presets, ANTs, and ITK with elastix, in one run.

    python tests/benchmarks/bench_preprocess_routes.py --real ../shared/real [--others PYTHON]

PYTHON is the interpreter of an environment with the others' libraries, apart from ours, as antspyx
pins versions of its own: ``python -m venv ants && ants/bin/pip install antspyx itk-elastix
nilearn``; without it, this one. Routes whose library is missing there are left out, and said so.

T1 and FLAIR as scanned (open MS set) become ``g17`` (T1 on the FLAIR's grid) or ``k19`` (both in
MNI152 at 1 mm): bias fields by N4, T1 aligned to FLAIR, FLAIR's brain to the template, one or two
resamplings, brain alone, clipped at two percentiles (ours: Nyúl's scale in k19; clipping is done
when a bundle loads). The others take their defaults, rigid within the subject and affine to the
template, and **are given the brain mask**, which ours finds; ours also draws the pictures of its
page. N4 of all three at a quarter of the resolution or so: ANTs' default and SimpleITK's tutorial
shrink by 4, ours fits on 3 mm.

Every route is a process of its own on one thread, measured whole, start of Python and loading of
libraries included. CPU seconds hold on a busy machine, wall seconds do not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SUBJECT = "sub-lg20/ses-2"
PRESETS = ("g17", "k19")
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1"
)


def ours(preset: str, scans: Mapping[str, Path], output: Path) -> None:
    """As a worker of ``monai-transfer preprocess`` does it, pictures and records included."""
    from monai_transfer.bundle import standard_scale_file
    from monai_transfer.imaging import named_recipe, read_standard_scale
    from monai_transfer.preprocessing import work
    from monai_transfer.preprocessing.derivatives import Visit
    from monai_transfer.preprocessing.methods import Methods

    recipe = named_recipe(preset)
    scale = read_standard_scale(standard_scale_file("ms_source"))
    job = work.Job(
        visit=Visit("one"),
        images={name: scans[name].name for name in ("t1", "flair")},
        label=None,
        brain=None,
        dataset_dir=scans["t1"].parent,
        output=output,
        recipe=recipe,
        methods=Methods.of(recipe.preparation),
        scale=scale if recipe.preparation.nyul else None,
    )
    outcome = work.run(job)
    if outcome.state != "made":
        raise SystemExit(f"{outcome.reason}\n{outcome.trace}")


def by_ants(preset: str, scans: Mapping[str, Path], output: Path) -> None:
    """What a script with antspyx does; maps are composed, images interpolated once."""
    import ants
    import numpy as np
    from nilearn.datasets import load_mni152_template

    brain = ants.image_read(str(scans["brain"]))
    clean = {
        name: ants.n4_bias_field_correction(ants.image_read(str(scans[name])))
        for name in ("t1", "flair")
    }
    flair = clean["flair"]
    found = ants.registration(flair, clean["t1"], type_of_transform="Rigid")
    maps: dict[str, list[str]] = {"t1": found["fwdtransforms"], "flair": []}
    target = flair
    if preset == "k19":
        load_mni152_template(resolution=1).to_filename(output / "template.nii.gz")
        target = ants.image_read(str(output / "template.nii.gz"))
        found = ants.registration(target, flair * brain, type_of_transform="Affine")
        maps = {name: found["fwdtransforms"] + path for name, path in maps.items()}
        brain = ants.apply_transforms(target, brain, maps["flair"], interpolator="nearestNeighbor")
    inside = brain.numpy() > 0
    for name, image in clean.items():
        moved = ants.apply_transforms(target, image, maps[name]) if maps[name] else image
        voxels = moved.numpy()
        clipped = voxels.clip(*np.percentile(voxels[inside], (1, 99))) * inside
        ants.image_write(target.new_image_like(clipped), str(output / f"{name}.nii.gz"))


def by_itk(preset: str, scans: Mapping[str, Path], output: Path) -> None:
    """What a script with itk and itk-elastix does; T1 is interpolated twice in k19."""
    import itk
    import numpy as np
    from nilearn.datasets import load_mni152_template

    def registered(fixed: Any, moving: Any, *kinds: str) -> tuple[Any, Any]:
        parameters = itk.ParameterObject.New()
        for kind in kinds:
            parameters.AddParameterMap(parameters.GetDefaultParameterMap(kind))
        return itk.elastix_registration_method(
            fixed, moving, parameter_object=parameters, log_to_console=False
        )

    brain = itk.imread(str(scans["brain"]), itk.F)
    moved = {name: n4_of_itk(itk.imread(str(scans[name]), itk.F)) for name in ("t1", "flair")}
    moved["t1"], _ = registered(moved["flair"], moved["t1"], "rigid")
    if preset == "k19":
        load_mni152_template(resolution=1).to_filename(output / "template.nii.gz")
        template = itk.imread(str(output / "template.nii.gz"), itk.F)
        stripped = itk.multiply_image_filter(moved["flair"], brain)
        _, found = registered(template, stripped, "rigid", "affine")
        moved = {name: itk.transformix_filter(image, found) for name, image in moved.items()}
        for stage in range(2):
            found.SetParameter(stage, "FinalBSplineInterpolationOrder", "0")
        brain = itk.transformix_filter(brain, found)
    inside = itk.array_view_from_image(brain) > 0.5
    for name, image in moved.items():
        voxels = itk.array_view_from_image(image)
        clipped = voxels.clip(*np.percentile(voxels[inside], (1, 99))) * inside
        written = itk.image_view_from_array(clipped.astype(np.float32))
        written.CopyInformation(image)
        itk.imwrite(written, str(output / f"{name}.nii.gz"))


def n4_of_itk(image: Any) -> Any:
    """SimpleITK's tutorial: the field from the image shrunk by 4, inside Otsu's mask."""
    import itk

    mask = itk.otsu_threshold_image_filter(image, inside_value=0, outside_value=1)
    mask = itk.cast_image_filter(mask, ttype=[type(mask), itk.Image[itk.UC, 3]])
    small, inside = (itk.shrink_image_filter(one, shrink_factors=[4] * 3) for one in (image, mask))
    n4 = itk.N4BiasFieldCorrectionImageFilter[type(small), type(inside), type(small)].New()
    n4.SetInput(small)
    n4.SetMaskImage(inside)
    n4.SetNumberOfFittingLevels(4)
    n4.SetMaximumNumberOfIterations([50] * 4)
    n4.Update()
    full = itk.N4BiasFieldCorrectionImageFilter[type(image), type(mask), type(image)].New()
    full.SetInput(image)
    field = full.ReconstructBiasField(n4.GetLogBiasFieldControlPointLattice())
    return itk.divide_image_filter(image, itk.exp_image_filter(field))


ROUTES: Mapping[str, tuple[Callable[[str, Mapping[str, Path], Path], None], str]] = {
    "ours": (ours, "monai_transfer"),
    "ANTs": (by_ants, "ants"),
    "ITK, elastix": (by_itk, "itk"),
}
"""Name → what is run, and the library it needs."""


def measured(python: str, route: str, preset: str, scans: Path) -> dict[str, float]:
    """CPU seconds, wall seconds and peak MiB of a route in a process of its own."""
    with tempfile.TemporaryDirectory() as output:
        command = [python, __file__, "--run", route, preset, str(scans), output]
        start = time.perf_counter()
        done = subprocess.run(
            command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, check=False
        )
        wall = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{route}, {preset}: status {done.returncode}")
        if len(list(Path(output).rglob("*.nii.gz"))) < 2:
            raise SystemExit(f"{route}, {preset}: no images were written")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found | {"wall": wall}


def run(route: str, preset: str, scans: str, output: str) -> None:
    """In the child: prepare, and tell the CPU seconds of the whole process, and its peak."""
    found = {path.name.split(".")[0]: path for path in Path(scans).iterdir()}
    ROUTES[route][0](preset, found, Path(output))
    status = Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    told = {"cpu": time.process_time(), "peak_mib": int(peak.split()[1]) / 1024}
    sys.stdout.write(f"\n{json.dumps(told)}\n")


def has(python: str, library: str) -> bool:
    """Whether an environment holds a library."""
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({library!r}) is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def show(real: Path, others: str) -> None:
    """Measure every route, print a row for each."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=110)
    anat = real / "openms-long" / SUBJECT / "anat"
    names = {"t1": "T1w", "flair": "FLAIR", "brain": "space-FLAIR_desc-brain_mask"}
    table = Table(title=f"{SUBJECT}, T1 and FLAIR, files to files, one thread")
    for heading in ("preset", "route", "CPU s", "times ours", "wall s", "peak MiB", "times ours"):
        table.add_column(heading)
    with tempfile.TemporaryDirectory() as scans:
        for name, suffix in names.items():
            source = anat / f"{SUBJECT.replace('/', '_')}_{suffix}.nii.gz"
            Path(scans, f"{name}.nii.gz").symlink_to(source.resolve())
        for preset in PRESETS:
            base: dict[str, float] = {}
            for route, (_, library) in ROUTES.items():
                python = sys.executable if route == "ours" else others
                if not has(python, library):
                    console.print(f"{route}: {library} is missing; see --help for how to get it")
                    continue
                found = measured(python, route, preset, Path(scans))
                base = base or found
                ratios = {key: f"{found[key] / base[key]:.1f}" for key in ("cpu", "peak_mib")}
                told = (f"{found['cpu']:.1f}", ratios["cpu"], f"{found['wall']:.1f}")
                memory = (f"{found['peak_mib']:.0f}", ratios["peak_mib"])
                table.add_row(preset, route, *told, *memory)
    console.print(table)


def main() -> None:
    """Parse, measure, print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--real", type=Path, help="folder of real scans")
    parser.add_argument("--others", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(*options.run)
    elif options.real is None:
        parser.error("--real is needed: a raw subject of the open MS set")
    else:
        show(options.real, options.others)


if __name__ == "__main__":
    main()
