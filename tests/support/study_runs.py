"""A study's run that says nothing, for tests of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nni_wiring.studies.frame import Study, StudyRun


def silent_run(study: Study, path: Path, **options: Any) -> StudyRun:
    """A run in a folder, its small options with these changed."""
    return StudyRun(study, path, study.options(options), lambda text: None)
