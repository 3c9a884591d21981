"""Kept studies: the same tables and verdicts from a small file, with nothing trained."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.errors import RunError
from nni_wiring.files.gzipped import read_gzipped, write_gzipped
from nni_wiring.studies import frame, standing, training_curves, truths, wired_cells
from nni_wiring.studies.kept_searches import ROWS
from nni_wiring.studies.kept_studies import KeptStudy, keep_study, read_study
from nni_wiring.studies.registry import STUDIES, study
from nni_wiring.studies.running import run_study
from nni_wiring.truth import load_table

_SEARCH = {"channels": 2, "batch_size": 8, "epochs": 2, "max_steps": 1, "seeds": 2}
_TRAINING = {"data": "digits", "channels": 2, "batch_size": 8, "epochs": 1, "max_steps": 1}
#: Every study that trains for itself, as small as it gets.
TINY: dict[str, dict[str, Any]] = {
    "cost-after-training": {**_SEARCH, "data": "digits", "batches": 2},
    "cost-decomposition": {**_SEARCH, "data": "digits", "batches": 1},
    "growing": {**_SEARCH, "data": "digits", "strategies": ["dsnas"]},
    "bilevel-failure": {**_SEARCH, "data": "digits"},
    "sensitivity": {**_SEARCH, "seeds": 1, "data": "digits"},
    "cost-vs-truth": {**_SEARCH, "data": "digits", "strategies": ["darts"]},
    "strength": {**_SEARCH, "seeds": 1, "data": "digits", "batches": 1, "tune_steps": 1},
    "skip-dominance": {**_SEARCH, "data": "digits"},
    "shuffling": {**_SEARCH, "data": "digits", "shuffles": 1, "batches": 1},
    "failure-spaces": {
        **_SEARCH,
        "data": "digits",
        "spaces": ["nasbench201_s2"],
        "selection_settings": {"tune_epochs": 6, "max_steps": 1, "batches": 1},
    },
    "width-cost": {**_SEARCH, "data": "digits", "spaces": ["nasbench201_minimal"]},
    "none-mechanism": {**_SEARCH, "data": "digits"},
    "enas-vs-random": {
        **_SEARCH,
        "seeds": 1,
        "candidates": 4,
        "batches": 1,
        "controller_steps": 1,
        "controller_samples": 2,
        "compile": False,
    },
    "convergence": {**_TRAINING, "pairs": 1, "seeds": 1, "rates": ["full"]},
    "landscape": {
        **_TRAINING,
        "pairs": 1,
        "points": 3,
        "gradient_points": 1,
        "images": 32,
        "products": 1,
    },
    "block-norms": {**_TRAINING, "pairs": 1, "images": 32, "products": 1},
    "random-wiring": {**_TRAINING, "data": "clutter", "conn": 1, "graphs": 0, "ops": 0, "draws": 2},
}
#: Every study that trains no network, and whether a kept one is judged without any table.
UNTRAINED: dict[str, tuple[dict[str, Any], bool]] = {
    "cost-at-initialisation": ({**_SEARCH, "data": "digits", "batches": 1}, True),
    "unified-view": ({**_SEARCH, "data": "digits", "draws": 1}, True),
    "cost-ranks": ({"data": "digits", "channels": 2, "seeds": 1, "drawn": 9, "images": 4}, False),
    "controller-states": ({"seeds": 1, "steps": 2, "sample": 20}, False),
    "controller-memory": ({"seeds": 1, "steps": 2, "sample": 20}, False),
    "controller-conditioning": ({"seeds": 2, "steps": 4}, True),
    "published-topology": ({}, True),
    "linear-cells": ({"draws": 2}, True),
    "rewired-pairs": ({"benchmark": "clutter201"}, True),
    "topology-vs-truth": ({"benchmark": "clutter201", "repeats": 20}, True),
}


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def trains(*given: Any, **options: Any) -> Any:
        raise AssertionError("a kept study trains nothing")

    monkeypatch.setattr(frame.StudyRun, "search", trains)
    monkeypatch.setattr(standing, "trained", trains)
    monkeypatch.setattr(training_curves, "train_cell", trains)
    monkeypatch.setattr(wired_cells, "train_cell", trains)


def kept_and_judged_again(
    name: str, given: dict[str, Any], folder: Path, forbid: Callable[[], None]
) -> tuple[dict[str, Any], KeptStudy]:
    """The options and the kept file of a study that gives the same again after ``forbid``."""
    found = study(name)
    options = found.options(given)
    whole = run_study(found, options, folder / "whole")
    file = folder / "kept.json.gz"
    keep_study(found, options, folder / "whole", file)
    forbid()
    kept = read_study(file)
    again = run_study(found, found.checked(kept.options), folder / "again", parts=kept.parts)
    judged = ("options", "tables", "verdicts", "numbers", "rows", "rules", "seeds", "pictures")
    for part in judged:
        assert again[part] == whole[part]
    assert whole["rows"] and not (folder / "again" / frame.PARTS).exists()
    return options, kept


@pytest.mark.slow
@pytest.mark.parametrize("name", TINY)
def test_a_kept_study_gives_the_same_without_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = study(name)
    options, kept = kept_and_judged_again(
        name, TINY[name], tmp_path, lambda: forbid_training(monkeypatch)
    )
    [gone] = list(kept.parts)[:1]
    fewer = {label: value for label, value in kept.parts.items() if label != gone}
    with pytest.raises(RunError, match=f"{name} has no part {gone}"):
        run_study(found, options, tmp_path / "fewer", parts=fewer)
    foreign = dict.fromkeys(kept.parts, "x")
    with pytest.raises(RunError, match=f"^the kept study is not what {name} measures: "):
        run_study(found, options, tmp_path / "foreign", parts=foreign)


@pytest.mark.parametrize("name", UNTRAINED)
def test_a_kept_study_measures_nothing_and_asks_for_no_foreign_table(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, without_table = UNTRAINED[name]

    def asks(*given: Any) -> Any:
        raise AssertionError("what a table says is among the parts")

    def forbid() -> None:
        if without_table:
            monkeypatch.setattr(truths, "table_for", asks)

    options, _ = kept_and_judged_again(name, given, tmp_path, forbid)
    found = study(name)
    with pytest.raises(RunError, match=f"{name} has no part "):
        run_study(found, options, tmp_path / "none", parts={})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one part of `rewired-pairs`, and that of `topology-vs-truth`."""
    folder = tmp_path_factory.mktemp("asked")
    parts: dict[str, Any] = {}
    for name in ("rewired-pairs", "topology-vs-truth"):
        found = study(name)
        run_study(found, found.options(UNTRAINED[name][0]), folder / name)
        [file] = (folder / name / frame.PARTS).glob("*.json")
        parts |= {file.stem: json.loads(file.read_text())["value"]}
    return parts["pairs"], parts["strata"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("wins", {"clutter": 3}),
        ("wins", {"../clutter": {"2 epochs": [1.0] * 10}}),
        ("leads", {}),
        ("leads", {"clutter": {"2 epochs": [1, 2]}}),
        ("subsets", [1, 2]),
        ("subsets", [["clutter", "all"]]),
        ("added", [["clutter", {"a": 1}, 1, 2]]),
        ("clusters", {"clutter": [{"pairs": "many"}]}),
        ("ends", 7),
    ],
)
def test_a_foreign_part_of_a_table_is_one_line(
    key: str, value: Any, pairs: tuple[dict[str, Any], Any], tmp_path: Path
) -> None:
    found = study("rewired-pairs")
    options = found.options(UNTRAINED["rewired-pairs"][0])
    with pytest.raises(RunError, match="^the kept study is not what rewired-pairs measures: "):
        run_study(found, options, tmp_path / "s", parts={"pairs": {**pairs[0], key: value}})
    assert not (tmp_path / "s" / "study.json").exists()


