from __future__ import annotations

import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import published_rows


def test_rows_by_data_set() -> None:
    rows = published_rows()
    assert len(rows) == 62
    assert len(published_rows("cifar10")) == 22 and len(published_rows("imagenet16")) == 20
    by_key = {(row.method, row.dataset, row.split): row for row in rows}
    assert by_key["DARTS", "cifar10", "test"].mean == 54.30
    assert by_key["GDAS", "imagenet16", "test"][3:] == (41.71, 0.98, "NB201 v1.1 table")
    assert by_key["ResNet", "cifar100", "valid"].std is None
    assert ("DARTS+PT", "cifar10", "valid") not in by_key


def test_unknown_data_set() -> None:
    with pytest.raises(BenchmarkError, match="mnist"):
        published_rows("mnist")
