"""The experiments for NNI that come with the package: YAML files, with or without the clone."""

from __future__ import annotations

import re
from pathlib import Path

import nni_wiring
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.atomic import replace_file
from nni_wiring.files.messages import brief, shown
from search_spaces.names import did_you_mean

_PACKAGE = Path(nni_wiring.__file__).resolve().parent
_CODE = re.compile(r"^(trialCodeDirectory: )\.\.$", re.MULTILINE)


def configs_folder() -> Path:
    """The folder of the files: in an installed package its own, in a clone ``tuner_configs``."""
    own = _PACKAGE / "tuner_configs"
    return own if own.is_dir() else _PACKAGE.parent / "tuner_configs"


def config_summaries() -> dict[str, str]:
    """Every file's name, without its suffix, and its first line, which says what it is."""
    files = sorted(configs_folder().glob("*.yml"))
    return {path.stem: path.read_text().split("\n", 1)[0].strip("# :") for path in files}


def write_config(name: str, folder: Path) -> Path:
    """Copy a file to a folder of the user's, in which its trials then run.

    Args:
        name: as in `config_summaries`.
        folder: where to; it exists.

    Returns:
        The new file, ``folder/NAME.yml``.

    Raises:
        ConfigError: no such file.
        RunError: the new file is there already, or the folder is not.
    """
    known = config_summaries()
    if name not in known:
        allowed = ", ".join(known)
        hint = did_you_mean(name, known)
        raise ConfigError(f"unknown config {brief(name)}, allowed: {allowed}{hint}")
    path = folder / f"{name}.yml"
    if path.exists() or not folder.is_dir():
        trouble = "exists already" if path.exists() else "cannot be written: no such folder"
        raise RunError(f"{shown(path)} {trouble}")
    text = (configs_folder() / f"{name}.yml").read_text()
    # in the repository a trial runs in its root, one folder above the file
    text = _CODE.sub(r"\1.", text).replace("tuner_configs/", "")
    replace_file(path, text.replace("python cli.py", "nni-wiring").encode())
    return path
