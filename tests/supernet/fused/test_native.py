"""Native code against plain cells, in float64 where they must agree to the last digits."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cell_pairs import assert_same, cells, pair, step
from one_shot import random_batches, tiny_space

from nni_wiring.files import native as native_files
from nni_wiring.strategies.darts import DARTS
from nni_wiring.supernet.fused import cell as fused_cell
from nni_wiring.supernet.fused import compared, compiled, native, native_library

pytestmark = pytest.mark.skipif(
    not (shutil.which("c++") or shutil.which("g++")), reason="native code needs a C++ compiler"
)


#: Numbers before and behind a vector that nobody may touch.
GUARD = 64


@pytest.fixture(autouse=True)
def one_thread_in_float64() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(threads)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The native kernels that ran, with nothing to compare them with; no torch.compile."""
    found: list[str] = []

    def noted(kernel: Any) -> Any:
        def run(*arguments: Any) -> Any:
            found.append(kernel.__name__)
            return kernel(*arguments)

        return run

    kernels = compiled.Kernels(noted(native.forward), noted(native.backward))
    monkeypatch.setattr(compiled, "NATIVE", kernels)
    monkeypatch.setattr(fused_cell, "kernels_for", lambda device: compiled.EAGER)
    return found


def passes(name: str, phase: str = "weights", seed: int = 1, **options: Any) -> list[Any]:
    """What one pass leaves behind, plain and native."""
    found = []
    for strategy, model in pair(name, **options):
        for cell in cells(model):
            cell.compiled = True  # type: ignore[attr-defined]  # of no meaning to a plain one
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        for group in strategy.groups:
            group.draw = strategy.draw(group, phase, generator)
        found.append(step(model, *random_batches(1, seed=2)[0]))
    return found


@pytest.mark.parametrize("channels", [4, 12, 16], ids=["C=4", "C=12", "C=16"])
@pytest.mark.parametrize("affine, track_stats", [(False, False), (True, True)])
def test_every_width(calls: list[str], channels: int, affine: bool, track_stats: bool) -> None:
    """Widths of one vector, of odd ones and of pairs of them."""
    plain, fast = passes("darts", channels=channels, affine=affine, track_stats=track_stats)
    assert calls == ["forward"] * 3 + ["backward"] * 3
    assert_same(fast, plain)


@pytest.mark.parametrize("name", ["gdas", "snas", "dsnas", "fair_darts", "darts_fixed_alpha"])
def test_relaxations(calls: list[str], name: str) -> None:
    for phase in ("weights", "alpha", "joint"):
        for seed in range(2):
            plain, fast = passes(name, phase, seed, affine=True, track_stats=True)
            assert_same(fast, plain)
    assert name in ("gdas", "dsnas", "snas") or len(calls) == 36


@pytest.mark.parametrize(
    "operations, runs",
    [
        ({"*": ["nor_conv_3x3", "none"]}, True),
        ({"*": ["skip_connect", "avg_pool_3x3"]}, True),
        ({"0-1": ["avg_pool_3x3"], "2-3": ["none"], "1-3": ["nor_conv_1x1"]}, False),
        ({"0-1": ["none"], "0-2": ["none"], "0-3": ["none"]}, False),
    ],
)
def test_constrained_edges(calls: list[str], operations: dict[str, list[str]], runs: bool) -> None:
    """Node 2 leads nowhere in the third, and nothing enters node 1 in the last."""
    plain, fast = passes("darts", operations=operations, affine=True)
    assert_same(fast, plain)
    assert bool(calls) == runs


def test_weights_taken_for_constants_leave_the_costs_alone(calls: list[str]) -> None:
    gradients = []
    for frozen in (False, True):
        torch.manual_seed(1)
        _, (strategy, model) = pair("darts")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("alpha" in name or not frozen)
        for cell in cells(model):
            cell.compiled = True  # type: ignore[attr-defined]
        (group,) = strategy.groups
        group.draw = strategy.draw(group, "alpha", torch.Generator())
        images, labels = random_batches(1, seed=2)[0]
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        gradients.append(group.alpha.grad)
        others = [p.grad for name, p in model.named_parameters() if "alpha" not in name]
        assert all(g is None for g in others) == frozen
    assert len(calls) == 12
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=0)


