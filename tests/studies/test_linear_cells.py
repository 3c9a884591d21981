"""S3's theorems on linear cells against autograd, hand-computed cells and the design's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from nni_wiring.commands import main
from nni_wiring.studies.linear_cells import (
    Cells,
    carried_gradients,
    draw,
    narrow_gradients,
    noise,
    ratios,
    smoothness,
    wide_gradients,
)
from nni_wiring.studies.registry import study
from nni_wiring.studies.running import run_study


def small(nodes: int = 3, width: int = 3, outputs: int = 4, samples: int = 5) -> Cells:
    """One cell."""
    normal = np.random.default_rng(7).standard_normal
    return Cells(
        normal((1, nodes, width, width)),
        normal((1, nodes, outputs, width)),
        normal((1, samples, width)),
        normal((1, samples, outputs)),
    )


def moved(cells: Cells, node: int, step: np.ndarray) -> Cells:
    weights = cells.weights.copy()
    weights[0, node] += step
    return cells._replace(weights=weights)


def objective(cells: Cells, weights: torch.Tensor, *, chain: bool) -> torch.Tensor:
    """f by running the cell forward, node by node."""
    state = inputs = torch.from_numpy(cells.inputs[0])
    output = torch.zeros(cells.targets[0].shape, dtype=torch.float64)
    for node in range(cells.nodes):
        state = (state if chain else inputs) @ weights[node].T
        output = output + state @ torch.from_numpy(cells.heads[0, node]).T
    errors = output - torch.from_numpy(cells.targets[0])
    return 0.5 * (errors**2).sum(dim=1).mean()


def scalar(*weights: float) -> Cells:
    """Width 1, heads 1, S = 1."""
    n = len(weights)
    return Cells(
        np.array(weights).reshape(1, n, 1, 1),
        np.ones((1, n, 1, 1)),
        np.array([[[1.0], [-1.0]]]),
        np.array([[[1.0], [1.0]]]),
    )


@pytest.mark.parametrize("chain", [True, False])
def test_gradients_and_block_hessians_are_autograds(*, chain: bool) -> None:
    cells = small()
    weights = torch.from_numpy(cells.weights[0]).requires_grad_()
    [gradient] = torch.autograd.grad(objective(cells, weights, chain=chain), weights)
    found = (narrow_gradients if chain else wide_gradients)(cells)[0].mean(axis=1)
    assert np.abs(found - gradient.numpy()).max() < 1e-10

    constants = smoothness(cells)["narrow" if chain else "wide"][0]
    for node in range(cells.nodes):

        def of_block(block: torch.Tensor, node: int = node) -> torch.Tensor:
            rows = [block if k == node else weights[k].detach() for k in range(cells.nodes)]
            return objective(cells, torch.stack(rows), chain=chain)

        hessian = torch.autograd.functional.hessian(of_block, weights[node].detach())
        matrix = hessian.reshape(9, 9).numpy()
        before = cells.path(0, node)[0] if chain else np.eye(3)
        head = cells.head(node + 1)[0] if chain else cells.heads[0, node]
        closed = np.kron(head.T @ head, before @ cells.moment[0] @ before.T)
        assert np.abs(matrix - closed).max() < 1e-10 * np.abs(closed).max()
        assert constants[node] == pytest.approx(np.linalg.eigvalsh(matrix).max(), rel=1e-10)


def test_differences_of_the_gradient_are_the_block_hessian_times_the_step() -> None:
    cells = small()
    for node in range(cells.nodes):
        step = np.random.default_rng(node).standard_normal((3, 3))
        change = (narrow_gradients(moved(cells, node, step)) - narrow_gradients(cells))[0, node]
        head, before = cells.head(node + 1)[0], cells.path(0, node)[0]
        expected = head.T @ head @ step @ before @ cells.moment[0] @ before.T
        assert np.abs(change.mean(axis=0) - expected).max() < 1e-13 * np.abs(expected).max()


def test_the_formal_constant_is_the_norm_of_the_map_from_step_to_carried_gradient() -> None:
    """df/dW_k = A_k' A_k W_k S, a function of W_k alone; the map is built column by column."""
    cells = small()

    def carried(at: Cells) -> np.ndarray:
        own = np.einsum("ckod,ckoe,ckef,cfg->ckdg", at.heads, at.heads, at.weights, at.moment)
        return carried_gradients(at, own[:, :, None])[0, :, 0]

    for node in range(cells.nodes):
        columns = [
            (carried(moved(cells, node, unit.reshape(3, 3))) - carried(cells))[node].ravel()
            for unit in np.eye(9)
        ]
        norm = np.linalg.norm(np.array(columns), 2)
        assert smoothness(cells)["formal"][0, node] == pytest.approx(norm, rel=1e-10)


