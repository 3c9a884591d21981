"""JSON from elsewhere: no line, no text and no number out of proportion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nni_wiring.errors import RunError
from nni_wiring.files import json_files
from nni_wiring.files.json_files import from_json, read_lines
from nni_wiring.runs.store import RunFolder
from search_spaces.graph_json import graph_from_json


@pytest.mark.parametrize("kind", [str, str.encode])
def test_containers_are_limited_in_texts_and_bytes(kind: Callable[[str], Any]) -> None:
    assert from_json(kind("[" + "{}," * 9_000 + "1]")) == [{}] * 9_000 + [1]
    for flood in ("{},", "[],", '{"a":[]},'):
        with pytest.raises(ValueError, match="more containers"):
            from_json(kind("[" + flood * 50_000 + "1]"))


def test_lines_are_read_one_at_a_time_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    assert list(read_lines(path)) == []
    path.write_bytes(b"1\n22\n333")
    assert list(read_lines(path)) == [b"1\n", b"22\n"]
    monkeypatch.setattr(json_files, "MAX_LINE_BYTES", 2)
    with pytest.raises(RunError, match=r"a\.jsonl: line 2 has more than 2 bytes"):
        list(read_lines(path))
    monkeypatch.setattr(json_files, "MAX_LINE_BYTES", 3)
    monkeypatch.setattr(json_files, "MAX_LINES", 2)
    with pytest.raises(RunError, match="more than 2 lines"):
        list(read_lines(path))


def test_a_line_of_hundreds_of_megabytes_is_not_read(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "r", "r", {})
    with open(run.path / "epochs.jsonl", "wb") as file:
        file.write(b'{"epoch": 0, "x": "')
        file.truncate(500 << 20)  # a hole: no disk
    with pytest.raises(RunError, match="line 1 has more than 8388608 bytes"):
        run.epochs()


@pytest.mark.parametrize("nodes", [10**9, float("inf"), 1e300, "x"])
def test_graphs_of_a_billion_nodes_are_none(nodes: object) -> None:
    graph = {"inputs": [0], "nodes": nodes, "edges": [[0, 1]], "outputs": [1]}
    assert graph_from_json(graph) is None
    assert graph_from_json(graph | {"nodes": 2}) is not None
