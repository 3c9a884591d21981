"""The logger that a run may have beside TensorBoard's, one of Lightning's own."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.messages import reason, shown
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.settings import LoggerName
from search_spaces.nni_api import CSVLogger, Logger, MLFlowLogger, WandbLogger

#: The packages that loggers need and a search does not.
_PACKAGES = {"wandb": "wandb", "mlflow": "mlflow"}
#: Of the experiment or project that runs are told to.
_PROJECT = "nni-wiring"


def check_logger(name: LoggerName) -> None:
    """Raise ConfigError, one line, where the logger's package cannot be imported."""
    package = _PACKAGES.get(name)
    if package is None:
        return
    try:
        importlib.import_module(package)
    except ImportError as error:
        allowed = ", ".join(get_args(LoggerName))
        raise ConfigError(
            f"logger: {name} needs the package {package}, which cannot be imported "
            f"({_first_line(error)}); pip install {package}, or another of: {allowed}"
        ) from None


@contextmanager
def second_logger(
    name: LoggerName, folder: RunFolder, options: Mapping[str, Any]
) -> Iterator[list[Logger]]:
    """The logger that stands beside TensorBoard's, in a list, which is empty for ``none``.

    It is new even where the run goes on: what the run logged before has to be told to it again.

    Args:
        name: which one.
        folder: of the run; the logs lie in it, unless the package's own environment variables name
            a server.
        options: of the run, which it is told.

    Raises:
        ConfigError: its package cannot be imported.
        RunError: it cannot be made.
    """
    check_logger(name)
    if name == "none":
        yield []
        return
    try:
        logger, end = _MAKERS[name](folder, options)
    except Exception as error:  # noqa: BLE001  another package's, a server's too
        raise RunError(f"logger: {name} cannot be started: {_first_line(error)}") from None
    status = "failed"
    try:
        yield [logger]
        status = "success"
    finally:
        end(status)


def tell(loggers: Iterable[Logger], values: Mapping[str, float], epoch: int) -> None:
    """Log an epoch's scalars to all of them."""
    for logger in loggers:
        logger.log_metrics(dict(values), step=epoch)


class CsvLogger(CSVLogger):
    """Lightning's, writing ``csv/metrics.csv`` in a run's folder after every epoch."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(folder.path, name="", version="csv", flush_logs_every_n_steps=1)

    @property
    def experiment(self) -> Any:
        """Lightning's writer, which begins the file anew; RunError where it cannot be written."""
        try:
            if self._experiment is None:  # Lightning removes an earlier file too, with a warning
                Path(self.log_dir, "metrics.csv").unlink(missing_ok=True)
            return super().experiment
        except OSError as error:
            raise self._unwritten(error) from None

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Write a row; RunError, one line, where it cannot be written."""
        try:
            super().log_metrics(metrics, step)
        except OSError as error:
            raise self._unwritten(error) from None

    def finalize(self, status: str) -> None:
        """All rows are written; of a search that failed no more is tried: the disk may be full."""

    def _unwritten(self, error: OSError) -> RunError:
        return RunError(f"cannot write {shown(self.log_dir)}: {reason(error)}")


_End = Callable[[str], object]


def _csv(folder: RunFolder, options: Mapping[str, Any]) -> tuple[Logger, _End]:
    logger = CsvLogger(folder)
    return logger, logger.finalize


def _wandb(folder: RunFolder, options: Mapping[str, Any]) -> tuple[Logger, _End]:
    wandb: Any = importlib.import_module("wandb")
    # not made by Lightning, which would take the process's current run: that of another seed
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or _PROJECT,
        name=folder.run_id,
        dir=str(folder.path),
        mode=os.environ.get("WANDB_MODE") or "offline",
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off"),
    )
    run.define_metric("*", step_metric="trainer/global_step")  # by which Lightning logs
    logger = WandbLogger(experiment=run)
    logger.log_hyperparams(dict(options))
    return logger, lambda status: run.finish(exit_code=int(status != "success"))


def _mlflow(folder: RunFolder, options: Mapping[str, Any]) -> tuple[Logger, _End]:
    server = os.environ.get("MLFLOW_TRACKING_URI")
    own = folder.path.resolve() / "mlflow"
    own.mkdir(exist_ok=True)
    logger = MLFlowLogger(
        experiment_name=_PROJECT,
        run_name=folder.run_id,
        tracking_uri=server or f"sqlite:///{own / 'mlflow.db'}",
        artifact_location=None if server else (own / "artifacts").as_uri(),
    )
    try:
        logger.log_hyperparams(dict(options))
    finally:  # MLflow sets it itself; the next run would take this one's file for a server
        if server is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
    return logger, logger.finalize


_MAKERS: Mapping[str, Callable[[RunFolder, Mapping[str, Any]], tuple[Logger, _End]]] = {
    "csv": _csv,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
