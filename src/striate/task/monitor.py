"""The metric that a run is judged by, from the description of its task."""

from collections.abc import Mapping
from typing import Any

from striate.base.choose import choose
from striate.base.errors import SettingsError
from striate.metric import Metric

from .table import from_json


def monitor_of(values: Mapping[str, Any]) -> Metric:
    """Return the metric that a task's description (`Task.to_json`) names as its monitor.

    Raises:
        ModelError: no task has that name here; it may need its plugin.
        SettingsError: the task has no such metric; the message names the nearest.
    """
    metrics = {metric.key: metric for metric in from_json(values).metrics}
    return choose("score to compare by", str(values.get("monitor")), metrics, SettingsError)
