"""The atlas of patterns: made trajectories with a known fall, sums over all cells, all orders."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nni_wiring.errors import ConfigError
from nni_wiring.records import EpochRecord
from nni_wiring.runs.kept import kept_runs
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.studies import growing, pattern_atlas, pattern_nulls
from nni_wiring.studies.pattern_nulls import Trajectory
from nni_wiring.studies.pattern_runs import read_wired, width_margin
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study
from nni_wiring.studies.truths import in_table
from nni_wiring.truth import load_table
from nni_wiring.truth.speed import _mean_over_orders
from search_spaces.cell_codes import NASBENCH201
from search_spaces.graph import NB201, OPERATIONS
from search_spaces.registry import space_entry

REFERENCE = Path(__file__).parents[2] / "docs" / "results" / "reference"
MINIMAL = space_entry("nasbench201_minimal").operations()
WHOLE = space_entry("nasbench201").operations()
CELLS = pattern_nulls.figures(in_table(load_table(), None))


def made(states: list[dict[str, str]], allowed: dict[str, tuple[str, ...]]) -> Trajectory:
    """A search whose likeliest operation of an edge is the state's (p = .6), an epoch each."""
    records = []
    for epoch, state in enumerate(states):
        z: dict[str, dict[str, float | None]] = {}
        for edge, names in allowed.items():
            rest = 0.4 / max(1, len(names) - 1)
            z[edge] = {name: 0.6 if name == state.get(edge) else rest for name in names}
            if len(names) == 1:
                z[edge] = {names[0]: 1.0}
        records.append(EpochRecord(epoch, z=z))
    return Trajectory.of(records, allowed)


def states(*selected: str) -> list[dict[str, str]]:
    """One word an epoch: the searched edges of the minimal wiring, n for none, s for skip."""
    names = {"n": "none", "s": "skip_connect"}
    return [
        dict(zip(("0-1", "0-2", "1-2"), (names[letter] for letter in word), strict=True))
        for word in selected
    ]


def test_falls_and_returns_are_those_that_were_made() -> None:
    def seen(*words: str) -> tuple[float, float, float]:
        values = pattern_nulls.values_of(made(states(*words), MINIMAL), CELLS)
        return values["fall"], values["return"], values["selected"]

    assert seen("sss", "nnn", "nsn") == (1, 1, 1)
    assert seen("sss", "nsn", "nnn") == (1, 0, 0)
    assert seen("nnn", "nnn", "nnn") == (1, 0, 0)
    assert seen("sss", "nsn", "sss") == (0, 0, 3)  # never empty
    margins = pattern_nulls.values_of(made(states("nsn"), MINIMAL), CELLS)["margin"]
    # ln(.6 / .1) on edges at none, ln(.1 / .6) on the one at skip; inner 1-2, input 0-1 and 0-2
    assert margins == pytest.approx(np.log(6))


def test_six_edges_count_as_fallen_with_one_left() -> None:
    def whole(none: int) -> dict[str, str]:
        names = NB201.edge_names
        return {edge: "none" if k < none else "skip_connect" for k, edge in enumerate(names)}

    def fall(none: int) -> float:
        one = made([whole(0), whole(none), whole(0)], WHOLE)
        return pattern_nulls.values_of(one, CELLS)["fall"]

    assert [fall(none) for none in (4, 5, 6)] == [0, 1, 1]


def test_expectations_are_sums_over_all_cells() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(5), size=(2, 6))
    weights = np.prod([p[:, edge, NASBENCH201.cells[:, edge]] for edge in range(6)], axis=0)
    np.testing.assert_allclose(pattern_nulls.expectations(p, CELLS), weights @ CELLS)


@pytest.mark.parametrize("label", ["darts-s2", "dsnas-minimal-single-s5"])
def test_a_kept_search_is_read_as_its_records_and_as_growing_read_it(label: str) -> None:
    [kept] = kept_runs([REFERENCE / f"{label}.json.gz"])
    allowed = space_entry(kept.config["space"]).operations()
    values = pattern_nulls.values_of(Trajectory.of(kept.records, allowed), CELLS)
    wired, last = read_wired(kept), kept.records[-1]
    assert values["fall"] == growing.fell(wired) and values["return"] == growing.grew_back(wired)
    assert values["selected"] == wired.counts[-1]
    assert values["margin"] == pytest.approx(width_margin(wired.margins, NB201), abs=1e-4)
    for name in ("width", "depth", "conv_depth", "disconnected"):
        assert values[name] == pytest.approx(last.topology_expected[name], abs=1e-5)
    assert last.truth_expected is not None
    assert values["valid"] == pytest.approx(
        last.truth_expected.at("cifar10", "valid").accuracy, abs=1e-3
    )


