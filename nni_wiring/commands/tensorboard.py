"""`tensorboard`: runs side by side with the published results, served to this machine only."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nni_wiring.commands.run_ids import run_ids_argument
from nni_wiring.errors import RunError
from nni_wiring.runs.store import RunFolder, own_part
from nni_wiring.service.resolve import resolve

if TYPE_CHECKING:
    from nni_wiring.truth import Benchmark, TruthTable
    from nni_wiring.truth.provenance import Provenance

HOST = "127.0.0.1"
TAB = "wiring"  # TensorBoard opens on scalars where its address names no tab
_REFRESH_SECONDS = 10.0


@click.command()
@run_ids_argument
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to serve on; otherwise the first free one from 6006.",
)
def tensorboard(run_ids: tuple[str, ...], port: int | None) -> None:
    """Show runs in TensorBoard: the tab WIRING explains them epoch by epoch, and reference curves
    of the optimum, published and random cells stand beside their scalars.

    RUN_ID is a run id, a folder, an NNI trial or experiment id, or `latest`. The server listens on
    127.0.0.1 only; from another machine go through `ssh -L`. Ctrl-C ends it.
    """
    runs = _runs(run_ids)
    with tempfile.TemporaryDirectory(prefix="nni-wiring-tensorboard-") as folder:
        logdir = Path(folder)
        shown = link_runs(logdir, runs)
        if not shown:
            raise RunError(f"{', '.join(run_ids)}: no TensorBoard logs (yet)")
        write_all_references(logdir, shown)
        write_provenance(logdir, shown)
        write_tabs(logdir, shown)
        write_hparams(logdir, shown)
        click.echo(f"TensorBoard at {_launch(logdir, port)}#{TAB}  (Ctrl-C ends it)")
        while True:
            time.sleep(_REFRESH_SECONDS)
            link_runs(logdir, _runs(run_ids))  # trials that have started since


def link_runs(logdir: Path, runs: Iterable[RunFolder]) -> list[RunFolder]:
    """Link the event files of `runs` into one folder a run under `logdir`; returns the runs linked.

    The reference curves that each run carries are left out: they are written once for all.
    """
    linked = []
    for run in runs:
        files = sorted(run.tensorboard.glob("events.*"))
        if not files:
            continue
        folder = logdir / run_name(run)
        folder.mkdir(exist_ok=True)
        for file in files:
            link = folder / file.name
            if not link.is_symlink():
                link.symlink_to(file.resolve())
        linked.append(run)
    return linked


def run_name(run: RunFolder) -> str:
    """A run's name in TensorBoard, such as ``darts-s1-9f3c``: of an id that this project made, the
    four letters that are its own.
    """
    strategy, seed = run.config.get("strategy", "run"), run.config.get("seed", 0)
    return f"{strategy}-s{seed}-{own_part(run.run_id)}"


def write_hparams(logdir: Path, runs: Iterable[RunFolder]) -> None:
    """Let HParams show the settings in which ``runs`` differ, and no others."""
    from nni_wiring.monitor.hparams import write_columns

    write_columns(logdir, [run.config for run in runs])


def write_all_references(logdir: Path, runs: Iterable[RunFolder]) -> None:
    """Write the reference curves of every data set that `runs` are judged on."""
    from nni_wiring.monitor.tensorboard import write_references
    from nni_wiring.report.analysis import recorded_table

    epochs: dict[tuple[str, TruthTable], int] = {}
    for run in runs:
        table = recorded_table(run)
        if table is not None:
            key = (_provenance(run, table.benchmark).dataset, table)
            epochs[key] = max(epochs.get(key, 1), int(run.config.get("epochs") or 1))
    for (dataset, table), count in epochs.items():
        folder = logdir if len(epochs) == 1 else logdir / f"{table.name}-{dataset}"
        write_references(folder, dataset, count, table)


def write_provenance(logdir: Path, runs: Iterable[RunFolder]) -> None:
    """Say beside every run, under TEXT, which benchmark judges it and whether its search is
    comparable with the published rows; runs without a truth are left out.
    """
    from nni_wiring.monitor.event_file import EventWriter
    from nni_wiring.report.provenance import in_words
    from nni_wiring.truth import BENCHMARKS

    for run in runs:
        records = run.records()
        truth = records[-1].truth if records else None
        if truth is None or truth.benchmark not in BENCHMARKS:
            continue
        found = _provenance(run, BENCHMARKS[truth.benchmark])
        # a folder of its own: TensorBoard follows only the newest event file of a folder
        with EventWriter(logdir / run_name(run) / "provenance") as writer:
            writer.add_text("provenance", f"Truth: {in_words(found)}.", 0)


def write_tabs(logdir: Path, runs: Iterable[RunFolder]) -> None:
    """Write what the tab WIRING shows of every run whose own event files do not tell it: runs of
    earlier versions. Runs without epochs are left out.
    """
    from nni_wiring.monitor.event_file import EventWriter
    from nni_wiring.monitor.tab import TabSink
    from nni_wiring.monitor.view import View
    from nni_wiring.report.analysis import recorded_table

    for run in runs:
        records = run.records()
        if not records or _tells_the_tab(run):
            continue
        table = recorded_table(run)
        view = View(table, "" if table is None else _provenance(run, table.benchmark).dataset)
        # a folder of its own, as in write_provenance
        with EventWriter(logdir / run_name(run) / "wiring") as writer:
            sink = TabSink(writer, view, run.run_id, run.config)
            for record in records:
                sink(record)
            if run.status == "finished":
                sink.finish(records, run.result() or {})


def _tells_the_tab(run: RunFolder) -> bool:
    """True where an event file of the run names the tab's epochs; names stand there as they are."""
    from nni_wiring.tab.summary import EPOCH

    name = EPOCH.encode()
    return any(name in file.read_bytes() for file in run.tensorboard.glob("events.*"))


def _provenance(run: RunFolder, benchmark: Benchmark) -> Provenance:
    from nni_wiring.report.provenance import run_provenance

    return run_provenance(run.config, run.result() or {}, benchmark)


def _runs(run_ids: Iterable[str]) -> list[RunFolder]:
    """The runs that the ids name, each once."""
    found = {run.path.resolve(): run for run_id in run_ids for run in resolve(run_id)}
    return list(found.values())


def _launch(logdir: Path, port: int | None) -> str:
    """Serve `logdir` from a thread of this process; returns the address.

    Raises:
        RunError: the port is taken.
    """
    from tensorboard.default import get_plugins
    from tensorboard.program import TensorBoard, TensorBoardServerException

    from nni_wiring.tab.plugin import WiringLoader

    # its fast loader is a program of its own that prints notices and may outlive a kill
    options = ["--logdir", str(logdir), "--host", HOST, "--load_fast", "false"]
    options += ["--reload_interval", "5"] + (["--port", str(port)] if port else [])
    # found by its entry point too, where the package is installed as it is now
    plugins = [plugin for plugin in get_plugins() if plugin is not WiringLoader]
    server = TensorBoard([*plugins, WiringLoader])
    server.configure(argv=["tensorboard", *options])
    try:
        return str(server.launch())
    except TensorBoardServerException as error:
        raise RunError(f"TensorBoard: {error.msg.strip().splitlines()[0]}") from None
