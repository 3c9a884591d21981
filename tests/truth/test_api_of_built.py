"""The drop-ins on a table that a user built, as the default of NAS-Bench-201's cells; the oracle is
the rows that the table was made of.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tiny_truths import NINE, options

from nni_wiring.building.finish import finish
from nni_wiring.building.folder import BuildFolder, build_path
from nni_wiring.building.plan import Unit
from nni_wiring.building.rows import Row
from nni_wiring.errors import BenchmarkError
from nni_wiring.truth.api import NASBench201API, NATStopology, create
from nni_wiring.truth.catalogue import forget, load_table, set_default

API = NASBench201API | NATStopology
SEEDS = (1, 2)
ABSENT = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"


def row(number: int, unit: Unit, arch: str) -> Row:
    """A training that never was: its figures are numbered."""
    accuracy = {
        epochs: {"valid": number + epochs + unit.seed / 8, "test": number + epochs / 4 + unit.seed}
        for epochs in (1, 2, 3)
    }
    return Row(arch, unit.seed, accuracy, None, 3.0 + number, 24)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, int], Row]]:
    """Nine cells with two seeds, as the default table "mine"."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNI_WIRING_CACHE", str(folder / "cache"))
        patch.delenv("NNI_WIRING_BENCHMARK", raising=False)
        build = BuildFolder.at(build_path("mine"), "mine", options(folder))
        units = build.plan.units()
        made = [(unit, row(i, unit, build.plan.arch(unit.code))) for i, unit in enumerate(units)]
        build.add(made)
        finish(build, "mine")
        set_default("mine")
        yield {(one.arch, one.seed): one for _, one in made}
    forget()


@pytest.fixture(params=["nas-bench-201", "nats_bench"])
def api(request: pytest.FixtureRequest, rows: dict[tuple[str, int], Row]) -> API:
    assert load_table().name == "mine"
    return NASBench201API() if request.param == "nas-bench-201" else create(None, "tss")


def test_cells(api: API) -> None:
    indices = [api.query_index_by_arch(arch) for arch in NINE]
    assert sorted(indices) == sorted(api.evaluated_indexes) and len(api) == 15625
    assert [api.arch(index) for index in indices] == list(NINE)
    assert api.query_index_by_arch("|none~0|") == -1
    assert api.avaliable_hps == ["1", "2", "3"]


def test_every_seed_length_and_point_of_the_curve(
    api: API, rows: dict[tuple[str, int], Row]
) -> None:
    for (arch, seed), one in rows.items():
        for length in (1, 2, 3):
            for epoch in range(length):
                info = api.get_more_info(arch, "grey", epoch, str(length), seed)
                for part in ("valid", "test"):
                    expected = one.accuracy[epoch + 1][part]
                    assert info[f"{part}-accuracy"] == pytest.approx(expected, rel=1e-6)
            last = api.get_more_info(arch, "grey", hp=length, is_random=seed)
            assert last["valid-accuracy"] == info["valid-accuracy"]


def test_means_and_seconds(api: API, rows: dict[tuple[str, int], Row]) -> None:
    for arch in NINE:
        own = [rows[arch, seed] for seed in SEEDS]
        info = api.get_more_info(arch, "grey", hp=3, is_random=False)
        mean = statistics.mean(one.accuracy[3]["test"] for one in own)
        assert info["test-accuracy"] == pytest.approx(mean, rel=1e-6)
        seconds = statistics.mean(one.cpu for one in own)
        assert info["train-all-time"] == pytest.approx(seconds, rel=1e-6)
        cost = api.get_cost_info(arch, "grey", hp=3)
        assert cost["T-train@epoch"] == pytest.approx(seconds / 3, rel=1e-6)
        assert not {"flops", "params", "latency"} & set(cost)
    drawn = {api.get_more_info(NINE[0], "grey", hp=3)["valid-accuracy"] for _ in range(40)}
    expected = sorted(rows[NINE[0], seed].accuracy[3]["valid"] for seed in SEEDS)
    assert sorted(drawn) == pytest.approx(expected)


