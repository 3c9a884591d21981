"""A search keeps no more after many epochs than after few."""

from __future__ import annotations

import gc
import json
import multiprocessing
import threading
from collections import Counter
from pathlib import Path

from matplotlib.figure import Figure
from tiny_runs import config_of, new_run

from nni_wiring.records import EpochRecord
from nni_wiring.search.run import run_search

FIRST, LAST = 4, 14
#: Live containers and instances that an epoch may add: caches of matplotlib that fill up.
PER_EPOCH = 40


def _search(path: Path) -> None:
    """Write what lives after two of the epochs, and end."""
    options = {"epochs": 40, "max_steps": 1, "batch_size": 4}  # every fourth has pictures
    counts = {}
    gc.collect()  # what earlier tests of this process left is not the search's
    gc.disable()  # what is left to it is left for long: there are half a million old objects

    def count(record: EpochRecord) -> None:
        figures = [one for one in gc.get_objects() if isinstance(one, Figure)]
        assert not figures, f"{len(figures)} figures after epoch {record.epoch}"
        if record.epoch in (FIRST, LAST):
            gc.collect()
            living = gc.get_objects()
            own = Counter(type(one).__name__ for one in living if _is_ours(type(one)))
            counts[record.epoch] = [len(living), own, threading.active_count()]
        if record.epoch == LAST:
            (path / "counts.json").write_text(json.dumps(list(counts.values())))
            raise KeyboardInterrupt

    run_search(config_of(**options), new_run(path / "run", **options), on_epoch=count)


def _is_ours(kind: type) -> bool:
    return str(getattr(kind, "__module__", "")).startswith(("nni_wiring.", "search_spaces."))


def test_no_epoch_leaves_anything_behind(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=_search, args=(tmp_path,))
    child.start()
    child.join(300)
    assert child.exitcode == 1  # of the KeyboardInterrupt
    before, after = json.loads((tmp_path / "counts.json").read_text())
    more = {name: after[1][name] - before[1].get(name, 0) for name in after[1]}
    assert {name: count for name, count in more.items() if count} == {}
    assert after[0] - before[0] <= PER_EPOCH * (LAST - FIRST)
    assert after[2] == before[2] == 1  # and nobody writes in the background
