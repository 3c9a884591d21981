"""Finished runs as networks that stand still, with training images: what landscapes measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from nni_wiring.data import BatchLoader
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.files.tensors import tensors_of
from nni_wiring.runs.store import RunFolder, runs_root
from nni_wiring.search.reopen import WRITTEN_OUT, reopen
from nni_wiring.studies.frame import StudyRun
from nni_wiring.studies.trainings import trained, training_config
from nni_wiring.supernet.evaluation import evaluation_mode, fixed_draw
from nni_wiring.supernet.restoring import unmoved
from nni_wiring.train.config import TrainConfig, make_train_config
from nni_wiring.train.parts import assemble_training, images_of
from nni_wiring.train.run import is_training

#: Images of a batch whose gradient is one of those whose variance is measured.
BATCH = 32
#: Training images as they are, however the run met them; in float32, since loss differences on a
#: plane drown in the rounding of bf16.
_PLAIN = {
    "augment": False,
    "cutout": 0,
    "max_steps": None,
    "batch_size": BATCH,
    "precision": "float32",
}
#: Of a training, see `before_and_after`.
STATES = ("start", "end")

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Standing:
    """A network with the weights of a run.

    Attributes:
        network: images (n, 3, h, w) -> logits; a supernet with one Z that stays.
        parameters: of the network, alphas excepted.
        batches: of BATCH training images and labels, on the device.
    """

    network: nn.Module
    parameters: list[nn.Parameter]
    batches: list[Batch]

    @property
    def images(self) -> Batch:
        """All images of the batches at once."""
        images, labels = zip(*self.batches, strict=True)
        return torch.cat(images), torch.cat(labels)

    def loss(self, batch: Batch) -> Tensor:
        """Mean cross-entropy (nats), logits in the network's precision and the sum in float64."""
        images, labels = batch
        return nn.functional.cross_entropy(self.network(images).double(), labels)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Batch norm normalises by the images at hand; with gradients where they are enabled.

        Parameters, their gradients, buffers and modes come back bit for bit, however it ends.
        """
        tensors = [*self.network.parameters(), *self.network.buffers()]
        gradients = list(self.network.parameters())
        with unmoved(tensors, gradients=gradients), evaluation_mode(self.network):
            yield


def open_run(name: str) -> RunFolder:
    """A finished run by its id, or by its folder; RunError where it is not finished."""
    path = Path(name)
    folder = RunFolder.open(path if path.is_dir() else runs_root() / name)
    if folder.status != "finished":
        raise RunError(f"run {folder.run_id} is {folder.status}; allowed: finished runs")
    return folder


def standing(folder: RunFolder, images: int) -> Standing:
    """The network of a ``train`` or ``search`` run as its last epoch left it.

    A supernet has the Z under which its method evaluates it: the mean, where the method draws.

    Args:
        folder: of the run.
        images: how many of its training images, taken in one order for all runs of the same data
            and seed; a multiple of BATCH.

    Raises:
        WiringError: one line; the run has no whole checkpoint, or fewer images.
    """
    if not is_training(folder):
        return _supernet(folder, images)
    found = untrained(make_train_config(folder.config), images)
    network = found.network
    with tensors_of(folder.checkpoint) as state:
        # the auxiliary head, where there is one, is not part of what is measured
        inner = "network."
        network.load_state_dict(
            {k.removeprefix(inner): v for k, v in state["network"].items() if k.startswith(inner)}
        )
    return found


def untrained(config: TrainConfig, images: int) -> Standing:
    """The network that a training of this configuration starts from."""
    parts = assemble_training(make_train_config({**config.flat(), **_PLAIN}), images_of(config))
    network = parts.network.network
    return Standing(network, list(network.parameters()), _batches(parts.loaders.train, images))


def before_and_after(
    run: StudyRun, label: str, arch: str, seed: int
) -> dict[str, Callable[[], Standing]]:
    """A cell's network by `STATES`: as its training in the study starts and as it ends.

    The training, done when its end is asked for, is the study's own of the name ``label``; the
    options ``protocol`` and ``images`` say how, and how many images the networks come with.
    """
    config = training_config(run, arch=arch, seed=seed, protocol=run["protocol"])

    def start() -> Standing:
        return untrained(config, run["images"])

    def end() -> Standing:
        return standing(trained(run, label, config), run["images"])

    return dict(zip(STATES, (start, end), strict=True))


def _supernet(folder: RunFolder, images: int) -> Standing:
    found = reopen(folder, {**_PLAIN, **WRITTEN_OUT})
    for group in found.module.groups:
        group.draw = fixed_draw(group, found.module.evaluated(group))
    batches = _batches(found.loaders.train, images)
    return Standing(found.module.model, found.module.weight_parameters(), batches)


def _batches(loader: BatchLoader, images: int) -> list[Batch]:
    if images < BATCH or images % BATCH:
        raise ConfigError(f"images={images} must be a multiple of {BATCH}, and at least that")
    batches: Iterable[Batch] = islice(iter(loader), images // BATCH)
    found = list(batches)
    if len(found) < images // BATCH:
        raise ConfigError(f"images={images}: the data have {len(loader) * BATCH} training images")
    return found
