"""The process that NNI starts for one trial: `python -m nni_wiring.service.trial`.

It takes its settings from the experiment's tuner (names as in `search --set`), searches into
NNI_OUTPUT_DIR and reports every epoch and the end to NNI. What goes wrong is one line on stderr,
which NNI keeps as trial.stderr, the same line in run.json, and an exit code other than 0.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from nni_wiring.errors import ConfigError, RunError, WiringError
from nni_wiring.files.messages import shown
from nni_wiring.imports import large_imports
from nni_wiring.records import UNKNOWN, EpochRecord
from nni_wiring.runs.ownership import owned
from nni_wiring.runs.store import RunFolder

INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """The job that NNI gives this process.

    Attributes:
        parameters: settings by option name, as the tuner drew them.
        output: the folder of the trial, NNI_OUTPUT_DIR.
        trial_id, experiment_id, parameter_id: NNI's names for it.
    """

    parameters: dict[str, Any]
    output: Path
    trial_id: str
    experiment_id: str
    parameter_id: int


def main() -> None:
    """Run the trial that the environment and NNI's command channel describe; exits."""
    # NNI interrupts a trial with SIGINT, other schedulers with SIGTERM; both end the same way
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    job = receive_job()
    try:
        run, resumed = open_run(job)
        with owned(run):
            _run_to_its_end(job, run, resumed)
    except WiringError as error:
        _exit(str(error))


def _run_to_its_end(job: Job, run: RunFolder, resumed: bool) -> None:
    """Run the job; the run's status says how it ended."""
    try:
        link_for_web_ui(job)
        run_job(job, run, resumed)
    except KeyboardInterrupt:
        _end(run, "interrupted", None)
        sys.exit(INTERRUPTED)
    except (WiringError, OSError) as error:
        _end(run, "failed", str(error))
        _exit(str(error))
    except Exception as error:
        _end(run, "failed", f"{type(error).__name__}: {error}")
        raise


def receive_job() -> Job:
    """Ask NNI for this trial's parameters.

    Exits with one line if this process was not started by NNI.
    """
    import nni

    if "NNI_OUTPUT_DIR" not in os.environ or "NNI_TRIAL_JOB_ID" not in os.environ:
        _exit("not started by NNI; for one search use: python cli.py search --help")
    parameters = nni.get_next_parameter()
    record = nni.trial._params
    if not isinstance(parameters, dict) or record is None:
        _exit("NNI sent no parameters")
    return Job(
        parameters=parameters,
        output=Path(os.environ["NNI_OUTPUT_DIR"]),
        trial_id=nni.get_trial_id(),
        experiment_id=nni.get_experiment_id(),
        parameter_id=int(record["parameter_id"]),
    )


def open_run(job: Job) -> tuple[RunFolder, bool]:
    """The run of this trial, and whether it is one that `nnictl resume` goes on with.

    Raises:
        RunError: the folder holds another trial's run, or cannot be written.
    """
    if not (job.output / "run.json").exists():
        run = RunFolder.create(
            job.output,
            job.trial_id,
            job.parameters,
            experiment_id=job.experiment_id,
            trial_id=job.trial_id,
            parameter_id=job.parameter_id,
        )
        return run, False
    run = RunFolder.open(job.output)
    if run.run_id != job.trial_id:
        raise RunError(f"{shown(job.output)} holds the run {run.run_id}, not trial {job.trial_id}")
    return run, True


def run_job(job: Job, run: RunFolder, resumed: bool) -> None:
    """Search, or train the fixed cell that the parameter ``arch`` names, or all cells of the
    ``slice`` of a table; report to NNI as it goes, then report the result.

    Raises:
        ConfigError: a parameter is unknown or wrong.
        KeyboardInterrupt: NNI's manager is gone, which is how `nnictl stop` begins.
    """
    import nni

    with large_imports():
        from nni_wiring.search.checkpoint import search_epochs
        from nni_wiring.search.config import make_config
        from nni_wiring.search.run import run_search

    if "arch" in run.config:
        _train(job, run, resumed)
        return
    if "slice" in run.config:
        _build(job, run, resumed)
        return
    if run.config.get("seeds") is not None:
        raise ConfigError(
            "seeds: a trial is one search; let the search space choose its seed instead: "
            "seed: {_type: choice, _value: [1, 2, 3]}"
        )
    config = make_config(run.config)
    _begin(job, run, config.flat(), _done(run, search_epochs, resumed))

    def report_epoch(record: EpochRecord) -> None:
        # the search noted whose truth it shows once it had read its data
        _send(nni.report_intermediate_result, epoch_metric(record, str(run.truth_dataset)))

    result = run_search(config, run, resume=resumed, on_epoch=report_epoch)
    _send(nni.report_final_result, final_metric(run, str(result.truth_dataset)))


def _train(job: Job, run: RunFolder, resumed: bool) -> None:
    """The same for a fixed cell: NNI is told its accuracy on the held-out images."""
    import nni

    from nni_wiring.train.config import make_train_config
    from nni_wiring.train.run import run_train, training_epochs

    config = make_train_config(run.config)
    _begin(job, run, config.flat(), _done(run, training_epochs, resumed))

    def report_epoch(record: EpochRecord) -> None:
        _send(nni.report_intermediate_result, train_metric(record))

    run_train(config, run, resume=resumed, on_epoch=report_epoch)
    _send(nni.report_final_result, train_metric(run.records()[-1]))