def test_meta_info_and_single_trainings(api: API, rows: dict[tuple[str, int], Row]) -> None:
    info = api.query_meta_info_by_index(api.query_index_by_arch(NINE[5]), "3")
    assert info.get_dataset_names() == ["grey"] and info.get_dataset_seeds("grey") == [1, 2]
    best = info.get_metrics("grey", "x-test", is_random=2)
    assert best["accuracy"] == pytest.approx(rows[NINE[5], 2].accuracy[3]["test"], rel=1e-6)
    single = info.query("grey", 2)
    assert single.get_eval_set() == ["x-valid", "x-test"] and "FLOP" not in repr(single)
    config = single.get_config(None)
    assert (config["C"], config["N"], config["arch_str"]) == (2, 1, NINE[5])


def test_text_of_a_cell(api: API, rows: dict[tuple[str, int], Row]) -> None:
    text = api.query_by_arch(NINE[4], "3")
    means = [
        statistics.mean(rows[NINE[4], seed].accuracy[3][part] for seed in SEEDS)
        for part in ("valid", "test")
    ]
    shown = "valid : [top1 = {:.2f}%], test : [top1 = {:.2f}%]".format(*means)
    assert text.splitlines()[0] == NINE[4] and text.splitlines()[-1] == f"{'grey':14s} {shown}"


def test_the_best_cell(api: API, rows: dict[tuple[str, int], Row]) -> None:
    means = {
        arch: statistics.mean(rows[arch, seed].accuracy[2]["valid"] for seed in SEEDS)
        for arch in NINE
    }
    index, value = api.find_best("grey", "valid", hp=2)
    best = max(means, key=means.__getitem__)
    assert api.arch(index) == best and value == pytest.approx(means[best], rel=1e-6)


LACKING: list[tuple[Callable[[Any], object], str]] = [
    (lambda api: api.get_more_info(NINE[0], "grey"), "no training of '12' epochs; it has: 1, 2, 3"),
    (lambda api: api.get_more_info(NINE[0], "cifar10-valid", hp=3), "'cifar10-valid'.*: grey"),
    (lambda api: api.get_more_info(ABSENT, "grey", hp=3), "'mine' has no cell"),
    (lambda api: api.query_by_arch(ABSENT, 3), "'mine' has no cell"),
    (lambda api: api.query_meta_info_by_index(20000, 3), r"0\.\.15624"),
    (lambda api: api.query_meta_info_by_index(-1, 3), r"0\.\.15624"),
    (lambda api: api.get_more_info(NINE[0], "grey", 3, 3), r"iepoch 3: allowed is 0\.\.2"),
    (lambda api: api.get_more_info(NINE[0], "grey", hp=3, is_random=7), "seed 7 .* 1, 2"),
    (lambda api: api.get_more_info(NINE[0], "grey", hp=3)["train-loss"], "no loss|no accuracy"),
    (lambda api: api.get_more_info(NINE[0], "grey", hp=3)["valid-loss"], "no loss on x-valid"),
    (lambda api: api.get_more_info(NINE[0], "grey", hp=3)["valid-per-time"], "seconds on x-valid"),
    (lambda api: api.get_cost_info(NINE[0], "grey", 3)["flops"], "no parameters and multiply-adds"),
    (lambda api: api.get_cost_info(NINE[0], "grey", 3)["latency"], "no latency"),
    (lambda api: api.find_best("grey", "valid", 1.0, hp=3), "no parameters and multiply-adds"),
    (lambda api: api.get_net_config(NINE[0], "grey")["num_classes"], "no number of classes"),
    (lambda api: api.simulate_train_eval(NINE[0], "grey", hp=3), "no seconds on x-valid"),
    (lambda api: api.simulate_train_eval(NINE[0], "cifar10", hp=3), "'cifar10': allowed is grey"),
]


@pytest.mark.parametrize(("ask", "line"), LACKING)
def test_what_it_lacks_is_one_line(api: API, ask: Callable[[Any], object], line: str) -> None:
    with pytest.raises(BenchmarkError, match=line) as caught:
        ask(api)
    assert "\n" not in str(caught.value)
