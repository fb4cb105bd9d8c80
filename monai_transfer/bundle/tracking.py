"""``--tracking mlflow``: which runs it was asked for, and what takes the place of MONAI's handlers.

MONAI adds handlers of its own to the config. They read the loss from a decollated output, which our
trainers do not make; they write a copy of the config, folders of the machine included, into the
run; and they know neither options nor result. A config of ours turns them off by ``is_not_rank0``
and ``save_execute_config``, and lists :func:`mlflow_handler` instead. What MONAI's options say,
``tracking_uri``, ``experiment_name`` and ``run_name``, holds all the same.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS

from monai_transfer.bundle.workflow import root, running_config
from monai_transfer.errors import InputError

_DEFAULTS: Any = DEFAULT_MLFLOW_SETTINGS["configs"]
_PACKAGES = ("mlflow", "sqlalchemy", "alembic")


def is_tracked() -> bool:
    """Whether the running workflow was asked to be tracked: MONAI has then added its options."""
    return "tracking_uri" in running_config()


def require_tracker() -> None:
    """Refuse a run that is to be tracked without the packages for it.

    Raises:
        InputError: naming the first that is missing.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if is_tracked() and missing:
        todo = "Install the extra: pip install 'monai-transfer[mlflow]'."
        raise InputError(
            "options", "tracking", f"find the package {missing[0]}", got="none", todo=todo
        )


def mlflow_handler(record: Any, history: Any) -> Any:
    """The handler that follows a training in MLflow, as MONAI's options say.

    Args:
        record: of the run.
        history: of the training.
    """
    from monai_transfer.training.tracking import MLflowTracking

    config = running_config()
    given = {name: config[name] for name in ("tracking_uri", "experiment_name", "run_name")}
    asked = {name: value for name, value in given.items() if value != _DEFAULTS[name]}
    return MLflowTracking(
        record,
        history,
        experiment=asked.get("experiment_name") or Path(root()).name,
        uri=asked.get("tracking_uri"),
        name=asked.get("run_name"),
    )
