"""`baseline`: multi-trial search over the truth table, repeated, with a simulated clock."""

from __future__ import annotations

from pathlib import Path

import click

from nni_wiring.commands import completion
from nni_wiring.commands.output import json_option, print_json, print_table
from nni_wiring.truth import load_table
from nni_wiring.tuners.simulate import METHODS, Baseline, make_task, parse_budget, run_baseline


@click.command()
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(list(METHODS)),
    metavar="METHOD",
    help=f"One of {', '.join(METHODS)}; can be given several times.  [default: random, evolution]",
)
@click.option(
    "--budget",
    default="12000s",
    show_default=True,
    help="Of one search: simulated training seconds (12000s) or evaluations (500).",
)
@click.option("--repeats", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--dataset", help="Default: the benchmark's first.", shell_complete=completion.dataset
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option(
    "--signal-epochs",
    type=click.IntRange(1),
    help="Training whose validation accuracy the search sees; default: the shortest that the "
    "table has (NAS-Bench-201: 12, else 200).",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="RUN_ID",
    help="Put a one-shot run in the picture.",
    shell_complete=completion.run,
)
@click.option(
    "--benchmark",
    "name",
    metavar="NAME",
    help="Truth table; default as for benchmark.",
    shell_complete=completion.table,
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the PNG and TensorBoard.")
@json_option
def baseline(
    methods: tuple[str, ...],
    budget: str,
    repeats: int,
    dataset: str | None,
    seed: int,
    signal_epochs: int | None,
    runs: tuple[str, ...],
    name: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Search the truth table many times in process and show the regret curves.

    The searches are those of the NNI tuners. They see the validation accuracy of the short
    tabulated training and pay its seconds; the cell that a search returns is judged after full
    training, by test accuracy where the table has it.
    """
    from nni_wiring.report.baselines import plot, run_points, write_tensorboard
    from nni_wiring.runs.store import runs_root

    limit = parse_budget(budget)
    table = load_table(name)
    dataset = dataset or table.benchmark.dataset_names[0]
    task = make_task(table, dataset, signal_epochs)
    points = [p for run in runs for p in run_points(run, dataset, task.split)]
    chosen = methods or ("random", "evolution")
    baselines = [run_baseline(method, task, limit, repeats, seed) for method in chosen]
    folder = out or runs_root() / "baselines" / f"{dataset}-{budget}-seed{seed}"
    plot(baselines, points, folder / "regret.png")
    write_tensorboard(baselines, points, folder / "tensorboard")
    if as_json:
        print_json(
            {
                "table": task.table,
                "dataset": dataset,
                "split": task.split,
                "signal_epochs": task.signal_epochs,
                "budget": limit._asdict(),
                "optimum": round(task.best, 4),
                "methods": [_row(one) for one in baselines],
                "runs": [point._asdict() for point in points],
                "picture": str(folder / "regret.png"),
                "tensorboard": str(folder / "tensorboard"),
            }
        )
        return
    _show(baselines)
    for point in points:
        click.echo(f"run {point.label}: regret {point.regret:.4f} after {point.seconds:.0f} s")
    click.echo(f"picture: {folder / 'regret.png'}\ntensorboard: {folder / 'tensorboard'}")


def _row(one: Baseline) -> dict[str, object]:
    from nni_wiring.report.baselines import curve_rows

    return {**one.summary(), "curve": curve_rows(one)}


def _show(baselines: list[Baseline]) -> None:
    from nni_wiring.report.baselines import curve_rows

    task, budget = baselines[0].task, baselines[0].budget
    rows: list[list[object]] = []
    for one in baselines:
        row = one.summary()
        score, regret = f"{row['mean']:.2f} +- {row['std']:.2f}", row["regret"]
        quartiles = f"{regret['median']:.2f} ({regret['lower']:.2f}..{regret['upper']:.2f})"
        rows.append([one.method, row["repeats"], row["evaluations"], score, quartiles])
    columns = ["method", "repeats", "evaluations", f"{task.split} accuracy %", "regret (quartiles)"]
    title = (
        f"{task.dataset}, {budget.amount:g} {budget.unit}, table {task.table}, "
        f"searches see {task.signal_epochs}-epoch validation accuracy"
    )
    print_table(title, columns, rows)
    curves = [curve_rows(one) for one in baselines]
    steps: list[list[object]] = [
        [at[0]["at"], *(row["median"] for row in at)] for at in zip(*curves, strict=True)
    ]
    print_table("median regret", [budget.unit, *(one.method for one in baselines)], steps)