def walked(epochs: int, seed: int, allowed: dict[str, tuple[str, ...]]) -> Trajectory:
    """Gaussian steps from 0."""
    steps = np.random.default_rng(seed).standard_normal((epochs - 1, 6, 5))
    logits = np.concatenate([np.zeros((1, 6, 5)), steps.cumsum(axis=0)])
    open_to = [[name in allowed[edge] for name in OPERATIONS] for edge in NB201.edge_names]
    return Trajectory(logits, np.array(open_to))


def test_exchanged_edges_are_all_orders() -> None:
    one = walked(5, 1, MINIMAL)
    last = one.logits[-1]
    found = pattern_nulls.exchanged_edges(one, CELLS)
    none_less_best = [last[e, 0] - last[e, 1:].max() for e in map(NB201.edge_index,
                      ("0-1", "0-2", "1-2"))]  # fmt: skip
    margins = [c - (a + b) / 2 for a, b, c in itertools.permutations(none_less_best)]
    assert found["margin"] == pytest.approx((np.mean(margins), np.std(margins)))
    assert found["fall"] is None and found["selected"] is None
    free = walked(5, 2, WHOLE)
    p = np.exp(free.logits[-1]) / np.exp(free.logits[-1]).sum(axis=1, keepdims=True)
    moments = pattern_nulls.exchanged_edges(free, CELLS)["valid"]
    assert moments is not None
    exact = _mean_over_orders(CELLS[:, -1].reshape((5,) * 6), p)  # by sums over subsets
    assert moments[0] == pytest.approx(exact)


def test_one_shuffled_step_is_an_order_and_equal_steps_change_nothing() -> None:
    one = walked(2, 3, MINIMAL)
    orders = pattern_nulls.exchanged_edges(one, CELLS)
    walks = pattern_nulls.shuffled_steps(one, CELLS, walks=4000)
    for name in ("margin", "width", "valid"):
        exact, drawn = orders[name], walks[name]
        assert exact is not None and drawn is not None
        assert drawn[0] == pytest.approx(exact[0], abs=4 * exact[1] / 4000**0.5)
        assert drawn[1] == pytest.approx(exact[1], rel=0.1)
    alike = made(states("sss", "nnn", "sss"), MINIMAL)
    null = pattern_nulls.shuffled_steps(alike, CELLS, walks=50)
    assert null["fall"] == (1.0, 0.0) and null["return"] == (1.0, 0.0)
    values = pattern_nulls.values_of(alike, CELLS)
    assert null["width"] == (pytest.approx(values["width"]), pytest.approx(0))
    assert pattern_nulls.standardised(values["width"], null["width"]) is None


def test_uniform_alpha_is_one_cell_drawn_from_the_space() -> None:
    found = pattern_nulls.uniform(walked(3, 4, MINIMAL), CELLS)
    assert found["selected"] == pytest.approx((3 * 0.8, (3 * 0.16) ** 0.5))
    index = {name: k for k, name in enumerate(OPERATIONS)}
    own = [
        all(OPERATIONS[k] in MINIMAL[edge] for edge, k in zip(NB201.edge_names, cell, strict=True))
        for cell in NASBENCH201.cells.tolist()
    ]
    assert sum(own) == 125 and index["none"] == 0
    valid = CELLS[np.array(own), -1]
    assert found["valid"] == pytest.approx((valid.mean(), valid.std()))
    fall = found["fall"]
    assert fall is not None and fall[1] == pytest.approx((fall[0] * (1 - fall[0])) ** 0.5)