@pytest.mark.parametrize("affine", [False, True])
def test_nothing_is_written_beyond_the_vectors_asked_for(
    calls: list[str], monkeypatch: pytest.MonkeyPatch, affine: bool
) -> None:
    """The places are Python's, the writing is C++'s."""
    vectors, new_empty = [], torch.Tensor.new_empty

    def guarded(like: torch.Tensor, *size: int) -> torch.Tensor:
        if len(size) > 1:
            return new_empty(like, *size)
        vectors.append((new_empty(like, size[0] + 2 * GUARD).fill_(0.123), size[0]))
        return vectors[-1][0][GUARD : GUARD + size[0]]

    monkeypatch.setattr(torch.Tensor, "new_empty", guarded)
    for name, phase in (("darts", "weights"), ("darts", "alpha"), ("gdas", "joint")):
        plain, fast = passes(name, phase, affine=affine)
        assert_same(fast, plain)
    assert len(vectors) >= 2 * len(calls) > 0
    for room, size in vectors:
        assert (room[:GUARD] == 0.123).all() and (room[GUARD + size :] == 0.123).all()


def test_several_threads_and_other_widths_are_not_for_it(calls: list[str]) -> None:
    plain, fast = passes("darts", channels=6)
    assert_same(fast, plain)
    torch.set_num_threads(2)
    x = torch.zeros(1, 4, 2, 2)
    assert compiled.native_kernels(x, x, []) is None
    torch.set_num_threads(1)
    assert compiled.native_kernels(x, x, []) is not None
    assert compiled.native_kernels(x, x.bfloat16(), []) is None
    assert set(calls) <= {"forward", "backward"}


def test_the_library_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path))
    native_library.library.cache_clear()
    native_library.library(4, torch.float64)
    (made,) = (tmp_path / "native").iterdir()
    native_library.library.cache_clear()
    monkeypatch.setattr(native_files, "replacing", None)  # whatever compiles again fails
    assert native_library.library(4, torch.float64).forward
    native_library.library.cache_clear()
    assert made.suffix == ".so"


def test_without_a_compiler_the_others_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NNI_WIRING_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(fused_cell, "kernels_for", lambda device: compiled.EAGER)
    native_library.library.cache_clear()
    compiled.native_problem.cache_clear()
    with caplog.at_level(logging.WARNING):
        plain, fast = passes("darts")
    assert_same(fast, plain)
    problem = compiled.native_problem(4, torch.float64)
    assert problem is not None and "no-such-compiler" in problem
    native_library.library.cache_clear()
    compiled.native_problem.cache_clear()


def test_a_kernel_that_differs_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*arguments: Any) -> Any:
        states, saved, moments = native.forward(*arguments)
        return [state + 1 for state in states], saved, moments

    kernel = compiled._NativeForward(compiled.EAGER.forward, wrong)
    monkeypatch.setattr(compiled, "NATIVE", compiled.NATIVE._replace(forward=kernel))
    with caplog.at_level(logging.WARNING):
        plain, fast = passes("darts")
    assert_same(fast, plain)
    assert [r.getMessage() for r in caplog.records if r.name == compared.log.name] == [
        f"compile: a cell runs uncompiled ({kernel.problem})"
    ]
    assert DARTS(compile=True).mutate_model(tiny_space())


def test_in_float32_it_is_as_near_the_truth_as_the_plain_cells(calls: list[str]) -> None:
    """Vectors of float32 may be wider than those of float64 (16 channels in one)."""

    def costs(dtype: torch.dtype, number: int) -> torch.Tensor:
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float64)
        strategy, model = pair("darts", channels=16)[number]
        model.to(dtype)
        for cell in cells(model):
            cell.compiled = True  # type: ignore[attr-defined]
        (group,) = strategy.groups
        group.draw = strategy.draw(group, "alpha", torch.Generator())
        images, labels = random_batches(1, seed=2)[0]
        return torch.stack(step(model, images.to(dtype), labels)["costs"]).double()

    exact = costs(torch.float64, 0)
    plain, fast = (
        float((costs(torch.float32, number) - exact).norm() / exact.norm()) for number in (0, 1)
    )
    assert len(calls) == 6
    assert 0 < fast < max(2 * plain, 1e-5)
