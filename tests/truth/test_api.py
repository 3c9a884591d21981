"""The drop-ins beside the official objects, on the real records."""

from __future__ import annotations

import inspect
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import load_table
from nni_wiring.truth.api import NASBench201API, NATStopology, create
from nni_wiring.truth.curves import CurveFile, CurveKey
from nni_wiring.truth.importer import import_table
from nni_wiring.truth.sources.official_records import RUNS

from .test_official_apis import CELLS, NATS, PTH, nats_api, official_api

HPS = ("12", "200")
SEARCHED = ("cifar10", "cifar100", "ImageNet16-120")


class Both:
    """A drop-in, the official object, and the official index of every real cell."""

    def __init__(self, ours: Any, theirs: Any) -> None:
        self.ours, self.theirs = ours, theirs
        self.cells = {cell: theirs.query_index_by_arch(ours.arch(cell)) for cell in CELLS}

    def infos(self) -> Iterator[tuple[Any, Any]]:
        for cell, own in self.cells.items():
            for hp in HPS:
                yield (
                    self.ours.query_meta_info_by_index(cell, hp),
                    self.theirs.query_meta_info_by_index(own, hp),
                )


@pytest.fixture(scope="module", params=["nas-bench-201", "nats_bench"])
def both(request: pytest.FixtureRequest, shared_data: Path) -> Both:
    path = shared_data / (PTH[2] if request.param == "nas-bench-201" else NATS)
    name = f"api-{path.name.split('.')[0]}"
    import_table(path, name, partial=True, make_default=False)
    if request.param == "nas-bench-201":
        return Both(NASBench201API(str(path), verbose=False), official_api(path))
    theirs = nats_api(path)
    for cell in CELLS:
        theirs.query_info_str_by_arch(cell)  # fast mode reads a cell when it is asked for
    return Both(create(str(path), "tss", fast_mode=True, verbose=False), theirs)


