"""Registry: things of one kind by name (search spaces, strategies, selections, data sets)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Named(Protocol):
    """What a registry holds: objects, or classes, that have a name."""

    @property
    def name(self) -> str:
        """What a user writes."""


Entry = TypeVar("Entry", bound=Named)


class Registry(dict[str, Entry]):
    """Entries by their ``name``, in the order of registration; a dict to whoever lists them.

    what: the kind of entry, as messages call it ("strategy"). error: the exception they come in.
    """

    def __init__(self, what: str, error: type[Exception], entries: Iterable[Entry] = ()) -> None:
        super().__init__()
        self._what, self._error = what, error
        for entry in entries:
            self.register(entry)

    def register(self, entry: Entry) -> Entry:
        """Add an entry under its ``name``; usable as a decorator. Raises the registry's error for
        a name that another entry has taken.
        """
        if self.setdefault(entry.name, entry) is not entry:
            raise self._error(f"{self._what}: the name {entry.name!r} is taken already")
        return entry

    def lookup(self, name: str) -> Entry:
        """The entry of that name; raises the registry's error, naming the known ones."""
        if name not in self:
            raise self._error(f"{self._what}: {name!r} is not known; allowed: {', '.join(self)}")
        return self[name]