def test_cells_of_one_node_coincide() -> None:
    for name, found in ratios(draw(20, 1, 1.0)).items():
        assert found == pytest.approx(np.ones((20, 1)), rel=1e-9), name


def test_orthogonal_weights_and_heads_by_hand() -> None:
    """Each of the n - i + 1 later heads adds the identity to B_i' B_i."""
    nodes, width = 3, 4
    generator = np.random.default_rng(1)
    turn = np.linalg.qr(generator.standard_normal((1, nodes, width, width)))[0]
    heads = np.linalg.qr(generator.standard_normal((nodes * width, nodes * width)))[0]
    cells = Cells(
        turn,
        np.stack(np.split(heads, nodes, axis=1))[None],
        generator.standard_normal((1, 9, width)),
        generator.standard_normal((1, 9, nodes * width)),
    )
    largest = np.linalg.eigvalsh(cells.inputs[0].T @ cells.inputs[0] / 9).max()
    found = smoothness(cells)
    assert found["narrow"][0] == pytest.approx(largest * np.array([3, 2, 1]))
    assert found["wide"][0] == pytest.approx(largest * np.ones(3))
    assert found["bound"][0] == pytest.approx(largest * np.ones(3))
    assert found["true_bound"][0] == pytest.approx(largest * np.array([9, 4, 1]))


def test_the_counterexample_of_the_page() -> None:
    """Two scalar nodes of weight 1/2: L'_1 = (1 + 1/2)^2 > L_1 = 1, yet L'_2 = 1/4 < L_2."""
    found = smoothness(scalar(0.5, 0.5))
    assert found["narrow"][0] == pytest.approx([2.25, 0.25])
    assert found["wide"][0] == pytest.approx([1, 1])
    assert found["bound"][0] == pytest.approx([1, 0.5])
    growing = smoothness(scalar(2.0, 2.0))
    assert growing["narrow"][0] == pytest.approx([9, 4])
    assert growing["bound"][0] == pytest.approx([1, 2])


def test_the_bound_of_the_noise_by_hand() -> None:
    """Scalar nodes a, b: gradients ((a + b) x - t) x, of x t = +1 and -1 variance 1."""
    a, b = 0.5, 3.0
    found = noise(scalar(a, b))
    assert found["wide"][0] == pytest.approx([1, 1])
    assert found["bound"][0] == pytest.approx([2 * (1 + b**2), 2 * a**2])
    assert found["formal"][0] == pytest.approx([(1 + b) ** 2, a**2])
    assert found["narrow"][0] == pytest.approx([(1 + b) ** 2, a**2])


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (0.3, (1.08, 0.18, 0.02, 0.00)),
        (0.6, (1.45, 1.08, 0.43, 0.11)),
        (1.0, (3.9, 5.7, 4.7, 2.5)),
        (1.6, (27, 48, 52, 38)),
    ],
)
def test_the_direction_is_that_of_the_design(scale: float, expected: tuple[float, ...]) -> None:
    """The design's medians are of cells of unstated size: agreement is in magnitude."""
    found = ratios(draw(200, 4, scale))
    medians = np.median(found["narrow_over_wide"], axis=0)
    assert medians == pytest.approx(expected, rel=0.5, abs=0.02)
    assert max(found[name].max() for name in ("a_formal", "a_true", "b_formal")) < 1 + 1e-9
    if scale == 0.3:
        assert np.mean(found["a_literal"][:, 0] > 1) == pytest.approx(0.74, abs=0.1)
        assert (found["a_literal"][:, 1:] < 1).all()
    noisy = np.mean(found["b_literal"] > 1, axis=0)
    assert (noisy.max() > 0) == (scale == 1.6) and noisy.max() < 0.1


def test_the_study_gives_the_verdicts_of_the_page_and_repeats(tmp_path: Path) -> None:
    found = study("linear-cells")
    options = found.options({"draws": 30})
    result = run_study(found, options, tmp_path / "a")
    assert [v["verdict"] for v in result["verdicts"]] == [
        "holds",
        "does not hold",
        "holds",
        "holds",
        "does not hold",
    ]
    assert len(result["rows"]) == 4 * (2 + 4 + 8)
    for table in result["tables"]:
        assert all(len(row) == len(table["columns"]) for row in table["rows"])
    for picture in result["pictures"]:
        assert (tmp_path / "a" / picture).read_bytes().startswith(b"\x89PNG")
    again = run_study(found, options, tmp_path / "b")
    assert [again[k] for k in ("rows", "verdicts")] == [result[k] for k in ("rows", "verdicts")]


def test_no_cells_are_refused_in_a_line(tmp_path: Path) -> None:
    arguments = ["study", "linear-cells", "--set", "draws=0", "--out", str(tmp_path / "s")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code != 0 and "draws=0 must be at least 1" in result.output