def same(mine: Any, expected: Any) -> None:
    """Equal keys, types and, to float32, values."""
    if isinstance(expected, Mapping):
        assert set(mine) == set(expected)
        for key in expected:
            same(mine[key], expected[key])
    elif isinstance(expected, (tuple, list)):
        assert type(mine) is type(expected) and len(mine) == len(expected)
        for one, other in zip(mine, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert isinstance(mine, float)
        assert mine == pytest.approx(float(expected), rel=1e-6, abs=1e-9)
    else:
        assert type(mine) is type(expected)
        assert mine == expected


def without_comment(info: Mapping[str, Any]) -> dict[str, Any]:
    """The comment of NATS-Bench is a sentence; ours has words of its own."""
    assert isinstance(info.get("comment", ""), str)
    return {key: value for key, value in info.items() if key != "comment"}


def test_more_info_of_every_seed_and_of_the_mean(both: Both) -> None:
    count = 0
    for cell, own in both.cells.items():
        for hp in HPS:
            for run in RUNS:
                seeds = both.theirs.arch2infos_dict[own][hp].get_dataset_seeds(run)
                for seed in (False, *seeds):
                    for epoch in (None, 0, 7, int(hp) - 1):
                        mine = both.ours.get_more_info(cell, run, epoch, hp, seed)
                        expected = both.theirs.get_more_info(own, run, epoch, hp, seed)
                        assert ("comment" in mine) == ("comment" in expected)
                        same(without_comment(mine), without_comment(expected))
                        count += len(expected)
    assert count > 3000


def test_the_defaults_draw_the_seed_that_the_official_draws(both: Both) -> None:
    for cell, own in both.cells.items():
        for run in RUNS:
            for hp in HPS:
                random.seed(cell)
                mine = [both.ours.get_more_info(cell, run, hp=hp) for _ in range(4)]
                random.seed(cell)
                expected = [both.theirs.get_more_info(own, run, hp=hp) for _ in range(4)]
                same(list(map(without_comment, mine)), list(map(without_comment, expected)))
        short = both.ours.get_more_info(cell, "cifar100", is_random=False)
        long = both.ours.get_more_info(cell, "cifar100", hp="200", is_random=False)
        assert short["valid-accuracy"] < long["valid-accuracy"]


def test_cost_latency_and_config(both: Both) -> None:
    for cell, own in both.cells.items():
        for run in RUNS:
            same(both.ours.get_net_config(cell, run), both.theirs.get_net_config(own, run))
            for hp in HPS:
                mine, expected = (
                    api.get_cost_info(index, run, hp)
                    for api, index in ((both.ours, cell), (both.theirs, own))
                )
                same(mine, expected)
                latency = both.theirs.get_latency(own, run, hp)
                same(both.ours.get_latency(cell, run, hp), latency)


def test_meta_info(both: Both) -> None:
    for mine, expected in both.infos():
        assert mine.arch_str == expected.arch_str
        assert mine.get_dataset_names() == expected.get_dataset_names()
        assert mine.dataset_seed == expected.dataset_seed
        assert mine.get_total_epoch() == expected.get_total_epoch()
        assert set(mine.all_results) == set(expected.all_results)
        for run in RUNS:
            assert mine.get_total_epoch(run) == expected.get_total_epoch(run)
            assert mine.get_dataset_seeds(run) == expected.get_dataset_seeds(run)
            same(mine.get_compute_costs(run), expected.get_compute_costs(run))
            same(mine.get_latency(run), expected.get_latency(run))
            images = expected.query(run, expected.get_dataset_seeds(run)[0]).eval_names
            for name in ("train", *images):
                same(mine.get_metrics(run, name), expected.get_metrics(run, name))
                for draw in (True, *expected.get_dataset_seeds(run)):
                    random.seed(3)
                    one = mine.get_metrics(run, name, is_random=draw)
                    random.seed(3)
                    same(one, expected.get_metrics(run, name, is_random=draw))


def test_single_trainings(both: Both) -> None:
    for mine, expected in both.infos():
        for run in RUNS:
            own, other = mine.query(run), expected.query(run)
            assert list(own) == list(other)
            for seed, result in other.items():
                one = own[seed]
                assert (one.name, one.seed) == (result.name, result.seed)
                assert set(one.get_eval_set()) == set(result.get_eval_set())
                assert one.get_total_epoch() == result.get_total_epoch()
                for read in ("get_times", "get_train", "get_latency"):
                    same(getattr(one, read)(), getattr(result, read)())
                same(one.get_train(5), result.get_train(5))
                for images in result.eval_names:
                    same(one.get_eval(images), result.get_eval(images))
                same(one.get_config(len), result.get_config(len))
                same(one.get_config(None), result.get_config(None))
                for attribute in (
                    *("params", "flop", "latency", "arch_config", "epochs"),
                    *("train_acc1es", "train_losses", "eval_acc1es", "eval_losses"),
                ):
                    same(getattr(one, attribute), dict_or_value(getattr(result, attribute)))


def dict_or_value(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def test_text_of_a_cell(both: Both, capsys: pytest.CaptureFixture[str]) -> None:
    for cell, own in both.cells.items():
        for hp in HPS:
            mine = both.ours.query_by_arch(both.ours.arch(cell), hp).splitlines()
            expected = both.theirs.query_by_arch(own, hp).splitlines()
            assert mine[1].replace(f"={cell}", f"={own}") == expected[1]
            assert [mine[0], *mine[2:]] == [expected[0], *expected[2:]]
        capsys.readouterr()
        both.ours.show(cell)
        mine_shown = capsys.readouterr().out
        both.theirs.show(own)
        assert mine_shown == capsys.readouterr().out


def test_simulated_search(both: Both) -> None:
    both.theirs.reset_time()
    both.ours.reset_time()
    for cell, own in both.cells.items():
        for dataset in SEARCHED:
            for options in ({}, {"hp": "200"}, {"account_time": False}):
                random.seed(cell)
                mine = both.ours.simulate_train_eval(cell, dataset, **options)
                random.seed(cell)
                same(mine, both.theirs.simulate_train_eval(own, dataset, **options))
    assert both.ours.used_time == pytest.approx(both.theirs.used_time) and both.ours.used_time > 0
    if isinstance(both.ours, NATStopology):
        random.seed(1)
        mine = both.ours.simulate_train_eval(11, "cifar100", iepoch=30, hp="200")
        random.seed(1)
        expected = both.theirs.simulate_train_eval(11, "cifar100", iepoch=30, hp="200")
        same(mine[:3], expected[:3])


def test_find_best(both: Both) -> None:
    limits = ("FLOP_max", "Param_max")
    more: dict[str, Any] = {}
    if isinstance(both.ours, NATStopology):
        limits, more = ("flop_max", "param_max"), {"enforce_all": False}
    for dataset in SEARCHED:
        for split in ("train", "valid", "test"):
            for limit in ({}, {limits[0]: 60.0}, {limits[1]: 0.5}, {limits[0]: 0.1}):
                index, accuracy = both.ours.find_best(dataset, split, hp="200", **limit)
                own, expected = both.theirs.find_best(dataset, split, hp="200", **limit, **more)
                assert both.cells.get(index, -1) == own
                same(accuracy, expected)


def test_cells_and_their_text(both: Both) -> None:
    for cell, own in both.cells.items():
        arch = both.theirs.arch(own)
        assert both.ours.arch(cell) == both.ours[cell] == both.theirs[own] == arch
        assert both.ours.query_index_by_arch(arch) == cell
        assert both.ours.query_index_by_arch(SimpleNamespace(tostr=lambda a=arch: a)) == cell
        same(both.ours.str2lists(arch), both.theirs.str2lists(arch))
        np.testing.assert_array_equal(both.ours.str2matrix(arch), both.theirs.str2matrix(arch))
    assert both.ours.query_index_by_arch("no cell") == both.theirs.query_index_by_arch("x") == -1
    assert len(both.ours) == 15625
    assert sorted(both.ours.evaluated_indexes) == sorted(both.ours.arch2infos_dict) == [*CELLS]
    assert sorted(both.ours.avaliable_hps) == sorted(both.theirs.avaliable_hps)
    for hp in HPS:
        for run in RUNS:
            assert both.ours.statistics(run, hp) == both.theirs.statistics(run, hp)
    if isinstance(both.ours, NATStopology):
        assert len(both.theirs) == 15625 and both.ours.meta_archs == both.theirs.meta_archs
        for index in range(0, 15625, 40):
            assert both.ours.get_unique_str(index) == both.theirs.get_unique_str(index)


def test_signatures(both: Both) -> None:
    """Every public method takes the official names, in the official order and with its defaults."""
    for name, method in inspect.getmembers(type(both.theirs), inspect.isfunction):
        if name.startswith("_") and name != "__init__" or name == "reset_archive_dir":
            continue
        mine = inspect.signature(getattr(type(both.ours), name)).parameters
        for one, other in zip(
            mine.values(), inspect.signature(method).parameters.values(), strict=True
        ):
            assert one.name == other.name
            if name != "str2matrix":
                assert one.default == other.default
    spaces = [inspect.signature(api.str2matrix).parameters for api in (both.ours, both.theirs)]
    assert tuple(spaces[0]["search_space"].default) == tuple(spaces[1]["search_space"].default)


@pytest.fixture
def bundled() -> NASBench201API:
    return NASBench201API("bundled")


def test_a_table_of_validation_accuracies_says_what_it_lacks(bundled: NASBench201API) -> None:
    table = load_table("bundled")
    info = bundled.get_more_info(6111, "cifar10-valid", hp="200", is_random=False)
    expected = float(table.values("cifar10", "valid")[6111])
    assert info["valid-accuracy"] == pytest.approx(expected, rel=1e-6)
    assert "test-accuracy" not in info
    with pytest.raises(BenchmarkError, match="'bundled' has no accuracy on ori-test"):
        info["test-accuracy"]
    with pytest.raises(BenchmarkError, match="seconds on x-valid"):
        info["valid-per-time"]
    with pytest.raises(KeyError, match="nonsense"):
        info["nonsense"]
    assert info["train-all-time"] == pytest.approx(float(table.seconds("cifar10")[6111]))
    assert (
        bundled.find_best("cifar10", "valid", hp=200)[0] == table.optimum("cifar10", "valid").index
    )
    seed = bundled.get_more_info(6111, "cifar10-valid", hp="200", is_random=777)
    assert seed["valid-accuracy"] == pytest.approx(
        float(table.values("cifar10", "valid", seed=777)[6111])
    )


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda api: api.get_more_info(0, "cifar10-valid"), "no training of '12' epochs"),
        (lambda api: api.get_more_info(0, "cifar10", hp="200", is_random=False), "no accuracy"),
        (lambda api: api.get_more_info(0, "cifar10", hp="200"), "knows no single seed"),
        (lambda api: api.get_more_info(0, "mnist", hp="200"), "unknown training 'mnist'"),
        (lambda api: api.get_more_info(15625, "cifar10", hp="200"), r"0\.\.15624"),
        (lambda api: api.get_more_info("|x|", "cifar10", hp="200"), "not a NAS-Bench-201 cell"),
        (
            lambda api: api.get_more_info(6111, "cifar10-valid", hp="200", is_random=5),
            "seed 5 .* 777, 888, 999",
        ),
        (lambda api: api.get_more_info(0, "cifar100", 200, "200", False), r"0\.\.199"),
        (lambda api: api.find_best("cifar10", "test", hp="200"), "no accuracy on ori-test"),
        (lambda api: api.simulate_train_eval(0, "cifar9", hp="200"), "'cifar9': allowed"),
        (lambda api: api.get_net_param(0, "cifar10", None), "no weights"),
        (lambda api: api.reload(), "benchmark import"),
        (lambda api: api.str2lists("|a~b|"), "expected"),
        (lambda api: api.str2matrix("|conv~0|"), "unknown operation 'conv'"),
        (lambda api: api.arch(-1), r"0\.\.15624"),
    ],
)
def test_bad_questions_are_one_line(bundled: NASBench201API, ask: Any, line: str) -> None:
    with pytest.raises(BenchmarkError, match=line) as caught:
        ask(bundled)
    assert "\n" not in str(caught.value)


