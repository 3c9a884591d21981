"""One run explained: every figure of a hand-made run, and runs that have little to explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic_runs import record, write_run

from nni_wiring.errors import RunError
from nni_wiring.records import Truth
from nni_wiring.report.analysis import analyse_run
from nni_wiring.report.html import write_overview
from nni_wiring.report.sections import findings, run_json
from nni_wiring.report.sections.notes import notes_of
from nni_wiring.report.sections.truth import TruthSection
from nni_wiring.report.words import plain
from nni_wiring.runs.store import RunFolder
from nni_wiring.truth import load_table
from search_spaces.cell_graph import NB201, Wiring

#: 1-2 falls with all the others in epoch 2 and never comes back; the rest recover one by one.
GROWING = "cccccc .c.ss. ...... c...s. cc..ss cc.css"
SKIPS = Wiring(NB201, ("skip_connect",) * 6).arch
FINAL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|skip_connect~1|skip_connect~2|"


def sentences(folder: Path, rows: str, **config: object) -> dict[str, str]:
    return dict(findings(analyse_run(write_run(folder, rows, **config), load_table())))


def test_hand_made_run(tmp_path: Path) -> None:
    table = load_table()
    found = analyse_run(write_run(tmp_path / "r1", GROWING, seed=3), table)
    facts = found.facts
    assert (facts.run_id, facts.strategy, facts.data, facts.seed) == ("r1", "darts", "digits", 3)
    assert (len(found.records), facts.planned) == (6, 6)
    assert (facts.status, facts.error) == ("finished", None)
    assert found.arch == FINAL
    assert found.truth == Truth.from_json(table.query(FINAL))
    said = run_json(found, None)
    assert said["truth"] == table.query(FINAL)
    assert (found.dataset, found.split) == ("cifar10", "valid")
    assert found.score.accuracy == table.query(FINAL)["accuracy"]["cifar10"]["valid"]
    assert said["topology"] == {
        "width": 2.0,  # nodes 1 and 2 are fed by the cell input alone
        "depth": 2,
        "conv_depth": 1,
        "live_edges": 5,
        "none_edges": 1,
        "live_paths": 3,
        "connected": True,
        "intermediate_alive": False,
    }
    assert found.curves is not None and found.curves.patterns is not None
    assert found.curves.patterns.recovery_epochs == {
        "0-1": 3, "0-2": 4, "1-2": None, "0-3": 5, "1-3": 3, "2-3": 4,
    }  # fmt: skip
    assert found.curves.patterns.growing_index == 5
    assert said["patterns"]["collapse"] is None  # 2 of 5 live edges are skip
    # synthetic cost: -0.01 * place of edge * place of operation * (1 + epoch), see write_run
    assert said["cost"]["2-3"] == pytest.approx(
        {
            "none": 0.0,
            "skip_connect": -0.3,
            "nor_conv_1x1": -0.6,
            "nor_conv_3x3": -0.9,
            "avg_pool_3x3": None,
        }
    )
    assert list(said["cost"]) == ["0-1", "0-2", "1-2", "0-3", "1-3", "2-3"]
    assert notes_of(found)[0].startswith("searched on digits; the accuracies are those of CIFAR-10")
    truth = TruthSection.of(found)
    assert truth is not None
    regret = truth.regret["cifar10", "valid"]
    best = table.optimum("cifar10", "valid").accuracy
    nothing = table.values("cifar10", "valid")[table.index_of((0,) * 6)]
    assert regret[2] == pytest.approx(best - nothing, abs=1e-3)
    assert regret[-1] == pytest.approx(best - found.score.accuracy, abs=1e-3)  # type: ignore[operator]


def test_sentences_of_the_growing_run(tmp_path: Path) -> None:
    said = sentences(tmp_path / "r1", GROWING, optimisation="bi_level")
    assert said["Growing (P1)"] == (
        "All six edges fell to none by epoch 2, then 5 were added back (growing index 5); "
        "1-2 never recovered."
    )
    assert "strongest form: 1-2 is none in the end" in said["Width preference (P2)"]
    assert "0-1 from epoch 3 and 0-2 from epoch 4" in said["Width preference (P2)"]
    assert said["Bi-level failure (P3)"].startswith("Not seen under bi-level optimisation: 5 of 6")
    assert said["Collapse"].startswith("No collapse: 2 of 5 live edges are skip_connect, 3 have")
    # of 15,625 cells 1,280 have width 2 c and 341 + 1,364 + 5,920 at most depth 2 (enumerated)
    assert said["Topology"].startswith("Width 2 c; 8.2 % of random cells are at least as wide. ")
    assert "Depth 2; 49 % of random cells are at most as deep." in said["Topology"]


@pytest.mark.parametrize(
    ("rows", "topic", "words"),
    [
        ("cccccc cccccc", "Growing (P1)", "No edge was ever dropped: all six kept an operation"),
        ("...... ......", "Growing (P1)", "stood at none from the start, and none came back"),
        ("cccccc c.c.c. c.c.c.", "Growing (P1)", "fell from 6 to 3 of 6 by epoch 1, and none came"),
        ("...... ......", "Bi-level failure (P3)", "No edge is selected: none has the largest"),
        (
            "...... cc.... ccc...",
            "Width preference (P2)",
            "1 epoch after the input edges (index +1)",
        ),
        ("...... ..c... ccc...", "Width preference (P2)", "1 epoch before the input edges"),
        ("cccccc cccccc", "Width preference (P2)", "No preference can be seen"),
        ("cccccc c.cccc", "Width preference (P2)", "Cannot be measured: 0-2 is none in the end"),
        ("......", "Collapse", "nothing reaches the output; the verdict on 2.2 % of random cells"),
        ("sss.sc", "Collapse", "Collapsed to skip: 4 of 5 live edges are skip_connect"),
        (
            "aaaaaa",
            "Collapse",
            "Collapsed to pooling: 6 of 6 live edges are pooling; the verdict on 10 %",
        ),
        ("aaaaaa", "Topology", "Conv depth 0; 13 % of random cells are at most as deep in conv"),
        ("ccc...", "Truth", "rank"),
    ],
)
def test_sentences(tmp_path: Path, rows: str, topic: str, words: str) -> None:
    assert words in sentences(tmp_path / "r1", rows)[topic]


def test_cost_sentence_follows_the_sign(tmp_path: Path) -> None:
    # all synthetic costs are negative but those of the first edge, which are 0
    said = sentences(tmp_path / "r0", "cccccc")["Local cost"]
    assert "positive on no edge of six: none, whose cost is 0, gains share nowhere" in said

    for sign, words in (({"0-1", "1-2"}, "on 2 of 6 edges (0-1 and 1-2)"), (None, "on all six")):
        run = write_run(tmp_path / f"r{len(words)}")
        row = record("cccccc", 0)
        for edge, values in row["cost"]["alpha"]["mean"].items():
            positive = sign is None or edge in sign
            values |= {name: 1.0 if positive else -1.0 for name in values if name != "none"}
        run.append_epoch(row)
        assert f"positive {words}" in dict(findings(analyse_run(run, None)))["Local cost"]


def test_space_without_none_has_no_patterns(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r1")
    row = record("cscscs", 0)
    for name in ("alpha", "z"):
        row[name] = {edge: {k: v for k, v in values.items() if k != "none"}
                     for edge, values in row[name].items()}  # fmt: skip
    run.append_epoch(row)
    said = dict(findings(analyse_run(run, None)))
    assert "no operation none" in said["Patterns (P1 to P3)"]
    assert "Growing (P1)" not in said and "Local cost" not in said


def test_empty_and_failed_runs_say_so(tmp_path: Path) -> None:
    going = analyse_run(write_run(tmp_path / "a", status="running"), None)
    assert notes_of(going) == ["the run has no epoch yet"]
    assert (going.arch, going.curves, going.truth, going.wiring) == (None, None, None, None)
    assert findings(going) == []
    failed = analyse_run(write_run(tmp_path / "b", status="failed", error="DataError: gone"), None)
    assert failed.facts.error == "DataError: gone"
    assert notes_of(failed) == [
        "the run failed before its first epoch: there is nothing to analyse"
    ]
    some = analyse_run(write_run(tmp_path / "c", "cccccc", status="running"), None)
    assert notes_of(some)[0] == "the run goes on (or was killed): epochs recorded so far: 1"


def test_result_wins_over_the_last_epoch_and_recorded_truth_stands_in(tmp_path: Path) -> None:
    truth = {"accuracy": {"cifar10": {"valid": 12.5, "test": None}}}
    result = {"run_id": "r1", "arch": FINAL, "truth": truth}
    run = write_run(tmp_path / "r1", "ssssss", result=result)
    found = analyse_run(run, None)
    assert found.arch == FINAL and found.score.accuracy == 12.5
    assert any("no truth table" in note for note in notes_of(found))
    found = analyse_run(run, load_table())
    assert found.truth == Truth.from_json(load_table().query(FINAL))


def test_infinities_of_a_foreign_result_do_not_reach_json(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r1", "ssssss")
    (run.path / "result.json").write_text(f'{{"arch": "{FINAL}", "truth": {{"rank": [1e999]}}}}')
    assert analyse_run(run, None).truth is None
    truth = '{"accuracy": {"cifar10": {"valid": 1e999}}, "rank": {"cifar10": {"valid": 1e999}}}'
    (run.path / "result.json").write_text(f'{{"arch": "{FINAL}", "truth": {truth}}}')
    json.dumps(run_json(analyse_run(run, None), None), allow_nan=False)


def test_data_decides_the_truth_that_stands_beside(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "cccccc", data="cifar100")
    assert analyse_run(run, load_table()).dataset == "cifar100"
    run = write_run(tmp_path / "b", "cccccc", data="npz:x.npz", truth_dataset="imagenet16")
    assert analyse_run(run, load_table()).dataset == "imagenet16"
    run = write_run(tmp_path / "c", "cccccc", data="no such data")
    assert analyse_run(run, load_table()).dataset == "cifar10"


def test_cell_of_another_benchmark_has_no_truth(tmp_path: Path) -> None:
    found = analyse_run(write_run(tmp_path / "a", result={"arch": "0-2=sep\n3"}), load_table())
    assert found.truth is None and found.wiring is None
    assert run_json(found, None)["arch"] == "0-2=sep\N{REPLACEMENT CHARACTER}3"
    assert any(
        "no benchmark with a table holds the derived cell" in note for note in notes_of(found)
    )


def test_foreign_settings_are_made_printable(tmp_path: Path) -> None:
    config = {"strategy": "\x1b[31mred\x07", "seed": "x", "epochs": [1], "data": {"a": 1}}
    found = analyse_run(write_run(tmp_path / "a", "cccccc", **config), load_table())
    assert found.facts.strategy.isprintable() and "\x1b" not in found.facts.strategy
    assert found.facts.seed is None and found.facts.planned is None
    assert len(plain("x" * 10_000)) == 200


def test_damaged_epochs_are_one_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "cccccc")
    (run.path / "epochs.jsonl").write_text("garbage\n")
    with pytest.raises(RunError, match="line 1 is not JSON"):
        analyse_run(RunFolder.open(run.path), None)


def test_a_trained_cell_collapses_to_nothing_and_is_no_search(tmp_path: Path) -> None:
    config = {"space": "nasbench201", "data": "digits", "arch": SKIPS, "epochs": 1, "channels": 4}
    run = RunFolder.create(tmp_path / "t", "t", config)
    operations = dict(Wiring.from_arch(SKIPS).chosen)
    cell = {"kind": "cell", "operations": operations, "arch": SKIPS}
    run.append_epoch({"epoch": 0, "arch": SKIPS, "cells": {"cell": cell}})
    run.set_status("finished")
    trained = analyse_run(run, load_table())
    searched = analyse_run(write_run(tmp_path / "s", "ssssss"), load_table())
    assert trained.arch == searched.arch == SKIPS
    assert "Collapse" in dict(findings(searched)) and "Collapse" not in dict(findings(trained))
    assert run_json(searched, None)["patterns"]["collapse"] == "skip"
    assert run_json(trained, None)["patterns"]["collapse"] is None
    # the column "collapse" of the page over both, by run
    page = write_overview([trained, searched], {}, tmp_path / "page").read_text()
    rows = {name: page.split(f'<td class="run">{name}</td>')[1].split("</tr>")[0] for name in "ts"}
    assert '<td class="text">skip</td>' in rows["s"]
    assert '<td class="text">–</td>' in rows["t"] and "skip" not in rows["t"]
    [note] = [line for line in notes_of(trained) if "digits" in line]
    assert note.startswith("trained on digits; the accuracies are those of CIFAR-10")
    assert note.endswith("training than the benchmark's: 4 channels, 1 epochs instead of 16, 200")
