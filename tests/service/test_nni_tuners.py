from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from nni_wiring.errors import ConfigError
from nni_wiring.service.nni_tuners import (
    TUNERS,
    WiringBayes,
    WiringEvolution,
    WiringRandom,
    WiringReinforce,
    WiringTuner,
    cell_of,
    read_search_space,
)
from nni_wiring.tuners.journal import Event, Journal
from search_spaces.cell_graph import NB201, OPERATIONS, format_arch

CONFIGS = Path(__file__).resolve().parents[2] / "tuner_configs"


def space(**changes: object) -> dict[str, Any]:
    choice = {"_type": "choice", "_value": list(OPERATIONS)}
    return {**dict.fromkeys(NB201.edge_names, choice), **changes}


def one(value: object) -> dict[str, Any]:
    return {"_type": "choice", "_value": [value]}


def value_of(parameters: dict[str, Any]) -> float:
    return 50.0 - sum((operation - 3) ** 2 for operation in cell_of(parameters))


def run(tuner: WiringTuner, start: int, count: int) -> list[dict[str, Any]]:
    asked = []
    for number in range(start, start + count):
        asked.append(tuner.generate_parameters(number))
        value = {"default": value_of(asked[-1]), "other": "text"}
        tuner.receive_trial_result(number, asked[-1], value)
    return asked


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("tuner_class", TUNERS)
def test_parameters_are_one_operation_an_edge_and_the_fixed_ones(tuner_class: Any) -> None:
    tuner = tuner_class(seed=1)
    tuner.update_search_space(space(dataset=one("cifar100")))
    for parameters in run(tuner, 0, 14):
        assert set(parameters) == {*NB201.edge_names, "dataset"}
        assert parameters["dataset"] == "cifar100"
        assert all(parameters[edge] in OPERATIONS for edge in NB201.edge_names)


@pytest.mark.parametrize("tuner_class", TUNERS)
def test_a_resumed_tuner_goes_on_as_if_never_stopped(tuner_class: Any, checkpoint: Path) -> None:
    whole = tuner_class(seed=4)
    whole.update_search_space(space())
    first = run(whole, 0, 13)
    rest = [whole.generate_parameters(number) for number in range(13, 16)]
    lines = (checkpoint / "wiring-tuner.jsonl").read_text().splitlines()
    # stopped after the 13th result, in the middle of writing a line
    (checkpoint / "wiring-tuner.jsonl").write_text("\n".join(lines[:26]) + '\n{"cell": [1, 2')
    resumed = tuner_class(seed=4)
    resumed.load_checkpoint()
    resumed.update_search_space(space())
    # NNI then sends all finished results again, some beside another trial's parameters
    finals = [
        {
            "parameter": wrong,
            "value": {"default": value_of(right), "arch": format_arch(cell_of(right))},
        }
        for wrong, right in zip(first[1:] + first[:1], first, strict=True)
    ]
    resumed.import_data(finals)
    assert [resumed.generate_parameters(number) for number in range(13, 16)] == rest
    kept = (checkpoint / "wiring-tuner.jsonl").read_text().splitlines()
    assert kept == lines


def test_results_of_before_are_imported_into_a_fresh_experiment(checkpoint: Path) -> None:
    tuner = WiringEvolution(seed=0, population=4, sample=2)
    tuner.update_search_space(space())
    good = dict(zip(NB201.edge_names, ["nor_conv_3x3"] * 6, strict=True))
    tuner.import_data(
        [
            {"parameter": good, "value": {"default": 90.0}},
            {"parameter": {"x": 1}, "value": 3.0},
            {"parameter": good, "value": "text"},
            {"parameter": good, "value": {"default": float("nan")}},
        ]
    )
    assert [(value, cell) for value, cell in tuner._sampler.population] == [(90.0, (3,) * 6)]
    assert Journal(checkpoint).read() == [Event((3,) * 6, 90.0)]


