"""Settings checked by their model; what is wrong comes as a ConfigError of one clear line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nni_wiring.errors import ConfigError
from search_spaces.validation import one_line_validation, unknown_name

__all__ = ["one_line_validation", "unknown_name", "validated"]

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], settings: Mapping[str, Any], what: str) -> Model:
    """The settings as a ``model``; raises ConfigError, one line. what: whose they are."""
    try:
        return model(**settings)
    except ValidationError as error:
        raise ConfigError(one_line_validation(error, what, model.model_fields)) from None
