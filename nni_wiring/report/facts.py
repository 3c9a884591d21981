"""Facts that a run's folder states about the run itself, as printable text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nni_wiring.report.words import plain
from nni_wiring.runs.store import RunFolder


@dataclass(frozen=True)
class RunFacts:
    """The identity of a run; all text is printable.

    Attributes:
        run_id, strategy, space, data, seed, status, error: of the run.
        planned: number of epochs asked for, None if unknown.
        config, versions: settings and package versions.
        created: ISO time, None if unknown.
        folder, report: where the run lies, and where its report goes by default.
        tensorboard: where its event files are, None if there are none.
    """

    run_id: str
    strategy: str
    space: str
    data: str
    seed: int | None
    status: str
    error: str | None
    planned: int | None
    config: dict[str, str]
    versions: dict[str, str]
    created: str | None
    folder: Path
    report: Path
    tensorboard: Path | None

    @property
    def trained(self) -> bool:
        """True where the run trained a cell that it was given; it chose none."""
        return "arch" in self.config


def run_facts(run: RunFolder) -> RunFacts:
    """The facts of a run."""
    config, info = run.config, run.info
    seed, planned = config.get("seed"), config.get("epochs")
    return RunFacts(
        run_id=plain(run.run_id),
        strategy=plain(config.get("strategy", info.get("kind", "unknown")), 60),
        space=plain(config.get("space", "unknown"), 60),
        data=plain(config.get("data", "unknown")),
        seed=seed if isinstance(seed, int) else None,
        status=run.status,
        error=plain(info["error"], 500) if info.get("error") else None,
        planned=planned if isinstance(planned, int) else None,
        config={plain(key, 60): plain(value) for key, value in sorted(config.items())},
        versions={plain(k, 60): plain(v, 60) for k, v in info.get("versions", {}).items()},
        created=plain(info["created"], 40) if info.get("created") else None,
        folder=run.path,
        report=run.report,
        tensorboard=run.tensorboard if run.tensorboard.is_dir() else None,
    )
