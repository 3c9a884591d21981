"""Trainings of fixed cells as parts of a study, and the pairs of cells that S3's studies train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nni_wiring.errors import ConfigError, RunError
from nni_wiring.runs.store import RunFolder
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.sizes import reference_training, smallness, withheld
from nni_wiring.studies.statistics import Verdict
from nni_wiring.train.config import TrainConfig, make_train_config, train_options
from nni_wiring.train.run import run_train
from search_spaces.cell_graph import NB201, OPERATIONS, format_arch

_FIRST, _WIDE, _DEEP = (NB201.edge_index(name) for name in ("0-1", "0-2", "1-2"))

#: Operations of the wide cells, edges in NAS-Bench-201's order. Drawn once (seed 20260), two a
#: stratum {0-1 a convolution or not} x {the moved operation a convolution or not}, among pairs
#: whose better cell is in the better half; a stratum's second pair comes after all first ones, and
#: the last stratum's, both placebos, at the end.
_WIDE_CELLS = (
    (3, 3, 0, 3, 3, 4),
    (4, 2, 0, 3, 3, 1),
    (2, 4, 0, 1, 1, 2),
    (2, 2, 0, 1, 2, 1),
    (4, 2, 0, 0, 3, 1),
    (3, 1, 0, 2, 2, 4),
    (1, 4, 0, 1, 3, 2),
    (1, 4, 0, 3, 2, 1),
)


class CellPair(NamedTuple):
    """A cell of width 2c and depth 2, and the one with the operation of 0-2 on 1-2 instead: 1c, 3.

    Attributes:
        wide, deep: as NAS-Bench-201 spells cells.
        placebo: a skip on 0-1 makes both the same function.
    """

    wide: str
    deep: str
    placebo: bool


def _pair(operations: tuple[int, ...]) -> CellPair:
    deep = list(operations)
    deep[_WIDE], deep[_DEEP] = deep[_DEEP], deep[_WIDE]
    skip = OPERATIONS.index("skip_connect")
    return CellPair(format_arch(operations), format_arch(deep), operations[_FIRST] == skip)


PAIRS = tuple(_pair(operations) for operations in _WIDE_CELLS)


def check_pairs(run: StudyRun) -> None:
    """Refuse an option ``pairs`` that is no number of `PAIRS`; ConfigError."""
    if not 1 <= run["pairs"] <= len(PAIRS):
        raise ConfigError(f"pairs={run['pairs']}; allowed: 1 to {len(PAIRS)}")


def training_config(run: StudyRun, **changes: Any) -> TrainConfig:
    """The configuration of one of the study's trainings: its options as far as a training has them.

    Raises:
        ConfigError: an option that trainings lack has been set.
    """
    known = train_options(run.options.get("space", "nasbench201"))
    given = {key: value for key, value in run.options.items() if key not in run.study.own}
    foreign = sorted(given.keys() - set(known) - {"supernet"})
    if foreign:
        raise ConfigError(f"study {run.study.name}: {foreign[0]} is no option of a training")
    given.pop("supernet", None)  # of every study's options, for those that search
    return make_train_config({"eval_epochs": (), **given, **changes})


def unless_small(
    run: StudyRun, verdicts: Sequence[Verdict], arch: str = PAIRS[0].wide
) -> list[Verdict]:
    """The verdicts as they are, or as no verdicts where the trainings are small.

    arch: any cell of the study's space.
    """
    config = training_config(run, arch=arch, protocol=run["protocol"]).flat()
    return withheld(verdicts, smallness(config, reference_training))


def trained(run: StudyRun, label: str, config: TrainConfig) -> RunFolder:
    """Run the training ``label``, go on with it, or take it as it is if it is finished.

    Raises:
        RunError: the study's folder holds a training of other options under this label.
    """
    run.trains(label)
    path = run.path / "runs" / label
    resume = (path / "run.json").exists()
    folder = RunFolder.open(path) if resume else RunFolder.create(path, label, config.flat())
    if make_train_config(folder.config) != config:
        raise RunError(f"{label} in {run.path.name} was started with other options")
    if folder.status != "finished":
        run.say(f"train {label}")
        tell = run.epochs_of(f"train {label}", config.theta.epochs)
        run_train(config, folder, resume=resume, on_epoch=tell)
    return folder
