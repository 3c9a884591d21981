"""Options as a table: each with its default and the values that its model allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

_WORDS = {"integer": "integer", "number": "number", "string": "text", "null": "null"}
_LIMITS = (
    ("minimum", ">="),
    ("exclusiveMinimum", ">"),
    ("maximum", "<="),
    ("exclusiveMaximum", "<"),
)


def allowed_values(model: type[BaseModel]) -> dict[str, str]:
    """Option -> its allowed values in words ("number > 0 | null"), as the model's schema has them.

    Rules between several options are not among them.
    """
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    return {name: _words(entry, definitions) for name, entry in schema["properties"].items()}


def _words(entry: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in entry:
        return _words(definitions[entry["$ref"].rpartition("/")[2]], definitions)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in entry:
            return " | ".join(_words(choice, definitions) for choice in entry[key])
    if "const" in entry:
        return str(entry["const"])
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    if entry.get("type") == "boolean":
        return "true | false"
    if entry.get("type") == "array":
        items = entry.get("prefixItems", [entry.get("items", {})])
        inner = ", ".join(_words(item, definitions) for item in items)
        return f"[{inner}]" if "prefixItems" in entry else f"[{inner}, ...]"
    if entry.get("type") == "object":
        return "{...}"
    limits = [f"{sign} {_number(entry[key])}" for key, sign in _LIMITS if key in entry]
    return " ".join([_WORDS.get(entry.get("type", ""), "any"), *limits])


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
