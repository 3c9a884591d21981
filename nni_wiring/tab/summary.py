"""The tab's summaries in event files: JSON text in a tensor, under three tags."""

from __future__ import annotations

import json
import math
from typing import Any

from tensorboard.compat.proto import summary_pb2, tensor_pb2, types_pb2

#: The name of the plugin: in its addresses, in event files, in ``--samples_per_plugin``.
PLUGIN = "wiring"

#: The subject of a run: its strategy and seed, the references of its benchmark. Written once.
RUN = "wiring/run"
#: One epoch; its number is the step.
EPOCH = "wiring/epoch"
#: The reasons for the cell that the search ended with. Written once, at the end.
EXPLANATION = "wiring/explanation"
TAGS = (RUN, EPOCH, EXPLANATION)

_DIGITS = 6


def json_summary(tag: str, value: Any) -> summary_pb2.Summary:
    """One value as a tensor of one string; numbers keep six significant digits."""
    text = json.dumps(shortened(value), separators=(",", ":"), allow_nan=False)
    plugin = summary_pb2.SummaryMetadata.PluginData(plugin_name=PLUGIN)
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=plugin, data_class=summary_pb2.DATA_CLASS_TENSOR
    )
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[text.encode()])
    found = summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
    return summary_pb2.Summary(value=[found])


def shortened(value: Any) -> Any:
    """A JSON value with its floats rounded; those that JSON cannot say become None."""
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: shortened(one) for name, one in value.items()}
    return [shortened(one) for one in value] if isinstance(value, list | tuple) else value
