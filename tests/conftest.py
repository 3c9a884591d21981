"""What every test runs under: one thread, and nothing of the user's own folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Two processes with two torch threads each on two cores spin against each other; torch reads
# this when it is first imported, that is, after this line.
os.environ["OMP_NUM_THREADS"] = "1"

REPO = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point HOME and every folder setting at a temporary folder; yields that folder."""
    folder = tmp_path_factory.mktemp("environment")
    with pytest.MonkeyPatch.context() as patch:
        # matplotlib would build its font list anew (10 s) in an empty home
        home_before = Path.home()
        patch.setenv("MPLCONFIGDIR", os.environ.get("MPLCONFIGDIR", f"{home_before}/.cache/mpl"))
        for name in [key for key in os.environ if key.startswith("NNI_")]:
            if name != "NNI_WIRING_SHARED_DATA":
                patch.delenv(name)
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("NNI_CONFIG_DIR", str(folder / "nni"))
        patch.setenv("NNI_WIRING_CACHE", str(folder / "cache"))
        patch.setenv("NNI_WIRING_RUNS", str(folder / "runs"))
        for name in ("home", "nni", "cache", "runs"):
            (folder / name).mkdir()
        yield folder


@pytest.fixture
def float64() -> Iterator[None]:
    """torch's default dtype, for comparisons to the last digits."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real tables and images that are not part of the repository; skips without it."""
    setting = os.environ.get("NNI_WIRING_SHARED_DATA")
    folder = Path(setting) if setting else REPO.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder} (set NNI_WIRING_SHARED_DATA to one with the real data)")
    return folder
