"""The network's weights and graph in the formats of other programs."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from nni_wiring.errors import ConfigError

#: Writes one file of a network that takes such images: (network, images, path).
Writer = Callable[[nn.Module, Tensor, Path], None]


def write_safetensors(network: nn.Module, images: Tensor, path: Path) -> None:
    """All weights and running statistics, under the names of model.py."""
    from safetensors.torch import save

    # not save_file, whose file nobody else may read
    path.write_bytes(save({k: v.contiguous() for k, v in network.state_dict().items()}))


def write_program(network: nn.Module, images: Tensor, path: Path) -> None:
    """The graph by torch.export, for any number of images of this size."""
    with _silent():
        torch.export.save(_program(network, images), path)


def write_onnx(network: nn.Module, images: Tensor, path: Path) -> None:
    """The graph as ONNX: ``images`` (n, 3, height, width) -> ``logits`` (n, classes)."""
    with _silent():
        torch.onnx.export(
            _program(network, images),
            (),
            str(path),
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            external_data=False,
            verbose=False,
        )


#: File name -> its writer, the packages that it needs of the extra ``onnx``.
WRITERS: dict[str, tuple[Writer, tuple[str, ...]]] = {
    "model.safetensors": (write_safetensors, ()),
    "model.pt2": (write_program, ()),
    "model.onnx": (write_onnx, ("onnx", "onnxscript")),
}


def check_installed(names: list[str]) -> None:
    """Raise ConfigError where a package that one of these files needs is not there."""
    for name in names:
        _, needed = WRITERS[name]
        missing = [package for package in needed if find_spec(package) is None]
        if missing:
            raise ConfigError(
                f"{name}: needs {', '.join(missing)}, not installed; pip install 'nni-wiring[onnx]'"
            )


def _program(network: nn.Module, images: Tensor) -> torch.export.ExportedProgram:
    number = torch.export.Dim("n", min=1)
    program = torch.export.export(network, (images,), dynamic_shapes=({0: number},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names files of this machine
    return program


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """torch's exporters report their progress to standard output, warnings and the log."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
