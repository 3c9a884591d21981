"""Registry: things of one kind by name (search spaces, strategies, selections, data sets), this
project's and those that other installed packages announce as entry points.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Protocol, TypeVar

log = logging.getLogger(__name__)


class Named(Protocol):
    """An entry of a registry: an object, or a class, that has a name."""

    @property
    def name(self) -> str:
        """The name that a user writes."""


Entry = TypeVar("Entry", bound=Named)


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The question " (did you mean ...?)" with known names spelt alike; empty where none is."""
    alike = get_close_matches(str(name)[:100], known, n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(alike)}?)" if alike else ""


def not_known(what: str, name: object, known: Iterable[str]) -> str:
    """The refusal of a name, in one line: what is named, all that is allowed, what is spelt alike.

    what: the kind of thing, as a user calls it ("strategy").
    """
    allowed = list(known)
    return (
        f"{what}: {str(name)[:100]!r} is not known; allowed: {', '.join(allowed)}"
        f"{did_you_mean(name, allowed)}"
    )


class Registry(MutableMapping[str, Entry]):
    """Entries by their ``name``: this project's in the order of registration, then those of other
    packages, which are loaded once, at the first look-up or listing.

    A package's entry point loads to an entry, or to a module that registers what it has when it is
    imported. One that cannot be loaded, or whose entry is refused, costs a warning of one line; all
    others are there.
    """

    def __init__(
        self,
        what: str,
        error: type[Exception],
        entries: Iterable[Entry] = (),
        group: str | None = None,
        check: Callable[[Entry], None] = lambda entry: None,
    ) -> None:
        """Hold ``entries``.

        Args:
            what: the kind of entry, as messages call it ("strategy").
            error: the exception that messages come in.
            entries: this project's own.
            group: the entry points' group ("nni_wiring.strategies"); None for no plug-ins.
            check: raises ``error`` for an entry that must not be registered.
        """
        self._what, self._error, self._check = what, error, check
        self._entries: dict[str, Entry] = {}
        self._origins: dict[str, str] = {}
        self._group, self._loaded = group, group is None
        self._lock = threading.RLock()
        self._origin: str | None = "nni-wiring"
        for entry in entries:
            self.register(entry)
        self._origin = None

    def register(self, entry: Entry) -> Entry:
        """Add an entry under its ``name``; usable as a decorator.

        Raises:
            Exception: the registry's error, for an entry without a name, for a name that another
                entry has taken, and for what the registry's check refuses.
        """
        name = getattr(entry, "name", None)
        if not isinstance(name, str) or not name:
            raise self._error(f"{self._what}: {entry!r:.60} has no name")
        owner = self._entries.get(name)
        if owner is entry:
            return entry
        origin = self._origin or str(getattr(entry, "__module__", "this program"))
        if owner is not None:
            raise self._error(
                f"{self._what}: the name {name!r} is taken already by {self._origins[name]}; "
                f"that of {origin} must be another one"
            )
        self._check(entry)
        self._entries[name], self._origins[name] = entry, origin
        return entry

    def lookup(self, name: str) -> Entry:
        """The entry of that name; raises the registry's error, naming the known ones."""
        if name not in self:
            raise self._error(not_known(self._what, name, self))
        return self[name]

    def _load(self) -> dict[str, Entry]:
        """All entries, those of other packages among them."""
        with self._lock:
            if not self._loaded:
                self._loaded = True  # first: what is loaded may look something up
                points = entry_points(group=str(self._group))
                for point in sorted(points, key=lambda point: (_package(point), point.name)):
                    self._load_one(point)
        return self._entries

    def _load_one(self, point: EntryPoint) -> None:
        self._origin = f"package {_package(point)}"
        try:
            found = point.load()
            if not isinstance(found, ModuleType):
                self.register(found)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an import may raise
            line = next(iter(str(error).splitlines()), "")
            reason = line if isinstance(error, self._error) else f"{type(error).__name__}: {line}"
            log.warning(
                "warning: %s: its %s %s (%s) is left out: %.400s",
                self._origin,
                self._what,
                point.name,
                point.value,
                reason,
            )
        finally:
            self._origin = None

    # --- a mapping to whoever lists the entries ---

    def __getitem__(self, name: str) -> Entry:
        return self._load()[name]

    def __setitem__(self, name: str, entry: Entry) -> None:
        self._load()[name] = entry
        self._origins.setdefault(name, "this program")

    def __delitem__(self, name: str) -> None:
        del self._load()[name]
        self._origins.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


def _package(point: EntryPoint) -> str:
    """The name of the package that announces an entry point."""
    return point.dist.name if point.dist is not None else point.value.partition(":")[0]
