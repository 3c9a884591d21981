from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from nni_wiring.data import DataSource, data_sources, find_source, load_data, register
from nni_wiring.data.registry import _SOURCES
from nni_wiring.data.splits import KINDS
from nni_wiring.errors import DataError


def test_names_and_their_truth() -> None:
    assert {source.name: source.truth_dataset for source in data_sources()} == {
        "digits": "cifar10",
        "clutter": "cifar10",
        "cifar10": "cifar10",
        "cifar100": "cifar100",
        "imagenet16-120": "imagenet16",
        "npz:": "cifar10",
    }
    assert all(source.default_split in KINDS and source.summary for source in data_sources())


def test_default_split_follows_autodl() -> None:
    splits = {source.name: source.default_split for source in data_sources()}
    assert splits["cifar10"] == "half"
    assert splits["cifar100"] == splits["imagenet16-120"] == "full+xvalid"


@pytest.mark.parametrize("name", ["cifar", "digits:8", "npz", "npz:", "", "../cifar10"])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(DataError, match="known: digits, clutter, cifar10, .*npz:PATH") as caught:
        load_data(name)
    assert repr(name) in str(caught.value)


def test_duplicate_name_is_refused() -> None:
    with pytest.raises(DataError, match="data: the name 'digits' is taken already"):
        register(replace(find_source("digits"), flip=True))


def test_a_new_source_is_one_registration() -> None:
    register(DataSource("digits2", "", "cifar10", "half", True, "", "nni_wiring.data.digits:load"))
    try:
        data = load_data("digits2")
    finally:
        del _SOURCES["digits2"]
    assert (data.name, data.flip) == ("digits2", True)


def test_listing_imports_no_torch() -> None:
    code = "import sys, nni_wiring.data as d; d.data_sources(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
