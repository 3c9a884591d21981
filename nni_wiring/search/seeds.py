"""run_seeds: one search for every seed, side by side in one process, each in a run folder of its
own and with the result that it has alone.

The searches are threads: torch lets go of Python's lock inside its kernels. On CUDA each has a
stream of its own, on the CPU its share of the cores. (Supernets of several seeds stacked into
grouped convolutions are no faster at the sizes of the papers: performance/seeds.py.)
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

from nni_wiring.errors import WiringError
from nni_wiring.records import EpochRecord
from nni_wiring.runs.result import SearchResult
from nni_wiring.runs.store import RunFolder, new_run_id, runs_root
from nni_wiring.search.assemble import choose_device
from nni_wiring.search.config import RunConfig, make_configs
from nni_wiring.search.loggers import check_logger
from nni_wiring.search.process import (
    SearchStopped,
    StopWhenAsked,
    cpu_threads,
    keep_threads,
    quiet,
)
from nni_wiring.search.run import run_search

#: Called with an epoch's record of one of the searches; never by two of them at once.
OnEpochOf = Callable[[RunFolder, EpochRecord], None]


class Seed(NamedTuple):
    """One search of several: its config and the folder it writes."""

    config: RunConfig
    folder: RunFolder


class Outcome(NamedTuple):
    """The end of one seed's search.

    Attributes:
        seed, folder: which search.
        result: what ``result.json`` holds; None where it failed.
        error: why it failed; None where it did not.
    """

    seed: int
    folder: RunFolder
    result: SearchResult | None
    error: Exception | None


def new_seeds(values: Mapping[str, Any]) -> list[Seed]:
    """Check the options of a search with ``seeds`` among them, and start a run folder for each.

    Raises:
        ConfigError: an option is unknown or wrong, or its logger's package is missing.
        RunError: a folder cannot be written; then none is left.
    """
    configs = make_configs(values)
    check_logger(configs[0].run.logger)
    _, threads = share_of_cores(configs[0], len(configs))
    made: list[Seed] = []
    try:
        for config in configs:
            run_id = new_run_id(config.strategy, config.seed)
            folder = RunFolder.create(runs_root() / run_id, run_id, config.flat())
            made.append(Seed(config, folder))
            # kept already, so that one that is stopped before its turn goes on alike
            keep_threads(folder, threads)
    except WiringError:
        for _, folder in made:
            shutil.rmtree(folder.path)
        raise
    return made


def run_seeds(seeds: Sequence[Seed], on_epoch: OnEpochOf | None = None) -> list[Outcome]:
    """Search with all seeds, several at once; the outcomes are in the order of ``seeds``.

    The folders are those of searches that have not begun, whose configs differ in the seed only. A
    search that fails does not stop the others. on_epoch: called with every epoch's record.
    Raises KeyboardInterrupt where Ctrl-C (or ``on_epoch``, by that exception) stopped them: each
    run that was not finished is then "interrupted", and ``run_search`` can resume it.
    """
    at_once, threads = share_of_cores(seeds[0].config, len(seeds))
    together = _Together(on_epoch, threads)
    before = torch.get_num_threads()
    try:
        with quiet(), ThreadPoolExecutor(at_once, "search") as pool:
            outcomes = together.run(pool, seeds)
    finally:
        torch.set_num_threads(before)  # new threads of the process take what was set last
    if together.stop.is_set():
        raise KeyboardInterrupt
    return outcomes


def share_of_cores(config: RunConfig, count: int) -> tuple[int, int]:
    """The searches of ``count`` that run at once, and the number of CPU threads each uses.

    On CUDA all run at once; on the CPU as many as have a core for each of their threads. Searches
    take turns where they use what the process has only one of: the operation ``noise`` draws from
    its generators, and torch captures one CUDA graph at a time.
    Raises ConfigError where the device is not there.
    """
    cuda, cores = choose_device(config.device).type == "cuda", _cores()
    at_once = count if cuda else min(count, max(1, cores // (config.threads or 1)))
    if config.draws_noise() or (cuda and config.method.cuda_graphs):
        at_once = 1
    threads = config.threads or max(1, min(torch.get_num_threads(), cores // at_once))
    return at_once, threads


def _cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Together:
    """The searches of one call. stop: set to end them all."""

    def __init__(self, on_epoch: OnEpochOf | None, threads: int) -> None:
        self.stop = threading.Event()
        self._on_epoch, self._threads = on_epoch, threads
        self._telling = threading.Lock()

    def run(self, pool: ThreadPoolExecutor, seeds: Sequence[Seed]) -> list[Outcome]:
        """All outcomes, once there are all; Ctrl-C asks the searches to stop."""
        try:
            waiting = [pool.submit(self._search, seed) for seed in seeds]
            wait(waiting)
        except BaseException:
            self.stop.set()
            raise
        return [future.result() for future in waiting]

    def _search(self, seed: Seed) -> Outcome:
        config, folder = seed
        try:
            if self.stop.is_set():
                folder.set_status("interrupted", "stopped by the user")
                raise SearchStopped
            with cpu_threads(self._threads), _own_stream(config):
                result = run_search(
                    config,
                    folder,
                    on_epoch=lambda record: self._tell(folder, record),
                    probes=[StopWhenAsked(self.stop)],
                )
        except Exception as error:  # noqa: BLE001  whatever it is, the other searches go on
            return Outcome(config.seed, folder, None, error)
        return Outcome(config.seed, folder, result, None)

    def _tell(self, folder: RunFolder, record: EpochRecord) -> None:
        if self._on_epoch is None:
            return
        with self._telling:
            try:
                self._on_epoch(folder, record)
            except KeyboardInterrupt:
                # Lightning's own answer to it works in the main thread only
                self.stop.set()
                raise SearchStopped from None


@contextmanager
def _own_stream(config: RunConfig) -> Iterator[None]:
    """On CUDA, a stream of this search's own, which the device overlaps with those of others."""
    device = choose_device(config.device)
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()
