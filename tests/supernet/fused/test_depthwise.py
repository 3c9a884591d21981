"""Depthwise convolutions of sharing cells against torch's own, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nni_wiring.supernet.fused import depthwise
from nni_wiring.supernet.fused.depthwise import convolve, depthwise_shape


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The types of number for which native code was asked."""
    asked: list[torch.dtype] = []
    found = depthwise.library

    def library(dtype: torch.dtype) -> object:
        asked.append(dtype)
        return found(dtype)

    monkeypatch.setattr(depthwise, "library", library)
    return asked


def layer(channels: int, kernel: int, stride: int, dilation: int) -> nn.Conv2d:
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(
        *(channels, channels, kernel, stride, padding, dilation),
        groups=channels,
        bias=False,
        dtype=torch.float64,
    )


def gradients(y: Tensor, weights: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad((y * weights).sum(), of)


@pytest.mark.parametrize("channels", [4, 6, 8, 16, 32])
@pytest.mark.parametrize("kernel, dilation", [(3, 1), (5, 1), (3, 2), (5, 2), (7, 1)])
@pytest.mark.parametrize("stride, size", [(1, (7, 6)), (2, (8, 8)), (2, (7, 9)), (1, (1, 2))])
def test_the_gradients(
    native: list[torch.dtype],
    channels: int,
    kernel: int,
    dilation: int,
    stride: int,
    size: tuple[int, int],
) -> None:
    own = layer(channels, kernel, stride, dilation)
    x = torch.randn(3, channels, *size, dtype=torch.float64, requires_grad=True)
    weights = torch.randn_like(own(x))
    expected = gradients(own(x), weights, x, own.weight)
    serves = channels % 4 == 0 and kernel < 7
    for compiled in (False, True):
        for memory in (torch.contiguous_format, torch.channels_last):
            native.clear()
            y = convolve(own, x.contiguous(memory_format=memory), compiled=compiled)
            torch.testing.assert_close(y, own(x), rtol=1e-12, atol=1e-12)
            found = gradients(y, weights, x, own.weight)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
            assert bool(native) == (compiled and serves)


def test_a_single_precision_sum_over_many_images_stays_exact() -> None:
    """Of equal terms: 262,144 of them in one float32 would be off by 1e-4 and more."""
    own = layer(8, 3, 1, 1).float()
    x = torch.full((256, 8, 32, 32), 1.1).contiguous(memory_format=torch.channels_last)
    y = convolve(own, x, compiled=True)
    (found,) = gradients(y, torch.full_like(y, 1.3), own.weight)
    centre = 256 * 32 * 32 * 1.1 * 1.3
    torch.testing.assert_close(found[:, 0, 1, 1], torch.full((8,), centre), rtol=1e-5, atol=0)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_derivatives_of_gradients(compiled: bool, stride: int) -> None:
    own = layer(4, 3, stride, 2)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)

    def of(x: Tensor, weight: Tensor) -> Tensor:
        with torch.no_grad():
            own.weight.copy_(weight)
        return depthwise._Depthwise.apply(x, weight, depthwise_shape(own), compiled)

    weight = own.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(of, (x, weight))
    assert torch.autograd.gradgradcheck(of, (x, weight))


def test_only_what_is_wanted_is_computed(native: list[torch.dtype]) -> None:
    own = layer(4, 3, 1, 1).requires_grad_(False)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    gradients(convolve(own, x, compiled=True), torch.ones(2, 4, 5, 5), x)
    assert not native


def test_a_hook_is_heard() -> None:
    own = layer(4, 3, 1, 1)
    heard: list[nn.Module] = []
    own.register_forward_hook(lambda module, given, output: heard.append(module))
    convolve(own, torch.randn(2, 4, 5, 5, dtype=torch.float64), compiled=True)
    assert heard == [own]


def test_several_threads_are_torchs(native: list[torch.dtype]) -> None:
    torch.set_num_threads(2)
    own = layer(4, 3, 1, 1)
    y = convolve(own, torch.randn(2, 4, 5, 5, dtype=torch.float64), compiled=True)
    gradients(y, torch.ones_like(y), own.weight)
    assert not native


def test_the_first_call_of_a_shape_is_compared_with_torch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def by_torch(*given: Any) -> Any:
        asked.append(given[1].shape)
        return depthwise._by_torch(*given)

    def wrong(*given: Any) -> Tensor:
        found = depthwise._by_native_code(*given)
        return found + 1 if len(given[1]) == 3 else found

    asked: list[torch.Size] = []
    monkeypatch.setattr(depthwise, "_NATIVE", depthwise._Compared(by_torch, wrong))
    own = layer(4, 3, 1, 1)

    def gradient(images: int) -> Tensor:
        x = torch.randn(images, 4, 5, 5, dtype=torch.float64)
        y = convolve(own, x, compiled=True)
        (found,) = gradients(y, torch.ones_like(y), own.weight)
        (expected,) = gradients(own(x), torch.ones_like(y), own.weight)
        torch.testing.assert_close(found, expected)
        return found

    for images in (2, 2, 4):
        gradient(images)
    assert [shape[0] for shape in asked] == [2, 4] and not caplog.records
    for images in (3, 3, 2):  # wrong once: torch serves from then on, also shapes that were right
        gradient(images)
    assert [shape[0] for shape in asked[2:]] == [3, 3, 2]
    [record] = caplog.records
    assert record.getMessage().startswith("compile: a depthwise convolution runs uncompiled (")


def test_where_it_cannot_be_compiled_torchs_gradient_serves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(depthwise, "SOURCE", depthwise.SOURCE.with_name("nowhere.cpp"))
    depthwise.library.cache_clear()
    own = layer(4, 3, 1, 1)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    try:
        y = convolve(own, x, compiled=True)
        (found,) = gradients(y, torch.ones_like(y), own.weight)
        (expected,) = gradients(own(x), torch.ones_like(y), own.weight)
    finally:
        depthwise.library.cache_clear()
    torch.testing.assert_close(found, expected)
    assert [record.message for record in caplog.records if "uncompiled" in record.message]


@pytest.mark.parametrize(
    "other",
    [
        nn.ReLU(),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 3, groups=4),  # with a bias
        nn.Conv2d(4, 8, 3, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, groups=2, bias=False),
        nn.Conv2d(4, 4, 1, groups=4, bias=False),
        nn.Conv2d(4, 4, (3, 5), groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding="same", groups=4, bias=False),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", groups=4, bias=False),
    ],
)
def test_other_layers_are_called(other: nn.Module) -> None:
    assert depthwise_shape(other) is None
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(convolve(other, x, compiled=True), other(x))
