from __future__ import annotations

from nni_wiring.truth import load_table, stats


def test_counts_are_the_enumerated_ones() -> None:
    counts = stats(load_table("bundled"))
    best = counts.pop("best")
    assert counts == {
        "cells": 15625,
        "disconnected": 341,
        "depth": {"0": 341, "1": 1364, "2": 5920, "3": 8000},
        "conv_depth": {"0": 1983, "1": 7122, "2": 5520, "3": 1000},
        "live_paths": {"0": 341, "1": 2356, "2": 4736, "3": 4096, "4": 4096},
        "live_edges": {
            "0": 341,
            "1": 1364,
            "2": 928,
            "3": 3776,
            "4": 1024,
            "5": 4096,
            "6": 4096,
        },
        "non_none_edges": {
            "0": 1,
            "1": 24,
            "2": 240,
            "3": 1280,
            "4": 3840,
            "5": 6144,
            "6": 4096,
        },
        "width_depth": {
            "0,0": 341,
            "0,1": 1364,
            "1,2": 4640,
            "1,3": 1600,
            "1.5,3": 6400,
            "2,2": 1280,
        },
        "unique_published": 6466,
        "unique_exact": 5260,
    }
    assert best["cifar10"]["valid"]["index"] == 6111
    assert best["cifar10"]["test"] is None
