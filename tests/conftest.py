"""What all tests share: checked annotations, one thread each, no windows, a GPU only if present."""

import importlib
import os
import pkgutil
import random
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
from jaxtyping import install_import_hook

import monai_transfer

collect_ignore = ["benchmarks"]  # scripts, which may import one another

# Read by torch when it loads, and by NumPy in the test workers and in the commands that tests run.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

# Annotations hold in every call the tests make, shapes included; an int may stand for a float, as
# it may for mypy. Networks are left out: TorchScript reads the source of a function, not of its
# wrapper. The hook must be there before the modules are.
install_import_hook(
    [
        f"monai_transfer.{module.name}"
        for module in pkgutil.iter_modules(monai_transfer.__path__)
        if module.name != "networks"
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is kept in the user's cache folder; commands that tests run inherit it."""
    os.environ["MONAI_TRANSFER_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real() -> Path:
    """Folder of real scans; the test is skipped where there is none."""
    beside = Path(__file__).resolve().parents[1] / "../shared/real"
    folder = Path(os.environ.get("MONAI_TRANSFER_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no real scans beside the checkout or in MONAI_TRANSFER_REAL_DATA")
    return folder


@pytest.fixture(scope="session")
def torchvision_models() -> ModuleType:
    """torchvision's networks, also where its compiled operators were built for another torch.

    Its wheel on PyPI has those for the CUDA torch; beside the CPU torch it registers fakes of two
    that nothing defined, and does not import. No network here calls them.
    """
    if find_spec("torchvision") is None:
        pytest.skip("needs torchvision")
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    import torch

    for name in ("nms", "qnms"):
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define(f"torchvision::{name}", schema)
    return importlib.import_module("torchvision.models")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Every test, its fixtures too, draws the same random numbers in whatever order tests run."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - of the tests themselves and of MONAI
    torch.manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked ``gpu`` on a machine without one."""
    on_gpu = [item for item in items if "gpu" in item.keywords]
    if not on_gpu:
        return
    import torch

    if not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def no_run_is_left_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run that a test began and left holds its folder's lock, and the signals.

    It is ended before monkeypatch leaves the test's folder, which the run's may be relative to.
    """
    yield
    session = sys.modules.get("monai_transfer.training.session")
    if session is not None and session.Session.current is not None:
        session.Session.current.end("failed", "the test is over")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by their number: gzip writes the time into them, and all workers must agree."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None