def test_minimize_turns_the_sign() -> None:
    tuner = WiringEvolution(optimize_mode="minimize", seed=0)
    tuner.update_search_space(space())
    parameters = tuner.generate_parameters(0)
    tuner.receive_trial_result(0, parameters, 7.0)
    assert tuner._sampler.population[0][0] == -7.0


def test_a_smaller_search_space_is_respected() -> None:
    tuner = WiringReinforce(seed=0)
    tuner.update_search_space(space(**{"1-2": one("skip_connect")}))
    assert {p["1-2"] for p in run(tuner, 0, 20)} == {"skip_connect"}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: WiringRandom(optimize_mode="max"), "optimize_mode"),
        (lambda: WiringRandom(seed=-1), "seed"),
        (lambda: WiringRandom(seed="1"), "seed"),
        (lambda: WiringRandom(population=3), "population"),
        (lambda: WiringEvolution(population=0), "population"),
        (lambda: WiringReinforce(learning_rate="fast"), "learning_rate"),
        (lambda: WiringBayes(start=0), "start"),
    ],
)
def test_bad_arguments_are_refused_at_once(make: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"0-1": one("conv")}, "'conv'"),
        ({"0-1": {"_type": "choice", "_value": ["none", "none"]}}, "twice"),
        ({"0-1": {"_type": "uniform", "_value": [0, 1]}}, "'0-1' must be a choice"),
        ({"0-1": {"_type": "choice", "_value": []}}, "'0-1' must be a choice"),
        ({"lr": {"_type": "choice", "_value": [1, 2]}}, "'lr' has several values"),
        ({"lr": 3}, "'lr' must be a choice"),
    ],
)
def test_a_search_space_that_cannot_be_searched_is_named(changes: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        read_search_space(space(**changes))


def test_a_missing_edge_is_named() -> None:
    with pytest.raises(ConfigError, match="no edge '2-3'"):
        read_search_space({name: entry for name, entry in space().items() if name != "2-3"})


def test_tuners_and_the_lookup_trial_import_no_torch() -> None:
    code = (
        "import sys, nni_wiring.service.nni_tuners, nni_wiring.service.lookup_trial, nni\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'torch' or m.startswith('nni.nas')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_committed_configurations_are_those_of_the_tuners() -> None:
    meta = yaml.safe_load((CONFIGS / "algorithms.yml").read_text())["algorithms"]
    expected = [(t.__name__, f"{t.__module__}.{t.__qualname__}") for t in TUNERS]
    assert [(entry["builtinName"], entry["className"]) for entry in meta] == expected
    by_name = {tuner.__name__: tuner for tuner in TUNERS}
    for file in ("evolution", "reinforce", "bayes", "builtin_tpe"):
        config = yaml.safe_load((CONFIGS / f"{file}.yml").read_text())
        choices, fixed = read_search_space(config["searchSpace"])
        assert [len(edge) for edge in choices] == [5] * 6 and fixed == {"dataset": "cifar10"}
        if file != "builtin_tpe":
            by_name[config["tuner"]["name"]](**config["tuner"]["classArgs"])


def test_configurations_pass_the_schema_of_nni(tmp_path: Path) -> None:
    from nni.experiment.config import ExperimentConfig

    for name in ("evolution", "reinforce", "bayes", "builtin_tpe"):
        ExperimentConfig.load(CONFIGS / f"{name}.yml").validate()
    remote = yaml.safe_load((CONFIGS / "remote.yml").read_text())
    (tmp_path / "key").write_text("a key")
    remote["trainingService"]["machineList"][0]["sshKeyFile"] = str(tmp_path / "key")
    guide = (CONFIGS.parent / "docs" / "nni.md").read_text()
    kubernetes = yaml.safe_load(guide.split("```yaml\n")[1].split("```")[0])
    for name, config in (("remote", remote), ("kubernetes", kubernetes)):
        (tmp_path / f"{name}.yml").write_text(yaml.safe_dump(config))
        ExperimentConfig.load(tmp_path / f"{name}.yml").validate()
