"""An exported folder, read where neither NNI nor this package can be imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from nni_wiring.commands import main
from nni_wiring.errors import WiringError
from nni_wiring.export import folder as export_module
from nni_wiring.export.folder import check_target, export_folder
from nni_wiring.export.model_code import model_code, written_network
from nni_wiring.export.subject import Subject, fresh_subject, trained_subject
from nni_wiring.runs.store import RunFolder
from nni_wiring.train.config import make_train_config
from nni_wiring.train.parts import assemble_training
from nni_wiring.train.run import run_train
from nni_wiring.truth import table_for

ARCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|"
SMALL = {"arch": ARCH, "channels": 4, "cells": 1}
TINY = {**SMALL, "epochs": 2, "max_steps": 2, "batch_size": 8, "seed": 3}
ONNX = all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))

#: Loads every file of a folder as a stranger does; writes the logits for images.pt.
STRANGER = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("nni", "nni_wiring", "search_spaces", "pytorch_lightning"):
            raise ImportError(name + " is refused")

sys.meta_path.insert(0, Refuse())
try:
    import nni_wiring
except ImportError:
    pass
else:
    raise SystemExit("nni_wiring can be imported, so the test shows nothing")

import os
import torch
from safetensors.torch import load_file
from model import Network, normalised

pixels = torch.load("../pixels.pt", weights_only=True)
images = normalised(pixels)
network = Network()
network.load_state_dict(load_file("model.safetensors"))
found = {"model.py": network.eval()(images)}
program = torch.export.load("model.pt2").module()
found["model.pt2"] = torch.cat([program(images[:4]), program(images[4:])])
if os.path.exists("model.onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": images.numpy()})
    found["model.onnx"] = torch.from_numpy(logits)
torch.save({k: v.detach() for k, v in found.items()}, "../found.pt")
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    config = make_train_config(TINY)
    folder = RunFolder.create(tmp_path_factory.mktemp("runs") / "r", "r", config.flat())
    run_train(config, folder)
    return folder


@pytest.fixture(scope="module")
def exported(run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_folder(trained_subject(run), folder, onnx=ONNX)
    return folder


def read_as_a_stranger(folder: Path, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.save(pixels, folder.parent / "pixels.pt")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", STRANGER],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, torch.Tensor] = torch.load(folder.parent / "found.pt", weights_only=True)
    return found


@pytest.mark.slow
def test_a_trained_network_answers_the_same_where_nni_is_not(
    run: RunFolder, exported: Path
) -> None:
    """Oracle: the training's own network, its weights read by torch from the checkpoint."""
    parts = assemble_training(make_train_config(run.config))
    parts.network.load_state_dict(torch.load(run.checkpoint, weights_only=True)["network"])
    pixels = parts.data.images[:5]
    mean, std = (torch.tensor(v)[:, None, None] for v in (parts.data.mean, parts.data.std))
    with torch.no_grad():
        expected = parts.network.eval()((pixels.float() / 255 - mean) / std)
    assert expected.std() > 0.01
    found = read_as_a_stranger(exported, pixels)
    assert set(found) == {"model.py", "model.pt2"} | ({"model.onnx"} if ONNX else set())
    for name, logits in found.items():
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5, msg=name)


def test_no_file_names_a_folder_of_this_machine(exported: Path) -> None:
    with zipfile.ZipFile(exported / "model.pt2") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    content += b"".join(path.read_bytes() for path in exported.iterdir())
    assert b"model.Network" in content
    for place in (str(exported.parent), str(Path(__file__).parents[2]), "site-packages"):
        assert place.encode() not in content


def test_the_card_says_how_the_weights_were_made(run: RunFolder, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    result, table = run.result(), table_for("nasbench201")
    assert result is not None and table is not None
    assert f"test {result['accuracy']['test']:.2f} %" in card
    score = table.truth(ARCH).at("cifar10", "valid")
    assert f"| cifar10 | valid | {score.accuracy:.2f} | {score.rank} |" in card
    for words in (ARCH, "Run `r`, protocol short, 2 of 2 epochs", "Seed: 3", "lr 0.1 to 0"):
        assert words in card
    assert "ntrained" not in card
    assert str(run.info["git_commit"] or "not known") in card


def test_fresh_weights_are_those_that_a_training_starts_from() -> None:
    fresh = fresh_subject({**SMALL, "seed": 3}).network.state_dict()
    parts = assemble_training(make_train_config(TINY))
    torch.testing.assert_close(fresh, parts.network.network.state_dict(), rtol=0, atol=0)
    other = fresh_subject({**SMALL, "seed": 4}).network.state_dict()
    assert not torch.equal(fresh["stem.0.weight"], other["stem.0.weight"])


@pytest.mark.parametrize(
    "options",
    [
        {"head": "bias_free", "cells": 2},
        {"affine": False, "track_stats": False},
        {"space": "nasbench201_s4", "arch": "0-1=noise;0-2=noise;1-2=nor_conv_3x3;"
         "0-3=nor_conv_3x3;1-3=noise;2-3=nor_conv_3x3"},
        {"space": "transnas101_micro", "arch": "64-41414-3_02_123"},
    ],
)  # fmt: skip
def test_the_written_code_is_the_network(options: dict[str, object]) -> None:
    """Oracle: our network on other images; ``noise`` draws in the same order in both."""
    subject = fresh_subject({**SMALL, **options})
    network = written_network(model_code(subject), subject)
    images = torch.randn(3, 3, 8, 8)
    logits = []
    for one in (network, subject.network):
        torch.manual_seed(7)
        logits.append(one(images))
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=0)
    assert logits[0].abs().max() > 0


