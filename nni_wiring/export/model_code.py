"""model.py: the network's code, written for its cell, and read back."""

from __future__ import annotations

from importlib.resources import files
from types import ModuleType

import torch
from jinja2 import Environment, StrictUndefined
from torch import nn

from nni_wiring import __version__
from nni_wiring.errors import ConfigError, RunError
from nni_wiring.export.subject import Subject
from search_spaces.cell_codec import CODECS
from search_spaces.operations import canonical_operation

_AVG_POOL = "nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)"
#: How far the logits of the written network may be from those of ours.
_TOLERANCE = 1e-5


def model_code(subject: Subject) -> str:
    """The text of model.py.

    Raises:
        ConfigError: the cell has an operation that plain PyTorch is not written for.
    """
    config = subject.config
    settings = config.space_settings.model_dump()
    operations = _operations(settings["affine"], settings["track_stats"])
    cell = {edge: canonical_operation(name) for edge, name in config.cell.items()}
    for edge, name in cell.items():
        if name not in operations:
            raise ConfigError(
                f"export: operation {name} on edge {edge} is not written as plain PyTorch; "
                f"allowed: {', '.join(operations)}"
            )
    environment = Environment(  # noqa: S701  the text is Python, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    template = environment.from_string(
        files("nni_wiring.export").joinpath("model.py.j2").read_text(encoding="utf-8")
    )
    return template.render(
        arch=arch_text(subject),
        version=__version__,
        channels=settings["channels"],
        cells=settings["cells"],
        classes=subject.data.num_classes,
        cell=cell,
        mean=tuple(subject.data.mean),
        std=tuple(subject.data.std),
        used=[name for name in operations if name in cell.values()],
        operations=operations,
        bias_free=settings["head"] == "bias_free",
    )


def arch_text(subject: Subject) -> str:
    """The cell as its benchmark spells it; edge by edge where no benchmark has it."""
    config = subject.config
    benchmark = config.space.truth_benchmark({edge: [name] for edge, name in config.cell.items()})
    if benchmark is None:
        return ";".join(f"{edge}={name}" for edge, name in config.cell.items())
    codec = CODECS.lookup(benchmark)
    return codec.spell(codec.indices(config.cell.values()))


def written_network(code: str, subject: Subject) -> nn.Module:
    """The network that model.py builds, with the subject's weights, in evaluation mode.

    Raises:
        RunError: its logits are not those of the subject's network.
    """
    # a module without a file, so that nothing made from it names a path of this machine
    module = ModuleType("model")
    exec(compile(code, "model.py", "exec"), module.__dict__)  # noqa: S102  written a moment ago
    network: nn.Module = module.Network()
    try:
        network.load_state_dict(subject.network.state_dict())
    except RuntimeError as error:
        line = str(error).splitlines()[0][:120]
        raise RunError(f"export: the network is not that of NAS-Bench-201: {line}") from None
    network.eval()
    images = example_images(subject)
    distance = float((_logits(network, images) - _logits(subject.network, images)).abs().max())
    if not distance <= _TOLERANCE:
        raise RunError(
            f"export: the written network's logits are {distance:.2g} from the trained network's; "
            f"allowed: {_TOLERANCE:g} (the weights may be no finite numbers)"
        )
    return network


def example_images(subject: Subject) -> torch.Tensor:
    """Two images (2, 3, height, width) of the data's size, normal noise that is always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, *subject.data.image_shape, generator=generator)


def _logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The logits; the operation ``noise`` draws the same for whichever network is asked."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logits: torch.Tensor = network(images)
        return logits


def _operations(affine: bool, track: bool) -> dict[str, str]:
    """The expression of every operation, in model.py's words."""
    norm = f"affine={affine}, track={track}"
    return {
        "none": "Zero()",
        "skip_connect": "nn.Identity()",
        "nor_conv_1x1": f"ReLUConvBN(channels, channels, 1, {norm})",
        "nor_conv_3x3": f"ReLUConvBN(channels, channels, 3, {norm})",
        "avg_pool_3x3": _AVG_POOL,
        "noise": "Noise()",
    }
