"""Open a finished search again: its supernet with the trained weights, its data, its truth."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch

from nni_wiring.data import Loaders, load_data
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.checkpoint import finished_epochs, restore_trained
from nni_wiring.search.config import RunConfig, make_config
from nni_wiring.search.run import choose_device, loaders_for, space_for, truth_for
from nni_wiring.search.task import ClassificationTask
from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.search_module import SearchModule
from nni_wiring.truth import TruthTable
from search_spaces.nni_api import pl


class OpenSearch(NamedTuple):
    """A search outside its trainer. dataset: whose truth is shown; truth: None without a table."""

    config: RunConfig
    module: SearchModule
    strategy: WiringStrategy
    loaders: Loaders
    device: torch.device
    dataset: str
    truth: TruthTable | None


def open_search(config: RunConfig) -> OpenSearch:
    """The supernet of a config at its initialisation, as ``run_search`` starts with it."""
    pl.seed_everything(config.seed, verbose=False)
    device = choose_device(config.device)
    data = load_data(config.data, config.data_dir)
    loaders = loaders_for(config, data, device)
    space = space_for(config, loaders.num_classes)
    strategy = config.build_strategy()
    model = strategy.mutate_model(space)
    steps = max(len(loaders.train), len(loaders.search))
    task = ClassificationTask(config, steps)
    module = cast(SearchModule, strategy.configure_oneshot_module(task))
    module.set_model(model)
    module.to(device)
    dataset = config.dataset or data.truth_dataset
    return OpenSearch(config, module, strategy, loaders, device, dataset, truth_for(config))


def reopen(folder: RunFolder) -> OpenSearch:
    """The trained supernet of a run; RunError where it has no whole checkpoint."""
    finished_epochs(folder.checkpoint)  # refuses a bad one before anything is built
    found = open_search(make_config(folder.config))
    restore_trained(found.module, found.module.model, folder.checkpoint, found.config.epochs)
    found.module.to(found.device)
    return found
