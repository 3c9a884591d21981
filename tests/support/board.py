"""Event files of the tab WIRING, and TensorBoard's two ways of reading them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboard import program
from tensorboard.backend.event_processing.data_ingester import LocalDataIngester
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.core.core_plugin import CorePluginLoader
from torch.utils.tensorboard import SummaryWriter
from werkzeug.test import Client

from nni_wiring.monitor.tab import TabSink
from nni_wiring.monitor.view import View
from nni_wiring.records import EpochRecord
from nni_wiring.runs.store import RunFolder
from nni_wiring.tab.plugin import WiringLoader, WiringPlugin


def sink_of(run: RunFolder, view: View) -> TabSink:
    """A sink that writes into the run's own TensorBoard folder."""
    return TabSink(SummaryWriter(str(run.tensorboard)), view, run.run_id, run.config)


def write_tab(run: RunFolder, view: View) -> list[EpochRecord]:
    """Write all records of a run, and its end, as its search would have."""
    sink, records = sink_of(run, view), run.records()
    for record in records:
        sink(record)
    sink.finish(records, run.result() or {})
    return records


@contextmanager
def opened(logdir: Path, *arguments: str, fast: bool = False) -> Iterator[WiringPlugin]:
    """The tab of a TensorBoard that has read `logdir` by its own or by its fast loader."""
    board = program.TensorBoard([CorePluginLoader, WiringLoader])
    speed = ["--load_fast", "true" if fast else "false"]
    board.configure(["tensorboard", "--logdir", str(logdir), *speed, *arguments])
    ingester = board._make_data_ingester()
    if isinstance(ingester, LocalDataIngester):
        ingester.deprecated_multiplexer.AddRunsFromDirectory(str(logdir))
        ingester.deprecated_multiplexer.Reload()
    else:
        ingester.start()
    tab = WiringLoader().load(TBContext(data_provider=ingester.data_provider, flags=board.flags))
    end = time.monotonic() + 20
    while fast and not tab.is_active() and time.monotonic() < end:
        time.sleep(0.05)
    try:
        yield tab
    finally:
        if fast:
            ingester._stdin_handle.close()  # which ends it


def client(tab: WiringPlugin, route: str) -> Client:
    """A client of one route, as TensorBoard routes to it."""
    return Client(tab.get_plugin_apps()[route])


def get(tab: WiringPlugin, route: str, **query: Any) -> Any:
    """The JSON that a route answers with; its status must be 200."""
    answer = client(tab, route).get("/", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json
