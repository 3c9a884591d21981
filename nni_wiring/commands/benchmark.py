"""`benchmark`: ask the tables of truth."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nni_wiring.commands import completion
from nni_wiring.commands.benchmark_build import build, info_command, merge_command
from nni_wiring.commands.benchmark_pack import pack_command
from nni_wiring.commands.groups import HintingGroup
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.commands.progress import progress
from nni_wiring.errors import BenchmarkError
from nni_wiring.files.messages import printable, shown
from nni_wiring.files.regular import regular_file
from nni_wiring.truth import (
    BENCHMARKS,
    Benchmark,
    TruthTable,
    default_name,
    load_table,
    set_default,
    stats,
    table_names,
)
from search_spaces.names import not_known

_table_option = click.option(
    "--benchmark",
    "name",
    metavar="NAME",
    shell_complete=completion.table,
    help="Truth table, or a benchmark for its default table; default: $NNI_WIRING_BENCHMARK, "
    "else the chosen default, else bundled.",
)
_epochs_option = click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Length of the tabulated training; default: the longest.",
)


_FIGURES = ("accuracy", "rank", "percentile", "regret")


@click.group(cls=HintingGroup)
def benchmark() -> None:
    """Query what every cell of a benchmark really reaches."""


for _command in (build, info_command, merge_command, pack_command):
    benchmark.add_command(_command)


@benchmark.command()
@click.argument("arch")
@_table_option
@_epochs_option
@click.option("--seed", type=click.IntRange(1), help="One training instead of the mean over seeds.")
@click.option("--epoch", type=click.IntRange(0), help="After this epoch of the curve, from 0.")
@json_option
def query(
    arch: str,
    name: str | None,
    epochs: int | None,
    seed: int | None,
    epoch: int | None,
    as_json: bool,
) -> None:
    """Show one cell: ARCH is its text as the benchmark spells it, or its index (from 0).

    Values are means over seeds; a metric that the table lacks is shown as missing. Of NAS-Bench-201
    "cifar10 valid" is the training on 25,000 images, "cifar10 test" the training on all 50,000.
    """
    table = load_table(name)
    answer = table.query_one(arch, epochs, seed, epoch)
    if as_json:
        print_json(answer)
    else:
        _show_cell(table, answer, epochs)


def _show_cell(table: TruthTable, answer: dict[str, Any], epochs: int | None) -> None:
    benchmark = table.benchmark
    click.echo(f"{answer['arch']}\nindex {answer['index']}, {benchmark.title}, table {table.name}")
    click.echo(", ".join(f"{key} {value}" for key, value in answer["topology"].items()))
    rows: list[list[object]] = [
        [dataset, split, *(answer[key][dataset][split] for key in _FIGURES)]
        for dataset, split in benchmark.columns
    ]
    columns = ["data set", "split", _metric_of(table), "rank", "percentile", "regret"]
    title = "after the whole training" if epochs is None else f"after {epochs} epochs"
    print_table(title, columns, rows)
    listed = ", ".join(f"{key} {value:,}" for key, value in answer["parameters"].items())
    if listed:
        click.echo(f"parameters: {listed}")


def _metric_of(table: TruthTable) -> str:
    """The column's head: the metric that all data sets share, else "value"."""
    labels = {dataset.measure.label for dataset in table.benchmark.datasets}
    return labels.pop() if len(labels) == 1 else "value"


@benchmark.command()
@click.option(
    "--dataset", help="Default: the benchmark's first.", shell_complete=completion.dataset
)
@click.option(
    "--split",
    default="valid",
    show_default=True,
    help="valid or test.",
    shell_complete=completion.split,
)
@click.option("-k", "--count", type=click.IntRange(1), default=10, show_default=True)
@_table_option
@_epochs_option
@json_option
def top(
    dataset: str | None,
    split: str,
    count: int,
    name: str | None,
    epochs: int | None,
    as_json: bool,
) -> None:
    """List the best cells, best first."""
    table = load_table(name)
    dataset = dataset or table.benchmark.dataset_names[0]
    _check_known(table.benchmark, dataset, split)
    entries = [asdict(entry) for entry in table.top(count, dataset, split, epochs)]
    if as_json:
        print_json(entries)
        return
    rows = [list(entry.values()) for entry in entries]
    length = table.key(dataset, split, epochs).epochs
    title = f"{dataset} {split} after {length} epochs, table {table.name}"
    label = table.benchmark.measure(dataset).label
    print_table(title, ["rank", "index", "arch", label], rows)


def _check_known(own: Benchmark, dataset: str, split: str) -> None:
    """Refuse, as wrong usage, names that no benchmark has."""
    known = (own, *BENCHMARKS.values())
    if not any(dataset in one.dataset_names for one in known):
        raise click.BadParameter(not_known(f"data set of {own.title}", dataset, own.dataset_names))
    if not any(split in one.splits for one in known):
        raise click.BadParameter(not_known(f"split of {own.title}", split, own.splits))


@benchmark.command("stats")
@_table_option
@json_option
def stats_command(name: str | None, as_json: bool) -> None:
    """Count the cells by topology and class, and name the best ones."""
    table = load_table(name)
    counts = stats(table)
    if as_json:
        print_json(counts)
        return
    best = counts.pop("best")
    for key, value in counts.items():
        text = value if isinstance(value, int) else ", ".join(f"{k}: {n}" for k, n in value.items())
        click.echo(f"{key.replace('_', ' ')}: {text}")
    columns = ["accuracy", "index", "arch"]
    rows: list[list[object]] = [
        [dataset, split, *((best[dataset][split] or {}).get(key) for key in columns)]
        for dataset, split in table.benchmark.columns
    ]
    print_table(f"best cells, table {table.name}", ["data set", "split", *columns], rows)


