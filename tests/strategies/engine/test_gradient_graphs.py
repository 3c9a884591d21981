"""Steps that are recorded and replayed against steps that run, bit for bit; graphs are emulated."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recorded_ops import OpRecorder
from tiny_runs import checkpoint, differences, epochs_without_time, run

from nni_wiring.errors import ConfigError
from nni_wiring.runs.store import RunFolder
from nni_wiring.search.config import make_config
from nni_wiring.strategies.darts import DARTS
from nni_wiring.strategies.engine import gradient_graphs, search_module

SEARCH = {"epochs": 2, "max_steps": 6, "alpha_lr": 0.01}


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> OpRecorder:
    """Graphs on the CPU."""
    own = OpRecorder()
    monkeypatch.setattr(search_module, "recorder_for", lambda device: own)
    return own


def assert_same_run(found: RunFolder, expected: RunFolder) -> None:
    assert epochs_without_time(found) == epochs_without_time(expected)
    unlike = differences(checkpoint(found), checkpoint(expected))
    # times are those of a progress bar; the stamp names the run and its options
    own = ("/loops", "/stamp/run_id", "/stamp/options/cuda_graphs")
    assert [path for path in unlike if not path.startswith(own)] == []


@pytest.mark.parametrize(
    "options, graphs",
    [
        ({"strategy": "darts"}, 2),
        ({"strategy": "darts", "supernet": "plain", "affine": True, "track_stats": True}, 2),
        ({"strategy": "darts", "affine": True, "track_stats": True}, 2),
        ({"strategy": "darts", "optimisation": "single_level"}, 1),
        ({"strategy": "darts", "update_order": "alpha_first", "alpha_clip": 0.1}, 2),
        ({"strategy": "darts", "precision": "bf16"}, 2),
        ({"strategy": "darts_fixed_alpha"}, 1),
        ({"strategy": "darts_plus"}, 2),
        ({"strategy": "fair_darts"}, 2),
        ({"strategy": "pc_darts", "warmup_share": 0.0}, 2),
        # all edges are decided when the first epoch ends, which makes other graphs
        ({"strategy": "sgas"}, 4),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_replayed_search_is_the_search(
    tmp_path: Path, recorder: OpRecorder, options: dict[str, Any], graphs: int
) -> None:
    """Weights, alphas, optimisers and everything that the monitor says, under a moving learning
    rate.
    """
    eager = run(tmp_path / "eager", **SEARCH, **options)
    assert recorder.recordings == 0
    replayed = run(tmp_path / "replayed", cuda_graphs=True, **SEARCH, **options)
    assert recorder.recordings == graphs
    assert recorder.replays > 2 * recorder.recordings
    assert_same_run(replayed, eager)


def test_a_recording_that_fails_or_differs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(OpRecorder):
        def record(self, run: Callable[[], None]) -> Callable[[], None]:
            run()
            raise RuntimeError("operation not permitted when stream is capturing")

    eager = run(tmp_path / "eager", **SEARCH)
    monkeypatch.setattr(search_module, "recorder_for", lambda device: Failing())
    with caplog.at_level(logging.WARNING):
        failed = run(tmp_path / "failed", cuda_graphs=True, **SEARCH)
    assert_same_run(failed, eager)
    said = [r.getMessage() for r in caplog.records if r.name == gradient_graphs.log.name]
    assert said == [
        f"cuda_graphs: the {phase} step runs without a graph "
        "(operation not permitted when stream is capturing)"
        for phase in ("weights", "alpha")
    ]


def test_a_replay_that_differs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Doubling(OpRecorder):
        """Doubles gradients of convolutions' weights, of which the alpha step has none."""

        def record(self, run: Callable[[], None]) -> Callable[[], None]:
            replay = super().record(run)

            def wrong() -> None:
                replay()
                for func, _, _, result in self.tapes[-1].calls:
                    if (
                        func is torch.ops.aten.convolution_backward.default
                        and result[1] is not None
                    ):
                        result[1].mul_(2)

            return wrong

    eager = run(tmp_path / "eager", **SEARCH)
    monkeypatch.setattr(search_module, "recorder_for", lambda device: Doubling())
    with caplog.at_level(logging.WARNING):
        differing = run(tmp_path / "differing", cuda_graphs=True, **SEARCH)
    assert_same_run(differing, eager)
    [said] = [r.getMessage() for r in caplog.records if r.name == gradient_graphs.log.name]
    assert said.startswith(
        "cuda_graphs: the weights step runs without a graph (it and eager differ"
    )


def test_without_a_gpu_it_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    eager = run(tmp_path / "eager", epochs=1, max_steps=2)
    with caplog.at_level(logging.WARNING):
        folder = run(tmp_path / "asked", epochs=1, max_steps=2, cuda_graphs=True, device="cpu")
    assert epochs_without_time(folder) == epochs_without_time(eager)
    said = [r.getMessage() for r in caplog.records if r.name == gradient_graphs.log.name]
    assert said == ["cuda_graphs: there are none on cpu, so steps run without"]


def test_selection_by_perturbation_replays_too(tmp_path: Path, recorder: OpRecorder) -> None:
    """Its tuning decides edge after edge, each of which makes other graphs."""
    selection = {
        "selection": "perturbation",
        "selection_settings": {"tune_epochs": 6, "max_steps": 4},
        "operations": {"*": ["skip_connect", "nor_conv_1x1"]},
    }
    eager = run(tmp_path / "eager", epochs=1, **selection)
    replayed = run(tmp_path / "replayed", epochs=1, cuda_graphs=True, **selection)
    assert recorder.recordings > 6
    assert replayed.result()["selection_details"] == eager.result()["selection_details"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_real_graphs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        graphs = run(tmp_path / "graphs", cuda_graphs=True, device="cuda", **SEARCH)
    assert not [r for r in caplog.records if r.name == gradient_graphs.log.name]
    assert_same_run(graphs, run(tmp_path / "eager", device="cuda", **SEARCH))


@pytest.mark.parametrize(
    "options",
    [{"strategy": name} for name in ("gdas", "snas", "drnas", "sdarts_rs", "enas", "dsnas")]
    + [{"strategy": "darts", "order": 2}, {"strategy": "darts", "space": "nasbench201_s4"}],
    ids=str,
)
def test_methods_whose_steps_are_not_alike_refuse(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="cuda_graphs: true needs steps that are all alike"):
        run(tmp_path / "run", cuda_graphs=True, **options)


def test_low_precision_copies_of_weights_do_not_outlive_a_step(tmp_path: Path) -> None:
    """Autocast keeps a weight's copy until the batch is over; second order moves weights in it."""
    assert make_config({"order": 2, "precision": "bf16"}).precision == "bf16"
    model = torch.nn.Linear(3, 2)
    module = search_module.SearchModule(_Task(model), DARTS(order=2))
    data = torch.ones(1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        before = module.loss("weights", data, 0).item()
        with torch.no_grad():
            model.weight.add_(1.0)
        after = module.loss("weights", data, 0).item()
    assert after - before == pytest.approx(6.0, rel=0.02)


class _Task(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, data: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.model(data).float().sum()
