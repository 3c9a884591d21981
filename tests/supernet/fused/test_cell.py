"""Fused cells against plain ones, in float64 where they must agree to the last digits."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from cell_pairs import assert_same, cells, pair, step
from one_shot import evaluator, random_batches, search, set_alphas, tiny_space
from tiny_runs import run
from torch.nn import functional

from nni_wiring.errors import ConfigError
from nni_wiring.monitor.callback import WiringMonitor
from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.pc_darts import PCDarts
from nni_wiring.strategies.registry import STRATEGIES
from nni_wiring.supernet.fused import compared, compiled
from nni_wiring.supernet.fused.cell import FusedCell, fused_or_plain, plain_cells

#: Methods whose cells are not fused.
PLAIN_ONLY = {"pc_darts"}


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("track_stats", [False, True])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("head", ["nasbench201", "bias_free"])
def test_every_kind_of_network(head: str, affine: bool, track_stats: bool) -> None:
    (plain, plain_model), (fused, fused_model) = pair(
        "darts", head=head, affine=affine, track_stats=track_stats
    )
    for seed in range(2):  # running statistics move twice
        images, labels = random_batches(1, seed=seed)[0]
        results = []
        for strategy, model in ((plain, plain_model), (fused, fused_model)):
            (group,) = strategy.groups
            group.draw = strategy.draw(group, "weights", torch.Generator().manual_seed(1))
            results.append(step(model, images, labels))
        assert len(results[0]["costs"]) == 3
        assert_same(results[1], results[0])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", sorted(set(STRATEGIES) - PLAIN_ONLY))
def test_every_relaxation(name: str) -> None:
    (plain, plain_model), (fused, fused_model) = pair(name, affine=True, track_stats=True)
    images, labels = random_batches(1, seed=4)[0]
    for phase in ("weights", "alpha", "joint"):
        for seed in range(2):
            results = []
            for strategy, model in ((plain, plain_model), (fused, fused_model)):
                generator = torch.Generator().manual_seed(seed)
                torch.manual_seed(seed)
                for group in strategy.groups:
                    group.draw = strategy.draw(group, phase, generator)
                results.append(step(model, images, labels))
            assert_same(results[1], results[0])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "operations",
    [
        {"*": ["nor_conv_3x3", "none"]},
        {"*": ["skip_connect", "avg_pool_3x3"]},
        {"0-1": ["avg_pool_3x3"], "2-3": ["none"], "1-2": ["none", "nor_conv_1x1"]},
        {"0-1": ["none"], "0-2": ["none"], "0-3": ["none"]},
    ],
)
def test_constrained_edges_and_dead_nodes(operations: dict[str, list[str]]) -> None:
    found = []
    for strategy, model in pair("darts", operations=operations, affine=True):
        (group,) = strategy.groups
        group.draw = strategy.draw(group, "weights", torch.Generator())
        found.append(step(model, *random_batches(1, seed=2)[0]))
    assert_same(found[1], found[0])


@pytest.mark.usefixtures("float64")
def test_weights_taken_for_constants_leave_the_alpha_gradient_alone() -> None:
    gradients = []
    for frozen in (False, True):
        _, (strategy, model) = pair("darts")
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("alpha" in name or not frozen)
        (group,) = strategy.groups
        group.draw = strategy.draw(group, "alpha", torch.Generator())
        images, labels = random_batches(1, seed=2)[0]
        functional.cross_entropy(model(images), labels).backward()
        gradients.append(group.alpha.grad)
        others = [p.grad for name, p in model.named_parameters() if "alpha" not in name]
        assert all(g is None for g in others) == frozen
        torch.manual_seed(1)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-12, atol=0)


@pytest.mark.usefixtures("float64")
def test_running_statistics_second_derivatives_and_hooks_take_the_plain_way() -> None:
    (plain, plain_model), (fused, fused_model) = pair("darts", track_stats=True)
    images, labels = random_batches(1, seed=2)[0]
    for strategy, model in ((plain, plain_model), (fused, fused_model)):
        (group,) = strategy.groups
        group.draw = strategy.draw(group, "alpha", torch.Generator())
        step(model, images, labels)
        group.draw = strategy.draw(group, "alpha", torch.Generator())
        model.eval()
    torch.testing.assert_close(fused_model(images), plain_model(images), rtol=1e-10, atol=1e-12)
    fused_model.train()
    alpha = fused.groups[0].alpha
    with plain_cells(fused_model):
        loss = functional.cross_entropy(fused_model(images), labels)
        (gradient,) = torch.autograd.grad(loss, alpha, create_graph=True)
        (curvature,) = torch.autograd.grad(gradient.square().sum(), alpha)
    assert torch.isfinite(curvature).all() and curvature.any()
    assert not any(cell.plain for cell in cells(fused_model) if isinstance(cell, FusedCell))
    seen: list[int] = []
    handle = cells(fused_model)[0].operation(0, 3).register_forward_hook(lambda *_: seen.append(1))
    fused_model(images)
    handle.remove()
    assert seen == [1]


def test_cells_that_cannot_be_fused() -> None:
    noisy = DARTS().mutate_model(tiny_space(name="nasbench201_s4"))
    assert not any(isinstance(cell, FusedCell) for cell in cells(noisy))
    with pytest.raises(ConfigError, match="supernet: fused is for fused cells.*allowed"):
        DARTS(supernet="fused").mutate_model(tiny_space(name="nasbench201_s4"))
    with pytest.raises(ConfigError, match="compile: true is for fused cells"):
        PCDarts(compile=True).mutate_model(tiny_space())
    with pytest.raises(ConfigError, match="compile: true is for fused cells"):
        DARTS(supernet="plain", compile=True).mutate_model(tiny_space(name="darts", cells=3))
    PCDarts(compile=True).mutate_model(tiny_space(name="darts", cells=3))


def test_auto_compiles_the_cells_that_can_be_and_leaves_the_others() -> None:
    compiled = cells(DARTS(compile="auto").mutate_model(tiny_space()))
    assert compiled and all(isinstance(cell, FusedCell) and cell.compiled for cell in compiled)
    shared = cells(PCDarts(compile="auto").mutate_model(tiny_space(name="darts", cells=3)))
    assert shared and all(cell.compiled for cell in shared)
    for strategy, space in ((DARTS, "nasbench201_s4"), (PCDarts, "nasbench201")):
        others = cells(strategy(compile="auto").mutate_model(tiny_space(name=space)))
        assert others and not any(getattr(cell, "compiled", False) for cell in others)
    with pytest.raises(ConfigError, match="Input should be True, False or 'auto'"):
        DARTS(compile="sometimes")


@pytest.mark.parametrize(
    "dtype, lr, gap",
    [("float64", 0.05, 1e-12), ("float32", 5e-4, 1e-4)],
    ids=["float64", "float32"],
)
def test_searches_stay_together(dtype: str, lr: float, gap: float) -> None:
    """After 20 steps. In float32 rounding grows from step to step, through units of ReLU that it
    switches: at a learning rate of .025 even the plain cells end 1e-3 from themselves on reordered
    batches (``performance/rounding.py``), so theta moves less here, and alpha as ever.
    """
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        found = []
        for strategy, model in pair_of_spaces():
            batches = random_batches(20, seed=1, images=32)
            others = random_batches(20, seed=2, images=32)
            search(strategy, model, evaluator(batches, others, lr=lr))
            found.append([group.alpha.detach() for group in strategy.groups])
        torch.testing.assert_close(found[1], found[0], rtol=0, atol=gap)
        assert found[0][0].abs().max() > 1e-3
    finally:
        torch.set_default_dtype(torch.float32)


def pair_of_spaces() -> Iterator[tuple[Any, Any]]:
    for supernet in ("plain", "fused"):
        torch.manual_seed(1)
        yield DARTS(supernet=supernet), tiny_space()


@pytest.mark.usefixtures("float64")
def test_the_monitor_sees_the_same_costs() -> None:
    """In float64: in float32 rounding switches units of ReLU, so that what differs is the
    processor's order of summation, not the costs.
    """
    found = []
    for strategy, model in pair_of_spaces():
        monitor = WiringMonitor()
        batches, others = random_batches(3, seed=1, images=32), random_batches(3, seed=2, images=32)
        search(strategy, model, evaluator(batches, others, callbacks=[monitor]))
        found.append(monitor.records[-1].cost)
    plain, fused = found
    assert set(fused) == set(plain) == {"weights", "alpha"}
    for phase, moments in plain.items():
        for edge, row in moments.mean.items():
            assert fused[phase].mean[edge] == pytest.approx(row, rel=1e-8, abs=1e-10)
            assert any(row.values())
        assert fused[phase].count == moments.count


def test_bf16_is_close_and_stored(tmp_path: Path) -> None:
    options = {"channels": 8, "epochs": 1, "batch_size": 32, "max_steps": 2, "alpha_lr": 0.0}
    exact = run(tmp_path / "float32", **options).epochs()[-1]
    folder = run(tmp_path / "bf16", precision="bf16", **options)
    assert folder.config["precision"] == "bf16"
    assert folder.epochs()[-1]["loss"]["train"] == pytest.approx(exact["loss"]["train"], rel=0.05)
    with pytest.raises(ConfigError, match="tf32 needs device cuda"):
        run(tmp_path / "tf32", precision="tf32", device="cpu", **options)


def test_bf16_is_as_near_the_truth_as_the_plain_cells_under_autocast() -> None:
    images, labels = random_batches(1, seed=1, images=32, size=16)[0]

    def gradient(supernet: str, dtype: torch.dtype, autocast: bool) -> torch.Tensor:
        torch.manual_seed(1)
        strategy = DARTS(supernet=supernet)
        model = strategy.mutate_model(tiny_space(channels=16)).to(dtype)
        set_alphas(strategy.groups, seed=3)
        (group,) = strategy.groups
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            group.draw = strategy.draw(group, "alpha", torch.Generator())
            loss = functional.cross_entropy(model(images.to(dtype)), labels)
        loss.backward()
        return group.alpha.grad.double()

    exact = gradient("plain", torch.float64, autocast=False)
    plain, fused = (
        float((gradient(kind, torch.float32, autocast=True) - exact).norm() / exact.norm())
        for kind in ("plain", "fused")
    )
    assert 1e-3 < fused < min(0.5, 1.5 * plain)


def test_no_compiler_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nni_wiring.supernet.fused.cell.native_kernels", lambda *given: None)
    monkeypatch.setattr(compiled, "compiler_problem", lambda device: "no g++")
    compiled.kernels_for.cache_clear()
    strategy = DARTS(compile=True)
    model = strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    group.draw = strategy.draw(group, "weights", torch.Generator())
    with caplog.at_level(logging.WARNING):
        model(random_batches(1, seed=1)[0][0])
        model(random_batches(1, seed=1)[0][0])
    compiled.kernels_for.cache_clear()
    assert [r.getMessage() for r in caplog.records if r.name == compiled.log.name] == [
        "compile: no working compiler, so cells run uncompiled (no g++)"
    ]


def test_a_compiled_kernel_that_differs_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(run: Any, **_: Any) -> Any:
        return lambda *arguments: [2 * tensor for tensor in run(*arguments)]

    monkeypatch.setattr(torch, "compile", wrong)
    kernel = compiled.Checked(lambda plan, x: [x + 1, x - 1], None)  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            torch.testing.assert_close(
                kernel(torch.ones(3)), [torch.full((3,), 2.0), torch.zeros(3)]
            )
    assert len(caplog.records) == 1
    assert kernel.problem is not None and "differ" in kernel.problem


@pytest.mark.parametrize(("given", "serves"), [(torch.bfloat16, True), (torch.float32, False)])
def test_a_float32_result_is_as_exact_as_what_it_is_computed_from(
    monkeypatch: pytest.MonkeyPatch, given: torch.dtype, serves: bool
) -> None:
    """1 + 2^-7 is next to 1 in bfloat16: moments of maps that one kernel rounded differ by it."""
    monkeypatch.setattr(torch, "compile", lambda run, **_: lambda x: [run(x)[0] * (1 + 2**-7)])
    kernel = compiled.Checked(lambda plan, x: [x.float().mean(0)], None)  # type: ignore[arg-type]
    kernel(torch.ones(3, 2, dtype=given))
    assert (kernel.problem is None) is serves


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_cells_are_the_eager_ones(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nni_wiring.supernet.fused.cell.native_kernels", lambda *given: None)
    strategy = DARTS(compile=True)
    model = strategy.mutate_model(tiny_space())
    (group,) = strategy.groups
    set_alphas(strategy.groups, seed=3)
    cell = cells(model)[0]
    assert isinstance(cell, FusedCell)
    found = []
    with caplog.at_level(logging.WARNING):
        for cell.compiled in (False, True, True):  # the second of a shape is not compared any more
            x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(5))
            model.zero_grad()
            group.draw = strategy.draw(group, "weights", torch.Generator())
            x.requires_grad_()
            output = cell(x)
            output.square().sum().backward()
            weights = [p.grad for p in cell.parameters()]
            found.append([output.detach(), x.grad, group.alpha.grad, *weights])
    assert not [r for r in caplog.records if r.name in (compiled.log.name, compared.log.name)]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)
    assert not torch.equal(found[1][2], found[0][2])  # another order of summation: it did run
    for first, second in zip(found[1], found[2], strict=True):
        assert torch.equal(first, second)
    cell.compiled = False
    cost = alpha_gradient(strategy, cell)
    cell.compiled = True
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING):
        elsewhere = pool.submit(alpha_gradient, strategy, cell).result()
    assert not [r for r in caplog.records if r.name in (compiled.log.name, compared.log.name)]
    torch.testing.assert_close(elsewhere, cost, rtol=1e-4, atol=1e-4)


def alpha_gradient(strategy: Any, cell: Any) -> torch.Tensor:
    """As an alpha step has it: the weights are constants."""
    (group,) = strategy.groups
    for parameter in cell.parameters():
        parameter.requires_grad_(False)
    group.draw = strategy.draw(group, "alpha", torch.Generator())
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(6))
    (gradient,) = torch.autograd.grad(cell(x).square().sum(), group.alpha)
    return gradient


def test_the_factory_takes_the_fused_cell_where_it_can() -> None:
    strategy = DARTS()
    assert strategy.parts.cells.factory(plain=False) is fused_or_plain
    model = strategy.mutate_model(tiny_space())
    assert len(cells(model)) == 3
    assert all(isinstance(cell, FusedCell) for cell in cells(model))
