"""``--tracking mlflow``: what a store is told of a training."""

import csv
import getpass
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ignite.engine import Engine
from mlflow import MlflowClient
from mlflow.entities import Run

from monai_transfer.bundle import tracking
from monai_transfer.errors import InputError
from monai_transfer.training import RunRecord, Stopped
from monai_transfer.training.tracking import MLflowTracking

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:mlflow", "ignore::ResourceWarning"
)


def stored(database: Path) -> dict[str, list[Run]]:
    """Runs of a store by experiment."""
    client = MlflowClient(f"sqlite:///{database.absolute()}")
    experiments = {e.name: e.experiment_id for e in client.search_experiments()}
    return {name: list(client.search_runs([i])) for name, i in experiments.items() if i != "0"}


@pytest.fixture
def tracked(name: str, room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """A tracked training into ``runs/first``, as its store has it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    options = room.training(name) | {"epochs": 2, "val_interval": 2}
    run(room.bundle(name) / "train.json", tracking="mlflow", output_dir="runs/first", **options)
    ((experiment, runs),) = stored(Path("runs/mlruns.db")).items()
    assert experiment == name
    (found,) = runs
    return found


def test_a_store_beside_the_run_has_its_options_its_epochs_and_its_result(tracked: Run, about: Any):
    assert (tracked.info.run_name, tracked.info.status) == ("first", "FINISHED")
    params = tracked.data.params
    assert (params["cases"], params["epochs"], params["seed"]) == ("2", "2", "0")
    assert not {"is_not_rank0", "run_name", "run", "initialize"} & set(params)
    client = MlflowClient(f"sqlite:///{Path('runs/mlruns.db').absolute()}")
    with Path("runs/first/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    for metric in ("loss", about.score):
        logged = client.get_metric_history(tracked.info.run_id, metric)
        expected = [(int(row["epoch"]), float(row[metric])) for row in rows if row[metric]]
        assert [(m.step, m.value) for m in logged] == expected
    with Path("runs/first/metrics.csv").open() as file:
        first = next(csv.DictReader(file))  # of one test subject, and the first region
    score = next(metric for metric in ("dice", "ssim", "auc") if metric in first)
    if first[score] != "n/a":  # as the area of what is in all slices
        assert tracked.data.metrics[f"test_{score}_{first['region']}"] == float(first[score])
    copies = {artifact.path for artifact in client.list_artifacts(tracked.info.run_id)}
    assert {"metrics.csv", "learning_curve.png", "run.json"} <= copies
    assert "model.pt" not in copies


def test_neither_run_nor_store_tells_user_host_or_data_folder(tracked: Run, room: Any):
    """The store knows where its own copies lie; so it is beside the run, not in it."""
    assert not list(Path("runs/first").glob("*mlruns*"))
    assert not list(Path("runs/first").glob("config_*.json"))
    assert tracked.info.user_id == "unknown"
    words = json.dumps([tracked.data.params, tracked.data.tags])
    for folder in (room.data, Path.home(), Path.cwd()):
        assert str(folder) not in words
    database = Path("runs/mlruns.db").read_bytes()
    assert str(room.data).encode() not in database
    for name in (socket.gethostname(), getpass.getuser()):
        if len(name) > 5:  # a shorter one may be a part of any word
            assert name.encode() not in database


def test_the_environment_s_store_goes_first_and_names_may_be_chosen(
    room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    database = Path("elsewhere.db").absolute()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    names = {"experiment_name": "tumours", "run_name": "twelve"}
    train = room.bundle("brats_ft") / "train.json"
    options = {**room.training("brats_ft"), **names, "output_dir": "out"}
    run(train, tracking="mlflow", **options)
    ((experiment, (found,)),) = stored(database).items()
    assert (experiment, found.info.run_name) == ("tumours", "twelve")
    assert not Path("mlruns.db").exists()


def test_a_stopped_training_goes_on_in_the_same_run_of_the_store(
    room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train = room.bundle("brats_ft") / "train.json"
    options = room.training("brats_ft") | {"epochs": 2, "val_interval": 1, "output_dir": "runs/a"}
    with monkeypatch.context() as patched:
        patched.setattr(MLflowTracking, "conclude", lambda _: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            run(train, tracking="mlflow", **options)
    ((stopped,),) = stored(Path("runs/mlruns.db")).values()
    assert stopped.info.status == "KILLED"
    run(train, tracking="mlflow", resume=True, num_workers=1, **options)
    ((whole,),) = stored(Path("runs/mlruns.db")).values()
    assert (whole.info.run_id, whole.info.status) == (stopped.info.run_id, "FINISHED")


def test_a_failed_training_is_failed_in_the_store_until_it_goes_on(
    room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    train = room.bundle("brats_ft") / "train.json"
    options = room.training("brats_ft") | {"epochs": 2, "val_interval": 1, "output_dir": "runs/a"}
    with monkeypatch.context() as patched:
        patched.setattr(MLflowTracking, "_log_epoch", fails_in_epoch_2)
        with pytest.raises(RuntimeError):
            run(train, tracking="mlflow", **options)
    ((failed,),) = stored(Path("runs/mlruns.db")).values()
    assert failed.info.status == "FAILED"
    run(train, tracking="mlflow", resume=True, **options)
    ((whole,),) = stored(Path("runs/mlruns.db")).values()
    assert (whole.info.run_id, whole.info.status) == (failed.info.run_id, "FINISHED")


def fails_in_epoch_2(_: MLflowTracking, engine: Engine) -> None:
    if engine.state.epoch == 2:
        raise OSError(28, "No space left on device")


def test_a_run_may_be_tracked_from_where_it_is_gone_on_with_and_the_record_knows_of_no_store(
    room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    train = room.bundle("brats_ft") / "train.json"
    options = room.training("brats_ft") | {"output_dir": "out"}
    with monkeypatch.context() as patched:
        patched.setattr(RunRecord, "write", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped):
            run(train, **options)
    uri = f"sqlite:///{Path('secret-host.db').absolute()}"
    run(train, tracking="mlflow", tracking_uri=uri, resume=True, **options)
    assert len(stored(Path("secret-host.db"))["brats_ft"]) == 1
    assert "secret-host" not in Path("out/run.json").read_text()
    assert "MLFlowHandler" not in Path("out/run.json").read_text()


def test_without_the_package_a_run_ends_at_once_and_says_what_to_install(
    room: Any, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None if name == "mlflow" else object())
    train, options = room.bundle("brats_ft") / "train.json", room.training("brats_ft")
    with pytest.raises(RuntimeError) as caught:
        run(train, tracking="mlflow", output_dir="out", **options)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    assert "tracking must find the package mlflow, got none." in str(error)
    assert "pip install 'monai-transfer[mlflow]'" in str(error)
    assert not Path("out").exists()
