"""What is told of an option is what its model takes and refuses, and what its docstring says."""

from __future__ import annotations

import csv
import re
from typing import Annotated, Literal

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field, ValidationError

from nni_wiring.commands import main
from nni_wiring.commands.option_rows import OptionRow, meanings, option_rows
from nni_wiring.search.config import make_config
from nni_wiring.strategies.registry import STRATEGIES
from search_spaces.registry import SPACES


class Model(BaseModel):
    """Settings of a test.

    rate: of learning; note: the colon is none of ours. fast: no waiting,
    on any machine. many, spare: whatever
    there is. t_*: a stage.

    Nothing of this belongs to spare.
    """

    rate: float | None = Field(default=None, gt=0, le=1)
    seed: int = Field(default=1, ge=0, lt=2**31, description="of the draws")
    kind: Literal["a", "b"] | None = None
    fast: bool = True
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], float] = (0.5, 0.9)
    many: list[int] = []
    spare: dict[str, str] = {}
    t_start: float = 1.0
    t_end: str = ""


class Child(Model):
    """t_end: the last stage. rate: of forgetting."""


def test_types_limits_and_meanings() -> None:
    rows = option_rows(Model, Model().model_dump(), {"t_end": ["x", "y"]})

    assert rows == [
        (
            "rate",
            "number or null",
            None,
            "> 0 <= 1",
            "of learning; note: the colon is none of ours",
        ),
        ("seed", "integer", 1, ">= 0 < 2147483648", "of the draws"),
        ("kind", "text or null", None, "a | b", ""),
        ("fast", "true/false", True, "true | false", "no waiting, on any machine"),
        ("betas", "list", (0.5, 0.9), "[number >= 0 < 1, number]", ""),
        ("many", "list", [], "[integer, ...]", "whatever there is"),
        ("spare", "mapping", {}, "", "whatever there is"),
        ("t_start", "number", 1.0, "", "a stage"),
        ("t_end", "text", "", "x | y", "a stage"),
    ]


def test_a_class_that_says_it_anew_is_heard() -> None:
    found = meanings(Child)

    assert found["rate"] == "of forgetting"
    assert (found["t_start"], found["t_end"]) == ("a stage", "the last stage")
    assert found["fast"] == meanings(Model)["fast"]


def shown(*command: str) -> dict[str, dict[str, str]]:
    """Option -> its row as `command` prints it."""
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("# options of ")
    return {
        row["option"]: row
        for row in csv.DictReader(lines[1:], delimiter="\t", quoting=csv.QUOTE_NONE)
    }


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_option_of_a_strategy_is_told_whole(name: str) -> None:
    rows = shown("strategies", "--options", name)
    config = make_config({"strategy": name}).flat()

    assert set(rows) == set(config)
    for option, row in rows.items():
        assert row["default"] == repr(config[option])
        assert row["type"] and "any" not in row["type"]
        assert len(row["meaning"]) >= 5, option
        if row["type"] == "true/false":
            assert isinstance(config[option], bool)


@pytest.mark.parametrize("name", list(SPACES))
def test_every_option_of_a_space_is_told_whole(name: str) -> None:
    rows = shown("spaces", "--options", name)

    assert set(rows) == set(SPACES[name].settings.model_fields)
    assert all(len(row["meaning"]) >= 5 for row in rows.values())


def test_names_are_told_where_an_option_takes_one_of_a_registry() -> None:
    rows = shown("strategies", "--options", "gdas", "--space", "darts_s1")

    assert rows["strategy"]["allowed"].split(" | ") == list(STRATEGIES)
    assert "perturbation" in rows["selection"]["allowed"].split(" | ")
    assert "npz:PATH" in rows["data"]["allowed"].split(" | ")
    assert rows["tau_end"]["meaning"] == "that of the last, linear between"
    assert rows["tau_end"]["of the"] == "strategy" and rows["head"]["of the"] == "space"


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_value_past_a_told_limit_is_refused(name: str) -> None:
    settings = STRATEGIES[name].Settings
    told = 0
    for row in option_rows(settings, {}):
        found = re.match(r"(>=?|<=?) (\S+)", row.allowed)
        if found is None:
            continue
        sign, limit = found[1], float(found[2])
        past = limit if len(sign) == 1 else limit - 1 if ">" in sign else limit + 1
        with pytest.raises(ValidationError):
            settings(**{row.option: past})
        told += 1
    assert told >= 5


def test_a_row_has_the_columns_that_are_listed() -> None:
    done = CliRunner().invoke(main, ["spaces", "--options", "darts"])

    assert done.stdout.splitlines()[1].split("\t") == list(OptionRow._fields)
