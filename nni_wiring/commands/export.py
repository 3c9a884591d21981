"""`export`: take a cell's network away, to where neither NNI nor this package is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.names import check_names
from nni_wiring.commands.set_option import set_option
from nni_wiring.errors import ConfigError
from nni_wiring.imports import large_imports
from nni_wiring.search.assignments import parse_assignments

if TYPE_CHECKING:
    from nni_wiring.export.subject import Subject


@click.command()
@click.argument("cell", metavar="RUN_ID|ARCH", shell_complete=completion.run)
@click.option(
    "--to",
    "target",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path),
    help="A new or an empty folder.",
)
@click.option(
    "--space", help="Search space of an ARCH; default nasbench201.", shell_complete=completion.space
)
@click.option(
    "--data",
    help="Data that fresh weights are for (classes, size); default digits.",
    shell_complete=completion.data,
)
@click.option("--seed", type=int, help="Seed of fresh weights; default 1.")
@set_option("A setting of a fresh network: channels=8, cells=1, head=bias_free.")
@click.option("--onnx", is_flag=True, help="Write model.onnx too (pip install 'nni-wiring[onnx]').")
@click.option("--force", is_flag=True, help="Replace an earlier export in DIR.")
def export(
    cell: str,
    target: Path,
    assignments: tuple[str, ...],
    onnx: bool,
    force: bool,
    **given: str | int | None,
) -> None:
    """Write a cell's network as a folder that needs neither NNI nor nni-wiring.

    RUN_ID of a training exports its trained weights. RUN_ID of a search, or ARCH, a cell as its
    space spells it, exports fresh weights, and the card says that they are untrained.

    DIR gets model.py (plain PyTorch), model.safetensors, model.pt2 (torch.export) and README.md,
    the model card.
    """
    chosen = {key: value for key, value in given.items() if value is not None}
    check_names(chosen)
    with large_imports():
        from nni_wiring.export.folder import check_target, export_folder
        from nni_wiring.search.process import quiet

    check_target(target, force=force)
    with quiet():
        subject = _subject(cell, chosen, parse_assignments(assignments))
        names = export_folder(subject, target, onnx=onnx, force=force)
    training = subject.training
    state = "untrained" if training is None else f"trained for {training.epochs} epochs"
    click.echo(f"{target}: {', '.join(names)} ({state})")


def _subject(cell: str, chosen: dict[str, Any], settings: dict[str, Any]) -> Subject:
    from nni_wiring.commands.train import cell_options, run_named
    from nni_wiring.export.subject import fresh_subject, trained_subject
    from nni_wiring.train.run import is_training
    from search_spaces.registry import space_entry

    run = run_named(cell, chosen.get("space"))
    if run is not None and is_training(run):
        if chosen or settings:
            raise ConfigError(
                f"run {run.run_id} is exported as it was trained; allowed beside it: --to, --onnx, "
                "--force"
            )
        return trained_subject(run)
    options = cell_options(cell, chosen)
    entry = space_entry(str(options.get("space") or "nasbench201"))
    allowed = sorted({*entry.settings.model_fields, "data_dir"} - {"operations"})
    for name in settings:
        if name not in allowed:
            raise ConfigError(
                f"--set {name}: is no setting of the network of space {entry.name}; allowed: "
                f"{', '.join(allowed)}"
            )
    return fresh_subject({**options, **settings}, None if run is None else run.run_id)
