from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import DATASETS, flops, parameters
from search_spaces.cell_graph import all_cells


def operations(truth: pd.DataFrame) -> np.ndarray:
    return np.array([[int(digit) for digit in text] for text in truth.ops])


@pytest.mark.parametrize("dataset", DATASETS)
def test_parameters_and_flops_equal_the_recorded_columns(truth: pd.DataFrame, dataset: str) -> None:
    cells = operations(truth)
    np.testing.assert_array_equal(parameters(cells, dataset), truth[f"params_{dataset}"])
    # the column has six significant digits
    recorded = truth[f"flops_M_{dataset}"]
    np.testing.assert_allclose(flops(cells, dataset) / 1e6, recorded, rtol=5e-6)


def test_the_constants_of_the_paper() -> None:
    empty, convolutions = [0] * 6, [3, 3, 3, 2, 2, 0]
    assert parameters(empty, "cifar10") == 73_306
    assert parameters(empty, "cifar100") == 79_156
    assert parameters(empty, "imagenet16") == 80_456
    assert parameters(convolutions, "cifar10") == 73_306 + 3 * 243_040 + 2 * 28_000


def test_shape_follows_the_input() -> None:
    assert parameters(all_cells(), "cifar10").shape == (15_625,)
    assert flops(np.zeros((2, 3, 6), int), "cifar100").shape == (2, 3)


def test_an_unknown_data_set_is_named() -> None:
    with pytest.raises(BenchmarkError, match="'mnist'.*cifar10, cifar100, imagenet16"):
        parameters([0] * 6, "mnist")
