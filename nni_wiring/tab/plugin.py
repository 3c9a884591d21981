"""The server side of the tab: gives the page what searches wrote into event files.

Imports the standard library and tensorboard only, and so does every file that it needs: an error
on import would stop all of TensorBoard, not this tab alone.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tensorboard import plugin_util
from tensorboard.data.provider import RunTagFilter
from tensorboard.plugins import base_plugin

from nni_wiring.tab.summary import EPOCH, EXPLANATION, PLUGIN, RUN, TAGS

Environ = Mapping[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]

PAGE = Path(__file__).with_name("wiring.js")
_EVERY = 1_000_000  # data of a series; more epochs than any search has
_MOST_BYTES = 1_000_000  # of one summary: a longer one is none of ours


class WiringPlugin(base_plugin.TBPlugin):
    """The tab. Its routes, below ``data/plugin/wiring/``:

    - ``wiring.js``: the page, one ES module.
    - ``runs``: ``{run: {"last": epoch, "written": time}}`` for every run with a summary; `last` is
      the largest epoch (-1 without any), `written` the time of its newest summary.
    - ``run?name=RUN&since=TIME``: ``{"info", "explanation", "epochs"}``, the epochs written after
      TIME (all without it), in order; `info` and `explanation` are null where there is none.
    """

    plugin_name = PLUGIN

    def __init__(self, context: base_plugin.TBContext) -> None:
        super().__init__(context)
        self._provider = context.data_provider

    def is_active(self) -> bool:
        """True where any run has a summary for this tab."""
        if self._provider is None:
            return False
        context = plugin_util.context({})
        return bool(self._provider.list_tensors(context, experiment_id="", plugin_name=PLUGIN))

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """The page is a module of its own; TensorBoard gives it a frame."""
        return base_plugin.FrontendMetadata(es_module_path=f"/{PAGE.name}", tab_name="Wiring")

    def get_plugin_apps(self) -> dict[str, Callable[[Environ, StartResponse], Iterable[bytes]]]:
        """The routes, as WSGI applications."""
        return {f"/{PAGE.name}": self._page, "/runs": self._runs, "/run": self._run}

    def _page(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        return _answer(environ, start, PAGE.read_bytes(), "text/javascript; charset=utf-8")

    def _runs(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        found = {} if self._provider is None else self._list(environ)
        runs = {}
        for run, series in found.items():
            last = series[EPOCH].max_step if EPOCH in series else -1
            runs[run] = {"last": last, "written": max(s.max_wall_time for s in series.values())}
        return _answer_json(environ, start, runs)

    def _list(self, environ: Environ) -> Mapping[str, Mapping[str, Any]]:
        return self._provider.list_tensors(
            plugin_util.context(environ),
            experiment_id=plugin_util.experiment_id(environ),
            plugin_name=PLUGIN,
            run_tag_filter=RunTagFilter(tags=TAGS),
        )

    def _run(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        query = parse_qs(str(environ.get("QUERY_STRING", "")))
        name, since = query.get("name", [""])[0], _time(query.get("since", ["0"])[0])
        if since is None:
            error = {"error": "since: expected seconds"}
            return _answer_json(environ, start, error, "400 Bad Request")
        series = {} if self._provider is None else self._read(environ, name)
        if not series:
            error = {"error": f"no run {name!r} with a summary of this tab"}
            return _answer_json(environ, start, error, "404 Not Found")
        # of several with the same step, as a resumed search leaves, the newest counts
        epochs = {d.step: d for d in series.get(EPOCH, ())}
        newer = [epochs[step] for step in sorted(epochs) if epochs[step].wall_time > since]
        found = {
            "info": _last(series.get(RUN, ())),
            "explanation": _last(series.get(EXPLANATION, ())),
            "epochs": [value for value in map(_parsed, newer) if value is not None],
        }
        return _answer_json(environ, start, found)

    def _read(self, environ: Environ, name: str) -> Mapping[str, Sequence[Any]]:
        found = self._provider.read_tensors(
            plugin_util.context(environ),
            experiment_id=plugin_util.experiment_id(environ),
            plugin_name=PLUGIN,
            downsample=_EVERY,
            run_tag_filter=RunTagFilter(runs=[name], tags=TAGS),
        )
        series: Mapping[str, Sequence[Any]] = found.get(name, {})
        return series


class WiringLoader(base_plugin.TBLoader):
    """Makes the tab, and has TensorBoard keep all of its epochs instead of ten."""

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Keep every summary of ours (0), unless the user asked for another number."""
        if getattr(flags, "samples_per_plugin", None) is None:
            flags.samples_per_plugin = {}
        flags.samples_per_plugin.setdefault(PLUGIN, 0)

    def load(self, context: base_plugin.TBContext) -> WiringPlugin:
        """The tab of one TensorBoard."""
        return WiringPlugin(context)


def _time(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _last(data: Sequence[Any]) -> dict[str, Any] | None:
    newest = max(data, key=lambda datum: datum.wall_time, default=None)
    return None if newest is None else _parsed(newest)


def _parsed(datum: Any) -> dict[str, Any] | None:
    """The JSON object of one summary; None for anything else: event files may be foreign."""
    if datum.numpy.size != 1:
        return None
    text = datum.numpy.item()
    if not isinstance(text, bytes | str) or len(text) > _MOST_BYTES:
        return None
    try:
        value = json.loads(text, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _answer_json(
    environ: Environ, start: StartResponse, value: object, status: str = "200 OK"
) -> Iterable[bytes]:
    return _answer(environ, start, json.dumps(value).encode(), "application/json", status)


def _answer(
    environ: Environ, start: StartResponse, body: bytes, kind: str, status: str = "200 OK"
) -> Iterable[bytes]:
    """Answer a request; compressed where the browser takes that."""
    headers = [("Content-Type", kind), ("X-Content-Type-Options", "nosniff")]
    headers.append(("Cache-Control", "no-cache, must-revalidate"))
    if "gzip" in str(environ.get("HTTP_ACCEPT_ENCODING", "")):
        body = gzip.compress(body, compresslevel=3)
        headers.append(("Content-Encoding", "gzip"))
    start(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]
