"""Percentile scaling and Nyúl's standard scale beside the libraries that have them.

Four simulated modalities on the 182×218×182 grid of MNI space. Every route does the same work on
arrays in memory; CPU seconds are the best of some repeats, taken in turn, and ratios are to the
first row. The last column says how far a route's result is from ours.

    pip install torchio intensity-normalization
    python tests/benchmarks/bench_intensity.py [--repeats 3]
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from monai.transforms import ScaleIntensityRangePercentiles
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from monai_transfer.imaging import (
    landmarks,
    learn_standard_scale,
    scale_percentiles,
    to_standard_scale,
)
from monai_transfer.imaging.intensity import DARKEST
from monai_transfer.imaging.nyul import PERCENTS, RANGE
from monai_transfer.simulation import simulate_subject

Images = NDArray[np.float32]
Route = Callable[[], Images]


def cpu_seconds(routes: dict[str, Route], repeats: int) -> dict[str, tuple[float, Images]]:
    """Best CPU time and the result of each route, taken in turn after one warm-up."""
    best = {name: (float("inf"), np.empty(0, np.float32)) for name in routes}
    for repeat in range(repeats + 1):
        for name, route in routes.items():
            start = time.process_time()
            result = np.asarray(route())
            seconds = time.process_time() - start
            if repeat == 0 or seconds < best[name][0]:
                best[name] = (seconds if repeat else float("inf"), result)
    return best


def percentile_routes(images: Images) -> dict[str, Route]:
    """Clip at the 1st and 99th percentile of all voxels, and scale to [0, 1]."""
    import torchio as tio

    monai = ScaleIntensityRangePercentiles(1, 99, 0, 1, clip=True, channel_wise=True)
    rescale = tio.RescaleIntensity((0, 1), percentiles=(1, 99))

    def by_numpy() -> Images:
        out = np.empty_like(images)
        for one, scaled in zip(images, out, strict=True):
            low, high = np.percentile(one, (1, 99))
            np.clip((one - low) / (high - low), 0, 1, out=scaled)
        return out

    tensor = torch.from_numpy(images)
    return {
        "MONAI ScaleIntensityRangePercentiles": lambda: monai(tensor).numpy(),
        "TorchIO RescaleIntensity": lambda: np.concatenate(
            [rescale(tio.ScalarImage(tensor=one[None])).numpy() for one in tensor]
        ),
        "NumPy, np.percentile": by_numpy,
        "monai_transfer": lambda: scale_percentiles(images, (1, 99)),
        "(a copy)": images.copy,
    }


def nyul_routes(images: Images, masks: NDArray[np.bool_], folder: Path) -> dict[str, Route]:
    """Learn from volumes of one modality with their masks, and apply to each of them."""
    import torchio as tio
    from intensity_normalization import NyulNormalizer
    from intensity_normalization.adapters.images import NumpyImageAdapter

    def by_intensity_normalization() -> Images:
        adapted = [list(map(NumpyImageAdapter, arrays)) for arrays in (images, masks)]
        pairs = list(zip(*adapted, strict=True))
        nyul = NyulNormalizer(*RANGE)
        nyul.fit_population(*adapted)
        return np.stack([nyul.transform(i, m).get_data() for i, m in pairs])

    files = [folder / f"{i}.nrrd" for i in range(len(images))]
    for image, file in zip(images, files, strict=True):
        tio.ScalarImage(tensor=torch.from_numpy(image)[None]).save(file)

    def by_torchio() -> Images:
        learned = tio.HistogramStandardization.train(
            files, masking_function=lambda x: x > 0, progress=False
        )
        nyul = tio.HistogramStandardization({"image": learned}, masking_method=lambda x: x > 0)
        subjects = [
            tio.Subject(image=tio.ScalarImage(tensor=torch.from_numpy(i)[None])) for i in images
        ]
        # its scale is 0 to 100
        return np.concatenate([nyul(one).image.numpy() for one in subjects]) + np.float32(RANGE[0])

    def ours() -> Images:
        pairs = [(image[None], mask) for image, mask in zip(images, masks, strict=True)]
        scale = learn_standard_scale([landmarks(*pair) for pair in pairs], ["t1"])
        mapped = [to_standard_scale(*p, scale=scale, modalities=["t1"]) for p in pairs]
        return np.concatenate(mapped)

    return {
        "intensity-normalization NyulNormalizer": by_intensity_normalization,
        "TorchIO HistogramStandardization": by_torchio,
        "NumPy, percentile + interp": lambda: by_numpy(images, masks),
        "monai_transfer": ours,
        "(a copy)": images.copy,
    }


def by_numpy(images: Images, masks: NDArray[np.bool_]) -> Images:
    """The same in a dozen lines."""
    own = [np.percentile(i[m], PERCENTS) for i, m in zip(images, masks, strict=True)]
    standard = np.mean([30 + 100 * (o - o[0]) / (o[-1] - o[0]) for o in own], axis=0)
    out = np.zeros_like(images)
    for image, mask, o, mapped in zip(images, masks, own, out, strict=True):
        v = image[mask]
        low = standard[0] + (v - o[0]) * (standard[1] - standard[0]) / (o[1] - o[0])
        high = standard[-1] + (v - o[-1]) * (standard[-1] - standard[-2]) / (o[-1] - o[-2])
        inner = np.interp(v, o, standard)
        mapped[mask] = np.where(v < o[0], low, np.where(v > o[-1], high, inner)).clip(2**-10)
    return out


def show(title: str, found: dict[str, tuple[float, Images]], inside: NDArray[np.bool_]) -> None:
    """Print a table."""
    table = Table(title=title)
    for heading in ("", "CPU s", "ratio", "type", "off in the brain", "background"):
        table.add_column(heading, justify="right" if heading else "left")
    first = next(iter(found.values()))[0]
    empty = ~inside
    ours = found["monai_transfer"][1]
    inside = inside & (ours > DARKEST)
    for name, (seconds, result) in found.items():
        off = np.abs(result - ours)[inside].max() if "copy" not in name else np.nan
        background = result[empty].min()
        cells = f"{seconds:.3f}", f"{seconds / first:.3f}", str(result.dtype), f"{off:.1e}"
        table.add_row(name, *cells, f"{background:.3g}")
    Console().print(table)


def main() -> None:
    """Simulate, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    subjects = [simulate_subject("ms", index) for index in range(3)]
    images = np.ascontiguousarray(subjects[0].image.astype(np.float32))
    found = cpu_seconds(percentile_routes(images), repeats)
    show("clip at percentiles 1 and 99, scale: 4×182×218×182", found, images != 0)
    t1 = np.stack([subject.image[0].astype(np.float32) for subject in subjects])
    with tempfile.TemporaryDirectory() as folder:
        found = cpu_seconds(nyul_routes(t1, t1 != 0, Path(folder)), repeats)
    show("Nyúl, learn and apply: three T1, 182×218×182", found, t1 != 0)


if __name__ == "__main__":
    main()
