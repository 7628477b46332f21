"""Metrics by key, for documents whose task is not at hand: how a score is called and written."""

from collections.abc import Mapping
from typing import Any

from .accuracy import ACCURACY, EXACT_MATCH, top, within
from .boundary import boundary_f1, boundary_iou, interior_iou
from .box_ap import box_metrics, mask_metrics, point_metrics
from .box_table import count_error
from .calibration import ECE
from .confusion import KAPPA, MCC, balanced_accuracy
from .error import MEAN_ERROR_DEG, MEDIAN_ERROR_DEG, mae, r2, rmse
from .f1 import MICRO_F1, macro_f1
from .image_quality import gain, mean_checkerboard, mean_psnr, mean_ssim
from .iou import class_accuracy, mean_dice, mean_iou, pixel_accuracy
from .loss import LOSS
from .metric import ANY, WORDS, Metric, words_only
from .point_matches import SIGMA
from .points import POINT_ERROR, pck
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
        *box_metrics(1),
        *mask_metrics(1),
        *point_metrics(1, (SIGMA,)),
        count_error(1, 0.5),
        POINT_ERROR,
        pck(),
        rmse(),
        mae(),
        MEAN_ERROR_DEG,
        MEDIAN_ERROR_DEG,
        r2(),
        mean_iou(0),
        mean_dice(0),
        class_accuracy(0),
        pixel_accuracy(0),
        boundary_f1(0),
        boundary_iou(0),
        interior_iou(0),
        mean_psnr(),
        mean_ssim(),
        mean_checkerboard(),
        gain(mean_psnr(), words_only, "", 0, range(1)),
        gain(mean_ssim(), words_only, "", 0, range(1)),
    )
}


def metric_of(document: Mapping[str, Any]) -> Metric:
    """Return the metric of a verdict, or of a task's description, to write its scores with.

    Args:
        document: with `metric` (`monitor`), `unit`, and `metric_words` where it is not an old one.

    Example:
        >>> metric_of({"metric": "mean_error_deg"}).text(6.4), metric_of({"metric": "speed", "unit": "km/h"}).text(90.0)
        ('6.40 degrees', '90.0 km/h')
    """
    key, unit = str(document.get("metric") or document.get("monitor")), str(document.get("unit") or "")
    words = document.get("metric_words")
    if key in METRICS or not isinstance(words, Mapping):
        return by_key(key, unit, str(document.get("mode") or document.get("monitor_mode") or ""))
    low, high = words["possible"]
    possible = (ANY[0] if low is None else low, ANY[1] if high is None else high)
    return Metric(**{name: words[name] for name in WORDS}, possible=possible)


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
