"""A part of a data set, as a file that a search can be run on: small halves over-fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nni_wiring.files.json_files import replace_file
from nni_wiring.search.config import RunConfig, shown_dataset


def subset_options(config: RunConfig, fraction: float, path: Path) -> dict[str, Any]:
    """Options of a search on a part of the training images of ``config``'s data.

    Args:
        config: tells data and seed; another seed draws other images.
        fraction: of the training images; with 1 the search runs on the data as it is.
        path: where the part is kept (``.npz``); written anew unless it is there.
    """
    if fraction >= 1:
        return {}
    data = config.data_settings.load()
    if not path.exists():
        order = np.random.default_rng(config.seed).permutation(len(data.images))
        chosen = np.sort(order[: max(2, round(fraction * len(order)))])
        arrays = {
            "train_x": _channels_last(data.images.numpy()[chosen]),
            "train_y": data.labels.numpy()[chosen],
        }
        if data.test_images is not None and data.test_labels is not None:
            arrays["test_x"] = _channels_last(data.test_images.numpy())
            arrays["test_y"] = data.test_labels.numpy()
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]
    split = config.split or data.default_split
    # that of the whole data in its benchmark: a file names none
    dataset = shown_dataset(config, data.truth_dataset)
    return {"data": f"npz:{path}", "dataset": dataset, "split": split}


def _channels_last(images: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
