"""The wheel: everything that the packages read is in it, and it works without the clone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
import yaml

from nni_wiring import __version__

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nni_wiring", "search_spaces")
READ = (*PACKAGES, "tuner_configs", "docs/links.py", "setup.py", "pyproject.toml")
ADDRESS = "https://code.example/wiring"


def build(folder: Path, **environment: str) -> Path:
    """The wheel of a copy of the sources, built without the network."""
    copy = folder / "copy"
    for name in (*READ, "MANIFEST.in", "README.md", "LICENSE"):
        source, target = ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, str(copy)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = folder.glob("*.whl")
    return wheel


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return BytesParser().parsebytes(archive.read(name))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as somebody does who publishes it."""
    return build(tmp_path_factory.mktemp("wheel"), NNI_WIRING_REPOSITORY=f"{ADDRESS}/")


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder of installed packages that has this one alone."""
    folder = wheel.parent / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel(installed: Path) -> None:
    there = {
        path.relative_to(ROOT)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {path.suffix for path in there} >= {".py", ".j2", ".js", ".c", ".cpp", ".typed"}
    assert sorted(path for path in there if not (installed / path).is_file()) == []
    for config in (ROOT / "tuner_configs").glob("*.yml"):
        copy = installed / "nni_wiring" / "tuner_configs" / config.name
        assert copy.read_bytes() == config.read_bytes()
    assert {path.name for path in installed.iterdir() if "dist-info" not in path.name} == {
        *PACKAGES
    }


@pytest.mark.slow
def test_the_metadata_are_whole(wheel: Path) -> None:
    found = metadata(wheel)
    assert (found["Name"], found["Version"]) == ("nni-wiring", __version__)
    assert found["Description-Content-Type"] == "text/markdown"
    urls = dict(line.split(", ") for line in found.get_all("Project-URL", []))
    assert urls["Source"] == ADDRESS
    assert urls["Security"] == f"{ADDRESS}/blob/v{__version__}/SECURITY.md"
    for url in urls.values():
        path = url.partition(f"/blob/v{__version__}/")[2]
        assert not path or (ROOT / path).is_file()


@pytest.mark.slow
def test_the_description_shows_the_readme_with_links_that_lead_somewhere(wheel: Path) -> None:
    text = str(metadata(wheel).get_payload())
    links = re.findall(r"\]\(([^)]+)\)", text)
    in_readme = re.findall(r"\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(links) == len(in_readme) > 20
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    for link in links:
        kind, _, path = link.removeprefix(f"{ADDRESS}/").partition(f"/v{__version__}/")
        if link.startswith(ADDRESS):
            assert (ROOT / path.partition("#")[0]).is_file()
            assert kind == ("raw" if path.endswith(".png") else "blob")


def command(packages: Path, folder: Path, *arguments: str) -> str:
    """What the installed command prints, started in `folder`."""
    code = "from nni_wiring.commands import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_without_the_clone_the_experiments_are_found(installed: Path, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    shutil.copytree(installed, packages)
    known = json.loads(command(packages, tmp_path, "configs", "--json"))
    assert set(known) == {path.stem for path in (ROOT / "tuner_configs").glob("*.yml")}
    written = json.loads(command(packages, tmp_path, "configs", "quickstart", "--json"))
    copy = tmp_path / written["path"]
    shutil.rmtree(packages / "nni_wiring" / "tuner_configs")  # read from there, not from the clone
    assert json.loads(command(packages, tmp_path, "configs", "--json")) == {}
    original = yaml.safe_load((ROOT / "tuner_configs" / "quickstart.yml").read_text())
    assert yaml.safe_load(copy.read_text()) == {**original, "trialCodeDirectory": "."}


@pytest.mark.slow
def test_without_an_address_no_link_is_invented(tmp_path: Path) -> None:
    environment = {"NNI_WIRING_REPOSITORY": ""}
    code = "import setuptools, sys; sys.argv = ['setup.py', '--description']; import runpy\n"
    code += "seen = {}; setuptools.setup = lambda **a: seen.update(a); runpy.run_path('setup.py')\n"
    code += "import json; print(json.dumps([seen['project_urls'], seen['long_description']]))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    urls, text = json.loads(done.stdout)
    assert set(urls) == {"NNI"}
    assert "docs/explain.md" in text and "](docs/" not in text
    assert "what a run's report" not in text.lower()
