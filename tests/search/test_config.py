"""Options of a search: defaults, one-line errors, and what a null means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nni_wiring.errors import ConfigError
from nni_wiring.search.config import RunConfig, make_config, parse_assignments
from nni_wiring.strategies.registry import STRATEGIES, register
from search_spaces.registry import SPACES


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "dart"}, ["strategy", "'dart'", "darts", "darts_fixed_alpha"]),
        ({"strategy": ["darts"]}, ["strategy", "must be a name"]),
        ({"chanels": 8}, ["'chanels'", "did you mean 'channels'"]),
        ({"alpha_learning_rate": 1}, ["'alpha_learning_rate'", "allowed:", "alpha_lr"]),
        ({"method": {"order": 2}}, ["'method'"]),
        ({"channels": 0}, ["channels", "greater than or equal to 1", "got 0"]),
        ({"lr": -0.1}, ["lr", "greater than 0", "-0.1"]),
        ({"lr": "fast"}, ["lr", "fast"]),
        ({"lr": float("inf")}, ["lr", "finite", "inf"]),
        ({"lr": float("nan")}, ["lr", "finite", "nan"]),
        ({"weight_decay": float("inf")}, ["weight_decay", "finite"]),
        ({"lr": 0.01, "lr_min": 0.1}, ["lr_min 0.1", "above lr 0.01"]),
        ({"lr": 0.0005}, ["lr_min 0.001", "above lr 0.0005"]),  # the default one
        ({"epochs": 2.5}, ["epochs", "2.5"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"momentum": 1}, ["momentum", "less than 1"]),
        ({"batch_size": 1}, ["batch_size"]),
        ({"head": "linear"}, ["head", "nasbench201", "bias_free"]),
        ({"split": "third"}, ["split", "half", "full+xvalid"]),
        ({"dataset": "svhn"}, ["dataset", "cifar100"]),
        ({"order": 3}, ["order", "1 or 2"]),
        ({"alpha_betas": [0.5]}, ["alpha_betas"]),
        ({"alpha_betas": [0.5, 1.0]}, ["alpha_betas", "less than 1"]),
        ({"clip": 0}, ["clip", "greater than 0"]),
        ({"space": "nasbench101"}, ["space", "'nasbench101'", "nasbench201_minimal"]),
        ({"operations": {"1-0": ["none"]}}, ["'1-0'", "0-1, 0-2, 1-2"]),
        ({"operations": {"0-1": []}}, ["0-1", "at least one"]),
        ({"operations": {"0-1": "none"}}, ["operations.0-1", "list"]),
        ({"operations": {"0-1": ["conv"]}}, ["'conv'", "nor_conv_3x3"]),
    ],
)
def test_bad_options_are_named_in_one_line(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_defaults_are_the_strategys_paper_and_can_be_set() -> None:
    config = make_config({})
    assert (config.strategy, config.space, config.data) == ("darts", "nasbench201", "digits")
    assert (config.epochs, config.batch_size, config.lr, config.lr_min) == (50, 64, 0.025, 0.001)
    assert (config.momentum, config.weight_decay, config.nesterov) == (0.9, 5e-4, True)
    assert (config.channels, config.cells) == (16, 5)
    assert (config.affine, config.track_stats) == (False, False)
    changed = make_config({"lr": 0.1, "alpha_lr": 0.01, "order": 2, "epochs": None})
    assert (changed.lr, changed.epochs) == (0.1, 50)
    settings = changed.build_strategy().settings
    assert (settings.alpha_lr, settings.update_order) == (0.01, "alpha_first")


def test_null_switches_a_methods_limit_off() -> None:
    (assigned,) = [parse_assignments(("clip=null",))]
    assert assigned == {"clip": None}
    config = make_config(assigned)
    assert config.build_strategy().settings.clip is None
    assert make_config({}).build_strategy().settings.clip == 5.0
    # and stays off in the run folder, from which a resume reads it
    again = make_config(json.loads(json.dumps(config.flat())))
    assert again.build_strategy().settings.clip is None


def test_flat_options_make_the_same_config_again() -> None:
    config = make_config(
        {"order": 2, "operations": {"*": ["none", "skip_connect"]}, "alpha_betas": [0.1, 0.2]}
    )
    assert make_config(json.loads(json.dumps(config.flat()))) == config
    assert set(config.flat()) >= set(RunConfig.model_fields) - {"method"}


def test_assignments_are_yaml() -> None:
    found = parse_assignments(
        ("channels=8", "lr=1.0e-2", "affine=true", "operations={0-1: [none]}", "data=npz:a=b.npz")
    )
    assert found == {
        "channels": 8,
        "lr": 0.01,
        "affine": True,
        "operations": {"0-1": ["none"]},
        "data": "npz:a=b.npz",
    }
    for bad in ("channels", "=8", "operations=[1"):
        with pytest.raises(ConfigError, match="--set"):
            parse_assignments((bad,))


@pytest.mark.parametrize("name", sorted(SPACES))
def test_every_space_makes_a_config(name: str) -> None:
    assert make_config({"space": name}).space == name


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_makes_a_config_and_its_object(name: str) -> None:
    config = make_config({"strategy": name})
    assert type(config.build_strategy()) is STRATEGIES[name]
    assert STRATEGIES[name].name == name and STRATEGIES[name].paper


def test_a_taken_name_cannot_be_registered() -> None:
    class Other(STRATEGIES["darts"]):  # type: ignore[misc]
        pass

    with pytest.raises(ConfigError, match="'darts' is taken"):
        register(Other)
    assert register(STRATEGIES["darts"]) is STRATEGIES["darts"]
