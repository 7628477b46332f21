"""Metrics by key, for documents whose task is not at hand: how a score is called and written."""

from collections.abc import Mapping
from typing import Any

from .accuracy import ACCURACY, EXACT_MATCH, top, within
from .calibration import ECE
from .confusion import KAPPA, MCC, balanced_accuracy
from .error import MEAN_ERROR_DEG, MEDIAN_ERROR_DEG, mae, r2, rmse
from .f1 import MICRO_F1, macro_f1
from .loss import LOSS
from .metric import WORDS, Metric
from .ranking import AUC, MEAN_AVERAGE_PRECISION

METRICS = {
    metric.key: metric
    for metric in (
        ACCURACY,
        EXACT_MATCH,
        top(5),
        within(10, "deg"),
        balanced_accuracy(),
        KAPPA,
        MCC,
        macro_f1(),
        MICRO_F1,
        AUC,
        MEAN_AVERAGE_PRECISION,
        ECE,
        LOSS,
        rmse(),
        mae(),
        MEAN_ERROR_DEG,
        MEDIAN_ERROR_DEG,
        r2(),
    )
}


def metric_of(document: Mapping[str, Any]) -> Metric:
    """Return the metric of a verdict, to write its scores with, also of one from before it had `metric_words`.

    Example:
        >>> metric_of({"metric": "mean_error_deg"}).text(6.4), metric_of({"metric": "speed", "unit": "km/h"}).text(90.0)
        ('6.40 degrees', '90.0 km/h')
    """
    key, unit = str(document["metric"]), str(document.get("unit") or "")
    words = document.get("metric_words")
    if key in METRICS or not isinstance(words, Mapping):
        return by_key(key, unit, str(document.get("mode") or ""))
    return Metric(**{name: words[name] for name in WORDS if name in words})


def by_key(key: str, unit: str = "", direction: str = "") -> Metric:
    """Return the metric with this key, to write scores with; to compute them take the one of the task.

    Args:
        unit: of the target; metrics that are no errors have none.
        direction: of a metric that is not known here, which is a plain number called by its key.

    Example:
        >>> by_key("rmse", "mm").text(0.5), by_key("off_by").name, by_key("my_score").text(0.25)
        ('0.500 mm', 'off by', '0.250')
    """
    known = METRICS.get(key)
    if known is None:
        return Metric(key, key.replace("_", " "), "min" if direction == "min" else "max", unit=unit)
    with_unit = {"rmse": rmse, "mae": mae}.get(key)
    return with_unit(unit) if with_unit else known
