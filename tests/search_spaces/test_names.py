"""Registry: nothing is replaced in silence; an unknown name is answered in one line."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from search_spaces.errors import SpaceError
from search_spaces.names import Registry

ONE, TWO = SimpleNamespace(name="one"), SimpleNamespace(name="two")


def registry() -> Registry[SimpleNamespace]:
    return Registry("thing", SpaceError, (TWO, ONE))


def test_lists_in_the_order_of_registration() -> None:
    things = registry()
    assert list(things) == ["two", "one"] and list(things.values()) == [TWO, ONE]
    assert things.lookup("one") is ONE


def test_a_taken_name_is_refused_and_its_owner_stays() -> None:
    things = registry()
    with pytest.raises(SpaceError, match="^thing: the name 'one' is taken already$"):
        things.register(SimpleNamespace(name="one", other=True))
    assert things.lookup("one") is ONE
    # a module that is imported again registers the same thing again
    assert things.register(ONE) is ONE and len(things) == 2


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpaceError, match="^thing: 'three' is not known; allowed: two, one$"):
        registry().lookup("three")
