"""The command line: one file per command, each imported only when it is called.

Importing torch and NNI takes seconds, so `--help` and a mistyped command must not do it.
A new command is one module with a click command in it and one line in `COMMANDS`.
"""

from __future__ import annotations

import click

from nni_wiring import __version__
from nni_wiring.commands.groups import LazyGroup

# name -> "module:object:short help"
COMMANDS: dict[str, str] = {
    "search": "nni_wiring.commands.search:search:Run one architecture search.",
    "select": "nni_wiring.commands.select:select:Read another cell off a finished run.",
    "train": "nni_wiring.commands.train:train:Train one fixed cell from scratch.",
    "export": "nni_wiring.commands.export:export:Take a cell's network away, without NNI.",
    "study": "nni_wiring.commands.study:study:Repeat a measurement of the papers.",
    "analyze": "nni_wiring.commands.analyze:analyze:Explain finished or running searches.",
    "explain": "nni_wiring.commands.explain:explain:Tell why, edge by edge, and what it cost.",
    "compare": "nni_wiring.commands.compare:compare:Set runs side by side.",
    "benchmark": "nni_wiring.commands.benchmark:benchmark:Query the table of true accuracies.",
    "baseline": "nni_wiring.commands.baseline:baseline:Search the table many times in process.",
    "configs": "nni_wiring.commands.configs:configs:List or copy the experiments for NNI.",
    "register": "nni_wiring.commands.register:register:Make the tuners known to NNI.",
    "strategies": "nni_wiring.commands.strategies:strategies:List the search strategies.",
    "spaces": "nni_wiring.commands.spaces:spaces:List the search spaces.",
    "trials": "nni_wiring.commands.trials:trials:List an NNI experiment's trials, rightly paired.",
    "tensorboard": "nni_wiring.commands.tensorboard:tensorboard:Show runs in TensorBoard.",
    "watch": "nni_wiring.commands.watch:watch:Follow an NNI experiment to its end.",
}

main = click.version_option(__version__, prog_name="nni-wiring")(
    LazyGroup(
        table=COMMANDS,
        help="Watch how differentiable architecture search wires a cell, and judge it by the "
        "true accuracies of NAS-Bench-201.",
    )
)
