"""What is told of an option's values is what its model takes and refuses."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from nni_wiring.commands.option_rows import allowed_values
from nni_wiring.strategies.registry import STRATEGIES


class Model(BaseModel):
    rate: float | None = Field(default=None, gt=0, le=1)
    seed: int = Field(default=1, ge=0, lt=2**31)
    kind: Literal["a", "b"] | None = None
    fast: bool = True
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], float] = (0.5, 0.9)
    many: list[int] = []
    spare: dict[str, str] = {}


def test_types_and_limits_in_words() -> None:
    assert allowed_values(Model) == {
        "rate": "number > 0 <= 1 | null",
        "seed": "integer >= 0 < 2147483648",
        "kind": "a | b | null",
        "fast": "true | false",
        "betas": "[number >= 0 < 1, number]",
        "many": "[integer, ...]",
        "spare": "{...}",
    }


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_value_past_a_told_limit_is_refused(name: str) -> None:
    settings = STRATEGIES[name].Settings
    told = 0
    for option, words in allowed_values(settings).items():
        found = re.fullmatch(r"(?:number|integer)(?: (>=?|<=?) (\S+))?.*", words)
        if found is None or found[1] is None:
            continue
        sign, limit = found[1], float(found[2])
        past = limit if len(sign) == 1 else limit - 1 if ">" in sign else limit + 1
        with pytest.raises(ValidationError):
            settings(**{option: past})
        told += 1
    assert told >= 5