def _build(job: Job, run: RunFolder, resumed: bool) -> None:
    """The same for a slice of a table: NNI is told how much of it is done."""
    import nni

    from nni_wiring.service.build_trial import finished, open_slice, train_slice

    build, part = open_slice(run)
    done = finished(build, part)
    _begin(job, run, run.config, done if resumed else None)
    metric = train_slice(build, part, lambda m: _send(nni.report_intermediate_result, m))
    _send(nni.report_final_result, metric)


def train_metric(record: EpochRecord) -> dict[str, float]:
    """An epoch of a training as a metric for NNI.

    ``default`` is the accuracy on the test images, else on the validation images, else (in an epoch
    that evaluated neither) on the training batches, in percent.
    """
    names = ("test", "valid", "train")
    known = {part: record.accuracy[part] for part in names if part in record.accuracy}
    default = next(iter(known.values()), 0.0)
    return {
        "default": default,
        **{f"{part}_accuracy": value for part, value in known.items()},
        "training_loss": record.loss.get("train", 0.0),
        "epoch": float(record.epoch),
    }


def epoch_metric(record: EpochRecord, dataset: str) -> dict[str, float]:
    """An epoch's record as a metric for NNI: finite numbers only.

    ``default`` is the true validation accuracy on `dataset` of the cell derived now, in percent;
    the supernet's accuracy where the space has no truth.
    """
    score = UNKNOWN if record.truth is None else record.truth.at(dataset, "valid")
    numbers = {
        "true_accuracy": score.accuracy,
        "regret": score.regret,
        "percentile": score.percentile,
        "supernet_accuracy": record.accuracy.get("search"),
        "training_accuracy": record.accuracy.get("train"),
        "training_loss": record.loss.get("train"),
        "width": record.topology.get("width"),
        "depth": record.topology.get("depth"),
        "live_edges": record.topology.get("live_edges"),
        "epoch": record.epoch,
    }
    known = {
        name: float(value)
        for name, value in numbers.items()
        if value is not None and math.isfinite(value)
    }
    names = ("true_accuracy", "supernet_accuracy", "training_accuracy")
    default = next((known[name] for name in names if name in known), 0.0)
    return {"default": default} | known


def final_metric(run: RunFolder, dataset: str) -> dict[str, float]:
    """The last epoch's numbers with those of the selected cell in the place of the cell derived in
    that epoch (a selection at the end of the search may choose another one).

    Numbers only, as NNI's Hyper-parameter page draws them; the run's folder holds the cell
    (result.json) and the parameters that the trial really got (run.json).
    """
    last, result = run.records()[-1], run.search_result()
    if result is not None:
        truth, topology = result.truth or last.truth, result.topology or last.topology
        last = replace(last, truth=truth, topology=topology)
    return epoch_metric(last, dataset)


def link_for_web_ui(job: Job) -> None:
    """Let the web UI's TensorBoard button find this trial's logs.

    NNI 3.0 looks in `<experiment>/trials/<id>/output/tensorboard`, while a local trial is told to
    write to `<experiment>/environments/<environment>/trials/<id>`.
    """
    if job.output.name != job.trial_id or job.output.parent.name != "trials":
        return  # a training service with another layout
    experiment = job.output.parents[3]
    link = experiment / "trials" / job.trial_id / "output"
    if experiment.name != job.experiment_id or link.is_symlink() or link.exists():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(job.output, link.parent), target_is_directory=True)


def _done(run: RunFolder, epochs_in: Callable[[Any], int], resumed: bool) -> int | None:
    """The epochs that a resumed run has reported, by its checkpoint; None for a new run.

    epochs_in: counts the epochs in a checkpoint's content.
    """
    from nni_wiring.search.kept import kept_epochs

    return kept_epochs(run, epochs_in) if resumed else None


def _begin(job: Job, run: RunFolder, options: dict[str, Any], done: int | None) -> None:
    """Note options and drawn parameters in a new run, or go on with one that has reported ``done``
    times.
    """
    if done is not None:
        _continue_as_before(run, done)
        return
    run.info = run.info | {"config": options, "parameters": job.parameters}
    run.set_status("running")


def _continue_as_before(run: RunFolder, done: int) -> None:
    """Report on under the parameter id and the sequence that the run had before it was stopped.

    `nnictl resume` hands a trial the parameters that were drawn for it, which with several
    trials at once are not those that it got at first (see docs/nni.md).
    """
    import nni

    if run.info.get("parameter_id") is not None:
        record = {"parameter_id": run.info["parameter_id"], "parameters": run.config}
        nni.trial._params = record
    if done:
        nni.trial.overwrite_intermediate_seq(done)


def _send(report: Callable[[dict[str, Any]], None], metric: dict[str, Any]) -> None:
    """Report to NNI; a manager that is gone ends the trial like its own interrupt would.

    `nnictl stop` closes the manager's server some seconds before it interrupts the trials.
    """
    from requests import ConnectionError as NoConnection

    try:
        report(metric)
    except NoConnection:
        print("NNI's manager is gone", file=sys.stderr)
        raise KeyboardInterrupt from None


def _end(run: RunFolder, status: str, error: str | None) -> None:
    """Record how the run ended, unless the search did so itself or the disk takes nothing."""
    if run.status != "running":
        return
    try:
        run.set_status(status, error)
    except WiringError as problem:
        print(f"error: {problem}", file=sys.stderr)


def _exit(line: str) -> NoReturn:
    print(f"error: {line}", file=sys.stderr, flush=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