def test_what_the_classes_open(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="no table was imported from it"):
        NASBench201API(str(tmp_path / "NAS-Bench-201-v1_1-096897.pth"))
    with pytest.raises(BenchmarkError, match="a dict is not read here"):
        NASBench201API({"meta_archs": []})
    with pytest.raises(BenchmarkError, match="'sss'"):
        create(None, "sss")
    assert repr(NASBench201API()) == "NASBench201API(15625/15625 architectures, file=bundled)"
    assert len(NASBench201API(load_table("bundled"))) == 15625
    source = shared_data / PTH[0]
    import_table(source, "kept", partial=True, make_default=False)
    assert NASBench201API(source).evaluated_indexes == [*CELLS]
    gone = NASBench201API(f"/nowhere/{source.name}")
    assert gone.evaluated_indexes == [*CELLS]
    other = tmp_path / source.name  # the same name, other bytes
    other.write_bytes(b"something else")
    with pytest.raises(BenchmarkError, match="no table was imported from it"):
        NASBench201API(other)


def test_a_part_of_the_cells(both: Both) -> None:
    with pytest.raises(BenchmarkError, match="has no cell 5"):
        both.ours.query_meta_info_by_index(5)
    with pytest.raises(KeyError):
        both.ours.arch2infos_dict[5]


