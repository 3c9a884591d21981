"""Options of a search: defaults, one-line errors, and what a null means."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, create_model

from nni_wiring.errors import ConfigError
from nni_wiring.search.assignments import parse_assignments
from nni_wiring.search.config import make_config
from nni_wiring.search.settings import DataSettings, RunSettings, ThetaSettings
from nni_wiring.strategies.registry import STRATEGIES, register
from nni_wiring.strategies.settings import StrategySettings
from search_spaces.cell_graph import NB201
from search_spaces.errors import SpaceError
from search_spaces.registry import SPACES, SpaceEntry, register_space
from search_spaces.settings import (
    CellNetworkSettings,
    DartsSpaceSettings,
    NasBench201SpaceSettings,
    SpaceSettings,
)

SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "dart"}, ["strategy", "'dart'", "darts", "darts_fixed_alpha"]),
        ({"strategy": ["darts"]}, ["strategy", "must be a name"]),
        ({"chanels": 8}, ["'chanels'", "did you mean 'channels'"]),
        ({"alpha_learning_rate": 1}, ["'alpha_learning_rate'", "allowed:", "alpha_lr"]),
        ({"method": {"order": 2}}, ["'method'"]),
        ({"channels": 0}, ["channels", "greater than or equal to 1", "got 0"]),
        ({"channels": 1_000_000}, ["channels", "less than or equal to 1024", "got 1000000"]),
        ({"cells": 10**9}, ["cells", "less than or equal to 100"]),
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
    parts = (RunSettings, DataSettings, ThetaSettings, NasBench201SpaceSettings, DartsSpaceSettings)
    names = {name for part in parts for name in part.model_fields}
    assert set(config.flat()) == names | set(STRATEGIES["darts"].Settings.model_fields)


def test_settings_stand_where_they_belong() -> None:
    config = make_config({"seed": 2, "cutout": 4, "epochs": 3, "cells": 2, "clip": 1, "data": "a"})
    assert (config.run.seed, config.data_settings.cutout, config.theta.epochs) == (2, 4, 3)
    assert (config.space_settings.cells, config.method.clip) == (2, 1.0)
    assert config.data_settings.data == "a"
    # every one but the strategy's own is found by its flat name, too
    of_method = type(config.method).model_fields
    for name, value in config.flat().items():
        if name not in of_method:
            assert getattr(config, name) == value
    assert copy.deepcopy(config) == config
    with pytest.raises(AttributeError, match="'clip'"):
        _ = config.clip


def test_defaults_of_a_space_are_its_own() -> None:
    for name, cells, head in (
        ("nasbench201", 5, "nasbench201"),
        ("darts_s3", 8, "darts"),
        ("minimal", 8, "bias_free"),
    ):
        settings = make_config({"space": name}).space_settings
        assert (settings.cells, settings.model_dump()["head"]) == (cells, head)
    with pytest.raises(ConfigError, match="head.*'darts' or 'bias_free'.*'nasbench201'"):
        make_config({"space": "darts", "head": "nasbench201"})


def test_the_options_of_an_older_version_s_run_are_read() -> None:
    run = json.loads((SUPPORT / "run_of_0_1_0" / "run.json").read_text())
    config = make_config(run["config"])
    assert {name: config.flat()[name] for name in run["config"]} == run["config"]
    # an option that the older version had not has its default
    older = {k: v for k, v in run["config"].items() if k not in ("cutout", "head", "compile")}
    assert make_config(older) == config


class Knots(CellNetworkSettings):
    knots: int | None = Field(default=3, ge=1)


def space_of(settings: type[SpaceSettings]) -> SpaceEntry:
    return SpaceEntry("knotted", "", NB201, settings=settings)


def test_a_space_s_own_setting_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SPACES, "knotted", space_of(Knots))
    assert make_config({"space": "knotted"}).flat()["knots"] == 3
    config = make_config({"space": "knotted", "knots": 5, "channels": None})
    assert config.knots == 5 and config.channels == 16
    without = make_config({"space": "knotted", "knots": None})  # a value, as for a strategy's own
    assert without.space_settings == Knots(knots=None)
    for made in (config, without):
        assert make_config(json.loads(json.dumps(made.flat()))) == made
    with pytest.raises(ConfigError, match="knots: .*greater than or equal to 1.*got 0"):
        make_config({"space": "knotted", "knots": 0})
    with pytest.raises(ConfigError, match="'head' is not a setting"):  # this space has none
        make_config({"space": "knotted", "head": "bias_free"})
    with pytest.raises(ConfigError, match="'knots' is not a setting"):
        make_config({"knots": 5})


@pytest.mark.parametrize(
    ("name", "owner"), [("epochs", "the run"), ("seeds", "the run"), ("channels", "the space")]
)
def test_a_strategy_s_setting_with_a_taken_name_is_refused(name: str, owner: str) -> None:
    model = create_model("Bad", __base__=StrategySettings, **{name: (int, 1)})
    clash = type("Clash", (STRATEGIES["darts"],), {"name": "clash", "Settings": model})
    with pytest.raises(ConfigError) as caught:
        register(clash)
    line = f"strategy clash: its setting {name!r} has the name of an option of {owner}; "
    assert str(caught.value) == line + "it must be called otherwise"
    assert "clash" not in STRATEGIES


def test_a_space_s_setting_with_a_taken_name_is_refused() -> None:
    bad = create_model("Bad", __base__=SpaceSettings, lr=(float, 0.1))
    with pytest.raises(SpaceError, match="^space knotted: its setting 'lr' .* of the run; "):
        register_space(space_of(bad))
    needed = create_model("Needed", __base__=SpaceSettings, knots=(int, ...))
    with pytest.raises(SpaceError, match="^space knotted: its setting 'knots' has no default$"):
        register_space(space_of(needed))
    assert "knotted" not in SPACES


def test_a_space_and_a_strategy_with_the_same_setting_do_not_go_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad = create_model("Bad", __base__=SpaceSettings, order=(int, 7))
    monkeypatch.setitem(SPACES, "knotted", space_of(bad))
    with pytest.raises(ConfigError, match="strategy darts and space knotted both .* 'order'"):
        make_config({"space": "knotted"})
    assert make_config({"space": "knotted", "strategy": "gdas"}).order == 7


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
    deep = ("channels=" + "[" * 10_000, "channels=" + "[" * 100_000)
    for bad in ("channels", "=8", *deep, "operations=[1"):
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
