"""Tiny searches for the conformance suite (``testing.py``): NNI experiments and what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nni_wiring.strategies.base import WiringStrategy
from nni_wiring.strategies.engine.search_module import SearchModule
from search_spaces.nni_api import Classification, ModelSpace, NasBench201, NasExperiment
from search_spaces.registry import build_space


class Finished(NamedTuple):
    """A finished experiment of NNI's: its strategy, its search module, the frozen network."""

    strategy: WiringStrategy
    module: SearchModule
    sample: dict[str, Any]
    network: nn.Module
    gradient_modes: list[bool]  # of every forward pass between epochs and after the last


def random_loader() -> DataLoader:
    """16 random images of three classes, (3, 8, 8), in batches of 8."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(16, 3, 8, 8, generator=generator)
    return DataLoader(
        TensorDataset(images, torch.randint(0, 3, (16,), generator=generator)), batch_size=8
    )


def our_space() -> ModelSpace:
    """This project's NAS-Bench-201, tiny."""
    return build_space("nasbench201", channels=4, cells=1, num_classes=3)


def hub_space() -> ModelSpace:
    """NNI's own NAS-Bench-201, tiny."""
    return NasBench201(stem_out_channels=4, num_modules_per_stack=1, num_labels=3)


def _note_gradient_modes(strategy: WiringStrategy, modes: list[bool]) -> None:
    """Note, for every forward pass of the supernet that is no training step, whether gradients were
    on.
    """
    places = [(part, "after_steps") for part in strategy.parts]
    for place, name in [*places, (strategy, "select_at_end")]:
        original = getattr(place, name)

        def watched(module: SearchModule, *rest: Any, _original: Any = original) -> Any:
            handle = module.model.register_forward_pre_hook(
                lambda m, inputs: modes.append(torch.is_grad_enabled())
            )
            try:
                return _original(module, *rest)
            finally:
                handle.remove()

        setattr(place, name, watched)


def run_experiment(strategy: WiringStrategy, space: ModelSpace) -> Finished:
    """Search inside NNI's NasExperiment for two epochs and export."""
    torch.manual_seed(0)
    loader = random_loader()
    evaluator = Classification(
        num_classes=3,
        train_dataloaders=loader,
        val_dataloaders=loader,
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    modes: list[bool] = []
    _note_gradient_modes(strategy, modes)
    experiment = NasExperiment(space, evaluator, strategy)
    assert experiment.run()
    sample = next(iter(experiment.export_top_models(formatter="dict")))
    network = next(iter(experiment.export_top_models(formatter="instance")))
    experiment.stop()
    module = strategy.oneshot_module
    assert isinstance(module, SearchModule)
    return Finished(strategy, module, sample, network, modes)


def tensorboard_tags(folder: Path) -> set[str]:
    """The scalar tags of a run's TensorBoard folder, reference runs left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 1})
    events.Reload()
    return set(events.Tags()["scalars"])


def hooks_of(model: nn.Module) -> list[str]:
    """The modules that a hook or a monitor's tap is still attached to."""
    return [
        name
        for name, module in model.named_modules()
        if module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or getattr(module, "tap", None) is not None
    ]
