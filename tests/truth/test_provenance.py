"""What a search on other data or with another protocol is said to be worth."""

from __future__ import annotations

from typing import Any

import pytest

from nni_wiring.errors import BenchmarkError
from nni_wiring.truth import BENCHMARKS, NASBENCH201
from nni_wiring.truth.provenance import Provenance, in_words, provenance_of

PUBLISHED = {
    "strategy": "darts",
    "space": "nasbench201",
    "data": "cifar10",
    "channels": 16,
    "cells": 5,
    "head": "nasbench201",
    "epochs": 50,
}
CIFAR = "the accuracies are those of CIFAR-10 networks of NAS-Bench-201"


def note(note: str = "", dataset: str = "cifar10", **changes: Any) -> str:
    found = provenance_of({**PUBLISHED, **changes}, NASBENCH201, dataset, note)
    assert found.comparable == (found.note == "") and "\n" not in found.note
    return found.note


def test_a_search_as_published_compares() -> None:
    found = provenance_of(PUBLISHED, NASBENCH201, "cifar10")
    assert found == Provenance("nasbench201", "cifar10", "cifar10", True, "")
    assert note(epochs=60) == note(strategy="gdas", epochs=250) == ""
    assert note(dataset="imagenet16", data="imagenet16-120") == ""


def test_other_data_is_named() -> None:
    said_by_the_data = "searched on scikit-learn's digits; the truth beside it is CIFAR-10's"
    for text in ("", said_by_the_data):
        assert note(text, data="digits") == f"searched on digits; {CIFAR}"
    assert note(data="npz:/home/me/mine.npz") == f"searched on npz:mine.npz; {CIFAR}"
    assert note("searched on a lossy JPEG copy of the images", data="npz:x.npz") == (
        f"searched on a lossy JPEG copy of the images (npz:x.npz); {CIFAR}"
    )
    assert note(dataset="cifar100").startswith("searched on cifar10; the accuracies are those of C")
    assert note(data=None) == f"the searched data is not known; {CIFAR}"


def test_another_protocol_is_named() -> None:
    start = "search not comparable with the published rows: "
    assert note(channels=8, cells=1, epochs=6) == (
        f"{start}8 channels, 1 cell per stage, 6 epochs instead of 16, 5, 50"
    )
    assert note(head="bias_free") == f"{start}the head bias_free instead of nasbench201"
    assert note(strategy="gdas", epochs=100) == f"{start}100 epochs instead of 250"
    assert note(max_steps=3) == f"{start}at most 3 steps per epoch"
    assert note(resize=16) == f"{start}images averaged to 16 x 16 pixels"
    part = "only a part of the cells was searched"
    assert note(space="nasbench201_s2") == f"{start}{part} (nasbench201_s2)"
    assert note(operations={"0-1": ["none"]}) == f"{start}{part} (nasbench201)"


def test_both_in_one_sentence() -> None:
    assert note(data="digits", channels=8) == (
        f"searched on digits; {CIFAR}; not comparable with the published rows: "
        "8 channels instead of 16"
    )


def test_a_benchmark_without_published_searches_is_held_against_its_network() -> None:
    micro = BENCHMARKS["transnas101_micro"]
    found = provenance_of(PUBLISHED | {"space": micro.name}, micro, "room_layout")
    assert not found.comparable
    assert found.note == (
        "searched on cifar10; the values of L2 loss are those of room layout networks of "
        "TransNAS-Bench-101 micro; another network than the benchmark's: 16 channels, 5 cells per "
        "stage instead of 64, 2"
    )


@pytest.mark.parametrize("value", [None, 3, [], {"a": 1}, "x" * 10**6, "a\nb", float("nan")])
def test_foreign_settings_end_in_one_short_line(value: object) -> None:
    for key in (*PUBLISHED, "operations", "max_steps"):
        found = provenance_of({**PUBLISHED, key: value}, NASBENCH201, "cifar10")
        assert len(found.note) < 700 and "\n" not in found.note


def test_unknown_data_set() -> None:
    with pytest.raises(BenchmarkError, match="mnist"):
        provenance_of(PUBLISHED, NASBENCH201, "mnist")


def test_a_training_is_held_against_the_benchmarks_training() -> None:
    arch = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    own = {"space": "nasbench201", "data": "cifar10", "arch": arch, "channels": 16, "cells": 5}
    own |= {"epochs": 200, "batch_size": 256, "lr": 0.1, "weight_decay": 5e-4, "nesterov": True}
    found = provenance_of(own, NASBENCH201, "cifar10")
    assert found.comparable and found.trained and in_words(found) == "NAS-Bench-201"

    found = provenance_of(own | {"data": "digits", "epochs": 12}, NASBENCH201, "cifar10")
    assert found.note == (
        f"trained on digits; {CIFAR}; another training than the benchmark's: "
        "12 epochs instead of 200"
    )
    assert in_words(found).startswith("NAS-Bench-201; training not comparable: trained on digits")
    # a part of the cells is a matter of searches
    assert provenance_of(own | {"space": "nasbench201_s2"}, NASBENCH201, "cifar10").comparable
