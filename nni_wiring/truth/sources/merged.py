"""The column names of tables that are known, by benchmark and version."""

from __future__ import annotations

from collections.abc import Mapping

_RUN = {"cifar10": "cifar10valid", "cifar100": "cifar100", "imagenet16": "imagenet16"}
_SHARED: dict[str, str | list[str]] = {
    "arch": "arch",
    **{f"{name}/valid@12": f"e12_{run}_val" for name, run in _RUN.items()},
    **{f"{name}/test@12": f"e12_{name}_test" for name in _RUN},
    **{f"train_200/{name}": f"train_s200_{run}" for name, run in _RUN.items()},
    **{f"latency/{name}": f"latency_s_{run}" for name, run in _RUN.items()},
}

#: The merged table holds two versions that differ for about 2,400 cells: one table, one version.
VERSIONS: dict[str, dict[str, Mapping[str, str | list[str]]]] = {
    "nasbench201": {
        "v11": {
            **_SHARED,
            **{f"{name}/valid@200": f"v11_{run}_val200" for name, run in _RUN.items()},
            **{f"{name}/test@200": f"v11_{name}_test200" for name in _RUN},
        },
        "nats": {
            **_SHARED,
            **{
                f"{name}/valid@200": [f"nats_{run}_val200_t{trial}" for trial in range(3)]
                for name, run in _RUN.items()
            },
        },
    },
}