def test_a_written_network_that_answers_otherwise_is_refused() -> None:
    subject = fresh_subject(SMALL)
    code = model_code(subject)
    for wrong in (
        code.replace('"2-3": "skip_connect"', '"2-3": "none"'),
        code.replace(
            "stride=2), nn.Conv2d(inputs, outputs, 1", "stride=2), nn.Conv2d(inputs, 1, 1"
        ),
    ):
        assert wrong != code
        with pytest.raises(WiringError, match="^export: the .*network"):
            written_network(wrong, subject)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_there_stays_unless_all_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "model"
    export_folder(fresh_subject(SMALL), target)
    before = contents(target)
    with pytest.raises(WiringError, match="is not empty"):
        export_folder(fresh_subject(SMALL), target)

    def full_disk(subject: Subject, names: list[str]) -> str:
        raise OSError(28, "No space left on device")

    other = fresh_subject({**SMALL, "seed": 2})
    with monkeypatch.context() as patch:
        patch.setattr(export_module, "model_card", full_disk)
        with pytest.raises(WiringError, match="cannot write .*No space left"):
            export_folder(other, target, force=True)
    assert contents(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    export_folder(other, target, force=True)
    weights = load_file(target / "model.safetensors")
    assert torch.equal(weights["stem.0.weight"], other.network.state_dict()["stem.0.weight"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_force_replaces_no_folder_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.tex").write_text("all of it")
    with pytest.raises(WiringError, match="holds thesis.tex, which no export wrote"):
        check_target(tmp_path, force=True)
    with pytest.raises(WiringError, match="is a file"):
        check_target(tmp_path / "thesis.tex", force=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WiringError, match="is the working folder"):
        check_target(Path("."), force=True)


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["export", *arguments])
    return done.exit_code, done.output


def test_the_command_exports_a_cell_untrained(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "model"
    code, output = invoke(ARCH, "--to", str(target), "--set=channels=4", "--set=cells=1")
    assert code == 0, output
    assert output == (f"{target}: model.py, model.safetensors, model.pt2, README.md (untrained)\n")
    assert "Untrained" in (target / "README.md").read_text()
    assert len(load_file(target / "model.safetensors")["stem.0.weight"]) == 4


def test_the_cell_of_a_search_is_exported_untrained(tmp_path: Path) -> None:
    search = RunFolder.open(Path(__file__).parents[1] / "support" / "run_of_0_1_0")
    result = search.result()
    assert result is not None
    code, output = invoke(
        str(search.path), "--to", str(tmp_path / "m"), "--set=channels=4", "--set=cells=1"
    )
    assert code == 0, output
    card = (tmp_path / "m" / "README.md").read_text()
    assert f"`{result['arch']}`, untrained" in card
    assert f"found by run `{search.run_id}`" in card
    weights = load_file(tmp_path / "m" / "model.safetensors")
    fresh = fresh_subject({"arch": result["arch"], "channels": 4, "cells": 1})
    torch.testing.assert_close(weights, dict(fresh.network.state_dict()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((ARCH, "--set=epochs=3"), "--set epochs: is no setting of the network of space nasb"),
        (("no-such-run",), "unknown run no-such-run"),
        ((ARCH, "--space", "darts"), "no cell of space darts"),
        (("0-2=sep_conv_3x3;1-2=none;0-3=none;1-3=none;2-3=none", "--space", "minimal"), None),
    ],
)
def test_bad_subjects_are_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str | None
) -> None:
    code, output = invoke(*arguments, "--to", str(tmp_path / "model"))
    assert code == 1 and output.count("\n") == 1 and "Traceback" not in output
    assert (message or "cells of space minimal are not written as plain PyTorch") in output
    assert not (tmp_path / "model").exists()


def test_a_training_takes_no_other_settings_and_needs_its_checkpoint(
    run: RunFolder, tmp_path: Path
) -> None:
    code, output = invoke(str(run.path), "--to", str(tmp_path / "m"), "--seed", "2")
    assert code == 1 and "run r is exported as it was trained" in output
    empty = RunFolder.create(tmp_path / "e", "e", run.config)
    (empty.path / "run.json").write_text(json.dumps({**run.info, "run_id": "e"}))
    code, output = invoke(str(empty.path), "--to", str(tmp_path / "m"))
    assert code == 1 and "run e has no checkpoint yet" in output
    torch.save({"network": {}, "epochs": 1}, empty.checkpoint)
    code, output = invoke(str(empty.path), "--to", str(tmp_path / "m"))
    assert code == 1 and "checkpoint.pt is corrupt or foreign" in output
    assert not (tmp_path / "m").exists()
