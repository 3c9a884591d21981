from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from nni_wiring.errors import WiringError
from nni_wiring.service.lookup_trial import look_up
from nni_wiring.truth import load_table

BEST = {
    "0-1": "nor_conv_3x3",
    "0-2": "nor_conv_3x3",
    "1-2": "nor_conv_3x3",
    "0-3": "skip_connect",
    "1-3": "nor_conv_3x3",
    "2-3": "nor_conv_1x1",
}


def test_the_metric_names_its_cell_and_its_parameters() -> None:
    metric = look_up({**BEST, "dataset": "cifar10"})
    assert metric["default"] == 91.6067 and metric["index"] == 6111
    assert metric["arch"] == load_table("bundled").arch(6111)
    assert {name: metric[name] for name in BEST} == BEST
    assert "cifar10/test" not in metric and metric["cifar100/valid"] == 72.7467
    json.dumps(metric, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"0-1": "conv"}, "0-1 = 'conv'"),
        ({"3-0": "none"}, "'3-0'"),
        ({"dataset": "mnist"}, "'mnist'"),
        ({"split": "test"}, "cifar10/test@200"),
        ({"epochs": 12}, "cifar10/valid@12"),
        ({"benchmark": "nowhere"}, "'nowhere'"),
    ],
)
def test_bad_parameters_are_named(changes: dict, named: str) -> None:
    with pytest.raises(WiringError, match=named):
        look_up({**BEST, **changes})


def test_outside_an_experiment_it_says_so() -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NNI_")}
    done = subprocess.run(
        [sys.executable, "-m", "nni_wiring.service.lookup_trial"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: NNI sent no parameters")
