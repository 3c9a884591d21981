"""The work of a build: its missing trainings, in this process or in several, row by row to disk."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

from nni_wiring.building.folder import BuildFolder
from nni_wiring.building.plan import WHOLE, Slice, Unit
from nni_wiring.building.rows import Row
from nni_wiring.building.trainer import TrainCells, trainer_of
from nni_wiring.errors import BenchmarkError, WiringError
from nni_wiring.runs.ownership import owned
from nni_wiring.search.whole_run import end_noted

#: Called with the numbers of finished and of all trainings of the slice.
Progress = Callable[[int, int], None]


class Group(NamedTuple):
    """Cells that one call of a trainer trains, with one seed."""

    units: tuple[Unit, ...]
    archs: tuple[str, ...]


def run_build(
    build: BuildFolder,
    part: Slice = WHOLE,
    jobs: int = 1,
    progress: Progress = lambda done, total: None,
    trainer: TrainCells | None = None,
    size: int = 1,
) -> int:
    """Train what is missing of a slice. Every finished training is on disk before the next begins.

    Args:
        build: where.
        part: the slice.
        jobs: processes, each with the threads that the options say (one, unless told otherwise).
        progress: told after every group.
        trainer: trains groups of cells, a function of a module, since processes find it by name;
            None for that of the build's options.
        size: cells that it is given at once.

    Returns:
        How many trainings were done now.

    Raises:
        OwnedError: another process builds in this folder, which stays as it is.
        WiringError: one line; what is done stays, and the same call goes on from there.
    """
    train = trainer or trainer_of(build.options.kernels)
    with owned(build.run), end_noted(build.run):
        missing, total = build.missing(part), len(build.plan.units(part))
        build.run.set_status("running")
        if missing:
            done = total - len(missing)
            progress(done, total)
            groups = groups_of(build, missing, size)
            with _rows_of(build.options.training, groups, jobs, train) as finished:
                for group, rows in finished:
                    build.add(zip(group.units, rows, strict=True))
                    done += len(rows)
                    progress(done, total)
        build.run.set_status("finished")
    return len(missing)


def groups_of(build: BuildFolder, units: Sequence[Unit], size: int) -> list[Group]:
    """Units in groups of one seed each, in their order."""
    groups = []
    for _, same in groupby(units, key=lambda unit: unit.seed):
        own = list(same)
        for start in range(0, len(own), size):
            few = tuple(own[start : start + size])
            groups.append(Group(few, tuple(build.plan.arch(unit.code) for unit in few)))
    return groups


Finished = Iterator[tuple[Group, list[Row]]]


@contextmanager
def _rows_of(
    options: Mapping[str, Any], groups: Sequence[Group], jobs: int, trainer: TrainCells
) -> Iterator[Finished]:
    """The rows of every group as they come, from this process or from several."""
    if jobs == 1:
        yield ((group, trainer(options, group.archs, group.units[0].seed)) for group in groups)
        return
    context = multiprocessing.get_context("spawn")
    stripes = [groups[k::jobs] for k in range(min(jobs, len(groups)))]
    workers: dict[Connection, tuple[SpawnProcess, Sequence[Group]]] = {}
    try:
        for stripe in stripes:
            ours, theirs = context.Pipe(duplex=False)
            worker = context.Process(
                target=_work, args=(theirs, options, stripe, trainer), daemon=True
            )
            with _deaf_to_ctrl_c():
                worker.start()
            theirs.close()  # so that the end of the worker is the end of the pipe
            workers[ours] = worker, stripe
        yield _received(workers)
    finally:
        for worker, _ in workers.values():
            worker.terminate()
            worker.join()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: it belongs to the one that ends them in order,
    and a worker that met it while it imports would print a traceback. Here it is only put off.
    """
    resource_tracker.ensure_running()  # it would lift the mask, were it started below
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _received(workers: Mapping[Connection, tuple[SpawnProcess, Sequence[Group]]]) -> Finished:
    """Groups with their rows, from whichever worker is first; ends with the last of them."""
    left = {pipe: list(stripe) for pipe, (_, stripe) in workers.items()}
    while left:
        for pipe in wait(list(left)):
            assert isinstance(pipe, Connection)
            try:
                message = pipe.recv()
            except EOFError:
                worker, _ = workers[pipe]
                worker.join()
                raise BenchmarkError(
                    f"a training process ended (exit code {worker.exitcode}) before its "
                    "trainings did; the same command goes on"
                ) from None
            if isinstance(message, str):
                raise BenchmarkError(message)
            yield left[pipe].pop(0), message
            if not left[pipe]:
                del left[pipe]


def _work(
    pipe: Connection, options: Mapping[str, Any], stripe: Sequence[Group], trainer: TrainCells
) -> None:
    """A worker: trains its stripe, sends rows. It ends with the process that reads them."""
    try:
        for group in stripe:
            pipe.send(trainer(options, group.archs, group.units[0].seed))
    except WiringError as error:
        pipe.send(str(error))
    except (BrokenPipeError, KeyboardInterrupt):
        return
