"""The frame of a study: options, searches and parts in a folder of its own, tables, verdicts.

A study never trains by itself: it starts searches, or trainings of fixed cells, and probes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.json_files import read_object, to_json, write_json
from nni_wiring.runs.store import RunFolder
from nni_wiring.studies.sizes import at_reference, reference_search, smallness, withheld
from nni_wiring.studies.spaces import Spaces
from nni_wiring.studies.statistics import IdentityRule, Rule, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nni_wiring.monitor.statistics import Statistic
    from nni_wiring.records import EpochRecord
    from nni_wiring.search.config import RunConfig

Options = dict[str, Any]
Size = Literal["small", "reference", "paper"]
#: What was measured on one unit (a run, an edge of a run, ...): plain values by name.
Row = dict[str, Any]

#: Studies measure the plain supernet cell, the reference that others are tested against, on one
#: thread: sums are rounded differently under another number, which acts as another seed.
_PLAIN = {"supernet": "plain", "threads": 1}
MAX_SEEDS = 100_000
#: The folder of what a study measured, below its own.
PARTS = "parts"


class Table(NamedTuple):
    """A table of results; None in a row is a missing value."""

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Findings:
    """The results that a study measured.

    Attributes:
        tables: for people.
        verdicts: by the study's rules.
        numbers: the numbers behind its pictures; JSON-ready.
        rows: the measurement of every unit, so that others can test anew; JSON-ready.
    """

    tables: list[Table]
    verdicts: list[Verdict]
    numbers: dict[str, Any] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """An experiment of a paper.

    name, title, source: what and whose. own: the study's own options with their small values.
    small, paper: options of its searches (and changes to its own) at the size of CPU minutes, which
    shows the machinery, and of the paper; reference: changes to the reference size. measure: runs
    it. plot: its pictures by file stem. spaces: those that it takes, by its option ``spaces`` if it
    has one, else by ``space``. sized: its verdicts ask for the reference size; of smaller searches,
    its own or those that it reads, none is given. reference_size: of its searches, or of its
    trainings of one cell, by the name of the data set.
    """

    name: str
    title: str
    source: str
    own: Mapping[str, Any]
    small: Mapping[str, Any]
    paper: Mapping[str, Any]
    measure: Callable[[StudyRun], Findings]
    plot: Callable[[dict[str, Any]], dict[str, Figure]]
    rules: Sequence[Rule | IdentityRule] = ()
    spaces: Spaces = Spaces()
    sized: bool = False
    reference: Mapping[str, Any] = field(default_factory=dict)
    reference_size: Callable[[object], Mapping[str, Any]] = reference_search

    def at(self, size: Size, data: object = None) -> Mapping[str, Any]:
        """The options of a size; the reference size is another on clutter than on other data."""
        if size == "reference":
            return at_reference(self.small, self.reference, self.reference_size(data))
        return self.paper if size == "paper" else self.small

    def options(self, given: Mapping[str, Any], size: Size = "small") -> Options:
        """All options of one run of the study; ConfigError for an unknown or a bad one."""
        if "spaces" in self.own and "space" in given:
            raise ConfigError(f"study {self.name}: space is set by the study; its option is spaces")
        return self.checked({**_PLAIN, **self.at(size, given.get("data")), **given})

    def checked(self, options: Mapping[str, Any]) -> Options:
        """The options of a run that was measured already, with nothing of any size put in."""
        from nni_wiring.search.config import make_config

        options = {**self.own, **options}
        for key, default in self.own.items():
            if type(options[key]) is not type(default):
                raise ConfigError(
                    f"study {self.name}: {key}={options[key]!r:.60} must be of the form {default!r}"
                )
        if "seeds" in self.own and options["seeds"] > MAX_SEEDS:
            raise ConfigError(
                f"study {self.name}: seeds={options['seeds']}; allowed: up to {MAX_SEEDS:,}"
            )
        make_config(self._of_search(options))
        self.spaces.check(self.name, options)
        return options

    def meaning(self, options: Mapping[str, Any]) -> tuple[Options, RunConfig]:
        """The study's own options and those of its searches, what is missing filled in: equal for
        options that mean the same, also where one of them was kept by an older version.
        """
        from nni_wiring.search.config import make_config

        own = {name: options.get(name, default) for name, default in self.own.items()}
        return json.loads(to_json(own)), make_config(self._of_search(options))

    def _of_search(self, options: Mapping[str, Any]) -> Options:
        return {key: value for key, value in options.items() if key not in self.own}


class StudyRun:
    """One run of a study in its folder: finished searches and parts are not done again."""

    def __init__(
        self,
        study: Study,
        path: Path,
        options: Options,
        say: Callable[[str], None],
        on_epoch: Callable[[str], None] = lambda text: None,
        parts: Mapping[str, Any] | None = None,
    ) -> None:
        self.study, self.path, self.options, self.say = study, path, options, say
        self._on_epoch, self._parts = on_epoch, parts
        self._read: list[Mapping[str, Any]] = []

    def epochs_of(self, label: str, epochs: int) -> Callable[[EpochRecord], None]:
        """Tells the end of every epoch of the search or training ``label``."""
        return lambda record: self._on_epoch(f"{label}: epoch {record.epoch + 1} of {epochs}")

    def __getitem__(self, key: str) -> Any:
        return self.options[key]

    @property
    def seeds(self) -> list[int]:
        """1, 2, ...: as many as the option ``seeds`` says; none for a study without it."""
        return list(range(1, self.options.get("seeds", 0) + 1))

    def config(self, **changes: Any) -> RunConfig:
        """The configuration of one of the study's searches."""
        from nni_wiring.search.config import make_config

        return make_config({**self.study._of_search(self.options), **changes})

    def search(self, label: str, statistics: Sequence[Statistic] = (), **changes: Any) -> RunFolder:
        """Run the search ``label``, go on with it, or take it as it is if it is finished."""
        from nni_wiring.search.config import make_config
        from nni_wiring.search.run import run_search

        self.trains(label)
        config = self.config(**changes)
        path = self.path / "runs" / label
        resume = (path / "run.json").exists()
        folder = RunFolder.open(path) if resume else RunFolder.create(path, label, config.flat())
        if make_config(folder.config) != config:
            raise RunError(f"{label} in {self.path.name} was started with other options")
        if folder.status != "finished":
            self.say(f"search {label}")
            tell = self.epochs_of(f"search {label}", config.theta.epochs)
            run_search(config, folder, resume=resume, on_epoch=tell, statistics=statistics)
        return folder

    def trains(self, label: str) -> None:
        """Refuse a search or training of a kept study, which has none; RunError."""
        if self._parts is not None:
            raise RunError(f"the kept study {self.study.name} would have to train {label}")

    def reads(self, configs: Iterable[Mapping[str, Any]]) -> None:
        """Take note of the flat options of searches that are read instead of run."""
        self._read += configs

    def judged(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        """The verdicts, or none of them where the study is sized and a search is small."""
        if not self.study.sized:
            return list(verdicts)
        configs = self._read or [self.config().flat()]
        return withheld(verdicts, next(filter(None, map(smallness, configs)), None))

    def part(
        self, label: str, measure: Callable[[], Any], of: Callable[[], str] | None = None
    ) -> Any:
        """The JSON value that ``measure`` gives, kept in ``parts/`` of the study's folder; that of
        a kept study, which measures nothing.

        of: names what is measured beside the options, a table's content: where it is another now,
        the part is measured again.
        """
        if self._parts is not None:
            if label not in self._parts:
                raise RunError(f"the kept study {self.study.name} has no part {label}")
            return deepcopy(self._parts[label])
        path = self.path / PARTS / f"{label}.json"
        kept, mark = read_object(path), of() if of else None
        if kept is None or kept.get("of") != mark:
            self.say(f"measure {label}")
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = {"value": measure(), **({"of": mark} if mark else {})}
            write_json(path, kept)
            kept = read_object(path)
            assert kept is not None
        return kept["value"]