@benchmark.command()
@json_option
def sources(as_json: bool) -> None:
    """List the tables that can be used, with what each holds."""
    described = [_describe(name) for name in table_names()]
    if as_json:
        print_json(described)
        return
    rows: list[list[object]] = [
        [
            row["name"] + (" (default)" if row["default"] else ""),
            row.get("benchmark"),
            row.get("kind"),
            row.get("version"),
            row.get("cells"),
            ", ".join(row.get("metrics", [])) or row.get("error"),
        ]
        for row in described
    ]
    print_table("truth tables", ["name", "benchmark", "kind", "version", "cells", "metrics"], rows)


def _describe(name: str) -> dict[str, Any]:
    try:
        table = load_table(name)
    except BenchmarkError as error:
        return {"name": name, "default": False, "error": str(error)}
    benchmark = table.benchmark.name
    row: dict[str, Any] = {"name": name, "default": name == default_name(table.benchmark.family)}
    row["benchmark"] = benchmark
    known = ("kind", "version", "cells", "sha256")
    row |= {key: table.info[key] for key in known if key in table.info}
    row["metrics"] = [str(key) for key in table.metrics]
    return row


@benchmark.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="Name of the table; default: from the name of the source.")
@click.option(
    "--version",
    help="Columns of the merged table (v11 or nats; default v11), or a label for other sources.",
)
@click.option(
    "--columns",
    "columns_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file that says what the columns of another delimited table mean.",
)
@click.option("--partial", is_flag=True, help="Accept a source that lacks cells.")
@click.option("--no-default", is_flag=True, help="Do not make it its benchmark's default.")
@json_option
def import_command(
    path: Path,
    name: str | None,
    version: str | None,
    columns_file: Path | None,
    partial: bool,
    no_default: bool,
    as_json: bool,
) -> None:
    """Turn a source into one small, fast table; afterwards the source is not needed.

    PATH is the .pth of nas-bench-201, a NATS-Bench tss folder or .pickle.pbz2 file, or a .csv,
    .csv.gz or .parquet table, which may name another benchmark: the line `# benchmark: NAME` before
    a CSV's header, or Parquet metadata. The kind is found by content. The new table becomes its
    benchmark's default. Nothing is written if anything in the source is wrong.
    """
    from nni_wiring.truth.importer import import_table

    columns = None if columns_file is None else _read_columns(columns_file)
    with progress(f"reading {path.name}", early=False) as tell:
        report = import_table(
            path,
            name or _name_of(path),
            version=version,
            columns=columns,
            partial=partial,
            make_default=not no_default,
            progress=lambda done, total: tell(done, total, "bytes"),
        )
    if as_json:
        print_json(asdict(report))
        return
    click.echo(f"table {report.name}: {report.kind}, {report.version}, sha256 {report.sha256}")
    whole = BENCHMARKS.lookup(report.benchmark)
    cells = f"{report.cells:,} of {whole.cells:,} cells of {whole.title}"
    click.echo(f"{cells}, {report.curves:,} per-epoch curves")
    click.echo(f"metrics: {', '.join(report.metrics)}")
    click.echo(f"written to {report.path}")
    if report.default:
        back = f" (`benchmark use {whole.bundled}` goes back)" if whole.bundled else ""
        click.echo(f"it is the default table of {whole.title} now{back}")


def _name_of(path: Path) -> str:
    """A table name from a file name: its stem, reduced to the characters that names may have."""
    stem = path.name.split(".")[0] if path.is_file() else path.name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:64] or "table"


_LONGEST_MAP = 1 << 18  # bytes of a column map


def _read_columns(path: Path) -> dict[str, str | list[str]]:
    import yaml

    try:
        with regular_file(path) as file:
            columns = yaml.safe_load(file.read(_LONGEST_MAP).decode())
    except RecursionError:
        raise BenchmarkError(f"{shown(path)}: not a YAML column map (nested too deeply)") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        line = printable(" ".join(str(error).split()), 300)
        raise BenchmarkError(f"{shown(path)}: not a YAML column map ({line})") from error
    if not isinstance(columns, dict):
        raise BenchmarkError(
            f"{shown(path)}: not a YAML column map (expected 'metric: column' lines)"
        )
    return columns


@benchmark.command()
@click.argument("name", shell_complete=completion.table)
def use(name: str) -> None:
    """Make table NAME the default of its benchmark."""
    set_default(name)
    click.echo(f"default table: {name}")


_SHOWN_DIFFERENCES = 20


@benchmark.command("verify")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cells", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@json_option
def verify_command(path: Path, cells: int, seed: int, as_json: bool) -> None:
    """Compare our import of an official file with the answers of the official package.

    PATH is the .pth of nas-bench-201. For the sampled cells every seed and the mean are asked for
    after several epochs, with seconds and sizes. The package gets a dictionary that our restricted
    reader has read, never the file. Exit code 1 if anything differs; a stored size that is not the
    computed one (known of 204 cells) is listed, but is no difference.
    """
    from nni_wiring.truth.api.verify import verify

    with progress(f"reading {path.name}", early=False) as tell:
        report = verify(path, cells, seed, lambda done, total: tell(done, total, "bytes"))
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(f"{len(report.cells)} cells, {report.compared:,} figures compared")
        for line in (report.differences + report.sizes)[:_SHOWN_DIFFERENCES]:
            click.echo(printable(line))
        click.echo(f"{len(report.differences)} differ from the official answers")
        if report.sizes:
            click.echo(f"{len(report.sizes)} stored sizes are not the computed ones")
    if report.differences:
        raise SystemExit(1)
