"""The controller's exact distribution and teacher forcing, against its own sampling."""

import torch

from nni_wiring.strategies.parts.controller import Controller


def _controller() -> Controller:
    torch.manual_seed(0)
    masks = torch.ones(4, 5, dtype=torch.bool)
    masks[1, 0] = False
    controller = Controller(list(masks)).double()
    for parameter in controller.parameters():
        parameter.data *= 10
    return controller


def test_probabilities_agree_with_sampling() -> None:
    controller = _controller()
    cells, p = controller.distribution()
    assert cells.unique(dim=0).shape == (500, 4)
    assert abs(float(p.sum()) - 1) < 1e-12
    drawn = controller(20_000, torch.Generator().manual_seed(1))
    forced = controller.given(drawn.operations)
    torch.testing.assert_close(forced.log_probabilities.sum(1), drawn.log_probability)
    index = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    rows = [index[tuple(cell)] for cell in drawn.operations.tolist()]
    torch.testing.assert_close(p[rows], drawn.log_probability.exp())
    for edge in range(4):
        exact = torch.zeros(5).double().index_add(0, cells[:, edge], p)
        seen = drawn.operations[:, edge].bincount(minlength=5) / 20_000
        assert float((exact - seen).abs().max()) < 0.018  # five standard errors at p = 1/2
