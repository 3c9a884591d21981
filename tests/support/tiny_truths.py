"""A truth that is built in a second: forty images of 8x8, networks of two channels, two steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nni_wiring.building.options import BuildOptions, make_build_options

#: Of nine different exact classes; with convolutions, pooling, without a path.
NINE = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|",
    "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|skip_connect~1|none~2|",
    "|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_1x1~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
    "|skip_connect~0|+|nor_conv_1x1~0|none~1|+|avg_pool_3x3~0|skip_connect~1|skip_connect~2|",
)
TRAINING = {"channels": 2, "cells": 1, "epochs": 3, "batch_size": 6, "eval_epochs": [1, 2]}


def images(folder: Path) -> str:
    """Four classes that differ in brightness; the name of the data set."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    pixels = (rng.integers(0, 120, (40, 8, 8, 3)) + 40 * labels[:, None, None, None]) % 256
    pixels = pixels.astype(np.uint8)
    np.savez(
        folder / "grey.npz",
        train_x=pixels[:24],
        train_y=labels[:24],
        test_x=pixels[24:],
        test_y=labels[24:],
    )
    return f"npz:{folder / 'grey.npz'}"


def listed(folder: Path, archs: tuple[str, ...] = NINE) -> str:
    """A file of cells."""
    path = folder / "cells.txt"
    path.write_text("# cells\n\n" + "\n".join(archs) + "\n")
    return str(path)


def options(folder: Path, archs: tuple[str, ...] = NINE, **changes: Any) -> BuildOptions:
    """A build of these cells on those images, with seeds 1 and 2."""
    given = {"space": "nasbench201", "data": images(folder), "seeds": "1,2", **TRAINING}
    return make_build_options({**given, "cell_list": listed(folder, archs), **changes})
