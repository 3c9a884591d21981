"""Registry: nothing is replaced in silence; an unknown name is answered in one line."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
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
    line = "thing: the name 'one' is taken already by nni-wiring; that of this program must be "
    with pytest.raises(SpaceError, match=f"^{line}another one$"):
        things.register(SimpleNamespace(name="one", other=True))
    assert things.lookup("one") is ONE
    # a module that is imported again registers the same thing again
    assert things.register(ONE) is ONE and len(things) == 2


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SpaceError, match="^thing: 'three' is not known; allowed: two, one$"):
        registry().lookup("three")


def test_a_slip_is_answered_with_the_names_spelt_alike() -> None:
    with pytest.raises(SpaceError, match=r"allowed: two, one \(did you mean two\?\)$"):
        registry().lookup("twoo")


def test_what_has_no_name_is_refused() -> None:
    things = registry()
    for entry in (SimpleNamespace(), SimpleNamespace(name=""), SimpleNamespace(name=3)):
        with pytest.raises(SpaceError, match="^thing: namespace.* has no name$"):
            things.register(entry)
    assert list(things) == ["two", "one"]


# --- those of other packages ---


def package(folder: Path, name: str, code: str, *points: str) -> None:
    """Write an installed package: one module, and its entry points of the group "test.things"."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[test.things]", *points]) + "\n")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def with_plugins(*entries: SimpleNamespace) -> Registry[SimpleNamespace]:
    return Registry("thing", SpaceError, entries or (TWO, ONE), group="test.things")


NEW = "from types import SimpleNamespace as S\n"


def test_plugins_are_loaded_once_and_not_before_the_first_look(installed: Path) -> None:
    code = NEW + "import builtins\nbuiltins.looks += 1\nTHREE, FOUR = S(name='three'), S(name='4')"
    package(installed, "late", code, "three = late:THREE", "four = late:FOUR")
    builtins.looks = 0  # type: ignore[attr-defined]
    things = with_plugins()
    things.register(SimpleNamespace(name="five"))
    assert builtins.looks == 0 and "late" not in sys.modules  # type: ignore[attr-defined]
    assert things.lookup("three").name == "three"
    # ours first, then what this program registered before the first look, then the packages'
    assert list(things) == ["two", "one", "five", "4", "three"] and len(things) == 5
    del sys.modules["late"]
    assert "three" in things and things.get("six") is None
    assert builtins.looks == 1  # type: ignore[attr-defined]
    del builtins.looks  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "look",
    [
        lambda things: "three" in things,
        lambda things: things["three"],
        lambda things: things.get("three"),
        lambda things: "three" in list(things),
        lambda things: "three" in things.keys(),  # noqa: SIM118
        lambda things: any(entry.name == "three" for entry in things.values()),
        lambda things: dict(things.items())["three"],
        lambda things: len(things) == 3,
        lambda things: things.pop("three"),
    ],
)
def test_every_way_of_looking_sees_them(
    installed: Path, look: Callable[[Registry[SimpleNamespace]], object]
) -> None:
    package(installed, "seen", NEW + "THREE = S(name='three')", "three = seen:THREE")
    assert look(with_plugins())


def test_a_broken_plugin_is_one_line_and_stops_no_other(
    installed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package(installed, "bad_a", "import no_such_module", "a = bad_a:THING")
    package(installed, "bad_b", "", "b = bad_b:THING")
    package(installed, "bad_c", "raise RuntimeError('first line\\nsecond')", "c = bad_c:THING")
    package(installed, "bad_d", "raise SystemExit(3)", "d = bad_d:THING")
    package(installed, "good", NEW + "THREE = S(name='three')", "three = good:THREE")
    things = with_plugins()
    assert list(things) == ["two", "one", "three"]
    assert [record.getMessage() for record in caplog.records] == [
        "warning: package bad_a: its thing a (bad_a:THING) is left out: "
        "ModuleNotFoundError: No module named 'no_such_module'",
        "warning: package bad_b: its thing b (bad_b:THING) is left out: "
        "AttributeError: module 'bad_b' has no attribute 'THING'",
        "warning: package bad_c: its thing c (bad_c:THING) is left out: RuntimeError: first line",
        "warning: package bad_d: its thing d (bad_d:THING) is left out: SystemExit: 3",
    ]


def test_a_name_that_is_taken_is_refused_and_both_owners_named(
    installed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package(installed, "one_a", NEW + "ONE = S(name='one')", "one = one_a:ONE")
    package(installed, "three_a", NEW + "THREE = S(name='three', of='a')", "t = three_a:THREE")
    package(installed, "three_b", NEW + "THREE = S(name='three', of='b')", "t = three_b:THREE")
    things = with_plugins()
    assert things.lookup("one") is ONE and things.lookup("three").of == "a"
    assert [record.getMessage().partition("left out: ")[2] for record in caplog.records] == [
        "thing: the name 'one' is taken already by nni-wiring; that of package one_a must be "
        "another one",
        "thing: the name 'three' is taken already by package three_a; that of package three_b "
        "must be another one",
    ]


def test_a_module_registers_what_it_has(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = with_plugins()
    monkeypatch.setattr(builtins, "things", things, raising=False)
    code = NEW + "import builtins\nfor name in 'xy': builtins.things.register(S(name=name))"
    package(installed, "several", code, "several = several")
    assert list(things) == ["two", "one", "x", "y"]


def test_the_check_holds_for_plugins_too(installed: Path, caplog: pytest.LogCaptureFixture) -> None:
    def check(entry: SimpleNamespace) -> None:
        if len(entry.name) > 3:
            raise SpaceError(f"thing {entry.name}: too long")

    package(installed, "long_name", NEW + "T = S(name='three')", "three = long_name:T")
    things = Registry("thing", SpaceError, (ONE,), group="test.things", check=check)
    assert list(things) == ["one"]
    (record,) = caplog.records
    assert record.getMessage().endswith("left out: thing three: too long")
    with pytest.raises(SpaceError, match="^thing four: too long$"):
        things.register(SimpleNamespace(name="four"))
