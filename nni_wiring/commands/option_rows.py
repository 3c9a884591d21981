"""Options as a table: type, default, allowed values and meaning of each.

Types and limits are those of the settings' models; a meaning is what the docstring of the model
says behind the option's name (``lr, lr_min: ends of the cosine.``). Neither is written down twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from inspect import cleandoc
from typing import Any, NamedTuple

from pydantic import BaseModel

_TYPES = {
    "integer": "integer",
    "number": "number",
    "string": "text",
    "boolean": "true/false",
    "array": "list",
    "object": "mapping",
    "null": "null",
}
_LIMITS = (
    ("minimum", ">="),
    ("exclusiveMinimum", ">"),
    ("maximum", "<="),
    ("exclusiveMaximum", "<"),
)
#: ``name, name: `` or ``name_*: `` at the start of a sentence.
_LABEL = re.compile(r"(?:^|(?<=[.;]\s))([a-z][a-z0-9_*]*(?:(?:,| and)\s+[a-z][a-z0-9_*]*)*):\s")


Schema = Mapping[str, Any]


class OptionRow(NamedTuple):
    """An option: its type, its default, the values that it takes, and what it means."""

    option: str
    type: str
    default: object
    allowed: str
    meaning: str


def option_rows(
    model: type[BaseModel],
    values: Mapping[str, Any],
    names: Mapping[str, Collection[str]] | None = None,
) -> list[OptionRow]:
    """A row an option of ``model``, in its order; rules between several options are not told.

    Args:
        model: settings.
        values: the defaults to show.
        names: the allowed names of options that are names of a registry.
    """
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    meant = meanings(model)
    rows = []
    for option, entry in schema["properties"].items():
        choices = list(_choices(entry, definitions))
        kinds = dict.fromkeys(map(_type, choices))
        known = (names or {}).get(option)
        allowed = [" | ".join(known)] if known else [_allowed(c, definitions) for c in choices]
        shown = " | ".join(dict.fromkeys(filter(None, allowed)))
        kind, default = " or ".join(kinds), values.get(option)
        rows.append(OptionRow(option, kind, default, shown, meant.get(option, "")))
    return rows


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Option -> its meaning: the text behind its name in the docstring of the nearest class that
    tells it. A name with a star (``alpha_*``) means the options that are not named otherwise.
    """
    named: dict[str, str] = {}
    starred: dict[str, str] = {}
    options = list(model.model_fields)
    for owner in reversed(model.__mro__):
        if owner.__module__.partition(".")[0] == "pydantic":
            continue
        for label, text in _told(owner.__dict__.get("__doc__") or "", options):
            (starred if "*" in label else named).update({label: text})
    found = {}
    for option, field in model.model_fields.items():
        stars = [text for label, text in starred.items() if fnmatchcase(option, label)]
        text = field.description or named.get(option) or (stars[-1] if stars else "")
        if text:
            found[option] = text
    return found


def _told(docstring: str, options: Collection[str]) -> Iterator[tuple[str, str]]:
    """The labels of a docstring with their texts; words before a colon that are no options are
    text like any other.
    """
    for paragraph in re.split(r"\n\s*\n", cleandoc(docstring)):
        text = " ".join(paragraph.split()).removeprefix("Attributes: ")
        found = [(match, re.split(r",? and |, ", match[1])) for match in _LABEL.finditer(text)]
        labels = [
            (match, names)
            for match, names in found
            if all("*" in name or name in options for name in names)
        ]
        ends = [*(match.start() for match, _ in labels), len(text)][1:]
        for (match, names), end in zip(labels, ends, strict=False):
            meaning = text[match.end() : end].strip().rstrip(".;").replace("``", "")
            yield from ((name, meaning) for name in names)


def _choices(entry: Schema, definitions: Schema) -> Iterator[Schema]:
    """The schemas that an entry is one of."""
    if "$ref" in entry:
        yield from _choices(definitions[entry["$ref"].rpartition("/")[2]], definitions)
        return
    for key in ("anyOf", "oneOf", "allOf"):
        if key in entry:
            for choice in entry[key]:
                yield from _choices(choice, definitions)
            return
    yield entry


def _type(entry: Schema) -> str:
    if "type" not in entry and "enum" in entry:  # values of several types
        kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
        named = (_TYPES.get(kinds.get(type(value), ""), "any") for value in entry["enum"])
        return " or ".join(dict.fromkeys(named))
    return _TYPES.get(entry.get("type", ""), "any")


def _allowed(entry: Schema, definitions: Schema) -> str:
    """The values of one schema in words; empty where its type says all."""
    if "const" in entry:
        return str(entry["const"])
    if "enum" in entry:
        return " | ".join(map(str, entry["enum"]))
    match entry.get("type"):
        case "boolean":
            return "true | false"
        case "array":
            items = entry.get("prefixItems", [entry.get("items", {})])
            inner = ", ".join(_words(item, definitions) for item in items)
            return f"[{inner}]" if "prefixItems" in entry else f"[{inner}, ...]"
    return " ".join(f"{sign} {_number(entry[key])}" for key, sign in _LIMITS if key in entry)


def _words(entry: Schema, definitions: Schema) -> str:
    """Type and limits of the items of a list."""
    told = [(_type(one), _allowed(one, definitions)) for one in _choices(entry, definitions)]
    return " | ".join(f"{kind} {allowed}".strip() for kind, allowed in told)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