def test_walks_have_no_width_preference_by_exchanged_edges() -> None:
    z = []
    for seed in range(150):
        one = walked(6, seed + 10, MINIMAL)
        null = pattern_nulls.exchanged_edges(one, CELLS[:, :1].repeat(5, axis=1))["margin"]
        value = pattern_nulls.observe(one.logits[None], one).margin[0]
        z.append(pattern_nulls.standardised(float(value), null))
    assert abs(np.mean(z)) < 3 / 150**0.5 and np.std(z) == pytest.approx(1, abs=0.1)


def test_every_strategy_has_its_place_and_the_rules_count_them() -> None:
    places = pattern_atlas.standings(STRATEGIES)
    refused = {(p.strategy, p.level) for p in places if p.refused}
    still = {(name, level) for name in ("darts_fixed_alpha", "random_sampling")
             for level in pattern_atlas.LEVELS}  # fmt: skip
    assert refused == still | {("sdarts_rs", "single_level"), ("sdarts_adv", "single_level")}
    measured = [p.strategy for p in places if p.refused is None]
    assert pattern_atlas.FALLS.family == pattern_atlas.WIDTH.family == len(measured)
    both = sum(measured.count(name) == 2 for name in set(measured))
    assert pattern_atlas.FAILURE.family == both
    with pytest.raises(ConfigError, match="dartz"):
        pattern_atlas.standings(["dartz"])


def row(seed: int, level: str, selected: float, small: bool = False) -> dict[str, Any]:
    """A search as the verdicts see it: it fell and returned."""
    nothing = dict.fromkeys(pattern_nulls.MEASURES)
    share = {**nothing, "fall": (0.1, 0.3), "return": (0.1, 0.3)}
    return {
        "label": f"dsnas, {level}{', small' if small else ''}",
        "strategy": "dsnas",
        "space": "nasbench201",
        "level": level,
        "seed": seed,
        "small": small,
        "values": {"fall": 1.0, "return": 1.0, "selected": selected},
        "nulls": {"uniform": share, "exchanged edges": nothing, "shuffled steps": share},
        "z": {"exchanged edges": {"margin": 1.0 + 0.01 * seed}},
    }


def test_a_made_effect_holds_at_reference_size_and_is_no_verdict_at_small() -> None:
    for small in (False, True):
        rows = [row(seed, level, end, small) for seed in range(8)
                for level, end in (("single_level", 2.0), ("bi_level", 0.0))]  # fmt: skip
        found = pattern_atlas.verdicts(rows)
        assert len(found) == 7  # three rules x two labels, one pair of levels
        assert {v.verdict for v in found} == {"cannot be said" if small else "holds"}
        assert all(("no verdict: small" in v.evidence) == small for v in found)
        assert found[-1].effect == pytest.approx(2.0)
    # shuffled steps that fall and return themselves explain a return
    rows = [row(seed, "single_level", 2.0) for seed in range(8)]
    for one in rows:
        one["nulls"]["shuffled steps"]["return"] = (0.9, 0.3)
    held = {v.claim.split(":")[0]: v.verdict for v in pattern_atlas.verdicts(rows)}
    assert held["P1"] == "cannot be said" and held["P1, first half"] == "holds"


def test_kept_rows_are_completed_by_small_searches_once(tmp_path: Path) -> None:
    found = study("pattern-atlas")
    given = {
        "rows": [str(REFERENCE / "gdas-s1.json.gz"), str(REFERENCE / "random-s1.json.gz")],
        **{"strategies": ["gdas", "random_sampling"], "missing": True, "benchmark": "bundled"},
        **{"seeds": 1, "data": "digits", "epochs": 2, "max_steps": 1},
    }
    options = found.options(given)
    said: list[str] = []
    first = run_study(found, options, tmp_path / "study", said.append)
    assert said == ["search gdas-single_level-s1"]
    assert [r["label"] for r in first["rows"]] == [
        "gdas, bi-level",
        "gdas, single-level, minimal, small",
    ]
    small = [v for v in first["verdicts"] if "small" in v["claim"]]
    assert small and all("no verdict: small" in v["evidence"] for v in small)
    assert first["numbers"]["rows"][2:] == [
        "random_sampling, single-level: n/a",
        "random_sampling, bi-level: n/a",
    ]
    again = run_study(found, options, tmp_path / "study", said.append)
    assert len(said) == 1 and again["rows"] == first["rows"]
    assert (tmp_path / "study" / "pattern_atlas.png").stat().st_size > 10_000
