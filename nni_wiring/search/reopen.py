"""Open a finished search again: its supernet with the trained weights, its data, its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from nni_wiring.runs.store import RunFolder
from nni_wiring.search.assemble import Assembly, assemble
from nni_wiring.search.checkpoint import restore_trained, search_epochs
from nni_wiring.search.config import RunConfig, make_config
from nni_wiring.search.kept import read_kept
from nni_wiring.strategies.engine.search_module import SearchModule

#: Changes for `reopen`: cells whose operations are written out have second derivatives and look up
#: their edges in every pass, the fused ones do not.
WRITTEN_OUT: Mapping[str, Any] = {"supernet": "plain", "compile": False, "cuda_graphs": False}


@dataclass(frozen=True)
class OpenSearch(Assembly):
    """A search outside its trainer. module: around the supernet, on the device."""

    module: SearchModule


def open_search(config: RunConfig) -> OpenSearch:
    """The supernet of a config at its initialisation, as ``run_search`` starts with it."""
    parts = assemble(config)
    model = parts.strategy.mutate_model(parts.space)
    module = cast(SearchModule, parts.strategy.configure_oneshot_module(parts.task))
    module.set_model(model)
    module.to(parts.device)
    return OpenSearch(**vars(parts), module=module)


def reopen(folder: RunFolder, changes: Mapping[str, Any] | None = None) -> OpenSearch:
    """The trained supernet of a run, for a use of its own.

    Args:
        folder: of the run.
        changes: options that this use needs otherwise than the search had them; they must leave
            the weights and alphas as they are (augmentation, the form of the cells, ...).

    Raises:
        RunError: it has no whole checkpoint of its own.
    """
    kept = read_kept(folder.checkpoint, search_epochs)
    kept.check(folder, make_config(folder.config).flat())  # refuses a bad one, nothing is built
    found = open_search(make_config({**folder.config, **(changes or {})}))
    restore_trained(found.module, found.module.model, folder.checkpoint, found.config.theta.epochs)
    found.module.to(found.device)
    return found
