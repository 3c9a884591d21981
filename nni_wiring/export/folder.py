"""The exported folder: written beside its place, then put there in one step."""

from __future__ import annotations

import os
from pathlib import Path

from nni_wiring.errors import RunError
from nni_wiring.export.card import model_card
from nni_wiring.export.formats import WRITERS, check_installed
from nni_wiring.export.model_code import example_images, model_code, written_network
from nni_wiring.export.subject import Subject
from nni_wiring.files.atomic import replacing_folder
from nni_wiring.files.messages import shown

_CODE, _CARD, _ONNX = "model.py", "README.md", "model.onnx"
_OURS = {_CODE, _CARD, *WRITERS}


def check_target(target: Path, *, force: bool = False) -> None:
    """Raise RunError unless ``target`` is free, empty or, with ``force``, an earlier export."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise RunError(f"--to {shown(target)}: is a file; allowed: a new or an empty folder")
    if target.resolve() == Path.cwd():
        raise RunError(f"--to {shown(target)}: is the working folder; allowed: one inside it")
    held = {path.name for path in target.iterdir()}
    if held and not force:
        raise RunError(
            f"--to {shown(target)}: is not empty; allowed: a new or an empty folder, or --force to "
            "replace an earlier export"
        )
    foreign = sorted(held - _OURS)
    if foreign:
        raise RunError(
            f"--to {shown(target)}: holds {shown(foreign[0])}, which no export wrote; --force "
            "replaces nothing but an earlier export"
        )


def export_folder(
    subject: Subject, target: Path, *, onnx: bool = False, force: bool = False
) -> list[str]:
    """Write a network's folder; the names of its files.

    Args:
        subject: the network.
        target: a new or an empty folder; what is there stays as it is if anything fails.
        onnx: write model.onnx too.
        force: replace an earlier export.

    Raises:
        WiringError: one line; the place is taken, a package is missing, or the disk is full.
    """
    check_target(target, force=force)
    formats = [name for name in WRITERS if onnx or name != _ONNX]
    check_installed(formats)
    names = [_CODE, *formats]
    code = model_code(subject)
    network = written_network(code, subject)
    with replacing_folder(target.resolve()) as folder:
        (folder / _CODE).write_text(code, encoding="utf-8")
        for name in formats:
            WRITERS[name][0](network, example_images(subject), folder / name)
        (folder / _CARD).write_text(model_card(subject, names), encoding="utf-8")
    return [*names, _CARD]