def test_a_mean_is_over_all_seeds_or_missing(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that ran away is recorded as missing: the others' mean must not stand for it."""
    points = CurveFile.points

    def without_888(self: CurveFile, index: int, key: CurveKey, epoch: int) -> dict[int, float]:
        found = points(self, index, key, epoch)
        return {s: v for s, v in found.items() if (s, key.quantity) != (888, "loss")}

    monkeypatch.setattr(CurveFile, "points", without_888)
    info = both.ours.get_more_info(11, "cifar100", hp="200", is_random=False)
    assert "test-accuracy" in info
    with pytest.raises(BenchmarkError, match="no loss on x-test after epoch 199"):
        info["test-loss"]
    assert "test-loss" in both.ours.get_more_info(11, "cifar100", hp="200", is_random=777)


def test_another_benchmark_is_refused(tmp_path: Path) -> None:
    micro = tmp_path / "micro.csv"
    micro.write_text("# benchmark: transnas101_micro\narch,jigsaw/test\n64-41414-1_02_333,90\n")
    import_table(micro, "api-micro", partial=True, make_default=False)
    with pytest.raises(BenchmarkError, match="'api-micro' is of TransNAS-Bench-101 micro"):
        NASBench201API("api-micro")


def test_no_import_of_torch_or_of_the_official_package() -> None:
    code = (
        "import sys, nni_wiring.truth, nni_wiring.truth.api as api; api.NASBench201API();"
        "print([m for m in ('torch', 'nas_201_api', 'nats_bench') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_answers_can_be_kept(bundled: NASBench201API) -> None:
    info = bundled.get_more_info(6111, "cifar100", hp="200", is_random=False)
    assert pickle.loads(pickle.dumps(dict(info))) == info
