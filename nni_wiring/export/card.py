"""README.md: the model card of an exported network."""

from __future__ import annotations

from collections.abc import Sequence

from nni_wiring import __version__
from nni_wiring.export.model_code import arch_text
from nni_wiring.export.subject import Subject
from nni_wiring.files.messages import shown
from nni_wiring.train.parts import truth_of

_ABOUT = {
    "model.py": "the network, plain PyTorch",
    "model.safetensors": "its weights, under the names of model.py",
    "model.pt2": "graph and weights by torch.export, for any number of images of this size",
    "model.onnx": "graph and weights as ONNX, `images` -> `logits`, any number of images",
}


def model_card(subject: Subject, names: Sequence[str]) -> str:
    """The text of README.md; names: the files beside it."""
    parts = [
        [f"# {_title(subject)}"],
        _facts(subject),
        _training(subject),
        _truth(subject),
        ["## Files", *(f"- `{name}`: {_ABOUT[name]}" for name in names)],
        _use(),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _title(subject: Subject) -> str:
    state = "untrained" if subject.training is None else "trained"
    return f"`{arch_text(subject)}`, {state}"


def _facts(subject: Subject) -> list[str]:
    config, data = subject.config, subject.data
    settings = config.space_settings.model_dump()
    weights = sum(p.numel() for p in subject.network.parameters())
    found = f", found by run `{subject.found_by}`" if subject.found_by else ""
    channels, height, width = data.image_shape
    return [
        f"- Cell: `{arch_text(subject)}` of space {config.space.name}{found}",
        f"- Network: NAS-Bench-201's, C {settings['channels']}, N {settings['cells']}, head "
        f"{settings['head']}, {weights:,} weights",
        f"- Data: `{shown(data.name)}`, {data.num_classes} classes; images of "
        f"{channels}x{height}x{width}, scaled to 0 .. 1, then normalised by MEAN and STD of "
        "model.py",
        f"- Seed: {config.training.seed}",
        f"- Commit: {subject.commit or 'not known'} (exported by nni-wiring {__version__})",
    ]


def _training(subject: Subject) -> list[str]:
    training, config = subject.training, subject.config
    if training is None:
        return ["## Training", "Untrained: the weights are the random ones of the seed."]
    theta, rule = config.theta, config.regularisation
    lines = [
        "## Training",
        f"- Run `{training.run_id}`, protocol {config.training.protocol}, "
        f"{training.epochs} of {training.planned} epochs",
        f"- {rule.optimiser}, {rule.schedule} schedule, lr {theta.lr:g} to {theta.lr_min:g}, "
        f"momentum {theta.momentum:g}, weight decay {theta.weight_decay:g}, batches of "
        f"{theta.batch_size}",
    ]
    known = ", ".join(f"{part} {value:.2f} %" for part, value in training.accuracy.items())
    return [*lines, f"- Accuracy of these weights: {known or 'not evaluated'}"]


def _truth(subject: Subject) -> list[str]:
    """The benchmark's numbers, where a table has the cell."""
    truth = truth_of(subject.config)
    scores = {} if truth is None else truth.scores
    rows = [
        f"| {dataset} | {split} | {score.accuracy:.2f} | {score.rank or ''} |"
        for (dataset, split), score in scores.items()
        if score.accuracy is not None
    ]
    if truth is None or not rows:
        return []
    return [
        f"## What {truth.benchmark} says of the cell",
        "Of the benchmark's own trainings, not of these weights.",
        "",
        "| data set | split | value | rank |",
        "|---|---|---|---|",
        *rows,
    ]


def _use() -> list[str]:
    return [
        "## Use",
        "```python",
        "from safetensors.torch import load_file",
        "",
        "from model import Network, normalised",
        "",
        "network = Network()",
        'network.load_state_dict(load_file("model.safetensors"))',
        "network.eval()",
        "logits = network(normalised(pixels))  # uint8 (n, 3, height, width)",
        "",
        "# or, without model.py:",
        "import torch",
        "",
        'network = torch.export.load("model.pt2").module()',
        "```",
    ]
