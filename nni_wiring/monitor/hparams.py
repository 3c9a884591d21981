"""The columns of TensorBoard's HParams over several runs: the settings in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Settings that stand first. TensorBoard sorts columns by whether they are said to differ, then by
#: name, so these are the ones that are said to.
FIRST = ("strategy", "seed", "alpha_lr", "order")
METRIC = "hparams/true_valid_accuracy"


def varying(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The settings that differ between runs, :data:`FIRST` first and then by name, each with its
    values (None where a run lacks it); empty for one run.
    """
    names = {name for config in configs for name in config}
    values = {name: [config.get(name) for config in configs] for name in names}
    differ = {name for name, own in values.items() if any(one != own[0] for one in own)}
    order = [name for name in FIRST if name in differ]
    order += sorted(differ - set(FIRST))
    return {name: values[name] for name in order}


def write_columns(logdir: Path, configs: Sequence[Mapping[str, Any]]) -> None:
    """Write into a log directory which settings HParams shows of the runs below it.

    Nothing is written where no setting differs: HParams then shows all of them.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    from nni_wiring.monitor.event_file import EventWriter  # a second to import

    found = varying(configs)
    if not found:
        return
    infos = [
        api_pb2.HParamInfo(name=name, type=_type(api_pb2, values), differs=name in FIRST)
        for name, values in found.items()
    ]
    metric = api_pb2.MetricInfo(name=api_pb2.MetricName(tag=METRIC))
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=[metric])
    content = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    about = metadata.create_summary_metadata(content)
    columns = Summary(value=[Summary.Value(tag=metadata.EXPERIMENT_TAG, metadata=about)])
    with EventWriter(logdir) as writer:
        writer._get_file_writer().add_summary(columns, None)


def _type(api: Any, values: Sequence[Any]) -> int:  # noqa: ANN401 (generated code has no types)
    """The type under which Lightning's logger wrote the values."""
    if all(isinstance(value, bool) for value in values):
        return int(api.DATA_TYPE_BOOL)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return int(api.DATA_TYPE_FLOAT64)
    return int(api.DATA_TYPE_STRING)
