"""Small pieces of English: numbers in words, listings, shares; and text that is safe to print."""

from __future__ import annotations

from collections.abc import Iterable

from nni_wiring.truth import Measure

_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MOST_TEXT = 200


def plain(value: object, limit: int = _MOST_TEXT) -> str:
    """`value` as one printable line of at most `limit` characters (run folders may be foreign)."""
    text = value if isinstance(value, str) else str(value)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def word(count: int) -> str:
    """A number up to ten in letters."""
    return _WORDS[count] if count < len(_WORDS) else str(count)


def plural(count: int, one: str, many: str) -> str:
    """`one` for a single thing, else `many`."""
    return one if count == 1 else many


def listing(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    items = list(parts)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def epochs(count: float) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{count:g} {'epoch' if count == 1 else 'epochs'}"


def percent(share: float) -> str:
    """A share (0..1) in percent, with a decimal only where it matters."""
    digits = 0 if share >= 0.1 or share == 0 else 1
    return f"{100 * share:.{digits}f} %"


def regret_unit(measure: Measure) -> str:
    """The unit of a distance in a benchmark's measure."""
    return "% points" if measure.unit == "%" else measure.name


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:,.{digits}f}"
