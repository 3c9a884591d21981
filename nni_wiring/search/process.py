"""The process that searches share, made safe for several at once, as threads."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.settings import MAX_THREADS
from search_spaces.nni_api import pl

_LOGGERS = ("pytorch_lightning", "pytorch_lightning.utilities.rank_zero", "lightning", "nni")
#: Held by the search that seeds and reads the process's random generators.
_BUILDING = threading.Lock()
#: Held by the search that draws: matplotlib is not made for threads.
_DRAWING = threading.Lock()


class SearchStopped(Exception):
    """Raised inside a search, in any thread, to end it as Ctrl-C does in the main thread."""


class BuildTurn(pl.Callback):
    """A context, and a callback of the trainer: from entering it until training starts (or the
    context ends) no other search builds in this process.

    A search that builds seeds the process's generators and draws its weights from them; one that
    trains draws from its own only.
    """

    def __init__(self) -> None:
        self._held = False

    def __enter__(self) -> BuildTurn:
        _BUILDING.acquire()
        self._held = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._release()

    # not on_train_start: RunCheckpoint, the last callback, still puts random states back there
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the next search build."""
        self._release()

    def _release(self) -> None:
        if self._held:
            self._held = False
            _BUILDING.release()


class StopWhenAsked(pl.Callback):
    """Ends a search, between two steps of its training or of its selection, once ``asked`` is set:
    raises SearchStopped.
    """

    def __init__(self, asked: threading.Event) -> None:
        self._asked = asked

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Be asked by the selection too, which runs without a trainer's steps."""
        strategy: Any = pl_module.strategy
        strategy.selection_progress = lambda done, total, what: self._check()

    def on_train_batch_start(self, *step: Any) -> None:
        """Stop here, where the checkpoint of the last whole epoch holds."""
        self._check()

    def _check(self) -> None:
        if self._asked.is_set():
            raise SearchStopped


def one_at_a_time(draw: Callable[[Any], None]) -> Callable[[Any], None]:
    """``draw``, never called by two searches at the same time."""

    def drawn(record: Any) -> None:
        with _DRAWING:
            draw(record)

    return drawn


def threads_of(asked: int | None, folder: RunFolder) -> int:
    """The number of CPU threads of a run: as asked, or as the run did before, or torch's own
    choice. The run keeps the number, since sums may be rounded differently under another one.
    """
    kept = folder.info.get("threads")
    kept = kept if type(kept) is int and 1 <= kept <= MAX_THREADS else torch.get_num_threads()
    threads = asked or kept
    keep_threads(folder, threads)
    return threads


def keep_threads(folder: RunFolder, threads: int) -> None:
    """Note in ``run.json`` how many CPU threads the search uses."""
    folder.note(threads=threads)


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` threads inside its operations on the CPU, in this Python thread.

    torch keeps the number for each thread, and hands the number that was set last to new threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Quiet:
    """Counts who wants quiet: filters and levels belong to the process, not to a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._levels: list[tuple[logging.Logger, int]] = []
        self._warnings: Any = None

    def enter(self) -> None:
        with self._lock:
            self._count += 1
            if self._count > 1:
                return
            self._levels = [(logger, logger.level) for logger in map(logging.getLogger, _LOGGERS)]
            for logger, _ in self._levels:
                logger.setLevel(logging.ERROR)
            self._warnings = warnings.catch_warnings()
            self._warnings.__enter__()
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|nni|torch")

    def leave(self) -> None:
        with self._lock:
            self._count -= 1
            if self._count:
                return
            self._warnings.__exit__(None, None, None)
            for logger, level in self._levels:
                logger.setLevel(level)


_QUIET = _Quiet()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep known, harmless notices of Lightning and NNI out of the user's sight; the first search
    to enter sets the process's filters, the last one to leave puts them back.
    """
    _QUIET.enter()
    try:
        yield
    finally:
        _QUIET.leave()