@pytest.mark.parametrize("value", [{}, {"clutter": 3}, {"clutter": {"contrasts": {}}}])
def test_foreign_strata_are_one_line(
    value: Any, pairs: tuple[Any, dict[str, Any]], tmp_path: Path
) -> None:
    found = study("topology-vs-truth")
    options = found.options(UNTRAINED["topology-vs-truth"][0])
    rows = {**pairs[1]["clutter"], "correlations": {**pairs[1]["clutter"]["correlations"]}}
    rows["correlations"]["rows"] = [3]
    for strata in (value, {"clutter": rows}):
        with pytest.raises(RunError, match="is not what topology-vs-truth measures: "):
            run_study(found, options, tmp_path / "s", parts={"strata": strata})


def test_another_table_of_the_same_options_is_asked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where `benchmark import` makes another table the default one between two runs."""
    found = study("topology-vs-truth")
    options = found.options({"repeats": 5})
    said: list[str] = []
    first = run_study(found, options, tmp_path, said.append)
    again = run_study(found, options, tmp_path, said.append)
    assert said == ["measure strata"] and again["tables"] == first["tables"]
    monkeypatch.setattr(truths, "table_for", lambda *given: load_table("clutter201"))
    other = run_study(found, options, tmp_path, said.append)
    assert said == ["measure strata"] * 2
    assert {row["data"] for row in other["rows"]} == {"clutter"}
    keep_study(found, options, tmp_path, tmp_path / "kept.json.gz")
    [asked] = read_gzipped(tmp_path / "kept.json.gz")["tables"]
    assert asked.startswith("clutter201 ")


def test_every_study_is_kept_or_reads_kept_searches() -> None:
    """(the tests above are of all that measure)"""
    reads = {name for name in STUDIES if ROWS in study(name).own}
    assert {*TINY, *UNTRAINED} | reads == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_kept_options_stay_what_they_were_at_any_size(name: str) -> None:
    """(the small size's `max_steps` is no option of the reference size)"""
    found = study(name)
    for size in get_args(frame.Size):
        for given in ({}, {"data": "clutter"}):
            options = found.options(given, size)
            assert found.checked(json.loads(json.dumps(options))) == options


def test_a_search_outside_the_parts_of_a_kept_study_is_not_trained_anew(tmp_path: Path) -> None:
    found = study("growing")
    options = found.options({**_SEARCH, "data": "digits"})
    run = frame.StudyRun(found, tmp_path, options, print, parts={"a": 1})
    with pytest.raises(RunError, match="^the kept study growing would have to train another"):
        run.search("another")
    assert not (tmp_path / "runs").exists()


def command(*words: str) -> Any:
    return CliRunner().invoke(main, ["study", *words])


@pytest.mark.parametrize("name", ["block-norms", "growing"])  # the second can read searches, too
def test_the_command_keeps_a_study_and_reads_it_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    file = str(tmp_path / "kept.json.gz")
    settings = [w for k, v in TINY[name].items() for w in ("--set", f"{k}={v}")]
    first = command(name, *settings, "--keep", file, "--json")
    assert first.exit_code == 0, first.output
    forbid_training(monkeypatch)
    second = command(name, "--from", file, "--json")
    assert second.exit_code == 0, second.output
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    assert one["tables"] == two["tables"] and one["verdicts"] == two["verdicts"]
    names = sorted(Path(value["folder"]).name for value in (one, two))
    assert names[0] == f"kept-{names[1]}"  # beside the study's own folder, not in it
    assert read_gzipped(Path(file))["git_commit"] is None or read_gzipped(Path(file))["versions"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["landscape", "--from", "FILE"], "holds a study block-norms, not landscape"),
        (["block-norms", "--from", "FILE", "--from", "FILE"], "takes one kept study: --from once"),
        (["block-norms", "--from", "FILE", "--seeds", "2"], "seeds is not for it"),
        (["block-norms", "--from", "FILE", "--set", "images=64"], "images is not for it"),
        (["block-norms", "--from", "none.json.gz"], "no file "),
        (["block-norms", "--from", "BAD"], "is not a kept study: `study`, `options` and `parts`"),
        (["block-norms", "--from", "FOREIGN"], "is not what block-norms measures: "),
        (["block-norms", "--from", "UNKNOWN"], "wheels"),
        (["block-norms", "--from", "MANY"], "seeds=1000000000000; allowed: up to 100,000"),
        (
            ["block-norms", "--from", "FILE", "--keep", "X.json.gz"],
            "is kept already: --keep is not",
        ),
    ],
)
def test_bad_files_and_options_are_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NNI_WIRING_RUNS", str(tmp_path / "runs"))
    options = study("block-norms").options(TINY["block-norms"])
    good: dict[str, Any] = {"study": "block-norms", "options": options, "parts": {}}
    write_gzipped(Path("FILE"), good)
    write_gzipped(Path("BAD"), {"study": "block-norms"})
    labels = [f"pair1-{cell}-s1-{state}" for cell in ("wide", "deep") for state in standing.STATES]
    write_gzipped(Path("FOREIGN"), {**good, "parts": dict.fromkeys(labels, [{"largest": 1}])})
    write_gzipped(Path("UNKNOWN"), {**good, "options": {**options, "wheels": 4}})
    write_gzipped(Path("MANY"), {**good, "options": {**options, "seeds": 10**12}})
    answer = command(*words)
    assert answer.exit_code != 0 and "Traceback" not in answer.output
    assert message in " ".join(answer.output.split())
    assert not Path("X.json.gz").exists()


def test_equal_values_are_equal_bytes_and_come_back(tmp_path: Path) -> None:
    value = {"a": [1.5, None], "b": "ä"}
    for name in ("one", "two"):
        write_gzipped(tmp_path / name, value)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_gzipped(tmp_path / "one") == value
    assert json.loads(gzip.decompress((tmp_path / "one").read_bytes())) == value
